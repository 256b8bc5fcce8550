use super::{Tally, below, join, one_in, pause};
use crate::group::{TaskGroup, task_group};
use crate::models::{Threads, block_on, poll_once, scenario, thread};
use crate::run::run;

/// Fifteen children end, are cancelled, or panic-free give a value; three threads await their handles, after a poll with
/// another waker, cancel some of them and drop others. Every outcome is told, and no value is left behind.
#[test]
fn every_outcome_is_told_to_who_joins() {
    scenario(|| {
        let (runtime, values) = (Threads::parallel(3), Tally::default());
        let joining = run(
            runtime.clone(),
            task_group(async |g: &TaskGroup<Threads>| {
                let joiner = |first: usize| {
                    let tasks: Vec<_> = (first..first + 5)
                        .map(|number| {
                            let value = values.enter();
                            g.spawn(async move {
                                pause().await;
                                (number, value)
                            })
                        })
                        .collect();
                    thread::spawn(move || {
                        for (index, task) in tasks.into_iter().enumerate() {
                            let cancelled = one_in(3) && task.cancel();
                            if one_in(4) {
                                continue;
                            }
                            let mut outcome = task.outcome();
                            let early = (below(2) == 0).then(|| poll_once(&mut outcome));
                            let outcome = match early {
                                Some(std::task::Poll::Ready(outcome)) => outcome,
                                _ => block_on(outcome),
                            };
                            assert!(cancelled || outcome.is_completed());
                            if let Some((number, _value)) = outcome.completed() {
                                assert_eq!(number, first + index);
                            }
                        }
                    })
                };
                [0, 5, 10].map(joiner).into()
            }),
        );
        join(joining);
        runtime.join();
        assert_eq!(values.get(), 0);
    });
}
