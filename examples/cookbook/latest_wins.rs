//! One task for each key, where a new one takes the place of the one before.
//!
//! When: only the last of several requests counts: a search while somebody types, a refresh of a view, a second login. The
//! new one begins when the old one has ended, so they're never there at the same time.
//!
//! ```text
//! cargo run --example cookbook latest-wins
//! ```

use anyscope::sim::Sim;
use anyscope::{Outcome, sleep, task_group};
use std::time::Duration;

pub fn main() {
    anyscope::run(
        Sim::new(),
        task_group(async |g| {
            let searches = g.keyed();
            let mut answers = Vec::new();

            for (user, text) in [("ann", "r"), ("ann", "ru"), ("bob", "c"), ("ann", "rust")] {
                answers.push((user, text, searches.spawn(user, search(text)).unwrap()));
                sleep(Duration::from_millis(100)).await;
            }
            println!("{} users are searching", searches.len());

            for (user, text, answer) in answers {
                match answer.outcome().await {
                    Outcome::Completed(hits) => println!("{user}, {text:?}: {hits} hits"),
                    Outcome::Cancelled(reason) => println!("{user}, {text:?}: {}", reason.message().unwrap()),
                    other => println!("{user}, {text:?}: {other:?}"),
                }
            }
            println!("{} users are searching", searches.len());
        }),
    );
}

async fn search(text: &str) -> usize {
    sleep(Duration::from_millis(400)).await;
    1000 / text.len()
}

// Output:
// 2 users are searching
// ann, "r": another was spawned under its key
// ann, "ru": another was spawned under its key
// bob, "c": 1000 hits
// ann, "rust": 250 hits
// 0 users are searching
