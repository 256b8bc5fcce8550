//! [`Barrier`]: a place where tasks wait for each other.
//!
//! # Invariants
//!
//! 1. Fewer are queued than the barrier is for: the one who makes them complete notifies all under the same lock, isn't
//!    queued, and leads. So each round has one who leads, and that one can't be dropped before it knows.
//! 2. Whoever was notified belongs to a round that is over, and counts no more.
//!
//! One lock, a leaf: wakers are cloned before it, called and dropped after it.

use crate::coop;
use crate::observe::{self, Wait};
use crate::sync::Mutex;
use crate::wait_queue::{WaitQueue, wake_all};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A place where a number of tasks wait until all of them are there; then it is ready for the next round.
///
/// One of each round, the last to come, is told that it leads. A barrier for one, and also one for none, holds nobody up:
/// everybody leads.
///
/// # Examples
///
/// ```
/// use anyscope::sync::Barrier;
/// use anyscope::task_group;
/// use std::sync::Arc;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let ready = Arc::new(Barrier::new(3));
///     let leaders = task_group(async |g| {
///         let tasks: Vec<_> = (0..3).map(|_| {
///             let ready = ready.clone();
///             g.spawn(async move { ready.wait().await.is_leader() })
///         }).collect();
///         let mut leaders = 0;
///         for task in tasks {
///             leaders += usize::from(task.await);
///         }
///         leaders
///     })
///     .await;
///     assert_eq!(leaders, 1);
/// });
/// ```
pub struct Barrier {
    size: usize,
    queue: Mutex<WaitQueue<()>>,
}

impl Barrier {
    /// Makes a barrier for so many.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size, queue: Mutex::new(WaitQueue::new()) }
    }

    /// Waits until as many are there as the barrier is for. Who waits counts from the first poll.
    ///
    /// # Cancel safety
    ///
    /// Who is dropped before the barrier is full counts no more, and the others wait for somebody else instead. After
    /// that the round is over, and goes on without.
    pub fn wait(&self) -> WaitBarrier<'_> {
        WaitBarrier {
            barrier: self,
            place: None,
            done: false,
            #[cfg(bug_wait_not_sync)]
            unshared: std::marker::PhantomData,
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.lock().len();
        f.debug_struct("Barrier").field("size", &self.size).field("waiting", &waiting).finish()
    }
}

/// What one is told who passes a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// Returns whether this is the one of its round that leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

/// Waits at a barrier. Made by [`Barrier::wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitBarrier<'a> {
    barrier: &'a Barrier,
    place: Option<usize>,
    done: bool,
    #[cfg(bug_wait_not_sync)]
    unshared: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl Future for WaitBarrier<'_> {
    type Output = BarrierWaitResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let Self { barrier, place, done, .. } = &mut *self;
        assert!(!*done, "a wait at a barrier was polled after it had ended");
        if place.is_none() {
            // Before it comes, and not after: one who leads and gives way could be dropped, and nobody would lead.
            ready!(coop::poll_proceed(cx));
        }
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let (poll, unused, wakers) = {
            let mut queue = barrier.queue.lock();
            match *place {
                Some(key) if queue.is_notified(key) => {
                    let unused = (queue.leave(place), Some(waker));
                    (Poll::Ready(BarrierWaitResult { is_leader: false }), unused, Vec::new())
                }
                None if queue.len() + 1 >= barrier.size => {
                    (Poll::Ready(BarrierWaitResult { is_leader: true }), (None, Some(waker)), queue.notify_all())
                }
                _ => (Poll::Pending, (queue.wait(place, waker), None), Vec::new()),
            }
        };
        *done = poll.is_ready();
        wake_all(wakers);
        drop(unused);
        if poll.is_pending() {
            observe::waits(|| Wait::Signal("others at a barrier"));
        }
        poll
    }
}

impl Drop for WaitBarrier<'_> {
    fn drop(&mut self) {
        if self.place.is_some() {
            let unused = self.barrier.queue.lock().leave(&mut self.place);
            drop(unused);
        }
    }
}

impl fmt::Debug for WaitBarrier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitBarrier").field("barrier", self.barrier).finish_non_exhaustive()
    }
}
