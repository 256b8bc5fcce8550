//! A bug that shows in few orders of events, found by trying many; and the same program without it.
//!
//! When: tasks share something, and it works on your machine. Each run has an order that a seed decides; the one that fails
//! is made short, and can be had again. In a test: `#[anyscope::test(seeds = 1000)]`.
//!
//! ```text
//! cargo run --example cookbook many-orders
//! ```

use anyscope::sim::{Explore, explore};
use anyscope::sync::Mutex;
use anyscope::{task_group, yield_now};
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::Arc;

pub fn main() {
    // It says on standard error what happened, and how to have it again.
    let found = catch_unwind(|| explore(|| sell(Cautious::No))).is_err();
    println!("sold twice in some order: {found}");

    let explored = explore(|| sell(Cautious::Yes));
    println!("sold once in each of {} orders", explored.runs());

    // A small program can be explored whole: each order with at most so many deviations from first come, first served.
    let explored = Explore::new().exhaustive(2).run(|| sell(Cautious::Yes));
    println!("everything up to two deviations: {}", explored.is_exhaustive());
}

#[derive(Clone, Copy)]
enum Cautious {
    Yes,
    No,
}

/// Two customers, and one seat.
async fn sell(cautious: Cautious) {
    let seats = Arc::new(Mutex::new(HashMap::new()));
    let sold = task_group(async |g| {
        let buyers = ["ann", "bob"].map(|name| g.task(name).spawn(buy(name, seats.clone(), cautious)));
        let mut sold = 0;
        for buyer in buyers {
            sold += u32::from(buyer.await);
        }
        sold
    });
    assert_eq!(sold.await, 1, "tickets for one seat");
}

async fn buy(name: &'static str, seats: Arc<Mutex<HashMap<u32, &'static str>>>, cautious: Cautious) -> bool {
    if seats.lock().await.contains_key(&7) {
        return false;
    }
    yield_now().await; // the payment
    let mut seats = seats.lock().await;
    if matches!(cautious, Cautious::Yes) && seats.contains_key(&7) {
        return false; // and the money back
    }
    seats.insert(7, name);
    true
}

// Output:
// sold twice in some order: true
// sold once in each of 1000 orders
// everything up to two deviations: true
