//! An end in two phases: everybody is asked to stop, and who hasn't after the grace is cancelled.
//!
//! When: a process is told to end, and what is under way should be brought to its end, but not for ever. What couldn't be
//! is named.
//!
//! ```text
//! cargo run --example cookbook graceful-shutdown
//! ```

use anyscope::sim::Sim;
use anyscope::{now, race, sleep, stopping, task_group};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        task_group(async |g| {
            g.task("worker").spawn(worker());
            g.task("report").spawn(report());

            ctrl_c().await;
            let started = now();
            let stragglers = g.shutdown(Duration::from_secs(30)).await;

            println!("ended after {:?}", now() - started);
            for task in stragglers.iter() {
                println!("had to be cancelled: {}", task.name().unwrap_or("a task without a name"));
            }
        })
        .await;
    });
}

/// Takes no new job once it is asked to stop, and finishes the one that it has.
async fn worker() {
    loop {
        let job = race((async { Some(next_job().await) }, async {
            stopping().await;
            None
        }));
        let Some(job) = job.await else { break };
        sleep(Duration::from_secs(7)).await;
        println!("job {job} is done");
    }
    println!("no further job");
}

/// Doesn't ask.
async fn report() {
    sleep(Duration::from_secs(3600)).await;
    println!("never printed");
}

async fn next_job() -> u32 {
    sleep(Duration::from_secs(1)).await;
    42
}

/// In an application, the signal: `tokio::signal::ctrl_c()`, or the crate `ctrlc` and an `Event`.
async fn ctrl_c() {
    sleep(Duration::from_secs(10)).await;
}

// Output:
// job 42 is done
// job 42 is done
// no further job
// ended after 30s
// had to be cancelled: report
