//! Something that happens once, and that any number of tasks wait for: `Event`.
//!
//! When: the configuration is loaded, the migration is done, the first peer is there. Whoever comes later finds it set and
//! goes through.
//!
//! ```text
//! cargo run --example cookbook opening-time
//! ```

use anyscope::sim::Sim;
use anyscope::sync::Event;
use anyscope::{now, sleep, task_group, timeout};
use std::sync::Arc;
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let open = Arc::new(Event::new());
        task_group(async |g| {
            for (name, comes_at, patience) in [("ann", 1, 60), ("bob", 2, 3), ("cy", 90, 60)] {
                let open = open.clone();
                g.task(name).spawn(async move {
                    sleep(Duration::from_secs(comes_at)).await;
                    match timeout(Duration::from_secs(patience), open.wait()).await {
                        Ok(()) => println!("{:>3?}: {name} is in", now() - started),
                        Err(_) => println!("{:>3?}: {name} has gone home", now() - started),
                    }
                });
            }
            sleep(Duration::from_secs(30)).await;
            println!("{:>3?}: open", now() - started);
            open.set();
        })
        .await;
    });
}

// Output:
//  5s: bob has gone home
// 30s: open
// 30s: ann is in
// 90s: cy is in
