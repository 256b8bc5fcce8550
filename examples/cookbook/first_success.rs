//! The first of several to succeed; where none does, all their errors.
//!
//! When: the same thing can be had in several places, and any will do: mirrors, replicas, caches. See `hedged-request` for
//! not asking all of them at once.
//!
//! ```text
//! cargo run --example cookbook first-success
//! ```

use anyscope::sim::Sim;
use anyscope::{now, race_ok, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let file = race_ok(["broken.example", "slow.example", "fast.example"].map(download)).await;
        println!("{} after {:?}", file.unwrap(), now() - started);

        let errors = race_ok(["broken.example", "gone.example"].map(download)).await.unwrap_err();
        println!("nobody has it: {}", errors.join("; "));
    });
}

async fn download(mirror: &str) -> Result<String, String> {
    let (latency, is_there) = match mirror {
        "fast.example" => (300, true),
        "slow.example" => (9000, true),
        _ => (10, false),
    };
    sleep(Duration::from_millis(latency)).await;
    if is_there { Ok(format!("file.tar.gz from {mirror}")) } else { Err(format!("{mirror}: 404")) }
}

// Output:
// file.tar.gz from fast.example after 300ms
// nobody has it: broken.example: 404; gone.example: 404
