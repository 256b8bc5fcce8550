use super::{Tally, join, one_in, pause, rest, threads};
use crate::group::{TaskGroup, task_group};
use crate::models::{Threads, block_on, poll_once, scenario, thread};
use crate::run::run;
use std::task::Poll;

/// Five threads call into a group that is cancelled or ends meanwhile, and give some calls up: each has its answer or
/// is told, and a call that was given up, or outlived by nothing, leaves nothing.
#[test]
fn calls_from_all_sides_are_answered_or_refused() {
    scenario(|| {
        let (runtime, alive) = (Threads::parallel(2), Tally::default());
        let calling = run(
            runtime.clone(),
            task_group(async |g: &TaskGroup<Threads>| {
                let portal = g.portal();
                let alive = alive.clone();
                let mut calling = threads(5, move |number| {
                    for round in 0..3 {
                        let inside = alive.enter();
                        let mut call = portal.enter(move || async move {
                            let _inside = inside;
                            pause().await;
                            (number, round)
                        });
                        let early = one_in(3).then(|| poll_once(&mut call));
                        let answer = match early {
                            Some(Poll::Ready(answer)) => answer,
                            Some(Poll::Pending) if one_in(2) => continue,
                            _ => block_on(call),
                        };
                        match answer {
                            Ok(answer) => assert_eq!(answer, (number, round)),
                            Err(error) => assert!(error.is_closed() || error.is_cancelled()),
                        }
                    }
                });
                let handle = g.handle();
                if one_in(2) {
                    calling.push(thread::spawn(move || {
                        rest();
                        handle.cancel();
                    }));
                }
                for _ in 0..4 {
                    pause().await;
                }
                calling
            }),
        );
        join(calling);
        runtime.join();
        assert_eq!(alive.get(), 0);
    });
}
