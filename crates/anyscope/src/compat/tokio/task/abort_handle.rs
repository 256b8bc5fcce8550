//! [`AbortHandle`]: ends a task, from anywhere.

use super::Id;
use super::cell::Control;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// Ends a task, without a way to its value. Made by [`JoinHandle::abort_handle`](super::JoinHandle::abort_handle), and for
/// each task of a [`JoinSet`](super::JoinSet).
#[derive(Clone)]
pub struct AbortHandle(Arc<Control>);

impl AbortHandle {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self(control)
    }

    /// Asks the task to end. See [`JoinHandle::abort`](super::JoinHandle::abort).
    #[track_caller]
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Returns whether the task has ended. After an abort that may take a moment.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Returns the task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.0.id()
    }
}

impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("id", &self.id()).finish()
    }
}
