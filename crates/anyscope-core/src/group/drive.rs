//! Who polls the children: a few tasks of the runtime, which share a group's queue.
//!
//! A child costs the runtime nothing: it is queued, and a driver polls it. The first child that is ready starts
//! a driver; more are started while all are busy, up to the runtime's parallelism. A driver takes one child at a time,
//! so that one child which blocks its thread holds up none that are ready already, and gives way to the runtime after a number of
//! polls of its own, or when the runtime's budget for this poll is spent.

use super::core::{GroupCore, Next};
use crate::runtime::Runtime;
use crate::sync::Arc;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How many children a driver polls before it lets the runtime's other tasks run.
const POLLS: usize = 32;

/// A future that polls the children of a group, handed to [`Runtime::spawn`].
///
/// It ends by itself with its group, or, where that has had one child only, with it. Dropping it earlier ends the children: it is what a runtime does that goes away.
#[must_use = "a driver that isn't run ends the children of its group"]
pub struct Driver {
    group: Arc<GroupCore>,
    id: usize,
    finished: bool,
}

impl Driver {
    pub(super) fn new(group: Arc<GroupCore>, id: usize) -> Self {
        Self { group, id, finished: false }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (mut polls, mut begins, mut back) = (0, true, None);
        loop {
            let more = polls < POLLS && (polls == 0 || !self.group.runtime().is_budget_spent());
            let mut next = self.group.step(self.id, mem::replace(&mut begins, false), back.take(), more);
            if matches!(next, Next::Nothing) {
                if !more {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                next = self.group.park(self.id, cx.waker());
            }
            match next {
                Next::Run(work, order) => {
                    polls += 1;
                    back = Some(work.run(order));
                }
                Next::Idle | Next::Nothing => return Poll::Pending,
                Next::Finish => {
                    self.finished = true;
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.finished {
            self.group.driver_dropped(self.id);
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("id", &self.id).finish_non_exhaustive()
    }
}
