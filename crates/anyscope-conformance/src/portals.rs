//! Portals: from plain threads, and from other runtimes, into a group.

use crate::runtime::Toy;
use crate::support::{
    Bomb, Census, Gate, Stop, caught, on_this_thread, on_thread, poll_once, polled, said, surviving, turns, until,
    while_polling, why,
};
use anyscope_core::{
    CancelToken, Portal, ReasonKind, Runtime, Semaphore, TaskGroup, TaskLocal, cancelled, is_cancelled, now, remaining,
    run, scope, sleep, task_group, timeout, try_task_group, unblock, yield_now,
};
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

static NUMBER: TaskLocal<u32> = TaskLocal::new();

/// A plain thread runs an async function in a group, on the group's runtime, and has its value; a job does the same.
pub fn a_plain_thread_calls_into_a_group<R: Runtime>(runtime: R) {
    async fn add<R: Runtime>(one: u32, other: u32) -> u32 {
        sleep::<R>(Duration::from_millis(1)).await;
        let child = task_group::<R, _, _>(async move |g| g.spawn(async move { other }).await).await;
        one + child
    }

    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let portal = g.portal();
            let by_thread = on_thread(move || {
                let sum = portal.call(|| add::<R>(1, 2)).expect("the group is open");
                // One after the other, by the same portal, and what is ready at once.
                (sum, portal.call(|| ready(4)).expect("the group is open"))
            });
            assert_eq!(by_thread.await, (3, 4));

            let portal = g.handle().portal();
            let by_job = unblock::<R, _, _>(move || portal.call(|| add::<R>(5, 6)).expect("the group is open"));
            assert_eq!(by_job.await, 11);

            let portal = g.portal();
            let spawned = on_thread(move || portal.spawn(add::<R>(7, 8)).expect("the group is open"));
            assert_eq!(spawned.await.await, 15);
        })
        .await;

        let tried = try_task_group::<R, _, _, &str>(async |g| {
            let portal = g.portal();
            let result = on_thread(move || portal.call(|| async { Err::<(), _>("a value") })).await;
            Ok(result.expect("the group is open"))
        });
        assert_eq!(tried.await.expect("a call's error is its caller's"), Err("a value"));
    });
}

/// Many threads call at once, and each has the value of its own call.
pub fn many_threads_call_at_once<R: Runtime>(runtime: R) {
    const THREADS: usize = 8;
    const CALLS: usize = 50;

    run(runtime, async {
        let ran = Arc::new(AtomicUsize::new(0));
        task_group::<R, _, _>(async |g| {
            let barrier = Arc::new(Barrier::new(THREADS));
            let callers = (0..THREADS).map(|thread| {
                let (portal, barrier, ran) = (g.portal(), barrier.clone(), ran.clone());
                on_thread(move || {
                    barrier.wait();
                    for call in 0..CALLS {
                        let ran = ran.clone();
                        let value = portal.call(move || async move {
                            yield_now().await;
                            ran.fetch_add(1, Ordering::SeqCst);
                            (thread, call)
                        });
                        assert_eq!(value.expect("the group is open"), (thread, call));
                    }
                })
            });
            let callers: Vec<_> = callers.collect();
            for caller in callers {
                caller.await;
            }
        })
        .await;
        assert_eq!(ran.load(Ordering::SeqCst), THREADS * CALLS);
    });
}

/// A call is a child of its group: the group waits for it, and its limit holds for it.
pub fn a_call_is_a_child_of_its_group<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (census, begun) = (Census::new(), Gate::new());
        let mut caller = None;
        task_group::<R, _, _>(async |g| {
            let (portal, member, entered) = (g.portal(), census.member(), begun.clone());
            caller = Some(on_thread(move || {
                portal.call(move || async move {
                    entered.open();
                    turns(50).await;
                    drop(member);
                    1
                })
            }));
            begun.passed().await;
        })
        .await;
        assert_eq!(census.alive(), 0, "the group didn't wait for a call");
        let value = caller.expect("it was made").await;
        assert_eq!(value.expect("the group waited"), 1);

        TaskGroup::<R>::builder()
            .limit(1)
            .run(async |g| {
                let (gate, called) = (Gate::new(), Arc::new(AtomicBool::new(false)));
                let passed = gate.passed();
                g.spawn(passed);
                let set = called.clone();
                let mut call = g.portal().enter(move || async move { set.store(true, Ordering::SeqCst) });
                assert!(polled(&mut call).await.is_pending());
                turns(20).await;
                assert!(!called.load(Ordering::SeqCst), "two at a time under a limit of one");
                gate.open();
                call.await.expect("the group is open");
            })
            .await;
    });
}

/// A panic of a call, of its function, its future or a destructor in it, goes on in the caller with its payload, and harms
/// neither the group nor its children.
pub fn a_panic_of_a_call_goes_to_the_caller_only<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let sibling = task_group::<R, _, _>(async |g| {
                let gate = Gate::new();
                let passed = gate.passed();
                let sibling = g.spawn(async move {
                    passed.await;
                    7
                });
                let portal = g.portal();
                let by_thread = on_thread(move || {
                    let payload = catch_unwind(AssertUnwindSafe(|| {
                        portal.call(|| async {
                            yield_now().await;
                            panic_any(7_u64)
                        })
                    }));
                    let payload = payload.map(|_: Result<(), _>| ()).expect_err("it panicked");
                    assert_eq!(payload.downcast_ref(), Some(&7_u64));
                    fn fails() -> std::future::Ready<()> {
                        panic!("the function")
                    }
                    let payload = catch_unwind(AssertUnwindSafe(|| drop(portal.call(fails)))).expect_err("it panicked");
                    assert_eq!(said(&payload), "the function");
                });
                by_thread.await;
                let bomb = Bomb("a destructor");
                let payload = caught(g.portal().enter(move || async move {
                    let _bomb = bomb;
                    yield_now().await;
                }));
                assert_eq!(said(&payload.await.expect_err("it panicked")), "a destructor");
                assert!(!g.is_cancelled());
                gate.open();
                sibling.await
            });
            assert_eq!(sibling.await, 7);

            // Where nobody waits any more, it is the group's.
            let payload = caught(task_group::<R, _, _>(async |g| {
                let bomb = Bomb("nobody's");
                let mut call = g.portal().enter(move || async move {
                    let _bomb = bomb;
                    pending::<()>().await;
                });
                assert!(polled(&mut call).await.is_pending());
                turns(5).await;
                drop(call);
                pending::<()>().await;
            }))
            .await
            .expect_err("a destructor panicked");
            assert_eq!(said(&payload), "nobody's");

            // It panics in the poll in which its caller went away.
            let payload = caught(task_group::<R, _, _>(async |g| {
                let portal = g.portal();
                let (stop, control) = Stop::new();
                let caller = on_thread(move || {
                    let mut call = portal.enter(move || async move {
                        stop.here();
                        panic!("nobody's either")
                    });
                    let begun: Poll<Result<(), _>> = poll_once(&mut call);
                    assert!(begun.is_pending());
                    control.wait();
                    drop(call);
                    control.release();
                });
                caller.await;
                pending::<()>().await;
            }))
            .await
            .expect_err("a call panicked");
            assert_eq!(said(&payload), "nobody's either");
        });
    });
}

/// Where the group is cancelled, or dropped, its callers are told why, after the call is gone.
pub fn a_group_that_is_cancelled_tells_its_callers_why<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let (census, begun) = (Census::new(), Gate::new());
            let (portal, member, entered) = (g.portal(), census.member(), begun.clone());
            let caller = on_thread(move || {
                portal.call(move || async move {
                    entered.open();
                    pending::<()>().await;
                    drop(member);
                })
            });
            begun.passed().await;
            g.cancel_with("closing time");
            let error = caller.await.expect_err("the group is cancelled");
            assert_eq!(census.alive(), 0, "the caller was told while its call was there");
            assert!(error.is_cancelled() && !error.is_closed());
            let reason = error.reason().expect("there is one");
            assert_eq!((reason.kind(), reason.message()), (ReasonKind::Explicit, Some("closing time")));

            // One that comes now isn't begun.
            let (called, set) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let (calling, setting) = (called.clone(), set.clone());
            let late = g.portal().enter(move || {
                calling.store(true, Ordering::SeqCst);
                async move { setting.store(true, Ordering::SeqCst) }
            });
            assert_eq!(
                late.await.expect_err("the group is cancelled").reason().unwrap().message(),
                Some("closing time")
            );
            assert!(!called.load(Ordering::SeqCst) && !set.load(Ordering::SeqCst), "it was begun");
        })
        .await;

        // The group's future is dropped, by a token.
        let token = CancelToken::<R>::new();
        let (sender, receiver) = channel();
        let begun = Gate::new();
        let entered = begun.clone();
        let mut cut = Box::pin(token.run(task_group::<R, _, ()>(async move |g| {
            sender.send(g.portal()).unwrap();
            pending::<()>().await;
        })));
        assert!(polled(&mut cut).await.is_pending());
        let portal: Portal<R> = receiver.recv().unwrap();
        let caller = on_thread(move || {
            portal.call(move || async move {
                entered.open();
                pending::<()>().await;
            })
        });
        while_polling(&mut cut, begun.passed()).await;
        token.cancel_with("the token's");
        assert!(cut.await.is_err());
        let error = caller.await.expect_err("the group is gone");
        assert_eq!(error.reason().expect("there is one").message(), Some("the token's"));
    });
}

/// Where the caller's scope is cancelled, its call is destroyed, and the caller is told why; a call hears of a
/// request at once.
pub fn a_caller_that_is_cancelled_takes_its_call_along<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let (census, begun) = (Census::new(), Gate::new());
            let (portal, member, entered) = (g.portal(), census.member(), begun.clone());
            let token = CancelToken::<R>::new();
            let job = unblock::<R, _, _>(move || {
                portal.call(move || async move {
                    entered.open();
                    pending::<()>().await;
                    drop(member);
                })
            });
            let mut job = Box::pin(token.run(job));
            while_polling(&mut job, begun.passed()).await;
            token.cancel_with("no longer wanted");
            let error = job.await.expect("a job that runs is waited for").expect_err("its scope is cancelled");
            assert_eq!(error.reason().expect("there is one").message(), Some("no longer wanted"));
            assert_eq!(census.alive(), 0, "the caller was told while its call was there");
            assert!(!g.is_cancelled(), "the caller's cancellation became the group's");

            // In the middle of its poll.
            let token = CancelToken::<R>::new();
            let (canceller, portal) = (token.clone(), g.portal());
            let job = unblock::<R, _, _>(move || {
                portal.call(move || async move {
                    assert!(!is_cancelled());
                    canceller.cancel_with("from inside");
                    cancelled().await.message().map(str::to_owned)
                })
            });
            let heard = token.run(job).await.expect("a job that runs is waited for");
            assert_eq!(heard.expect("it was there first").as_deref(), Some("from inside"));
        })
        .await;
    });
}

/// A value that a call had before a cancellation was seen is delivered, whoever is cancelled; and the group's end takes
/// no value from a caller.
pub fn what_a_call_had_before_is_delivered<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (sender, receiver) = channel();
        task_group::<R, _, _>(async |g| {
            let (handle, portal) = (g.handle(), g.portal());
            let by_thread = on_thread(move || {
                portal.call(move || async move {
                    handle.cancel();
                    1
                })
            });
            assert_eq!(by_thread.await.expect("it was there first"), 1);
        })
        .await;

        task_group::<R, _, _>(async |g| {
            let (go, done) = (Gate::new(), Gate::new());
            let (passed, open) = (go.passed(), done.clone());
            let mut call = g.portal().enter(move || async move {
                passed.await;
                open.open();
                2
            });
            assert!(polled(&mut call).await.is_pending());
            go.open();
            done.passed().await;
            sender.send(call).unwrap();
        })
        .await;
        let call = receiver.recv().unwrap();
        assert_eq!(call.await.expect("the group waited for it"), 2, "the group's end took a value");
    });
}

/// A call into a group that has ended is refused, and its function is dropped uncalled; a portal keeps no group open.
pub fn a_call_into_an_ended_group_is_refused_uncalled<R: Runtime>(runtime: R) {
    run(runtime, async {
        let portal = task_group::<R, _, _>(async |g| g.portal()).await;
        let census = Census::new();
        let member = census.member();
        let called = Arc::new(AtomicBool::new(false));
        let set = called.clone();
        let error = portal.enter(move || {
            set.store(true, Ordering::SeqCst);
            async move { drop(member) }
        });
        let error = error.await.expect_err("the group has ended");
        assert!(error.is_closed() && !error.is_cancelled() && error.reason().is_none());
        assert_eq!((census.alive(), called.load(Ordering::SeqCst)), (0, false));

        let member = census.member();
        let by_thread = portal.clone();
        let error = on_thread(move || by_thread.call(move || async move { drop(member) })).await;
        assert!(error.expect_err("the group has ended").is_closed());
        assert_eq!(census.alive(), 0);

        let member = census.member();
        let closed = portal.spawn(async move { drop(member) }).expect_err("the group has ended");
        assert_eq!(census.alive(), 1, "the future was dropped");
        drop(closed);
    });
}

/// Where the group's runtime goes away, its callers are told, also those who come too late.
pub fn a_call_into_a_lost_runtime_is_told<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    run(toy, async move {
        task_group::<Toy<R>, _, _>(async |g| {
            let (census, begun) = (Census::new(), Gate::new());
            let (portal, member, entered) = (g.portal(), census.member(), begun.clone());
            let late = portal.clone();
            let caller = on_thread(move || {
                portal.call(move || async move {
                    entered.open();
                    pending::<()>().await;
                    drop(member);
                })
            });
            begun.passed().await;
            going.go_away();
            let error = caller.await.expect_err("the runtime is gone");
            assert!(error.is_runtime_gone() && !error.is_cancelled() && !error.is_closed());
            assert_eq!(census.alive(), 0, "a call outlived its runtime");
            let error = on_thread(move || late.call(|| ready(()))).await.expect_err("the runtime is gone");
            assert!(error.is_runtime_gone(), "{error}");
        })
        .await;
    });
}

/// Dropping a call destroys it before the drop returns, though it runs on another runtime.
pub fn dropping_a_call_from_another_runtime_destroys_it<R: Runtime>(runtime: R) {
    let (here, there) = (Toy::new(runtime.clone()), Toy::new(runtime));
    here.advance(HOUR);
    let clock = here.now();
    run(here, async move {
        task_group::<Toy<R>, _, _>(async |g| {
            let portal = g.portal();
            let elsewhere = on_thread(move || {
                run(there, async move {
                    // It runs on the group's runtime, by the group's clock.
                    let time = portal.enter(|| async { now::<Toy<R>>() }).await.expect("the group is open");
                    assert!(time == clock && now::<Toy<R>>() != clock, "a call ran on the caller's runtime");

                    let (census, drops) = (Census::new(), Arc::new(AtomicUsize::new(0)));
                    let called = |begun: &Gate| {
                        let (member, entered, inside) = (census.member(), begun.clone(), Counts(drops.clone()));
                        portal.enter(move || async move {
                            let _inside = inside;
                            entered.open();
                            pending::<()>().await;
                            drop(member);
                        })
                    };
                    drop(called(&Gate::new()));
                    assert_eq!((census.alive(), drops.load(Ordering::SeqCst)), (0, 1), "one that wasn't polled");

                    let begun = Gate::new();
                    let mut call = called(&begun);
                    while_polling(&mut call, begun.passed()).await;
                    // The other runtime's only thread is in another call now, and can't help.
                    let (stop, control) = Stop::new();
                    let mut blocks = Box::pin(portal.enter(move || async move { stop.here() }));
                    assert!(polled(&mut blocks).await.is_pending());
                    control.wait();
                    drop(call);
                    assert_eq!((census.alive(), drops.load(Ordering::SeqCst)), (0, 2), "a call outlived its future");
                    control.release();
                    blocks.await.expect("the group is open");

                    let (begun, token) = (Gate::new(), CancelToken::<Toy<R>>::new());
                    let mut call = Box::pin(token.run(called(&begun)));
                    while_polling(&mut call, begun.passed()).await;
                    token.cancel();
                    assert!(call.await.is_err());
                    until(|| census.alive() == 0).await;
                });
            });
            elsewhere.await;
            assert!(!g.is_cancelled());
        })
        .await;
    });
}

/// Counts its drops.
struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A call that blocks, made inside of async code, panics and names what to do; inside of a job, and on a plain thread
/// whatever values it has, it is fine.
pub fn a_call_that_would_block_async_code_names_the_remedy<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let refused = |portal: &Portal<R>| {
                let called = AtomicBool::new(false);
                let payload =
                    catch_unwind(AssertUnwindSafe(|| drop(portal.call(|| ready(()))))).expect_err("it blocks");
                assert!(said(&payload).contains("Portal::enter"), "{:?} doesn't say what to do", said(&payload));
                assert!(!called.into_inner());
            };
            let portal = g.portal();
            refused(&portal);
            NUMBER.sync_scope(1, || refused(&portal));
            scope::<R, _, _>(|_| async { refused(&portal) }).await;
            let child = portal.clone();
            g.spawn(async move { refused(&child) }).await;
            let (job, inner) = (portal.clone(), portal.clone());
            unblock::<R, _, _>(move || {
                assert!(job.call(|| ready(())).is_ok());
                assert!(NUMBER.sync_scope(1, || job.call(|| ready(()))).is_ok());
            })
            .await;
            on_thread(move || {
                assert!(inner.call(|| ready(())).is_ok());
                NUMBER.sync_scope(1, || assert!(inner.call(|| ready(())).is_ok(), "a plain thread that has a value"));
            })
            .await;
        })
        .await;
    });
}

/// A call has its caller's deadline and values, wherever it is made: from a job, or awaited under a timeout; and the
/// group's, where that is the earlier.
pub fn a_call_has_the_deadline_and_the_locals_of_its_caller<R: Runtime>(runtime: R) {
    async fn look<R: Runtime>() -> (Option<Duration>, u32) {
        yield_now().await;
        (remaining::<R>(), NUMBER.try_get().unwrap_or(0))
    }

    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let portal = g.portal();
            let job = unblock::<R, _, _>(move || portal.call(look::<R>).expect("the group is open"));
            let (left, value) = NUMBER.scope(1, timeout::<R, _>(HOUR, job)).await.expect("an hour is enough");
            assert!(left.is_some_and(|left| left <= HOUR), "{left:?} in a call from a job");
            assert_eq!(value, 1);

            let portal = g.portal();
            let inside = timeout::<R, _>(HOUR, NUMBER.scope(2, async move { portal.enter(look::<R>).await }));
            let (left, value) = inside.await.expect("an hour is enough").expect("the group is open");
            assert!(left.is_some_and(|left| left <= HOUR), "{left:?} in a call from a task");
            assert_eq!(value, 2);

            // The same, without a block between: what is around the await counts, as everywhere.
            let inside = timeout::<R, _>(HOUR, NUMBER.scope(3, g.portal().enter(look::<R>)));
            let (left, value) = inside.await.expect("an hour is enough").expect("the group is open");
            assert!(left.is_some_and(|left| left <= HOUR), "{left:?} in a call that is awaited under a timeout");
            assert_eq!(value, 3, "in a call that is awaited under a local");

            assert_eq!(g.portal().enter(look::<R>).await.expect("the group is open"), (None, 0));
        })
        .await;

        let group = task_group::<R, _, _>(async |g| {
            let portal = g.portal();
            let job = unblock::<R, _, _>(move || portal.call(look::<R>).expect("the group is open"));
            timeout::<R, _>(2 * HOUR, job).await.expect("an hour is enough").0
        });
        let left = timeout::<R, _>(HOUR, group).await.expect("an hour is enough");
        assert!(left.is_some_and(|left| left <= HOUR), "{left:?}: the caller's deadline loosened the group's");

        // A caller whose time is up destroys its call.
        task_group::<R, _, _>(async |g| {
            let census = Census::new();
            let member = census.member();
            let call = g.portal().enter(move || async move {
                pending::<()>().await;
                drop(member);
            });
            assert!(timeout::<R, _>(Duration::from_millis(1), call).await.is_err());
            until(|| census.alive() == 0).await;
        })
        .await;
    });
}

/// A call may be polled by whoever has it: the one who polled last is woken, also where no runtime is around.
pub fn a_call_is_awaited_wherever_it_is<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let gate = Gate::new();
            let passed = gate.passed();
            let mut call = g.portal().enter(move || async move {
                passed.await;
                5
            });
            assert!(polled(&mut call).await.is_pending());
            let opener = gate.clone();
            let there = on_thread(move || {
                assert!(poll_once(&mut call).is_pending());
                opener.open();
                on_this_thread(call)
            });
            assert_eq!(there.await.expect("the group is open"), 5);

            // A child of the group that is spawned by a portal is cancelled like any other.
            let task = g.portal().spawn(pending::<()>()).expect("the group is open");
            task.cancel_with("no longer wanted");
            assert_eq!(why(task.outcome().await).message(), Some("no longer wanted"));
        })
        .await;
    });
}

#[allow(dead_code, reason = "compiled, not run: a call can be sent where its value can")]
fn a_call_is_send<R: Runtime>(portal: &Portal<R>) -> impl Future + Send + 'static + use<R> {
    portal.enter(|| ready(String::new()))
}

/// A thread that polls on without returning, as a `block_on` in a job does, isn't held up by the budget of its poll.
pub fn a_job_may_call_as_often_as_it_likes<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Semaphore::new(1);
        let calls = task_group::<R, _, _>(async move |g| {
            let portal = g.portal();
            g.spawn_blocking(move || {
                for _ in 0..1_000 {
                    portal.call(|| async {}).expect("the group is open");
                    drop(on_this_thread(semaphore.acquire()).expect("it is open"));
                }
                1_000
            })
            .await
        });
        assert_eq!(calls.await, 1_000);
    });
}
