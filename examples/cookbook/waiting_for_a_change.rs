//! Tasks that wait until something is so, and are told when it may be: `Condvar`.
//!
//! When: the condition is about a value that others change, and a channel doesn't say it: "as soon as there are three", "as
//! soon as nobody is in there".
//!
//! ```text
//! cargo run --example cookbook waiting-for-a-change
//! ```

use anyscope::sim::Sim;
use anyscope::sync::{Condvar, Mutex};
use anyscope::{gather, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let (stock, changed) = (Mutex::new(0), Condvar::new());

        let buy = async |name, wants| {
            let mut stock = changed.wait_while(stock.lock().await, |stock| *stock < wants).await;
            *stock -= wants;
            println!("{:?}: {name} takes {wants}, {stock} are left", now() - started);
        };
        let deliveries = async {
            for delivered in [1, 2, 3] {
                sleep(Duration::from_secs(1)).await;
                *stock.lock().await += delivered;
                println!("{:?}: {delivered} are delivered", now() - started);
                changed.notify_all();
            }
        };
        gather((buy("ann", 3), buy("bob", 1), buy("cy", 2), deliveries)).await;
    });
}

// Output:
// 1s: 1 are delivered
// 1s: bob takes 1, 0 are left
// 2s: 2 are delivered
// 2s: cy takes 2, 0 are left
// 3s: 3 are delivered
// 3s: ann takes 3, 0 are left
