//! A value that many read and few replace: `RwLock`.
//!
//! When: a configuration, a table of routes, a list of peers. Readers go side by side; one who writes waits for them, and
//! isn't overtaken by later ones. A reader that keeps an `Arc` of the value holds up nobody.
//!
//! ```text
//! cargo run --example cookbook reloaded-config
//! ```

use anyscope::sim::Sim;
use anyscope::sync::RwLock;
use anyscope::{gather, now, sleep};
use std::sync::Arc;
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let config = RwLock::new(Arc::new(Config { greeting: "hello" }));

        let reload = async {
            sleep(Duration::from_secs(3)).await;
            *config.write().await = Arc::new(Config { greeting: "welcome" });
            println!("{:?}: reloaded", now() - started);
        };
        let request = async |number: u64| {
            sleep(Duration::from_secs(2 * number)).await;
            // The lock is free again at the end of this line; the request goes on with what it found.
            let config = config.read().await.clone();
            sleep(Duration::from_secs(2)).await;
            println!("{:?}: request {number}: {}", now() - started, config.greeting);
        };
        gather((reload, request(1), request(2), request(3))).await;
    });
}

struct Config {
    greeting: &'static str,
}

// Output:
// 3s: reloaded
// 4s: request 1: hello
// 6s: request 2: welcome
// 8s: request 3: welcome
