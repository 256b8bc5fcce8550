//! The live tree of a small service: what each task does, what it waits for, and who holds it.
//!
//! cargo run --example tree

#![forbid(unsafe_code)]

use anyscope::sim::Sim;
use anyscope::{Semaphore, TaskGroup, shield, sleep, task_group, timeout, tree, unblock};
use std::sync::Arc;
use std::time::Duration;

fn main() {
    // Ages, polls and waits from the start; without this, from the first look on.
    tree::record();
    anyscope::run(Sim::new(), async {
        let connections = Arc::new(Semaphore::new(1));
        TaskGroup::builder()
            .name("service")
            .run(async |g| {
                g.task("ticker").spawn_service(async {
                    loop {
                        sleep(Duration::from_secs(10)).await;
                    }
                });
                for (name, seconds) in [("GET /users", 4), ("GET /posts", 1)] {
                    g.task(name).spawn(request(connections.clone(), seconds));
                }
                g.task("report").spawn(async {
                    unblock(|| anyscope::remaining()).await;
                    let _ =
                        timeout(Duration::from_secs(1), shield(Duration::from_secs(5), sleep(Duration::from_secs(3))))
                            .await;
                });
                sleep(Duration::from_secs(2)).await;
                print!("{}", tree());
            })
            .await;
    });
}

/// Needs a connection, and asks two others at once.
async fn request(connections: Arc<Semaphore>, seconds: u64) {
    let _connection = connections.acquire().await;
    task_group(async |g| {
        g.task("query").spawn(sleep(Duration::from_secs(seconds)));
        g.task("cache").spawn(sleep(Duration::from_millis(1)));
    })
    .await;
}
