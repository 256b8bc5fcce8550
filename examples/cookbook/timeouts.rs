//! A timeout of the whole, one for each item, and one inside another.
//!
//! When: something may take too long. What is late is dropped, and everything that it started ends with it.
//!
//! ```text
//! cargo run --example cookbook timeouts
//! ```

use anyscope::sim::Sim;
use anyscope::{gather, now, sleep, timeout};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        // The whole: all three in four seconds, or nothing.
        let started = now();
        let all = timeout(Duration::from_secs(4), gather([1, 3, 5].map(fetch))).await;
        println!("the whole: {all:?} after {:?}", now() - started);

        // Each item: whoever is late is left out. It counts from when the item's turn comes.
        let started = now();
        let each = gather([1, 3, 5].map(fetch)).timeout_each(Duration::from_secs(4)).await;
        println!("each:      {each:?} after {:?}", now() - started);

        // Nested: an inner timeout can only make it tighter. The `Elapsed` that one sees is one's own: here the inner
        // never reports, because it is the outer's time that is up.
        let started = now();
        let nested = timeout(Duration::from_secs(2), async {
            let inner = timeout(Duration::from_secs(60), fetch(5)).await;
            println!("never printed: {inner:?}");
        });
        println!("nested:    {:?} after {:?}", nested.await, now() - started);

        // Ready wins over late, and no time at all is still one try.
        println!("at once:   {:?}", timeout(Duration::ZERO, async { "ready" }).await);
    });
}

async fn fetch(seconds: u64) -> String {
    sleep(Duration::from_secs(seconds)).await;
    format!("{seconds} s")
}

// Output:
// the whole: Err(Elapsed) after 4s
// each:      [Ok("1 s"), Ok("3 s"), Err(Elapsed)] after 4s
// nested:    Err(Elapsed) after 2s
// at once:   Ok("ready")
