//! [`gather`] and [`try_gather`]: wait for all, in order.
//!
//! Two of the builder's choices are types: whether an `Err` ends it ([`All`], [`FirstErr`]) and who polls the futures
//! (the current task, [`Set`]; or the runtime's threads, [`Spawned`]). Everything else is one engine, [`Gather`].

mod engine;
mod partial;
mod rule;
mod settle;
mod tuple;

use self::engine::Mode;
pub use self::engine::{Gather, InTask, OnRuntime, Progress, TimeoutEach};
pub use self::partial::{Partial, Within};
pub use self::rule::{FirstOk, Quorum, QuorumError, Under, Until};
pub use self::settle::SettleEach;

use crate::runtime::Runtime;
use crate::time::Elapsed;
use std::future::Future;

/// What [`gather`] takes: an iterator or collection of futures, or a tuple of futures.
///
/// `M` tells the two apart and is always inferred.
pub trait Gatherable<R, M> {
    /// The future that gathers.
    type Gather;

    #[doc(hidden)]
    #[track_caller]
    fn into_gather(self) -> Self::Gather;
}

/// What [`try_gather`] takes: an iterator or collection of futures of `Result`s, or a tuple of such.
///
/// `M` tells the two apart and is always inferred.
pub trait TryGatherable<R, M> {
    /// The future that gathers.
    type Gather;

    #[doc(hidden)]
    #[track_caller]
    fn into_try_gather(self) -> Self::Gather;
}

/// Marks what is an iterator.
#[derive(Debug)]
pub struct Many(());

/// Marks what is a tuple.
#[derive(Debug)]
pub struct Tuple(());

/// Takes every value, whatever it is.
#[derive(Debug)]
pub struct All(());

/// Ends with the first `Err`.
#[derive(Debug)]
pub struct FirstErr(());

/// Waits for all futures and returns their values in the order of the input.
///
/// An iterator or a collection gives a `Vec` and can be configured, a tuple gives a tuple and can't. The futures run in the current task, side by side, and
/// may borrow; [`parallel`](Gather::parallel) puts them on the runtime's threads. The input is pulled as there is room:
/// see [`limit`](Gather::limit). Outputs are values, an `Err` among them: see [`try_gather`] for the other way.
///
/// Not everything has to be waited for: [`first_ok`](Gather::first_ok), [`quorum`](Gather::quorum) and
/// [`until`](Gather::until) end it as soon as enough is known, [`within`](Gather::within) at a deadline with what there
/// is by then. [`settled`](Gather::settled) goes on past panics.
///
/// # Cancel safety
///
/// Dropping the future drops every future in it and the values so far.
///
/// # Panics
///
/// With a panic of one of the futures, after the others have been dropped.
///
/// # Examples
///
/// ```
/// use anyscope::gather;
///
/// async fn double(n: &u32) -> u32 {
///     n * 2
/// }
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let numbers = vec![1, 2, 3];
///     assert_eq!(gather(numbers.iter().map(double)).limit(2).await, [2, 4, 6]);
///     assert_eq!(gather((double(&1), async { "b" })).await, (2, "b"));
/// });
/// ```
#[track_caller]
pub fn gather<R: Runtime, M, G: Gatherable<R, M>>(futures: G) -> G::Gather {
    futures.into_gather()
}

/// Waits for all futures and returns their `Ok` values in the order of the input, or the first `Err`.
///
/// The first `Err` drops the rest. Everything else is as with [`gather`].
///
/// # Errors
///
/// The first error in time.
///
/// # Cancel safety
///
/// Dropping the future drops every future in it and the values so far.
///
/// # Examples
///
/// ```
/// use anyscope::try_gather;
///
/// async fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     assert_eq!(try_gather(["1", "2"].map(parse)).await, Ok(vec![1, 2]));
///     assert!(try_gather((parse("1"), parse("two"))).await.is_err());
/// });
/// ```
#[track_caller]
pub fn try_gather<R: Runtime, M, G: TryGatherable<R, M>>(futures: G) -> G::Gather {
    futures.into_try_gather()
}

impl<R, I> Gatherable<R, Many> for I
where
    R: Runtime,
    I: IntoIterator,
    I::Item: Future,
{
    type Gather = Gather<I::IntoIter, I::Item, R, All>;

    #[track_caller]
    fn into_gather(self) -> Self::Gather {
        Gather::new(self.into_iter())
    }
}

impl<R, I, T, E> TryGatherable<R, Many> for I
where
    R: Runtime,
    I: IntoIterator,
    I::Item: Future<Output = Result<T, E>>,
{
    type Gather = Gather<I::IntoIter, I::Item, R, FirstErr>;

    #[track_caller]
    fn into_try_gather(self) -> Self::Gather {
        Gather::new(self.into_iter())
    }
}

/// What becomes of one future's output: [`All`] keeps it, [`FirstErr`] stops at an `Err`.
pub trait Policy<T> {
    /// What a gathered value is.
    type Value;
    /// What stops the gather.
    type Stop;
    /// The output of the whole, of a collection `C` of values.
    type Output<C>;

    #[doc(hidden)]
    fn sort(output: T) -> Result<Self::Value, Self::Stop>;
    #[doc(hidden)]
    fn finish<C>(result: Result<C, Self::Stop>) -> Self::Output<C>;
}

impl<T> Policy<T> for All {
    type Value = T;
    type Stop = std::convert::Infallible;
    type Output<C> = C;

    fn sort(output: T) -> Result<T, Self::Stop> {
        Ok(output)
    }

    fn finish<C>(result: Result<C, Self::Stop>) -> C {
        match result {
            Ok(values) => values,
            Err(never) => match never {},
        }
    }
}

impl<T, E> Policy<Result<T, E>> for FirstErr {
    type Value = T;
    type Stop = E;
    type Output<C> = Result<C, E>;

    fn sort(output: Result<T, E>) -> Result<T, E> {
        output
    }

    fn finish<C>(result: Result<C, E>) -> Result<C, E> {
        result
    }
}

/// How an item that ran out of its own time is told: as [`Elapsed`] beside the value, or as an error of the item's.
pub trait Late<T> {
    /// The item's output, with a timeout of its own.
    type Output;

    #[doc(hidden)]
    fn late(result: Result<T, Elapsed>) -> Self::Output;
}

impl<T> Late<T> for All {
    type Output = Result<T, Elapsed>;

    fn late(result: Result<T, Elapsed>) -> Self::Output {
        result
    }
}

impl<T, E: From<Elapsed>> Late<Result<T, E>> for FirstErr {
    type Output = Result<T, E>;

    fn late(result: Result<Result<T, E>, Elapsed>) -> Self::Output {
        result.unwrap_or_else(|elapsed| Err(elapsed.into()))
    }
}
