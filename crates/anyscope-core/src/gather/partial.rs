//! [`Within`]: what has ended by a deadline.

use super::engine::{Cut, Pool};
use super::rule::in_order;
use super::{Gather, Mode, Policy, Progress};
use crate::context::{self, Deadline, Deferral, Frame, FrameSlot};
use crate::coop;
use crate::giving::Giving;
use crate::runtime::Runtime;
use crate::time::{Alarm, Due};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

impl<I, F, R, P, M, N> Gather<I, F, R, P, M, N>
where
    I: Iterator<Item = F>,
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
    M::Pool<F, R>: Pool<F>,
    N: FnMut(Progress),
{
    /// Gathers for at most `duration`, counted from the first poll, and returns what has ended by then.
    ///
    /// The deadline can be read inside, by [`remaining`](crate::remaining), and bounds those of everything inside. When
    /// it passes, nothing more is pulled from the input, and what is in progress is dropped; with
    /// [`parallel`](Self::parallel) it is cancelled, and has ended when this returns. A value that is ready wins over a
    /// deadline already past, and one that a child still came to while it was being cancelled counts too.
    /// `Duration::ZERO` polls in the current task what there is room for once (a future on the runtime's threads has
    /// rarely begun by then); `Duration::MAX` waits for all.
    ///
    /// Where a scope around is cancelled or past its deadline too, that one reports, and drops this with its values. To
    /// keep them at a deadline from around, give this one an earlier: half of `remaining()`, say.
    ///
    /// With [`try_gather`](super::try_gather) the first `Err` ends it, and the output is a `Result`.
    ///
    /// # Errors
    ///
    /// With [`try_gather`](super::try_gather), the first error in time.
    ///
    /// # Panics
    ///
    /// With a panic of one of the futures, after the others have ended. At the first poll, outside of any runtime, and
    /// where the runtime was built without timers.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every future in it and the values so far.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{gather, sleep};
    /// use std::time::Duration;
    ///
    /// async fn search(shard: u64) -> u64 {
    ///     sleep(Duration::from_secs(60 * shard)).await;
    ///     shard
    /// }
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let found = gather((0..3).map(search)).within(Duration::from_millis(5)).await;
    ///     assert_eq!((found.is_complete(), found.missing()), (false, Some(2)));
    ///     assert_eq!(found.into_values(), [0]);
    /// });
    /// ```
    #[allow(clippy::type_complexity, reason = "an alias for a type that is written once would hide its parts")]
    #[track_caller]
    pub fn within(self, duration: Duration) -> Giving<Within<Self, P::Value, R>, P::Output<Partial<P::Value>>> {
        Giving::new(Within::new(self, Due::After(duration)))
    }

    /// Gathers until `at` at the latest, and returns what has ended by then. See [`within`](Self::within).
    ///
    /// # Errors
    ///
    /// As [`within`](Self::within).
    ///
    /// # Panics
    ///
    /// As [`within`](Self::within).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every future in it and the values so far.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{gather, now};
    /// use std::time::Duration;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let numbers = gather((0..3).map(|n| async move { n })).by(now() + Duration::from_secs(60)).await;
    ///     assert_eq!(numbers.complete().unwrap(), [0, 1, 2]);
    /// });
    /// ```
    #[allow(clippy::type_complexity, reason = "an alias for a type that is written once would hide its parts")]
    #[track_caller]
    pub fn by(self, at: Instant) -> Giving<Within<Self, P::Value, R>, P::Output<Partial<P::Value>>> {
        Giving::new(Within::new(self, Due::At(Some(at))))
    }
}

pin_project! {
    /// A gather with a deadline. Made by [`Gather::within`] and [`Gather::by`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Within<G, V, R: Runtime> {
        gather: G,
        values: Vec<(usize, V)>,
        due: Due,
        #[pin]
        alarm: Alarm<R>,
        frame: FrameSlot,
        // Whether the futures were granted a poll after they had only given way at the deadline.
        granted: bool,
        deferral: Deferral,
    }
}

impl<G, V, R: Runtime> Within<G, V, R> {
    #[track_caller]
    fn new(gather: G, due: Due) -> Self {
        Self {
            gather,
            values: Vec::new(),
            due,
            alarm: Alarm::new(Location::caller()),
            frame: None,
            granted: false,
            deferral: Deferral::new(),
        }
    }
}

impl<I, F, R, P, M, N, V> Future for Within<Gather<I, F, R, P, M, N>, V, R>
where
    I: Iterator<Item = F>,
    F: Future,
    R: Runtime,
    P: Policy<F::Output, Value = V>,
    M: Mode,
    M::Pool<F, R>: Pool<F>,
    N: FnMut(Progress),
{
    type Output = P::Output<Partial<V>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (gather, values) = (this.gather, this.values);
        let location = this.alarm.location();
        let at = this.due.fix::<R>(location);
        this.frame.get_or_insert_with(Frame::default).deadline = Deadline::by(at);

        let yields = coop::forced_yields();
        let driven =
            context::within(this.frame, || gather.drive_sorted(cx, |index, value| values.push((index, value))));
        if driven.is_pending() {
            let Some(at) = at else { return Poll::Pending };
            if this.alarm.poll(at, cx).is_pending() {
                return Poll::Pending;
            }
            gather.state.unpulled = true;
            if yields != coop::forced_yields() && !*this.granted {
                // They only gave way to others, and were woken already; but once is enough for an endless loop.
                *this.granted = true;
                return Poll::Pending;
            }
            if context::is_shielded(this.frame) || this.deferral.defers::<R>(cx) {
                return Poll::Pending;
            }
            gather.state.cut = Some(Cut::Late);
            gather.location = location;
        }
        if context::within(this.frame, || gather.poll_joined(cx)).is_pending() {
            return Poll::Pending;
        }
        // What a child came to before it learnt of the deadline is there now: late but done is done.
        context::within(this.frame, || gather.advance(cx, |index, value| values.push((index, value))));
        let total = gather.state.total;
        let is_complete = gather.state.cut.is_none() || total == Some(values.len());
        let partial = Partial { is_complete, total, values: in_order(values).collect() };
        Poll::Ready(P::finish(gather.close().map(|()| partial)))
    }
}

impl<G: fmt::Debug, V, R: Runtime> fmt::Debug for Within<G, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").field("gather", &self.gather).field("due", &self.due).finish_non_exhaustive()
    }
}

/// What of a gather had ended by its deadline: the values in the order of the input, each with its place.
///
/// # Examples
///
/// ```
/// use anyscope::gather;
/// use std::future::{pending, ready};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let ready_or_not = [true, false, true].map(|is_ready| async move { if !is_ready { pending().await } });
///     let partial = gather(ready_or_not).within(Duration::ZERO).await;
///     let places: Vec<usize> = partial.iter().map(|(index, ())| index).collect();
///     assert_eq!((places, partial.missing()), (vec![0, 2], Some(1)));
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial<T> {
    values: Vec<(usize, T)>,
    total: Option<usize>,
    is_complete: bool,
}

impl<T> Partial<T> {
    /// Returns whether every future of the input has given its value.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns how many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns how many values are missing, started or not; `None` where the input didn't know its length and wasn't
    /// through.
    #[must_use]
    pub fn missing(&self) -> Option<usize> {
        self.total.map(|total| total.saturating_sub(self.values.len()))
    }

    /// Returns the values in the order of the input, each with its place.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (usize, &T)> {
        self.values.iter().map(|(index, value)| (*index, value))
    }

    /// Returns the values alone, in the order of the input.
    #[must_use]
    pub fn into_values(self) -> Vec<T> {
        self.values.into_iter().map(|(_, value)| value).collect()
    }

    /// Returns the values if none is missing.
    ///
    /// # Errors
    ///
    /// What there is, where it isn't all.
    pub fn complete(self) -> Result<Vec<T>, Self> {
        if self.is_complete { Ok(self.into_values()) } else { Err(self) }
    }
}

impl<T> IntoIterator for Partial<T> {
    type Item = (usize, T);
    type IntoIter = std::vec::IntoIter<(usize, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter()
    }
}
