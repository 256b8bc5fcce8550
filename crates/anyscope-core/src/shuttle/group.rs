use super::{Tally, below, join, one_in, pause, rest, threads};
use crate::blocking::unblock;
use crate::channel::bounded;
use crate::group::{TaskGroup, task_group};
use crate::guard;
use crate::limiter::Limiter;
use crate::models::{Gate, Ledger, Notify, Threads, block_on, poll_once, scenario, thread};
use crate::run::run;
use crate::semaphore::{Semaphore, Statistics};
use std::future::{pending, ready};
use std::panic;
use std::sync::Arc;

type Group = TaskGroup<Threads>;

/// A panic that prints nothing.
fn panic_with(message: &'static str) -> ! {
    panic::resume_unwind(Box::new(message))
}

/// Four threads spawn five children each into a group that ends meanwhile, and each child spawns another: who had a
/// place is waited for, who had none gets the future back, and nothing runs after the group.
#[test]
fn children_spawned_from_all_sides_are_waited_for_or_given_back() {
    scenario(|| {
        let (runtime, spawned, ended) = (Threads::parallel(3), Tally::default(), Tally::default());
        let spawning = run(
            runtime.clone(),
            task_group(async |g: &Group| {
                let handle = g.handle();
                let (spawned, ended) = (spawned.clone(), ended.clone());
                threads(4, move |_| {
                    for _ in 0..5 {
                        let child = {
                            let (handle, spawned, ended) = (handle.clone(), spawned.clone(), ended.clone());
                            async move {
                                pause().await;
                                let below = ended.clone();
                                let child = async move {
                                    below.add(1);
                                };
                                assert!(handle.spawn(child).is_ok(), "the group waits for its spawner");
                                spawned.add(1);
                                ended.add(1);
                            }
                        };
                        spawned.add(usize::from(handle.spawn(child).is_ok()));
                        rest();
                    }
                })
            }),
        );
        let all = ended.get();
        join(spawning);
        runtime.join();
        assert_eq!((spawned.get(), ended.get()), (all, all));
    });
}

/// A group is dropped while its children run, wait, stand behind a limit and are spawned from two threads, and one is in
/// the middle of a poll for long: the group around waits for what is left, nothing runs after that, and every future is
/// gone.
#[test]
fn what_a_dropped_group_leaves_is_waited_for() {
    scenario(|| {
        let (runtime, alive, gate) = (Threads::parallel(3), Tally::default(), Gate::new());
        let (over, late, held) = (Tally::default(), Tally::default(), Arc::new(Notify::new()));
        let spawning = run(
            runtime.clone(),
            task_group(async |_: &Group| {
                let child = {
                    let (alive, over, late) = (alive.clone(), over.clone(), late.clone());
                    let (gate, held) = (gate.clone(), held.clone());
                    move |number: usize| {
                        let (inside, over, late) = (alive.enter(), over.clone(), late.clone());
                        let (passed, held) = (gate.passed(), held.clone());
                        async move {
                            let _inside = inside;
                            if number == 5 {
                                held.wait();
                            }
                            for _ in 0..2 {
                                rest();
                                // Told at the end: nobody may be there to whom a panic could go.
                                late.add(over.get());
                                pause().await;
                            }
                            if number % 2 == 0 {
                                passed.await;
                            }
                        }
                    }
                };
                let mut spawning = Vec::new();
                {
                    let spawning = &mut spawning;
                    let body = async move |g: &Group| {
                        for number in (0..6).rev() {
                            drop(g.spawn(child(number)));
                        }
                        let handle = g.handle();
                        spawning.extend(threads(2, move |_| {
                            for number in 0..4 {
                                drop(handle.spawn(child(number)));
                            }
                        }));
                        pending::<()>().await;
                    };
                    let mut group = Box::pin(Group::builder().limit(4).run(body));
                    for _ in 0..1 + below(3) {
                        assert!(poll_once(&mut group).is_pending());
                        pause().await;
                    }
                }
                held.notify();
                spawning
            }),
        );
        over.add(1);
        join(spawning);
        runtime.join();
        assert_eq!((alive.get(), late.get()), (0, 0));
    });
}

/// Twelve children share two permits, four at a time in the group; some are cancelled one by one, and then all of them,
/// from other threads. Each ends one way or the other, and the permits are all there.
#[test]
fn a_cancelled_group_gives_all_permits_back() {
    scenario(|| {
        let (runtime, ledger) = (Threads::parallel(3), Ledger::new());
        let semaphore = Arc::new(Semaphore::new(2));
        let ends_alone = one_in(3);
        let cancelling = run(
            runtime.clone(),
            Group::builder().limit(4).run(async |g: &Group| {
                let tasks: Vec<_> = (0..12)
                    .map(|number| {
                        let (semaphore, inside) = (semaphore.clone(), ledger.value());
                        g.spawn(async move {
                            let _inside = inside;
                            let permit = semaphore.acquire().await.unwrap();
                            pause().await;
                            drop(permit);
                            number
                        })
                    })
                    .collect();
                let handle = g.handle();
                let cancelling = thread::spawn(move || {
                    let mut left = tasks;
                    for task in left.drain(..below(4)) {
                        task.cancel();
                        rest();
                    }
                    if !ends_alone {
                        handle.cancel();
                    }
                    for (index, task) in left.into_iter().rev().enumerate() {
                        let outcome = block_on(task.outcome());
                        assert!(outcome.is_cancelled() || outcome.completed() == Some(11 - index));
                    }
                });
                if !ends_alone {
                    g.room().await;
                }
                cancelling
            }),
        );
        assert_eq!(ledger.drops(), 12);
        assert_eq!(semaphore.statistics(), Statistics { total: 2, available: 2, borrowed: 0, waiting: 0 });
        cancelling.join().unwrap();
        runtime.join();
    });
}

/// Of ten children two panic, while the others wait or go on, and one more thread spawns: one of the panics goes on in
/// the owner, when all children are gone.
#[test]
fn a_panic_goes_on_when_all_children_are_gone() {
    scenario(|| {
        let (runtime, alive, gate) = (Threads::parallel(3), Tally::default(), Gate::new());
        let spawning = Arc::new(std::sync::Mutex::new(None));
        let group = task_group(async |g: &Group| {
            for number in 0..10 {
                let (inside, passed) = (alive.enter(), gate.passed());
                drop(g.spawn(async move {
                    let _inside = inside;
                    pause().await;
                    match number {
                        3 => panic_with("one"),
                        7 => panic_with("other"),
                        _ if number % 2 == 0 => passed.await,
                        _ => rest(),
                    }
                }));
            }
            let handle = g.handle();
            let spawner = thread::spawn(move || {
                for _ in 0..3 {
                    drop(handle.spawn(ready(())));
                }
            });
            *spawning.lock().unwrap() = Some(spawner);
            pending::<()>().await;
        });
        let panic = guard::catch(|| run(runtime.clone(), group)).unwrap_err();
        assert!(matches!(guard::message(&panic).as_str(), "one" | "other"));
        assert_eq!(alive.get(), 0);
        let spawning = spawning.lock().unwrap().take();
        spawning.unwrap().join().unwrap();
        runtime.join();
    });
}

/// Three services answer the requests of eight children, each with the help of the one before it, and one more comes
/// late: every child is answered, and a service goes when all that use it have gone.
#[test]
fn services_outlive_whoever_they_serve() {
    scenario(|| {
        let (runtime, users) = (Threads::parallel(3), Tally::default());
        let late = run(
            runtime.clone(),
            task_group(async |g: &Group| {
                let (first, mut requests) = bounded::<crate::channel::Sender<usize>>(2);
                let serving = Tally::default();
                for service in 0..3 {
                    let (next, following) = bounded(1);
                    let incoming = std::mem::replace(&mut requests, following);
                    let (serving, users) = (serving.clone(), users.clone());
                    // Held by those who serve, too, so that none of them ends by itself.
                    let open = first.clone();
                    drop(g.spawn_service(async move {
                        struct Serves(usize, Tally, Tally);

                        impl Drop for Serves {
                            fn drop(&mut self) {
                                assert_eq!(self.1.get(), 0, "somebody needs it still");
                                assert_eq!(self.2.add(1), 3 - self.0, "one that came later was there still");
                            }
                        }

                        let _serves = (Serves(service, users, serving), open);
                        while let Ok(request) = incoming.recv().await {
                            if service == 2 {
                                request.send(7).await.unwrap();
                            } else {
                                next.send(request).await.unwrap();
                            }
                        }
                    }));
                }
                for _ in 0..8 {
                    let (first, inside) = (first.clone(), users.enter());
                    drop(g.spawn(async move {
                        let _inside = inside;
                        let (answer, answered) = bounded(1);
                        pause().await;
                        first.send(answer).await.unwrap();
                        assert_eq!(answered.recv().await, Ok(7));
                    }));
                }
                let handle = g.handle();
                thread::spawn(move || drop(handle.spawn_service(pending::<()>())))
            }),
        );
        late.join().unwrap();
        runtime.join();
        assert_eq!(users.get(), 0);
    });
}

/// Ten jobs run on threads of their own, two at a time, some abandoned by a group that is cancelled meanwhile: a job that
/// has begun keeps its permit until it ends, and the group waits for all of them.
#[test]
fn jobs_keep_their_permits_and_are_waited_for() {
    scenario(|| {
        let (runtime, limiter, running) = (Threads::parallel(2), Limiter::new(2), Tally::default());
        let cancelling = run(
            runtime.clone(),
            task_group(async |g: &Group| {
                for _ in 0..10 {
                    let running = running.clone();
                    let job = unblock::<Threads, _, _>(move || {
                        let _inside = running.enter();
                        assert!(running.get() <= 2, "more than the limiter has");
                        rest();
                    });
                    let job = job.limiter(&limiter);
                    drop(g.spawn(if one_in(2) { job.abandon_on_cancel() } else { job }));
                }
                let handle = g.handle();
                thread::spawn(move || {
                    rest();
                    handle.cancel();
                })
            }),
        );
        assert_eq!(running.get(), 0);
        assert_eq!(limiter.statistics(), Statistics { total: 2, available: 2, borrowed: 0, waiting: 0 });
        cancelling.join().unwrap();
        runtime.join();
    });
}
