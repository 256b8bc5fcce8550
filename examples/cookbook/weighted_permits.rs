//! A bound on a sum: of bytes in memory, say, where each job takes as many as it needs.
//!
//! When: the jobs are of different weight, so that their number says little. Whoever wants much waits until there is enough
//! and isn't overtaken meanwhile by those who want little.
//!
//! ```text
//! cargo run --example cookbook weighted-permits
//! ```

use anyscope::sim::Sim;
use anyscope::{Semaphore, gather, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let megabytes = Semaphore::new(100);
        gather([("thumbnail", 10), ("poster", 60), ("billboard", 90), ("icon", 10)].map(async |(image, needs)| {
            let permit = megabytes.acquire_many(needs).await.expect("it isn't closed");
            println!("{:>3?}: {image} begins, with {needs} MB", now() - started);
            sleep(Duration::from_secs(needs as u64)).await;
            drop(permit);
        }))
        .await;

        // More than there can ever be is an error, and no wait for ever.
        println!("a map of the world: {}", megabytes.acquire_many(101).await.unwrap_err());
    });
}

// Output:
// 0ns: thumbnail begins, with 10 MB
// 0ns: poster begins, with 60 MB
// 60s: billboard begins, with 90 MB
// 60s: icon begins, with 10 MB
// a map of the world: more permits were asked for than the semaphore has in all
