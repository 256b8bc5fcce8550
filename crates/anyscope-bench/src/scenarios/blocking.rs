//! B1: closures on threads that may block: one after the other, and ten thousand at a time.
//!
//! anyscope's are bounded by a limiter of 40, see the deadline and the cancellation of their caller, and are waited for.
//! A pool of tokio's or smol's has at most 512 and 500 threads, and rayon's as many as there are processors.

use crate::case::{Case, Limit};
use crate::runtimes::{On, Whose};
use std::hint::black_box;
use tokio::sync::oneshot;

const TRIPS: usize = 100;
const JOBS: usize = 10_000;

const OURS: &str = "at most 40 at a time; the context goes in; waited for also when the caller is cancelled";
const POOL: &str = "at most 512 at a time; dropped, leaves the job running";
const SMOLS: &str = "at most 500 at a time; dropped, loses a job that has not begun";
const RAYON: &str = "as many at a time as processors; for work that computes; dropped, leaves the job running";

pub(crate) fn cases() -> Vec<Case> {
    let trips = [On::Tokio, On::Smol].map(|on| {
        let case = case("round-trip", on, TRIPS);
        with_peers(case, TRIPS, false).subject("anyscope", OURS, move || {
            on.rounds(Whose::Ours, || async {
                for trip in 0..TRIPS {
                    black_box(anyscope::unblock(move || job(trip)).await);
                }
            })
        })
    });
    let jobs = [On::Tokio, On::Smol].map(|on| {
        let case = case("jobs-10000", on, JOBS);
        with_peers(case, JOBS, true).subject("anyscope", OURS, move || {
            on.rounds(Whose::Ours, || {
                anyscope::task_group(async |g| {
                    let tasks: Vec<_> = (0..JOBS).map(|number| g.spawn_blocking(move || job(number))).collect();
                    let mut sum = 0;
                    for task in tasks {
                        sum += task.await;
                    }
                    sum
                })
            })
        })
    });
    trips.into_iter().chain(jobs).collect()
}

fn case(name: &str, on: On, ops: usize) -> Case {
    let pool = if on == On::Tokio { "spawn_blocking" } else { "blocking" };
    Case::new("B1", name, on, ops).timed_only().time(Limit::OfPeer(1.05, pool))
}

fn job(number: usize) -> usize {
    black_box(number)
}

/// The pool of the runtime, and rayon's: all jobs at a time, or each after the one before.
fn with_peers(case: Case, jobs: usize, together: bool) -> Case {
    macro_rules! jobs {
        ($on:expr, |$number:ident| $job:expr) => {
            move || {
                $on.rounds(Whose::Peers, move || async move {
                    let mut sum = 0;
                    if together {
                        let started: Vec<_> = (0..jobs).map(|$number| $job).collect();
                        for job in started {
                            sum += finished(job.await);
                        }
                    } else {
                        for $number in 0..jobs {
                            sum += finished($job.await);
                        }
                    }
                    sum
                })
            }
        };
    }
    let on = case.runtime;
    let case = if on == On::Tokio {
        case.subject("spawn_blocking", POOL, jobs!(on, |number| tokio::task::spawn_blocking(move || job(number))))
    } else {
        case.subject("blocking", SMOLS, jobs!(on, |number| blocking::unblock(move || job(number))))
    };
    case.subject(
        "rayon + oneshot",
        RAYON,
        jobs!(on, |number| {
            let (sender, receiver) = oneshot::channel();
            rayon::spawn(move || sender.send(job(number)).expect("somebody waits"));
            receiver
        }),
    )
}

/// What a job returns, from each pool's own way to say so.
fn finished(out: impl Finished) -> usize {
    out.value()
}

trait Finished {
    fn value(self) -> usize;
}

impl Finished for usize {
    fn value(self) -> usize {
        self
    }
}

impl<E: std::fmt::Debug> Finished for Result<usize, E> {
    fn value(self) -> usize {
        self.expect("it ends well")
    }
}
