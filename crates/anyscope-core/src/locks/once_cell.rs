//! [`OnceCell`]: a value that is made once, when it is first asked for.
//!
//! # Invariants
//!
//! 1. Whoever has the one permit may make the value, and nobody else. Where that fails, panics or is dropped, the permit
//!    goes to who waits longest.
//! 2. The permits are closed once the value is there, before the permit is given back: all who wait go on, and nobody
//!    comes to wait.

use crate::coop;
use crate::semaphore::{Permits, Waiting};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

/// A value that is made once, by the first who asks for it; the others wait for it.
///
/// Where that one fails, panics or is dropped, the next makes the value, in the order of asking. An initialiser that
/// asks for its own cell waits for ever.
///
/// # Examples
///
/// ```
/// use anyscope::sync::OnceCell;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let config = OnceCell::new();
///     assert!(config.get_or_try_init(async || "x".parse::<u32>()).await.is_err());
///     assert_eq!(config.get_or_init(async || 7).await, &7);
///     assert_eq!(config.get_or_init(async || 8).await, &7);
/// });
/// ```
pub struct OnceCell<T> {
    value: OnceLock<T>,
    permits: Permits,
}

impl<T> OnceCell<T> {
    /// Makes a cell without a value.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self { value: OnceLock::new(), permits: Permits::new(1, "once-cell", Location::caller()) }
    }

    /// Returns the value, where it is there.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value for a change, where it is there.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Returns the value, where it is there.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Puts the value there, where none is and nobody makes one.
    ///
    /// # Errors
    ///
    /// [`SetError`], with the value given.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        match self.permits.try_acquire(1) {
            Ok(()) => {
                Turn(self).finish(value);
                Ok(())
            }
            Err(error) => Err(SetError { value, is_set: error.is_closed() }),
        }
    }

    /// Returns the value, and makes it where there is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the initialiser that it runs; the next who asks runs its own.
    ///
    /// # Panics
    ///
    /// With a panic of the initialiser. The next who asks runs its own.
    pub async fn get_or_init<F, Fut>(&self, init: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        let init = async || Ok::<T, Infallible>(init().await);
        match self.get_or_try_init(init).await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Returns the value, and tries to make it where there is none.
    ///
    /// # Errors
    ///
    /// The error of the initialiser. The next who asks runs its own.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    pub async fn get_or_try_init<F, Fut, E>(&self, init: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        if let Some(value) = self.get() {
            poll_fn(coop::poll_proceed).await;
            return Ok(value);
        }
        match (AwaitTurn { cell: self, waiting: Waiting::new(1) }).await {
            Some(turn) => {
                let value = init().await?;
                Ok(turn.finish(value))
            }
            None => Ok(self.made()),
        }
    }

    fn made(&self) -> &T {
        self.value.get().expect("the permits are closed once the value is there")
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes a cell that has its value.
impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        let set = cell.set(value).is_ok();
        debug_assert!(set, "a cell without a value takes one");
        cell
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceCell").field(&self.get()).finish()
    }
}

/// The permit of a cell.
struct Turn<'a, T>(&'a OnceCell<T>);

impl<'a, T> Turn<'a, T> {
    fn finish(self, value: T) -> &'a T {
        let cell = self.0;
        let refused = cell.value.set(value).is_err();
        assert!(!refused, "whoever has the permit of a cell finds it empty");
        // Before the permit is given back (invariant 2).
        cell.permits.close();
        cell.made()
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.0.permits.give_back(1);
    }
}

/// Waits for the permit of a cell, or for its value.
struct AwaitTurn<'a, T> {
    cell: &'a OnceCell<T>,
    waiting: Waiting,
}

impl<'a, T> Future for AwaitTurn<'a, T> {
    type Output = Option<Turn<'a, T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { cell, waiting } = &mut *self;
        waiting.poll(&cell.permits, cx).map(|permit| permit.ok().map(|()| Turn(cell)))
    }
}

impl<T> Drop for AwaitTurn<'_, T> {
    fn drop(&mut self) {
        self.waiting.leave(&self.cell.permits);
    }
}

/// Why a value couldn't be put into a [`OnceCell`].
pub struct SetError<T> {
    value: T,
    is_set: bool,
}

impl<T> SetError<T> {
    /// Returns whether there is a value already. Where not, somebody is making one.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.is_set
    }

    /// Returns the value that couldn't be put there.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetError").field("is_set", &self.is_set).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set { "the cell has a value" } else { "somebody is making the value of the cell" })
    }
}

impl<T> Error for SetError<T> {}
