//! A step that a cancellation doesn't cut in half.
//!
//! When: between two awaits something is neither done nor undone: money was taken and not yet booked. The shield has a
//! budget: after that, what is pending outside strikes after all.
//!
//! ```text
//! cargo run --example cookbook shield
//! ```

use anyscope::sim::Sim;
use anyscope::{CancelToken, now, shield, sleep, task_group};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        task_group(async |g| {
            let token = CancelToken::new();
            let order = g.spawn({
                let token = token.clone();
                async move { token.run(order()).await }
            });

            // The customer presses "stop" in the middle of the payment.
            sleep(Duration::from_millis(1500)).await;
            token.cancel_with("the customer pressed stop");

            let stopped = order.await.unwrap_err();
            println!("{:?} after {:?}", stopped.reason().message().unwrap(), now() - started);
        })
        .await;
    });
}

async fn order() {
    step("reserve the goods").await;

    // Both or none.
    shield(Duration::from_secs(10), async {
        step("take the money").await;
        step("write the invoice").await;
    })
    .await;

    step("ship the goods").await;
}

async fn step(what: &str) {
    sleep(Duration::from_secs(1)).await;
    println!("{what}: done");
}

// Output:
// reserve the goods: done
// take the money: done
// write the invoice: done
// "the customer pressed stop" after 3s
