//! One function, four runtimes, the same output.
//!
//! When: a library doesn't choose for those who use it, or an application wants to try another. The function names no
//! runtime: it is on whichever is around. An application that is on one already calls it from its own tasks.
//!
//! ```text
//! cargo run --example cookbook four-runtimes
//! ```

use anyscope::async_std::AsyncStd;
use anyscope::smol::Smol;
use anyscope::tokio::Tokio;
use anyscope::{CancelToken, Current, gather, sleep, task_group, timeout, unblock};
use std::time::Duration;

pub fn main() {
    let reports = [
        anyscope::run(Tokio::new(), report()),
        anyscope::run(Tokio::current_thread(), report()),
        anyscope::run(Smol::new(), report()),
        anyscope::run(AsyncStd::new(), report()),
    ];
    for (runtime, _) in &reports {
        println!("on {runtime}");
    }
    let (_, lines) = &reports[0];
    println!("{lines}");
    println!("the same on each: {}", reports.iter().all(|(_, other)| other == lines));
}

async fn report() -> (&'static str, String) {
    let mut lines = Vec::new();

    let sum = task_group(async |g| g.spawn(async { 1 }).await + g.spawn_blocking(|| 2).await);
    lines.push(format!("  group:   {}", sum.await));

    let pages = gather((1..=3).map(async |n| n * n)).limit(2).parallel();
    lines.push(format!("  gather:  {:?}", pages.await));

    let late = timeout(Duration::from_millis(1), sleep(Duration::MAX));
    lines.push(format!("  timeout: {}", late.await.unwrap_err()));

    let token = CancelToken::new();
    token.cancel_with("changed my mind");
    let cancelled = token.run(sleep(Duration::MAX)).await.unwrap_err();
    lines.push(format!("  token:   {}", cancelled.reason().message().unwrap()));

    lines.push(format!("  unblock: {}", unblock(|| "on a thread for that").await));
    (Current::get().name(), lines.join("\n"))
}

// Output:
// on tokio
// on tokio-current-thread
// on smol
// on async-std
//   group:   3
//   gather:  [1, 4, 9]
//   timeout: deadline has elapsed
//   token:   changed my mind
//   unblock: on a thread for that
// the same on each: true
