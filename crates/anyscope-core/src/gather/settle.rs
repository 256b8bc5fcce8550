//! [`Gather::settled`]: everything, whatever becomes of each.

use super::engine::{Pool, State};
use super::{All, Gather, Mode, Policy, Progress};
use crate::guard;
use crate::outcome::{Outcome, Panic};
use crate::runtime::Runtime;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::iter::Fuse;
use std::pin::Pin;
use std::task::{Context, Poll};

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
    /// Waits for everything, in the order of the input, and tells how each ended: the panic of one stops no other.
    ///
    /// Each value becomes an [`Outcome`]: `Completed`, or `Panicked` with what the panic said; the payload goes no
    /// further. A panic in a future's destructor, when it has ended, counts as well. An `Err` is a value, also with
    /// [`try_gather`](super::try_gather). It is still a gather, and can be given to a consumer or a deadline:
    /// `.settled().for_each(..)`, `.settled().within(..)`.
    ///
    /// A future that has panicked is dropped and not polled again. What it shared with others may be in the middle of a
    /// change: that is for them to know.
    ///
    /// # Panics
    ///
    /// With [`parallel`](Self::parallel), where the runtime goes away meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every future in it and the outcomes so far.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{Outcome, gather};
    ///
    /// async fn parse(text: &str) -> i32 {
    ///     text.parse().expect("a number")
    /// }
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let outcomes = gather(["1", "two", "3"].map(parse)).settled().await;
    ///     assert!(matches!(&outcomes[1], Outcome::Panicked(panic) if panic.message().contains("a number")));
    ///     let parsed: Vec<i32> = outcomes.into_iter().filter_map(Outcome::completed).collect();
    ///     assert_eq!(parsed, [1, 3]);
    /// });
    /// ```
    #[allow(clippy::type_complexity, reason = "an alias for a type that is written once would hide its parts")]
    pub fn settled(self) -> Gather<SettleEach<Fuse<I>>, Settle<F>, R, All, M, N>
    where
        M::Pool<Settle<F>, R>: Pool<Settle<F>>,
    {
        Gather {
            input: SettleEach { input: self.input }.fuse(),
            limit: self.limit,
            on_progress: self.on_progress,
            location: self.location,
            state: State::new(),
            poll: Gather::poll_all,
        }
    }
}

/// An input whose futures each tell how they ended. Made by [`Gather::settled`].
pub struct SettleEach<I> {
    input: I,
}

impl<I: Iterator<Item: Future>> Iterator for SettleEach<I> {
    type Item = Settle<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(Settle { future: Some(self.input.next()?) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.input.size_hint()
    }
}

impl<I> fmt::Debug for SettleEach<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettleEach").finish_non_exhaustive()
    }
}

pin_project! {
    /// A future of a gather that tells how it ended.
    #[doc(hidden)]
    pub struct Settle<F> {
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future> Future for Settle<F> {
    type Output = Outcome<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.project().future;
        let polled = guard::catch(|| future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx)));
        if let Ok(Poll::Pending) = polled {
            return Poll::Pending;
        }
        let dropped = guard::catch(|| future.set(None));
        let payload = match (polled, dropped) {
            (Ok(Poll::Ready(value)), Ok(())) => return Poll::Ready(Outcome::Completed(value)),
            (Ok(value), Err(payload)) => {
                // A value that was there has nobody to go to, as with a task.
                guard::drop_quietly(value);
                payload
            }
            (Err(payload), Ok(())) => payload,
            (Err(payload), Err(second)) => {
                guard::forget(second);
                payload
            }
            (Ok(Poll::Pending), Ok(())) => return Poll::Pending,
        };
        let panic = Panic::new(&guard::message(&payload));
        guard::forget(payload);
        Poll::Ready(Outcome::Panicked(panic))
    }
}
