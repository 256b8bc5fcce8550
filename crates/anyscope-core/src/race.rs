//! [`race`] and [`race_ok`]: wait for the first.

use crate::coop::{self, Budgets};
use crate::giving::Giving;
use crate::ready_list::Set;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What [`race`] takes: an iterator or collection of futures, or a tuple of futures with one type of output.
///
/// `M` tells the two apart and is always inferred.
pub trait Raceable<M> {
    /// What each future gives.
    type Output;
    /// The future that races.
    type Race: Future<Output = Self::Output>;

    #[doc(hidden)]
    fn into_race(self) -> Self::Race;
}

/// Marks what is an iterator.
#[derive(Debug)]
pub struct Many(());

/// Marks what is a tuple.
#[derive(Debug)]
pub struct Tuple(());

/// Waits for the first future to end, returns its value, and drops the others.
///
/// Takes an iterator, a collection or a tuple. The futures run in the current task; of several
/// that are ready at the first poll, the one that comes first in the input wins. For the first that fits, on the
/// runtime's threads, or so many at a time, see [`Gather::until`](crate::Gather::until).
///
/// # Panics
///
/// Where there is no future at all: nobody could win.
///
/// # Cancel safety
///
/// Dropping the future drops every future in it. The futures that lose are dropped too, and have to bear that.
///
/// # Examples
///
/// ```
/// use anyscope::{race, sleep};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let slow = async { sleep(Duration::from_secs(60)).await; "slow" };
///     assert_eq!(race((slow, async { "fast" })).await, "fast");
/// });
/// ```
#[track_caller]
pub fn race<M, F: Raceable<M>>(futures: F) -> F::Race {
    futures.into_race()
}

/// Waits for the first `Ok` and drops the other futures; where none succeeds, returns every error, in the order of the
/// input.
///
/// Takes an iterator or a collection. All futures begin at once, in the current task; to try them on the runtime's
/// threads, or so many at a time, see [`Gather::first_ok`](crate::Gather::first_ok), and for more than one success
/// [`Gather::quorum`](crate::Gather::quorum).
///
/// # Errors
///
/// All errors, where there is no `Ok`. None, where there is no future.
///
/// # Cancel safety
///
/// Dropping the future drops every future in it. The futures that lose are dropped too, and have to bear that.
///
/// # Examples
///
/// ```
/// use anyscope::race_ok;
///
/// async fn parse(text: &str) -> Result<u32, String> {
///     text.parse().map_err(|_| format!("{text} is no number"))
/// }
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     assert_eq!(race_ok(["a", "2"].map(parse)).await, Ok(2));
///     assert_eq!(race_ok(["a"].map(parse)).await, Err(vec!["a is no number".to_string()]));
/// });
/// ```
pub fn race_ok<I, T, E>(futures: I) -> Giving<RaceOk<I::Item, E>, Result<T, Vec<E>>>
where
    I: IntoIterator,
    I::Item: Future<Output = Result<T, E>>,
{
    let (set, _) = set_of(futures);
    Giving::new(RaceOk { set, errors: Vec::new(), ended: false })
}

fn set_of<I: IntoIterator<Item: Future>>(futures: I) -> (Set<I::Item>, usize) {
    let mut set = Set::new();
    let mut count = 0;
    for future in futures {
        set.add(count, future);
        count += 1;
    }
    (set, count)
}

impl<I> Raceable<Many> for I
where
    I: IntoIterator,
    I::Item: Future,
{
    type Output = <I::Item as Future>::Output;
    type Race = Race<I::Item>;

    #[track_caller]
    fn into_race(self) -> Race<I::Item> {
        let (set, count) = set_of(self);
        assert!(count > 0, "a race of no futures: nobody could win");
        Race { set }
    }
}

/// Races many futures. Made by [`race`].
#[must_use = "futures do nothing unless awaited"]
pub struct Race<F> {
    set: Set<F>,
}

// Nothing of it is pinned: the set keeps the futures on the heap, where they don't move.
impl<F> Unpin for Race<F> {}

impl<F: Future> Future for Race<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        assert!(self.set.len() > 0, "a race was polled after it had ended");
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let mut winner = None;
        self.set.poll(cx, |_, value| {
            winner = Some(value);
            false
        });
        if winner.is_some() {
            self.set = Set::new();
        }
        winner.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<F> fmt::Debug for Race<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race").finish_non_exhaustive()
    }
}

/// Races many futures for the first `Ok`. Made by [`race_ok`].
#[must_use = "futures do nothing unless awaited"]
pub struct RaceOk<F, E> {
    set: Set<F>,
    errors: Vec<(usize, E)>,
    ended: bool,
}

// Nothing of it is pinned: the set keeps the futures on the heap, where they don't move.
impl<F, E> Unpin for RaceOk<F, E> {}

impl<F, T, E> Future for RaceOk<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Vec<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let Self { set, errors, ended } = &mut *self;
        assert!(!*ended, "a race was polled after it had ended");
        let mut winner = None;
        set.poll(cx, |index, result| match result {
            Ok(value) => {
                winner = Some(value);
                false
            }
            Err(error) => {
                errors.push((index, error));
                true
            }
        });
        if let Some(value) = winner {
            *set = Set::new();
            *ended = true;
            return Poll::Ready(Ok(value));
        }
        if set.len() > 0 {
            return Poll::Pending;
        }
        *ended = true;
        let mut errors = std::mem::take(errors);
        errors.sort_by_key(|(index, _)| *index);
        Poll::Ready(Err(errors.into_iter().map(|(_, error)| error).collect()))
    }
}

impl<F, E> fmt::Debug for RaceOk<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaceOk").finish_non_exhaustive()
    }
}

macro_rules! tuples {
    ($($name:ident: $($F:ident $f:ident)+;)*) => {$(
        pin_project! {
            /// Races the futures of a tuple. Made by [`race`].
            #[must_use = "futures do nothing unless awaited"]
            pub struct $name<T, $($F,)+> {
                $(#[pin] $f: Option<$F>,)+
                output: PhantomData<fn() -> T>,
            }
        }

        impl<T, $($F: Future<Output = T>,)+> Future for $name<T, $($F,)+> {
            type Output = T;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
                if coop::poll_proceed(cx).is_pending() {
                    return Poll::Pending;
                }
                let mut this = self.project();
                let mut live = false;
                let mut winner = None;
                let mut budgets = Budgets::new();
                $(if winner.is_none() {
                    if let Some(future) = this.$f.as_mut().as_pin_mut() {
                        live = true;
                        budgets.next();
                        if let Poll::Ready(value) = future.poll(cx) {
                            winner = Some(value);
                        }
                    }
                })+
                drop(budgets);
                assert!(live, "a race was polled after it had ended");
                let Some(value) = winner else { return Poll::Pending };
                $(this.$f.set(None);)+
                Poll::Ready(value)
            }
        }

        impl<T, $($F: Future<Output = T>,)+> Raceable<Tuple> for ($($F,)+) {
            type Output = T;
            type Race = Giving<$name<T, $($F,)+>, T>;

            fn into_race(self) -> Self::Race {
                let ($($f,)+) = self;
                Giving::new($name { $($f: Some($f),)+ output: PhantomData })
            }
        }
    )*};
}

tuples! {
    Race1: A a;
    Race2: A a B b;
    Race3: A a B b C c;
    Race4: A a B b C c D d;
    Race5: A a B b C c D d E e;
    Race6: A a B b C c D d E e F f;
    Race7: A a B b C c D d E e F f G g;
    Race8: A a B b C c D d E e F f G g H h;
}
