//! One program on the simulator: hours in no time, an error that few orders show, a deadlock that says who waits for whom.
//!
//! cargo run --example simulator

#![forbid(unsafe_code)]

use anyscope::sim::{Explore, Sim, explore};
use anyscope::sync::Mutex;
use anyscope::{now, sleep, task_group, yield_now};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn main() {
    let started = Instant::now();
    anyscope::run(Sim::seed(1), async {
        let before = now();
        sleep(Duration::from_secs(24 * 3600)).await;
        println!("{:?} of the simulator's time", now() - before);
    });
    println!("less than a second of ours: {}\n", started.elapsed() < Duration::from_secs(1));

    println!("two withdrawals, with {}", Explore::new().exhaustive(3).run(|| withdraw(Order::OneAfterTheOther)));
    println!("and without care:");
    assert!(catch_unwind(|| explore(|| withdraw(Order::AsItComes))).is_err());

    println!("\ntwo who want knife and fork:");
    let stuck = catch_unwind(|| anyscope::run(Sim::new(), dinner()));
    assert!(stuck.is_err(), "they don't get them");
}

#[derive(Clone, Copy)]
enum Order {
    OneAfterTheOther,
    AsItComes,
}

/// Takes ten from a hundred, twice.
async fn withdraw(order: Order) {
    let account = Arc::new((Mutex::new(()), AtomicU32::new(100)));
    task_group(async |g| {
        for _ in 0..2 {
            let account = account.clone();
            g.spawn(async move {
                let (lock, balance) = &*account;
                let _turn = match order {
                    Order::OneAfterTheOther => Some(lock.lock().await),
                    Order::AsItComes => None,
                };
                let seen = balance.load(Ordering::SeqCst);
                yield_now().await; // asks somebody, say
                balance.store(seen - 10, Ordering::SeqCst);
            });
        }
    })
    .await;
    assert_eq!(account.1.load(Ordering::SeqCst), 80);
}

async fn dinner() {
    let (knife, fork) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    task_group(async |g| {
        for (name, first, second) in [("left", &knife, &fork), ("right", &fork, &knife)] {
            let (first, second) = (first.clone(), second.clone());
            g.task(name).spawn(async move {
                let _first = first.lock().await;
                yield_now().await;
                let _second = second.lock().await;
            });
        }
    })
    .await;
}
