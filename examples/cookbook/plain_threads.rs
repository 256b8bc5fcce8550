//! Async code, called from threads that know nothing of it.
//!
//! When: a callback of a C library, a thread of a GUI, or an old worker wants something done by the async part of the
//! program. A portal leads into a group; what it runs is a child of that.
//!
//! ```text
//! cargo run --example cookbook plain-threads
//! ```

use anyscope::tokio::Tokio;
use anyscope::{Portal, sleep, task_group, unblock};
use std::thread;
use std::time::Duration;

pub fn main() {
    let left = anyscope::run(
        Tokio::new(),
        task_group(async |g| {
            let portal = g.portal();
            let threads: Vec<_> = ["ann", "bob"]
                .map(|name| {
                    let portal = portal.clone();
                    thread::spawn(move || plain(name, &portal))
                })
                .into();
            // Joining a thread blocks, so it is done where that is allowed.
            let said = unblock(|| threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()).await;
            println!("{}", said.join("\n"));
            portal
        }),
    );

    // When the group is over, the thread is told so.
    println!("afterwards: {}", left.call(|| greet("cy")).unwrap_err());
}

/// No `async`, no `await`.
fn plain(name: &'static str, portal: &Portal) -> String {
    // Waits for it, blocking this thread.
    let greeting = portal.call(move || greet(name)).unwrap();
    // Starts it and goes on; the group waits for it.
    portal.spawn(async { sleep(Duration::from_millis(1)).await }).unwrap();
    greeting
}

async fn greet(name: &str) -> String {
    sleep(Duration::from_millis(1)).await;
    format!("hello {name}")
}

// Output:
// hello ann
// hello bob
// afterwards: the group has ended
