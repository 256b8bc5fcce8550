//! Gathers that end as soon as enough is known: the first `Ok`, a quorum, the first value that fits.
//!
//! A [`Rule`] is told of every output in turn and says when it is decided; [`Under`] is the future that asks it, and
//! stops what is still in progress then. The engine is the one that every gather has.

use super::engine::{Cut, Pool};
use super::{Gather, Mode, Policy, Progress};
use crate::giving::Giving;
use crate::runtime::Runtime;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<I, F, R, P, M, N, T, E> Gather<I, F, R, P, M, N>
where
    I: Iterator<Item = F>,
    F: Future<Output = Result<T, E>>,
    R: Runtime,
    P: Policy<Result<T, E>>,
    M: Mode,
    M::Pool<F, R>: Pool<F>,
    N: FnMut(Progress),
{
    /// Waits for the first `Ok` and stops the rest; where none succeeds, returns every error.
    ///
    /// The first is the first in time; of several that are ready at once, the one that became so first. What is still
    /// in progress then is dropped; with [`parallel`](Self::parallel) it is cancelled, and has ended when this returns.
    /// Nothing more is pulled from the input, so that with a [`limit`](Self::limit) alternatives are tried so many at a
    /// time. For all of them at once, in the current task, [`race_ok`](crate::race_ok) is shorter.
    ///
    /// After [`timeout_each`](Self::timeout_each), the futures of a [`gather`](super::gather) have their own `Result`
    /// inside of the timeout's, and an `Err` inside would win. A [`try_gather`](super::try_gather) has one `Result`, in
    /// which being late is an error among the others: use that.
    ///
    /// # Errors
    ///
    /// All errors, in the order of the input, where there is no `Ok`. None, where there is no future.
    ///
    /// # Panics
    ///
    /// With a panic of one of the futures, after the others have ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every future in it and the errors so far. The futures that lose are dropped too, and
    /// have to bear that.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::gather;
    ///
    /// async fn ask(mirror: &str) -> Result<usize, String> {
    ///     if mirror.starts_with("up") { Ok(mirror.len()) } else { Err(format!("{mirror} is down")) }
    /// }
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     assert_eq!(gather(["north", "up-1", "up-10"].map(ask)).limit(1).first_ok().await, Ok(4));
    ///     let failed = gather(["north", "south"].map(ask)).first_ok().await;
    ///     assert_eq!(failed.unwrap_err(), ["north is down", "south is down"]);
    /// });
    /// ```
    #[allow(clippy::type_complexity, reason = "an alias for a type that is written once would hide its parts")]
    pub fn first_ok(self) -> Giving<Under<Self, FirstOk<T, E>>, Result<T, Vec<E>>> {
        Giving::new(Under { gather: self, rule: FirstOk { won: None, errors: Vec::new() } })
    }

    /// Waits until `needed` futures have succeeded, stops the rest, and returns their values.
    ///
    /// They are the first in time, and stand in the order of the input. It fails as soon as so many have failed that
    /// `needed` can't be reached any more. That is known where the input knows how many it has at most
    /// ([`size_hint`](Iterator::size_hint)); else it fails at the end.
    ///
    /// A quorum of 0 is reached at once, and one of more than there are fails at once, both without starting anything.
    /// What is still in progress at the end is dropped; with [`parallel`](Self::parallel) it is cancelled, and has
    /// ended when this returns. With a timeout for each, see what [`first_ok`](Self::first_ok) says of it.
    ///
    /// # Errors
    ///
    /// [`QuorumError`], with every error so far, each with its place in the input. The values are dropped.
    ///
    /// # Panics
    ///
    /// With a panic of one of the futures, after the others have ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every future in it, the values and the errors so far. The futures that aren't needed
    /// are dropped too, and have to bear that.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::gather;
    ///
    /// async fn store(replica: u32) -> Result<u32, &'static str> {
    ///     if replica == 1 { Err("disk full") } else { Ok(replica) }
    /// }
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     assert_eq!(gather((0..3).map(store)).quorum(2).await.unwrap(), [0, 2]);
    ///     let failed = gather((0..3).map(store)).quorum(3).await.unwrap_err();
    ///     assert_eq!(failed.errors().collect::<Vec<_>>(), [(1, &"disk full")]);
    /// });
    /// ```
    #[allow(clippy::type_complexity, reason = "an alias for a type that is written once would hide its parts")]
    pub fn quorum(self, needed: usize) -> Giving<Under<Self, Quorum<T, E>>, Result<Vec<T>, QuorumError<E>>> {
        Giving::new(Under { gather: self, rule: Quorum { needed, values: Vec::new(), errors: Vec::new() } })
    }
}

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
    /// Waits for the first value for which `holds` is true and stops the rest; `None` where there is no such
    /// value.
    ///
    /// The first is the first in time. Values for which it doesn't hold are dropped as they come. What is still in
    /// progress at the end is dropped; with [`parallel`](Self::parallel) it is cancelled, and has ended when this
    /// returns. With [`try_gather`](super::try_gather) the first `Err` ends it too, and the output is a `Result`.
    ///
    /// # Errors
    ///
    /// With [`try_gather`](super::try_gather), the first error in time, if it comes before such a value.
    ///
    /// # Panics
    ///
    /// With a panic of one of the futures, after the others have ended; with one of `holds`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every future in it. The futures that aren't needed are dropped too, and have to bear
    /// that.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{gather, try_gather};
    ///
    /// async fn size(name: &str) -> usize {
    ///     name.len()
    /// }
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let names = ["a", "bcd", "ef"];
    ///     assert_eq!(gather(names.map(size)).until(|_index, size| *size > 1).await, Some(3));
    ///     assert_eq!(gather(names.map(size)).until(|_index, size| *size > 5).await, None);
    ///
    ///     let sizes = names.map(|name| async move { Ok::<_, ()>(size(name).await) });
    ///     assert_eq!(try_gather(sizes).until(|index, _size| index == 2).await, Ok(Some(2)));
    /// });
    /// ```
    #[allow(clippy::type_complexity, reason = "an alias for a type that is written once would hide its parts")]
    pub fn until<C>(self, holds: C) -> Giving<Under<Self, Until<P::Value, P::Stop, C, P>>, P::Output<Option<P::Value>>>
    where
        C: FnMut(usize, &P::Value) -> bool,
    {
        Giving::new(Under { gather: self, rule: Until { holds, found: None, stop: None, policy: PhantomData } })
    }
}

/// When a gather is over, and what it gives.
pub trait Rule<T> {
    /// The output of the whole.
    type Output;

    #[doc(hidden)]
    fn is_decided(&self, ahead: Option<usize>) -> bool;
    #[doc(hidden)]
    fn take(&mut self, index: usize, output: T, ahead: Option<usize>) -> ControlFlow<Cut>;
    #[doc(hidden)]
    fn finish(&mut self) -> Self::Output;
}

/// A gather that ends as soon as enough is known. Made by [`Gather::first_ok`], [`Gather::quorum`] and
/// [`Gather::until`].
#[must_use = "futures do nothing unless awaited"]
pub struct Under<G, L> {
    gather: G,
    rule: L,
}

// Nothing of it is pinned: the gather keeps the futures on the heap, where they don't move.
impl<G, L> Unpin for Under<G, L> {}

impl<I, F, R, P, M, N, L> Future for Under<Gather<I, F, R, P, M, N>, L>
where
    I: Iterator<Item = F>,
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
    M::Pool<F, R>: Pool<F>,
    N: FnMut(Progress),
    L: Rule<F::Output>,
{
    type Output = L::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<L::Output> {
        let Self { gather, rule } = self.get_mut();
        let is_new = gather.state.pool.is_none();
        if is_new && rule.is_decided(gather.input.size_hint().1) {
            gather.state.cut = Some(Cut::Decided);
        }
        let driven = gather.drive(cx, |index, output, ahead| rule.take(index, output, ahead));
        if driven.is_pending() || gather.poll_joined(cx).is_pending() {
            return Poll::Pending;
        }
        // Everything an output can stop by is the rule's here.
        let _ = gather.close();
        Poll::Ready(rule.finish())
    }
}

impl<G: fmt::Debug, L> fmt::Debug for Under<G, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Under").field("gather", &self.gather).finish_non_exhaustive()
    }
}

/// The rule of [`Gather::first_ok`].
pub struct FirstOk<T, E> {
    won: Option<T>,
    errors: Vec<(usize, E)>,
}

impl<T, E> Rule<Result<T, E>> for FirstOk<T, E> {
    type Output = Result<T, Vec<E>>;

    fn is_decided(&self, _: Option<usize>) -> bool {
        false
    }

    fn take(&mut self, index: usize, output: Result<T, E>, _: Option<usize>) -> ControlFlow<Cut> {
        match output {
            Ok(value) => {
                self.won = Some(value);
                ControlFlow::Break(Cut::Decided)
            }
            Err(error) => {
                self.errors.push((index, error));
                ControlFlow::Continue(())
            }
        }
    }

    fn finish(&mut self) -> Self::Output {
        match self.won.take() {
            Some(value) => Ok(value),
            None => Err(in_order(&mut self.errors).map(|(_, error)| error).collect()),
        }
    }
}

/// The rule of [`Gather::quorum`].
pub struct Quorum<T, E> {
    needed: usize,
    values: Vec<(usize, T)>,
    errors: Vec<(usize, E)>,
}

impl<T, E> Quorum<T, E> {
    fn is_out_of_reach(&self, ahead: Option<usize>) -> bool {
        ahead.is_some_and(|ahead| self.values.len().saturating_add(ahead) < self.needed)
    }
}

impl<T, E> Rule<Result<T, E>> for Quorum<T, E> {
    type Output = Result<Vec<T>, QuorumError<E>>;

    fn is_decided(&self, ahead: Option<usize>) -> bool {
        self.needed == 0 || self.is_out_of_reach(ahead)
    }

    fn take(&mut self, index: usize, output: Result<T, E>, ahead: Option<usize>) -> ControlFlow<Cut> {
        match output {
            Ok(value) => self.values.push((index, value)),
            Err(error) => self.errors.push((index, error)),
        }
        if self.values.len() == self.needed {
            ControlFlow::Break(Cut::Decided)
        } else if self.is_out_of_reach(ahead) {
            ControlFlow::Break(Cut::Failed)
        } else {
            ControlFlow::Continue(())
        }
    }

    fn finish(&mut self) -> Self::Output {
        let succeeded = self.values.len();
        let values = in_order(&mut self.values);
        if succeeded >= self.needed {
            return Ok(values.map(|(_, value)| value).collect());
        }
        drop(values);
        Err(QuorumError { needed: self.needed, succeeded, errors: in_order(&mut self.errors).collect() })
    }
}

/// The rule of [`Gather::until`].
pub struct Until<V, S, C, P> {
    holds: C,
    found: Option<V>,
    stop: Option<S>,
    policy: PhantomData<fn() -> P>,
}

impl<T, C, P> Rule<T> for Until<P::Value, P::Stop, C, P>
where
    C: FnMut(usize, &P::Value) -> bool,
    P: Policy<T>,
{
    type Output = P::Output<Option<P::Value>>;

    fn is_decided(&self, _: Option<usize>) -> bool {
        false
    }

    fn take(&mut self, index: usize, output: T, _: Option<usize>) -> ControlFlow<Cut> {
        match P::sort(output) {
            Ok(value) if (self.holds)(index, &value) => {
                self.found = Some(value);
                ControlFlow::Break(Cut::Decided)
            }
            Ok(_) => ControlFlow::Continue(()),
            Err(stop) => {
                self.stop = Some(stop);
                ControlFlow::Break(Cut::Failed)
            }
        }
    }

    fn finish(&mut self) -> Self::Output {
        P::finish(self.stop.take().map_or_else(|| Ok(self.found.take()), Err))
    }
}

macro_rules! opaque_debug {
    ($($name:ident<$($parameter:ident),*>;)*) => {$(
        impl<$($parameter),*> fmt::Debug for $name<$($parameter),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

opaque_debug! {
    FirstOk<T, E>;
    Quorum<T, E>;
    Until<V, S, C, P>;
}

/// What came in the order of time, in the order of the input.
pub(super) fn in_order<T>(items: &mut Vec<(usize, T)>) -> std::vec::IntoIter<(usize, T)> {
    let mut items = std::mem::take(items);
    items.sort_unstable_by_key(|(index, _)| *index);
    items.into_iter()
}

/// The error of a [quorum](Gather::quorum) that can't be reached: every error so far, in the order of the input.
///
/// # Examples
///
/// ```
/// use anyscope::gather;
/// use std::future::ready;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let votes = [Ok("yes"), Err("no"), Err("abstains")].map(ready);
///     let failed = gather(votes).quorum(2).await.unwrap_err();
///     assert_eq!((failed.succeeded(), failed.needed()), (1, 2));
///     assert_eq!(failed.into_errors(), ["no", "abstains"]);
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumError<E> {
    needed: usize,
    succeeded: usize,
    errors: Vec<(usize, E)>,
}

impl<E> QuorumError<E> {
    /// Returns how many had to succeed.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Returns how many had succeeded when it failed.
    #[must_use]
    pub fn succeeded(&self) -> usize {
        self.succeeded
    }

    /// Returns every error so far, in the order of the input, with its place in the input. There is none where the
    /// input never had enough to begin with.
    pub fn errors(&self) -> impl ExactSizeIterator<Item = (usize, &E)> {
        self.errors.iter().map(|(index, error)| (*index, error))
    }

    /// Returns the errors alone, by value, in the order of the input.
    #[must_use]
    pub fn into_errors(self) -> Vec<E> {
        self.errors.into_iter().map(|(_, error)| error).collect()
    }
}

impl<E: fmt::Display> fmt::Display for QuorumError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, succeeded, errors } = self;
        write!(f, "{succeeded} of the {needed} that a quorum needs succeeded, and {} failed", errors.len())?;
        for (index, error) in errors {
            write!(f, "\n  [{index}]: {error}")?;
        }
        Ok(())
    }
}

impl<E: Error + 'static> Error for QuorumError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.first().map(|(_, error)| error as &(dyn Error + 'static))
    }
}
