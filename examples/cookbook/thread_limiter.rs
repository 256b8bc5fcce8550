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
use std::sync::Arc;
use std::sync::Barrier;

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

/// Runs eight closures, which wait for each other in rounds of `size`: with a thread less they would hang.
async fn together(limiter: &Limiter, size: usize) -> usize {
    let round = Arc::new(Barrier::new(size));
    let leaders = gather((0..8).map(|_| {
        let round = round.clone();
        unblock(move || round.wait().is_leader()).limiter(limiter)
    }));
    let rounds = leaders.await.into_iter().filter(|leader| *leader).count();
    8 / rounds
}

// Output:
// by default: 40
// with 2: 2 at a time
// with 4: 4 at a time
// with 1: 4 in use, 0 free
// with 1: 1 free
