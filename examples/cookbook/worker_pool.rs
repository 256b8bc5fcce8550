//! A fixed number of workers that take jobs from one queue, each with something of its own to work with.
//!
//! When: a worker is dear to set up: a connection, a model, a warm cache. Where it isn't, `gather(..).limit(n)` is shorter:
//! see `bounded-fan-out`.
//!
//! ```text
//! cargo run --example cookbook worker-pool
//! ```

use anyscope::sim::Sim;
use anyscope::{channel, now, sleep, task_group};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let done = task_group(async |g| {
            let (jobs, queue) = channel::bounded(4);
            let (results, collected) = channel::unbounded();
            for name in ["ann", "bob", "cy"] {
                // A clone of a receiver is another who takes from the same queue.
                g.task(name).spawn(worker(name, queue.clone(), results.clone()));
            }
            drop(results);

            for job in 1..=9 {
                jobs.send(job).await.expect("there are workers");
            }
            drop(jobs);

            let mut done = Vec::new();
            while let Ok((name, squares)) = collected.recv().await {
                println!("{name} did {squares:?}");
                done.extend(squares);
            }
            done
        })
        .await;
        println!("{} jobs in {:?}", done.len(), now() - started);
    });
}

/// Works until there are no more jobs.
async fn worker(name: &'static str, queue: channel::Receiver<u32>, results: channel::Sender<(&'static str, Vec<u32>)>) {
    sleep(Duration::from_secs(10)).await; // sets up what it works with
    let mut squares = Vec::new();
    while let Ok(job) = queue.recv().await {
        sleep(Duration::from_secs(1)).await;
        squares.push(job * job);
    }
    results.send((name, squares)).await.expect("somebody collects them");
}

// Output:
// ann did [1, 16, 49]
// bob did [4, 25, 64]
// cy did [9, 36, 81]
// 9 jobs in 13s
