//! [`TaskTracker`]: waits until all tasks have ended, and keeps none of their values.

use crate::compat::tokio::task::{self, JoinHandle};
use ::tokio::sync::Notify;
use ::tokio::sync::futures::Notified;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

const CLOSED: usize = 1;
const TASK: usize = 2;

/// Waits until all tasks have ended. A clone tracks the same tasks.
///
/// [`wait`](Self::wait) ends when it is closed and no task lives. Unlike a `JoinSet` it keeps no value, frees each task at
/// its end, and aborts nothing when it is dropped.
///
/// # Examples
///
/// ```
/// use anyscope::compat::tokio_util::task::TaskTracker;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let tracker = TaskTracker::new();
///     for n in 0..3 {
///         tracker.spawn(async move { n });
///     }
///     tracker.close();
///     tracker.wait().await;
///     assert!(tracker.is_empty());
/// });
/// ```
pub struct TaskTracker {
    inner: Arc<Inner>,
}

struct Inner {
    /// How often `TASK` is in it is how many live; `CLOSED` is whether it is closed. Whoever makes it closed and empty tells
    /// those who wait by then, who have their end also where it is reopened before they look.
    state: AtomicUsize,
    over: Notify,
}

impl Inner {
    fn is_over(&self) -> bool {
        // Ordering: Acquire; pairs with the Release of `TaskTrackerToken`'s drop: the tasks are gone.
        self.state.load(Ordering::Acquire) == CLOSED
    }

    fn add(&self) {
        // Ordering: Relaxed; it publishes nothing.
        self.state.fetch_add(TASK, Ordering::Relaxed);
    }
}

impl TaskTracker {
    /// Makes one that is open, and tracks nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner { state: AtomicUsize::new(0), over: Notify::new() }) }
    }

    /// Waits until it is closed and no task lives.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub fn wait(&self) -> TaskTrackerWaitFuture<'_> {
        TaskTrackerWaitFuture { over: self.inner.over.notified(), tracker: Some(self) }
    }

    /// Lets [`wait`](Self::wait) end. Returns whether it was open. Tasks can be spawned all the same.
    pub fn close(&self) -> bool {
        // Ordering: AcqRel, as in `TaskTrackerToken::drop`.
        let before = self.inner.state.fetch_or(CLOSED, Ordering::AcqRel);
        if before == 0 {
            self.inner.over.notify_waiters();
        }
        before & CLOSED == 0
    }

    /// Keeps [`wait`](Self::wait) from ending. Returns whether it was closed.
    pub fn reopen(&self) -> bool {
        // Ordering: Relaxed; it publishes nothing.
        self.inner.state.fetch_and(!CLOSED, Ordering::Relaxed) & CLOSED != 0
    }

    /// Returns whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Returns how many tasks live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.state.load(Ordering::Acquire) / TASK
    }

    /// Returns whether no task lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts a task that is tracked. See [`task::spawn`].
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(self.track_future(task))
    }

    /// Starts a closure that blocks and is tracked. See [`task::spawn_blocking`].
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, task: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let token = self.token();
        task::spawn_blocking(move || {
            let value = task();
            drop(token);
            value
        })
    }

    /// Has a future tracked until it is dropped.
    pub fn track_future<F: Future>(&self, future: F) -> TrackedFuture<F> {
        TrackedFuture { future, token: self.token() }
    }

    /// Returns what counts as a task until it is dropped.
    #[must_use]
    pub fn token(&self) -> TaskTrackerToken {
        self.inner.add();
        TaskTrackerToken { tracker: self.clone() }
    }

    /// Returns whether both track the same tasks.
    #[must_use]
    pub fn ptr_eq(left: &TaskTracker, right: &TaskTracker) -> bool {
        Arc::ptr_eq(&left.inner, &right.inner)
    }
}

impl Default for TaskTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for TaskTracker {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl fmt::Debug for TaskTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskTracker").field("len", &self.len()).field("is_closed", &self.is_closed()).finish()
    }
}

/// Counts as a task of a [`TaskTracker`] until it is dropped.
#[derive(Debug)]
pub struct TaskTrackerToken {
    tracker: TaskTracker,
}

impl TaskTrackerToken {
    /// Returns the tracker.
    #[must_use]
    pub fn task_tracker(&self) -> &TaskTracker {
        &self.tracker
    }
}

impl Clone for TaskTrackerToken {
    fn clone(&self) -> Self {
        self.tracker.token()
    }
}

impl Drop for TaskTrackerToken {
    fn drop(&mut self) {
        let inner = &self.tracker.inner;
        // Ordering: AcqRel; what the task did happened before the wait ends, also what others did that ended earlier.
        if inner.state.fetch_sub(TASK, Ordering::AcqRel) == TASK | CLOSED {
            inner.over.notify_waiters();
        }
    }
}

pin_project! {
    /// A future that is tracked. Made by [`TaskTracker::track_future`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct TrackedFuture<F> {
        #[pin]
        future: F,
        token: TaskTrackerToken,
    }
}

impl<F: Future> Future for TrackedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

pin_project! {
    /// Waits for the end of all tasks. Made by [`TaskTracker::wait`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct TaskTrackerWaitFuture<'a> {
        #[pin]
        over: Notified<'a>,
        tracker: Option<&'a TaskTracker>,
    }
}

impl Future for TaskTrackerWaitFuture<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        match this.tracker {
            Some(tracker) if !tracker.inner.is_over() => {}
            _ => {
                *this.tracker = None;
                return Poll::Ready(());
            }
        }
        let polled = this.over.poll(cx);
        if polled.is_ready() {
            *this.tracker = None;
        }
        polled
    }
}

impl fmt::Debug for TaskTrackerWaitFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskTrackerWaitFuture").field("over", &self.tracker.is_none()).finish_non_exhaustive()
    }
}
