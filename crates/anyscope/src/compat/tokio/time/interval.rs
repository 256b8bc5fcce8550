//! [`Interval`]: ticks at a period.

use super::{Duration, Instant, Sleep, sleep_until};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What is no delay, and doesn't count as a missed tick.
const PUNCTUAL: Duration = Duration::from_millis(5);

/// Makes ticks, `period` apart; the first at once.
///
/// # Panics
///
/// Where `period` is zero. Outside of any runtime.
///
/// # Examples
///
/// ```
/// use anyscope::compat::tokio::time::{Duration, interval};
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let mut ticks = interval(Duration::from_millis(2));
///     let first = ticks.tick().await;
///     let second = ticks.tick().await;
///     assert_eq!(second - first, Duration::from_millis(2));
/// });
/// ```
#[must_use]
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Makes ticks, `period` apart; the first at `start`.
///
/// # Panics
///
/// As [`interval`] does.
#[must_use]
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(period > Duration::ZERO, "the period of an interval is zero: every tick would be due at once, for ever");
    Interval { delay: Box::pin(sleep_until(start)), period, missed: MissedTickBehavior::Burst }
}

/// What an [`Interval`] does after a tick that came more than five milliseconds late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// The ticks that were missed come one after the other without a wait, until the schedule is caught up with.
    #[default]
    Burst,
    /// The schedule moves: the next tick comes one period after the late one.
    Delay,
    /// They are left out: the next tick is the next of the schedule.
    Skip,
}

impl MissedTickBehavior {
    /// When the next tick is due, where the one that was `due` came at `now`.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            Self::Burst => due.later(period),
            Self::Delay => now.later(period),
            Self::Skip => {
                let behind = (now - due).as_nanos() % period.as_nanos();
                // Less than the period: where it doesn't fit, that is half a millennium, and nothing was missed.
                let behind = u64::try_from(behind).map_or(Duration::ZERO, Duration::from_nanos);
                now.later(period.saturating_sub(behind))
            }
        }
    }
}

/// Ticks at a period. Made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    delay: Pin<Box<Sleep>>,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick, and returns when it was due.
    ///
    /// # Cancel safety
    ///
    /// A tick that was not delivered is delivered by the next call.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick: [`tick`](Self::tick), by hand.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(self.delay.as_mut().poll(cx));
        let (due, now) = (self.delay.deadline(), Instant::now());
        let is_late = now - due > PUNCTUAL;
        let next = if is_late { self.missed.next(due, now, self.period) } else { due.later(self.period) };
        self.delay.as_mut().reset(next);
        Poll::Ready(due)
    }

    /// Has the next tick come one period from now.
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Has the next tick come at once.
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// Has the next tick come after a while.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now().later(after));
    }

    /// Has the next tick come then.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.delay.as_mut().reset(deadline);
    }

    /// Returns what it does with ticks that were missed.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Says what it does with ticks that were missed.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// Returns the period.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }
}
