//! T1 to T3: timeouts that aren't needed, and many timers that never fire.
//!
//! Everybody's timer is never early. tokio's and async-io's are of the runtime around, futures-timer has a thread.

use crate::case::{Case, Limit, Rounds};
use crate::runtimes::{On, Whose, unscheduled};
use crate::shape::{Ready, Shape, Signals, Yields};
use crate::slots::Slots;
use futures::future::{Either, select};
use futures_lite::FutureExt as _;
use futures_timer::Delay;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

const TURNS: usize = 1_000;
const MINUTE: Duration = Duration::from_secs(60);

const AMBIENT: &str = "the deadline is seen inside; an `Elapsed` of an outer timeout is never taken for this one's";
const NATIVE: &str = "the runtime's own";
const REACTOR: &str = "a timer of async-io's reactor, armed when it is first polled";
const THREAD: &str = "a timer of a thread that the crate starts";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for on in [On::TokioCurrentThread, On::SmolOneThread, On::AsyncStd] {
        let case = Case::new("T1", "timeout-ready", on, TURNS).instructions(Limit::Most(30.0)).allocs(0.0);
        cases.push(around::<Ready>(case));
    }
    for on in On::ALL {
        let case = Case::new("T2", "timeout-yields-once", on, TURNS).instructions(Limit::Most(300.0));
        let tokio = matches!(on, On::TokioCurrentThread | On::Tokio);
        let limit = if tokio { Limit::OfPeer(0.4, "tokio::timeout") } else { Limit::None };
        cases.push(around::<Yields>(case.time(limit)));
    }
    for on in [On::TokioCurrentThread, On::SmolOneThread, On::AsyncStd] {
        for timers in [1_000, 100_000] {
            cases.extend([Deadlines::Equal, Deadlines::Random].map(|deadlines| many(on, timers, deadlines)));
        }
    }
    cases
}

/// T1 and T2. What yields is polled again at once: the runtime's scheduling isn't counted.
fn around<S: Shape>(case: Case) -> Case {
    let on = case.runtime;
    macro_rules! turns {
        ($whose:expr, |$work:ident| $turn:expr) => {
            move || {
                let signals = Signals::of(0);
                on.rounds($whose, move || {
                    unscheduled(async move {
                        for _ in 0..TURNS {
                            let $work = S::child(signals, 0);
                            let _ = black_box($turn.await);
                        }
                    })
                })
            }
        };
    }
    let case = case.subject("anyscope", AMBIENT, turns!(Whose::Ours, |work| anyscope::timeout(MINUTE, work)));
    let case = match on {
        On::TokioCurrentThread | On::Tokio => {
            case.subject("tokio::timeout", NATIVE, turns!(Whose::Peers, |work| tokio::time::timeout(MINUTE, work)))
        }
        On::AsyncStd => {
            let timeout = turns!(Whose::Peers, |work| async_std::future::timeout(MINUTE, work));
            case.subject("async_std::timeout", NATIVE, timeout)
        }
        On::Nothing | On::SmolOneThread | On::Smol => {
            let or = turns!(Whose::Peers, |work| async { Some(work.await) }.or(async {
                async_io::Timer::after(MINUTE).await;
                None
            }));
            case.subject("async-io `or`", REACTOR, or)
        }
    };
    case.subject(
        "futures-timer",
        THREAD,
        turns!(Whose::Peers, |work| async {
            match select(work, Delay::new(MINUTE)).await {
                Either::Left((out, _)) => Some(out),
                Either::Right(_) => None,
            }
        }),
    )
}

#[derive(Clone, Copy)]
enum Deadlines {
    Equal,
    Random,
}

impl Deadlines {
    fn name(self) -> &'static str {
        match self {
            Deadlines::Equal => "equal",
            Deadlines::Random => "random",
        }
    }

    /// How long the timer of that number is to wait: a minute, or between half of one and one and a half.
    fn of(self, number: usize) -> Duration {
        match self {
            Deadlines::Equal => MINUTE,
            // The same numbers each time, in no order: the multiplier is Knuth's.
            Deadlines::Random => {
                let scattered = (number as u64).wrapping_mul(6_364_136_223_846_793_005) >> 33;
                MINUTE / 2 + Duration::from_millis(scattered % 60_000)
            }
        }
    }
}

/// T3: all are registered, and then dropped.
fn many(on: On, timers: usize, deadlines: Deadlines) -> Case {
    let case = Case::new("T3", format!("{}-{timers}", deadlines.name()), on, timers)
        .together()
        .instructions(Limit::Most(260.0));
    outstanding(case, timers, deadlines)
}

/// `timers` at a time with equal deadlines, for a case of another scenario.
pub(crate) fn outstanding_equal(case: Case, timers: usize) -> Case {
    outstanding(case, timers, Deadlines::Equal)
}

fn outstanding(case: Case, timers: usize, deadlines: Deadlines) -> Case {
    let on = case.runtime;
    let after = move |number| deadlines.of(number);
    let case = case
        .subject("anyscope", AMBIENT, move || register(on, Whose::Ours, timers, move |at| anyscope::sleep(after(at))));
    let case = match on {
        On::TokioCurrentThread | On::Tokio => case.subject("tokio::sleep", NATIVE, move || {
            register(on, Whose::Peers, timers, move |at| tokio::time::sleep(after(at)))
        }),
        On::AsyncStd => case.subject("async_std::sleep", NATIVE, move || {
            register(on, Whose::Peers, timers, move |at| async_std::task::sleep(after(at)))
        }),
        On::Nothing | On::SmolOneThread | On::Smol => case.subject("async-io", REACTOR, move || {
            register(on, Whose::Peers, timers, move |at| async_io::Timer::after(after(at)))
        }),
    };
    case.subject("futures-timer", THREAD, move || register(on, Whose::Peers, timers, move |at| Delay::new(after(at))))
}

/// Registers all with the task that runs the rounds, and drops them in the order in which they came.
fn register<F>(on: On, whose: Whose, timers: usize, make: impl Fn(usize) -> F + Clone + Send + 'static) -> Rounds
where
    F: Future<Output: Send> + Send + 'static,
{
    let slots = Arc::new(Mutex::new(Slots::new(timers)));
    on.rounds(whose, move || {
        let (slots, make) = (slots.clone(), make.clone());
        poll_fn(move |cx| {
            let mut slots = slots.lock().expect("nobody has panicked");
            slots.poll_new_with(cx, &make);
            slots.clear();
            Poll::Ready(())
        })
    })
}
