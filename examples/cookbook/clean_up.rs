//! Clean-up that can await, and that happens however the work ended: with a value, an error, a panic, or not at all.
//!
//! When: `Drop` isn't enough, because what has to be done takes an await: removing the half of an upload, rolling back,
//! saying goodbye. Where the work was dropped, the group around waits for the clean-up.
//!
//! ```text
//! cargo run --example cookbook clean-up
//! ```

use anyscope::sim::Sim;
use anyscope::{now, sleep, task_group, timeout, with_cleanup};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        println!("{:?}\n", upload("small", 1).await);
        println!("{}\n", upload("broken", 1).await.unwrap_err());

        // Cut by a timeout, which returns when its time is up. The group returns after the clean-up.
        let started = now();
        task_group(async |_| {
            let late = timeout(Duration::from_secs(60), upload("huge", 3600)).await;
            println!("{} after {:?}", late.unwrap_err(), now() - started);
        })
        .await;
        println!("clean after {:?}", now() - started);
    });
}

async fn upload(name: &'static str, seconds: u64) -> Result<u64, String> {
    let work = async {
        sleep(Duration::from_secs(seconds)).await;
        if name == "broken" { Err("checksum mismatch".to_owned()) } else { Ok(seconds * 1_000_000) }
    };
    // It has five seconds, in which nothing interrupts it.
    let clean = async move {
        sleep(Duration::from_millis(200)).await;
        println!("removed {name}.part");
    };
    with_cleanup(work, clean, Duration::from_secs(5)).await.map_err(|error| format!("{name}: {error}"))
}

// Output:
// removed small.part
// Ok(1000000)
//
// removed broken.part
// broken: checksum mismatch
//
// deadline has elapsed after 60s
// removed huge.part
// clean after 60.2s
