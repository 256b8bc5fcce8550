//! Enough of several: so many successes, the rest is dropped; or the errors that make it impossible.
//!
//! When: replicas vote, or two of three opinions will do. It ends as soon as there are enough, or there can't be any more.
//!
//! ```text
//! cargo run --example cookbook quorum
//! ```

use anyscope::sim::Sim;
use anyscope::{gather, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let replicas = ["ash", "birch", "cedar", "down", "gone"];

        let started = now();
        let written = gather(replicas.map(write)).quorum(2).await;
        println!("two of five: {:?} after {:?}", written.unwrap(), now() - started);

        let started = now();
        let failed = gather(replicas.map(write)).quorum(4).await.unwrap_err();
        println!("four of five: {} succeeded after {:?}; {failed}", failed.succeeded(), now() - started);
    });
}

async fn write(replica: &'static str) -> Result<&'static str, String> {
    let latency = match replica {
        "ash" => 10,
        "birch" => 40,
        "cedar" => 2000,
        _ => 20,
    };
    sleep(Duration::from_millis(latency)).await;
    if ["down", "gone"].contains(&replica) { Err(format!("{replica} isn't there")) } else { Ok(replica) }
}

// Output:
// two of five: ["ash", "birch"] after 40ms
// four of five: 1 succeeded after 20ms; 1 of the 4 that a quorum needs succeeded, and 2 failed
//   [3]: down isn't there
//   [4]: gone isn't there
