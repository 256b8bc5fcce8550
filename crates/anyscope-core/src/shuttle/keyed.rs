use super::{Tally, join, one_in, pause, rest, threads};
use crate::group::{TaskGroup, task_group};
use crate::models::{Threads, block_on, scenario};
use crate::run::run;
use std::sync::Arc;

/// Four threads spawn four children each under two keys, take the keys from one another, cancel who has one, or wait
/// until it is free: never do two of one key run, and at the end all keys are free.
#[test]
fn one_at_a_time_runs_under_a_key() {
    scenario(|| {
        let runtime = Threads::parallel(3);
        let (alive, inside) = (Tally::default(), [Tally::default(), Tally::default()]);
        let (spawning, keyed) = run(
            runtime.clone(),
            task_group(async |g: &TaskGroup<Threads>| {
                let keyed = Arc::new(g.keyed::<usize>());
                let (alive, own) = (alive.clone(), keyed.clone());
                let spawning = threads(4, move |number| {
                    for round in 0..4 {
                        let key = (number + round) % 2;
                        let (entry, inside) = (alive.enter(), inside[key].clone());
                        let child = async move {
                            let _entry = entry;
                            let _inside = inside.enter();
                            assert_eq!(inside.get(), 1, "two run under one key");
                            pause().await;
                        };
                        if one_in(3) {
                            drop(own.try_spawn(key, child));
                        } else {
                            drop(own.spawn(key, child));
                        }
                        match super::below(4) {
                            0 => drop(own.cancel(&key)),
                            1 => block_on(own.vacant(&key)),
                            _ => rest(),
                        }
                    }
                });
                for _ in 0..6 {
                    pause().await;
                }
                (spawning, keyed)
            }),
        );
        join(spawning);
        runtime.join();
        assert_eq!((alive.get(), keyed.is_empty()), (0, true));
    });
}
