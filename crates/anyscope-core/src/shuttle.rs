//! Scenarios with many tasks, which shuttle runs with random schedules and with those of PCT (probabilistic concurrency
//! testing), at a depth of three.
//!
//! The models beside the structures are exhaustive, and small; these are large, and drawn by lot. shuttle knows one order
//! of what happens, so that what an atomic's ordering is for is loom's to find.
//!
//! ```text
//! RUSTFLAGS="--cfg anyscope_shuttle" cargo test --release --target-dir target/shuttle -p anyscope-core --lib shuttle
//! ```
//!
//! runs all of them, each with 5,000 schedules of both kinds; `SHUTTLE_SCHEDULES=10000` in front of it says otherwise. A
//! schedule that fails is printed: with `SHUTTLE_REPLAY=` and what was printed, and the scenario's name behind
//! `--lib`, it is run again. What a scenario draws by lot itself is part of its schedule.

mod cancel;
mod channel;
mod gather;
mod group;
mod keyed;
mod limiter;
mod locks;
mod orphan;
mod portal;
mod semaphore;
mod shutdown;
mod start;
mod task;

use crate::models::thread;
use shuttle::rand::{Rng, thread_rng};
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// A number below `bound`, by lot.
fn below(bound: usize) -> usize {
    thread_rng().gen_range(0..bound)
}

/// Once in `times`, by lot.
fn one_in(times: usize) -> bool {
    below(times) == 0
}

/// Gives way to the other tasks of whoever polls this, a few times or not at all.
async fn pause() {
    for _ in 0..below(3) {
        let mut gave_way = false;
        poll_fn(|cx| {
            if mem::replace(&mut gave_way, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Lets other threads run, a few times or not at all.
fn rest() {
    for _ in 0..below(3) {
        thread::yield_now();
    }
}

/// Starts so many threads, each with its number.
fn threads<T: Send + 'static>(
    number: usize,
    f: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<thread::JoinHandle<T>> {
    let f = Arc::new(f);
    (0..number)
        .map(|index| {
            let f = f.clone();
            thread::spawn(move || f(index))
        })
        .collect()
}

fn join<T>(threads: Vec<thread::JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// A count that is no step to shuttle: it looks on, and orders nothing.
#[derive(Clone, Default)]
struct Tally(Arc<AtomicUsize>);

impl Tally {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds, and gives the sum.
    fn add(&self, number: usize) -> usize {
        self.0.fetch_add(number, Ordering::Relaxed) + number
    }

    fn remove(&self, number: usize) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    /// Counts one for as long as what is returned lives.
    fn enter(&self) -> Inside {
        self.add(1);
        Inside(self.clone())
    }
}

struct Inside(Tally);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.remove(1);
    }
}
