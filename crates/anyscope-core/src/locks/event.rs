//! [`Event`]: something that happens once, and that many wait for.
//!
//! # Invariants
//!
//! 1. Once set, it stays set, and nobody is queued: `set` notifies all under the lock that it sets it under.
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

/// Something that happens once: who waits for it goes on, and who comes later doesn't wait.
///
/// There is no reset: what can be taken back between the wake and the look would have to be looked at again. Where there
/// are several rounds, make an event for each, or use a [`Condvar`](super::Condvar) or a [`Barrier`](super::Barrier).
///
/// # Examples
///
/// ```
/// use anyscope::sync::Event;
/// use anyscope::task_group;
/// use std::sync::Arc;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let connected = Arc::new(Event::new());
///     let asking = g.spawn({
///         let connected = connected.clone();
///         async move {
///             connected.wait().await;
///             "asked"
///         }
///     });
///     connected.set();
///     assert_eq!(asking.await, "asked");
/// }));
/// ```
pub struct Event {
    state: Mutex<State>,
}

struct State {
    set: bool,
    queue: WaitQueue<()>,
}

impl Event {
    /// Makes an event that hasn't happened.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::new(State { set: false, queue: WaitQueue::new() }) }
    }

    /// Tells that it has happened, and wakes all who wait, in the order in which they came.
    ///
    /// Returns whether it hadn't before: of those who set it, one is told so.
    pub fn set(&self) -> bool {
        let (first, wakers) = {
            let mut state = self.state.lock();
            let first = !state.set;
            state.set = true;
            (first, state.queue.notify_all())
        };
        wake_all(wakers);
        first
    }

    /// Returns whether it has happened.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.lock().set
    }

    /// Waits until it has happened.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub fn wait(&self) -> WaitEvent<'_> {
        WaitEvent { event: self, place: None }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}

/// Waits for an event. Made by [`Event::wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitEvent<'a> {
    event: &'a Event,
    place: Option<usize>,
}

impl Future for WaitEvent<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { event, place } = &mut *self;
        if place.is_none() && event.is_set() {
            // It stays set, so there is nothing to take before giving way.
            ready!(coop::poll_proceed(cx));
            return Poll::Ready(());
        }
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut state = event.state.lock();
            if state.set && !cfg!(bug_event_set_before_the_wait) {
                (Poll::Ready(()), (Some(waker), state.queue.leave(place)))
            } else {
                (Poll::Pending, (state.queue.wait(place, waker), None))
            }
        };
        drop(unused);
        if poll.is_pending() {
            observe::waits(|| Wait::Signal("an event"));
        }
        poll
    }
}

impl Drop for WaitEvent<'_> {
    fn drop(&mut self) {
        if self.place.is_some() {
            let unused = self.event.state.lock().queue.leave(&mut self.place);
            drop(unused);
        }
    }
}

impl fmt::Debug for WaitEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitEvent").field("event", self.event).finish_non_exhaustive()
    }
}
