//! [`JoinHandle`]: waits for a task.

use super::cell::Shared;
use super::{AbortHandle, Id, JoinError};
use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Waits for a task: a future of its value, or of why there is none. Made by [`spawn`](super::spawn) and
/// [`spawn_blocking`](super::spawn_blocking).
///
/// Dropping it detaches the task, which runs on; its value is dropped when it comes.
///
/// # Cancel safety
///
/// Nothing is lost by dropping a `&mut` borrow of the handle.
///
/// # Panics
///
/// Polling it again after it gave its result panics.
pub struct JoinHandle<T> {
    shared: Arc<Shared<T>>,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    /// Asks the task to end.
    ///
    /// Its future is dropped on the executor when it stops the next time, and no code of it runs in this call; then the
    /// handle gives an error that [is a cancellation](JoinError::is_cancelled). A task that has ended keeps its value, and
    /// so does one whose poll that is under way ends it. A blocking closure that runs is not stopped.
    ///
    /// What of anyscope's is inside of the task sees the cancellation, and a [`shield`](crate::shield) holds it off.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::compat::tokio;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let idle = tokio::spawn(std::future::pending::<()>());
    ///     idle.abort();
    ///     assert!(idle.await.unwrap_err().is_cancelled());
    /// });
    /// ```
    #[track_caller]
    pub fn abort(&self) {
        self.shared.control().abort();
    }

    /// Returns whether the task has ended. After an [`abort`](Self::abort) that may take a moment.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.shared.control().is_finished()
    }

    /// Returns a handle that can end the task, and can be cloned.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle::new(self.shared.control().clone())
    }

    /// Returns the task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.shared.control().id()
    }

    /// Has `waker` woken at the end. Says whether that has come already.
    pub(super) fn watch(&self, waker: Waker) -> bool {
        self.shared.watch(waker)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.shared.poll(cx)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.shared.give_up();
    }
}

impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id()).finish()
    }
}
