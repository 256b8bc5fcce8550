//! [`Outcome`]: how a task ended.

use crate::cancel::reason::Reason;
use std::fmt;
use std::sync::Arc;

/// How a task ended.
///
/// Exhaustive on purpose: callers branch on it, and there is no fifth way to end.
///
/// # Examples
///
/// ```
/// use anyscope::{Outcome, task_group};
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let fine = g.spawn(async { 1 });
///     let cut = g.spawn(std::future::pending::<i32>());
///     cut.cancel();
///     assert!(matches!(fine.outcome().await, Outcome::Completed(1)));
///     assert!(matches!(cut.outcome().await, Outcome::Cancelled(_)));
/// }));
/// ```
#[derive(Clone, Debug)]
pub enum Outcome<T> {
    /// It ran to its end.
    Completed(T),
    /// It was cancelled, and why. Its future has been dropped.
    Cancelled(Reason),
    /// It panicked. The group it belonged to resumes the panic in its owner; a gather that is
    /// [settled](crate::Gather::settled) does not.
    Panicked(Panic),
    /// The runtime that it ran on went away.
    RuntimeGone,
}

impl<T> Outcome<T> {
    /// Returns the value of a task that ran to its end.
    #[must_use]
    pub fn completed(self) -> Option<T> {
        match self {
            Self::Completed(value) => Some(value),
            _ => None,
        }
    }

    /// Returns whether the task ran to its end.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        matches!(self, Self::Completed(_))
    }

    /// Returns whether the task was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// Returns whether the task panicked.
    #[must_use]
    pub fn is_panicked(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }

    /// Applies a function to the value of a task that ran to its end.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Completed(value) => Outcome::Completed(f(value)),
            Self::Cancelled(reason) => Outcome::Cancelled(reason),
            Self::Panicked(panic) => Outcome::Panicked(panic),
            Self::RuntimeGone => Outcome::RuntimeGone,
        }
    }
}

/// What is kept of a task's panic: its message. The payload goes to the owner of the group, which resumes it.
#[derive(Clone)]
pub struct Panic(Arc<str>);

impl Panic {
    pub(crate) fn new(message: &str) -> Self {
        Self(message.into())
    }

    /// Returns what the panic said, where it said it as a string.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message())
    }
}
