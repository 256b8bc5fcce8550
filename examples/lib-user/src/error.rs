use anyscope::Elapsed;
use std::error::Error;
use std::fmt;

/// Why a key could not be fetched.
///
/// The [`source`](Error::source) is the upstream's own error, or [`anyscope::Elapsed`] where it gave no answer.
#[derive(Debug)]
pub struct FetchError {
    key: String,
    attempts: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Failed(Failure),
    /// With the failure after which there was no time any more.
    NoTime(Option<Failure>),
    Undecodable(BoxError),
}

/// How an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Upstream(BoxError),
    TooSlow(Elapsed),
}

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

impl FetchError {
    pub(crate) fn failed(key: &str, attempts: u32, failure: Failure) -> Self {
        Self { key: key.to_owned(), attempts, kind: Kind::Failed(failure) }
    }

    pub(crate) fn no_time(key: &str, attempts: u32, failure: Option<Failure>) -> Self {
        Self { key: key.to_owned(), attempts, kind: Kind::NoTime(failure) }
    }

    pub(crate) fn undecodable(key: &str, attempts: u32, error: BoxError) -> Self {
        Self { key: key.to_owned(), attempts, kind: Kind::Undecodable(error) }
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns how many attempts were begun. None, where the caller's deadline left no time for the first.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns whether the upstream answered the last attempt with an error, and no retry was left or of use.
    #[must_use]
    pub fn is_upstream(&self) -> bool {
        matches!(self.kind, Kind::Failed(Failure::Upstream(_)))
    }

    /// Returns whether the last attempt had no answer within the time of an attempt, and no retry was left.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, Kind::Failed(Failure::TooSlow(_)))
    }

    /// Returns whether the caller's own deadline left no time for another attempt.
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        matches!(self.kind, Kind::NoTime(_))
    }

    /// Returns whether there was a body that couldn't be decoded.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        matches!(self.kind, Kind::Undecodable(_))
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.kind {
            Kind::Failed(Failure::Upstream(_)) => "the upstream failed",
            Kind::Failed(Failure::TooSlow(_)) => "no answer in the time of an attempt",
            Kind::NoTime(_) => "the caller's deadline leaves no time to try again",
            Kind::Undecodable(_) => "the body can't be decoded",
        };
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "key {:?}: {what}, after {} attempt{plural}", self.key, self.attempts)
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Failed(failure) | Kind::NoTime(Some(failure)) => Some(match failure {
                Failure::Upstream(error) => &**error,
                Failure::TooSlow(elapsed) => elapsed,
            }),
            Kind::NoTime(None) => None,
            Kind::Undecodable(error) => Some(&**error),
        }
    }
}
