//! Several calls with a deadline, and what there is by then.
//!
//! When: some of the answers are better than none, as on a page of search results with a budget of 200 ms.
//!
//! ```text
//! cargo run --example cookbook partial-results
//! ```

use anyscope::sim::Sim;
use anyscope::{gather, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let shards = [30, 90, 450, 120];
        let found = gather(shards.map(search)).within(Duration::from_millis(200)).await;

        // Each with its place in the input.
        for (index, hits) in found.iter() {
            println!("shard {index}: {hits:?}");
        }
        let missing = found.missing().unwrap_or_default();
        println!("{} of {} shards after {:?}; {missing} didn't answer", found.len(), shards.len(), now() - started);

        // All or what there is: `complete` gives the whole `Vec`, or the partial one back.
        let all = gather(shards.map(search)).within(Duration::from_secs(1)).await.complete();
        println!("in a second: {} shards", all.unwrap().len());
    });
}

async fn search(latency: u64) -> Vec<String> {
    sleep(Duration::from_millis(latency)).await;
    vec![format!("hit after {latency} ms")]
}

// Output:
// shard 0: ["hit after 30 ms"]
// shard 1: ["hit after 90 ms"]
// shard 3: ["hit after 120 ms"]
// 3 of 4 shards after 200ms; 1 didn't answer
// in a second: 4 shards
