//! What a dropped group has to leave running is counted by somebody else: the nearest live group around, or the
//! count that [`drained`] waits for.
//!
//! # Invariants
//!
//! 1. A group that adopted something doesn't end before it: an [`Adopted`] counts as one live child.
//! 2. A group takes nothing in once it has ended; whoever asks goes on to the group around it.

use super::core::GroupCore;
use super::ending::Ending;
use super::state::Phase;
use crate::observe::{self, Wait};
use crate::sync::Arc;
use crate::wait_queue::{WaitQueue, wake_all};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

/// Keeps a group, or [`drained`], from ending until it is dropped.
pub(crate) struct Adopted {
    by: By,
}

enum By {
    Group(Arc<GroupCore>),
    /// The count that [`drained`] waits for.
    Nobody,
    Released,
}

impl GroupCore {
    /// Counts something as live: here, or in the nearest group around that hasn't ended.
    pub(crate) fn adopt(self: &Arc<Self>) -> Adopted {
        let mut group = self;
        loop {
            // Nobody waits for the end of a stray.
            if !group.is_stray() {
                let mut state = group.state.lock();
                if state.phase != Phase::Ended {
                    state.adopted += 1;
                    drop(state);
                    return Adopted { by: By::Group(group.clone()) };
                }
            }
            match &group.parent {
                Some(parent) => group = parent,
                None => return Adopted::by_nobody(),
            }
        }
    }
}

impl Adopted {
    /// Counts for [`drained`], as there is no group around.
    pub(crate) fn by_nobody() -> Self {
        strays().count += 1;
        Self { by: By::Nobody }
    }
}

impl Adopted {
    /// Ends the adoption. Hands out what is left to do where a group had waited for it.
    pub(super) fn release(mut self) -> Option<(Arc<GroupCore>, Ending)> {
        self.end()
    }

    fn end(&mut self) -> Option<(Arc<GroupCore>, Ending)> {
        match mem::replace(&mut self.by, By::Released) {
            By::Released => None,
            By::Group(group) => {
                let ending = group.adopted_ended();
                Some((group, ending))
            }
            By::Nobody => {
                let wakers = {
                    let mut strays = strays();
                    strays.count -= 1;
                    if strays.count == 0 { strays.waiters.notify_all() } else { Vec::new() }
                };
                wake_all(wakers);
                None
            }
        }
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        if let Some((group, ending)) = self.end() {
            ending.go(&group);
        }
    }
}

/// What runs outside of every group and every `run`.
struct Strays {
    count: usize,
    waiters: WaitQueue<()>,
}

fn strays() -> MutexGuard<'static, Strays> {
    static STRAYS: OnceLock<Mutex<Strays>> = OnceLock::new();
    STRAYS
        .get_or_init(|| Mutex::new(Strays { count: 0, waiters: WaitQueue::new() }))
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Waits until nothing runs any more of what groups outside of any `run` had to leave behind when they were dropped.
///
/// Inside [`run`](crate::run), and in a group, the enclosing one waits by itself; this is for programs that use groups
/// in tasks of their runtime's own.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// anyscope::run(anyscope::smol::Smol::new(), anyscope::drained());
/// ```
pub fn drained() -> Drained {
    Drained { key: None }
}

/// Waits for what was left behind. Made by [`drained`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Drained {
    key: Option<usize>,
}

impl Future for Drained {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut strays = strays();
            if strays.count == 0 {
                (Poll::Ready(()), (Some(waker), strays.waiters.leave(&mut self.key)))
            } else {
                // Where it was notified, more has been left behind since.
                (Poll::Pending, (strays.waiters.wait(&mut self.key, waker), None))
            }
        };
        drop(unused);
        if poll.is_pending() {
            observe::waits(|| Wait::Signal("what was left running by groups that were dropped"));
        }
        poll
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if self.key.is_some() {
            let unused = strays().waiters.leave(&mut self.key);
            drop(unused);
        }
    }
}
