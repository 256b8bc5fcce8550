//! Says no at once when there is too much to do.
//!
//! When: a queue that only grows helps nobody: whoever waits in it has gone away by the time that it is served. A few may
//! wait, the rest is told to come back later.
//!
//! ```text
//! cargo run --example cookbook overload
//! ```

use anyscope::sim::Sim;
use anyscope::{Semaphore, gather, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let server = Server { places: Semaphore::new(4), workers: Semaphore::new(2) };

        let answers = gather((1..=6).map(async |request| (request, server.handle(request).await))).await;
        for (request, Response { status, body }) in answers {
            println!("request {request}: {status} {body}");
        }

        // The load is gone.
        let Response { status, body } = server.handle(7).await;
        println!("request 7: {status} {body}");
    });
}

struct Server {
    /// For those who are served, and those who may wait.
    places: Semaphore,
    workers: Semaphore,
}

struct Response {
    status: u16,
    body: String,
}

impl Server {
    async fn handle(&self, request: u32) -> Response {
        let Ok(_place) = self.places.try_acquire() else {
            let now = self.places.statistics();
            return Response { status: 503, body: format!("{} places of {} are taken", now.borrowed, now.total) };
        };
        let _worker = self.workers.acquire().await.expect("the server doesn't close");
        sleep(Duration::from_millis(200)).await;
        Response { status: 200, body: format!("answer {request}") }
    }
}

// Output:
// request 1: 200 answer 1
// request 2: 200 answer 2
// request 3: 200 answer 3
// request 4: 200 answer 4
// request 5: 503 4 places of 4 are taken
// request 6: 503 4 places of 4 are taken
// request 7: 200 answer 7
