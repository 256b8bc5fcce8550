//! Restarts what fails, whether by an error or a panic, with a break in between; gives up when it fails too often.
//!
//! When: a connection, a consumer, a watcher has to be there for as long as the application, and may break.
//!
//! ```text
//! cargo run --example cookbook supervisor
//! ```

use anyscope::sim::Sim;
use anyscope::{Outcome, gather, now, sleep, task_group};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub fn main() {
    // Panics are told below, as values.
    std::panic::set_hook(Box::new(|_| {}));

    anyscope::run(Sim::new(), async {
        let runs = Arc::new(AtomicU32::new(0));
        let gave_up = task_group(async |g| {
            let supervised =
                g.task("feed").spawn(supervise("feed", 3, Duration::from_secs(60), move || feed(runs.clone())));
            supervised.await
        });
        println!("{}", gave_up.await);
    });
}

/// Runs until it has failed more than `most` times in a row. A run of `healthy` or longer begins the count anew.
async fn supervise<F>(name: &str, most: u32, healthy: Duration, mut service: impl FnMut() -> F) -> String
where
    F: Future<Output = Result<(), String>>,
{
    let mut failures = 0;
    loop {
        let started = now();
        // A gather of one, so that a panic becomes a value.
        let how = gather([service()]).settled().await.pop();
        let why = match how.expect("one each") {
            Outcome::Completed(Ok(())) => return format!("{name} came to its end"),
            Outcome::Completed(Err(error)) => error,
            Outcome::Panicked(panic) => panic.to_string(),
            other => format!("{other:?}"),
        };
        let ran = now() - started;
        failures = if ran >= healthy { 1 } else { failures + 1 };
        println!("{name} failed after {ran:?}: {why}");
        if failures > most {
            return format!("{name} failed {failures} times in a row, for good");
        }
        sleep(Duration::from_secs(1 << failures)).await;
    }
}

async fn feed(runs: Arc<AtomicU32>) -> Result<(), String> {
    match runs.fetch_add(1, Ordering::Relaxed) {
        0 => Err("connection refused".to_owned()),
        1 => {
            sleep(Duration::from_secs(3600)).await;
            panic!("a message without a head")
        }
        _ => {
            sleep(Duration::from_secs(1)).await;
            Err("connection lost".to_owned())
        }
    }
}

// Output:
// feed failed after 0ns: connection refused
// feed failed after 3600s: panicked: a message without a head
// feed failed after 1s: connection lost
// feed failed after 1s: connection lost
// feed failed after 1s: connection lost
// feed failed 4 times in a row, for good
