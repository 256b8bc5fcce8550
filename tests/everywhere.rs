//! Every async item, interrupted at each of its points in each way: see `anyscope::sim::cancel_everywhere`.
//!
//! Each program uses its item in company, so that there is something to lose: permits that others wait for, messages that
//! are on their way, children that are at work. What is left is looked at by the simulator; values that travel are
//! counted here. Run it with `--nocapture` for the table in `docs/reliability.md`.

#![forbid(unsafe_code)]

mod api;

use anyscope::compat::tokio;
use anyscope::sim::{CancelEverywhere, Points, Schedule, cancel_everywhere};
use anyscope::sync::{Barrier, Condvar, Event, Mutex, OnceCell, RwLock};
use anyscope::{
    CancelToken, Limiter, Semaphore, TaskGroup, TaskLocal, blocking, cancelled, channel, drained, gather, interval,
    is_cancelled, now, race, race_ok, scope, shield, sleep, sleep_until, stopping, task_group, timeout, timeout_at,
    try_gather, try_task_group, unblock, with_cleanup, yield_now,
};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

static USER: TaskLocal<u32> = TaskLocal::new();

tokio::task_local! {
    static TOKIO_USER: u32;
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A program for each item: its name, and what it does.
type Program = (&'static str, fn() -> Work);

fn programs() -> Vec<Program> {
    macro_rules! programs {
        ($($name:literal => $program:expr,)*) => { vec![$(($name, || Box::pin($program))),*] };
    }
    programs! {
        "task_group, TaskGroup::spawn" => task_group(async |g| {
            let one = g.spawn(async { yield_now().await; 1 });
            let two = g.spawn(async { sleep(MOMENT).await; 2 });
            assert_eq!(one.await + two.await, 3);
        }),
        // Where the runtime ends, what it ran is cancelled, and that is what the handles say.
        "spawn, spawn_blocking, AbortOnDropHandle::detach" => async {
            let one = tokio::spawn(async { yield_now().await; 1 });
            let two = tokio::task::spawn_blocking(|| 2);
            drop(tokio::AbortOnDropHandle::new(tokio::spawn(sleep(LONG))));
            let three = tokio::AbortOnDropHandle::new(tokio::spawn(async { tokio::task::yield_now().await; 3 })).detach();
            if let (Ok(one), Ok(two), Ok(three)) = (one.await, two.await, three.await) {
                assert_eq!(one + two + three, 6);
            }
        },
        "JoinSet::join_next, JoinSet::join_next_with_id, JoinSet::shutdown" => async {
            let mut set: tokio::JoinSet<u32> =
                (1..=3).map(|n| async move { tokio::time::sleep(MOMENT * n).await; n }).collect();
            let (first, second) = (set.join_next().await, set.join_next_with_id().await);
            if let (Some(Ok(first)), Some(Ok((_, second)))) = (first, second) {
                assert_eq!(first + second, 3);
            }
            set.spawn(async { yield_now().await; 7 });
            set.shutdown().await;
            assert!(set.is_empty());
        },
        "TaskTracker::spawn, TaskTracker::spawn_blocking, TaskTracker::track_future, TaskTracker::wait" => async {
            let tracker = tokio::TaskTracker::new();
            let one = tracker.spawn(async { yield_now().await; 1 });
            let two = tracker.spawn_blocking(|| 2);
            tracker.track_future(tokio::time::sleep(MOMENT)).await;
            tracker.close();
            tracker.wait().await;
            if let (Ok(one), Ok(two)) = (one.await, two.await) {
                assert_eq!(one + two, 3);
            }
        },
        "tokio's timers: Interval::tick, sleep_until, timeout, timeout_at" => async {
            let mut ticks = tokio::time::interval(MOMENT);
            ticks.tick().await;
            let _ = tokio::time::timeout(MOMENT / 2, ticks.tick()).await;
            let _ = tokio::time::timeout_at(tokio::time::Instant::now() + MOMENT, ticks.tick()).await;
            tokio::time::sleep_until(tokio::time::Instant::now() + MOMENT).await;
        },
        "LocalKey::scope" => async {
            let inside = async {
                yield_now().await;
                tokio::time::sleep(MOMENT).await;
                TOKIO_USER.get()
            };
            assert_eq!(TOKIO_USER.scope(7, inside).await, 7);
        },
        "task_group in task_group" => task_group(async |g| {
            g.spawn(task_group(async |g| {
                g.spawn(sleep(MOMENT));
                yield_now().await;
            }));
            task_group(async |g| drop(g.spawn(yield_now()))).await;
        }),
        "Builder::run, Builder::limit" => TaskGroup::builder().limit(1).run(async |g| {
            for _ in 0..3 {
                g.spawn(yield_now());
            }
        }),
        "try_task_group" => async {
            let failed = try_task_group(async |g| {
                g.spawn(async { yield_now().await; Ok(()) });
                g.spawn(async { sleep(MOMENT).await; Err::<(), _>(7) });
                Ok(())
            });
            let _: Result<(), _> = failed.await;
        },
        "Builder::try_run, TryTaskGroup::spawn" => async {
            let done = TaskGroup::builder().limit(1).try_run(async |g| {
                let one = g.spawn(async { yield_now().await; Ok::<_, ()>(1) });
                let two = g.spawn(async { sleep(MOMENT).await; Ok(2) });
                Ok(one.await + two.await)
            });
            assert_eq!(done.await.ok(), Some(3));
        },
        "TryTaskGroup::spawn_service, TryTaskGroup::spawn_blocking, TryTaskGroup::room" => async {
            let done = TaskGroup::builder().limit(1).try_run(async |g| {
                let (sender, receiver) = channel(1);
                g.spawn_service(async move { while receiver.recv().await.is_ok() {} Ok::<_, ()>(()) });
                g.spawn(async move { let _ = sender.send(1).await; Ok(()) });
                g.room().await;
                Ok(g.spawn_blocking(|| Ok(7)).await)
            });
            assert_eq!(done.await.ok(), Some(7));
        },
        "TryTaskGroup::shutdown" => async {
            let _ = try_task_group(async |g| {
                g.spawn(async { stopping().await; yield_now().await; Ok::<_, ()>(()) });
                g.spawn(async { sleep(LONG).await; Ok(()) });
                yield_now().await;
                g.shutdown(MOMENT).await;
                Ok(())
            })
            .await;
        },
        "TaskBuilder::spawn, TaskBuilder::spawn_service, TaskBuilder::start, TaskBuilder::spawn_blocking" => task_group(async |g| {
            let (sender, receiver) = channel(1);
            g.task("service").spawn_service(async move { while receiver.recv().await.is_ok() {} });
            let value = g.task("start").start(|started| async move { started.ready(7); yield_now().await; });
            let child = g.task("child").spawn(async move { let _ = sender.send(1).await; });
            let job = g.task("job").spawn_blocking(|| 7);
            assert_eq!(value.await + job.await, 14);
            child.await;
        }),
        "TryTaskBuilder::spawn, TryTaskBuilder::spawn_service, TryTaskBuilder::start, TryTaskBuilder::spawn_blocking" => async {
            let done = try_task_group(async |g| {
                let (sender, receiver) = channel(1);
                g.task("service").spawn_service(async move { while receiver.recv().await.is_ok() {} Ok::<_, ()>(()) });
                let value = g.task("start").start(|started| async move { started.ready(7); yield_now().await; Ok(()) });
                let child = g.task("child").spawn(async move { let _ = sender.send(1).await; Ok(()) });
                let job = g.task("job").spawn_blocking(|| Ok(7));
                let sum = value.await? + job.await;
                child.await;
                Ok(sum)
            });
            assert_eq!(done.await.ok(), Some(14));
        },
        "GroupHandle::spawn, GroupHandle::spawn_service, GroupHandle::room, GroupHandle::shutdown" => task_group(async |g| {
            let handle = g.handle();
            g.spawn(async move {
                let Ok(child) = handle.spawn(sleep(MOMENT)) else { return };
                let _ = handle.spawn_service(sleep(LONG));
                let _ = handle.spawn(async { stopping().await; yield_now().await });
                handle.room().await;
                child.await;
                handle.shutdown(MOMENT).await;
            });
        }),
        "TryGroupHandle::spawn, TryGroupHandle::spawn_service, TryGroupHandle::room, TryGroupHandle::shutdown" => async {
            let _ = try_task_group(async |g| {
                let handle = g.handle();
                g.spawn(async move {
                    let Ok(child) = handle.spawn(async { sleep(MOMENT).await; Ok::<_, ()>(()) }) else { return Ok(()) };
                    let _ = handle.spawn_service(async { sleep(LONG).await; Ok(()) });
                    let _ = handle.spawn(async { stopping().await; yield_now().await; Ok(()) });
                    handle.room().await;
                    child.await;
                    handle.shutdown(MOMENT).await;
                    Ok(())
                });
                Ok(())
            })
            .await;
        },
        "a task of a TryGroupHandle by name" => async {
            let _ = try_task_group(async |g| {
                let handle = g.handle();
                g.spawn(async move {
                    let (sender, receiver) = channel(1);
                    let service = async move { while receiver.recv().await.is_ok() {} Ok::<_, ()>(()) };
                    let _ = handle.task("service").spawn_service(service);
                    let _ = handle.task("child").spawn(async move { let _ = sender.send(1).await; Ok(()) });
                    Ok(())
                });
                Ok(())
            })
            .await;
        },
        "HandleTaskBuilder::spawn, HandleTaskBuilder::spawn_service" => task_group(async |g| {
            let handle = g.handle();
            g.spawn(async move {
                let (sender, receiver) = channel(1);
                let _ = handle.task("service").spawn_service(async move { while receiver.recv().await.is_ok() {} });
                let _ = handle.task("child").spawn(async move { let _ = sender.send(1).await; });
            });
        }),
        "Task::outcome" => task_group(async |g| {
            let child = g.spawn(sleep(LONG));
            yield_now().await;
            child.cancel();
            child.outcome().await;
        }),
        "TaskGroup::room" => TaskGroup::builder().limit(1).run(async |g| {
            g.spawn(sleep(MOMENT));
            g.room().await;
            g.spawn(yield_now());
        }),
        "TaskGroup::start" => task_group(async |g| {
            let value = g.start(|started| async move {
                yield_now().await;
                started.ready(7);
                sleep(MOMENT).await;
            });
            assert_eq!(value.await, 7);
        }),
        "Start::outcome" => task_group(async |g| {
            let start = g.start(|started| async move {
                yield_now().await;
                drop::<anyscope::Started<()>>(started);
            });
            assert!(start.outcome().await.is_err());
        }),
        "TryTaskGroup::start" => async {
            let done = try_task_group(async |g| {
                let value = g.start(|started| async move {
                    yield_now().await;
                    started.ready(7);
                    Ok::<_, ()>(())
                });
                value.await
            });
            assert_eq!(done.await.ok(), Some(7));
        },
        "TaskGroup::shutdown, stopping" => task_group(async |g| {
            g.spawn(async { stopping().await; yield_now().await });
            g.spawn(sleep(LONG));
            yield_now().await;
            g.shutdown(MOMENT).await;
        }),
        "TaskGroup::on_exit" => task_group(async |g| {
            g.on_exit(async { sleep(MOMENT).await });
            g.on_exit(async { yield_now().await });
            g.spawn(yield_now());
        }),
        "TaskGroup::spawn_service" => task_group(async |g| {
            let (sender, receiver) = channel(1);
            g.spawn_service(async move { while receiver.recv().await.is_ok() {} });
            g.spawn(async move { let _ = sender.send(1).await; });
        }),
        "KeyedGroup::spawn, KeyedGroup::vacant" => task_group(async |g| {
            let keyed = g.keyed();
            let _ = keyed.spawn("a", sleep(LONG));
            yield_now().await;
            let _ = keyed.spawn("a", yield_now());
            keyed.vacant("a").await;
        }),
        "KeyedGroup::try_spawn" => task_group(async |g| {
            let keyed = g.keyed();
            let first = keyed.try_spawn("a", sleep(MOMENT));
            assert!(keyed.try_spawn("a", yield_now()).is_err());
            drop(first);
            keyed.vacant("a").await;
        }),
        "TaskGroup::spawn_blocking" => task_group(async |g| {
            let job = g.spawn_blocking(|| 7);
            assert_eq!(job.await, 7);
        }),
        "unblock" => async { assert_eq!(unblock(|| 7).await, 7) },
        "blocking" => async { assert_eq!(blocking(|n: u32| n + 1)(6).await, 7) },
        "unblock, asking" => async {
            unblock(|| (0..10).take_while(|_| !is_cancelled()).count()).await;
        },
        "Unblock::limiter" => async {
            let limiter = Limiter::new(1);
            gather([1, 2].map(|n| unblock(move || n).limiter(&limiter))).await;
        },
        "Unblock::abandon_on_cancel" => async {
            unblock(|| 7).abandon_on_cancel().await;
        },
        "scope, Scope::spawn" => async {
            let text = String::from("borrowed");
            scope(|s| {
                let text = &text;
                async move {
                    let one = s.spawn(async { yield_now().await; text.len() });
                    s.spawn(sleep(MOMENT));
                    assert_eq!(one.await, 8);
                }
            })
            .await;
        },
        "ScopedTask::outcome" => scope(|s| async move {
            let child = s.spawn(sleep(LONG));
            yield_now().await;
            child.cancel();
            child.outcome().await;
        }),
        "gather" => async { gather((0..4).map(|n| async move { yield_now().await; n })).await; },
        "gather, a tuple" => async { gather((yield_now(), sleep(MOMENT), ready(1))).await; },
        "Gather::limit" => async { gather((0..4).map(|_| sleep(MOMENT))).limit(2).await; },
        "Gather::parallel" => async { gather((0..4).map(|_| sleep(MOMENT))).limit(2).parallel().await; },
        "Gather::for_each" => async {
            gather((0..4).map(|_| yield_now())).limit(2).for_each(async |_, ()| yield_now().await).await;
        },
        "Gather::timeout_each" => async { gather([MOMENT, LONG].map(sleep)).timeout_each(2 * MOMENT).await; },
        "Gather::first_ok" => async {
            let _ = gather([MOMENT, LONG].map(|time| async move { sleep(time).await; Ok::<_, ()>(1) })).first_ok().await;
        },
        "Gather::quorum" => async {
            let votes = [MOMENT, MOMENT, LONG].map(|time| async move { sleep(time).await; Ok::<_, ()>(1) });
            let _ = gather(votes).quorum(2).await;
        },
        "Gather::until" => async {
            let _ = gather([1, 2, 3].map(|n| async move { yield_now().await; n })).until(|_, n| *n == 2).await;
        },
        "Gather::settled" => async { gather([1, 2].map(|n| async move { yield_now().await; n })).settled().await; },
        "Gather::within" => async { gather([MOMENT, LONG].map(sleep)).within(2 * MOMENT).await; },
        "Gather::by" => async { gather([MOMENT, LONG].map(sleep)).by(now() + 2 * MOMENT).await; },
        "Gather::on_progress" => async {
            let mut finished = 0;
            gather((0..3).map(|_| sleep(MOMENT))).limit(2).on_progress(|progress| finished = progress.finished).await;
            assert_eq!(finished, 3);
        },
        "try_gather" => async {
            let _ = try_gather([MOMENT, LONG].map(|time| async move { sleep(time).await; Err::<(), _>("no") })).await;
        },
        "race" => async { race([sleep(MOMENT), sleep(LONG)]).await; },
        "race_ok" => async {
            let _ = race_ok([Err(MOMENT), Ok(2 * MOMENT)].map(|result| async move {
                match result {
                    Ok(time) => { sleep(time).await; Ok(()) }
                    Err(time) => { sleep(time).await; Err(()) }
                }
            }))
            .await;
        },
        "timeout" => async { let _ = timeout(MOMENT, sleep(LONG)).await; },
        "timeout_at" => async { let _ = timeout_at(now() + MOMENT, sleep(LONG)).await; },
        "sleep" => async { sleep(MOMENT).await },
        "sleep_until" => async { sleep_until(now() + MOMENT).await },
        "Interval::tick" => async {
            let mut ticks = interval(MOMENT);
            for _ in 0..3 {
                ticks.tick().await;
            }
        },
        "yield_now" => async { yield_now().await },
        "shield" => async { shield(LONG, async { yield_now().await; sleep(MOMENT).await }).await },
        "shield, over its budget" => async { let _ = shield(MOMENT, sleep(LONG)).await; },
        "with_cleanup" => async {
            let work = async { sleep(MOMENT).await; Ok::<_, ()>(1) };
            let _ = with_cleanup(work, async { yield_now().await }, LONG).await;
        },
        "CancelToken::run" => task_group(async |g| {
            let token = CancelToken::new();
            let inside = token.clone();
            g.spawn(async move { let _ = inside.run(sleep(LONG)).await; });
            sleep(MOMENT).await;
            token.cancel();
        }),
        "CancelToken::cancelled" => task_group(async |g| {
            let token = CancelToken::new().child();
            let inside = token.clone();
            g.spawn(async move { inside.cancelled().await; });
            yield_now().await;
            token.cancel();
        }),
        "cancelled" => async { let _ = timeout(MOMENT, cancelled()).await; },
        "Portal::enter" => task_group(async |g| {
            let portal = g.portal();
            g.spawn(async move { assert_eq!(portal.enter(|| async { yield_now().await; 7 }).await.unwrap(), 7) });
        }),
        "Portal::call" => task_group(async |g| {
            let portal = g.portal();
            g.spawn_blocking(move || {
                let _ = portal.call(|| async { sleep(MOMENT).await });
            });
        }),
        "Portal::spawn" => task_group(async |g| {
            let portal = g.portal();
            g.spawn(async move {
                if let Ok(child) = portal.spawn(async { yield_now().await; 7 }) {
                    assert_eq!(child.await, 7);
                }
            });
        }),
        "TaskLocal::scope" => async { USER.scope(7, async { yield_now().await; assert_eq!(USER.get(), 7) }).await },
        "drained" => async { let _ = timeout(MOMENT, drained()).await; },
        "Semaphore::acquire" => contended(|semaphore| async move {
            let permit = semaphore.acquire().await.unwrap();
            yield_now().await;
            drop(permit);
        }),
        "Semaphore::acquire_many" => contended(|semaphore| async move {
            let permit = semaphore.acquire_many(2).await.unwrap();
            yield_now().await;
            drop(permit);
        }),
        "Semaphore::acquire_arc" => contended(|semaphore| async move {
            let permit = semaphore.acquire_arc().await.unwrap();
            sleep(MOMENT).await;
            drop(permit);
        }),
        "Semaphore::acquire_many_arc" => contended(|semaphore| async move {
            let permit = semaphore.acquire_many_arc(2).await.unwrap();
            sleep(MOMENT).await;
            drop(permit);
        }),
        "Semaphore::close" => task_group(async |g| {
            let semaphore = Arc::new(Semaphore::new(0));
            let waiting = semaphore.clone();
            g.spawn(async move { assert!(waiting.acquire().await.is_err()) });
            yield_now().await;
            semaphore.close();
        }),
        "Limiter::acquire" => task_group(async |g| {
            let limiter = Limiter::new(1);
            for _ in 0..3 {
                let limiter = limiter.clone();
                g.spawn(async move { let _permit = limiter.acquire().await; yield_now().await });
            }
            limiter.set_total(0);
            yield_now().await;
            limiter.set_total(2);
        }),
        "Limiter::acquire_for" => task_group(async |g| {
            let limiter = Limiter::new(1);
            for key in ["a", "b", "a"] {
                let limiter = limiter.clone();
                g.spawn(async move { let _permit = limiter.acquire_for(key).await; yield_now().await });
            }
        }),
        "Event::wait" => task_group(async |g| {
            let event = Arc::new(Event::new());
            let waiting = event.clone();
            g.spawn(async move { waiting.wait().await });
            yield_now().await;
            event.set();
        }),
        "Mutex::lock" => task_group(async |g| {
            let mutex = Arc::new(Mutex::new(0));
            for _ in 0..3 {
                let mutex = mutex.clone();
                g.spawn(async move { let mut value = mutex.lock().await; yield_now().await; *value += 1 });
            }
        }),
        "Mutex::lock_arc" => task_group(async |g| {
            let mutex = Arc::new(Mutex::new(0));
            for _ in 0..3 {
                let mutex = mutex.clone();
                g.spawn(async move { let mut value = mutex.lock_arc().await; yield_now().await; *value += 1 });
            }
        }),
        "RwLock::read, RwLock::write" => task_group(async |g| {
            let lock = Arc::new(RwLock::new(0));
            for n in 0..4 {
                let lock = lock.clone();
                g.spawn(async move {
                    if n % 2 == 0 {
                        let value = lock.read().await;
                        yield_now().await;
                        drop(value);
                    } else {
                        let mut value = lock.write().await;
                        yield_now().await;
                        *value += 1;
                    }
                });
            }
        }),
        "RwLock::read_arc, RwLock::write_arc" => task_group(async |g| {
            let lock = Arc::new(RwLock::new(0));
            for n in 0..4 {
                let lock = lock.clone();
                g.spawn(async move {
                    if n % 2 == 0 {
                        let value = lock.read_arc().await;
                        yield_now().await;
                        drop(value);
                    } else {
                        let mut value = lock.write_arc().await;
                        yield_now().await;
                        *value += 1;
                    }
                });
            }
        }),
        "Barrier::wait" => task_group(async |g| {
            let barrier = Arc::new(Barrier::new(2));
            for _ in 0..2 {
                let barrier = barrier.clone();
                g.spawn(async move { let _ = timeout(LONG, barrier.wait()).await; });
            }
        }),
        "OnceCell::get_or_init" => task_group(async |g| {
            let cell = Arc::new(OnceCell::new());
            for _ in 0..2 {
                let cell = cell.clone();
                g.spawn(async move { cell.get_or_init(async || { yield_now().await; 7 }).await; });
            }
        }),
        "OnceCell::get_or_try_init" => task_group(async |g| {
            let cell = Arc::new(OnceCell::new());
            for n in 0..2 {
                let cell = cell.clone();
                g.spawn(async move {
                    let made = cell.get_or_try_init(async || { yield_now().await; if n == 0 { Err(()) } else { Ok(7) } });
                    let _ = made.await;
                });
            }
        }),
        "Condvar::wait" => task_group(async |g| {
            let shared = Arc::new((Mutex::new(false), Condvar::new()));
            let waiting = shared.clone();
            g.spawn(async move {
                let (mutex, condvar) = &*waiting;
                let mut set = mutex.lock().await;
                while !*set {
                    set = condvar.wait(set).await;
                }
            });
            yield_now().await;
            let (mutex, condvar) = &*shared;
            *mutex.lock().await = true;
            condvar.notify_one();
        }),
        "Condvar::wait_while" => task_group(async |g| {
            let shared = Arc::new((Mutex::new(false), Condvar::new()));
            let waiting = shared.clone();
            g.spawn(async move {
                let (mutex, condvar) = &*waiting;
                let set = timeout(LONG, condvar.wait_while(mutex.lock().await, |set| !*set)).await;
                drop(set);
            });
            yield_now().await;
            let (mutex, condvar) = &*shared;
            *mutex.lock().await = true;
            condvar.notify_one();
        }),
        "Sender::send, Receiver::recv" => task_group(async |g| {
            let (sender, receiver) = channel(1);
            g.spawn(async move {
                for n in 0..3 {
                    let _ = sender.send(n).await;
                }
            });
            while receiver.recv().await.is_ok() {}
        }),
        "a rendezvous" => task_group(async |g| {
            let (sender, receiver) = channel(0);
            g.spawn(async move { let _ = sender.send(1).await; });
            let _ = timeout(MOMENT, receiver.recv()).await;
        }),
    }
}

/// Three who want what two permits allow.
fn contended<F: Future<Output = ()> + Send + 'static>(
    use_it: impl Fn(Arc<Semaphore>) -> F + Send + Sync + Copy + 'static,
) -> impl Future<Output = ()> + Send {
    task_group(async move |g| {
        let semaphore = Arc::new(Semaphore::new(2));
        for _ in 0..3 {
            g.spawn(use_it(semaphore.clone()));
        }
    })
}

/// A new async item is interrupted everywhere too.
#[test]
fn every_public_async_item_has_a_program() {
    api::assert_covers(&programs().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
}

fn table(schedule: Option<&Schedule>) -> Vec<(&'static str, Points)> {
    let everywhere = |program: fn() -> Work| match schedule {
        None => cancel_everywhere(program),
        Some(schedule) => CancelEverywhere::new().schedule(schedule).run(|| (), |()| program(), |(), _| {}),
    };
    programs().into_iter().map(|(name, program)| (name, everywhere(program))).collect()
}

#[test]
fn every_async_item_survives_every_interruption() {
    let table = table(None);
    println!("| item | points | interrupted runs |\n| --- | ---: | ---: |");
    for (name, points) in &table {
        println!("| `{name}` | {} | {} |", points.points(), points.runs());
        assert!(points.runs() > 0, "{name} was never interrupted");
    }
    let runs: usize = table.iter().map(|(_, points)| points.runs()).sum();
    println!("{} items, {runs} interrupted runs", table.len());
}

#[test]
fn so_it_does_in_another_order() {
    for schedule in ["0:1 1:1 2:1 3:1", "1:2 3:1 5:1", "0:2 2:1 4:1 6:1 8:1"] {
        table(Some(&schedule.parse().unwrap()));
    }
}

#[test]
fn a_message_is_received_or_still_there() {
    let received = |count: &Arc<AtomicUsize>| count.load(Ordering::SeqCst);
    CancelEverywhere::new().run(
        || {
            let (sender, receiver) = channel::<usize>(2);
            (Arc::new(sender), Arc::new(receiver), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)))
        },
        |(sender, receiver, sent, seen)| {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            let (sent, seen) = (sent.clone(), seen.clone());
            task_group(async move |g| {
                g.spawn(async move {
                    for _ in 0..4 {
                        if sender.send(1).await.is_ok() {
                            sent.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
                for _ in 0..4 {
                    if receiver.recv().await.is_ok() {
                        seen.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        },
        |(_, receiver, sent, seen), _| {
            let left = std::iter::from_fn(|| receiver.try_recv().ok()).count();
            let gone = received(seen) + left;
            // The one that was on its way when its sender was interrupted may have arrived.
            assert!((received(sent)..=received(sent) + 1).contains(&gone), "{} sent, {gone} arrived", received(sent));
        },
    );
}

#[test]
fn a_finaliser_that_was_kept_runs_once() {
    let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    CancelEverywhere::new().run(
        || Arc::new((AtomicUsize::new(0), AtomicUsize::new(0))),
        |counts| {
            let (kept, runs) = (counts.clone(), counts.clone());
            task_group(async move |g| {
                g.on_exit(async move {
                    yield_now().await;
                    runs.1.fetch_add(1, Ordering::SeqCst);
                });
                kept.0.fetch_add(1, Ordering::SeqCst);
                g.spawn(sleep(MOMENT));
                yield_now().await;
            })
        },
        |counts, fault| {
            let (kept, runs) = (count(&counts.0), count(&counts.1));
            let is_lost = fault == Some(anyscope::sim::Fault::RuntimeEnds);
            assert!(runs == kept || (is_lost && runs < kept), "{kept} finalisers were kept, and {runs} have ended");
        },
    );
}

#[test]
fn a_clean_up_runs_once() {
    let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    CancelEverywhere::new().run(
        || Arc::new((AtomicUsize::new(0), AtomicUsize::new(0))),
        |counts| {
            let (begun, runs) = (counts.clone(), counts.clone());
            async move {
                let work = async move {
                    begun.0.fetch_add(1, Ordering::SeqCst);
                    sleep(MOMENT).await;
                    Ok::<_, ()>(())
                };
                let clean = async move {
                    yield_now().await;
                    runs.1.fetch_add(1, Ordering::SeqCst);
                };
                let _ = with_cleanup(work, clean, LONG).await;
            }
        },
        |counts, fault| {
            let (begun, runs) = (count(&counts.0), count(&counts.1));
            let is_lost = fault == Some(anyscope::sim::Fault::RuntimeEnds);
            assert!(runs == begun || (is_lost && runs < begun), "{begun} began their work, and {runs} were cleaned up");
        },
    );
}
