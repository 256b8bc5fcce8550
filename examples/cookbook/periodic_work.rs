//! Something that is done at every tick, for as long as the others are at work.
//!
//! When: a cache is to be refreshed, a lease renewed, numbers reported. A service ends by itself when the group's other
//! children have. `MissedTicks` says what becomes of ticks that pass while a round takes too long.
//!
//! ```text
//! cargo run --example cookbook periodic-work
//! ```

use anyscope::sim::Sim;
use anyscope::{MissedTicks, interval, now, sleep, task_group};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        task_group(async |g| {
            g.spawn_service(async move {
                // The first tick is at once. After a late round the next comes in step, and what was missed is skipped.
                let mut ticks = interval(Duration::from_secs(10)).missed(MissedTicks::Skip);
                for round in 1_u32.. {
                    ticks.tick().await;
                    println!("{:>3?}: round {round}", now() - started);
                    refresh(round).await;
                }
            });
            g.spawn(async move {
                sleep(Duration::from_secs(65)).await;
                println!("{:>3?}: the work is done", now() - started);
            });
        })
        .await;
        println!("{:>3?}: and so is the group", now() - started);
    });
}

async fn refresh(round: u32) {
    sleep(Duration::from_secs(if round == 3 { 24 } else { 1 })).await;
}

// Output:
// 0ns: round 1
// 10s: round 2
// 20s: round 3
// 44s: round 4
// 50s: round 5
// 60s: round 6
// 65s: the work is done
// 65s: and so is the group
