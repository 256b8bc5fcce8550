//! How many closures block a thread at a time: by a limiter that is resized while it is in use.
//!
//! When: the 40 of the default are too many for a database with ten connections, or too few for a slow disk.
//! `blocking_limiter().set_total(100)` resizes the default itself.
//!
//! ```text
//! cargo run --example cookbook thread-limiter
//! ```

use anyscope::smol::Smol;
use anyscope::{Limiter, blocking_limiter, gather, unblock};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

pub fn main() {
    anyscope::run(Smol::new(), async {
        println!("by default: {}", blocking_limiter().statistics().total);

        let database = Limiter::new(2);
        println!("with {}: {} at a time", database.statistics().total, together(&database, 2).await);

        database.set_total(4);
        println!("with {}: {} at a time", database.statistics().total, together(&database, 4).await);

        // Shrinking takes a permit from nobody: it waits until they come back.
        let held = gather((0..4).map(|_| database.acquire())).await;
        database.set_total(1);
        let now = database.statistics();
        println!("with {}: {} in use, {} free", now.total, held.len(), now.available);
        drop(held);
        println!("with {}: {} free", now.total, database.statistics().available);
    });
}

/// Runs eight closures and counts how many block at a time. They wait for each other in rounds of `size`: with a thread
/// less they would hang.
async fn together(limiter: &Limiter, size: usize) -> usize {
    let shared = Arc::new((Barrier::new(size), AtomicUsize::new(0)));
    let counts = gather((0..8).map(|_| {
        let shared = shared.clone();
        let job = move || {
            let (round, at_work) = &*shared;
            let count = at_work.fetch_add(1, Ordering::SeqCst) + 1;
            round.wait();
            at_work.fetch_sub(1, Ordering::SeqCst);
            count
        };
        unblock(job).limiter(limiter)
    }));
    counts.await.into_iter().max().unwrap_or_default()
}

// Output:
// by default: 40
// with 2: 2 at a time
// with 4: 4 at a time
// with 1: 4 in use, 0 free
// with 1: 1 free
