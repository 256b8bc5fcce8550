//! Messages in batches: as soon as there are enough, or when the first has waited long enough.
//!
//! When: one call for many is cheaper than many calls: rows for a database, lines for a log. A `recv` that is dropped by
//! the timeout loses no message.
//!
//! ```text
//! cargo run --example cookbook batching
//! ```

use anyscope::channel::Receiver;
use anyscope::sim::Sim;
use anyscope::{channel, now, sleep, task_group, timeout_at};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        task_group(async |g| {
            let (send, receive) = channel(16);
            g.spawn(async move {
                while let Some(batch) = next_batch(&receive, 3, Duration::from_millis(100)).await {
                    println!("{:?}: {batch:?}", now() - started);
                }
            });
            for (pause, row) in [(0, "a"), (10, "b"), (10, "c"), (10, "d"), (500, "e"), (10, "f")] {
                sleep(Duration::from_millis(pause)).await;
                send.send(row).await.expect("somebody receives");
            }
        })
        .await;
    });
}

/// `None` when nothing can come any more.
async fn next_batch<T>(rows: &Receiver<T>, most: usize, patience: Duration) -> Option<Vec<T>> {
    let mut batch = vec![rows.recv().await.ok()?];
    let until = now() + patience;
    while batch.len() < most {
        match timeout_at(until, rows.recv()).await {
            Ok(Ok(row)) => batch.push(row),
            // No more for now, or no more at all: the next call tells which.
            Err(_) | Ok(Err(_)) => break,
        }
    }
    Some(batch)
}

// Output:
// 20ms: ["a", "b", "c"]
// 130ms: ["d"]
// 540ms: ["e", "f"]
