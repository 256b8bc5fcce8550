//! A trace: a few requests with a limit, a lock, a deadline and a cancellation, as a picture of who ran when, who waited for
//! what, and who woke whom.
//!
//! ```text
//! cargo run --example trace -- trace.json     # open the file at https://ui.perfetto.dev
//! cargo run --example trace-picture -- trace.json trace.svg
//! ```

#![forbid(unsafe_code)]

use anyscope::sync::Mutex;
use anyscope::{TaskGroup, sleep, task_group, timeout, unblock, yield_now};
use std::sync::Arc;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "trace.json".to_owned());
    let trace = anyscope::trace::to_file(&path)?;
    anyscope::run(anyscope::tokio::Tokio::new(), serve());
    let written = trace.finish()?;
    println!("{path}: {} bytes", written.bytes());
    Ok(())
}

async fn serve() {
    let total = Arc::new(Mutex::new(0));
    TaskGroup::builder()
        .name("requests")
        .limit(3)
        .run(async |g| {
            let late = g.task("late").spawn(async {
                // A second is more than it may take.
                let _ = timeout(millis(3), sleep(Duration::from_secs(1))).await;
                sleep(Duration::from_secs(1)).await;
            });
            // The third of them waits for a place in the group.
            for _ in 0..3 {
                g.task("request").spawn(request(total.clone()));
            }
            sleep(millis(6)).await;
            late.cancel_with("nobody asks any more");
        })
        .await;
    println!("{} bytes in all", total.lock().await);
}

/// Asks two others, and adds up what they say.
async fn request(total: Arc<Mutex<usize>>) {
    let sum = task_group(async |g| {
        let page = g.task("page").spawn(async {
            sleep(millis(1)).await;
            yield_now().await;
            120
        });
        let picture = g.task("picture").spawn(unblock_for(millis(2)));
        page.await + picture.await
    });
    let sum = sum.await;
    let mut total = total.lock().await;
    // Whoever comes meanwhile waits for the lock.
    sleep(millis(1)).await;
    *total += sum;
}

async fn unblock_for(duration: Duration) -> usize {
    unblock(move || {
        std::thread::sleep(duration);
        4_000
    })
    .await
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
