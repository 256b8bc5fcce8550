//! Tasks that do their rounds together: nobody begins the next before all have ended this one. `Barrier`.
//!
//! When: each round reads what all wrote in the one before: simulations, iterations, a load test that starts at once. The
//! last to come leads the round.
//!
//! ```text
//! cargo run --example cookbook in-step
//! ```

use anyscope::sim::Sim;
use anyscope::sync::Barrier;
use anyscope::{now, sleep, task_group};
use std::sync::Arc;
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let round_is_over = Arc::new(Barrier::new(3));
        task_group(async |g| {
            for (name, seconds) in [("ann", [1, 5, 2]), ("bob", [4, 1, 1]), ("cy", [2, 2, 3])] {
                let round_is_over = round_is_over.clone();
                g.task(name).spawn(async move {
                    for (round, seconds) in (1..).zip(seconds) {
                        sleep(Duration::from_secs(seconds)).await;
                        if round_is_over.wait().await.is_leader() {
                            println!("{:>3?}: round {round} is over, {name} was last", now() - started);
                        }
                    }
                });
            }
        })
        .await;
    });
}

// Output:
//  4s: round 1 is over, bob was last
//  9s: round 2 is over, ann was last
// 12s: round 3 is over, cy was last
