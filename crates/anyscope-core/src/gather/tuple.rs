//! Gathers of tuples: each future in its place, without an allocation.

use super::{All, FirstErr, Gatherable, Policy, TryGatherable, Tuple};
use crate::coop::{self, Budgets};
use crate::giving::Giving;
use crate::runtime::Runtime;
use pin_project_lite::pin_project;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// One future of a tuple, then its value, then nothing.
    #[project = SlotProjection]
    enum Slot<F, V> {
        Running { #[pin] future: F },
        Ended { value: Option<V> },
    }
}

impl<F: Future, V> Slot<F, V> {
    /// Polls the future if it hasn't ended, and says whether it has.
    #[inline]
    fn poll<P>(mut self: Pin<&mut Self>, cx: &mut Context<'_>, budgets: &mut Budgets) -> Result<bool, P::Stop>
    where
        P: Policy<F::Output, Value = V>,
    {
        let SlotProjection::Running { future } = self.as_mut().project() else { return Ok(true) };
        budgets.next();
        let Poll::Ready(output) = future.poll(cx) else { return Ok(false) };
        let value = P::sort(output)?;
        self.set(Self::Ended { value: Some(value) });
        Ok(true)
    }

    fn take(self: Pin<&mut Self>) -> Option<V> {
        match self.project() {
            SlotProjection::Ended { value } => value.take(),
            SlotProjection::Running { .. } => None,
        }
    }
}

macro_rules! tuples {
    ($($name:ident: $First:ident $first:ident $($F:ident $f:ident)*;)*) => {$(
        pin_project! {
            /// Gathers the values of a tuple of futures. Made by [`gather`](super::gather) and
            /// [`try_gather`](super::try_gather).
            #[must_use = "futures do nothing unless awaited"]
            pub struct $name<P, $First: Future, $($F: Future,)*>
            where
                P: Policy<$First::Output>,
                $(P: Policy<$F::Output>,)*
            {
                #[pin]
                $first: Slot<$First, <P as Policy<$First::Output>>::Value>,
                $(#[pin] $f: Slot<$F, <P as Policy<$F::Output>>::Value>,)*
                policy: PhantomData<fn() -> P>,
            }
        }

        impl<P, $First: Future, $($F: Future,)*> Future for $name<P, $First, $($F,)*>
        where
            P: Policy<$First::Output>,
            $(P: Policy<$F::Output, Stop = <P as Policy<$First::Output>>::Stop>,)*
        {
            type Output = <P as Policy<$First::Output>>::Output<(
                <P as Policy<$First::Output>>::Value,
                $(<P as Policy<$F::Output>>::Value,)*
            )>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                if coop::poll_proceed(cx).is_pending() {
                    return Poll::Pending;
                }
                let mut this = self.project();
                let mut budgets = Budgets::new();
                let ended = (|| {
                    let all = this.$first.as_mut().poll::<P>(cx, &mut budgets)?;
                    $(let all = this.$f.as_mut().poll::<P>(cx, &mut budgets)? && all;)*
                    Ok(all)
                })();
                drop(budgets);
                let result = match ended {
                    Ok(false) => return Poll::Pending,
                    Err(stop) => Err(stop),
                    Ok(true) => match (this.$first.take(), $(this.$f.take(),)*) {
                        (Some($first), $(Some($f),)*) => Ok(($first, $($f,)*)),
                        _ => panic!("a gather was polled after it had ended"),
                    },
                };
                Poll::Ready(<P as Policy<$First::Output>>::finish(result))
            }
        }

        impl<R: Runtime, $First: Future, $($F: Future,)*> Gatherable<R, Tuple> for ($First, $($F,)*) {
            type Gather = $name<All, $First, $($F,)*>;

            fn into_gather(self) -> Self::Gather {
                let ($first, $($f,)*) = self;
                $name {
                    $first: Slot::Running { future: $first },
                    $($f: Slot::Running { future: $f },)*
                    policy: PhantomData,
                }
            }
        }

        impl<R: Runtime, Error, $First: Future, $($F: Future,)*> TryGatherable<R, (Tuple, Error)> for ($First, $($F,)*)
        where
            FirstErr: Policy<$First::Output, Stop = Error>,
            $(FirstErr: Policy<$F::Output, Stop = Error>,)*
        {
            type Gather = Giving<
                $name<FirstErr, $First, $($F,)*>,
                <FirstErr as Policy<$First::Output>>::Output<(
                    <FirstErr as Policy<$First::Output>>::Value,
                    $(<FirstErr as Policy<$F::Output>>::Value,)*
                )>,
            >;

            fn into_try_gather(self) -> Self::Gather {
                let ($first, $($f,)*) = self;
                Giving::new($name {
                    $first: Slot::Running { future: $first },
                    $($f: Slot::Running { future: $f },)*
                    policy: PhantomData,
                })
            }
        }
    )*};
}

tuples! {
    Gather1: A a;
    Gather2: A a B b;
    Gather3: A a B b C c;
    Gather4: A a B b C c D d;
    Gather5: A a B b C c D d E e;
    Gather6: A a B b C c D d E e F f;
    Gather7: A a B b C c D d E e F f G g;
    Gather8: A a B b C c D d E e F f G g H h;
    Gather9: A a B b C c D d E e F f G g H h I i;
    Gather10: A a B b C c D d E e F f G g H h I i J j;
    Gather11: A a B b C c D d E e F f G g H h I i J j K k;
    Gather12: A a B b C c D d E e F f G g H h I i J j K k L l;
}
