//! Why something was cancelled, by whom, and where.

use crate::context;
use crate::task::TaskRef;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Why something was cancelled: the kind, a message, the task that caused it, and the source line.
///
/// A reason travels unchanged from where the cancellation was requested to everything below it; a clone costs a
/// reference count.
///
/// # Examples
///
/// ```
/// use anyscope::{CancelToken, ReasonKind};
///
/// let token = CancelToken::new();
/// let below = token.child();
/// token.cancel_with("client went away");
///
/// let reason = below.reason().unwrap();
/// assert_eq!(reason.kind(), ReasonKind::Explicit);
/// assert_eq!(reason.message(), Some("client went away"));
/// assert!(reason.location().file().ends_with(".rs"));
/// ```
#[derive(Clone)]
pub struct Reason(Arc<Inner>);

struct Inner {
    kind: ReasonKind,
    message: Option<Cow<'static, str>>,
    task: Option<TaskRef>,
    location: &'static Location<'static>,
}

/// The kinds of reason.
///
/// Non-exhaustive: a match has to say what it does with a kind it doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasonKind {
    /// Somebody called `cancel` or `cancel_with`.
    Explicit,
    /// A deadline passed.
    Deadline,
    /// A sibling in the same group failed or panicked.
    SiblingFailed,
    /// The body that owns the group ended with an error or a panic.
    Parent,
    /// The group is shutting down and its period of grace is over.
    Shutdown,
    /// The future that owned the work was dropped.
    Dropped,
}

impl Reason {
    pub(crate) fn new(
        kind: ReasonKind,
        message: Option<Cow<'static, str>>,
        location: &'static Location<'static>,
    ) -> Self {
        Self(Arc::new(Inner { kind, message, task: context::task(), location }))
    }

    /// A reason that names a task other than the one that is running.
    pub(crate) fn of_task(
        kind: ReasonKind,
        message: Option<Cow<'static, str>>,
        task: TaskRef,
        location: &'static Location<'static>,
    ) -> Self {
        Self(Arc::new(Inner { kind, message, task: Some(task), location }))
    }

    /// Returns the kind of reason.
    #[must_use]
    pub fn kind(&self) -> ReasonKind {
        self.0.kind
    }

    /// Returns what the canceller had to say, if anything.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// Returns the task that caused it: the one that asked, or the one that failed. `None` outside of any task.
    #[must_use]
    pub fn task(&self) -> Option<&TaskRef> {
        self.0.task.as_ref()
    }

    /// Returns the line that caused it: of the call, of the timeout, or where the task that failed was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }
}

impl fmt::Display for ReasonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "cancelled explicitly",
            Self::Deadline => "deadline passed",
            Self::SiblingFailed => "a sibling failed",
            Self::Parent => "the parent ended",
            Self::Shutdown => "shutting down",
            Self::Dropped => "its owner was dropped",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        if let Some(message) = self.message() {
            write!(f, ": {message}")?;
        }
        if let Some(task) = self.task() {
            write!(f, ", by {task}")?;
        }
        write!(f, ", at {}", self.location())
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reason")
            .field("kind", &self.kind())
            .field("message", &self.message())
            .field("task", &self.task())
            .field("location", &format_args!("{}", self.location()))
            .finish()
    }
}

/// The error of a future that was cut short because its token was cancelled.
///
/// # Examples
///
/// ```
/// use anyscope::CancelToken;
///
/// let token = CancelToken::new();
/// token.cancel_with("enough");
/// let cut = anyscope::run(anyscope::smol::Smol::new(), token.run(async { 1 })).unwrap_err();
/// assert_eq!(cut.reason().message(), Some("enough"));
/// ```
#[derive(Clone, Debug)]
pub struct Cancelled {
    reason: Reason,
}

impl Cancelled {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason }
    }

    /// Returns why.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Returns why, by value.
    #[must_use]
    pub fn into_reason(self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl Error for Cancelled {}
