use crate::{Backoff, Fetcher, Transport};
use std::time::Duration;

/// Says how a [`Fetcher`] fetches. Made by [`Fetcher::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) limit: usize,
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
    pub(crate) timeout_each: Duration,
    pub(crate) attempt_needs: Duration,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            limit: 8,
            attempts: 3,
            backoff: Backoff::default(),
            timeout_each: Duration::from_secs(10),
            attempt_needs: Duration::ZERO,
        }
    }

    /// At most this many requests are under way at a time, over all clones of the fetcher. Eight, by default.
    ///
    /// # Panics
    ///
    /// Where `limit` is zero: nothing would ever start.
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(limit > 0, "a limit of zero lets no request start");
        self.limit = limit;
        self
    }

    /// Tries each key this often, the first time included. Three times, by default.
    ///
    /// # Panics
    ///
    /// Where `attempts` is zero.
    #[track_caller]
    pub fn attempts(mut self, attempts: u32) -> Self {
        assert!(attempts > 0, "without an attempt nothing is fetched");
        self.attempts = attempts;
        self
    }

    /// Waits like this before a retry. While a key waits, it doesn't count towards the [`limit`](Self::limit).
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Gives each attempt this long, from when its request starts. Ten seconds, by default; `Duration::MAX` is for ever.
    pub fn timeout_each(mut self, duration: Duration) -> Self {
        self.timeout_each = duration;
        self
    }

    /// Says how long an attempt takes at least, as far as is known. Nothing, by default.
    ///
    /// Where the caller's deadline is nearer than this, no attempt is begun.
    pub fn attempt_needs(mut self, duration: Duration) -> Self {
        self.attempt_needs = duration;
        self
    }

    /// Makes the fetcher. No runtime is needed for that.
    pub fn build<T: Transport>(self, transport: T) -> Fetcher<T> {
        Fetcher::new(self, transport)
    }
}
