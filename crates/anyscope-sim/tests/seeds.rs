//! The laws in many interleavings: each check with many seeds, in a world of its own.
//!
//! A few seeds each by default. `SIM_SEEDS=31 cargo test --release -p anyscope-sim --test seeds` is over 10,000 runs.

#![forbid(unsafe_code)]

use anyscope_conformance::{CHECKS, bodies};
use anyscope_sim::Sim;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, thread};

const DEFAULT: u64 = 2;

/// How many seeds each check gets, and which checks: those whose name holds `SIM_ONLY`.
fn settings() -> (u64, String) {
    let seeds = env::var("SIM_SEEDS").map_or(DEFAULT, |seeds| seeds.parse().expect("SIM_SEEDS is a number"));
    (seeds, env::var("SIM_ONLY").unwrap_or_default())
}

#[test]
fn every_check_passes_with_every_seed() {
    let (seeds, only) = settings();
    let (next, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut failed = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(check), Some(body)) = (CHECKS.get(index), bodies::<Sim>().get(index)) else { return failed };
            let name = format!("{}::{}", check.area, check.name);
            if !name.contains(&only) {
                continue;
            }
            for seed in 0..seeds {
                runs.fetch_add(1, Ordering::Relaxed);
                // The checks that forget things leave them behind.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(Sim::seed(seed).lenient()))) {
                    let said = panic.downcast_ref::<String>().map(String::as_str);
                    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
                    failed.push(format!("{name} with seed {seed}: {said}"));
                    break;
                }
            }
        }
    };
    let failed: Vec<_> = thread::scope(|s| {
        let workers = [(); 2].map(|()| s.spawn(work));
        workers.into_iter().flat_map(|worker| worker.join().expect("a failure is a value")).collect()
    });
    println!("{} runs", runs.load(Ordering::Relaxed));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
