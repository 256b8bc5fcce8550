//! [`Condvar`]: where tasks wait for a change of what a mutex guards.
//!
//! # States of a waiter
//!
//! *holding* (hasn't been polled, has the guard) → *queued* → *locking* (notified, waits for the mutex) → done.
//!
//! # Invariants
//!
//! 1. A waiter is queued before it gives the mutex back: whoever changes something under the mutex and notifies
//!    afterwards finds it.
//! 2. A notification for one belongs to one waiter until that has its guard again. A waiter that is dropped before
//!    passes it on to who is queued then.
//!
//! # Lock order
//!
//! One lock, a leaf. The mutex is given back, and wakers are cloned, called and dropped, outside of it.

use super::mutex::{Lock, Mutex, MutexGuard};
use crate::coop;
use crate::observe::{self, Wait};
use crate::sync::Mutex as StateMutex;
use crate::wait_queue::{Removed, WaitQueue, wake_all};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// A place to wait for a change of what a [`Mutex`] guards.
///
/// A notification isn't kept: it reaches who waits when it is given. So change the value under the mutex, and look at it
/// before waiting; [`wait_while`](Self::wait_while) does so. Those who wait are notified in the order in which they
/// began to, and then queue for the mutex as anybody does.
///
/// # Examples
///
/// ```
/// use anyscope::sync::{Condvar, Mutex};
/// use anyscope::task_group;
/// use std::sync::Arc;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let shared = Arc::new((Mutex::new(0), Condvar::new()));
///     let waiting = g.spawn({
///         let shared = shared.clone();
///         async move {
///             let (stock, changed) = &*shared;
///             let mut stock = changed.wait_while(stock.lock().await, |stock| *stock < 2).await;
///             *stock -= 2;
///         }
///     });
///     let (stock, changed) = &*shared;
///     *stock.lock().await += 3;
///     changed.notify_one();
///     waiting.await;
///     assert_eq!(*stock.lock().await, 1);
/// }));
/// ```
pub struct Condvar {
    queue: StateMutex<WaitQueue<Notice>>,
}

/// How one was notified; of one who wasn't it says nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// Alone, and so answers for the notification.
    One,
    /// Together with everybody.
    All,
}

impl Condvar {
    /// Makes a place where nobody waits.
    #[must_use]
    pub fn new() -> Self {
        Self { queue: StateMutex::new(WaitQueue::new()) }
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again.
    ///
    /// Who waits is there from the first poll on, and the mutex is locked until then. What was waited for may have been
    /// changed again by others before the mutex is locked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place, and what it has of the mutex. Where it was the one that
    /// [`notify_one`](Self::notify_one) chose, and doesn't have its guard yet, the notification goes to the next.
    pub fn wait<'a, 'm, T>(&'a self, guard: MutexGuard<'m, T>) -> WaitCondvar<'a, 'm, T> {
        WaitCondvar { condvar: self, stage: Stage::Holding(guard) }
    }

    /// Waits for as long as `condition` says so of the value.
    ///
    /// It is asked once in the beginning, with the guard given, and again after each notification.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// With a panic of `condition`. The mutex is unlocked then.
    pub fn wait_while<'a, 'm, T, F>(&'a self, guard: MutexGuard<'m, T>, condition: F) -> WaitWhile<'a, 'm, T, F>
    where
        F: FnMut(&mut T) -> bool,
    {
        WaitWhile { condvar: self, condition, step: Step::First(guard) }
    }

    /// Notifies the one who waits longest, if anybody does.
    pub fn notify_one(&self) {
        let waker = notify_front(&mut self.queue.lock());
        wake_all(waker);
    }

    /// Notifies all who wait.
    pub fn notify_all(&self) {
        if cfg!(bug_notified_in_batches) {
            let first = self.queue.lock().len().saturating_sub(32);
            (0..first).for_each(|_| self.notify_one());
        }
        let wakers = self.queue.lock().notify_where(|notice| {
            *notice = Notice::All;
            true
        });
        wake_all(wakers);
    }
}

fn notify_front(queue: &mut WaitQueue<Notice>) -> Option<Waker> {
    *queue.front()? = Notice::One;
    queue.notify_front()
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.lock().len();
        f.debug_struct("Condvar").field("waiting", &waiting).finish()
    }
}

/// Waits for a notification. Made by [`Condvar::wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitCondvar<'a, 'm, T> {
    condvar: &'a Condvar,
    stage: Stage<'m, T>,
}

const NOTIFICATION: &str = "a notification of a condition variable";

enum Stage<'m, T> {
    Holding(MutexGuard<'m, T>),
    Queued(usize, &'m Mutex<T>),
    Locking(Lock<'m, T>, Notice),
    Done,
}

impl<'m, T> Future for WaitCondvar<'_, 'm, T> {
    type Output = MutexGuard<'m, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'m, T>> {
        let Self { condvar, stage } = &mut *self;
        match stage {
            Stage::Holding(_) => {
                let waker = cx.waker().clone();
                let Stage::Holding(guard) = mem::replace(stage, Stage::Done) else { unreachable!("it was just seen") };
                let mutex = MutexGuard::source(&guard);
                #[cfg(bug_unlocked_before_it_waits)]
                let guard = drop(guard);
                let key = condvar.queue.lock().push(Notice::All, waker);
                *stage = Stage::Queued(key, mutex);
                // Subtle: not before it is queued (invariant 1).
                drop(guard);
                observe::waits(|| Wait::Signal(NOTIFICATION));
                return Poll::Pending;
            }
            Stage::Queued(key, mutex) => {
                let waker = cx.waker().clone();
                let mut queue = condvar.queue.lock();
                if !queue.is_notified(*key) {
                    let unused = queue.update(*key, waker);
                    drop(queue);
                    drop(unused);
                    observe::waits(|| Wait::Signal(NOTIFICATION));
                    return Poll::Pending;
                }
                let Removed::Notified(notice) = queue.remove(*key) else { unreachable!("it is notified") };
                drop(queue);
                *stage = Stage::Locking(mutex.lock(), notice);
                drop(waker);
            }
            Stage::Locking(..) => {}
            Stage::Done => panic!("a wait for a notification was polled after it had ended"),
        }
        let Stage::Locking(lock, _) = stage else { unreachable!("all else is above") };
        let guard = ready!(Pin::new(lock).poll(cx));
        *stage = Stage::Done;
        Poll::Ready(guard)
    }
}

impl<T> Drop for WaitCondvar<'_, '_, T> {
    fn drop(&mut self) {
        match mem::replace(&mut self.stage, Stage::Done) {
            Stage::Holding(guard) => drop(guard),
            Stage::Queued(key, _) => {
                let (removed, next) = {
                    let mut queue = self.condvar.queue.lock();
                    let removed = queue.remove(key);
                    let passes_on =
                        matches!(removed, Removed::Notified(Notice::One)) && !cfg!(bug_notification_lost_on_drop);
                    (removed, if passes_on { notify_front(&mut queue) } else { None })
                };
                wake_all(next);
                drop(removed);
            }
            Stage::Locking(lock, notice) => {
                drop(lock);
                if notice == Notice::One {
                    self.condvar.notify_one();
                }
            }
            Stage::Done => {}
        }
    }
}

impl<T> fmt::Debug for WaitCondvar<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitCondvar").finish_non_exhaustive()
    }
}

/// Waits for as long as a condition holds. Made by [`Condvar::wait_while`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitWhile<'a, 'm, T, F> {
    condvar: &'a Condvar,
    condition: F,
    step: Step<'a, 'm, T>,
}

enum Step<'a, 'm, T> {
    First(MutexGuard<'m, T>),
    /// Didn't have to wait, and gives way to others before it goes on.
    GivesWay(MutexGuard<'m, T>),
    Waits(WaitCondvar<'a, 'm, T>),
    Done,
}

impl<T, F> Unpin for WaitWhile<'_, '_, T, F> {}

impl<'m, T, F: FnMut(&mut T) -> bool> Future for WaitWhile<'_, 'm, T, F> {
    type Output = MutexGuard<'m, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'m, T>> {
        let Self { condvar, condition, step } = &mut *self;
        loop {
            let guard = match mem::replace(step, Step::Done) {
                Step::First(mut guard) => {
                    if !condition(&mut guard) {
                        *step = Step::GivesWay(guard);
                        continue;
                    }
                    guard
                }
                Step::GivesWay(guard) => {
                    if coop::poll_proceed(cx).is_pending() {
                        *step = Step::GivesWay(guard);
                        return Poll::Pending;
                    }
                    return Poll::Ready(guard);
                }
                Step::Waits(mut wait) => {
                    let Poll::Ready(mut guard) = Pin::new(&mut wait).poll(cx) else {
                        *step = Step::Waits(wait);
                        return Poll::Pending;
                    };
                    // Subtle: it doesn't give way here. The notification is its own now, and would be lost with it.
                    if !condition(&mut guard) {
                        return Poll::Ready(guard);
                    }
                    guard
                }
                Step::Done => panic!("a wait for a condition was polled after it had ended"),
            };
            *step = Step::Waits(condvar.wait(guard));
        }
    }
}

impl<T, F> fmt::Debug for WaitWhile<'_, '_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitWhile").finish_non_exhaustive()
    }
}
