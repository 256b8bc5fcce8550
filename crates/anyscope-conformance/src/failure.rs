//! Laws 18 and 19: errors and panics, where they go and what they leave behind.

use crate::support::{
    Bomb, Census, Gate, caught, on_this_thread, on_thread, poll_once, said, surviving, turns, until, why,
};
use anyscope_core::{
    CancelToken, Outcome, Runtime, Task, gather, is_cancelled, run, sleep, task_group, timeout, try_task_group,
    yield_now,
};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

#[derive(Debug, PartialEq, Eq)]
struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken by {}", self.0)
    }
}

impl Error for Broken {}

/// The first error cancels the rest; it and all that come later are kept in the order in which they happened, each
/// with its task and the line that spawned it, and all are displayed.
pub fn the_first_error_cancels_the_rest_and_all_are_kept_in_order<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let second: Arc<OnceLock<Task<()>>> = Arc::default();
        let ended_before = second.clone();
        let failed = try_task_group::<R, _, (), Broken>(async |g| {
            let member = census.member();
            g.task("idle").spawn(async move {
                pending::<()>().await;
                drop(member);
                Ok(())
            });
            // Jobs can't be stopped once they're at work: each fails after the one before it has, and only once it sees
            // the cancellation.
            let (second_at_work, third_at_work) = (Gate::new(), Gate::new());
            let (second_started, third_started) = (second_at_work.clone(), third_at_work.clone());
            g.task("third").spawn_blocking(move || {
                third_started.open();
                while !ended_before.get().is_some_and(Task::is_finished) {
                    thread::yield_now();
                }
                Err::<(), _>(Broken("three"))
            });
            let task = g.task("second").spawn_blocking(move || {
                second_started.open();
                while !is_cancelled() {
                    thread::yield_now();
                }
                Err::<(), _>(Broken("two"))
            });
            second.set(task).expect("it is set once");
            g.spawn(async move {
                second_at_work.passed().await;
                third_at_work.passed().await;
                Err::<(), _>(Broken("one"))
            });
            pending().await
        })
        .await
        .expect_err("three of its children failed");

        assert_eq!(census.alive(), 0);
        assert_eq!(failed.first(), &Broken("one"));
        assert_eq!(failed.errors().collect::<Vec<_>>(), [&Broken("one"), &Broken("two"), &Broken("three")]);
        let names: Vec<_> = failed.failures().iter().map(|failure| failure.task().expect("a child's").name()).collect();
        assert_eq!(names, [None, Some("second"), Some("third")]);
        let lines: Vec<_> = failed.failures().iter().map(|failure| failure.location().line()).collect();
        assert!(lines[2] < lines[1] && lines[1] < lines[0], "not the lines that spawned them: {lines:?}");
        assert!(failed.failures().iter().all(|failure| failure.location().file() == file!()));

        let shown = failed.to_string();
        for part in ["broken by one", "broken by two", "broken by three", "`second`", "`third`", file!()] {
            assert!(shown.contains(part), "{part:?} isn't in {shown:?}");
        }
        let source = failed.source().and_then(|source| source.downcast_ref::<Broken>());
        assert_eq!(source, Some(&Broken("one")), "the source isn't the first error");
        assert_eq!(failed.into_first(), Broken("one"));
    });
}

/// The body's own error cancels the children, and is told apart from theirs.
pub fn the_bodys_own_error_cancels_the_children<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let failed = try_task_group::<R, _, (), Broken>(async |g| {
            for _ in 0..10 {
                let member = census.member();
                g.spawn(async move {
                    pending::<()>().await;
                    drop(member);
                    Ok(())
                });
            }
            // It is in progress when the body fails, and fails in its turn.
            g.task("late").spawn_blocking(|| {
                while !is_cancelled() {
                    thread::yield_now();
                }
                Err::<(), _>(Broken("the child"))
            });
            let at_work = g.spawn_blocking(|| Ok(()));
            at_work.await;
            Err(Broken("the body"))
        })
        .await
        .expect_err("the body failed");
        assert_eq!(census.alive(), 0);
        assert_eq!(failed.first(), &Broken("the body"));
        assert!(failed.failures()[0].task().is_none(), "the body is no child");
        assert_eq!(failed.failures()[0].location().file(), file!());
        let late: Vec<_> = failed.failures().iter().skip(1).map(|failure| failure.error()).collect();
        // The job may still have been waiting for a thread; once it ran, its error is kept.
        assert!(late.is_empty() || late == [&Broken("the child")], "{late:?}");
        assert!(failed.to_string().contains("the body"));
    });
}

/// An error ends the body where it waits, and its value is not made up.
pub fn a_childs_error_ends_the_body<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let went_on = Arc::new(AtomicBool::new(false));
        let ended = try_task_group::<R, _, (), Broken>(async |g| {
            let _member = census.member();
            let child = g.spawn(async { Err::<u32, _>(Broken("the child")) });
            child.await;
            went_on.store(true, Ordering::SeqCst);
            Ok(())
        })
        .await;
        assert_eq!(ended.expect_err("a child failed").into_first(), Broken("the child"));
        assert!(!went_on.load(Ordering::SeqCst), "awaiting a child that failed gave a value");
        assert_eq!(census.alive(), 0);

        // An error that comes when the body has ended well still makes an error of the whole.
        let ended = try_task_group::<R, _, _, Broken>(async |g| {
            g.spawn(async {
                turns(5).await;
                Err::<(), _>(Broken("late"))
            });
            Ok(1)
        });
        assert_eq!(ended.await.expect_err("a child failed").into_first(), Broken("late"));
    });
}

/// A child's panic goes on in the owner with the payload that it had, after every sibling has ended.
pub fn a_childs_panic_goes_on_in_the_owner_after_all_have_ended<R: Runtime>(runtime: R) {
    #[derive(Debug, PartialEq, Eq)]
    struct NoString(u32);

    let text = payload_of_a_child::<R>(runtime.clone(), || panic!("plain text"));
    assert_eq!(text.downcast_ref::<&'static str>(), Some(&"plain text"));
    let string = payload_of_a_child::<R>(runtime.clone(), || panic!("formatted {}", std::hint::black_box(7)));
    assert_eq!(string.downcast_ref::<String>().map(String::as_str), Some("formatted 7"));
    let other = payload_of_a_child::<R>(runtime, || panic_any(NoString(7)));
    assert_eq!(other.downcast_ref::<NoString>(), Some(&NoString(7)));
}

fn payload_of_a_child<R: Runtime>(runtime: R, fail: fn()) -> Box<dyn Any + Send> {
    let census = Census::new();
    let counted = census.clone();
    let payload = catch_unwind(AssertUnwindSafe(|| {
        run(runtime, async move {
            let payload = caught(task_group::<R, _, _>(async |g| {
                for _ in 0..5 {
                    let member = counted.member();
                    g.spawn(async move {
                        pending::<()>().await;
                        drop(member);
                    });
                }
                // It ends long after the panic, and is waited for.
                let member = counted.member();
                let (at_work, job) = until_cancelled(|| drop(member));
                g.spawn_blocking(job);
                at_work.passed().await;
                let member = counted.member();
                g.spawn(async move {
                    let _member = member;
                    yield_now().await;
                    fail();
                });
                let _member = counted.member();
                pending::<()>().await;
            }))
            .await;
            assert_eq!(counted.alive(), 0, "a panic went on before all had ended");
            std::panic::resume_unwind(payload.expect_err("a child panicked"));
        })
    }))
    .expect_err("a panic in `run` goes on out of it");
    assert_eq!(census.alive(), 0);
    payload
}

/// A panic in a fail-fast group or a gather on the runtime's threads goes on in its owner too, and before errors.
pub fn a_panic_goes_before_errors<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let ended = caught(try_task_group::<R, _, (), Alive>(async |g| {
            let (at_work, job) = until_cancelled(|| {
                burst("after the error");
                Ok(())
            });
            g.spawn_blocking(job);
            at_work.passed().await;
            let member = census.member();
            g.spawn(async move { Err::<(), _>(Alive(member)) });
            pending().await
        }));
        let payload = ended.await.expect_err("a child panicked");
        assert_eq!(said(&payload), "after the error");
        assert_eq!(census.alive(), 0, "the error is dropped with its group");

        let values = (0..10).map(|n| {
            let member = census.member();
            async move {
                turns(n).await;
                assert_ne!(n, 5, "the fifth");
                pending::<()>().await;
                drop(member);
            }
        });
        let payload = caught(gather::<R, _, _>(values).parallel()).await.expect_err("one of them panicked");
        assert!(said(&payload).contains("the fifth"), "{:?}", said(&payload));
        assert_eq!(census.alive(), 0);
    });
}

/// A job that goes on until it is cancelled and ends with `last`, and a gate that opens when it has begun.
fn until_cancelled<T>(last: impl FnOnce() -> T) -> (Gate, impl FnOnce() -> T) {
    let at_work = Gate::new();
    let started = at_work.clone();
    let job = move || {
        started.open();
        while !is_cancelled() {
            thread::yield_now();
        }
        last()
    };
    (at_work, job)
}

/// Panics, as a function that has a value.
fn burst(text: &'static str) {
    panic!("{text}");
}

/// An error that holds a member of a census.
#[allow(dead_code, reason = "it only has to be alive")]
struct Alive(crate::support::Member);

impl fmt::Debug for Alive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alive")
    }
}

/// Of two panics at once one goes on; the other ends nothing twice, and is told by its task's outcome.
pub fn two_panics_at_once_are_both_kept<R: Runtime>(runtime: R) {
    run(runtime, async {
        let tasks = Mutex::new(Vec::new());
        let barrier = Arc::new(Barrier::new(2));
        let ended = caught(task_group::<R, _, _>(async |g| {
            for text in ["one", "two"] {
                let barrier = barrier.clone();
                let task = g.spawn_blocking(move || {
                    barrier.wait();
                    burst(text)
                });
                tasks.lock().unwrap().push(task);
            }
            pending::<()>().await;
        }));
        let payload = ended.await.expect_err("both panicked");
        let mut outcomes = Vec::new();
        for task in tasks.into_inner().unwrap() {
            match task.outcome().await {
                Outcome::Panicked(panic) => outcomes.push(panic.message().to_owned()),
                outcome => panic!("a panic was lost: {outcome:?}"),
            }
        }
        assert_eq!(outcomes, ["one", "two"]);
        assert!(outcomes.iter().any(|text| text == said(&payload)), "{:?}", said(&payload));
    });
}

/// A body that is in the middle of its poll when a child panics, and then panics too, comes second: the child's goes on.
pub fn the_first_panic_in_time_goes_on<R: Runtime>(runtime: R) {
    run(runtime, async {
        let opened = Gate::new();
        let open = opened.clone();
        let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
            opened.passed().await;
            let child = g.spawn(async { burst("the child, first") });
            // This poll goes on while another thread polls the child.
            while !child.is_finished() {
                thread::yield_now();
            }
            burst("the body, second");
        }));
        assert!(poll_once(&mut group).is_pending());
        open.open();
        let ended = on_thread(move || catch_unwind(AssertUnwindSafe(|| on_this_thread(group)))).await;
        assert_eq!(said(&ended.expect_err("both panicked")), "the child, first");
    });
}

/// A panic in the body waits for the children like any other end of the body does.
pub fn a_panic_in_the_body_joins_the_children<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let finished = Arc::new(AtomicBool::new(false));
        let finish = finished.clone();
        let ended = caught(task_group::<R, _, _>(async |g| {
            for _ in 0..5 {
                let member = census.member();
                g.spawn(async move {
                    pending::<()>().await;
                    drop(member);
                });
            }
            let (at_work, job) = until_cancelled(move || finish.store(true, Ordering::SeqCst));
            g.spawn_blocking(job);
            at_work.passed().await;
            panic!("in the body");
        }));
        let payload = ended.await.expect_err("the body panicked");
        assert_eq!(said(&payload), "in the body");
        assert!(finished.load(Ordering::SeqCst), "a job was left behind");
        assert_eq!(census.alive(), 0);
    });
}

/// A destructor that panics while its child is cancelled is a panic of that child, whichever it is and also where it
/// is every one; the others are dropped all the same.
pub fn a_panic_in_a_destructor_during_cancellation_is_a_panic<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            for explosive in [&[0][..], &[3], &[7], &[0, 1, 2, 3, 4, 5, 6, 7]] {
                let census = Census::new();
                let tasks = Mutex::new(Vec::new());
                let ended = caught(task_group::<R, _, _>(async |g| {
                    let polled = Arc::new(AtomicUsize::new(0));
                    for n in 0..8 {
                        let (member, polled) = (census.member(), polled.clone());
                        let bomb = explosive.contains(&n).then(|| Bomb("in a destructor"));
                        tasks.lock().unwrap().push(g.spawn(async move {
                            let _alive = (member, bomb);
                            polled.fetch_add(1, Ordering::SeqCst);
                            pending::<()>().await;
                        }));
                    }
                    until(|| polled.load(Ordering::SeqCst) == 8).await;
                    g.cancel();
                }));
                let payload = ended.await.expect_err("a destructor panicked");
                assert_eq!(said(&payload), "in a destructor");
                assert_eq!(census.alive(), 0, "a destructor's panic kept others alive");
                let tasks = tasks.into_inner().unwrap();
                assert_eq!(tasks.len(), 8);
                for (n, task) in tasks.into_iter().enumerate() {
                    let outcome = task.outcome().await;
                    assert_eq!(outcome.is_panicked(), explosive.contains(&n), "child {n}: {outcome:?}");
                }
            }
        });
    });
}

/// A destructor that panics when its group is dropped as a whole is told to the group around, and nobody else is hurt.
pub fn a_panic_in_a_destructor_of_a_dropped_group_reaches_the_group_around<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let census = Census::new();
            let ended = caught(task_group::<R, _, _>(async |g| {
                g.spawn(pending::<()>());
                let mut dropped = Box::pin(task_group::<R, _, _>(async |g| {
                    for _ in 0..5 {
                        let (bomb, member) = (Bomb("in a dropped group"), census.member());
                        g.spawn(async move {
                            let _alive = (bomb, member);
                            pending::<()>().await;
                        });
                    }
                    pending::<()>().await;
                }));
                assert!(poll_once(&mut dropped).is_pending());
                drop(dropped);
                until(|| census.alive() == 0).await;
                pending::<()>().await;
            }));
            let payload = ended.await.expect_err("a destructor panicked");
            assert_eq!(said(&payload), "in a dropped group");
            assert_eq!(census.alive(), 0);

            // The same where a deadline and where a token drops it.
            for by_token in [false, true] {
                let token = CancelToken::<R>::new();
                let ended = caught(task_group::<R, _, _>(async |_| {
                    let inner = task_group::<R, _, _>(async |g| {
                        let bomb = Bomb("in a group that was cut");
                        g.spawn(async move {
                            let _bomb = bomb;
                            pending::<()>().await;
                        });
                        if by_token {
                            token.cancel();
                        }
                        pending::<()>().await;
                    });
                    if by_token {
                        token.run(inner).await.expect_err("it was cancelled");
                    } else {
                        timeout::<R, _>(Duration::from_millis(1), inner).await.expect_err("it never ends");
                    }
                    pending::<()>().await;
                }));
                let payload = ended.await.expect_err("a destructor panicked");
                assert_eq!(said(&payload), "in a group that was cut");
            }
        });
    });
}

/// A destructor that panics after its child, or the body, has ended well makes a panic of it.
pub fn a_panic_in_a_values_destructor_is_a_panic<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            // Of a value that nobody wants.
            let payload = caught(task_group::<R, _, _>(async |g| drop(g.spawn(async { Bomb("unwanted") })))).await;
            assert_eq!(said(&payload.expect_err("a value panicked")), "unwanted");

            // Of what the future still held when it ended.
            let payload = caught(task_group::<R, _, _>(async |g| {
                let bomb = Bomb("a capture");
                let holding = HoldsUntilDropped(bomb);
                g.spawn(holding).await
            }))
            .await;
            assert_eq!(said(&payload.expect_err("a capture panicked")), "a capture");

            // Of what a body held, and of a value that a child's panic makes unwanted.
            let payload = caught(task_group::<R, _, _>(async |_| drop(Bomb("in the body")))).await;
            assert_eq!(said(&payload.expect_err("the body panicked")), "in the body");
            let payload = caught(task_group::<R, _, _>(async |g| {
                g.spawn(async {
                    turns(3).await;
                    burst("the child")
                });
                Bomb("the body's value")
            }))
            .await;
            let payload = payload.map(std::mem::forget).expect_err("a child panicked");
            assert_eq!(said(&payload), "the child");

            // Of what a blocking job captured.
            let bomb = Bomb("a job's capture");
            let payload = caught(task_group::<R, _, _>(async |g| g.spawn_blocking(move || drop(bomb)).await)).await;
            assert_eq!(said(&payload.expect_err("a capture panicked")), "a job's capture");
        });
    });
}

/// A future that is ready at once, and drops what it holds only when it is dropped.
struct HoldsUntilDropped(#[allow(dead_code, reason = "it only has to be dropped")] Bomb);

impl Future for HoldsUntilDropped {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// A payload whose own destructor panics goes on like any other; one that nobody can take aborts nothing.
pub fn a_panic_in_a_payloads_destructor_harms_nobody<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let census = Census::new();
            let ended = caught(task_group::<R, _, _>(async |g| {
                let barrier = Arc::new(Barrier::new(3));
                for _ in 0..3 {
                    let barrier = barrier.clone();
                    g.spawn_blocking(move || {
                        barrier.wait();
                        panic_any::<Bomb>(Bomb("a payload"))
                    });
                }
                let member = census.member();
                g.spawn(async move {
                    pending::<()>().await;
                    drop(member);
                });
                pending::<()>().await;
            }));
            let payload = ended.await.expect_err("all three panicked");
            assert!(payload.is::<Bomb>());
            assert_eq!(census.alive(), 0);
            // It is the check's now, and would go off in its hands.
            std::mem::forget(payload);
        });
    });
}

/// While the owner of a group unwinds, its children are dropped, and what their destructors do aborts nothing.
pub fn a_panic_while_the_owner_unwinds_does_not_abort<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let census = Census::new();
            let ended = caught(task_group::<R, _, _>(async |_| {
                let mut dropped = Box::pin(task_group::<R, _, _>(async |g| {
                    for _ in 0..5 {
                        let (bomb, member) = (Bomb("in a child"), census.member());
                        g.spawn(async move {
                            let _alive = (bomb, member);
                            pending::<()>().await;
                        });
                    }
                    pending::<()>().await;
                }));
                assert!(poll_once(&mut dropped).is_pending());
                // `dropped` goes while this unwinds.
                panic!("the owner");
            }));
            let payload = ended.await.expect_err("the owner panicked");
            assert_eq!(said(&payload), "the owner", "what went wrong in the clean-up hides why there was one");
            assert_eq!(census.alive(), 0);

            // The same, with a gather and its futures, and with a child that panics while its group's body does.
            let ended = caught(async {
                let mut dropped = gather::<R, _, _>((0..5).map(|_| {
                    let member = census.member();
                    async move {
                        let _alive = (Bomb("in a gathered future"), member);
                        pending::<()>().await;
                    }
                }));
                assert!(poll_once(&mut dropped).is_pending());
                panic!("the owner of a gather");
            });
            assert_eq!(said(&ended.await.expect_err("it panicked")), "the owner of a gather");
            assert_eq!(census.alive(), 0);
            let ended = caught(task_group::<R, _, _>(async |g| {
                let polled = Gate::new();
                let opener = polled.clone();
                g.spawn(async move {
                    let _bomb = Bomb("in a child of a body that panics");
                    opener.open();
                    pending::<()>().await;
                });
                polled.passed().await;
                panic!("the body");
            }));
            assert_eq!(said(&ended.await.expect_err("it panicked")), "the body");
        });
    });
}

/// A panic while errors wait to be reported drops them, and an error whose destructor panics aborts nothing either.
pub fn an_error_whose_destructor_panics_aborts_nothing<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let ended = caught(try_task_group::<R, _, (), Bomb>(async |g| {
                let (at_work, job) = until_cancelled(|| {
                    burst("the child");
                    Ok(())
                });
                g.spawn_blocking(job);
                at_work.passed().await;
                g.spawn(async { Err::<(), _>(Bomb("an error")) });
                pending().await
            }));
            let payload = ended.await.map(std::mem::forget).expect_err("a child panicked");
            assert_eq!(said(&payload), "the child");
        });
    });
}

/// A task that panicked tells so by its outcome, without a panic, to whoever outlives the group.
pub fn an_outcome_tells_of_a_panic_without_one<R: Runtime>(runtime: R) {
    run(runtime, async {
        let tasks = Mutex::new(Vec::new());
        let ended = caught(task_group::<R, _, _>(async |g| {
            let fine = g.spawn(async { 1 });
            until(|| fine.is_finished()).await;
            let sibling = g.spawn(pending());
            let broken: Task<i32> = g.task("broken").spawn(async { panic!("broken {}", 1) });
            *tasks.lock().unwrap() = vec![fine, sibling, broken];
            pending::<()>().await;
        }));
        ended.await.expect_err("a child panicked");
        let mut tasks = tasks.into_inner().unwrap().into_iter();
        let mut outcome = async || tasks.next().expect("there are three").outcome().await;
        assert!(matches!(outcome().await, Outcome::Completed(1)), "what had ended is kept");
        let Outcome::Cancelled(reason) = outcome().await else { panic!("a sibling of a panic is cancelled") };
        assert_eq!(reason.task().and_then(|task| task.name()), Some("broken"), "a sibling isn't told who panicked");
        let Outcome::Panicked(panic) = outcome().await else { panic!("a panic is told") };
        assert_eq!(panic.message(), "broken 1");
    });
}

/// Awaiting a task that was cancelled by itself is a panic which names the task and says why.
pub fn awaiting_a_task_cancelled_by_itself_says_why<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let ended = caught(task_group::<R, _, _>(async |g| {
            let member = census.member();
            let task = g.task("sleeper").spawn(async move {
                pending::<()>().await;
                drop(member);
            });
            task.cancel_with("no longer wanted");
            task.await;
        }));
        let payload = ended.await.expect_err("a task that has no value was awaited");
        for part in ["`sleeper`", "no longer wanted", file!()] {
            assert!(said(&payload).contains(part), "{part:?} isn't in {:?}", said(&payload));
        }
        assert_eq!(census.alive(), 0);

        // A sibling that awaits it panics in its turn, and that is a panic of the group.
        let ended = caught(task_group::<R, _, _>(async |g| {
            let task = g.spawn(pending::<()>());
            task.cancel();
            g.spawn(task);
            pending::<()>().await;
        }));
        assert!(said(&ended.await.expect_err("a sibling awaited it")).contains("was cancelled"));
    });
}

/// An awaiter that is cancelled together with the task it awaits never resumes: it neither goes on nor panics.
pub fn an_awaiter_that_is_cancelled_too_never_resumes<R: Runtime>(runtime: R) {
    run(runtime, async {
        // By a panic: the one panic there is is the child's.
        let census = Census::new();
        for _ in 0..20 {
            let ended = caught(task_group::<R, _, _>(async |g| {
                let broken = g.spawn(async {
                    yield_now().await;
                    burst("the only one")
                });
                let member = census.member();
                g.spawn(async move {
                    let _member = member;
                    broken.await;
                    burst("the awaiter went on");
                });
                pending::<()>().await;
            }));
            assert_eq!(said(&ended.await.expect_err("a child panicked")), "the only one");
            assert_eq!(census.alive(), 0);
        }

        // By the group: nobody panics.
        task_group::<R, _, _>(async |g| {
            let idle = g.spawn(pending::<()>());
            let awaiting = g.spawn(async move {
                idle.await;
                burst("the awaiter went on");
            });
            turns(3).await;
            g.cancel();
            assert!(awaiting.outcome().await.is_cancelled());
        })
        .await;

        // By a token around the one await: whoever asks next is told.
        task_group::<R, _, _>(async |g| {
            let mut idle = g.spawn(pending::<()>());
            idle.cancel_with("by itself");
            until(|| idle.is_finished()).await;
            let token = CancelToken::<R>::new();
            let cut = token.run(async {
                token.cancel();
                (&mut idle).await;
            });
            cut.await.expect_err("the await was cancelled too");
            assert_eq!(why(idle.outcome().await).message(), Some("by itself"));
        })
        .await;
    });
}

/// Within the one poll in which it learns of its cancellation, an awaiter may ask again: the task stays pending.
pub fn a_task_polled_again_by_a_cancelled_awaiter_stays_pending<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let mut idle = g.spawn(pending::<()>());
            let handle = g.handle();
            idle.cancel();
            let awaiting = g.spawn(async move {
                until(|| idle.is_finished()).await;
                handle.cancel();
                // This poll is still under way.
                for _ in 0..3 {
                    assert!(poll_once(&mut idle).is_pending());
                }
                poll_fn(|cx| Pin::new(&mut idle).poll(cx)).await;
            });
            assert!(awaiting.outcome().await.is_cancelled());
        })
        .await;
    });
}

/// A panic is caught on whatever thread it happens: the runtime goes on, with the same threads and timers.
pub fn a_runtime_lives_on_after_panics<R: Runtime>(runtime: R) {
    run(runtime, async {
        for round in 0..50 {
            let ended = caught(task_group::<R, _, _>(async |g| {
                for _ in 0..4 {
                    g.spawn(async move {
                        turns(round % 4).await;
                        std::panic::resume_unwind(Box::new("without a message"));
                    });
                }
                pending::<()>().await;
            }));
            ended.await.expect_err("all of them panicked");
        }
        let value = task_group::<R, _, _>(async |g| {
            sleep::<R>(Duration::from_millis(1)).await;
            g.spawn(async { 1 }).await + g.spawn_blocking(|| 2).await
        });
        assert_eq!(value.await, 3);
    });
}
