//! Ten bugs that others had, rebuilt small: the simulator finds each, and the same program on anyscope's own passes.
//!
//! What is rebuilt is the mistake, and not the code that had it; each names where it was reported.

#![forbid(unsafe_code)]

use anyscope::sim::{CancelEverywhere, Explore, Sim, cancel_everywhere, explore};
use anyscope::sync::Mutex;
use anyscope::{
    GroupHandle, Limiter, Semaphore, gather, is_cancelled, race, sleep, task_group, timeout, unblock, yield_now,
};
use std::any::Any;
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(10);

/// What a search says that has to fail.
fn found<T>(search: impl FnOnce() -> T) -> String {
    let ended = catch_unwind(AssertUnwindSafe(|| drop(search())));
    let panic: Box<dyn Any + Send> = ended.expect_err("the bug went unnoticed");
    match panic.downcast::<String>() {
        Ok(said) => *said,
        Err(panic) => panic.downcast_ref::<&str>().expect("a panic with a text").to_string(),
    }
}

/// A notification for one of those who wait. Where `passes_on` is false, one that was notified and is dropped keeps it.
#[derive(Default)]
struct Notify {
    waiting: StdMutex<VecDeque<(Arc<AtomicBool>, Waker)>>,
    passes_on: bool,
}

struct Notified<'a> {
    notify: &'a Notify,
    told: Option<Arc<AtomicBool>>,
}

impl Notify {
    fn notify_one(&self) {
        let first = self.waiting.lock().unwrap().pop_front();
        if let Some((told, waker)) = first {
            told.store(true, Ordering::SeqCst);
            waker.wake();
        }
    }

    fn notified(&self) -> Notified<'_> {
        Notified { notify: self, told: None }
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.told {
            Some(told) if told.load(Ordering::SeqCst) => {
                self.told = None;
                return Poll::Ready(());
            }
            Some(told) => {
                let mut waiting = self.notify.waiting.lock().unwrap();
                waiting
                    .iter_mut()
                    .filter(|(other, _)| Arc::ptr_eq(other, told))
                    .for_each(|entry| entry.1 = cx.waker().clone());
            }
            None => {
                let told = Arc::new(AtomicBool::new(false));
                self.notify.waiting.lock().unwrap().push_back((told.clone(), cx.waker().clone()));
                self.told = Some(told);
            }
        }
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(told) = self.told.take() else { return };
        self.notify.waiting.lock().unwrap().retain(|(other, _)| !Arc::ptr_eq(other, &told));
        if told.load(Ordering::SeqCst) && self.notify.passes_on {
            self.notify.notify_one();
        }
    }
}

/// Two who wait, one of them not for long, and one notification for whoever is left.
async fn one_of_two_is_notified(notify: Arc<Notify>) {
    type Either<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    task_group(async |g| {
        let (hasty, patient, notifier) = (notify.clone(), notify.clone(), notify);
        g.spawn(async move {
            let late: Either<'_> = Box::pin(async {
                sleep(MOMENT).await;
                false
            });
            let told: Either<'_> = Box::pin(async {
                hasty.notified().await;
                true
            });
            if race([late, told]).await {
                // It has no use for it, and hands it on.
                hasty.notify_one();
            }
        });
        g.spawn(async move {
            yield_now().await;
            patient.notified().await;
        });
        g.spawn(async move {
            sleep(MOMENT).await;
            notifier.notify_one();
        });
    })
    .await;
}

/// [tokio#3652](https://github.com/tokio-rs/tokio/pull/3652): a notification given to a waiter that is dropped is lost.
#[test]
fn a_lost_wake_up_is_found() {
    let said = found(|| explore(|| one_of_two_is_notified(Arc::default())));
    assert!(said.starts_with("deadlock"), "{said}");
    assert!(said.contains("something foreign"), "{said}");

    explore(|| one_of_two_is_notified(Arc::new(Notify { passes_on: true, ..Notify::default() })));
    // A semaphore without permits, to which one is added.
    explore(|| {
        task_group(async |g| {
            let gate = Arc::new(Semaphore::new(0));
            let (hasty, patient) = (gate.clone(), gate.clone());
            g.spawn(async move { drop(timeout(MOMENT, hasty.acquire()).await) });
            g.spawn(async move { drop(patient.acquire().await) });
            sleep(MOMENT).await;
            gate.add_permits(1);
        })
    });
}

/// [xberg#1641](https://github.com/xberg-io/xberg/issues/1641): a permit goes back with its caller, while the job that it was
/// taken for still runs, and is granted to the next.
#[test]
fn a_double_grant_is_found() {
    /// How many jobs run, and how many ran at a time.
    #[derive(Default)]
    struct Jobs {
        running: AtomicUsize,
        most: AtomicUsize,
    }

    /// A job that takes its time.
    fn work(jobs: &Jobs) {
        let running = jobs.running.fetch_add(1, Ordering::SeqCst) + 1;
        jobs.most.fetch_max(running, Ordering::SeqCst);
        for _ in 0..5 {
            let _ = is_cancelled();
        }
        jobs.running.fetch_sub(1, Ordering::SeqCst);
    }

    async fn two<F: Future<Output = ()> + Send + 'static>(job: impl Fn(Arc<Jobs>) -> F) {
        let jobs = Arc::new(Jobs::default());
        task_group(async |g| {
            // The one has no patience.
            for time in [Duration::from_micros(3), Duration::MAX] {
                g.spawn(timeout(time, job(jobs.clone())));
            }
        })
        .await;
        assert!(jobs.most.load(Ordering::SeqCst) <= 1, "two jobs at a time");
    }

    let said = found(|| {
        explore(|| {
            let permits = Arc::new(Semaphore::new(1));
            two(move |jobs| {
                let permits = permits.clone();
                async move {
                    let _permit = permits.acquire().await.unwrap();
                    unblock(move || work(&jobs)).abandon_on_cancel().await;
                }
            })
        });
    });
    assert!(said.contains("two jobs at a time"), "{said}");

    explore(|| {
        let limiter = Limiter::new(1);
        two(move |jobs| {
            let limiter = limiter.clone();
            async move { unblock(move || work(&jobs)).limiter(&limiter).abandon_on_cancel().await }
        })
    });
}

/// [futures-locks#1](https://github.com/asomers/futures-locks/issues/1): a lock that was given to a future is lost when the
/// future is dropped before it has made a guard of it.
#[test]
fn a_permit_lost_on_cancellation_is_found() {
    #[derive(Default)]
    struct Handing {
        taken: AtomicBool,
        next: Notify,
    }

    impl Handing {
        async fn lock(&self) -> Unlock<'_> {
            if self.taken.swap(true, Ordering::SeqCst) {
                // It stays taken, and is handed on.
                self.next.notified().await;
            }
            Unlock(self)
        }
    }

    struct Unlock<'a>(&'a Handing);

    impl Drop for Unlock<'_> {
        fn drop(&mut self) {
            if self.0.next.waiting.lock().unwrap().is_empty() {
                self.0.taken.store(false, Ordering::SeqCst);
            } else {
                self.0.next.notify_one();
            }
        }
    }

    async fn share(lock: Arc<Handing>) {
        gather((0..2).map(|_| async {
            let guard = lock.lock().await;
            yield_now().await;
            drop(guard);
        }))
        .await;
    }

    let said = found(|| {
        CancelEverywhere::new().run(
            Arc::<Handing>::default,
            |lock| {
                let lock = lock.clone();
                // Each on its own, so that one may be dropped while the other holds the lock.
                race([
                    Box::pin(share(lock.clone())) as Pin<Box<dyn Future<Output = ()> + Send>>,
                    Box::pin(async move {
                        let _guard = lock.lock().await;
                    }),
                ])
            },
            |lock, _| assert!(!lock.taken.load(Ordering::SeqCst), "nobody has the lock, and it is taken"),
        );
    });
    assert!(said.contains("nobody has the lock"), "{said}");

    CancelEverywhere::new().run(
        || Arc::new(Mutex::new(())),
        |lock| {
            let lock = lock.clone();
            async move {
                let share = gather((0..2).map(|_| async {
                    let _guard = lock.lock().await;
                    yield_now().await;
                }));
                share.await;
            }
        },
        |lock, _| assert!(lock.try_lock().is_some(), "nobody has the lock, and it is taken"),
    );
}

/// [affinitypool#6](https://github.com/surrealdb/affinitypool/pull/6): who waits for a result is woken before the result can be
/// had, finds nothing, and sleeps on.
#[test]
fn a_joiner_that_is_woken_too_early_is_found() {
    #[derive(Default)]
    struct Slot {
        value: StdMutex<Option<u32>>,
        waiter: StdMutex<Option<Waker>>,
    }

    async fn program() {
        let slot = Arc::new(Slot::default());
        task_group(async |g| {
            let filled = slot.clone();
            g.spawn(async move {
                yield_now().await;
                let waiter = filled.waiter.lock().unwrap().take();
                waiter.into_iter().for_each(Waker::wake);
                yield_now().await;
                *filled.value.lock().unwrap() = Some(7);
            });
            let mut registered = false;
            poll_fn(|cx| {
                if slot.value.lock().unwrap().is_some() {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut registered, true) {
                    *slot.waiter.lock().unwrap() = Some(cx.waker().clone());
                }
                Poll::Pending
            })
            .await;
        })
        .await;
    }

    let said = found(|| explore(program));
    assert!(said.starts_with("deadlock"), "{said}");

    explore(|| {
        task_group(async |g| {
            let child = g.spawn(async {
                yield_now().await;
                7
            });
            assert_eq!(child.await, 7);
        })
    });
}

/// [futures-locks#3](https://github.com/asomers/futures-locks/issues/3): a future that has a lock isn't polled any more, while
/// its task waits for that very lock.
#[test]
fn a_futurelock_is_found() {
    let program = || async {
        let lock = Mutex::new(());
        let mut holds = pin!(async {
            let _guard = lock.lock().await;
            sleep(MOMENT).await;
        });
        // As an arm of a `select!` that another arm has won.
        poll_fn(|cx| Poll::Ready(holds.as_mut().poll(cx).is_pending())).await;
        let _guard = lock.lock().await;
    };
    let said = found(|| anyscope::run(Sim::new(), program()));
    assert!(said.contains("1 of the mutex made at tests/peers.rs") && said.contains("held by the body"), "{said}");

    // A child goes on, whatever its owner waits for.
    explore(|| {
        task_group(async |g| {
            let lock = Arc::new(Mutex::new(()));
            let held = lock.clone();
            g.spawn(async move {
                let _guard = held.lock().await;
                sleep(MOMENT).await;
            });
            yield_now().await;
            let _guard = lock.lock().await;
        })
    });
}

/// [trio-asyncio#143](https://github.com/python-trio/trio-asyncio/issues/143): who has a place in a limiter waits for another
/// one in the same.
#[test]
fn a_nested_limiter_is_found() {
    async fn twice() {
        let limiter = Limiter::new(2);
        task_group(async |g| {
            for _ in 0..2 {
                let limiter = limiter.clone();
                g.spawn(async move {
                    let _outer = limiter.acquire().await;
                    yield_now().await;
                    let _inner = limiter.acquire().await;
                });
            }
        })
        .await;
    }

    let said = found(|| Explore::new().exhaustive(1).run(twice));
    assert!(said.starts_with("deadlock") && said.contains("1 of the limiter made at tests/peers.rs"), "{said}");

    // A job that would wait for itself is told, on every runtime.
    let said = found(|| {
        anyscope::run(
            Sim::new(),
            task_group(async |g| {
                let (limiter, portal) = (Limiter::new(1), g.portal());
                let inner = limiter.clone();
                let outer =
                    unblock(move || portal.call(move || async move { unblock(|| ()).limiter(&inner).await }).unwrap());
                outer.limiter(&limiter).await;
            }),
        );
    });
    assert!(
        said.contains("waited for a permit of a limiter inside of a blocking job that holds the last one"),
        "{said}"
    );
}

/// [tokio#1830](https://github.com/tokio-rs/tokio/issues/1830): what a dropped future had spawned runs on.
#[test]
fn an_orphan_is_found() {
    struct Alive(Arc<AtomicUsize>);

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn endless(alive: Arc<AtomicUsize>) {
        alive.fetch_add(1, Ordering::SeqCst);
        let _alive = Alive(alive);
        pending::<()>().await;
    }

    let detached = |runtime: GroupHandle, alive: Arc<AtomicUsize>| async move {
        let _ = runtime.spawn(endless(alive));
        pending::<()>().await;
    };
    let said = found(|| {
        explore(|| {
            task_group(async |g| {
                let alive = Arc::default();
                assert!(timeout(MOMENT, detached(g.handle(), Arc::clone(&alive))).await.is_err());
                let left = alive.load(Ordering::SeqCst);
                g.cancel();
                assert_eq!(left, 0, "it runs on after its owner is gone");
            })
        });
    });
    assert!(said.contains("it runs on after its owner is gone"), "{said}");

    explore(|| async {
        let alive = Arc::default();
        let owned = task_group(async |g| {
            g.spawn(endless(Arc::clone(&alive)));
            pending::<()>().await
        });
        assert!(timeout(MOMENT, owned).await.is_err());
        assert_eq!(alive.load(Ordering::SeqCst), 0, "it runs on after its owner is gone");
    });
}

/// [restate#4102](https://github.com/restatedev/restate/issues/4102): a task that panics never says that it has ended, and whoever
/// waits for it hangs.
#[test]
fn a_panic_that_hangs_the_group_is_found() {
    async fn program() {
        let left = Arc::new(Semaphore::new(0));
        task_group(async |g| {
            for n in 0..3 {
                let left = left.clone();
                g.spawn(async move {
                    let worked = catch_unwind(|| assert_ne!(n, 1, "the second"));
                    if worked.is_ok() {
                        left.add_permits(1);
                    }
                });
            }
            drop(left.acquire_many(3).await);
        })
        .await;
    }

    let said = found(|| anyscope::run(Sim::new(), program()));
    assert!(said.starts_with("deadlock") && said.contains("3 of the semaphore"), "{said}");

    let said = found(|| {
        anyscope::run(
            Sim::new(),
            task_group(async |g| {
                for n in 0..3 {
                    g.spawn(async move { assert_ne!(n, 1, "the second") });
                }
            }),
        );
    });
    assert!(said.contains("the second"), "the panic goes to the owner: {said}");
}

/// [chronos#65](https://github.com/status-im/nim-chronos/pull/65): a timer outlives the wait that it was made for.
#[test]
fn a_timer_leak_is_found() {
    let kept = Arc::new(StdMutex::new(Vec::new()));
    let program = |kept: Arc<StdMutex<Vec<_>>>| async move {
        let mut timer = Box::pin(sleep(Duration::from_secs(3600)));
        poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx).is_pending())).await;
        kept.lock().unwrap().push(timer);
    };
    let said = found(|| anyscope::run(Sim::new(), program(kept.clone())));
    assert!(said.contains("1 timer that nobody waits for any more"), "{said}");
    drop(kept);

    anyscope::run(Sim::new(), async {
        for _ in 0..100 {
            timeout(Duration::from_secs(3600), yield_now()).await.unwrap();
        }
    });
}

/// [futures-rs#1603](https://github.com/rust-lang/futures-rs/issues/1603): each wake polls all.
#[test]
fn a_wake_storm_is_found() {
    const COUNT: u32 = 50;

    type Counted = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn sleepers(polls: &Arc<AtomicUsize>) -> Vec<Counted> {
        let sleeper = |n| -> Counted {
            let (polls, mut sleep) = (polls.clone(), Box::pin(sleep(n * MOMENT)));
            Box::pin(poll_fn(move |cx| {
                polls.fetch_add(1, Ordering::SeqCst);
                sleep.as_mut().poll(cx)
            }))
        };
        (1..=COUNT).map(sleeper).collect()
    }

    let polls_of = |join: fn(Vec<Counted>) -> Counted| {
        let polls = Arc::new(AtomicUsize::new(0));
        anyscope::run(Sim::new(), join(sleepers(&polls)));
        polls.load(Ordering::SeqCst)
    };
    let naive = polls_of(|mut all| {
        Box::pin(poll_fn(move |cx| {
            all.retain_mut(|future| future.as_mut().poll(cx).is_pending());
            if all.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        }))
    });
    let gathered = polls_of(|all| Box::pin(async { drop(gather(all).await) }));
    assert_eq!(gathered, 2 * COUNT as usize, "the first, and the one that it was woken for");
    assert!(naive > 10 * gathered, "{naive} polls of one that polls all");
}

/// What the tests above rely on: they would find nothing where nothing is wrong.
#[test]
fn a_program_without_a_bug_is_not_accused() {
    cancel_everywhere(|| async {
        gather((0..3).map(|_| sleep(MOMENT))).await;
    });
    assert!(explore(|| async { yield_now().await }).runs() > 0);
}
