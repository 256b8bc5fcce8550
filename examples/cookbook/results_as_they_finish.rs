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
        let files = ["video.mp4", "notes.txt", "photo.jpg", "song.ogg"];
        let mut bytes = 0;

        gather(files.map(convert))
            .limit(3)
            .for_each(async |index, size| {
                bytes += size;
                println!("{:>5?}: {} is ready, {size} bytes", now() - started, files[index]);
            })
            .await;

        println!("{bytes} bytes in all");
    });
}

async fn convert(file: &str) -> u64 {
    let minutes = match file {
        "video.mp4" => 40,
        "photo.jpg" => 2,
        "notes.txt" => 1,
        _ => 4,
    };
    sleep(Duration::from_secs(minutes * 60)).await;
    minutes * 1000
}

// Output:
//   60s: notes.txt is ready, 1000 bytes
//  120s: photo.jpg is ready, 2000 bytes
//  300s: song.ogg is ready, 4000 bytes
// 2400s: video.mp4 is ready, 40000 bytes
// 47000 bytes in all
