//! What is written about things: the text of every error, in each of its variants, and that everything can be shown for
//! debugging, also in the middle of its work.

#![forbid(unsafe_code)]

use anyscope::sim::Sim;
use anyscope::sync::{Barrier, Condvar, Event, Mutex, OnceCell, RwLock};
use anyscope::{
    AccessError, CancelToken, CleanupError, Closed, Elapsed, Failure, GroupError, Limiter, Outcome, Reason, ReasonKind,
    Semaphore, Started, TaskGroup, TaskLocal, TrySpawnError, blocking_scope, cancelled, channel, drained, gather,
    interval, race, race_ok, run, scope, shield, sleep, stopping, task_group, timeout, try_task_group, unblock,
    with_cleanup, yield_now,
};
use anyscope_core::observe::{self, Event as Told, Observer};
use anyscope_core::{DynRuntime, Runtime, RuntimeError};
use std::error::Error;
use std::fmt::{self, Debug};
use std::future::{Future, pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3600);

static USER: TaskLocal<u32> = TaskLocal::new();
static NOBODY: TaskLocal<u32> = TaskLocal::new();

/// An error of a user's.
#[derive(Clone, Debug, PartialEq)]
struct Broken(u8);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.0)
    }
}

impl Error for Broken {}

fn on_the_simulator(body: impl Future<Output = ()>) {
    run(Sim::new().lenient(), body);
}

/// The text of an error, which is lower case, without a full stop, and not what is shown for debugging.
#[track_caller]
fn text(error: &dyn Error) -> String {
    let (text, debug) = (error.to_string(), format!("{error:?}"));
    assert!(text.starts_with(|c: char| c.is_lowercase() || c.is_ascii_digit() || c == '`'), "{text}");
    assert!(!text.ends_with('.') && text != debug && !debug.is_empty(), "{text}");
    text
}

#[test]
fn errors_of_channels() {
    on_the_simulator(async {
        let (sender, receiver) = channel::<u8>(1);
        sender.try_send(1).unwrap();
        let full = sender.try_send(2).unwrap_err();
        assert_eq!(text(&full), "the channel is full");
        assert!(full.is_full() && !full.is_closed());
        assert_eq!(full.into_inner(), 2);
        assert_eq!(receiver.recv().await, Ok(1));
        let empty = receiver.try_recv().unwrap_err();
        assert_eq!(text(&empty), "the channel is empty");
        assert!(empty.is_empty() && !empty.is_closed());
        drop(receiver);
        let closed = sender.try_send(3).unwrap_err();
        assert_eq!(text(&closed), "the channel is closed");
        assert!(closed.is_closed() && !closed.is_full());
        let closed = sender.send(4).await.unwrap_err();
        assert_eq!(text(&closed), "the channel is closed");
        assert_eq!(closed.into_inner(), 4);

        let (sender, receiver) = channel::<u8>(1);
        drop(sender);
        assert_eq!(text(&receiver.recv().await.unwrap_err()), "the channel is closed and empty");
        let closed = receiver.try_recv().unwrap_err();
        assert_eq!(text(&closed), "the channel is closed and empty");
        assert!(closed.is_closed() && !closed.is_empty());
    });
}

#[test]
fn errors_of_permits_and_cells() {
    on_the_simulator(async {
        let semaphore = Semaphore::new(1);
        let many = semaphore.acquire_many(2).await.unwrap_err();
        assert_eq!(text(&many), "more permits were asked for than the semaphore has in all");
        assert!(many.is_too_many() && !many.is_closed());
        let many = semaphore.try_acquire_many(2).unwrap_err();
        assert!(many.is_too_many() && !many.is_closed() && !many.is_no_permits());
        assert_eq!(text(&many), "more permits were asked for than the semaphore has in all");
        let held = semaphore.acquire().await.unwrap();
        let none = semaphore.try_acquire().unwrap_err();
        assert_eq!(text(&none), "no permit is free");
        assert!(none.is_no_permits() && !none.is_closed() && !none.is_too_many());
        drop(held);
        semaphore.close();
        let closed = semaphore.acquire().await.unwrap_err();
        assert_eq!(text(&closed), "the semaphore is closed");
        assert!(closed.is_closed() && !closed.is_too_many());
        assert!(semaphore.try_acquire().unwrap_err().is_closed());

        let limiter = Limiter::new(2);
        let held = limiter.acquire_for("disk").await.unwrap();
        let again = limiter.acquire_for("disk").await.unwrap_err();
        assert_eq!(text(&again), "`disk` holds a permit of the limiter already, or waits for one");
        assert_eq!(again.key(), "disk");
        drop(held);

        let cell = OnceCell::new();
        cell.set(1).unwrap();
        let set = cell.set(2).unwrap_err();
        assert_eq!(text(&set), "the cell has a value");
        assert!(set.is_set());
        assert_eq!(set.into_inner(), 2);
        let cell = OnceCell::new();
        let mut making = Box::pin(cell.get_or_init(pending::<u8>));
        assert!(making.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let busy = cell.set(3).unwrap_err();
        assert_eq!(text(&busy), "somebody is making the value of the cell");
        assert!(!busy.is_set());

        let unset: AccessError = NOBODY.try_with(|_| ()).unwrap_err();
        text(&unset);
        assert_eq!(text(&RuntimeError::new("it has no timers")), "it has no timers");
    });
}

#[test]
fn errors_of_time_and_clean_up() {
    on_the_simulator(async {
        let late: Elapsed = timeout(MOMENT, pending::<()>()).await.unwrap_err();
        assert_eq!(text(&late), "deadline has elapsed");
        assert_eq!(format!("{late:?}"), "Elapsed");
        let late = io::Error::from(late);
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert!(late.get_ref().is_some_and(|inner| inner.is::<Elapsed>()));

        type Failed = CleanupError<Broken, Broken>;
        let fine = || async { Ok::<(), Broken>(()) };
        let fails = |n| async move { Err::<(), _>(Broken(n)) };
        let work: Failed = with_cleanup(fails(1), fine(), HOUR).await.unwrap_err();
        assert_eq!((text(&work), work.source().unwrap().to_string()), ("broken 1".into(), "broken 1".into()));
        assert_eq!((work.work(), work.cleanup(), work.is_cleanup_elapsed()), (Some(&Broken(1)), None, false));
        assert_eq!(work.into_work(), Some(Broken(1)));
        let cleanup: Failed = with_cleanup(fine(), fails(2), HOUR).await.unwrap_err();
        assert_eq!(text(&cleanup), "the clean-up failed: broken 2");
        assert_eq!((cleanup.source().unwrap().to_string(), cleanup.cleanup()), ("broken 2".into(), Some(&Broken(2))));
        let both: Failed = with_cleanup(fails(1), fails(2), HOUR).await.unwrap_err();
        assert_eq!(text(&both), "broken 1; and the clean-up failed: broken 2");
        let late: Failed = with_cleanup(fine(), pending::<Result<(), Broken>>(), MOMENT).await.unwrap_err();
        assert_eq!(text(&late), "the clean-up ran out of time");
        assert!(late.is_cleanup_elapsed() && late.source().unwrap().is::<Elapsed>());
    });
}

#[test]
fn errors_of_groups() {
    on_the_simulator(async {
        let one: GroupError<Broken> = try_task_group(async |g| {
            g.task("writer").spawn(async { Err::<(), _>(Broken(1)) }).await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert!(text(&one).starts_with("task `writer`") && text(&one).ends_with(": broken 1"), "{one}");
        assert_eq!((one.len(), one.first(), one.source().unwrap().to_string()), (1, &Broken(1), "broken 1".into()));
        assert_eq!(one.failures()[0].task().unwrap().name(), Some("writer"));
        assert_eq!(one.into_first(), Broken(1));
        let two: GroupError<Broken> = try_task_group(async |g| {
            g.on_exit(async { Err(Broken(2)) });
            Err::<(), _>(Broken(1))
        })
        .await
        .unwrap_err();
        let told = text(&two);
        assert!(told.starts_with("2 failures\n  1. the body of the group opened at "), "{told}");
        assert!(two.failures()[0].task().is_none() && two.failures()[0].location().file().ends_with("texts.rs"));
        assert_eq!(two.into_iter().map(Failure::into_error).collect::<Vec<_>>(), [Broken(1), Broken(2)]);

        let quorum = gather([Ok(7), Err(Broken(1))].map(ready)).quorum(2).await.unwrap_err();
        assert_eq!(text(&quorum), "1 of the 2 that a quorum needs succeeded, and 1 failed\n  [1]: broken 1");
        assert_eq!(
            (quorum.needed(), quorum.succeeded(), quorum.source().unwrap().to_string()),
            (2, 1, "broken 1".into())
        );
        assert_eq!(quorum.into_errors(), [Broken(1)]);

        let (handle, portal) = task_group(async |g| {
            let keyed = g.keyed();
            let _child = keyed.spawn("a", pending::<()>());
            let occupied = keyed.try_spawn("a", ready(7)).unwrap_err();
            assert_eq!(text(&occupied), "the key has a child that hasn't ended");
            assert!(occupied.is_occupied() && keyed.keys() == ["a"]);
            assert_eq!(occupied.into_inner().await, 7);
            g.cancel();
            (g.handle(), g.portal())
        })
        .await;
        let closed: Closed<_> = handle.spawn(ready(7)).unwrap_err();
        assert_eq!(text(&closed), "the group has ended");
        assert_eq!(closed.into_inner().await, 7);
        let closed = TrySpawnError::Closed(ready(7));
        assert_eq!((text(&closed), closed.is_occupied()), ("the group has ended".into(), false));
        assert_eq!(closed.into_inner().await, 7);
        let closed = portal.enter(|| ready(7)).await.unwrap_err();
        assert_eq!(text(&closed), "the group has ended");
        assert!(closed.is_closed() && !closed.is_cancelled() && !closed.is_runtime_gone() && closed.reason().is_none());

        let cut = task_group(async |g| {
            let portal = g.portal();
            g.cancel_with("enough");
            shield(HOUR, portal.enter(pending::<()>)).await
        });
        let cut = cut.await.unwrap_err();
        assert!(text(&cut).starts_with("the call was cancelled: cancelled explicitly: enough"), "{cut}");
        assert!(cut.is_cancelled() && cut.reason().is_some());
    });
}

#[test]
fn why_a_child_was_never_ready() {
    on_the_simulator(async {
        task_group(async |g| {
            let silent =
                g.task("silent").start(|started: Started<u8>| async { drop(started) }).outcome().await.unwrap_err();
            assert!(text(&silent).ends_with("was never ready: it ended without saying so"), "{silent}");
            assert!(matches!(silent.outcome(), Outcome::Completed(())) && silent.task().name() == Some("silent"));
        })
        .await;
    });
}

#[test]
fn reasons_and_outcomes() {
    on_the_simulator(async {
        let kinds = [
            (ReasonKind::Explicit, "cancelled explicitly"),
            (ReasonKind::Deadline, "deadline passed"),
            (ReasonKind::SiblingFailed, "a sibling failed"),
            (ReasonKind::Parent, "the parent ended"),
            (ReasonKind::Shutdown, "shutting down"),
            (ReasonKind::Dropped, "its owner was dropped"),
        ];
        kinds.iter().for_each(|(kind, text)| assert_eq!(kind.to_string(), *text));

        task_group(async |g| {
            let token = CancelToken::new();
            let inside = token.clone();
            g.task("switch").spawn(async move { inside.cancel_with("enough") }).await;
            let cut = token.run(pending::<()>()).await.unwrap_err();
            let told = text(&cut);
            assert!(told.starts_with("cancelled explicitly: enough, by task `switch`"), "{told}");
            let reason: Reason = cut.into_reason();
            assert!(format!("{reason:?}").contains("Explicit"));

            let child = g.spawn(async { 7 });
            let outcome = child.outcome().await;
            assert!(outcome.is_completed() && !outcome.is_cancelled() && !outcome.is_panicked());
            assert_eq!(outcome.map(|n| n + 1).completed(), Some(8));
            let child = g.spawn(pending::<u8>());
            child.cancel();
            let outcome = child.outcome().await.map(|n| n + 1);
            assert!(outcome.is_cancelled() && outcome.completed().is_none());
        })
        .await;
        assert!(matches!(Outcome::<u8>::RuntimeGone.map(|n| n + 1), Outcome::RuntimeGone));

        let outcomes = gather([async { panic!("no more") }]).settled().await;
        let outcome = outcomes.into_iter().next().unwrap().map(|()| 1);
        assert!(outcome.is_panicked());
        match outcome {
            Outcome::Panicked(panic) => {
                assert_eq!(panic.to_string(), "panicked: no more");
                assert_eq!(format!("{panic:?}"), "Panic(\"no more\")");
            }
            other => panic!("{other:?}"),
        }

        let stragglers = task_group(async |g| {
            let task = g.task("stubborn").spawn(pending::<()>());
            assert!(task.location().file().ends_with("texts.rs") && task.id().get() > 0);
            let stragglers = g.shutdown(MOMENT).await;
            assert_eq!((&stragglers).into_iter().count(), 1);
            stragglers
        })
        .await;
        assert!(stragglers.to_string().starts_with("1 task was cancelled after the grace\n  task `stubborn`"));
        assert_eq!(stragglers.into_iter().next().unwrap().name(), Some("stubborn"));
        let none = task_group(async |g| g.shutdown(MOMENT).await).await;
        assert_eq!(none.to_string(), "every task stopped in time");
    });
}

/// Shows a thing, which names itself.
#[track_caller]
fn shown(thing: &dyn Debug, name: &str) {
    let text = format!("{thing:?}");
    assert!(text.starts_with(name), "{text}");
}

/// Shows a future before, in and after its work.
fn watched<F: Future + Debug>(future: F, name: &str) {
    let mut future = Box::pin(future);
    shown(&future, name);
    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    shown(&future, name);
}

#[test]
fn everything_can_be_shown() {
    on_the_simulator(async {
        let semaphore = Arc::new(Semaphore::new(3));
        shown(&semaphore, "Semaphore");
        watched(semaphore.acquire(), "Acquire");
        watched(semaphore.acquire_arc(), "AcquireArc");
        shown(&semaphore.try_acquire().unwrap(), "Permit");
        shown(&semaphore.try_acquire_arc().unwrap(), "PermitArc");
        let limiter = Limiter::new(1);
        shown(&limiter, "Limiter");
        watched(limiter.acquire(), "AcquireLimiter");
        watched(limiter.acquire_for("a"), "AcquireLimiterFor");
        shown(&limiter.acquire().await, "LimiterPermit");

        let (sender, receiver) = channel::<u8>(1);
        shown(&sender, "Sender");
        shown(&receiver, "Receiver");
        watched(receiver.recv(), "Recv");
        watched(sender.send(1), "Send");

        let (event, barrier, condvar) = (Event::default(), Barrier::new(2), Condvar::default());
        shown(&event, "Event");
        shown(&barrier, "Barrier");
        shown(&condvar, "Condvar");
        watched(event.wait(), "WaitEvent");
        watched(barrier.wait(), "WaitBarrier");
        let mut mutex = Mutex::<u8>::default();
        assert_eq!((*mutex.get_mut(), Mutex::from(7).into_inner()), (0, 7));
        shown(&mutex, "Mutex");
        watched(mutex.lock(), "Lock");
        let guard = mutex.lock().await;
        shown(&mutex, "Mutex");
        assert_eq!((format!("{guard:?}"), guard.to_string()), ("0".into(), "0".into()));
        watched(condvar.wait(guard), "WaitCondvar");
        let guard = mutex.try_lock().unwrap();
        watched(condvar.wait_while(guard, |_| true), "WaitWhile");
        let shared = Arc::new(mutex);
        watched(shared.lock_arc(), "LockArc");
        assert_eq!(shared.lock_arc().await.to_string(), "0");
        let mut lock = RwLock::<u8>::default();
        assert_eq!((*lock.get_mut(), RwLock::from(7).into_inner()), (0, 7));
        shown(&lock, "RwLock");
        let lock = Arc::new(lock);
        watched(lock.read(), "Read");
        watched(lock.write(), "Write");
        watched(lock.read_arc(), "ReadArc");
        watched(lock.write_arc(), "WriteArc");
        assert_eq!(lock.read().await.to_string(), "0");
        assert_eq!(lock.write().await.to_string(), "0");
        assert_eq!(lock.read_arc().await.to_string(), "0");
        assert_eq!(lock.write_arc().await.to_string(), "0");
        assert_eq!(format!("{:?}", lock.read().await), "0");
        let mut cell = OnceCell::<u8>::default();
        shown(&cell, "OnceCell");
        cell.set(1).unwrap();
        *cell.get_mut().unwrap() += 1;
        assert_eq!(cell.into_inner(), Some(2));

        let token = CancelToken::default();
        shown(&token, "CancelToken");
        shown(&token.child().drop_guard(), "DropGuard");
        watched(cancelled(), "AmbientCancelled");
        watched(shield(HOUR, ready(1)), "Shield");
        watched(timeout(HOUR, pending::<()>()), "Timeout");
        watched(sleep(HOUR), "Sleep");
        watched(CancelToken::new().run(pending::<()>()), "RunUnderToken");
        watched(with_cleanup(ready(Ok::<_, ()>(1)), async {}, HOUR), "WithCleanup");
        watched(USER.scope(1, ready(1)), "WithLocal");
        shown(&USER, "TaskLocal");
        shown(&TaskLocal::<u8>::new(), "TaskLocal");
        watched(stopping(), "Stopping");
        watched(drained(), "Drained");
        watched(yield_now(), "YieldNow");
        assert_eq!(interval(MOMENT).period(), MOMENT);
        shown(&interval(MOMENT), "Interval");
        watched(unblock(|| 1), "Unblock");
        unblock(|| 1).await;

        watched(race([ready(1)]), "Race");
        watched(race_ok([ready(Ok::<_, ()>(1))]), "RaceOk");
        watched(gather([ready(1)]), "Gather");
        watched(gather([ready(1)]).within(HOUR), "Within");
        watched(gather([ready(Ok::<_, ()>(1))]).first_ok(), "Under");
        watched(gather([ready(Ok::<_, ()>(1))]).quorum(1), "Under");
        watched(gather([ready(1)]).until(|_, _| true), "Under");
        watched(gather([ready(1)]).settled(), "Gather");
        watched(gather([ready(1)]).timeout_each(HOUR), "Gather");
    });
}

#[test]
fn groups_can_be_shown() {
    on_the_simulator(async {
        shown(&TaskGroup::builder(), "Builder");
        task_group(async |g| {
            shown(g, "TaskGroup");
            let handle = g.handle();
            shown(&handle, "GroupHandle");
            shown(&handle.task("a"), "HandleTaskBuilder");
            let keyed = g.keyed::<u8>();
            shown(&keyed.clone(), "KeyedGroup");
            shown(&g.portal(), "Portal");
            shown(&g.task("b"), "TaskBuilder");
            shown(&g.shutdown(HOUR), "Shutdown");
            let task = g.task("b").spawn(async { 1 });
            shown(&task, "Task");
            shown(&task.outcome(), "TaskOutcome");
        })
        .await;
        task_group(async |g| {
            watched(g.room(), "Room");
            let start = g.start(|started| async move {
                shown(&started, "Started");
                started.ready(1);
            });
            shown(&start, "Start");
            start.await;
            let portal = g.portal();
            watched(portal.enter(|| ready(1)), "Call");
        })
        .await;
        let done = try_task_group(async |g| {
            shown(g, "TryTaskGroup");
            shown(&g.handle().clone(), "TryGroupHandle");
            let start = g.start(|started| async move {
                started.ready(1);
                Ok::<_, Broken>(())
            });
            shown(&start, "TryStart");
            start.await
        });
        assert!(done.await.is_ok());
        watched(scope(async |_| {}), "InScope");
        scope(|s| async move {
            shown(&s, "Scope");
            let child = s.spawn(ready(1));
            shown(&child, "ScopedTask");
            assert!(child.location().file().ends_with("texts.rs"));
        })
        .await;
        unblock(|| {
            blocking_scope(|s| {
                shown(&s, "BlockingScope");
                let child = s.spawn(pending::<()>());
                s.cancel();
                drop(child);
            });
        })
        .await;
    });
}

/// Counts what it is told, and leaves all else as it is by default.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Observer for Counter {
    fn observe(&self, _: &Told<'_>) {
        // Ordering: Relaxed; a number is all that it tells.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A runtime behind its erased self is the same runtime.
#[test]
fn a_runtime_without_its_type_works() {
    type Dyn = DynRuntime;
    let sim = Sim::new().lenient();
    let runtime = Dyn::new(sim.clone());
    assert!(runtime.downcast_ref::<Sim>().is_some() && format!("{runtime:?}").contains("sim"));
    assert!(Dyn::detect().is_none());
    assert_eq!(runtime.parallelism(), sim.parallelism());
    assert_eq!(runtime.is_budget_spent(), sim.is_budget_spent());
    assert_eq!(runtime.observer().is_some(), sim.observer().is_some());
    let sum = run(runtime.clone(), async move {
        assert!(Dyn::current().is_some() && runtime.name() == "sim");
        let begun = anyscope_core::now::<Dyn>();
        anyscope_core::task_group::<Dyn, _, _>(async |g| {
            let child = g.spawn(async {
                anyscope_core::sleep::<Dyn>(MOMENT).await;
                1
            });
            let mut ticks = anyscope_core::interval::<Dyn>(MOMENT);
            ticks.tick().await;
            ticks.tick().await;
            assert!(anyscope_core::now::<Dyn>() >= begun + MOMENT);
            child.await + anyscope_core::unblock::<Dyn, _, _>(|| 2).await
        })
        .await
    });
    assert_eq!(sum, 3);
}

#[test]
fn an_observer_need_do_nothing() {
    let counter = Arc::new(Counter::default());
    let observer: Arc<dyn Observer> = counter.clone();
    assert_eq!(observer.choose(3), 0);
    observer.job_asks();
    let outside = observe::Outside::of(Some(observer));
    shown(&outside, "Outside");
    drop(outside);
    shown(&observe::outside(), "Outside");
    assert_eq!(counter.0.load(Ordering::Relaxed), 0);
}

/// A boxed timer can be set anew like any other.
#[test]
fn a_timer_without_its_type_can_be_set_anew() {
    let runtime = DynRuntime::new(Sim::new().lenient());
    run(runtime.clone(), async move {
        let begun = runtime.now();
        let mut timer: Pin<Box<dyn anyscope_core::Sleep>> = runtime.sleep_until(begun + HOUR).unwrap();
        anyscope_core::Sleep::reset(Pin::new(&mut timer), begun + MOMENT);
        timer.await;
        assert_eq!(runtime.now(), begun + MOMENT);
    });
}
