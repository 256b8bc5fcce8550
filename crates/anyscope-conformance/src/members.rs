//! Who belongs to a group beside its plain children, and how it ends: services, children that are started, finalisers,
//! the two phases of a shutdown, and room under a limit. Laws 1, 2, 5 and 18 to 20 for each of them.

use crate::runtime::Toy;
use crate::support::{
    Census, Gate, OneAtATime, Wakes, caught, on_thread, poll_once, polled, said, settled, surviving, turns, until,
    while_polling,
};
use anyscope_core::{
    GroupHandle, NotReady, Outcome, ReasonKind, Runtime, TaskGroup, is_cancelled, is_stopping, remaining, run, shield,
    stopping, task_group, timeout, try_task_group, unblock, yield_now,
};
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

/// Longer than any check takes.
const LONG: Duration = Duration::from_secs(3600);

/// What happened, in its order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn add(&self, event: &'static str) {
        self.0.lock().unwrap().push(event);
    }

    fn events(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    /// Adds the event when it is dropped.
    fn at_drop(&self, event: &'static str) -> AtDrop {
        AtDrop(self.clone(), event)
    }

    /// Waits until it is dropped, polled or not, and adds the event then.
    fn until_dropped(&self, event: &'static str) -> impl Future<Output = ()> + Send + 'static + use<> {
        let at_drop = self.at_drop(event);
        async move {
            let _at_drop = at_drop;
            pending::<()>().await;
        }
    }
}

struct AtDrop(Log, &'static str);

impl Drop for AtDrop {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// Panics in the place of a value.
fn panic<T>(message: &str) -> T {
    panic!("{message}")
}

/// Services are told to end when only services are left: the last first, and each when the one after it has ended.
pub fn services_end_after_their_users_one_after_the_other<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (log, used) = (Log::default(), Gate::new());
        let (release, up) = (Gate::new(), Gate::new());
        let mut group = Box::pin(task_group::<R, _, _>(async |g| {
            let first = g.spawn_service(log.until_dropped("first"));
            let second = g.spawn_service({
                let (log, release, up) = (log.clone(), release.clone(), up.clone());
                async move {
                    let _at_drop = log.at_drop("second");
                    shield::<R, _>(Duration::MAX, async {
                        up.open();
                        release.passed().await;
                        log.add("second has cleaned up");
                    })
                    .await;
                    pending::<()>().await;
                }
            });
            g.spawn_service(log.until_dropped("third"));
            g.spawn({
                let (log, used) = (log.clone(), used.clone());
                async move {
                    used.passed().await;
                    log.add("user");
                }
            });
            (first, second)
        }));
        while_polling(&mut group, up.passed()).await;
        for _ in 0..10 {
            assert!(polled(&mut group).await.is_pending());
            yield_now().await;
        }
        assert!(log.events().is_empty(), "a service ended before its users");
        used.open();
        let third = || log.events().len() == 2;
        until(third).await;
        for _ in 0..10 {
            assert!(polled(&mut group).await.is_pending());
            yield_now().await;
        }
        assert_eq!(log.events(), ["user", "third"], "a service ended before the one after it had");
        release.open();
        let (first, second) = group.await;
        assert_eq!(log.events(), ["user", "third", "second has cleaned up", "second", "first"]);
        for service in [first, second] {
            let Outcome::Cancelled(reason) = service.outcome().await else { panic!("a service ended by itself") };
            assert_eq!(reason.kind(), ReasonKind::Shutdown, "{reason}");
        }
    });
}

/// The body's end is enough where there were no users at all, and a body that goes on keeps the services.
pub fn services_live_as_long_as_the_body<R: Runtime>(runtime: R) {
    run(runtime, async {
        let log = Log::default();
        task_group::<R, _, _>(async |g| {
            g.spawn_service(log.until_dropped("service"));
            g.spawn(async {}).await;
            turns(20).await;
            log.add("body");
        })
        .await;
        assert_eq!(log.events(), ["body", "service"]);
    });
}

/// A cancellation of the group reaches services when their users have ended: clean-up can still rely on them.
pub fn a_cancelled_group_keeps_its_services_for_its_users<R: Runtime>(runtime: R) {
    run(runtime, async {
        for failing in [false, true] {
            let (up, asked, answered) = (Gate::new(), Gate::new(), Gate::new());
            let log = Log::default();
            let result = try_task_group::<R, _, _, _>(async |g| {
                let service = g.spawn_service({
                    let (asked, answered, log) = (asked.clone(), answered.clone(), log.clone());
                    async move {
                        let _at_drop = log.at_drop("service");
                        asked.passed().await;
                        answered.open();
                        pending::<Result<(), &'static str>>().await
                    }
                });
                g.spawn({
                    let (up, asked, answered, log) = (up.clone(), asked.clone(), answered.clone(), log.clone());
                    shield::<R, _>(Duration::MAX, async move {
                        up.open();
                        turns(20).await;
                        asked.open();
                        answered.passed().await;
                        log.add("user");
                        Ok(())
                    })
                });
                up.passed().await;
                if failing {
                    g.spawn(async { Err::<(), _>("failed") });
                } else {
                    g.cancel_with("enough");
                    let Outcome::Cancelled(reason) = service.outcome().await else { panic!("it ended by itself") };
                    assert_eq!(reason.message(), Some("enough"), "the services end with what ended the children");
                    log.add("body");
                }
                Ok(())
            });
            let result = result.await;
            assert_eq!(result.is_err(), failing);
            assert_eq!(log.events()[..2], ["user", "service"], "a service ended before its user");
            assert_eq!(log.events().len(), if failing { 2 } else { 3 });
        }
    });
}

/// Services take no place under a limit, and get one at once.
pub fn services_do_not_count_towards_the_limit<R: Runtime>(runtime: R) {
    run(runtime, async {
        TaskGroup::<R>::builder()
            .limit(1)
            .run(async |g| {
                let (first, second) = (Gate::new(), Gate::new());
                for gate in [&first, &second] {
                    let gate = gate.clone();
                    g.spawn_service(async move {
                        gate.open();
                        pending::<()>().await;
                    });
                }
                g.room().await;
                let (entered, left) = (Gate::new(), Gate::new());
                let (enter, leave) = (entered.clone(), left.clone());
                g.spawn(async move {
                    enter.open();
                    leave.passed().await;
                });
                entered.passed().await;
                let third = Gate::new();
                let began = third.clone();
                g.spawn_service(async move {
                    began.open();
                    pending::<()>().await;
                });
                for gate in [first, second, third] {
                    gate.passed().await;
                }
                left.open();
            })
            .await;
    });
}

/// A service may end by itself, with a value; its panic, and in a try group its error, is one of the group.
pub fn a_service_ends_as_any_child_does<R: Runtime>(runtime: R) {
    run(runtime, async {
        let value = task_group::<R, _, _>(async |g| {
            g.spawn_service(pending::<()>());
            let value = g.spawn_service(async { 7 }).await;
            assert_eq!(g.spawn(async { 8 }).await, 8, "the others go on");
            value
        });
        assert_eq!(value.await, 7);

        let census = Census::new();
        let ended = caught(task_group::<R, _, _>(async |g| {
            let member = census.member();
            g.spawn(async move {
                let _member = member;
                pending::<()>().await;
            });
            g.spawn_service(async { panic::<()>("the service") });
            pending::<()>().await;
        }));
        assert_eq!(said(&ended.await.expect_err("a service panicked")), "the service");
        assert_eq!(census.alive(), 0);

        let ended = try_task_group::<R, _, _, _>(async |g| {
            let member = census.member();
            g.spawn(async move {
                let _member = member;
                pending::<Result<(), &'static str>>().await
            });
            g.task("server").spawn_service(async { Err::<(), _>("address in use") });
            pending::<Result<(), _>>().await
        });
        let error = ended.await.unwrap_err();
        assert_eq!(error.errors().collect::<Vec<_>>(), [&"address in use"]);
        assert_eq!(error.failures()[0].task().and_then(|task| task.name()), Some("server"));
        assert_eq!(census.alive(), 0);
    });
}

/// What a service spawns is a user like any other: waited for, and served, also where it is spawned at the very end.
pub fn a_service_may_spawn<R: Runtime>(runtime: R) {
    struct SpawnAtDrop<R: Runtime>(GroupHandle<R>, Log);

    impl<R: Runtime> Drop for SpawnAtDrop<R> {
        fn drop(&mut self) {
            let log = self.1.clone();
            let child = async move {
                turns(3).await;
                log.add("grandchild");
            };
            assert!(self.0.spawn(child).is_ok(), "the group has a member that lives");
        }
    }

    run(runtime, async {
        let log = Log::default();
        task_group::<R, _, _>(async |g| {
            g.spawn_service(log.until_dropped("first"));
            let (handle, log, up) = (g.handle(), log.clone(), Gate::new());
            let began = up.clone();
            g.spawn_service(async move {
                let child = log.clone();
                let spawned = handle.spawn(async move {
                    turns(5).await;
                    child.add("child");
                });
                drop(spawned.expect("the group lives"));
                let _at_drop = SpawnAtDrop(handle, log);
                began.open();
                pending::<()>().await;
            });
            up.passed().await;
        })
        .await;
        assert_eq!(log.events(), ["child", "grandchild", "first"]);
    });
}

/// A service for a cancelled group isn't polled; one for a group that has ended is given back.
pub fn a_service_that_comes_too_late_is_told<R: Runtime>(runtime: R) {
    run(runtime, async {
        let handle = task_group::<R, _, _>(async |g| {
            g.cancel_with("too late");
            let service = g.spawn_service(async { unreachable!("it is polled") });
            let Outcome::<()>::Cancelled(reason) = service.outcome().await else { panic!("it wasn't cancelled") };
            assert_eq!(reason.message(), Some("too late"));
            g.handle()
        })
        .await;
        let closed = handle.spawn_service(async { 7 }).expect_err("the group has ended");
        assert_eq!(closed.into_inner().await, 7);
        let closed = handle.task("late").spawn_service(async { 8 }).expect_err("the group has ended");
        assert_eq!(closed.into_inner().await, 8);
    });
}

/// A dropped group destroys its services at once, after their users and the last first.
pub fn a_dropped_group_destroys_services_after_their_users<R: Runtime>(runtime: R) {
    run(OneAtATime(runtime), async {
        let log = Log::default();
        let (send, receive) = std::sync::mpsc::channel();
        let mut group = Box::pin(task_group::<OneAtATime<R>, _, _>(async |g| {
            g.spawn_service(log.until_dropped("first"));
            g.spawn_service(log.until_dropped("second"));
            g.spawn(log.until_dropped("user"));
            send.send(g.handle()).expect("it is kept");
            pending::<()>().await;
        }));
        assert!(polled(&mut group).await.is_pending());
        let handle: GroupHandle<OneAtATime<R>> = receive.recv().expect("it was sent");
        // One at a time: the polls of those before it have returned.
        handle.spawn(async {}).expect("the group lives").await;
        drop(group);
        assert_eq!(log.events(), ["user", "second", "first"]);
    });
}

/// A service that is spawned at the very moment at which the last user ends, or the group is cancelled, is ended with the
/// group, or given back: nobody waits for it for ever.
pub fn a_service_that_races_with_the_end_is_ended_or_given_back<R: Runtime>(runtime: R) {
    const ROUNDS: usize = 600;

    run(runtime, async {
        let census = Census::new();
        for round in 0..ROUNDS {
            let (send, receive) = std::sync::mpsc::channel();
            let barrier = Arc::new(Barrier::new(2));
            let spawning = {
                let (barrier, census) = (barrier.clone(), census.clone());
                on_thread(move || {
                    let handle: GroupHandle<R> = receive.recv().expect("a handle");
                    barrier.wait();
                    for _ in 0..round % 3 {
                        thread::yield_now();
                    }
                    let member = census.member();
                    let service = async move {
                        let _member = member;
                        pending::<()>().await;
                    };
                    drop(handle.spawn_service(service));
                })
            };
            task_group::<R, _, _>(async |g| {
                if round % 2 == 1 {
                    g.spawn(async {});
                }
                send.send(g.handle()).expect("the thread waits");
                barrier.wait();
                if round % 4 == 2 {
                    g.cancel();
                }
            })
            .await;
            spawning.await;
            assert_eq!(census.alive(), 0);
        }
    });
}

/// A cancellation at the very moment at which the last user ends still ends the services, though the body goes on.
pub fn a_cancellation_that_races_with_the_last_user_ends_the_services<R: Runtime>(runtime: R) {
    const ROUNDS: usize = 600;

    run(runtime, async {
        for _ in 0..ROUNDS {
            task_group::<R, _, _>(async |g| {
                let barrier = Arc::new(Barrier::new(2));
                let service = g.spawn_service(pending::<()>());
                let (cancelling, handle) = (barrier.clone(), g.handle());
                let cancelled = on_thread(move || {
                    cancelling.wait();
                    handle.cancel();
                });
                g.spawn(async move {
                    barrier.wait();
                });
                assert!(service.outcome().await.is_cancelled());
                cancelled.await;
            })
            .await;
        }
    });
}

/// A start gives what the child is ready with, while the child goes on.
pub fn a_start_ends_when_the_child_is_ready<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (stop, log) = (Gate::new(), Log::default());
        task_group::<R, _, _>(async |g| {
            let (stopped, child) = (stop.clone(), log.clone());
            let port = g.task("server").start(|started| async move {
                turns(3).await;
                started.ready(8080);
                stopped.passed().await;
                child.add("child");
            });
            assert_eq!(port.await, 8080);
            log.add("body");
            stop.open();
        })
        .await;
        assert_eq!(log.events(), ["body", "child"]);

        // From another thread, and of a child that says so in its first poll.
        let from_thread = task_group::<R, _, _>(async |g| {
            g.start(|started| async move {
                on_thread(move || started.ready("ready")).await;
            })
            .await
        });
        assert_eq!(from_thread.await, "ready");
    });
}

/// Until it is ready, a child is the caller's: whoever drops the start destroys it before the drop returns.
pub fn a_dropped_start_destroys_the_child<R: Runtime>(runtime: R) {
    run(OneAtATime(runtime), async {
        for how in 0..3 {
            let census = Census::new();
            task_group::<OneAtATime<R>, _, _>(async |g| {
                let began = Gate::new();
                let (member, child) = (census.member(), began.clone());
                let mut start = Box::pin(g.start(|started| async move {
                    let _member = member;
                    child.open();
                    pending::<()>().await;
                    started.ready(());
                }));
                match how {
                    0 => {
                        while_polling(&mut start, began.passed()).await;
                        // One at a time: once this has run, the other's poll has returned.
                        g.spawn(async {}).await;
                        drop(start);
                    }
                    1 => {
                        drop(start);
                        // Its first poll may have been under way.
                        g.spawn(async {}).await;
                    }
                    _ => {
                        let token = anyscope_core::CancelToken::<OneAtATime<R>>::new();
                        let mut start = Box::pin(token.run(start));
                        while_polling(&mut start, began.passed()).await;
                        g.spawn(async {}).await;
                        token.cancel();
                        assert!(start.await.is_err());
                        // The cancellation woke the child as well, which may be ending itself.
                        g.spawn(async {}).await;
                    }
                }
                assert_eq!(census.alive(), 0, "the child of a start outlived it ({how})");
                assert!(!g.is_cancelled());
                assert_eq!(g.spawn(async { 1 }).await, 1, "the group goes on");
            })
            .await;
        }
    });
}

/// A group that is cancelled meanwhile waits for a start, and strikes when the child is ready.
pub fn a_cancelled_group_waits_until_a_child_is_ready<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (began, release) = (Gate::new(), Gate::new());
        let (handed, after) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        task_group::<R, _, _>(async |g| {
            let mut start = Box::pin({
                let (began, release, after) = (began.clone(), release.clone(), after.clone());
                g.start(|started| async move {
                    began.open();
                    release.passed().await;
                    assert!(!is_cancelled());
                    started.ready(7);
                    yield_now().await;
                    after.store(true, Ordering::SeqCst);
                })
            });
            while_polling(&mut start, began.passed()).await;
            g.cancel();
            for _ in 0..20 {
                assert!(polled(&mut start).await.is_pending(), "a cancellation of the group ended a start");
                yield_now().await;
            }
            release.open();
            assert_eq!(start.await, 7);
            handed.store(true, Ordering::SeqCst);
        })
        .await;
        assert!(handed.load(Ordering::SeqCst));
        assert!(!after.load(Ordering::SeqCst), "the cancellation didn't strike when the child was the group's");
    });
}

/// A child that is ready is the group's: that nobody took its value changes nothing.
pub fn a_child_that_is_ready_outlives_its_starter<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (census, done) = (Census::new(), Arc::new(AtomicBool::new(false)));
        task_group::<R, _, _>(async |g| {
            let (ready, release) = (Gate::new(), Gate::new());
            let start = {
                let (ready, release, done, value) = (ready.clone(), release.clone(), done.clone(), census.member());
                g.start(|started| async move {
                    started.ready(value);
                    ready.open();
                    release.passed().await;
                    done.store(true, Ordering::SeqCst);
                })
            };
            ready.passed().await;
            assert_eq!(census.alive(), 1, "the value waits for whoever asks");
            drop(start);
            assert_eq!(census.alive(), 0, "the value nobody took was kept");
            turns(5).await;
            release.open();
        })
        .await;
        assert!(done.load(Ordering::SeqCst), "the end of its starter ended a child of the group");
    });
}

/// A start whose child ends, or gives up, without being ready says how; nobody hangs, and the group goes on.
pub fn a_start_tells_of_a_child_that_never_was_ready<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let ended: NotReady =
                g.task("hasty").start::<u32, _>(|started| async move { drop(started) }).outcome().await.unwrap_err();
            assert!(ended.to_string().contains("`hasty`"), "{ended}");
            let ended = g
                .start::<u32, _>(|started| async move {
                    let _started = started;
                    yield_now().await;
                })
                .outcome()
                .await
                .unwrap_err();
            assert!(matches!(ended.outcome(), Outcome::Completed(())), "{ended:?}");

            // `Started` is gone, so that it will never be ready: it is cancelled.
            let census = Census::new();
            let member = census.member();
            let ended = g
                .start::<u32, _>(|started| async move {
                    let _member = member;
                    drop(started);
                    pending::<()>().await;
                })
                .outcome()
                .await
                .unwrap_err();
            assert!(ended.outcome().is_cancelled(), "{ended:?}");
            assert_eq!(census.alive(), 0, "it was told before the child was gone");

            let awaited = caught(g.task("hasty").start::<u32, _>(|_| async {})).await;
            assert!(said(&awaited.expect_err("there is no value")).contains("`hasty`"));
            assert!(!g.is_cancelled());
        })
        .await;
    });
}

/// What a child ends with in its first poll counts, though it dropped `Started` before.
pub fn a_child_that_drops_started_first_still_ends_with_what_it_ends_with<R: Runtime>(runtime: R) {
    run(runtime, async {
        let result = try_task_group::<R, _, _, _>(async |g| {
            let unused = g.start::<u32, _, _>(|_started| async { Err::<(), _>("port in use") }).await;
            assert_eq!(unused, Err("port in use"));
            let moved = g
                .start::<u32, _, _>(|started| async move {
                    drop(started);
                    Err::<(), _>("port in use")
                })
                .await;
            assert_eq!(moved, Err("port in use"));
            Ok(())
        });
        assert!(result.await.is_ok());
    });
}

/// In a cancelled group a start is over before its child is polled.
pub fn a_start_in_a_cancelled_group_polls_nothing<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            g.cancel_with("enough");
            let start = g.start::<u32, _>(|started| async move {
                let _started = started;
                unreachable!("it is polled");
            });
            let ended = start.outcome().await.unwrap_err();
            let Outcome::Cancelled(reason) = ended.outcome() else { panic!("{ended}") };
            assert_eq!(reason.message(), Some("enough"));
        })
        .await;
    });
}

/// A panic of a child that isn't ready yet is the caller's, and the group goes on; afterwards it is the group's.
pub fn a_panic_before_ready_is_the_callers<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        task_group::<R, _, _>(async |g| {
            for _ in 0..100 {
                let member = census.member();
                let start = g.start::<u32, _>(|started| async move {
                    let _started = started;
                    yield_now().await;
                    let _member = member;
                    panic::<()>("no port");
                });
                assert_eq!(said(&caught(start).await.expect_err("it panicked")), "no port");
                assert_eq!(census.alive(), 0, "the caller went on before the child was gone");
            }
            let start = g.start::<u32, _>(|started| async move {
                let _started = started;
                panic::<()>("no port");
            });
            let ended = start.outcome().await.unwrap_err();
            assert!(matches!(ended.outcome(), Outcome::Panicked(panic) if panic.message() == "no port"), "{ended:?}");
            assert!(!g.is_cancelled(), "the panic of a start ended the group");
        })
        .await;

        let ended = caught(task_group::<R, _, _>(async |g| {
            g.start(|started| async move {
                started.ready(());
                yield_now().await;
                panic::<()>("later");
            })
            .await;
            pending::<()>().await;
        }));
        assert_eq!(said(&ended.await.expect_err("a child panicked")), "later");
    });
}

/// What a child holds that panics before it is ready is dropped before the caller goes on.
pub fn a_panic_before_ready_comes_after_the_childs_end<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let (stop, control) = crate::support::Stop::new();
            struct Slow(crate::support::Stop);

            impl Drop for Slow {
                fn drop(&mut self) {
                    self.0.here();
                }
            }

            /// Holds what it holds until it is dropped, also where its poll unwinds.
            struct Panics(#[allow(dead_code, reason = "dropped")] Slow);

            impl Future for Panics {
                type Output = ();

                fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
                    panic("no port")
                }
            }

            let held = Panics(Slow(stop));
            let mut start = Box::pin(caught(g.start::<u32, _>(|started| {
                std::mem::forget(started);
                held
            })));
            let started = on_thread(move || {
                control.wait();
                let is_over = poll_once(&mut start).is_ready();
                control.release();
                (is_over, start)
            });
            let (is_over, start) = started.await;
            assert!(!is_over, "the caller was told in the middle of the child's destructor");
            assert_eq!(said(&start.await.expect_err("it panicked")), "no port");
        })
        .await;
    });
}

/// A panic before ready that no caller is there for any more isn't swallowed: it is the group's.
pub fn a_panic_that_no_starter_takes_is_the_groups<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let ended = caught(task_group::<R, _, _>(async |g| {
                let gone = Gate::new();
                let opened = gone.clone();
                struct Open(Gate);

                impl Drop for Open {
                    fn drop(&mut self) {
                        self.0.open();
                    }
                }

                let start = g.start::<u32, _>(|started| async move {
                    let _open = Open(opened);
                    let _started = started;
                    panic::<()>("nobody looked");
                });
                gone.passed().await;
                // The poll has to return first.
                turns(100).await;
                drop(start);
            }));
            assert_eq!(said(&ended.await.expect_err("a child panicked")), "nobody looked");
        });
    });
}

/// The error of a child that isn't ready yet is the caller's, and no failure of the group; afterwards it is.
pub fn an_error_before_ready_is_the_callers<R: Runtime>(runtime: R) {
    run(runtime, async {
        let result = try_task_group::<R, _, _, _>(async |g| {
            let first = g.start::<u32, _, _>(|started| async move {
                let _started = started;
                yield_now().await;
                Err::<(), _>("in use")
            });
            assert_eq!(first.await, Err("in use"));
            turns(5).await;
            g.start(|started| async move {
                started.ready(8081);
                Ok(())
            })
            .await
        });
        assert_eq!(result.await.expect("the error was the caller's"), 8081);

        let result = try_task_group::<R, _, _, _>(async |g| {
            g.task("server")
                .start(|started| async move {
                    started.ready(());
                    yield_now().await;
                    Err::<(), _>("reset")
                })
                .await?;
            pending::<Result<(), _>>().await
        });
        let error = result.await.unwrap_err();
        assert_eq!(error.errors().collect::<Vec<_>>(), [&"reset"]);
        assert_eq!(error.failures()[0].task().and_then(|task| task.name()), Some("server"));
    });
}

/// The caller's deadline holds until the child is ready, and not afterwards.
pub fn a_starters_deadline_holds_until_the_child_is_ready<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let second = Duration::from_secs(1);
        task_group::<Toy<R>, _, _>(async |g| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let kept = seen.clone();
            let start = g.start(|started| async move {
                kept.lock().unwrap().push(remaining::<Toy<R>>());
                started.ready(());
                yield_now().await;
                kept.lock().unwrap().push(remaining::<Toy<R>>());
            });
            // What holds is what is around the call.
            assert_eq!(timeout::<Toy<R>, _>(second, start).await, Ok(()));
            until(|| seen.lock().unwrap().len() == 2).await;
            assert_eq!(*seen.lock().unwrap(), [None, None]);

            let seen = Arc::new(Mutex::new(Vec::new()));
            let kept = seen.clone();
            let started = timeout::<Toy<R>, _>(second, async {
                g.start(|started| async move {
                    kept.lock().unwrap().push(remaining::<Toy<R>>());
                    started.ready(());
                    yield_now().await;
                    kept.lock().unwrap().push(remaining::<Toy<R>>());
                })
                .await;
            });
            assert_eq!(started.await, Ok(()));
            until(|| seen.lock().unwrap().len() == 2).await;
            assert_eq!(*seen.lock().unwrap(), [Some(second), None]);

            let census = Census::new();
            let member = census.member();
            let late = timeout::<Toy<R>, _>(second, async {
                g.start(|started| async move {
                    let _member = member;
                    pending::<()>().await;
                    started.ready(());
                })
                .await;
            });
            let mut late = Box::pin(late);
            assert!(polled(&mut late).await.is_pending());
            clock.advance(second);
            assert!(late.await.is_err());
            assert_eq!(census.alive(), 0);
        })
        .await;
    });
}

/// What a child opened before it was ready is the group's afterwards: it outlives its starter, and is cancelled with the
/// group.
pub fn what_was_opened_before_ready_is_the_groups_afterwards<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        task_group::<R, _, _>(async |g| {
            let token = anyscope_core::CancelToken::<R>::new();
            let kind = Arc::new(Mutex::new(None));
            let begin = async {
                let (member, kept) = (census.member(), kind.clone());
                let recording = Gate::new();
                let began = recording.clone();
                g.start(|started| async move {
                    let inner = task_group::<R, _, _>(async |g| {
                        let child = g.spawn(async move {
                            let _member = member;
                            pending::<()>().await;
                        });
                        started.ready(());
                        g.spawn(shield::<R, _>(Duration::MAX, async move {
                            began.open();
                            *kept.lock().unwrap() = Some(child.outcome().await);
                        }));
                    });
                    inner.await;
                })
                .await;
                recording.passed().await;
                token.cancel_with("the starter");
                turns(20).await;
                assert_eq!(census.alive(), 1, "a cancellation of the starter reached a child that is the group's");
            };
            // The poll that cancelled the token is under way; what follows gives way.
            let _ = token.run(shield::<R, _>(Duration::MAX, begin)).await;
            assert_eq!(census.alive(), 1);
            g.cancel_with("the group");
            until(|| census.alive() == 0).await;
            until(|| kind.lock().unwrap().is_some()).await;
            let Some(Outcome::Cancelled(reason)) = kind.lock().unwrap().take() else { panic!("it wasn't cancelled") };
            assert_eq!(reason.message(), Some("the group"));
        })
        .await;
        assert_eq!(census.alive(), 0);
    });
}

/// A start on a runtime that goes away says so.
pub fn a_start_on_a_lost_runtime_says_so<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    run(toy, async move {
        task_group::<Toy<R>, _, _>(async |g| {
            let began = Gate::new();
            let child = began.clone();
            let start = g.start::<u32, _>(|started| async move {
                child.open();
                pending::<()>().await;
                started.ready(1);
            });
            began.passed().await;
            going.go_away();
            let ended = start.outcome().await.unwrap_err();
            assert!(matches!(ended.outcome(), Outcome::RuntimeGone), "{ended:?}");
            let late = g.start::<u32, _>(|started| async move { started.ready(1) }).outcome().await.unwrap_err();
            assert!(matches!(late.outcome(), Outcome::RuntimeGone), "{late:?}");
        })
        .await;
    });
}

/// Finalisers run one after the other, the last first, after all children and services, however the group ended.
pub fn finalisers_run_the_last_first_however_the_group_ended<R: Runtime>(runtime: R) {
    fn finaliser(log: &Log, begin: &'static str, end: &'static str) -> impl Future<Output = ()> + Send + 'static {
        let log = log.clone();
        async move {
            log.add(begin);
            turns(3).await;
            log.add(end);
        }
    }

    surviving(|| {
        run(runtime, async {
            for how in 0..6 {
                let (log, told) = (Log::default(), Arc::new(Mutex::new(Vec::new())));
                // Joined by the group around, where the group is dropped.
                task_group::<R, _, _>(async |_| {
                    let ready = Gate::new();
                    let group = try_task_group::<R, _, _, &'static str>(async |g| {
                        g.on_exit(finaliser(&log, "first", "first ended"));
                        let service = log.until_dropped("service");
                        g.spawn_service(async move {
                            service.await;
                            Ok(())
                        });
                        let (kept, last) = (told.clone(), finaliser(&log, "last", "last ended"));
                        g.on_exit_with(move |outcome| async move {
                            kept.lock().unwrap().push(outcome);
                            last.await;
                        });
                        let kept = told.clone();
                        g.on_exit_with(move |outcome| async move {
                            assert!(!is_cancelled());
                            assert_eq!(remaining::<R>(), None, "a deadline holds for a finaliser");
                            kept.lock().unwrap().push(outcome);
                        });
                        let child = log.clone();
                        let began = ready.clone();
                        g.spawn(async move {
                            let _at_drop = child.at_drop("child");
                            began.open();
                            match how {
                                0 | 5 => turns(3).await,
                                1 => return Err("failed"),
                                2 => panic("child"),
                                _ => pending::<()>().await,
                            }
                            Ok(())
                        });
                        ready.passed().await;
                        match how {
                            3 => panic("body"),
                            0 => {}
                            5 => g.cancel(),
                            _ => pending::<()>().await,
                        }
                        Ok(())
                    });
                    let ended = match how {
                        4 => {
                            let mut group = Box::pin(timeout::<R, _>(Duration::ZERO, caught(group)));
                            // The deadline that is past polls it at least once; the child has to be there.
                            let ended = std::future::poll_fn(|cx| {
                                let polled = std::pin::Pin::new(&mut group).poll(cx);
                                polled.map(|ended| ended.is_err())
                            });
                            assert!(ended.await, "it wasn't late");
                            return;
                        }
                        _ => caught(group).await,
                    };
                    match (how, ended) {
                        (0 | 5, Ok(Ok(()))) => {}
                        (1, Ok(Err(error))) => assert_eq!(error.into_first(), "failed"),
                        (2, Err(payload)) => assert_eq!(said(&payload), "child"),
                        (3, Err(payload)) => assert_eq!(said(&payload), "body"),
                        (_, ended) => panic!("{how}: {:?}", ended.is_ok()),
                    }
                })
                .await;
                let mut expected = vec!["child", "service", "last", "last ended", "first", "first ended"];
                let mut events = log.events();
                if how == 4 {
                    // The child may not have begun; what is idle is destroyed in a drop, in whatever order.
                    events.retain(|event| *event != "child" && *event != "service");
                    expected.drain(..2);
                }
                assert_eq!(events, expected, "({how})");
                let told = told.lock().unwrap();
                let is_told = |outcome: &Outcome<()>| match how {
                    0 | 5 => outcome.is_completed(),
                    1 | 4 => outcome.is_cancelled(),
                    _ => outcome.is_panicked(),
                };
                assert!(told.len() == 2 && told.iter().all(is_told), "({how}) {told:?}");
            }
        });
    });
}

/// A finaliser isn't interrupted by what interrupts the group, and no deadline around holds for it.
pub fn nothing_interrupts_a_finaliser<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (began, release, finished) = (Gate::new(), Gate::new(), Arc::new(AtomicBool::new(false)));
        task_group::<R, _, _>(async |_| {
            let token = anyscope_core::CancelToken::<R>::new();
            let work = task_group::<R, _, _>(async |g| {
                let (began, release, finished) = (began.clone(), release.clone(), finished.clone());
                g.on_exit(async move {
                    began.open();
                    release.passed().await;
                    assert!(!is_cancelled());
                    // Groups, timeouts and jobs work as ever.
                    assert!(timeout::<R, _>(Duration::from_micros(50), pending::<()>()).await.is_err());
                    assert_eq!(task_group::<R, _, _>(async |g| g.spawn(async { 1 }).await).await, 1);
                    assert_eq!(unblock::<R, _, _>(|| 2).await, 2);
                    finished.store(true, Ordering::SeqCst);
                });
            });
            let mut work = Box::pin(token.run(work));
            while_polling(&mut work, began.passed()).await;
            token.cancel();
            // The group's owner isn't held up; the group around waits.
            assert!(work.await.is_err());
            turns(10).await;
            assert!(!finished.load(Ordering::SeqCst));
            release.open();
        })
        .await;
        assert!(finished.load(Ordering::SeqCst), "a finaliser was interrupted");
    });
}

/// A finaliser that fails stops no other, and its panic or error stands behind those that came before.
pub fn a_finaliser_that_fails_stops_no_other<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let log = Log::default();
            let panicked = caught(task_group::<R, _, _>(async |g| {
                let added = log.clone();
                g.on_exit(async move { added.add("first") });
                g.on_exit(async { panic("second") });
                let added = log.clone();
                g.on_exit_with(move |how| async move {
                    assert!(how.is_completed());
                    added.add("third");
                });
            }));
            assert_eq!(said(&panicked.await.expect_err("a finaliser panicked")), "second");
            assert_eq!(log.events(), ["third", "first"]);

            let panicked = caught(task_group::<R, _, _>(async |g| {
                g.on_exit(async { panic("the finaliser") });
                g.spawn(async { panic::<()>("the child") });
            }));
            assert_eq!(said(&panicked.await.expect_err("both panicked")), "the child");

            let failed = try_task_group::<R, _, _, _>(async |g| {
                g.on_exit(async { Err("the first finaliser") });
                g.on_exit(async {});
                g.on_exit(async { Err("the last finaliser") });
                g.spawn(async { Err::<(), _>("the child") });
                Ok(())
            });
            let failed = failed.await.unwrap_err();
            assert_eq!(
                failed.errors().collect::<Vec<_>>(),
                [&"the child", &"the last finaliser", &"the first finaliser"]
            );
            // Alone, it is an error of the group all the same.
            let failed = try_task_group::<R, _, _, _>(async |g| {
                g.on_exit(async { Err("alone") });
                Ok(1)
            });
            assert_eq!(failed.await.map_err(|error| error.into_first()), Err("alone"));

            // Of a group that was dropped: the group around has its panic.
            let panicked = caught(task_group::<R, _, _>(async |_| {
                let mut inner = Box::pin(task_group::<R, _, _>(async |g| {
                    g.on_exit(async { panic("left behind") });
                    pending::<()>().await;
                }));
                assert!(polled(&mut inner).await.is_pending());
                drop(inner);
            }));
            assert_eq!(said(&panicked.await.expect_err("a finaliser panicked")), "left behind");
        });
    });
}

/// While a group runs its finalisers it takes no children any more.
pub fn a_group_that_runs_finalisers_takes_no_children<R: Runtime>(runtime: R) {
    run(runtime, async {
        let tried = Arc::new(AtomicUsize::new(0));
        task_group::<R, _, _>(async |g| {
            for _ in 0..2 {
                let (handle, tried) = (g.handle(), tried.clone());
                g.on_exit(async move {
                    let closed = handle.spawn(async { 7 }).expect_err("the group has come to its end");
                    assert_eq!(closed.into_inner().await, 7);
                    assert!(handle.spawn_service(async {}).is_err());
                    handle.room().await;
                    tried.fetch_add(1, Ordering::SeqCst);
                });
            }
        })
        .await;
        assert_eq!(tried.load(Ordering::SeqCst), 2);
    });
}

/// Where the runtime goes away, finalisers are dropped unrun, also those that come later, and nobody hangs.
pub fn finalisers_of_a_lost_runtime_are_dropped_unrun<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    let census = Census::new();
    let counted = census.clone();
    run(toy, async move {
        task_group::<Toy<R>, _, _>(async |g| {
            for late in [false, true] {
                let member = counted.member();
                g.on_exit(async move {
                    let _member = member;
                    unreachable!("nobody is there to run it");
                });
                if !late {
                    // The group has somebody who learns of it.
                    g.spawn(async {}).await;
                    going.go_away();
                }
            }
        })
        .await;
        assert_eq!(counted.alive(), 0);
    });
    assert_eq!(census.alive(), 0);
}

/// A runtime that goes away in the middle of a finaliser ends it, and drops those behind it: whether somebody awaits the
/// group, or it was dropped.
pub fn a_runtime_that_goes_away_in_a_finaliser_ends_the_group<R: Runtime>(runtime: R) {
    for dropped in [false, true] {
        let toy = Toy::new(runtime.clone());
        let going = toy.clone();
        let census = Census::new();
        let counted = census.clone();
        run(toy, async move {
            let began = Gate::new();
            task_group::<Toy<R>, _, _>(async |_| {
                let mut group = Box::pin(task_group::<Toy<R>, _, _>(async |g| {
                    for _ in 0..3 {
                        let (member, began) = (counted.member(), began.clone());
                        g.on_exit(async move {
                            let _member = member;
                            began.open();
                            pending::<()>().await;
                        });
                    }
                    if dropped {
                        pending::<()>().await;
                    }
                }));
                if dropped {
                    assert!(polled(&mut group).await.is_pending());
                    drop(group);
                    began.passed().await;
                    assert_eq!(counted.alive(), 3);
                    going.go_away();
                } else {
                    while_polling(&mut group, began.passed()).await;
                    going.go_away();
                    group.await;
                }
            })
            .await;
            assert_eq!(counted.alive(), 0);
        });
        assert_eq!(census.alive(), 0);
    }
}

/// A shutdown tells the children, those to come, and those of groups inside; the body runs on.
pub fn a_shutdown_tells_present_and_future_children<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (told, began) = (Arc::new(AtomicUsize::new(0)), Gate::new());
        let result = task_group::<R, _, _>(async |g| {
            let outsider = task_group::<R, _, _>(async |_| is_stopping());
            assert!(!outsider.await && !is_stopping());
            let waits = |told: &Arc<AtomicUsize>| {
                let told = told.clone();
                async move {
                    stopping().await;
                    assert!(is_stopping() && !is_cancelled());
                    told.fetch_add(1, Ordering::SeqCst);
                }
            };
            g.spawn(waits(&told));
            let (nested, nested_began) = (waits(&told), began.clone());
            g.spawn(async move {
                task_group::<R, _, _>(async |g| {
                    g.spawn(nested);
                    nested_began.open();
                    pending::<()>().await;
                })
                .await;
            });
            began.passed().await;
            turns(5).await;
            assert_eq!(told.load(Ordering::SeqCst), 0);
            let mut shutdown = Box::pin(g.shutdown(Duration::MAX));
            assert!(is_stopping(), "the request isn't made at once");
            // Those that come later are told as well, also in groups that are opened later.
            g.spawn(waits(&told));
            let late = waits(&told);
            g.spawn(async move { task_group::<R, _, _>(async |g| g.spawn(late).await).await });
            let told = told.clone();
            until(move || told.load(Ordering::SeqCst) == 4).await;
            assert!(!g.is_cancelled());
            assert!(polled(&mut shutdown).await.is_pending(), "a child is left");
            g.cancel();
            assert!(shutdown.await.is_empty());
            "the body's"
        })
        .await;
        assert_eq!(result, "the body's");
        assert!(!is_stopping(), "a shutdown reached outwards");
    });
}

/// Who is at work after the grace is cancelled then, not before, and named with the place of its spawning.
pub fn a_shutdown_names_who_had_to_be_cancelled<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let second = Duration::from_secs(1);
        task_group::<Toy<R>, _, _>(async |g| {
            let line = line!() + 1;
            let stubborn = g.task("stubborn").spawn(pending::<()>());
            g.task("obedient").spawn(stopping());
            let service = g.task("service").spawn_service(pending::<()>());
            let mut shutdown = Box::pin(g.shutdown(second));
            assert!(polled(&mut shutdown).await.is_pending());
            turns(20).await;
            clock.advance(second - Duration::from_nanos(1));
            turns(20).await;
            assert!(polled(&mut shutdown).await.is_pending());
            assert!(!g.is_cancelled() && !stubborn.is_finished(), "the grace was cut short");
            clock.advance(Duration::from_nanos(1));
            let stragglers = shutdown.await;
            let names: Vec<_> = stragglers.iter().map(|task| task.name()).collect();
            assert_eq!(names, [Some("stubborn")], "{stragglers}");
            let place = stragglers.iter().next().expect("one").location();
            assert_eq!((place.file(), place.line()), (file!(), line));
            assert!(stragglers.to_string().contains("`stubborn`"), "{stragglers}");
            let Outcome::Cancelled(reason) = stubborn.outcome().await else { panic!("it ended by itself") };
            assert_eq!(reason.kind(), ReasonKind::Shutdown);
            // Services end after their users.
            assert!(service.outcome().await.is_cancelled());
            assert!(g.spawn(async {}).outcome().await.is_cancelled(), "the cancellation holds for those to come");
        })
        .await;
    });
}

/// No grace at all, a second request, one that nobody awaits, one by a child: each ends the children.
pub fn a_shutdown_goes_on_whoever_asks_and_waits<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let second = Duration::from_secs(1);
        // No grace.
        task_group::<Toy<R>, _, _>(async |g| {
            g.spawn(pending::<()>());
            assert_eq!(g.shutdown(Duration::ZERO).await.len(), 1);
            assert!(g.is_cancelled());
        })
        .await;
        // Nobody waits for it.
        task_group::<Toy<R>, _, _>(async |g| {
            let child = g.spawn(pending::<()>());
            drop(g.shutdown(second));
            turns(5).await;
            clock.advance(second);
            assert!(child.outcome().await.is_cancelled());
        })
        .await;
        // The second has the shorter grace; both who wait are told.
        task_group::<Toy<R>, _, _>(async |g| {
            g.spawn(pending::<()>());
            let mut first = Box::pin(g.shutdown(100 * second));
            assert!(polled(&mut first).await.is_pending());
            assert_eq!(g.shutdown(Duration::ZERO).await.len(), 1);
            first.await;
        })
        .await;
        // A child asks, through a handle; the group has nobody left long before the grace is over, and ends.
        task_group::<Toy<R>, _, _>(async |g| {
            let handle = g.handle();
            g.spawn(stopping());
            g.spawn(async move { drop(handle.shutdown(1000 * second)) });
        })
        .await;
        // An empty group has nothing to wait for.
        let handle = task_group::<Toy<R>, _, _>(async |g| {
            assert!(g.shutdown(Duration::MAX).await.is_empty());
            g.handle()
        })
        .await;
        // Nor has one that has ended.
        assert!(handle.shutdown(second).await.is_empty());
        assert!(handle.shutdown(Duration::ZERO).await.is_empty());
    });
}

/// A group that is dropped during the grace is dropped like any other.
pub fn a_group_dropped_during_the_grace_leaves_nothing<R: Runtime>(runtime: R) {
    run(OneAtATime(runtime), async {
        let census = Census::new();
        let mut group = Box::pin(task_group::<OneAtATime<R>, _, _>(async |g| {
            let member = census.member();
            g.spawn(async move {
                let _member = member;
                pending::<()>().await;
            });
            g.spawn(async {}).await;
            g.shutdown(Duration::from_secs(3600)).await;
        }));
        for _ in 0..20 {
            assert!(polled(&mut group).await.is_pending());
            yield_now().await;
        }
        drop(group);
        assert_eq!(census.alive(), 0);
    });
}

/// `room` waits at the limit, and whoever waits is woken when a child has ended, all of them.
pub fn room_waits_at_the_limit<R: Runtime>(runtime: R) {
    run(runtime, async {
        TaskGroup::<R>::builder()
            .limit(2)
            .run(async |g| {
                g.room().await;
                let gates: Vec<_> = (0..2).map(|_| Gate::new()).collect();
                for gate in &gates {
                    let gate = gate.clone();
                    g.spawn(async move { gate.passed().await });
                }
                let (wakes, waker) = Wakes::waker();
                let (mut one, mut other, mut dropped) = (g.room(), g.room(), g.room());
                for room in [&mut one, &mut dropped, &mut other] {
                    assert!(settled(room, &waker).is_pending(), "there is no room");
                }
                drop(dropped);
                let (_, gone) = Wakes::waker();
                assert!(settled(&mut other, &gone).is_pending());
                assert!(settled(&mut other, &waker).is_pending());
                let before = wakes.count();
                gates[0].open();
                until(|| wakes.count() >= before + 2).await;
                // Nothing is reserved: the first takes the place, the other waits again.
                assert!(settled(&mut one, &waker).is_ready(), "whoever was woken finds no room");
                let third = Gate::new();
                let passed = third.clone();
                g.spawn(async move { passed.passed().await });
                assert!(settled(&mut other, &waker).is_pending(), "there is more room than the limit has");
                // Over the limit: one that waits takes the next place.
                let fourth = g.spawn(async {});
                fourth.cancel();
                assert!(fourth.outcome().await.is_cancelled());
                gates[1].open();
                other.await;
                third.open();
            })
            .await;
    });
}

/// In a cancelled group `room` comes when its children end, and in one that has ended it doesn't wait.
pub fn room_waits_for_nobody_in_a_group_that_has_ended<R: Runtime>(runtime: R) {
    run(runtime, async {
        let handle = TaskGroup::<R>::builder()
            .limit(1)
            .run(async |g| {
                g.spawn(pending::<()>());
                let waiting = g.spawn(pending::<()>());
                let mut room = g.room();
                assert!(polled(&mut room).await.is_pending());
                g.cancel();
                room.await;
                assert!(waiting.outcome().await.is_cancelled());
                g.room().await;
                g.handle()
            })
            .await;
        handle.room().await;

        // Of a group that is dropped while somebody waits.
        let (send, receive) = std::sync::mpsc::channel();
        let mut group = Box::pin(TaskGroup::<R>::builder().limit(1).run(async |g| {
            g.spawn(pending::<()>());
            send.send(g.handle()).expect("it is kept");
            pending::<()>().await;
        }));
        assert!(polled(&mut group).await.is_pending());
        let handle: GroupHandle<R> = receive.recv().expect("it was sent");
        let mut room = Box::pin(handle.room());
        assert!(polled(&mut room).await.is_pending());
        drop(group);
        room.await;
    });
}

/// As many as there is room for are at work at a time, where each spawn waits for room: none waits in memory.
pub fn spawning_as_there_is_room_keeps_the_limit<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (alive, most) = (Census::new(), AtomicUsize::new(0));
        TaskGroup::<R>::builder()
            .limit(3)
            .run(async |g| {
                for index in 0..200 {
                    g.room().await;
                    let member = alive.member();
                    most.fetch_max(alive.alive(), Ordering::SeqCst);
                    g.spawn(async move {
                        turns(index % 3).await;
                        drop(member);
                    });
                }
            })
            .await;
        assert!(most.load(Ordering::SeqCst) <= 3, "{most:?} were in memory at a time");
    });
}

/// Whoever is spawned under a key that is taken replaces the child that has it, and begins when that has ended: also
/// where one that was to begin in between was replaced itself.
pub fn a_key_has_one_child_at_a_time<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (census, most) = (Census::new(), Arc::new(AtomicUsize::new(0)));
        let values = task_group::<R, _, _>(async |g| {
            let keyed = g.keyed();
            let child = |number: usize| {
                let (census, most) = (census.clone(), most.clone());
                async move {
                    // Behind a shield, so that a replaced child goes on for a while.
                    shield::<R, _>(LONG, async {
                        let _member = census.member();
                        most.fetch_max(census.alive(), Ordering::SeqCst);
                        turns(10).await;
                    })
                    .await;
                    number
                }
            };
            let tasks: Vec<_> =
                (0..20).map(|number| keyed.spawn("key", child(number)).expect("the group is open")).collect();
            let mut values = Vec::new();
            for task in tasks {
                values.extend(task.outcome().await.completed());
            }
            keyed.vacant("key").await;
            assert!(keyed.is_empty() && !keyed.contains_key("key"));
            values
        })
        .await;
        assert_eq!(most.load(Ordering::SeqCst), 1, "two children of one key at a time");
        assert_eq!(values.last(), Some(&19), "the last one has the key to itself");
    });
}

/// A key is free when its child has ended, in whatever way; until then `try_spawn` gives the future back.
pub fn a_key_is_free_when_its_child_has_ended<R: Runtime>(runtime: R) {
    run(runtime, async {
        let keyed = task_group::<R, _, _>(async |g| {
            let keyed = g.keyed();
            let gate = Gate::new();
            let first = keyed.spawn(1, gate.passed()).expect("the group is open");
            assert_eq!(keyed.get(&1).map(|task| task.id()), Some(first.id()));
            assert!(keyed.try_spawn(1, async {}).expect_err("it is taken").is_occupied());
            let second = keyed.try_spawn(2, pending::<()>()).expect("it is free");
            assert_eq!(keyed.len(), 2);
            assert_eq!(keyed.keys(), [1, 2], "in the order in which they were taken");
            assert!(keyed.cancel_with(&2, "enough") && !keyed.cancel(&2));
            match second.outcome().await {
                Outcome::Cancelled(reason) => assert_eq!(reason.message(), Some("enough")),
                other => panic!("{other:?}"),
            }
            keyed.vacant(&2).await;
            gate.open();
            first.await;
            keyed.vacant(&1).await;
            assert!(keyed.is_empty() && !keyed.cancel(&1));
            let third = keyed.spawn(1, async { 3 }).expect("the group is open");
            assert_eq!(third.await, 3);
            keyed
        })
        .await;
        let back = keyed.spawn(1, async { 4 }).expect_err("the group has ended").into_inner();
        assert_eq!(back.await, 4);
        assert!(keyed.is_empty(), "a refused child has a key");
    });
}

/// A child that panics leaves its key, and one that was replaced before it began is never polled.
pub fn a_key_outlives_what_its_children_do<R: Runtime>(runtime: R) {
    run(runtime, async {
        let polled = Arc::new(AtomicUsize::new(0));
        let ended = caught(task_group::<R, _, _>(async |g| {
            let keyed = g.keyed();
            let (gate, begun) = (Gate::new(), Gate::new());
            let (wait, begin) = (gate.passed(), begun.clone());
            let first = async move {
                begin.open();
                shield::<R, _>(LONG, wait).await;
            };
            drop(keyed.spawn("a", first).expect("it is open"));
            begun.passed().await;
            let count = polled.clone();
            let skipped = keyed.spawn("a", async move { count.fetch_add(1, Ordering::SeqCst) }).expect("it is open");
            let last = keyed.spawn("a", async { panic!("the last") }).expect("it is open");
            assert!(skipped.outcome().await.is_cancelled());
            gate.open();
            let () = last.await;
        }));
        assert_eq!(said(&ended.await.expect_err("the last one panics")), "the last");
        assert_eq!(polled.load(Ordering::SeqCst), 0, "a child that was replaced before it began was polled");
    });
}

/// A key isn't free before all who had it have ended, also where the one that waits for another was cancelled; and not
/// before what they captured is gone.
pub fn a_key_is_taken_until_all_who_had_it_have_ended<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (census, gate) = (Census::new(), Gate::new());
        task_group::<R, _, _>(async |g| {
            let keyed = g.keyed();
            let (first, passed) = (census.member(), gate.passed());
            let begun = Gate::new();
            let begin = begun.clone();
            let child = async move {
                begin.open();
                shield::<R, _>(LONG, passed).await;
                drop(first);
            };
            drop(keyed.spawn("key", child).expect("the group is open"));
            begun.passed().await;
            let second = census.member();
            let waiting = keyed.spawn("key", async move { drop(second) }).expect("the group is open");
            assert!(keyed.cancel("key"));
            assert!(waiting.outcome().await.is_cancelled());
            assert!(keyed.try_spawn("key", async {}).expect_err("the first goes on").is_occupied());
            gate.open();
            keyed.vacant("key").await;
            assert_eq!(census.alive(), 0, "the key is free, and somebody who had it isn't gone");
        })
        .await;
    });
}

/// A child, a finaliser and a clean-up may ask for the shutdown of their group, and don't wait for themselves.
pub fn whoever_awaits_a_shutdown_does_not_wait_for_itself<R: Runtime>(runtime: R) {
    run(runtime, async {
        let told = Arc::new(AtomicUsize::new(0));
        task_group::<R, _, _>(async |g| {
            let (handle, count) = (g.handle(), told.clone());
            g.on_exit(async move {
                assert!(handle.shutdown(LONG).await.is_empty());
                count.fetch_add(1, Ordering::SeqCst);
            });
            let (handle, count) = (g.handle(), told.clone());
            g.spawn(stopping());
            g.spawn(async move {
                assert!(handle.shutdown(LONG).await.is_empty());
                count.fetch_add(1, Ordering::SeqCst);
            });
        })
        .await;
        assert_eq!(told.load(Ordering::SeqCst), 2);
    });
}
