//! [`JoinError`]: why a task has no value.

use super::Id;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Why a task has no value: it panicked, or was ended before it had one.
pub struct JoinError {
    id: Id,
    kind: Kind,
}

enum Kind {
    Cancelled,
    /// Behind a lock that makes it `Sync`, beside what is shown of it.
    Panicked(Mutex<Box<dyn Any + Send>>, Option<String>),
}

impl JoinError {
    pub(super) fn cancelled(id: Id) -> Self {
        Self { id, kind: Kind::Cancelled }
    }

    pub(super) fn panicked(id: Id, payload: Box<dyn Any + Send>) -> Self {
        let message = payload.downcast_ref::<&'static str>().map(|message| (*message).to_owned());
        let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
        Self { id, kind: Kind::Panicked(Mutex::new(payload), message) }
    }

    /// Returns whether the task was ended before it had a value: by an abort, or because its runtime went away.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind, Kind::Cancelled)
    }

    /// Returns whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.kind, Kind::Panicked(..))
    }

    /// Returns what the task panicked with.
    ///
    /// # Panics
    ///
    /// Where it didn't panic; [`try_into_panic`](Self::try_into_panic) tells.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::compat::tokio;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let error = tokio::spawn(async { panic!("out of soup") }).await.unwrap_err();
    ///     assert_eq!(error.into_panic().downcast_ref(), Some(&"out of soup"));
    /// });
    /// ```
    #[must_use]
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("asked for the panic of a task that didn't panic: {error}"),
        }
    }

    /// Returns what the task panicked with.
    ///
    /// # Errors
    ///
    /// The same error, where it didn't panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self.kind {
            Kind::Panicked(payload, _) => Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            Kind::Cancelled => Err(self),
        }
    }

    /// Returns which task it was.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Cancelled => write!(f, "task {} was cancelled", self.id),
            Kind::Panicked(_, Some(message)) => write!(f, "task {} panicked with message {message:?}", self.id),
            Kind::Panicked(_, None) => write!(f, "task {} panicked", self.id),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Cancelled => write!(f, "JoinError::Cancelled({:?})", self.id),
            Kind::Panicked(_, Some(message)) => write!(f, "JoinError::Panic({:?}, {message:?}, ...)", self.id),
            Kind::Panicked(_, None) => write!(f, "JoinError::Panic({:?}, ...)", self.id),
        }
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(if error.is_panic() { "task panicked" } else { "task was cancelled" })
    }
}
