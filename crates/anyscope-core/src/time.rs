//! Time by the runtime's clock: timeouts, sleeps, intervals.

use crate::cancel::reason::{Reason, ReasonKind};
use crate::context::{self, After, Deadline, Deferral, Limit};
use crate::coop;
use crate::observe::{self, Wait};
use crate::runtime::{Runtime, Sleep as _, timer};
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The error of a future that had not ended when its time was up.
///
/// # Examples
///
/// ```
/// use anyscope::{Elapsed, timeout};
/// use std::time::Duration;
///
/// let late: Result<(), Elapsed> =
///     anyscope::run(anyscope::smol::Smol::new(), timeout(Duration::ZERO, std::future::pending()));
/// assert_eq!(late.unwrap_err().to_string(), "deadline has elapsed");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Debug for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elapsed")
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}

pin_project! {
    /// A timer that is made when it is first asked for, and never fires early.
    pub(crate) struct Alarm<R: Runtime> {
        #[pin]
        sleep: Option<R::Sleep>,
        runtime: Option<R>,
        at: Option<Instant>,
        location: &'static Location<'static>,
    }
}

impl<R: Runtime> Alarm<R> {
    pub(crate) fn new(location: &'static Location<'static>) -> Self {
        Self { sleep: None, runtime: None, at: None, location }
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The time by the clock of its runtime.
    fn now(self: Pin<&mut Self>) -> Instant {
        let this = self.project();
        this.runtime.get_or_insert_with(|| context::locate::<R>(this.location)).now()
    }

    pub(crate) fn poll(self: Pin<&mut Self>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_from(None, at, cx)
    }

    /// The same for who has just read the clock, for whatever reason.
    fn poll_from(self: Pin<&mut Self>, mut now: Option<Instant>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let runtime = this.runtime.get_or_insert_with(|| context::locate::<R>(this.location));
        if this.sleep.is_none() {
            // A deadline that is past already needs no timer.
            if *now.get_or_insert_with(|| runtime.now()) >= at {
                return Poll::Ready(());
            }
            this.sleep.set(Some(timer(runtime, at)));
            *this.at = Some(at);
        }
        let Some(mut sleep) = this.sleep.as_mut().as_pin_mut() else { return Poll::Pending };
        if *this.at != Some(at) {
            sleep.as_mut().reset(at);
            *this.at = Some(at);
        }
        loop {
            // Asked first: a thread that was busy may be past the time before the timer is.
            if now.take().unwrap_or_else(|| runtime.now()) >= at {
                return Poll::Ready(());
            }
            match sleep.as_mut().poll(cx) {
                Poll::Pending => {
                    observe::waits(|| Wait::Time(at));
                    return Poll::Pending;
                }
                // A timer of coarse grain may be early by less than a tick.
                Poll::Ready(()) if runtime.now() >= at => return Poll::Ready(()),
                Poll::Ready(()) => sleep.as_mut().reset(at),
            }
        }
    }
}

/// Runs a future for at most `duration`, counted from the first poll: from when that has found the future pending, or
/// from when something inside asks for the deadline first.
///
/// So a future that is ready at once costs no look at the clock. A future that is ready wins over a deadline already past. The deadline can be read inside, by [`remaining`], and
/// bounds the deadlines of everything inside. `Duration::ZERO` polls the future once, with nothing remaining;
/// `Duration::MAX` never ends it.
///
/// # Errors
///
/// [`Elapsed`], after the future has been dropped. Where a scope around is cancelled or past its deadline too, that
/// one reports, and this future never resumes: an `Elapsed` that you see is your own timeout's.
///
/// # Panics
///
/// At the first poll, outside of any runtime, and where the runtime was built without timers.
///
/// # Cancel safety
///
/// As safe as the future that it runs.
///
/// # Examples
///
/// ```
/// use anyscope::{sleep, timeout};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     assert_eq!(timeout(Duration::from_secs(5), async { 1 }).await, Ok(1));
///     assert!(timeout(Duration::from_millis(1), sleep(Duration::from_secs(60))).await.is_err());
/// });
/// ```
#[track_caller]
pub fn timeout<R: Runtime, F: Future>(duration: Duration, future: F) -> Timeout<F, R> {
    let location = Location::caller();
    Timeout::new(Deadline::After(After::new::<R>(duration, location)), location, future)
}

/// Runs a future until `at` at the latest. See [`timeout`].
///
/// # Errors
///
/// [`Elapsed`], after the future has been dropped.
///
/// # Panics
///
/// As [`timeout`] does.
///
/// # Cancel safety
///
/// As safe as the future that it runs.
///
/// # Examples
///
/// ```
/// use anyscope::{now, timeout_at};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let at = now() + Duration::from_secs(5);
///     assert_eq!(timeout_at(at, async { 1 }).await, Ok(1));
/// });
/// ```
#[track_caller]
pub fn timeout_at<R: Runtime, F: Future>(at: Instant, future: F) -> Timeout<F, R> {
    Timeout::new(Deadline::By(at), Location::caller(), future)
}

/// When something is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// This long after the first poll.
    After(Duration),
    /// Then; never, where the clock doesn't reach that far.
    At(Option<Instant>),
}

impl Due {
    pub(crate) fn fix<R: Runtime>(&mut self, call: &'static Location<'static>) -> Option<Instant> {
        self.fix_by(|| context::locate::<R>(call).now())
    }

    fn fix_by(&mut self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        match *self {
            Self::At(at) => at,
            Self::After(duration) => {
                let at = context::later(now(), duration);
                *self = Self::At(at);
                at
            }
        }
    }
}

pin_project! {
    /// A future with a deadline. Made by [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F, R: Runtime> {
        #[pin]
        future: Option<F>,
        around: Limit,
        #[pin]
        alarm: Alarm<R>,
        // Whether the future was granted a poll after it had only given way at its deadline.
        granted: bool,
        deferral: Deferral,
    }
}

impl<F, R: Runtime> fmt::Debug for Timeout<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("deadline", &self.around.deadline).finish_non_exhaustive()
    }
}

impl<F: Future, R: Runtime> Timeout<F, R> {
    fn new(deadline: Deadline, location: &'static Location<'static>, future: F) -> Self {
        Self {
            future: Some(future),
            around: Limit { deadline, shields: OnceLock::new() },
            alarm: Alarm::new(location),
            granted: false,
            deferral: Deferral::new(),
        }
    }
}

impl<F: Future, R: Runtime> Future for Timeout<F, R> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        assert!(this.future.is_some(), "a future with a timeout was polled after it had ended");
        let location = this.alarm.location();
        let yields = coop::forced_yields();
        let mut future = this.future.as_mut();
        let polled = context::inside(&*this.around, || {
            future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx))
        });
        if let Poll::Ready(value) = polled {
            this.future.set(None);
            return Poll::Ready(Ok(value));
        }
        // Who is ready at once has no use for the clock; it is asked now, where nothing inside did before.
        let mut now = None;
        let at = this.around.deadline.fix_by(|| *now.insert(this.alarm.as_mut().now()));
        now.into_iter().for_each(context::fix_deadlines);
        let Some(at) = at else { return Poll::Pending };
        if this.alarm.poll_from(now, at, cx).is_pending() {
            return Poll::Pending;
        }
        if yields != coop::forced_yields() && !*this.granted {
            // It only gave way to others, and was woken already; but once is enough for an endless loop.
            *this.granted = true;
            return Poll::Pending;
        }
        if context::is_shielded_in(&*this.around) || this.deferral.defers::<R>(cx) {
            return Poll::Pending;
        }
        let reason = Reason::new(ReasonKind::Deadline, None, location);
        context::dropping(&reason, || this.future.set(None));
        Poll::Ready(Err(Elapsed(())))
    }
}

/// Waits for `duration`, counted from the first poll.
///
/// Never early by the runtime's clock; `Duration::MAX` waits for ever.
///
/// # Panics
///
/// At the first poll, outside of any runtime, and where the runtime was built without timers.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let before = anyscope::now();
///     anyscope::sleep(Duration::from_millis(2)).await;
///     assert!(anyscope::now() - before >= Duration::from_millis(2));
/// });
/// ```
#[track_caller]
pub fn sleep<R: Runtime>(duration: Duration) -> Sleep<R> {
    Sleep { due: Due::After(duration), alarm: Alarm::new(Location::caller()) }
}

/// Waits until `at`. See [`sleep`].
///
/// # Panics
///
/// As [`sleep`] does.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let at = anyscope::now() + Duration::from_millis(2);
///     anyscope::sleep_until(at).await;
///     assert!(anyscope::now() >= at);
/// });
/// ```
#[track_caller]
pub fn sleep_until<R: Runtime>(at: Instant) -> Sleep<R> {
    Sleep { due: Due::At(Some(at)), alarm: Alarm::new(Location::caller()) }
}

pin_project! {
    /// A wait for a time. Made by [`sleep`] and [`sleep_until`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Sleep<R: Runtime> {
        due: Due,
        #[pin]
        alarm: Alarm<R>,
    }
}

impl<R: Runtime> fmt::Debug for Sleep<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("due", &self.due).finish_non_exhaustive()
    }
}

impl<R: Runtime> Future for Sleep<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let mut now = None;
        let at = this.due.fix_by(|| *now.insert(this.alarm.as_mut().now()));
        let Some(at) = at else { return Poll::Pending };
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        this.alarm.poll_from(now, at, cx)
    }
}

/// Makes ticks, `period` apart; the first at once.
///
/// A tick that is late because nobody waited for it comes at once, and the schedule stays what it was: see
/// [`MissedTicks`] for other ways.
///
/// # Panics
///
/// Where `period` is zero.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let mut ticks = anyscope::interval(Duration::from_millis(2));
///     let first = ticks.tick().await;
///     let second = ticks.tick().await;
///     assert_eq!(second - first, Duration::from_millis(2));
/// });
/// ```
#[must_use]
#[track_caller]
pub fn interval<R: Runtime>(period: Duration) -> Interval<R> {
    assert!(period > Duration::ZERO, "the period of an interval is zero: every tick would be due at once, for ever");
    Interval {
        period,
        next: None,
        missed: MissedTicks::Burst,
        started: false,
        location: Location::caller(),
        runtime: PhantomData,
    }
}

/// What an [`Interval`] does with ticks that nobody waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedTicks {
    /// They come one after the other without a wait, until the schedule is caught up with.
    #[default]
    Burst,
    /// They're left out; the next tick is the next of the schedule.
    Skip,
    /// The schedule moves: the next tick comes one period after the late one.
    Delay,
}

/// Ticks at a period. Made by [`interval`].
#[derive(Debug)]
pub struct Interval<R> {
    period: Duration,
    /// When the next tick is due; `None` is never, once it has started.
    next: Option<Instant>,
    missed: MissedTicks,
    started: bool,
    location: &'static Location<'static>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Interval<R> {
    /// Says what to do with ticks that nobody waited for.
    #[must_use]
    pub fn missed(mut self, missed: MissedTicks) -> Self {
        self.missed = missed;
        self
    }

    /// Returns the period.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Waits for the next tick and returns when it was due.
    ///
    /// # Cancel safety
    ///
    /// A tick that was not delivered is delivered by the next call.
    pub async fn tick(&mut self) -> Instant {
        if !self.started {
            self.next = Some(context::locate::<R>(self.location).now());
            self.started = true;
        }
        let Some(due) = self.next else { return std::future::pending().await };
        sleep_until::<R>(due).await;
        let now = context::locate::<R>(self.location).now();
        self.next = match self.missed {
            MissedTicks::Burst => due.checked_add(self.period),
            MissedTicks::Delay => now.checked_add(self.period),
            MissedTicks::Skip => self.skip(due, now),
        };
        due
    }

    /// The first tick of the schedule after `now`.
    fn skip(&self, due: Instant, now: Instant) -> Option<Instant> {
        let late = now.saturating_duration_since(due).as_nanos();
        let period = self.period.as_nanos();
        let ahead = period - late % period;
        let nanos = u64::try_from(ahead).ok();
        match nanos {
            Some(nanos) => now.checked_add(Duration::from_nanos(nanos)),
            None => due.checked_add(self.period),
        }
    }
}

/// Returns the time by the clock of the runtime around the caller.
///
/// # Panics
///
/// Outside of any runtime.
///
/// # Examples
///
/// ```
/// let then = anyscope::run(anyscope::smol::Smol::new(), async { anyscope::now() });
/// # let _ = then;
/// ```
#[must_use]
#[track_caller]
pub fn now<R: Runtime>() -> Instant {
    context::locate::<R>(Location::caller()).now()
}

/// Returns how long it is to the nearest deadline around the caller, of a timeout or of a token: zero once it has passed,
/// `None` where there is none.
///
/// # Panics
///
/// Outside of any runtime, where there is a deadline.
///
/// # Examples
///
/// ```
/// use anyscope::{remaining, timeout};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     assert_eq!(remaining(), None);
///     let hour = Duration::from_secs(3600);
///     let left = timeout(hour, async { remaining() }).await.unwrap();
///     assert!(left.unwrap() <= hour);
/// });
/// ```
#[must_use]
#[track_caller]
pub fn remaining<R: Runtime>() -> Option<Duration> {
    let at = context::deadline()?;
    Some(at.saturating_duration_since(context::locate::<R>(Location::caller()).now()))
}

/// Lets other tasks run, once.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// anyscope::run(anyscope::smol::Smol::new(), anyscope::yield_now());
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// Lets other tasks run. Made by [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        observe::waits(|| Wait::Turn);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
