//! S1 to S8: a group's children, or a task for each, spawned and joined; 1,000 of them, but for S7.
//!
//! Everybody awaits every child's output by its handle, in the order of spawning, but for `JoinSet` and `JoinMap`, which
//! hand the outputs over as they come. The children do nothing, so what is counted is their keep.

use crate::case::{Case, Limit, Rounds, plain};
use crate::runtimes::{On, STATIC, Whose, on_static};
use crate::shape::{Ready, Shape, Signals, Waits, Yields};
use async_scoped::TokioScope;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;
use tokio_util::task::{JoinMap, TaskTracker};

const CHILDREN: usize = 1_000;

pub(crate) const GROUP: &str =
    "joins all before it returns; dropped, destroys the idle ones before the drop returns; cancels siblings on a panic";
const BARE: &str = "nobody waits; a handle that is dropped leaves its task running";
const TRACKER: &str = "its `wait` waits for all; dropped, leaves them running";
const SET: &str = "dropped, cancels all and waits for none; outputs as they come";
const BARE_SMOL: &str = "nobody waits; a handle that is dropped cancels its task, and doesn't wait";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(shape::<Ready>(ready));
    cases.extend(shape::<Yields>(|_| ("S5", 600.0)));
    cases.extend(shape::<Waits>(|_| ("S6", 700.0)));
    cases.push(borrowing());
    cases.extend(On::ALL.map(one));
    cases.extend(On::ALL.map(memory));
    cases
}

fn ready(on: On) -> (&'static str, f64) {
    match on {
        On::Nothing | On::TokioCurrentThread => ("S1", 500.0),
        On::Tokio => ("S2", 600.0),
        On::SmolOneThread | On::Smol => ("S3", 500.0),
        On::AsyncStd => ("S4", 500.0),
    }
}

/// S1 to S6.
fn shape<S: Shape>(target: fn(On) -> (&'static str, f64)) -> Vec<Case> {
    On::ALL
        .map(|on| {
            let (scenario, instructions) = target(on);
            let case = Case::new(scenario, S::NAME, on, CHILDREN).together().instructions(Limit::Most(instructions));
            let case = match scenario {
                "S1" | "S2" => case.time(Limit::OfPeer(0.25, "tokio::spawn")),
                _ => case,
            };
            subjects::<S>(case, CHILDREN)
        })
        .into()
}

/// Beside S2: children that borrow and run in parallel, while the thread that calls does nothing but wait.
fn borrowing() -> Case {
    const BORROWING: &str =
        "children that borrow, in parallel; the calling thread waits, and returns after all of them";
    let on = On::Tokio;
    Case::new("S2", "borrowing", on, CHILDREN)
        .timed_only()
        .subject("anyscope::blocking_scope", BORROWING, move || {
            plain(move || {
                let _context = on.tokio().enter();
                let sum = AtomicUsize::new(0);
                anyscope::blocking_scope(|s| {
                    for number in 0..CHILDREN {
                        s.spawn(add(&sum, number));
                    }
                });
                sum.into_inner()
            })
        })
        .subject("async-scoped", BORROWING, move || {
            plain(move || {
                let _context = on.tokio().enter();
                let sum = AtomicUsize::new(0);
                TokioScope::scope_and_block(|s| {
                    for number in 0..CHILDREN {
                        s.spawn(add(&sum, number));
                    }
                });
                sum.into_inner()
            })
        })
}

async fn add(sum: &AtomicUsize, number: usize) {
    sum.fetch_add(number, Ordering::Relaxed);
}

/// S7: a thousand groups, one after the other, of one child each.
fn one(on: On) -> Case {
    let bare = bare_name(on);
    let case = Case::new("S7", "one-child", on, CHILDREN).instructions(Limit::OfPeer(1.1, bare));
    let case = case.time(Limit::OfPeer(1.1, bare));
    alone(case)
}

/// S8: S1 to S4 again, for their memory.
fn memory(on: On) -> Case {
    let case = Case::new("S8", "memory", on, CHILDREN).together().allocs(1.0).bytes(160.0);
    subjects::<Ready>(case, CHILDREN)
}

/// Who spawns on a runtime without a group around.
pub(crate) fn bare_name(on: On) -> &'static str {
    match on {
        On::Nothing | On::TokioCurrentThread | On::Tokio => "tokio::spawn",
        On::SmolOneThread | On::Smol => "Executor::spawn",
        On::AsyncStd => "async_std::spawn",
    }
}

/// Everybody who can have `children` of a shape.
pub(crate) fn subjects<S: Shape>(case: Case, children: usize) -> Case {
    let on = case.runtime;
    let case = case.subject("anyscope", GROUP, rounds::<S, _, _>(on, Whose::Ours, children, group::<S>));
    let bare = bare_name(on);
    match on {
        On::Nothing | On::TokioCurrentThread | On::Tokio => case
            .subject(bare, BARE, rounds::<S, _, _>(on, Whose::Peers, children, tokio_spawn::<S>))
            .subject("JoinSet", SET, rounds::<S, _, _>(on, Whose::Peers, children, join_set::<S>))
            .subject("JoinMap", SET, rounds::<S, _, _>(on, Whose::Peers, children, join_map::<S>))
            .subject("TaskTracker", TRACKER, rounds::<S, _, _>(on, Whose::Peers, children, tracker::<S>)),
        On::SmolOneThread => {
            case.subject(bare, BARE_SMOL, rounds::<S, _, _>(on, Whose::Peers, children, smol_one_thread::<S>))
        }
        On::Smol => case
            .subject(bare, BARE_SMOL, rounds::<S, _, _>(on, Whose::Peers, children, smol_two_threads::<S>))
            .subject("StaticExecutor::spawn", BARE_SMOL, move || {
                let signals = Signals::of(children);
                on_static(move || smol_static::<S>(signals, children))
            }),
        On::AsyncStd => case.subject(bare, BARE, rounds::<S, _, _>(on, Whose::Peers, children, async_std_spawn::<S>)),
    }
}

/// Those of whom a million are had.
pub(crate) fn few(case: Case, children: usize) -> Case {
    let on = case.runtime;
    case.subject("anyscope", GROUP, rounds::<Ready, _, _>(on, Whose::Ours, children, group::<Ready>))
        .subject(bare_name(on), BARE, rounds::<Ready, _, _>(on, Whose::Peers, children, tokio_spawn::<Ready>))
        .subject("JoinSet", SET, rounds::<Ready, _, _>(on, Whose::Peers, children, join_set::<Ready>))
}

/// Those who make sense with one child.
fn alone(case: Case) -> Case {
    let on = case.runtime;
    let case = case.subject("anyscope", GROUP, in_turn(on, Whose::Ours, group::<Ready>));
    let bare = bare_name(on);
    match on {
        On::Nothing | On::TokioCurrentThread | On::Tokio => case
            .subject(bare, BARE, in_turn(on, Whose::Peers, tokio_spawn::<Ready>))
            .subject("JoinSet", SET, in_turn(on, Whose::Peers, join_set::<Ready>)),
        On::SmolOneThread => case.subject(bare, BARE_SMOL, in_turn(on, Whose::Peers, smol_one_thread::<Ready>)),
        On::Smol => case.subject(bare, BARE_SMOL, in_turn(on, Whose::Peers, smol_two_threads::<Ready>)),
        On::AsyncStd => case.subject(bare, BARE, in_turn(on, Whose::Peers, async_std_spawn::<Ready>)),
    }
}

/// A round is all children at once.
fn rounds<S, W, F>(on: On, whose: Whose, children: usize, work: W) -> impl Fn() -> Rounds + 'static
where
    S: Shape,
    W: Fn(&'static Signals, usize) -> F + Copy + Send + 'static,
    F: Future<Output = usize> + Send + 'static,
{
    move || {
        let signals = Signals::of(children);
        on.rounds(whose, move || work(signals, children))
    }
}

/// A round is as many groups, of one child each.
fn in_turn<W, F>(on: On, whose: Whose, work: W) -> impl Fn() -> Rounds + 'static
where
    W: Fn(&'static Signals, usize) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = usize> + Send + 'static,
{
    move || {
        let signals = Signals::of(1);
        on.rounds(whose, move || async move {
            for _ in 0..CHILDREN {
                work(signals, 1).await;
            }
        })
    }
}

async fn group<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    anyscope::task_group(async |g| {
        let mut tasks = Vec::with_capacity(children);
        tasks.extend((0..children).map(|number| g.spawn(S::child(signals, number))));
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        sum
    })
    .await
}

/// Spawns all, then awaits all.
macro_rules! handles {
    ($spawn:expr, $signals:ident, $children:ident, $joined:expr) => {{
        let mut tasks = Vec::with_capacity($children);
        tasks.extend((0..$children).map(|number| $spawn(S::child($signals, number))));
        let mut sum = 0;
        for task in tasks {
            sum += $joined(task.await);
        }
        sum
    }};
}

async fn tokio_spawn<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    handles!(tokio::spawn, signals, children, Result::unwrap)
}

async fn tracker<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    let tracker = TaskTracker::new();
    let sum = handles!(|child| tracker.spawn(child), signals, children, Result::unwrap);
    tracker.close();
    tracker.wait().await;
    sum
}

async fn join_set<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    let mut set = JoinSet::new();
    for number in 0..children {
        set.spawn(S::child(signals, number));
    }
    let mut sum = 0;
    while let Some(joined) = set.join_next().await {
        sum += joined.unwrap();
    }
    sum
}

async fn join_map<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    let mut map = JoinMap::new();
    for number in 0..children {
        map.spawn(number, S::child(signals, number));
    }
    let mut sum = 0;
    while let Some((_, joined)) = map.join_next().await {
        sum += joined.unwrap();
    }
    sum
}

async fn smol_one_thread<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    let executor = On::SmolOneThread.executor();
    handles!(|child| executor.spawn(child), signals, children, std::convert::identity)
}

async fn smol_two_threads<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    let executor = On::Smol.executor();
    handles!(|child| executor.spawn(child), signals, children, std::convert::identity)
}

async fn smol_static<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    handles!(|child| STATIC.spawn(child), signals, children, std::convert::identity)
}

async fn async_std_spawn<S: Shape>(signals: &'static Signals, children: usize) -> usize {
    handles!(async_std::task::spawn, signals, children, std::convert::identity)
}
