//! One who makes, one who takes, and a channel with room for two in between.
//!
//! When: the two have a pace of their own. A full channel holds up whoever sends, so memory is bounded. When the last
//! sender is gone, what is left is received, and then the end.
//!
//! ```text
//! cargo run --example cookbook producer-consumer
//! ```

use anyscope::sim::Sim;
use anyscope::{channel, now, sleep, task_group};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        task_group(async |g| {
            let (send, receive) = channel(2);

            g.task("producer").spawn(async move {
                for number in 1..=5 {
                    send.send(number).await.expect("the consumer goes on to the end");
                    println!("{:?}: sent {number}", now() - started);
                }
                // Here the sender is dropped, and with it the channel is closed.
            });

            let consumer = g.task("consumer").spawn(async move {
                let mut sum = 0;
                while let Ok(number) = receive.recv().await {
                    sleep(Duration::from_secs(1)).await;
                    sum += number;
                }
                sum
            });
            let sum = consumer.await;
            println!("{:?}: the sum is {sum}", now() - started);
        })
        .await;
    });
}

// Output:
// 0ns: sent 1
// 0ns: sent 2
// 0ns: sent 3
// 1s: sent 4
// 2s: sent 5
// 5s: the sum is 15
