//! Why a message couldn't be sent or received.

use std::error::Error;
use std::fmt;

/// The channel is closed; here is the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub(super) T);

impl<T> SendError<T> {
    /// Returns the message that couldn't be sent.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed")
    }
}

impl<T> Error for SendError<T> {}

/// Why a message couldn't be sent at once; with the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrySendError<T> {
    message: T,
    is_full: bool,
}

impl<T> TrySendError<T> {
    pub(super) fn full(message: T) -> Self {
        Self { message, is_full: true }
    }

    pub(super) fn closed(message: T) -> Self {
        Self { message, is_full: false }
    }

    /// Returns whether it would have had to wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns whether the channel is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.is_full
    }

    /// Returns the message that couldn't be sent.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.message
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrySendError").field("is_full", &self.is_full).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full { "the channel is full" } else { "the channel is closed" })
    }
}

impl<T> Error for TrySendError<T> {}

/// The channel is closed, and all its messages have been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed and empty")
    }
}

impl Error for RecvError {}

/// Why a message couldn't be received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryRecvError {
    ended: bool,
}

impl TryRecvError {
    pub(super) const EMPTY: Self = Self { ended: false };
    pub(super) const ENDED: Self = Self { ended: true };

    /// Returns whether a message may still come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.ended
    }

    /// Returns whether the channel is closed and all its messages have been received.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ended
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ended { "the channel is closed and empty" } else { "the channel is empty" })
    }
}

impl Error for TryRecvError {}
