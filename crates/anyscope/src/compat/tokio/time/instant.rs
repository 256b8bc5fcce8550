//! [`Instant`]: a time by the runtime's clock.

use crate::{Current, Runtime};
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::{self, Duration};

/// What a timer has for a deadline that the clock can't tell: far enough for everybody, and near enough to be added to.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A time by the clock of a runtime, which is virtual on the simulator. Calculates like [`std::time::Instant`].
#[derive(Clone, Copy, Eq, PartialEq, PartialOrd, Ord, Hash)]
pub struct Instant(time::Instant);

impl Instant {
    /// Returns the time by the clock of the runtime around the caller, and by the system's where there is none.
    #[must_use]
    pub fn now() -> Self {
        Self(Current::try_current().map_or_else(|_| time::Instant::now(), |runtime| runtime.now()))
    }

    /// Makes one of the standard library's, which has to be of the same clock.
    #[must_use]
    pub fn from_std(std: time::Instant) -> Self {
        Self(std)
    }

    /// Returns the standard library's.
    #[must_use]
    pub fn into_std(self) -> time::Instant {
        self.0
    }

    /// Returns how long it is since `earlier`; zero where that is later.
    #[must_use]
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// Returns how long it is since `earlier`; `None` where that is later.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    /// Returns how long it is since `earlier`; zero where that is later.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// Returns how long ago it was; zero where it is still to come.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// Returns the time so much later, where the clock can tell it.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(duration).map(Self)
    }

    /// Returns the time so much earlier, where the clock can tell it.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_sub(duration).map(Self)
    }

    /// The time so much later, or one that nobody lives to see.
    pub(super) fn later(self, duration: Duration) -> Self {
        self.checked_add(duration).unwrap_or_else(|| Self::now() + FAR)
    }
}

impl From<time::Instant> for Instant {
    fn from(std: time::Instant) -> Self {
        Self(std)
    }
}

impl From<Instant> for time::Instant {
    fn from(instant: Instant) -> Self {
        instant.0
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Self(self.0 - duration)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
