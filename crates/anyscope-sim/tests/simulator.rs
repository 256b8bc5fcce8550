//! Law 32, and what a simulator is for: virtual time, one interleaving for each seed, deadlocks and leftovers told.

#![forbid(unsafe_code)]

use anyscope_core::locks::Mutex;
use anyscope_core::{
    Outcome, Semaphore, TaskGroup, blocking_scope, channel, interval, is_cancelled, now, remaining, run, shield, sleep,
    sleep_until, task_group, timeout, unblock, yield_now,
};
use anyscope_sim::{CancelEverywhere, Explore, Fault, Schedule, Sim, Trace, explore};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// What a run that has to fail says.
fn report_of(sim: Sim, future: impl Future) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(run(sim, future)))).expect_err("the run fails");
    match panic.downcast::<String>() {
        Ok(report) => *report,
        Err(panic) => panic.downcast_ref::<&str>().expect("a text").to_string(),
    }
}

/// A bit of everything, which notes in which order things happen.
async fn mixture(order: Arc<StdMutex<Vec<String>>>) {
    let note = move |what: String| order.lock().unwrap().push(what);
    let permits = Arc::new(Semaphore::new(2));
    task_group::<Sim, _, _>(async |g| {
        let (sender, receiver) = channel(1);
        for n in 0..6 {
            let (note, permits, sender) = (note.clone(), permits.clone(), sender.clone());
            g.spawn(async move {
                let permit = permits.acquire().await.unwrap();
                note(format!("{n} has a permit"));
                sleep::<Sim>(Duration::from_secs(n % 2)).await;
                drop(permit);
                sender.send(n).await.unwrap();
            });
        }
        for n in 0..3 {
            let note = note.clone();
            g.spawn_blocking(move || note(format!("job {n}")));
        }
        let note = note.clone();
        g.spawn(async move {
            for _ in 0..6 {
                note(format!("received {}", receiver.recv().await.unwrap()));
            }
        });
        let _ = timeout::<Sim, _>(HOUR, pending::<()>()).await;
    })
    .await;
}

fn play(sim: Sim) -> (Vec<String>, Trace) {
    let order = Arc::default();
    run(sim.clone(), mixture(Arc::clone(&order)));
    let order = order.lock().unwrap().clone();
    (order, sim.trace())
}

#[test]
fn hours_pass_at_once_and_exactly() {
    run(Sim::seed(3), async {
        let before = now::<Sim>();
        sleep::<Sim>(24 * HOUR).await;
        assert_eq!(now::<Sim>() - before, 24 * HOUR);
        let mut ticks = interval::<Sim>(HOUR);
        for n in 24..=34 {
            ticks.tick().await;
            assert_eq!(now::<Sim>() - before, n * HOUR);
        }
        let at = now::<Sim>() + HOUR;
        assert!(timeout::<Sim, _>(HOUR / 2, sleep_until::<Sim>(at)).await.is_err());
        assert_eq!(at - now::<Sim>(), HOUR / 2);
        // A job has the same clock.
        assert_eq!(unblock::<Sim, _, _>(now::<Sim>).await, now::<Sim>());
    });
}

#[test]
fn the_same_seed_gives_the_same_order_and_the_same_trace() {
    for seed in 0..20 {
        let (order, trace) = play(Sim::seed(seed));
        for _ in 0..3 {
            let (again, traced) = play(Sim::seed(seed));
            assert_eq!(again, order, "seed {seed}");
            assert_eq!(traced.hash(), trace.hash(), "seed {seed}");
            assert_eq!(traced.len(), trace.len());
        }
    }
}

#[test]
fn the_trace_of_a_seed_is_the_same_on_every_machine() {
    let (_, trace) = play(Sim::seed(7));
    assert_eq!(
        trace.hash(),
        TRACE_OF_SEED_7,
        "the simulator decides in another way than it did, or the mixture has changed"
    );
}

/// As it was on the machine where this was written.
const TRACE_OF_SEED_7: u64 = 13_782_065_833_166_234_033;

#[test]
fn seeds_give_many_orders() {
    let orders: BTreeSet<_> = (0..50).map(|seed| play(Sim::seed(seed)).0).collect();
    assert!(orders.len() > 45, "{} orders of 50 seeds", orders.len());
}

#[test]
fn a_schedule_is_a_run_once_more() {
    for seed in 0..10 {
        let sim = Sim::seed(seed);
        let order = Arc::default();
        run(sim.clone(), mixture(Arc::clone(&order)));
        let schedule: Schedule = sim.schedule().to_string().parse().unwrap();
        let (again, trace) = play(Sim::replay(&schedule));
        assert_eq!(again, *order.lock().unwrap());
        assert_eq!(trace.hash(), sim.trace().hash());
    }
}

#[test]
fn who_waits_for_one_instant_is_woken_in_an_order_of_chance() {
    let orders: BTreeSet<_> = (0..100)
        .map(|seed| {
            let order = Arc::new(StdMutex::new(Vec::new()));
            run(Sim::seed(seed), async {
                let at = now::<Sim>() + HOUR;
                task_group::<Sim, _, _>(async |g| {
                    for n in 0..3 {
                        let order = order.clone();
                        g.spawn(async move {
                            sleep_until::<Sim>(at).await;
                            order.lock().unwrap().push(n);
                        });
                    }
                })
                .await;
            });
            Arc::into_inner(order).expect("all children have ended").into_inner().unwrap()
        })
        .collect();
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn a_deadlock_is_told_with_who_waits_for_what_and_who_holds_it() {
    let before = std::time::Instant::now();
    let report = report_of(Sim::new(), async {
        let (one, two) = (Arc::new(Semaphore::new(1)), Arc::new(Mutex::new(())));
        TaskGroup::<Sim>::builder()
            .name("philosophers")
            .run(async |g| {
                let (first, second) = (one.clone(), two.clone());
                g.task("left").spawn(async move {
                    let _fork = first.acquire().await.unwrap();
                    yield_now().await;
                    let _other = second.lock().await;
                });
                let (first, second) = (one.clone(), two.clone());
                g.task("right").spawn(async move {
                    let _fork = second.lock().await;
                    yield_now().await;
                    let _other = first.acquire().await.unwrap();
                });
                let (_sender, receiver) = channel::<()>(1);
                g.task("reader").spawn(async move { receiver.recv().await });
                g.task("stranger").spawn(pending::<()>());
                let held = _sender;
                pending::<()>().await;
                drop(held);
            })
            .await;
    });
    assert!(before.elapsed() < Duration::from_secs(5), "it wasn't told at once");
    assert!(report.starts_with("deadlock"), "{report}");
    let line = |start: &str| report.lines().find(|line| line.trim_start().starts_with(start)).expect(start);
    assert!(line("group `philosophers`").contains("simulator.rs"), "{report}");
    let left = line("task `left`");
    assert!(left.contains("mutex made at") && left.contains("held by task `right`"), "{report}");
    let right = line("task `right`");
    assert!(right.contains("1 of the semaphore made at") && right.contains("held by task `left`"), "{report}");
    assert!(line("task `reader`").contains("a message of a channel"), "{report}");
    assert!(line("task `stranger`").contains("something foreign"), "{report}");
    assert!(report.ends_with("Sim::new()"), "{report}");
}

#[test]
fn whoever_waits_for_a_child_says_so() {
    let report = report_of(Sim::seed(1), async {
        task_group::<Sim, _, _>(async |g| {
            let child = g.task("endless").spawn(pending::<()>());
            g.task("parent").spawn(child);
        })
        .await;
    });
    let parent = report.lines().find(|line| line.contains("task `parent`")).unwrap();
    assert!(parent.contains("waits for task `endless`"), "{report}");
    assert!(report.contains("the body of the run: waits for the members of group"), "{report}");
    assert!(report.ends_with("Sim::seed(1)"), "{report}");
}

#[test]
fn a_permit_that_is_never_returned_fails_the_run() {
    let permits = Arc::new(Semaphore::new(3));
    let inside = permits.clone();
    let report = report_of(Sim::seed(0), async move {
        task_group::<Sim, _, _>(async |g| {
            g.task("forgetful").spawn(async move { std::mem::forget(inside.acquire_many_arc(2).await.unwrap()) });
        })
        .await;
    });
    assert!(report.contains("left behind"), "{report}");
    assert!(report.contains("2 of the semaphore made at"), "{report}");
    assert!(report.contains("never returned"), "{report}");
}

#[test]
fn a_group_that_was_forgotten_fails_the_run() {
    let report = report_of(Sim::seed(0), async {
        let mut group = Box::pin(task_group::<Sim, _, _>(async |g| {
            g.task("orphan").spawn(pending::<()>());
        }));
        poll_fn(|cx| {
            let _ = group.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
        yield_now().await;
        std::mem::forget(group);
    });
    assert!(report.contains("left behind") && report.contains("task `orphan`"), "{report}");
}

#[test]
fn a_lenient_run_leaves_what_it_likes() {
    let permits = Arc::new(Semaphore::new(1));
    let inside = permits.clone();
    run(Sim::seed(0).lenient(), async move { std::mem::forget(inside.acquire_arc().await.unwrap()) });
    assert_eq!(permits.available_permits(), 0);
}

#[test]
fn jobs_have_their_turns_by_the_seed() {
    let orders: BTreeSet<_> = (0..60)
        .map(|seed| {
            let order = Arc::new(StdMutex::new(Vec::new()));
            run(
                Sim::seed(seed),
                task_group::<Sim, _, _>(async |g| {
                    for n in 0..3 {
                        let order = order.clone();
                        g.spawn_blocking(move || order.lock().unwrap().push(n));
                    }
                }),
            );
            Arc::into_inner(order).expect("all children have ended").into_inner().unwrap()
        })
        .collect();
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn a_job_that_asks_whether_it_is_wanted_gives_others_their_turn() {
    for seed in 0..20 {
        run(Sim::seed(seed), async {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let outcome = task_group::<Sim, _, _>(async |g| {
                let job = g.spawn_blocking(move || {
                    while !is_cancelled() {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
                sleep::<Sim>(Duration::from_millis(10)).await;
                g.cancel();
                job.outcome().await
            })
            .await;
            assert!(matches!(outcome, Outcome::Completed(()) | Outcome::Cancelled(_)), "{outcome:?}");
            assert!(asked.load(Ordering::SeqCst) < 1_000, "the clock stood still for a job that only asks");
        });
    }
}

#[test]
fn a_job_that_sleeps_elsewhere_stops_nobody() {
    let (sender, receiver) = std::sync::mpsc::channel();
    run(
        Sim::seed(0),
        task_group::<Sim, _, _>(async |g| {
            let job = g.spawn_blocking(move || receiver.recv().unwrap());
            yield_now().await;
            sender.send(7).unwrap();
            assert_eq!(job.await, 7);
        }),
    );
}

#[test]
fn a_lost_update_is_found_and_made_small() {
    async fn racy() {
        let count = Arc::new(AtomicUsize::new(0));
        task_group::<Sim, _, _>(async |g| {
            for _ in 0..4 {
                let count = count.clone();
                g.spawn(async move {
                    let seen = count.load(Ordering::SeqCst);
                    if seen == 2 {
                        // Only here somebody else may come in between.
                        yield_now().await;
                    }
                    count.store(seen + 1, Ordering::SeqCst);
                });
            }
        })
        .await;
        assert_eq!(count.load(Ordering::SeqCst), 4, "an update was lost");
    }

    let panic = catch_unwind(|| explore(racy)).expect_err("some seed fails");
    let said = panic.downcast_ref::<String>().expect("a text");
    assert!(said.contains("an update was lost"), "{said}");

    let panic = catch_unwind(|| Explore::new().exhaustive(1).run(racy)).expect_err("it is among the small ones");
    assert!(panic.downcast_ref::<String>().expect("a text").contains("an update was lost"));
}

#[test]
fn a_small_program_is_explored_whole() {
    let seen = StdMutex::new(BTreeSet::new());
    let explored = Explore::new().exhaustive(3).run(|| async {
        let order = Arc::new(StdMutex::new(Vec::new()));
        task_group::<Sim, _, _>(async |g| {
            for n in 0..4 {
                let order = order.clone();
                g.spawn(async move { order.lock().unwrap().push(n) });
            }
        })
        .await;
        seen.lock().unwrap().insert(order.lock().unwrap().clone());
    });
    assert!(explored.is_exhaustive(), "{explored}");
    assert_eq!(seen.lock().unwrap().len(), 24);
}

#[test]
fn a_clock_that_is_moved_wakes_who_waits() {
    // In the plain order, the sleeper is asleep after a turn.
    let sim = Sim::new();
    let clock = sim.clone();
    run(sim.clone(), async move {
        task_group::<Sim, _, _>(async |g| {
            let sleeper = g.spawn(sleep::<Sim>(HOUR));
            yield_now().await;
            clock.advance(2 * HOUR);
            sleeper.await;
        })
        .await;
    });
    assert_eq!(sim.elapsed(), 2 * HOUR);
}

#[test]
fn a_simulator_that_ends_ends_its_tasks() {
    let sim = Sim::seed(0);
    let end = sim.clone();
    let outcome = run(
        sim,
        task_group::<Sim, _, _>(async |g| {
            let child = g.spawn(pending::<()>());
            yield_now().await;
            end.end();
            child.outcome().await
        }),
    );
    assert!(matches!(outcome, Outcome::RuntimeGone), "{outcome:?}");
}

#[test]
fn a_wake_from_another_thread_is_told() {
    let sim = Sim::seed(0);
    let outside = sim.outside();
    let report = report_of(sim, async move {
        let mut started = false;
        poll_fn(|cx| {
            if !std::mem::replace(&mut started, true) {
                let (waker, outside) = (cx.waker().clone(), ());
                thread::spawn(move || {
                    waker.wake();
                    outside
                });
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        drop(outside);
        pending::<()>().await;
    });
    assert!(report.contains("something from outside woke a task"), "{report}");
}

#[test]
fn a_busy_loop_that_waits_for_the_clock_ends() {
    run(Sim::seed(0), async {
        let at = now::<Sim>() + Duration::from_millis(5);
        while now::<Sim>() < at {
            yield_now().await;
        }
        let never = async {
            loop {
                yield_now().await;
            }
        };
        assert!(timeout::<Sim, _>(Duration::from_millis(5), never).await.is_err());
    });
}

#[test]
fn a_shield_runs_in_virtual_time() {
    let sim = Sim::seed(5);
    run(sim.clone(), async {
        let cleaned = timeout::<Sim, _>(HOUR, shield::<Sim, _>(3 * HOUR, sleep::<Sim>(2 * HOUR))).await;
        assert!(cleaned.is_ok(), "late but done is done");
    });
    assert_eq!(sim.elapsed(), 2 * HOUR);
}

#[test]
fn the_tree_can_be_drawn_at_any_time() {
    let sim = Sim::seed(0);
    let drawing = sim.clone();
    let tree = run(
        sim,
        task_group::<Sim, _, _>(async |g| {
            g.task("sleeper").spawn(sleep::<Sim>(HOUR));
            yield_now().await;
            yield_now().await;
            drawing.tree()
        }),
    );
    assert!(tree.contains("task `sleeper`") && tree.contains("a timer, in 3600s"), "{tree}");
}

#[test]
fn a_trace_is_drawn_by_perfetto() {
    let drawn = || {
        let sim = Sim::seed(0);
        run(
            sim.clone(),
            TaskGroup::<Sim>::builder().name("hours").run(async |g| {
                let sleeper = g.task("with \"quotes\"").spawn(async {
                    sleep::<Sim>(HOUR).await;
                });
                let joiner = g.spawn(async move {
                    let _ = sleeper.outcome().await;
                });
                joiner.await;
                g.cancel_with("enough");
            }),
        );
        sim.trace().to_chrome()
    };
    let text = drawn();
    assert_eq!(drawn(), text, "whatever the numbers of the process are by now");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let events = json.as_array().expect("a list of events");
    let of = |key: &'static str, value: &'static str| events.iter().filter(move |event| event[key] == value);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();

    let processes: Vec<_> = of("name", "process_name").map(|event| text(&event["args"]["name"])).collect();
    assert!(processes.iter().any(|name| name.starts_with("hours (")), "{processes:?}");
    let track = of("name", "thread_name").find(|event| text(&event["args"]["name"]).starts_with("with \"quotes\" ("));
    let track = &track.expect("the task has a track")["tid"];
    let slices = of("ph", "B").filter(|event| event["tid"] == *track);
    let slices: Vec<_> = slices.map(|event| (text(&event["name"]), event["args"]["at"].as_f64().unwrap())).collect();
    let slices: Vec<_> = slices.iter().map(|(name, at)| (name.as_str(), *at)).collect();
    let expected = [
        ("with \"quotes\"", 0.0),
        ("poll", 0.0),
        ("waits for a timer", 0.0),
        ("poll", 3600.0),
        ("wakes who waits for it", 3600.0),
    ];
    assert_eq!(slices, expected);
    for (arrow, leads) in [("spawn", 2), ("wake", 1)] {
        let ends = |phase| of("name", arrow).filter(|event| event["ph"] == phase).count();
        assert_eq!((ends("s"), ends("f")), (leads, leads), "{arrow}");
    }
    let cancels = of("name", "cancels").next().expect("somebody asked for a cancellation");
    assert!(text(&cancels["args"]["reason"]).contains("enough"), "{cancels}");
}

#[test]
fn a_livelock_fails_the_run() {
    let report = report_of(Sim::seed(1).steps(100_000), async {
        task_group::<Sim, _, _>(async |g| {
            g.task("restless").spawn(async {
                loop {
                    yield_now().await;
                }
            });
        })
        .await;
    });
    assert!(report.starts_with("livelock: 100000 steps in a row"), "{report}");
    assert!(report.contains("task `restless`") && report.contains("Sim::seed(1)"), "{report}");
}

#[test]
fn a_run_after_a_livelock_begins_anew() {
    let sim = Sim::seed(1).steps(1_000).lenient();
    let report = report_of(sim.clone(), async {
        loop {
            yield_now().await;
        }
    });
    assert!(report.starts_with("livelock"), "{report}");
    assert_eq!(run(sim, async { 7 }), 7);
}

#[test]
fn a_task_that_blocks_its_thread_on_a_job_gets_what_it_waits_for() {
    for seed in 0..8 {
        run(Sim::seed(seed), async {
            let (sender, receiver) = std::sync::mpsc::channel();
            let (begun, has_begun) = channel(1);
            let asking = sender.clone();
            let first = unblock::<Sim, _, _>(move || {
                begun.try_send(()).unwrap();
                assert!(!is_cancelled());
                asking.send(1).unwrap();
            });
            let second = unblock::<Sim, _, _>(move || sender.send(2).unwrap());
            let (mut first, mut second) = (pin!(first), pin!(second));
            // Both are handed over; the first has begun, and waits for its turn.
            poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await;
            has_begun.recv().await.unwrap();
            poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await;
            assert_eq!(receiver.recv().unwrap() + receiver.recv().unwrap(), 3);
            first.await;
            second.await;
        });
    }
}

#[test]
fn a_blocking_scope_may_sleep_in_something_else() {
    run(Sim::seed(1), async {
        let job = unblock::<Sim, _, _>(|| {
            blocking_scope::<Sim, _, _>(|s| drop(s.spawn(async { thread::sleep(Duration::from_millis(10)) })));
            // It is on the way still, and nobody holds that for a deadlock.
            thread::sleep(Duration::from_millis(10));
            7
        });
        assert_eq!(job.await, 7);
    });
}

#[test]
fn a_blocking_scope_in_a_task_passes_virtual_time() {
    let sim = Sim::seed(1);
    run(sim.clone(), async {
        task_group::<Sim, _, _>(async |g| {
            g.spawn(async {
                blocking_scope::<Sim, _, _>(|s| drop(s.spawn(sleep::<Sim>(HOUR))));
            });
            yield_now().await;
        })
        .await;
    });
    assert_eq!(sim.elapsed(), HOUR);
}

#[test]
fn jobs_beside_a_blocking_scope_have_their_turns_by_the_seed() {
    let play = |seed| {
        let order = Arc::new(StdMutex::new(Vec::new()));
        run(Sim::seed(seed), async {
            task_group::<Sim, _, _>(async |g| {
                let own = order.clone();
                g.spawn_blocking(move || {
                    blocking_scope::<Sim, _, _>(|s| {
                        drop(s.spawn(async {
                            for n in 0..10 {
                                own.lock().unwrap().push((0, n));
                                yield_now().await;
                            }
                        }));
                    });
                });
                for job in 1..3 {
                    let order = order.clone();
                    g.spawn_blocking(move || {
                        for n in 0..10 {
                            order.lock().unwrap().push((job, n));
                            assert!(!is_cancelled());
                        }
                    });
                }
            })
            .await;
        });
        Arc::into_inner(order).unwrap().into_inner().unwrap()
    };
    for seed in 0..5 {
        let first = play(seed);
        for _ in 0..5 {
            assert_eq!(play(seed), first, "seed {seed}");
        }
    }
}

#[test]
fn a_long_wait_for_the_clock_is_no_livelock() {
    run(Sim::seed(1), async {
        let at = now::<Sim>() + Duration::from_secs(60);
        while now::<Sim>() < at {
            yield_now().await;
        }
    });
}

#[test]
fn who_asks_while_something_is_at_work_outside_is_in_no_livelock() {
    let sim = Sim::seed(1).steps(10_000);
    let outside = sim.outside();
    let through = Arc::new(AtomicUsize::new(0));
    let (enough, has_enough) = std::sync::mpsc::channel();
    let thread = thread::spawn({
        let through = through.clone();
        move || {
            has_enough.recv().unwrap();
            through.store(1, Ordering::SeqCst);
            drop(outside);
        }
    });
    run(sim, async {
        let mut asked = 0;
        while through.load(Ordering::SeqCst) == 0 {
            asked += 1;
            if asked == 20_000 {
                enough.send(()).unwrap();
            }
            yield_now().await;
        }
    });
    thread.join().unwrap();
}

#[test]
fn a_program_that_looks_at_its_deadline_is_interrupted_everywhere() {
    let points = CancelEverywhere::new().faults([Fault::Deadline]).run(
        || (),
        |()| async {
            // Only who has much time left takes it.
            if remaining::<Sim>().is_none_or(|left| left > 2 * HOUR) {
                sleep::<Sim>(HOUR).await;
            }
            sleep::<Sim>(HOUR).await;
        },
        |(), _| {},
    );
    assert!(points.runs() > 0);
}

#[test]
fn a_livelock_is_told_by_an_exploration() {
    let told = catch_unwind(|| {
        Explore::new().seeds(0..3).steps(10_000).run(|| async {
            loop {
                yield_now().await;
            }
        })
    });
    let told = told.expect_err("it never ends").downcast::<String>().expect("a report");
    assert!(told.starts_with("livelock"), "{told}");
}

#[test]
fn the_children_of_a_blocking_scope_have_their_turns_by_the_seed() {
    let mut orders = BTreeSet::new();
    for seed in 0..20 {
        let order = |seed| {
            let order = StdMutex::new(Vec::new());
            run(Sim::seed(seed), async {
                task_group::<Sim, _, _>(async |g| {
                    let job = g.spawn_blocking(|| {
                        let order = StdMutex::new(Vec::new());
                        blocking_scope::<Sim, _, _>(|s| {
                            for n in 0..3 {
                                let order = &order;
                                s.spawn(async move { order.lock().unwrap().push(n) });
                            }
                        });
                        order.into_inner().unwrap()
                    });
                    *order.lock().unwrap() = job.await;
                })
                .await;
            });
            order.into_inner().unwrap()
        };
        assert_eq!(order(seed), order(seed));
        orders.insert(order(seed));
    }
    assert!(orders.len() > 3, "{orders:?}");
}

#[test]
fn a_deadline_everywhere_strikes_before_the_programs_own_timers() {
    let ended = StdMutex::new(BTreeSet::new());
    CancelEverywhere::new().faults([Fault::Deadline]).run(
        Arc::<StdMutex<Vec<bool>>>::default,
        |ended| {
            let ended = ended.clone();
            async move {
                yield_now().await;
                let own = timeout::<Sim, _>(HOUR, pending::<()>()).await;
                ended.lock().unwrap().push(own.is_err());
            }
        },
        |this, _| _ = ended.lock().unwrap().insert(this.lock().unwrap().clone()),
    );
    let ended = ended.into_inner().unwrap();
    assert_eq!(ended, BTreeSet::from([vec![], vec![true]]), "undisturbed it comes to its own end, and else to none");
}

#[test]
fn a_program_that_panics_under_a_panicking_sibling_is_told() {
    struct Touchy(bool);

    impl Drop for Touchy {
        fn drop(&mut self) {
            assert!(self.0, "interrupted");
        }
    }

    let told = catch_unwind(|| {
        CancelEverywhere::new().faults([Fault::SiblingPanics]).run(
            || (),
            |()| async {
                let mut touchy = Touchy(false);
                sleep::<Sim>(HOUR).await;
                touchy.0 = true;
            },
            |(), _| {},
        )
    });
    assert!(told.is_err());
}

#[test]
fn no_seeds_are_no_exploration() {
    assert!(catch_unwind(|| Explore::new().seeds(0..0).run(|| async {})).is_err());
}

#[test]
fn a_lenient_exploration_leaves_what_it_likes() {
    let forgetful = || async { std::mem::forget(Arc::new(Semaphore::new(1)).try_acquire_arc()) };
    assert!(catch_unwind(|| Explore::new().seeds(0..2).run(forgetful)).is_err());
    assert_eq!(Explore::new().seeds(0..2).lenient().run(forgetful).runs(), 2);
}
