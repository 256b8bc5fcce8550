//! A loop that takes no more in than there is room for.
//!
//! When: connections are accepted, or messages taken from a broker, each for a task of its own. `spawn` never waits: with
//! a limit it queues, without bound. `room` waits until a task would begin at once, so what isn't accepted stays outside.
//!
//! ```text
//! cargo run --example cookbook backpressure
//! ```

use anyscope::sim::Sim;
use anyscope::{TaskGroup, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let group = TaskGroup::builder().name("connections").limit(2).run(async |g| {
            for number in 1..=5 {
                g.room().await;
                // Only now: in a server, `listener.accept().await`.
                println!("{:?}: connection {number} is accepted", now() - started);
                g.spawn(serve(number));
            }
        });
        group.await;
        println!("{:?}: all are served", now() - started);
    });
}

async fn serve(number: u64) {
    sleep(Duration::from_secs(number)).await;
}

// Output:
// 0ns: connection 1 is accepted
// 0ns: connection 2 is accepted
// 1s: connection 3 is accepted
// 2s: connection 4 is accepted
// 4s: connection 5 is accepted
// 9s: all are served
