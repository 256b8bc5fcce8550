//! P1 to P3: permits that are there, permits that are fought for, and ten thousand who wait.
//!
//! All are asked for one permit at a time, first come, first served, where they offer it: async-lock's and
//! async-semaphore's let whoever comes have a free permit, also before those who wait.

use crate::case::{Case, Limit, Rounds, plain};
use crate::runtimes::{On, Whose};
use crate::shape::yield_once;
use crate::slots::Slots;
use futures_intrusive::sync::Semaphore as Intrusive;
use std::future::Future;
use std::sync::Arc;

const TURNS: usize = 1_000;
const TASKS: usize = 64;
const TURNS_EACH: usize = 50;
const WAITERS: usize = 10_000;

const FIFO: &str = "first come, first served, also for many; a waiter that is dropped loses nothing";
const BARGING: &str = "a permit that is free goes to whoever asks; takes one permit at a time";
const FIFO_HEAP: &str = "first come, first served";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![acquire(), try_acquire(), acquire_many()];
    for on in [On::Tokio, On::Smol] {
        cases.extend([1, 2, 4, 8].map(|permits| contended(on, permits)));
    }
    cases.extend([cancelled(Order::AsTheyCame), cancelled(Order::LastFirst), released()]);
    cases
}

/// Rounds of `TURNS` awaits on no runtime.
macro_rules! turns {
    ($semaphore:expr, |$it:ident| $turn:expr) => {
        move || {
            let semaphore = Arc::new($semaphore);
            On::Nothing.rounds(Whose::Peers, move || {
                let semaphore = semaphore.clone();
                async move {
                    for _ in 0..TURNS {
                        let $it = std::hint::black_box(&*semaphore);
                        drop($turn);
                    }
                }
            })
        }
    };
}

fn acquire() -> Case {
    Case::new("P1", "acquire", On::Nothing, TURNS)
        .instructions(Limit::Most(96.0))
        .allocs(0.0)
        .subject("anyscope", FIFO, turns!(anyscope::Semaphore::new(8), |it| it.acquire().await))
        .subject("async-semaphore", BARGING, turns!(async_semaphore::Semaphore::new(8), |it| it.acquire().await))
        .subject("async-lock", BARGING, turns!(async_lock::Semaphore::new(8), |it| it.acquire().await))
        .subject("tokio", FIFO, turns!(tokio::sync::Semaphore::new(8), |it| it.acquire().await))
        .subject("futures-intrusive", FIFO, turns!(Intrusive::new(true, 8), |it| it.acquire(1).await))
        .subject("maitake-sync", FIFO, turns!(maitake_sync::Semaphore::new(8), |it| it.acquire(1).await))
        .subject("mea", FIFO_HEAP, turns!(mea::semaphore::Semaphore::new(8), |it| it.acquire(1).await))
}

fn try_acquire() -> Case {
    Case::new("P1", "try_acquire", On::Nothing, TURNS)
        .instructions(Limit::Most(25.0))
        .allocs(0.0)
        .subject("anyscope", FIFO, turns!(anyscope::Semaphore::new(8), |it| it.try_acquire()))
        .subject("async-semaphore", BARGING, turns!(async_semaphore::Semaphore::new(8), |it| it.try_acquire()))
        .subject("async-lock", BARGING, turns!(async_lock::Semaphore::new(8), |it| it.try_acquire()))
        .subject("tokio", FIFO, turns!(tokio::sync::Semaphore::new(8), |it| it.try_acquire()))
        .subject("futures-intrusive", FIFO, turns!(Intrusive::new(true, 8), |it| it.try_acquire(1)))
        .subject("maitake-sync", FIFO, turns!(maitake_sync::Semaphore::new(8), |it| it.try_acquire(1)))
        .subject("mea", FIFO_HEAP, turns!(mea::semaphore::Semaphore::new(8), |it| it.try_acquire(1)))
}

fn acquire_many() -> Case {
    Case::new("P1", "acquire_many", On::Nothing, TURNS)
        .instructions(Limit::Most(96.0))
        .allocs(0.0)
        .subject("anyscope", FIFO, turns!(anyscope::Semaphore::new(8), |it| it.acquire_many(3).await))
        .subject("tokio", FIFO, turns!(tokio::sync::Semaphore::new(8), |it| it.acquire_many(3).await))
        .subject("futures-intrusive", FIFO, turns!(Intrusive::new(true, 8), |it| it.acquire(3).await))
        .subject("maitake-sync", FIFO, turns!(maitake_sync::Semaphore::new(8), |it| it.acquire(3).await))
        .subject("mea", FIFO_HEAP, turns!(mea::semaphore::Semaphore::new(8), |it| it.acquire(3).await))
}

/// P2: tasks of the runtime's own, the same for all, which take turns at a semaphore and yield while they hold it.
fn contended(on: On, permits: usize) -> Case {
    macro_rules! tasks {
        ($semaphore:expr, |$it:ident| $turn:expr) => {
            move || {
                let semaphore = Arc::new($semaphore);
                fight(on, move || {
                    let semaphore = semaphore.clone();
                    async move {
                        for _ in 0..TURNS_EACH {
                            let $it = &*semaphore;
                            let permit = $turn;
                            yield_once().await;
                            drop(permit);
                        }
                    }
                })
            }
        };
    }
    Case::new("P2", format!("permits-{permits}"), on, TASKS * TURNS_EACH)
        .instructions(Limit::OfBest(1.0))
        .time(Limit::OfBest(1.0))
        .subject("anyscope", FIFO, tasks!(anyscope::Semaphore::new(permits), |it| it.acquire().await))
        .subject("futures-intrusive", FIFO, tasks!(Intrusive::new(true, permits), |it| it.acquire(1).await))
        .subject("tokio", FIFO, tasks!(tokio::sync::Semaphore::new(permits), |it| it.acquire().await))
        .subject("async-lock", BARGING, tasks!(async_lock::Semaphore::new(permits), |it| it.acquire().await))
        .subject("async-semaphore", BARGING, tasks!(async_semaphore::Semaphore::new(permits), |it| it.acquire().await))
        .subject("maitake-sync", FIFO, tasks!(maitake_sync::Semaphore::new(permits), |it| it.acquire(1).await))
        .subject("mea", FIFO_HEAP, tasks!(mea::semaphore::Semaphore::new(permits), |it| it.acquire(1).await))
}

/// A round is `TASKS` tasks, from their spawn to their end.
fn fight<F>(on: On, task: impl Fn() -> F + Clone + Send + Sync + 'static) -> Rounds
where
    F: Future<Output = ()> + Send + 'static,
{
    on.rounds(Whose::Peers, move || {
        let task = task.clone();
        async move {
            match on {
                On::Tokio => {
                    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(task())).collect();
                    for task in tasks {
                        task.await.expect("it ends well");
                    }
                }
                _ => {
                    let tasks: Vec<_> = (0..TASKS).map(|_| on.executor().spawn(task())).collect();
                    for task in tasks {
                        task.await;
                    }
                }
            }
        }
    })
}

/// In which order those who wait leave.
#[derive(Clone, Copy)]
enum Order {
    AsTheyCame,
    LastFirst,
}

/// A semaphore that lasts as long as the process, so that futures that borrow from it may.
fn kept<T>(semaphore: T) -> &'static T {
    Box::leak(Box::new(semaphore))
}

/// P3: all register, and all leave, with no permit coming free.
fn cancelled(order: Order) -> Case {
    fn leave<F: Future + 'static>(order: Order, acquire: impl Fn() -> F + 'static) -> Rounds {
        let mut slots = Slots::new(WAITERS);
        plain(move || {
            slots.poll_new(|_| acquire());
            match order {
                Order::AsTheyCame => slots.clear(),
                Order::LastFirst => slots.clear_backwards(),
            }
        })
    }
    macro_rules! leaving {
        ($semaphore:expr, |$it:ident| $acquire:expr) => {
            move || {
                let $it = kept($semaphore);
                leave(order, move || $acquire)
            }
        };
    }
    let name = match order {
        Order::AsTheyCame => "register-cancel",
        Order::LastFirst => "register-cancel-last-first",
    };
    Case::new("P3", name, On::Nothing, WAITERS)
        .together()
        .instructions(Limit::Most(210.0))
        .allocs(0.0)
        .subject("anyscope", FIFO, leaving!(anyscope::Semaphore::new(0), |it| it.acquire()))
        .subject("futures-intrusive", FIFO, leaving!(Intrusive::new(true, 0), |it| it.acquire(1)))
        .subject("tokio", FIFO, leaving!(tokio::sync::Semaphore::new(0), |it| it.acquire()))
        .subject("async-lock", BARGING, leaving!(async_lock::Semaphore::new(0), |it| it.acquire()))
        .subject("async-semaphore", BARGING, leaving!(async_semaphore::Semaphore::new(0), |it| it.acquire()))
        .subject("maitake-sync", FIFO, leaving!(maitake_sync::Semaphore::new(0), |it| it.acquire(1)))
        .subject("mea", FIFO_HEAP, leaving!(mea::semaphore::Semaphore::new(0), |it| it.acquire(1)))
}

/// P3: all register while one holds everything; it gives all back, and each gets its permit.
fn released() -> Case {
    let case = Case::new("P3", "register-release-poll", On::Nothing, WAITERS)
        .together()
        .instructions(Limit::Most(270.0))
        .allocs(0.0);
    waiters(case, WAITERS)
}

/// So many that wait, for a case of another scenario.
pub(crate) fn waiters(case: Case, size: usize) -> Case {
    /// With permits for all, and a way to hold and give back all of them.
    macro_rules! getting {
        ($semaphore:expr, |$it:ident| $acquire:expr, $hold:expr) => {
            move || {
                let $it = kept($semaphore);
                let mut slots = Slots::new(size);
                plain(move || {
                    let all = $hold;
                    slots.poll_new(|_| $acquire);
                    drop(all);
                    slots.poll_to_the_end();
                    slots.clear();
                })
            }
        };
    }
    case.subject(
        "anyscope",
        FIFO,
        getting!(anyscope::Semaphore::new(size), |it| it.acquire(), it.try_acquire_many(size).unwrap()),
    )
    .subject(
        "futures-intrusive",
        FIFO,
        getting!(Intrusive::new(true, size), |it| it.acquire(1), it.try_acquire(size).unwrap()),
    )
    .subject(
        "tokio",
        FIFO,
        getting!(
            tokio::sync::Semaphore::new(size),
            |it| it.acquire(),
            it.try_acquire_many(u32::try_from(size).unwrap()).unwrap()
        ),
    )
    .subject(
        "maitake-sync",
        FIFO,
        getting!(maitake_sync::Semaphore::new(size), |it| it.acquire(1), it.try_acquire(size).unwrap()),
    )
    .subject(
        "mea",
        FIFO_HEAP,
        getting!(mea::semaphore::Semaphore::new(size), |it| it.acquire(1), it.try_acquire(size).unwrap()),
    )
}
