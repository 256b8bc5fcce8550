use super::{Tally, below, join, one_in, pause, rest};
use crate::group::{TaskGroup, task_group};
use crate::locks::Event;
use crate::models::{Threads, block_on, poll_once, scenario, thread};
use crate::run::run;
use std::sync::Arc;

/// Twelve children become ready, end before, give up, or wait, while three threads await their readiness or go away, and
/// another may cancel the group. Who is told of a value has it, every other is told why not, and nothing is left.
#[test]
fn whoever_starts_a_child_has_its_value_or_is_told() {
    scenario(|| {
        let (runtime, alive, event) = (Threads::parallel(3), Tally::default(), Arc::new(Event::new()));
        let starting = run(
            runtime.clone(),
            task_group(async |g: &TaskGroup<Threads>| {
                let mut starting: Vec<_> = (0..3)
                    .map(|_| {
                        let starts: Vec<_> = (0..4)
                            .map(|kind| {
                                let (value, inside, event) = (alive.enter(), alive.enter(), event.clone());
                                let start = g.start(|started| async move {
                                    let _inside = inside;
                                    pause().await;
                                    match kind {
                                        0 => drop(started),
                                        1 => return,
                                        _ => started.ready(value),
                                    }
                                    if one_in(2) {
                                        event.wait().await;
                                    }
                                });
                                (kind, start)
                            })
                            .collect();
                        thread::spawn(move || {
                            for (kind, start) in starts {
                                let mut ended = Box::pin(start.outcome());
                                if one_in(3) {
                                    drop(poll_once(&mut ended));
                                    rest();
                                    continue;
                                }
                                match block_on(ended) {
                                    Ok(_value) => assert!(kind > 1),
                                    Err(error) => assert!(kind < 2 || error.outcome().is_cancelled()),
                                }
                            }
                        })
                    })
                    .collect();
                if one_in(2) {
                    let handle = g.handle();
                    starting.push(thread::spawn(move || {
                        rest();
                        handle.cancel();
                    }));
                }
                for _ in 0..below(4) {
                    pause().await;
                }
                event.set();
                starting
            }),
        );
        join(starting);
        runtime.join();
        assert_eq!(alive.get(), 0);
    });
}
