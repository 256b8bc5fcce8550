//! Every name that users type, used once, on every runtime: what doesn't compile here is a broken promise.

use anyscope::async_std::AsyncStd;
use anyscope::smol::Smol;
use anyscope::sync::{Barrier, Condvar, Event, Mutex, OnceCell, RwLock};
use anyscope::tokio::Tokio;
use anyscope::{
    CancelToken, Cancelled, Current, Elapsed, GroupError, GroupHandle, Limiter, Outcome, Portal, Reason, ReasonKind,
    Runtime, Semaphore, Task, TaskGroup, TaskLocal, TryTaskGroup, blocking, blocking_limiter, blocking_scope,
    cancelled, channel, drained, gather, interval, is_cancelled, is_stopping, now, race, race_ok, remaining, run,
    scope, shield, sleep, sleep_until, stopping, task_group, timeout, timeout_at, try_gather, try_task_group, unblock,
    with_cleanup, yield_now,
};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(60);

static USER: TaskLocal<&str> = TaskLocal::new();

async fn groups() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let sum = TaskGroup::builder()
        .limit(4)
        .name("names")
        .run(async |g: &TaskGroup| {
            let one: Task<i32> = g.spawn(async { 1 });
            let two = g.task("two").spawn(async { 2 });
            assert_eq!((two.name(), two.is_finished() || !two.is_finished()), (Some("two"), true));
            assert_ne!(one.id(), two.id());
            let three = g.spawn_blocking(|| 3);
            g.spawn_service(pending::<()>());
            let four = g
                .start(|started| async move {
                    started.ready(4);
                    stopping().await;
                })
                .await;
            g.on_exit(async move {
                count.fetch_add(1, Ordering::SeqCst);
            });
            g.room().await;
            let handle: GroupHandle = g.handle();
            let five = handle.spawn(async { 5 }).unwrap();
            let sum = one.await + two.await + three.await + four + five.await;
            let cut = g.spawn(pending::<()>());
            cut.cancel();
            assert!(matches!(cut.outcome().await, Outcome::Cancelled(_)));
            let stragglers = g.shutdown(LONG).await;
            assert!(stragglers.is_empty() && is_stopping());
            g.cancel_with("no more");
            sum
        })
        .await;
    assert_eq!((sum, ended.load(Ordering::SeqCst)), (15, 1));

    let failed: Result<(), GroupError<String>> = try_task_group(async |g: &TryTaskGroup<String>| {
        g.on_exit(async { Err("second".to_owned()) });
        g.spawn(async { Err::<(), _>("first".to_owned()) }).await;
        Ok(())
    })
    .await;
    assert_eq!(failed.unwrap_err().errors().collect::<Vec<_>>(), ["first", "second"]);
    let built = TaskGroup::builder().limit(1).try_run(async |g| Ok::<_, ()>(g.spawn(async { Ok(1) }).await)).await;
    assert_eq!(built.unwrap(), 1);
}

async fn borrowing() {
    let words = ["a".to_owned(), "bc".to_owned()];
    let lengths = scope(|s| {
        let words = &words;
        async move {
            let first = s.spawn(async { words[0].len() });
            let second = s.spawn(async { words[1].len() });
            first.await + second.await
        }
    });
    assert_eq!(lengths.await, 3);
    let sorted = unblock(|| {
        let mut numbers = vec![2, 1];
        blocking_scope(|s| {
            s.spawn(async { numbers.sort_unstable() });
        });
        numbers
    });
    assert_eq!(sorted.await, [1, 2]);
}

async fn many() {
    let mut seen = Vec::new();
    let doubled = gather((0..3).map(|n| async move { n * 2 })).limit(2).on_progress(|p| seen.push(p.finished)).await;
    assert_eq!((doubled, seen), (vec![0, 2, 4], vec![1, 2, 3]));
    let parallel = gather((0..3).map(|n| async move { n })).limit(2).parallel().timeout_each(LONG).await;
    assert!(parallel.iter().all(Result::is_ok));
    assert_eq!(try_gather([1, 2].map(|n| async move { Ok::<_, ()>(n) })).await, Ok(vec![1, 2]));
    assert_eq!(gather((async { 1 }, async { "b" })).await, (1, "b"));
    let mut sum = 0;
    gather((0..3).map(|n| async move { n })).for_each(async |_index, n| sum += n).await;
    assert_eq!(sum, 3);
    assert_eq!(race((pending::<i32>(), async { 1 })).await, 1);
    assert_eq!(race_ok([async { Err::<(), _>(1) }]).await, Err(vec![1]));
    assert_eq!(gather([Err(1), Ok(2)].map(std::future::ready)).first_ok().await, Ok(2));
}

async fn time() {
    let begun = now();
    sleep(MOMENT).await;
    sleep_until(begun + MOMENT).await;
    let mut ticks = interval(MOMENT);
    ticks.tick().await;
    yield_now().await;
    assert!(matches!(timeout(MOMENT, pending::<()>()).await, Err(Elapsed { .. })));
    assert_eq!(timeout_at(now() + LONG, async { remaining().is_some() }).await, Ok(true));
    assert!(!shield(LONG, async { is_cancelled() }).await);
    let cleaned = with_cleanup(async { Ok::<_, ()>(1) }, async {}, LONG).await;
    assert_eq!(cleaned.unwrap(), 1);
}

async fn cancellation() {
    let token = CancelToken::new();
    let child = token.child();
    let guard = child.drop_guard();
    let cut: Result<(), Cancelled> = {
        let inside = token.clone();
        token
            .run(async move {
                inside.cancel_with("from inside");
                let reason: Reason = cancelled().await;
                assert_eq!(reason.kind(), ReasonKind::Explicit);
                pending().await
            })
            .await
    };
    assert_eq!(cut.unwrap_err().reason().message(), Some("from inside"));
    guard.disarm();
    assert!(child.is_cancelled() && child.reason().is_some());
    child.cancelled().await;
    let timed = CancelToken::new().with_deadline(now());
    assert!(timed.is_cancelled());
}

async fn sharing() {
    let semaphore = Arc::new(Semaphore::new(3));
    let (one, two) = (semaphore.acquire().await.unwrap(), semaphore.acquire_many(2).await.unwrap());
    assert!(semaphore.try_acquire().is_err());
    drop((one, two));
    drop(semaphore.acquire_arc().await.unwrap());
    semaphore.add_permits(1);
    assert_eq!(semaphore.statistics().total, 4);
    semaphore.close();

    let limiter = Limiter::new(1);
    limiter.set_total(2);
    assert_eq!(unblock(|| 1).limiter(&limiter).abandon_on_cancel().await, 1);
    assert_eq!(blocking_limiter().statistics().borrowed, blocking_limiter().statistics().borrowed);
    assert_eq!(blocking(|n: i32| n + 1)(1).await, 2);

    let (sender, receiver) = channel(1);
    sender.send(1).await.unwrap();
    assert_eq!(receiver.recv().await, Ok(1));
    let (event, mutex, lock) = (Event::new(), Mutex::new(0), RwLock::new(0));
    event.set();
    event.wait().await;
    *mutex.lock().await += 1;
    *lock.write().await += *mutex.lock().await;
    assert_eq!(*lock.read().await, 1);
    let (barrier, cell, condvar) = (Barrier::new(1), OnceCell::new(), Condvar::new());
    barrier.wait().await;
    assert_eq!(*cell.get_or_init(async || 7).await, 7);
    condvar.notify_one();

    USER.scope("ann", async {
        assert_eq!(unblock(|| USER.get()).await, "ann");
    })
    .await;
}

async fn portal() {
    let answer = task_group(async |g| {
        let portal: Portal = g.portal();
        unblock(move || {
            let spawned = portal.spawn(async { 1 }).unwrap();
            portal.call(move || async move { spawned.await + 1 }).unwrap()
        })
        .await
    });
    assert_eq!(answer.await, 2);
}

fn all<R: Runtime>(runtime: R) {
    let name = runtime.name();
    run(runtime, async move {
        assert_eq!(Current::get().name(), name);
        groups().await;
        borrowing().await;
        many().await;
        time().await;
        cancellation().await;
        sharing().await;
        portal().await;
    });
}

#[test]
fn on_tokio() {
    all(Tokio::new());
    all(Tokio::current_thread());
}

#[test]
fn on_smol() {
    all(Smol::new());
}

#[test]
fn on_async_std() {
    all(AsyncStd::new());
}

#[test]
fn nothing_is_left_of_what_ran_outside() {
    run(Smol::new(), drained());
}

/// What can be spawned elsewhere: all but the gather whose consumer borrows (see the docs of `for_each`).
#[test]
fn what_awaits_these_can_be_spawned() {
    fn is_send<T: Send>(_: T) {}

    is_send(groups());
    is_send(borrowing());
    is_send(time());
    is_send(cancellation());
    is_send(sharing());
    is_send(portal());
}
