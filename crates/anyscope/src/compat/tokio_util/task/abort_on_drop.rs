//! [`AbortOnDropHandle`] and [`AbortOnDrop`]: the task ends with its handle.

use crate::compat::tokio::task::{AbortHandle, JoinError, JoinHandle};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A [`JoinHandle`] that aborts its task when it is dropped.
///
/// # Cancel safety
///
/// Dropping it aborts the task; dropping a `&mut` borrow loses nothing.
///
/// # Examples
///
/// ```
/// use anyscope::compat::{tokio, tokio_util::task::AbortOnDropHandle};
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let task = AbortOnDropHandle::new(tokio::spawn(async { 1 }));
///     assert_eq!(task.await.unwrap(), 1);
/// });
/// ```
#[must_use = "dropping the handle aborts the task at once"]
pub struct AbortOnDropHandle<T> {
    /// `None` once it was detached.
    handle: Option<JoinHandle<T>>,
}

impl<T> AbortOnDropHandle<T> {
    /// Has a task end with this handle.
    pub fn new(handle: JoinHandle<T>) -> Self {
        Self { handle: Some(handle) }
    }

    fn handle(&self) -> &JoinHandle<T> {
        match &self.handle {
            Some(handle) => handle,
            None => unreachable!("a handle is used after it was detached"),
        }
    }

    /// Asks the task to end. See [`JoinHandle::abort`].
    #[track_caller]
    pub fn abort(&self) {
        self.handle().abort();
    }

    /// Returns whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle().is_finished()
    }

    /// Returns a handle that can end the task, and doesn't when it is dropped.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        self.handle().abort_handle()
    }

    /// Returns the handle, which is an ordinary one again.
    pub fn detach(mut self) -> JoinHandle<T> {
        match self.handle.take() {
            Some(handle) => handle,
            None => unreachable!("a handle is detached twice"),
        }
    }
}

impl<T> Future for AbortOnDropHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.handle {
            Some(handle) => Pin::new(handle).poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<T> AsRef<JoinHandle<T>> for AbortOnDropHandle<T> {
    fn as_ref(&self) -> &JoinHandle<T> {
        self.handle()
    }
}

impl<T> Drop for AbortOnDropHandle<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

impl<T> fmt::Debug for AbortOnDropHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortOnDropHandle").field("id", &self.handle().id()).finish()
    }
}

/// An [`AbortHandle`] that aborts its task when it is dropped.
#[must_use = "dropping the handle aborts the task at once"]
#[derive(Debug)]
pub struct AbortOnDrop {
    /// `None` once it was detached.
    handle: Option<AbortHandle>,
}

impl AbortOnDrop {
    /// Has a task end with this handle.
    pub fn new(handle: AbortHandle) -> Self {
        Self { handle: Some(handle) }
    }

    /// Asks the task to end. See [`JoinHandle::abort`].
    #[track_caller]
    pub fn abort(&self) {
        self.handle.iter().for_each(AbortHandle::abort);
    }

    /// Returns whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_some_and(AbortHandle::is_finished)
    }

    /// Returns the handle, which is an ordinary one again.
    pub fn detach(mut self) -> AbortHandle {
        match self.handle.take() {
            Some(handle) => handle,
            None => unreachable!("a handle is detached twice"),
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.abort();
    }
}
