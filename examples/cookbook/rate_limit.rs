//! At most so many calls a second, in the order of asking, whoever calls.
//!
//! When: the other side counts. A `Semaphore` bounds how many calls are under way at a time; this bounds how many begin
//! in a time. It has no task of its own: each caller takes the next free moment, and sleeps until then.
//!
//! ```text
//! cargo run --example cookbook rate-limit
//! ```

use anyscope::sim::Sim;
use anyscope::{gather, now, sleep_until};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        // Ten a second, and three at once after a pause.
        let rate = Rate::new(Duration::from_millis(100), 3);
        gather((1..=7).map(async |call| {
            rate.turn().await;
            println!("call {call} at {:?}", now() - started);
        }))
        .await;
    });
}

struct Rate {
    every: Duration,
    burst: u32,
    /// When the next would begin, were there no burst.
    next: Mutex<Option<Instant>>,
}

impl Rate {
    fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst, next: Mutex::new(None) }
    }

    async fn turn(&self) {
        let now = now();
        let at = {
            let mut next = self.next.lock().unwrap();
            let at = next.map_or(now, |next| next.max(now));
            *next = Some(at + self.every);
            at
        };
        // Whoever is dropped here has used its turn up: the next ones don't move forward.
        sleep_until(at.checked_sub(self.every * (self.burst - 1)).unwrap_or(now)).await;
    }
}

// Output:
// call 1 at 0ns
// call 2 at 0ns
// call 3 at 0ns
// call 4 at 100ms
// call 5 at 200ms
// call 6 at 300ms
// call 7 at 400ms
