//! M1: something like a service. 10,000 requests, 256 in flight; each fans out to eight sub-requests with a deadline each.
//! One request in a hundred has a sub-request that never answers, and one a sub-request that fails: either way the
//! siblings are cancelled, and the request ends after all of them.
//!
//! A sub-request yields twice and computes a little, and its deadline is far away: nobody but those that never answer
//! should meet it. How long a request takes is measured in it, and for one that times
//! out without its deadline: what is told is how late the deadline was. The hand-written ones promise the same, as far as
//! one writes it by hand: a panic of a sub-request, say, is only passed on.

use crate::case::{Case, Limit, Rounds};
use crate::runtimes::{On, Whose};
use crate::shape::yield_once;
use anyscope::{gather, timeout, try_task_group};
use futures_lite::FutureExt as _;
use std::future::pending;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const REQUESTS: usize = 10_000;
const IN_FLIGHT: usize = 256;
const FAN_OUT: usize = 8;
const DEADLINE: Duration = Duration::from_millis(250);

const OURS: &str = "siblings are cancelled and joined on the first error, and wherever it is dropped; deadlines nest";
const BY_HAND: &str = "siblings are cancelled and joined on the first error; dropped, leaves some running for a while";

pub(crate) fn cases() -> Vec<Case> {
    [On::TokioCurrentThread, On::Tokio, On::Smol, On::AsyncStd].map(mix).into()
}

fn mix(on: On) -> Case {
    let case = Case::new("M1", "requests", on, REQUESTS).timed_only();
    let case = case.subject("anyscope", OURS, move || {
        on.rounds(Whose::Ours, || async {
            let outcomes = gather((0..REQUESTS).map(|number| timed(ours(number)))).limit(IN_FLIGHT).parallel();
            settle(outcomes.await)
        })
    });
    // What the target is in throughput, in time for each request.
    match on {
        On::TokioCurrentThread | On::Tokio => {
            case.time(Limit::OfPeer(1.0 / 1.2, "by hand on tokio"))
                .subject("by hand on tokio", BY_HAND, move || on.rounds(Whose::Peers, tokio_by_hand))
        }
        On::Smol => case.time(Limit::OfPeer(1.0 / 1.2, "by hand on smol")).subject("by hand on smol", BY_HAND, smol),
        // async-std is discontinued: what one would write by hand on it is what one would on smol.
        _ => case,
    }
}

fn smol() -> Rounds {
    On::Smol.rounds(Whose::Peers, smol_by_hand)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Late,
    Failed,
}

/// How a request ended, and how long it took.
type Ended = (Result<usize, Failure>, Duration);

/// Of the requests since somebody last asked.
static TOOK: Mutex<Vec<Duration>> = Mutex::new(Vec::new());

/// How long the requests took since the last call.
pub(crate) fn take_durations() -> Vec<Duration> {
    std::mem::take(&mut TOOK.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Keeps how long each took. One that was to answer may have been late, on a machine that has other things to do.
fn settle(ended: Vec<Ended>) {
    assert_eq!(ended.len(), REQUESTS);
    let late = ended.iter().filter(|(out, _)| *out == Err(Failure::Late)).count();
    assert!(late >= REQUESTS / 100, "{late} timed out, and more were never to answer");
    let took = ended.into_iter().map(|(out, took)| match out {
        Err(Failure::Late) => took.saturating_sub(DEADLINE),
        _ => took,
    });
    TOOK.lock().unwrap_or_else(PoisonError::into_inner).extend(took);
}

async fn timed(request: impl Future<Output = Result<usize, Failure>>) -> Ended {
    let start = Instant::now();
    let out = request.await;
    (out, start.elapsed())
}

/// The work itself, the same for all.
async fn sub_request(request: usize, part: usize) -> Result<usize, Failure> {
    yield_once().await;
    let sum = (0..64).fold(request, |sum, number| black_box(sum ^ (number * part)));
    yield_once().await;
    match (request % 100, part) {
        (7, 3) => pending().await,
        (57, 5) => Err(Failure::Failed),
        _ => Ok(sum),
    }
}

async fn ours(request: usize) -> Result<usize, Failure> {
    let joined = try_task_group(async |g| {
        let parts: Vec<_> = (0..FAN_OUT)
            .map(|part| {
                g.spawn(
                    async move { timeout(DEADLINE, sub_request(request, part)).await.unwrap_or(Err(Failure::Late)) },
                )
            })
            .collect();
        let mut sum: usize = 0;
        for part in parts {
            sum = sum.wrapping_add(part.await);
        }
        Ok(sum)
    });
    joined.await.map_err(|error| *error.first())
}

async fn on_tokio(request: usize) -> Result<usize, Failure> {
    let token = CancellationToken::new();
    let mut parts = JoinSet::new();
    for part in 0..FAN_OUT {
        let token = token.clone();
        parts.spawn(async move {
            let answer = tokio::time::timeout(DEADLINE, sub_request(request, part));
            token.run_until_cancelled_owned(answer).await.map(|answer| answer.unwrap_or(Err(Failure::Late)))
        });
    }
    let mut sum: usize = 0;
    let mut first = None;
    while let Some(part) = parts.join_next().await {
        match part.expect("no part panics") {
            Some(Ok(answer)) => sum = sum.wrapping_add(answer),
            Some(Err(failure)) => {
                first.get_or_insert(failure);
                token.cancel();
            }
            // It was cancelled.
            None => {}
        }
    }
    first.map_or(Ok(sum), Err)
}

async fn tokio_by_hand() {
    let semaphore = Arc::new(tokio::sync::Semaphore::new(IN_FLIGHT));
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let permit = semaphore.clone().acquire_owned().await.expect("it isn't closed");
        requests.spawn(async move {
            let ended = timed(on_tokio(number)).await;
            drop(permit);
            ended
        });
    }
    settle(requests.join_all().await);
}

async fn on_smol(request: usize) -> Result<usize, Failure> {
    let executor = On::Smol.executor();
    let (sender, answers) = async_channel::bounded(FAN_OUT);
    let parts: Vec<_> = (0..FAN_OUT)
        .map(|part| {
            let sender = sender.clone();
            executor.spawn(async move {
                let late = async {
                    async_io::Timer::after(DEADLINE).await;
                    Err(Failure::Late)
                };
                let answer = sub_request(request, part).or(late).await;
                // Who asked may have given up.
                let _ = sender.send(answer).await;
            })
        })
        .collect();
    let mut sum: usize = 0;
    for _ in 0..FAN_OUT {
        match answers.recv().await.expect("a sender is here") {
            Ok(answer) => sum = sum.wrapping_add(answer),
            Err(failure) => {
                for part in parts {
                    part.cancel().await;
                }
                return Err(failure);
            }
        }
    }
    for part in parts {
        part.await;
    }
    Ok(sum)
}

async fn smol_by_hand() {
    let executor = On::Smol.executor();
    let semaphore = Arc::new(async_lock::Semaphore::new(IN_FLIGHT));
    let mut requests = Vec::with_capacity(REQUESTS);
    for number in 0..REQUESTS {
        let permit = semaphore.acquire_arc().await;
        requests.push(executor.spawn(async move {
            let ended = timed(on_smol(number)).await;
            drop(permit);
            ended
        }));
    }
    let mut ended = Vec::with_capacity(REQUESTS);
    for request in requests {
        ended.push(request.await);
    }
    settle(ended);
}
