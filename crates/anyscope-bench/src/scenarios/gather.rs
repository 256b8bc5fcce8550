//! G1 to G4: many futures of a kind, in the task that awaits them; a few of different kinds; so many at a time.
//!
//! G1 and G3 are in one task on tokio's current-thread runtime, where anyscope asks for the cooperative budget and the
//! peers don't. The future of a gather may borrow everywhere but in G4.

use crate::case::{Case, Limit, Rounds, plain};
use crate::runtimes::{On, Whose};
use crate::shape::{Ready, Shape, Signals, Waits, Yields};
use futures::stream::{self, StreamExt};
use futures_buffered::BufferedStreamExt;
use futures_concurrency::prelude::*;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::task::JoinSet;

const MANY: usize = 1_000;
const JOBS: usize = 10_000;
const AT_A_TIME: usize = 64;

const GATHER: &str = "outputs in order; takes part in the cooperative budget; a panic is resumed after the others end";
const ORDERED: &str = "outputs in order; knows no cooperative budget";
const UNORDERED: &str = "outputs as they come; knows no cooperative budget";
const BOUNDED: &str = "outputs in order, so many at a time; pulls none before there is room";
const BOUNDED_STREAM: &str = "outputs in order, so many at a time; polls none while its consumer is busy";
const BOUNDED_UNORDERED: &str = "outputs as they come, so many at a time";
const SCOPE: &str = "children that borrow, spawned as it goes, in one task; all end before the scope does";
const PARALLEL: &str = "so many at a time, outputs in order; joins all before it returns, also when it is dropped";
const TASKS: &str = "so many at a time, outputs as they come; dropped, leaves the tasks running";
const TASK_SET: &str = "so many at a time, outputs as they come; dropped, cancels all and waits for none";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![all::<Ready>(80.0), all::<Yields>(130.0), all::<Waits>(200.0)];
    cases.extend([scope::<Ready>(), scope::<Yields>()]);
    cases.extend([tuple::<Ready>(), tuple::<Yields>(), bounded(), parallel()]);
    cases
}

/// A round on the current-thread runtime of tokio.
fn in_task<W, F>(whose: Whose, children: usize, work: W) -> impl Fn() -> Rounds + 'static
where
    W: Fn(&'static Signals) -> F + Copy + Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    rounds(On::TokioCurrentThread, whose, children, work)
}

/// A round on no runtime.
fn in_a_loop<W, F>(whose: Whose, children: usize, work: W) -> impl Fn() -> Rounds + 'static
where
    W: Fn(&'static Signals) -> F + Copy + Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    rounds(On::Nothing, whose, children, work)
}

fn rounds<W, F>(on: On, whose: Whose, children: usize, work: W) -> impl Fn() -> Rounds + 'static
where
    W: Fn(&'static Signals) -> F + Copy + Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    move || {
        let signals = Signals::of(children);
        on.rounds(whose, move || work(signals))
    }
}

fn children<S: Shape>(signals: &'static Signals) -> impl Iterator<Item = S::Child> + Send {
    (0..MANY).map(move |number| S::child(signals, number))
}

/// G1.
fn all<S: Shape>(instructions: f64) -> Case {
    // One allocation in all, so a thousandth of one for each; what a child's future and output take isn't bounded.
    Case::new("G1", S::NAME, On::TokioCurrentThread, MANY)
        .together()
        .instructions(Limit::Most(instructions))
        .allocs(1.0 / MANY as f64)
        .subject(
            "anyscope",
            GATHER,
            in_task(Whose::Ours, MANY, |on| async move { anyscope::gather(children::<S>(on)).await }),
        )
        .subject(
            "futures-buffered",
            ORDERED,
            in_task(Whose::Peers, MANY, |on| async move { futures_buffered::join_all(children::<S>(on)).await }),
        )
        .subject(
            "futures-concurrency",
            ORDERED,
            in_task(Whose::Peers, MANY, |on| async move { children::<S>(on).collect::<Vec<_>>().join().await }),
        )
        .subject(
            "join_all",
            ORDERED,
            in_task(Whose::Peers, MANY, |on| async move { futures::future::join_all(children::<S>(on)).await }),
        )
        .subject(
            "FuturesUnordered",
            UNORDERED,
            in_task(Whose::Peers, MANY, |on| async move {
                let all: stream::FuturesUnordered<_> = children::<S>(on).collect();
                all.collect::<Vec<_>>().await
            }),
        )
}

/// Beside G1: children that are spawned as it goes, and may borrow.
fn scope<S: Shape>() -> Case {
    let on = || On::TokioCurrentThread.tokio();
    Case::new("G1", format!("scope-{}", S::NAME), On::TokioCurrentThread, MANY)
        .together()
        .subject("anyscope::scope", SCOPE, move || {
            let signals = Signals::of(MANY);
            plain(move || {
                on().block_on(anyscope::scope(|s| async move {
                    let tasks: Vec<_> = children::<S>(signals).map(|child| s.spawn(child)).collect();
                    let mut sum = 0;
                    for task in tasks {
                        sum += task.await;
                    }
                    sum
                }))
            })
        })
        .subject("moro-local", SCOPE, move || {
            let signals = Signals::of(MANY);
            plain(move || {
                on().block_on(async {
                    let scope = moro_local::async_scope!(|scope| {
                        let tasks: Vec<_> = children::<S>(signals).map(|child| scope.spawn(child)).collect();
                        let mut sum = 0;
                        for task in tasks {
                            sum += task.await;
                        }
                        sum
                    });
                    scope.await
                })
            })
        })
}

/// G2: a thousand gathers, one after the other, of three futures each. What yields is polled again at once.
fn tuple<S: Shape>() -> Case {
    /// Three futures, a thousand times.
    macro_rules! thrice {
        ($signals:ident, |$a:ident, $b:ident, $c:ident| $join:expr) => {
            async move {
                let mut sum = 0;
                for _ in 0..MANY {
                    let ($a, $b, $c) = (S::child($signals, 0), S::child($signals, 1), S::child($signals, 2));
                    let (a, b, c) = $join;
                    sum += a + b + c;
                }
                sum
            }
        };
    }
    Case::new("G2", S::NAME, On::Nothing, MANY)
        .instructions(Limit::OfBest(1.0))
        .allocs(0.0)
        .subject(
            "anyscope",
            GATHER,
            in_a_loop(Whose::Ours, 3, |on| thrice!(on, |a, b, c| anyscope::gather((a, b, c)).await)),
        )
        .subject(
            "futures-concurrency",
            ORDERED,
            in_a_loop(Whose::Peers, 3, |on| thrice!(on, |a, b, c| (a, b, c).join().await)),
        )
        .subject(
            "futures::join!",
            ORDERED,
            in_a_loop(Whose::Peers, 3, |on| thrice!(on, |a, b, c| futures::join!(a, b, c))),
        )
        .subject("tokio::join!", ORDERED, in_a_loop(Whose::Peers, 3, |on| thrice!(on, |a, b, c| tokio::join!(a, b, c))))
}

fn jobs() -> impl Iterator<Item = <Yields as Shape>::Child> + Send {
    let signals = Signals::of(0);
    (0..JOBS).map(move |number| Yields::child(signals, number))
}

/// G3.
fn bounded() -> Case {
    Case::new("G3", "yields-once", On::TokioCurrentThread, JOBS)
        .together()
        .instructions(Limit::Most(240.0))
        .subject(
            "anyscope",
            BOUNDED,
            in_task(Whose::Ours, 0, |_| async { anyscope::gather(jobs()).limit(AT_A_TIME).await }),
        )
        .subject(
            "futures-buffered",
            BOUNDED_STREAM,
            in_task(Whose::Peers, 0, |_| async {
                stream::iter(jobs()).buffered_ordered(AT_A_TIME).collect::<Vec<_>>().await
            }),
        )
        .subject(
            "buffered",
            BOUNDED_STREAM,
            in_task(Whose::Peers, 0, |_| async { stream::iter(jobs()).buffered(AT_A_TIME).collect::<Vec<_>>().await }),
        )
        .subject(
            "futures-concurrency",
            BOUNDED_UNORDERED,
            in_task(Whose::Peers, 0, |_| async {
                let jobs: Vec<_> = jobs().collect();
                jobs.into_co_stream().limit(NonZeroUsize::new(AT_A_TIME)).map(|job| job).collect::<Vec<_>>().await
            }),
        )
}

/// G4.
fn parallel() -> Case {
    let on = On::Tokio;
    Case::new("G4", "yields-once", on, JOBS)
        .together()
        .instructions(Limit::Most(900.0))
        .subject("anyscope", PARALLEL, move || {
            on.rounds(Whose::Ours, || async { anyscope::gather(jobs()).limit(AT_A_TIME).parallel().await })
        })
        .subject("buffer_unordered", TASKS, move || {
            on.rounds(Whose::Peers, || async {
                let done = stream::iter(jobs()).map(tokio::spawn).buffer_unordered(AT_A_TIME);
                done.map(|joined| joined.expect("it ends well")).collect::<Vec<_>>().await
            })
        })
        .subject("Semaphore + JoinSet", TASK_SET, move || {
            on.rounds(Whose::Peers, || async {
                let semaphore = Arc::new(tokio::sync::Semaphore::new(AT_A_TIME));
                let mut set = JoinSet::new();
                for job in jobs() {
                    let permit = semaphore.clone().acquire_owned().await.expect("it isn't closed");
                    set.spawn(async move {
                        let out = job.await;
                        drop(permit);
                        out
                    });
                }
                set.join_all().await
            })
        })
}
