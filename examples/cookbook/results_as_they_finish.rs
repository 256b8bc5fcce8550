//! Results handed over as they finish, while the rest goes on.
//!
//! When: each result is written, sent or shown by itself, and the order doesn't matter. The consumer may take its time:
//! the others are polled on meanwhile, though no more than the limit are started.
//!
//! ```text
//! cargo run --example cookbook results-as-they-finish
//! ```

use anyscope::sim::Sim;
use anyscope::{gather, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let files = [("video.mp4", 40), ("notes.txt", 1), ("photo.jpg", 2), ("song.ogg", 4)];

        gather(files.map(|(name, minutes)| convert(name.to_owned(), minutes)))
            .limit(3)
            // `move`, and nothing borrowed: so the whole can be in a task that is spawned, too.
            .for_each(async move |index, file| {
                println!("{:>5?}: number {index} is ready, {} of {} bytes", now() - started, file.name, file.bytes);
                store(file).await;
            })
            .await;

        println!("{:>5?}: all are stored", now() - started);
    });
}

struct Converted {
    name: String,
    bytes: u64,
}

async fn convert(name: String, minutes: u64) -> Converted {
    sleep(Duration::from_secs(60 * minutes)).await;
    Converted { name, bytes: 1000 * minutes }
}

async fn store(file: Converted) {
    sleep(Duration::from_millis(file.bytes)).await;
}

// Output:
//   60s: number 1 is ready, notes.txt of 1000 bytes
//  120s: number 2 is ready, photo.jpg of 2000 bytes
//  300s: number 3 is ready, song.ogg of 4000 bytes
// 2400s: number 0 is ready, video.mp4 of 40000 bytes
// 2440s: all are stored
