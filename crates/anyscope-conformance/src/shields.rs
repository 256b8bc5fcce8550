//! Law 12, and what it means to the laws around it: work that nothing outside may interrupt, and clean-up.

use crate::runtime::Toy;
use crate::support::{
    Census, Gate, OneAtATime, caught, poll_once, polled, said, surviving, turns, until, while_polling,
};
use anyscope_core::{
    CancelToken, CleanupError, GroupHandle, Outcome, ReasonKind, Runtime, cancelled, drained, is_cancelled, now,
    remaining, run, shield, sleep, task_group, timeout, timeout_at, try_task_group, unblock, with_cleanup, yield_now,
};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Something that happened, for both sides of a check.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Panics in the place of a value.
fn panic<T>(message: &str) -> T {
    panic!("{message}")
}

/// A child behind a shield isn't interrupted by the end of its group; when the shield ends, it is.
pub fn a_shield_in_a_child_holds_off_its_cancellation<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let (started, release) = (Gate::new(), Gate::new());
        let (saved, after) = (Flag::default(), Flag::default());
        let outcome = task_group::<R, _, _>(async |g| {
            let child = g.spawn({
                let (started, release, saved, after) = (started.clone(), release.clone(), saved.clone(), after.clone());
                let member = census.member();
                async move {
                    let _member = member;
                    shield::<R, _>(Duration::MAX, async {
                        started.open();
                        release.passed().await;
                        turns(3).await;
                        saved.set();
                    })
                    .await;
                    yield_now().await;
                    after.set();
                }
            });
            started.passed().await;
            g.cancel_with("enough");
            turns(20).await;
            assert!(!child.is_finished() && census.alive() == 1, "the shield didn't hold");
            release.open();
            child.outcome().await
        })
        .await;
        let Outcome::Cancelled(reason) = outcome else { panic!("it wasn't interrupted after its shield: {outcome:?}") };
        assert_eq!(reason.message(), Some("enough"));
        assert!(saved.is_set(), "it was interrupted behind its shield");
        assert!(!after.is_set(), "what was pending didn't strike");
    });
}

/// In the body as well: neither a token nor a deadline nor a failed child drops what is behind a shield.
pub fn a_shield_in_a_body_holds_off_whatever_is_around<R: Runtime>(runtime: R) {
    /// Shields the body until the gate opens, and tells how far it came.
    async fn body<R: Runtime>(started: &Gate, release: &Gate, saved: &Flag, after: &Flag) {
        shield::<R, _>(Duration::MAX, async {
            started.open();
            release.passed().await;
            turns(3).await;
            saved.set();
        })
        .await;
        pending::<()>().await;
        after.set();
    }

    run(runtime, async {
        for how in 0..3 {
            let (started, release) = (Gate::new(), Gate::new());
            let (saved, after) = (Flag::default(), Flag::default());
            let token = CancelToken::<R>::new();
            let work = async {
                match how {
                    0 => token.run(body::<R>(&started, &release, &saved, &after)).await.map_err(|_| ()),
                    1 => timeout::<R, _>(Duration::ZERO, body::<R>(&started, &release, &saved, &after))
                        .await
                        .map_err(|_| ()),
                    _ => try_task_group::<R, _, _, _>(async |g| {
                        let began = started.clone();
                        g.spawn(async move {
                            began.passed().await;
                            Err::<(), _>("failed")
                        });
                        body::<R>(&started, &release, &saved, &after).await;
                        Ok(())
                    })
                    .await
                    .map_err(|_| ()),
                }
            };
            let mut work = Box::pin(work);
            while_polling(&mut work, started.passed()).await;
            token.cancel();
            for _ in 0..20 {
                assert!(polled(&mut work).await.is_pending(), "the shield didn't hold ({how})");
                yield_now().await;
            }
            assert!(!saved.is_set());
            release.open();
            assert_eq!(work.await, Err(()), "({how})");
            assert!(saved.is_set(), "it was interrupted behind its shield ({how})");
            assert!(!after.is_set(), "what was pending didn't strike ({how})");
        }
    });
}

/// One round of an inner group that a timeout drops while a child of it is behind a shield. Counts who finished.
async fn dropped_while_shielded<R: Runtime>(budget: Duration, census: &Census, finished: &Arc<AtomicUsize>) {
    let (started, release) = (Gate::new(), Gate::new());
    let mut group = Box::pin(task_group::<R, _, _>(async |g| {
        let (started, release, member) = (started.clone(), release.clone(), census.member());
        let finished = finished.clone();
        g.spawn(async move {
            let _member = member;
            shield::<R, _>(Duration::MAX, async {
                started.open();
                release.passed().await;
                turns(3).await;
                finished.fetch_add(1, Ordering::SeqCst);
            })
            .await;
            pending::<()>().await;
        });
        pending::<()>().await;
    }));
    while_polling(&mut group, started.passed()).await;
    let before = finished.load(Ordering::SeqCst);
    assert!(timeout::<R, _>(budget, group).await.is_err(), "the shield of a child held off its group's owner");
    assert_eq!(finished.load(Ordering::SeqCst), before, "the child was behind its shield");
    release.open();
}

const ROUNDS: usize = 200;

/// Budgets from none to a millisecond.
fn budget(round: usize) -> Duration {
    Duration::from_micros(5 * (round % ROUNDS) as u64)
}

/// A child that cleans up behind a shield when its group is dropped is waited for by the group around.
pub fn the_group_around_waits_for_a_shield_in_a_dropped_one<R: Runtime>(runtime: R) {
    run(runtime, async {
        for round in 0..ROUNDS {
            let (census, finished) = (Census::new(), Arc::new(AtomicUsize::new(0)));
            task_group::<R, _, _>(async |_| dropped_while_shielded::<R>(budget(round), &census, &finished).await).await;
            assert_eq!(finished.load(Ordering::SeqCst), 1, "the group around didn't wait");
            assert_eq!(census.alive(), 0, "a child outlived the group around its own");
        }
    });
}

/// So does `run`.
pub fn a_run_waits_for_a_shield_in_a_dropped_group<R: Runtime>(runtime: R) {
    for round in 0..ROUNDS {
        let (census, finished) = (Census::new(), Arc::new(AtomicUsize::new(0)));
        run(runtime.clone(), dropped_while_shielded::<R>(budget(round), &census, &finished));
        assert_eq!(finished.load(Ordering::SeqCst), 1, "the run didn't wait");
        assert_eq!(census.alive(), 0, "a child outlived the run around its group");
    }
}

/// Where no group is around and no `run`, `drained` waits for it: for shields, finalisers and clean-up.
pub fn drained_waits_for_what_is_left_outside_of_everything<R: Runtime>(runtime: R) {
    runtime.clone().block_on(async {
        // A runtime that isn't to be found without a `run` has no groups outside of one.
        if R::detect().is_none() {
            return;
        }
        for round in 0..ROUNDS {
            let (census, finished) = (Census::new(), Arc::new(AtomicUsize::new(0)));
            dropped_while_shielded::<R>(budget(round), &census, &finished).await;
            drained().await;
            assert_eq!(finished.load(Ordering::SeqCst), 1, "it didn't wait for a shield");
            assert_eq!(census.alive(), 0);

            let late = |finished: &Arc<AtomicUsize>| {
                let (finished, member) = (finished.clone(), census.member());
                async move {
                    let _member = member;
                    turns(3).await;
                    finished.fetch_add(1, Ordering::SeqCst);
                }
            };
            let mut group = Box::pin(task_group::<R, _, _>(async |g| {
                g.on_exit(late(&finished));
                pending::<()>().await;
            }));
            assert!(polled(&mut group).await.is_pending());
            drop(group);
            let work = pending::<Result<(), ()>>();
            let mut work = Box::pin(with_cleanup::<R, _, _, _, _>(work, late(&finished), Duration::MAX));
            assert!(polled(&mut work).await.is_pending());
            drop(work);
            drained().await;
            assert_eq!(finished.load(Ordering::SeqCst), 3, "it didn't wait for a finaliser or a clean-up");
            assert_eq!(census.alive(), 0);
        }
    });
}

/// Clean-up of work that was dropped, and finalisers of a group that was dropped, are waited for by the group around.
pub fn clean_up_and_finalisers_go_on_in_the_group_around<R: Runtime>(runtime: R) {
    run(runtime, async {
        for round in 0..20 {
            let (census, finished, release) = (Census::new(), Arc::new(AtomicUsize::new(0)), Gate::new());
            let late = || {
                let (finished, release, member) = (finished.clone(), release.clone(), census.member());
                async move {
                    let _member = member;
                    release.passed().await;
                    turns(3).await;
                    finished.fetch_add(1, Ordering::SeqCst);
                }
            };
            task_group::<R, _, _>(async |_| {
                // In a body, and in the child of a group that is dropped.
                let cleaned = with_cleanup::<R, _, _, _, _>(pending::<Result<(), ()>>(), late(), Duration::MAX);
                assert!(timeout::<R, _>(budget(10 * round), cleaned).await.is_err());
                let started = Gate::new();
                let mut group = Box::pin(task_group::<R, _, _>(async |g| {
                    g.on_exit(late());
                    let (clean, started) = (late(), started.clone());
                    g.spawn(async move {
                        let work = async {
                            started.open();
                            pending::<Result<(), ()>>().await
                        };
                        with_cleanup::<R, _, _, _, _>(work, clean, Duration::MAX).await
                    });
                    pending::<()>().await;
                }));
                while_polling(&mut group, started.passed()).await;
                assert!(timeout::<R, _>(budget(10 * round), group).await.is_err());
                turns(5).await;
                assert_eq!(finished.load(Ordering::SeqCst), 0);
                release.open();
            })
            .await;
            assert_eq!(finished.load(Ordering::SeqCst), 3, "the group around didn't wait");
            assert_eq!(census.alive(), 0);
        }
    });
}

/// Two shields in a row are not one: what was pending strikes between them.
pub fn what_was_pending_strikes_between_two_shields<R: Runtime>(runtime: R) {
    async fn two<R: Runtime>(started: Gate, release: Gate, second: Flag) {
        shield::<R, _>(Duration::MAX, async {
            started.open();
            release.passed().await;
        })
        .await;
        shield::<R, _>(Duration::MAX, async { second.set() }).await;
    }

    run(runtime, async {
        for how in 0..3 {
            let (started, release, second) = (Gate::new(), Gate::new(), Flag::default());
            let two = two::<R>(started.clone(), release.clone(), second.clone());
            match how {
                0 => {
                    task_group::<R, _, _>(async |g| {
                        let child = g.spawn(two);
                        started.passed().await;
                        g.cancel();
                        release.open();
                        assert!(child.outcome().await.is_cancelled());
                    })
                    .await;
                }
                1 => {
                    let token = CancelToken::<R>::new();
                    let mut work = Box::pin(token.run(two));
                    assert!(polled(&mut work).await.is_pending());
                    token.cancel();
                    release.open();
                    assert!(work.await.is_err());
                }
                _ => {
                    let mut work = Box::pin(timeout::<R, _>(Duration::ZERO, two));
                    assert!(polled(&mut work).await.is_pending());
                    release.open();
                    assert!(work.await.is_err());
                }
            }
            assert!(!second.is_set(), "a second shield began, though something was pending ({how})");
        }
    });
}

/// A shield may be what a request is answered with: begun in the poll that cancelled its own scope, it runs.
pub fn a_shield_begun_in_the_poll_of_the_request_runs<R: Runtime>(runtime: R) {
    async fn answer<R: Runtime>(saved: &Flag) {
        shield::<R, _>(Duration::MAX, async {
            turns(5).await;
            saved.set();
        })
        .await;
        pending::<()>().await;
    }

    run(runtime, async {
        let saved = Flag::default();
        let outcome = task_group::<R, _, _>(async |g| {
            let (handle, saved): (GroupHandle<R>, _) = (g.handle(), saved.clone());
            let child = g.spawn(async move {
                handle.cancel();
                answer::<R>(&saved).await;
            });
            child.outcome().await
        })
        .await;
        assert!(outcome.is_cancelled() && saved.is_set(), "a child: {outcome:?}");

        let (saved, token) = (Flag::default(), CancelToken::<R>::new());
        let work = async {
            token.cancel();
            answer::<R>(&saved).await;
        };
        assert!(token.run(work).await.is_err() && saved.is_set(), "a token");

        let saved = Flag::default();
        assert!(timeout::<R, _>(Duration::ZERO, answer::<R>(&saved)).await.is_err() && saved.is_set(), "a deadline");
    });
}

/// When the budget is spent, what is pending strikes at once; not before.
pub fn a_shield_whose_budget_is_spent_lets_strike_at_once<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let second = Duration::from_secs(1);
        for cancelled_first in [true, false] {
            task_group::<Toy<R>, _, _>(async |g| {
                let started = Gate::new();
                let child = g.spawn({
                    let started = started.clone();
                    shield::<Toy<R>, _>(10 * second, async move {
                        started.open();
                        pending::<()>().await;
                    })
                });
                started.passed().await;
                if cancelled_first {
                    g.cancel();
                }
                clock.advance(10 * second - Duration::from_nanos(1));
                turns(20).await;
                assert!(!child.is_finished(), "the shield was down before its budget was spent");
                clock.advance(Duration::from_nanos(1));
                turns(20).await;
                // The budget is no timeout.
                assert_eq!(child.is_finished(), cancelled_first);
                g.cancel();
                assert!(child.outcome().await.is_cancelled());
            })
            .await;

            // A deadline around strikes in the same way.
            let mut late = Box::pin(timeout::<Toy<R>, _>(second, shield::<Toy<R>, _>(10 * second, pending::<()>())));
            assert!(polled(&mut late).await.is_pending());
            clock.advance(10 * second - Duration::from_nanos(1));
            assert!(polled(&mut late).await.is_pending(), "the shield was down before its budget was spent");
            clock.advance(Duration::from_nanos(1));
            assert!(polled(&mut late).await.is_ready(), "the deadline didn't strike");
        }
    });
}

/// A budget of nothing, and one that never ends.
pub fn budgets_of_every_size_work<R: Runtime>(runtime: R) {
    run(runtime, async {
        // What is ready in its first poll is done; with nothing pending outside, the future goes on.
        assert_eq!(shield::<R, _>(Duration::ZERO, async { 1 }).await, 1);
        let slow = async {
            turns(10).await;
            2
        };
        assert_eq!(shield::<R, _>(Duration::ZERO, slow).await, 2);
        assert_eq!(shield::<R, _>(Duration::MAX, sleep::<R>(Duration::from_micros(50))).await, ());

        let (polls, token) = (AtomicUsize::new(0), CancelToken::<R>::new());
        let work = async {
            token.cancel();
            shield::<R, _>(Duration::ZERO, async {
                loop {
                    polls.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                }
            })
            .await
        };
        let ended: Result<(), _> = token.run(work).await;
        assert!(ended.is_err());
        assert_eq!(polls.load(Ordering::SeqCst), 1, "a budget of nothing is spent after the first poll");
    });
}

/// A shield belongs to its own task: a sibling is cancelled at once, and whoever owns the group isn't held up.
pub fn a_shield_protects_neither_siblings_nor_parents<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (started, release, saved) = (Gate::new(), Gate::new(), Flag::default());
        task_group::<R, _, _>(async |_| {
            let token = CancelToken::<R>::new();
            let outcome = Arc::new(std::sync::Mutex::new(None));
            let group = token.run(task_group::<R, _, _>(async |g| {
                let shielded = g.spawn({
                    let (started, release, saved) = (started.clone(), release.clone(), saved.clone());
                    shield::<R, _>(Duration::MAX, async move {
                        started.open();
                        release.passed().await;
                        saved.set();
                    })
                });
                let sibling = g.spawn(pending::<()>());
                started.passed().await;
                g.cancel();
                *outcome.lock().unwrap() = Some(sibling.outcome().await);
                assert!(!shielded.is_finished());
                token.cancel();
                pending::<()>().await;
            }));
            assert!(group.await.is_err());
            let outcome = outcome.lock().unwrap().take();
            assert!(outcome.is_some_and(|outcome| outcome.is_cancelled()), "a sibling shared the shield");
            assert!(!saved.is_set(), "the owner of the group was held up by the shield of a child");
            release.open();
        })
        .await;
        assert!(saved.is_set());
    });
}

/// Behind a shield nothing seems cancelled or late: groups, timeouts, tokens, sleeps and blocking jobs work as ever.
pub fn nothing_seems_cancelled_behind_a_shield<R: Runtime>(runtime: R) {
    async fn inside<R: Runtime>() -> u32 {
        assert!(!is_cancelled());
        assert!(poll_once(&mut cancelled()).is_pending());
        let one = task_group::<R, _, _>(async |g| {
            let child = g.spawn(async {
                yield_now().await;
                assert!(!is_cancelled());
                1
            });
            child.await
        })
        .await;
        let two = timeout::<R, _>(Duration::from_secs(600), async {
            sleep::<R>(Duration::from_micros(50)).await;
            2
        });
        let two = two.await.expect("it is in time");
        let late = timeout::<R, _>(Duration::from_micros(50), pending::<()>()).await;
        assert!(late.is_err(), "a timeout inside doesn't end");
        let three = CancelToken::<R>::new().run(async {
            yield_now().await;
            3
        });
        let three = three.await.expect("nobody cancels it");
        let four = unblock::<R, _, _>(|| {
            assert!(!is_cancelled());
            4
        });
        one + two + three + four.await
    }

    run(runtime, async {
        let token = CancelToken::<R>::new();
        let got = std::sync::Mutex::new(Vec::new());
        let work = async {
            token.cancel();
            assert!(is_cancelled());
            let sum = shield::<R, _>(Duration::from_secs(600), inside::<R>()).await;
            assert!(is_cancelled());
            got.lock().unwrap().push(sum);
            pending::<()>().await;
        };
        assert!(token.run(work).await.is_err());
        let work = async {
            let sum = shield::<R, _>(Duration::MAX, inside::<R>()).await;
            got.lock().unwrap().push(sum);
            pending::<()>().await;
        };
        assert!(timeout_at::<R, _>(now::<R>(), work).await.is_err());
        assert_eq!(*got.lock().unwrap(), [10, 10]);
    });
}

/// What is opened behind a shield is cancelled by those inside, as ever.
pub fn a_scope_opened_behind_a_shield_can_be_cancelled<R: Runtime>(runtime: R) {
    run(runtime, async {
        shield::<R, _>(Duration::MAX, async {
            let token = CancelToken::<R>::new();
            let work = token.run(async {
                token.cancel_with("from inside");
                pending::<()>().await;
            });
            assert_eq!(work.await.unwrap_err().reason().message(), Some("from inside"));
            task_group::<R, _, _>(async |g| {
                let child = g.spawn(pending::<()>());
                g.cancel();
                assert!(child.outcome().await.is_cancelled());
            })
            .await;
        })
        .await;
    });
}

/// `remaining` tells how long at least a shield keeps its work alone: never less than the budget, and what was there
/// before where that is more.
pub fn remaining_tells_how_long_a_shield_holds<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let second = Duration::from_secs(1);
        let left = || shield::<Toy<R>, _>(60 * second, async { remaining::<Toy<R>>() });
        assert_eq!(left().await, None, "nothing around has a deadline");
        assert_eq!(timeout::<Toy<R>, _>(second, left()).await, Ok(Some(60 * second)));
        assert_eq!(timeout::<Toy<R>, _>(100 * second, left()).await, Ok(Some(100 * second)));
        let for_ever = shield::<Toy<R>, _>(Duration::MAX, async { remaining::<Toy<R>>() });
        assert_eq!(timeout::<Toy<R>, _>(second, for_ever).await, Ok(None));

        let token = CancelToken::<Toy<R>>::new();
        let work = async {
            let shielded = shield::<Toy<R>, _>(60 * second, async {
                assert_eq!(remaining::<Toy<R>>(), None);
                token.cancel();
                yield_now().await;
                assert_eq!(remaining::<Toy<R>>(), Some(60 * second), "it is interrupted when the budget is spent");
                clock.advance(second);
                assert_eq!(remaining::<Toy<R>>(), Some(59 * second), "the budget counts from the first poll");
                // Deadlines inside are bound by it.
                timeout::<Toy<R>, _>(Duration::MAX, async { remaining::<Toy<R>>() }).await
            });
            shielded.await
        };
        let bound = token.run(work).await.expect("what was there first is delivered");
        assert_eq!(bound, Ok(Some(59 * second)));
    });
}

/// A group behind a shield is shielded with all of its children, though they are other tasks.
pub fn a_shield_around_a_group_protects_its_children<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (started, release, ended) = (Gate::new(), Gate::new(), Arc::new(AtomicUsize::new(0)));
        let outcome = task_group::<R, _, _>(async |g| {
            let child = g.spawn({
                let (started, release, ended) = (started.clone(), release.clone(), ended.clone());
                async move {
                    let inner = task_group::<R, _, _>(async |g| {
                        for _ in 0..3 {
                            let (release, ended) = (release.clone(), ended.clone());
                            g.spawn(async move {
                                release.passed().await;
                                turns(3).await;
                                ended.fetch_add(1, Ordering::SeqCst);
                            });
                        }
                        started.open();
                    });
                    shield::<R, _>(Duration::MAX, inner).await;
                    pending::<()>().await;
                }
            });
            started.passed().await;
            g.cancel();
            turns(10).await;
            release.open();
            child.outcome().await
        })
        .await;
        assert!(outcome.is_cancelled());
        assert_eq!(ended.load(Ordering::SeqCst), 3, "a child was cancelled through the shield around its group");
    });
}

/// The end of an inner shield takes down none around it, and a shield inside of one that is down still holds.
pub fn nested_shields_hold_each_for_itself<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (release, inner, outer) = (Gate::new(), Flag::default(), Flag::default());
        let token = CancelToken::<R>::new();
        let mut work = Box::pin(token.run(async {
            shield::<R, _>(Duration::MAX, async {
                shield::<R, _>(Duration::MAX, turns(2)).await;
                // Nothing is pending in here, so that the next may begin.
                shield::<R, _>(Duration::ZERO, async { inner.set() }).await;
                release.passed().await;
                outer.set();
            })
            .await;
            pending::<()>().await;
        }));
        assert!(polled(&mut work).await.is_pending());
        token.cancel();
        for _ in 0..20 {
            assert!(polled(&mut work).await.is_pending(), "the end of an inner shield took down the outer one");
            yield_now().await;
        }
        assert!(inner.is_set());
        release.open();
        assert!(work.await.is_err());
        assert!(outer.is_set());

        let (release, saved) = (Gate::new(), Flag::default());
        let token = CancelToken::<R>::new();
        let mut work = Box::pin(token.run(shield::<R, _>(
            Duration::ZERO,
            shield::<R, _>(Duration::MAX, async {
                release.passed().await;
                saved.set();
                pending::<()>().await;
            }),
        )));
        assert!(polled(&mut work).await.is_pending());
        token.cancel();
        assert!(polled(&mut work).await.is_pending(), "an inner shield went down with the outer one");
        release.open();
        assert!(polled(&mut work).await.is_pending());
        assert!(saved.is_set());
    });
}

/// A panic behind a shield goes on as any does, and takes the shield down.
pub fn a_panic_behind_a_shield_goes_on<R: Runtime>(runtime: R) {
    run(runtime, async {
        let ended = caught(task_group::<R, _, _>(async |g| {
            let handle = g.handle();
            g.spawn(async move {
                handle.cancel();
                shield::<R, _>(Duration::MAX, async {
                    yield_now().await;
                    panic!("the disk is full");
                })
                .await;
            });
        }))
        .await;
        assert_eq!(said(&ended.expect_err("the child panicked")), "the disk is full");

        let outcome = task_group::<R, _, _>(async |g| {
            let started = Gate::new();
            let child = g.spawn({
                let started = started.clone();
                async move {
                    let panicked = caught(shield::<R, _>(Duration::MAX, async { panic!("caught") })).await;
                    assert!(panicked.is_err());
                    started.open();
                    pending::<()>().await;
                }
            });
            started.passed().await;
            g.cancel();
            child.outcome().await
        })
        .await;
        assert!(outcome.is_cancelled(), "a shield stayed up after its panic: {outcome:?}");
    });
}

/// Whoever isn't of this crate may drop a shield: its work is dropped, and it shields nothing any more.
pub fn a_shield_that_is_dropped_shields_nothing_any_more<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let outcome = task_group::<R, _, _>(async |g| {
            let (began, release) = (Gate::new(), Gate::new());
            let child = g.spawn({
                let (began, release, census) = (began.clone(), release.clone(), census.clone());
                async move {
                    let member = census.member();
                    let mut shielded = Box::pin(shield::<R, _>(Duration::MAX, async move {
                        let _member = member;
                        pending::<()>().await;
                    }));
                    assert!(polled(&mut shielded).await.is_pending());
                    began.open();
                    release.passed().await;
                    drop(shielded);
                    assert_eq!(census.alive(), 0);
                    pending::<()>().await;
                }
            });
            began.passed().await;
            g.cancel();
            turns(10).await;
            assert!(!child.is_finished(), "the shield didn't hold");
            release.open();
            child.outcome().await
        })
        .await;
        assert!(outcome.is_cancelled());
    });
}

/// When a shield ends with several scopes around it pending, the outermost of them reports.
pub fn of_scopes_that_waited_for_a_shield_the_outermost_reports<R: Runtime>(runtime: R) {
    run(runtime, async {
        for inner_too in [false, true] {
            let release = Gate::new();
            let (outer, inner) = (CancelToken::<R>::new(), CancelToken::<R>::new());
            let told = Flag::default();
            let mut work = Box::pin(outer.run(async {
                let innermost = timeout::<R, _>(Duration::ZERO, async {
                    shield::<R, _>(Duration::MAX, release.passed()).await;
                    pending::<()>().await;
                });
                let claimed = inner.run(innermost).await;
                told.set();
                claimed
            }));
            assert!(polled(&mut work).await.is_pending());
            if inner_too {
                inner.cancel_with("inner");
            }
            outer.cancel_with("outer");
            release.open();
            assert_eq!(work.await.expect_err("the outermost").reason().message(), Some("outer"));
            assert!(!told.is_set(), "an inner scope claimed what the outermost reports");
        }
        // The same with a timeout outside.
        let (release, token) = (Gate::new(), CancelToken::<R>::new());
        let mut work = Box::pin(timeout::<R, _>(
            Duration::ZERO,
            token.run(async {
                shield::<R, _>(Duration::MAX, release.passed()).await;
                pending::<()>().await;
            }),
        ));
        assert!(polled(&mut work).await.is_pending());
        token.cancel();
        release.open();
        assert!(work.await.is_err(), "the inner scope claimed what the timeout around it reports");
    });
}

/// A clean-up follows its work however that ended, and no error hides another.
pub fn a_cleanup_follows_its_work_however_it_ended<R: Runtime>(runtime: R) {
    type Ended = Result<u32, CleanupError<&'static str, &'static str>>;

    run(runtime, async {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let clean = |result: Result<(), &'static str>| {
            let cleaned = cleaned.clone();
            async move {
                yield_now().await;
                cleaned.fetch_add(1, Ordering::SeqCst);
                result
            }
        };
        let hour = Duration::from_secs(3600);
        let ended: Ended = with_cleanup::<R, _, _, _, _>(async { Ok(1) }, clean(Ok(())), hour).await;
        assert_eq!((ended, cleaned.load(Ordering::SeqCst)), (Ok(1), 1));

        let ended: Ended = with_cleanup::<R, _, _, _, _>(async { Err("work") }, clean(Ok(())), hour).await;
        let error = ended.unwrap_err();
        assert_eq!((error.work(), error.cleanup(), cleaned.load(Ordering::SeqCst)), (Some(&"work"), None, 2));

        let ended: Ended = with_cleanup::<R, _, _, _, _>(async { Err("work") }, clean(Err("clean-up")), hour).await;
        let error = ended.unwrap_err();
        assert_eq!((error.work(), error.cleanup()), (Some(&"work"), Some(&"clean-up")));
        assert!(error.to_string().contains("work") && error.to_string().contains("clean-up"), "{error}");

        let ended: Ended = with_cleanup::<R, _, _, _, _>(async { Ok(1) }, clean(Err("clean-up")), hour).await;
        let error = ended.unwrap_err();
        assert_eq!((error.work(), error.cleanup(), cleaned.load(Ordering::SeqCst)), (None, Some(&"clean-up"), 4));

        let work = async { Err::<u32, _>("work") };
        let error = with_cleanup::<R, _, _, _, _>(work, pending::<()>(), Duration::ZERO).await.unwrap_err();
        assert_eq!((error.work(), error.is_cleanup_elapsed()), (Some(&"work"), true));

        let panicking = async {
            assert_eq!(cleaned.load(Ordering::SeqCst), 4, "the clean-up came too early");
            panic::<Result<u32, &'static str>>("work")
        };
        let panicked = caught(with_cleanup::<R, _, _, _, _>(panicking, clean(Err("clean-up")), hour)).await;
        assert_eq!(said(&panicked.expect_err("the work panicked")), "work");
        assert_eq!(cleaned.load(Ordering::SeqCst), 5);

        let both = caught(with_cleanup::<R, _, _, _, _>(
            async { panic::<Result<(), &'static str>>("first") },
            async { panic::<()>("second") },
            hour,
        ))
        .await;
        assert_eq!(said(&both.expect_err("both panicked")), "first");
    });
}

/// A clean-up in the middle of which its future was dropped goes on elsewhere, and takes its shield along: whoever
/// dropped it isn't shielded by it any more.
pub fn a_cleanup_that_goes_on_elsewhere_shields_nobody_here<R: Runtime>(runtime: R) {
    run(OneAtATime(runtime), async {
        let (release, finished) = (Gate::new(), Flag::default());
        let (began, left) = (Gate::new(), Gate::new());
        task_group::<OneAtATime<R>, _, _>(async |g| {
            let child = g.spawn({
                let (began, left, release, finished) = (began.clone(), left.clone(), release.clone(), finished.clone());
                async move {
                    let clean = async move {
                        began.open();
                        release.passed().await;
                        finished.set();
                    };
                    let work = async { Ok::<(), ()>(()) };
                    let mut cleaned = Box::pin(with_cleanup::<OneAtATime<R>, _, _, _, _>(work, clean, Duration::MAX));
                    assert!(polled(&mut cleaned).await.is_pending());
                    drop(cleaned);
                    left.open();
                    pending::<()>().await;
                }
            });
            began.passed().await;
            left.passed().await;
            g.cancel();
            // It would hang, were it shielded still: nobody wakes it when the clean-up ends elsewhere.
            assert!(child.outcome().await.is_cancelled());
            assert!(!finished.is_set());
            release.open();
        })
        .await;
        assert!(finished.is_set());
    });
}

/// A panic of a clean-up that goes on by itself is one of the group that it goes on in.
pub fn a_panic_in_a_cleanup_that_goes_on_reaches_the_group_around<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let ended = caught(task_group::<R, _, _>(async |_| {
                let clean = async {
                    yield_now().await;
                    panic::<()>("the clean-up")
                };
                let work = pending::<Result<(), ()>>();
                let mut cleaned = Box::pin(with_cleanup::<R, _, _, _, _>(work, clean, Duration::MAX));
                assert!(polled(&mut cleaned).await.is_pending());
                drop(cleaned);
                pending::<()>().await;
            }))
            .await;
            assert_eq!(said(&ended.expect_err("a clean-up panicked")), "the clean-up");
        });
    });
}

/// Work that panicked, and whose clean-up nobody awaits to its end, has panicked in the group that the rest goes on in.
pub fn a_panic_before_a_cleanup_that_goes_on_is_not_lost<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let finished = Flag::default();
            let ended = caught(task_group::<R, _, _>(async |_| {
                let done = finished.clone();
                let clean = async move {
                    turns(3).await;
                    done.set();
                };
                let work = async { panic::<Result<(), ()>>("the work") };
                let mut cleaned = Box::pin(with_cleanup::<R, _, _, _, _>(work, clean, Duration::MAX));
                assert!(polled(&mut cleaned).await.is_pending());
                drop(cleaned);
            }))
            .await;
            assert_eq!(said(&ended.expect_err("the work panicked")), "the work");
            assert!(finished.is_set());
        });
    });
}

/// The children of a group that a deadline ends are told so, also where the deadline had to wait for a shield.
pub fn what_waited_for_a_shield_strikes_with_its_reason<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (release, started) = (Gate::new(), Gate::new());
        let kind = Arc::new(std::sync::Mutex::new(None));
        let work = task_group::<R, _, _>(async |g| {
            let child = g.spawn(pending::<()>());
            // Adopted, when this body is dropped; and told why.
            let (kept, began) = (kind.clone(), started.clone());
            g.spawn(shield::<R, _>(Duration::MAX, async move {
                began.open();
                if let Outcome::Cancelled(reason) = child.outcome().await {
                    *kept.lock().unwrap() = Some(reason.kind());
                }
            }));
            // From the first poll on, after which the deadline is past.
            shield::<R, _>(Duration::MAX, async {
                started.passed().await;
                release.passed().await;
            })
            .await;
            pending::<()>().await;
        });
        let mut work = Box::pin(timeout::<R, _>(Duration::ZERO, work));
        while_polling(&mut work, started.passed()).await;
        for _ in 0..10 {
            assert!(polled(&mut work).await.is_pending());
            yield_now().await;
        }
        assert_eq!(*kind.lock().unwrap(), None, "a child was ended before the shield of the body was");
        release.open();
        assert!(work.await.is_err());
        until(|| kind.lock().unwrap().is_some()).await;
        assert_eq!(*kind.lock().unwrap(), Some(ReasonKind::Deadline));
    });
}
