//! A pool that is opened before the first request, and closed after the last.
//!
//! When: requests share something that has a start and an end of its own. The group of the requests is inside of the one
//! that has the pool, so there is no moment at which a request is without it.
//!
//! ```text
//! cargo run --example cookbook lifespan
//! ```

use anyscope::sim::Sim;
use anyscope::{Semaphore, TaskGroup, now, sleep, task_group};
use std::sync::Arc;
use std::time::Duration;

pub fn main() {
    anyscope::run(
        Sim::new(),
        task_group(async |lifespan| {
            let pool = Pool::open(lifespan, 2).await;

            // The server: it ends after its requests, also when it stops to accept.
            task_group(async |requests| {
                for number in 1..=4 {
                    requests.spawn(handle(number, pool.clone()));
                }
                println!("no more requests are accepted");
            })
            .await;
            println!("the last request is answered");
        }),
    );
}

async fn handle(number: u32, pool: Arc<Pool>) {
    let row = pool.query(number).await;
    println!("request {number}: {row}");
}

struct Pool {
    connections: Semaphore,
}

impl Pool {
    /// Opens the connections. The group closes them when it ends, however that comes about.
    async fn open(lifespan: &TaskGroup, connections: usize) -> Arc<Self> {
        sleep(Duration::from_secs(1)).await;
        println!("pool: {connections} connections are open");

        let pool = Arc::new(Self { connections: Semaphore::new(connections) });
        let closed = pool.clone();
        lifespan.on_exit(async move {
            // Whoever asks from now on is told, and does not wait.
            closed.connections.close();
            sleep(Duration::from_secs(1)).await;
            println!("pool: closed");
        });
        pool
    }

    async fn query(&self, number: u32) -> String {
        let asked = now();
        let _connection = self.connections.acquire().await.expect("the pool is open while there are requests");
        let waited = now() - asked;
        sleep(Duration::from_secs(1)).await;
        format!("row {number}, {waited:?} in the queue")
    }
}

// Output:
// pool: 2 connections are open
// no more requests are accepted
// request 1: row 1, 0ns in the queue
// request 2: row 2, 0ns in the queue
// request 3: row 3, 1s in the queue
// request 4: row 4, 1s in the queue
// the last request is answered
// pool: closed
