//! [`Task`]: the handle to one child of a group.

pub(crate) mod cell;
#[allow(unsafe_code, reason = "a future polled in the allocation that it shares with its outcome: see its head")]
pub(crate) mod halves;
pub(crate) mod seat;

use self::halves::Handle;
use crate::context;
use crate::observe::{self, Wait};
use crate::outcome::Outcome;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::num::NonZeroU64;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// A number that no other task of this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Ordering: Relaxed; a counter that publishes nothing. One for all threads, as its order is that of spawning.
        Self(NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MAX))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which task: its id, its name if it has one, and where it was spawned.
#[derive(Clone, Debug)]
pub struct TaskRef {
    id: TaskId,
    name: Option<Cow<'static, str>>,
    location: &'static Location<'static>,
}

impl TaskRef {
    pub(crate) fn new(name: Option<Cow<'static, str>>, location: &'static Location<'static>) -> Self {
        Self { id: TaskId::next(), name, location }
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns the name that it was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns where it was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "task `{name}` (spawned at {})", self.location),
            None => write!(f, "task {} (spawned at {})", self.id, self.location),
        }
    }
}

/// A handle to a child of a group: a future of its value.
///
/// The group owns the task: dropping the handle changes nothing, but that the value is dropped too.
///
/// # Panics
///
/// Awaiting a task that has no value, because it was cancelled by itself or its runtime is gone, panics and says why;
/// [`outcome`](Self::outcome) tells without a panic. Where the awaiter is being cancelled too, as it is after a
/// sibling's panic, it just never resumes. So is polling the handle again after it gave the value.
///
/// # Cancel safety
///
/// Nothing is lost by dropping a `&mut` borrow of the handle; the value is there for the next one who awaits it.
///
/// # Examples
///
/// ```
/// use anyscope::task_group;
///
/// let sum = anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let one = g.spawn(async { 1 });
///     let two = g.task("two").spawn(async { 2 });
///     assert_eq!(two.name(), Some("two"));
///     one.await + two.await
/// }));
/// assert_eq!(sum, 3);
/// ```
pub struct Task<T> {
    handle: Handle<Outcome<T>>,
}

impl<T> Task<T> {
    pub(crate) fn new(handle: Handle<Outcome<T>>) -> Self {
        Self { handle }
    }

    /// Waits for the task and tells how it ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handle, and with it the value. The task itself goes on.
    pub fn outcome(self) -> TaskOutcome<T> {
        TaskOutcome { task: self }
    }

    /// Asks the task to end. Its future is dropped on the executor; no code of it runs in this call.
    ///
    /// Returns whether this call was the first to cancel it. A task that has ended keeps its outcome.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.handle.seat().cancel(None, Location::caller())
    }

    /// Asks the task to end, with a message for the [`Reason`](crate::Reason).
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.handle.seat().cancel(Some(message.into()), Location::caller())
    }

    /// Returns whether the task has ended, in whatever way.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        context::job_asks();
        self.handle.is_finished()
    }

    /// Returns the name that the task was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.handle.seat().name()
    }

    /// Returns the task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.handle.seat().id()
    }

    /// Returns where the task was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.handle.seat().location()
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let handle = &mut self.handle;
        let Poll::Ready(outcome) = poll_outcome(handle, cx) else { return Poll::Pending };
        match awaited(outcome, handle.seat()) {
            Ok(value) => Poll::Ready(value),
            Err(outcome) => {
                handle.put_back(outcome);
                Poll::Pending
            }
        }
    }
}

/// What whoever awaits `task` gets of how it ended: the value, or a panic that says why there is none. An awaiter that
/// is being cancelled too gets neither, and the outcome is for the next one who asks.
pub(crate) fn awaited<T>(outcome: Outcome<T>, task: impl fmt::Display) -> Result<T, Outcome<T>> {
    let why = match outcome {
        Outcome::Completed(value) => return Ok(value),
        outcome if context::never_resumes() => return Err(outcome),
        Outcome::Cancelled(reason) => format!("was cancelled: {reason}"),
        Outcome::Panicked(panic) => panic.to_string(),
        Outcome::RuntimeGone => "was ended because its runtime went away".to_owned(),
    };
    panic!("awaited {task}, which {why}");
}

/// Waits for the outcome of a task.
fn poll_outcome<T>(handle: &mut Handle<Outcome<T>>, cx: &Context<'_>) -> Poll<Outcome<T>> {
    let outcome = handle.poll_outcome(cx);
    if outcome.is_pending() {
        observe::waits(|| Wait::Task(handle.seat().id()));
    }
    outcome
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id().get())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Waits for how a task ended. Made by [`Task::outcome`].
#[must_use = "futures do nothing unless awaited"]
pub struct TaskOutcome<T> {
    task: Task<T>,
}

impl<T> Future for TaskOutcome<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<T>> {
        poll_outcome(&mut self.task.handle, cx)
    }
}

impl<T> fmt::Debug for TaskOutcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskOutcome").field(&self.task).finish()
    }
}
