//! What goes wrong in groups, as values.

use crate::task::TaskRef;
use std::error::Error;
use std::fmt;
use std::panic::Location;

/// Everything that failed in a group: the first error, which cancelled the rest, and all that came after it.
///
/// The errors stand in the order in which they happened, each with the task that it came from. To go on with the first
/// alone, as a plain `E`: `.map_err(GroupError::into_first)?`.
///
/// # Examples
///
/// ```
/// use anyscope::{GroupError, try_task_group};
///
/// let failed: GroupError<String> = anyscope::run(anyscope::smol::Smol::new(), try_task_group(async |g| {
///     g.task("broken").spawn(async { Err::<(), _>("no disk".to_string()) });
///     Ok(())
/// })).unwrap_err();
/// assert_eq!(failed.first(), "no disk");
/// assert_eq!(failed.failures()[0].task().unwrap().name(), Some("broken"));
/// assert!(failed.to_string().contains("task `broken`"));
/// ```
pub struct GroupError<E> {
    failures: Vec<Failure<E>>,
}

/// One error of a group, and where it came from.
#[derive(Clone, Debug)]
pub struct Failure<E> {
    error: E,
    task: Option<TaskRef>,
    location: &'static Location<'static>,
}

impl<E> Failure<E> {
    pub(crate) fn new(error: E, task: Option<TaskRef>, location: &'static Location<'static>) -> Self {
        Self { error, task, location }
    }

    /// Returns the error.
    #[must_use]
    pub fn error(&self) -> &E {
        &self.error
    }

    /// Returns the error by value.
    #[must_use]
    pub fn into_error(self) -> E {
        self.error
    }

    /// Returns the task that failed; `None` where it was the group's body.
    #[must_use]
    pub fn task(&self) -> Option<&TaskRef> {
        self.task.as_ref()
    }

    /// Returns where the task was spawned, or the group opened.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl<E> GroupError<E> {
    /// `failures` isn't empty.
    pub(crate) fn new(failures: Vec<Failure<E>>) -> Self {
        debug_assert!(!failures.is_empty(), "a group fails by an error");
        Self { failures }
    }

    /// Returns the error that came first and cancelled the rest.
    #[must_use]
    pub fn first(&self) -> &E {
        &self.failures[0].error
    }

    /// Returns the error that came first, by value; the others are dropped.
    #[must_use]
    pub fn into_first(mut self) -> E {
        self.failures.swap_remove(0).error
    }

    /// Returns every error, in the order in which they happened.
    #[must_use]
    pub fn failures(&self) -> &[Failure<E>] {
        &self.failures
    }

    /// Returns the errors alone, in the order in which they happened.
    pub fn errors(&self) -> impl ExactSizeIterator<Item = &E> {
        self.failures.iter().map(Failure::error)
    }

    /// Returns how many failed.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.failures.len()
    }
}

impl<E> IntoIterator for GroupError<E> {
    type Item = Failure<E>;
    type IntoIter = std::vec::IntoIter<Failure<E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.failures.into_iter()
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "{task}: {}", self.error),
            None => write!(f, "the body of the group opened at {}: {}", self.location, self.error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.failures {
            [only] => only.fmt(f),
            all => {
                write!(f, "{} failures", all.len())?;
                for (index, failure) in all.iter().enumerate() {
                    write!(f, "\n  {}. {failure}", index + 1)?;
                }
                Ok(())
            }
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupError").field(&self.failures).finish()
    }
}

impl<E: Error + 'static> Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.first())
    }
}

/// The error of spawning into a group that has ended: it gives the future, or the closure, back.
///
/// # Examples
///
/// ```
/// use anyscope::task_group;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let handle = task_group(async |g| g.handle()).await;
///     let future = handle.spawn(async { 7 }).unwrap_err().into_inner();
///     assert_eq!(future.await, 7);
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<F>(pub F);

impl<F> Closed<F> {
    /// Returns what could not be spawned.
    pub fn into_inner(self) -> F {
        self.0
    }
}

impl<F> fmt::Debug for Closed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<F> fmt::Display for Closed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the group has ended")
    }
}

impl<F> Error for Closed<F> {}
