//! Laws 10, 24 to 26 and 29, of the locks and what else tasks wait for each other with.

use crate::support::{
    Gate, Hostile, Wakes, caught, on_this_thread, on_thread, poll_once, poll_with, polled, queued, ready, settled,
    turns,
};
use anyscope_core::locks::{Barrier, Condvar, Event, Mutex, OnceCell, RwLock, RwLockWriteGuard, RwLockWriteGuardArc};
use anyscope_core::{Runtime, gather, run, task_group, yield_now};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Wake, Waker};
use std::thread;

/// A mutex goes to those who wait in the order in which they came; each unlock wakes just the one whose turn it is, and
/// nobody gets in between.
pub fn a_mutex_is_handed_over_in_the_order_of_asking<R: Runtime>(runtime: R) {
    run(runtime, async {
        let mutex = Arc::new(Mutex::new(0));
        let mut held = Some(mutex.try_lock().expect("it is free"));
        let wakes: Vec<_> = (0..6).map(|_| Wakes::waker()).collect();
        let mut waiters: Vec<_> = wakes.iter().map(|_| queued(mutex.lock())).collect();
        for (waiter, (_, waker)) in waiters.iter_mut().zip(&wakes) {
            assert!(poll_with(waiter, waker).is_pending());
        }
        for turn in 0..6 {
            drop(held.take());
            // Handed over, and not seen yet.
            assert!(mutex.try_lock().is_none() && mutex.try_lock_arc().is_none());
            let mut late = mutex.lock_arc();
            assert!(poll_once(&mut late).is_pending(), "one who came late was let past");
            drop(late);
            for (index, (waiter, (wakes, waker))) in waiters.iter_mut().zip(&wakes).enumerate().rev() {
                assert_eq!(wakes.count(), usize::from(index <= turn), "waiter {index} at turn {turn}");
                if index > turn {
                    assert!(poll_with(waiter, waker).is_pending(), "waiter {index} came before its turn, {turn}");
                }
            }
            let mut guard = ready(&mut waiters[turn]);
            *guard += 1;
            held = Some(guard);
        }
        drop(held);
        assert_eq!(*mutex.try_lock().expect("all have gone"), 6);
    });
}

/// Those who read get in together up to the next who writes, and not past it: writers don't starve.
pub fn readers_do_not_overtake_a_writer_that_waits<R: Runtime>(runtime: R) {
    run(runtime, async {
        let lock = Arc::new(RwLock::new(0));
        let (one, two) = (lock.try_read().unwrap(), ready(&mut lock.read_arc()));
        assert!(lock.try_write().is_none() && lock.try_write_arc().is_none());
        let mut writing = queued(lock.write());
        assert!(lock.try_read().is_none() && lock.try_read_arc().is_none(), "somebody waits to write");
        let mut reading = [queued(lock.read()), queued(lock.read())];
        let mut writing_last = queued(lock.write_arc());
        drop(one);
        assert!(poll_once(&mut writing).is_pending(), "one reads still");
        drop(two);
        assert!(poll_once(&mut reading[0]).is_pending() && lock.try_read().is_none());
        let mut guard = ready(&mut writing);
        assert!(poll_once(&mut reading[1]).is_pending());
        *guard = 1;
        // Goes on as one who reads, with the others who were next.
        let guard = RwLockWriteGuard::downgrade(guard);
        let [one, two] = reading.each_mut().map(ready);
        assert_eq!((*guard, *one, *two), (1, 1, 1));
        assert!(poll_once(&mut writing_last).is_pending() && lock.try_read().is_none());
        drop((guard, one, two));
        let mut guard = ready(&mut writing_last);
        *guard = 2;
        let guard = RwLockWriteGuardArc::downgrade(guard);
        assert_eq!(*guard + *lock.try_read().expect("nobody waits"), 4);
        drop(guard);
        // By itself it keeps those out who write, and nobody else.
        let guard = RwLockWriteGuard::downgrade(lock.try_write().expect("it is free"));
        assert!(lock.try_write().is_none() && lock.try_read().is_some());
        drop(guard);
        let guard = RwLockWriteGuardArc::downgrade(lock.try_write_arc().expect("it is free"));
        assert!(lock.try_write_arc().is_none() && lock.try_read_arc().is_some());
        drop(guard);
        // A writer at the head that gives up lets those behind it in at once.
        let reading = lock.try_read().unwrap();
        let writing = queued(lock.write());
        let (wakes, waker) = Wakes::waker();
        let mut behind = queued(lock.read());
        assert!(poll_with(&mut behind, &waker).is_pending());
        drop(writing);
        assert_eq!(wakes.count(), 1);
        assert_eq!((*reading, *ready(&mut behind)), (2, 2));
        drop(behind);
        drop(reading);
        assert!(lock.try_write().is_some());
    });
}

/// In whatever state a waiter is dropped, the lock isn't lost, and the others keep their order.
pub fn dropping_a_waiter_of_a_lock_in_any_state_loses_nothing<R: Runtime>(runtime: R) {
    fn each<F: Future + Unpin, G>(free: impl Fn() -> bool, ask: impl Fn() -> F, hold: impl Fn() -> G) {
        for gone in 0..4 {
            for handed_over in [false, true] {
                let held = hold();
                drop(ask());
                let mut waiters: Vec<_> = (0..4).map(|_| queued(ask())).collect();
                if handed_over {
                    drop(held);
                    // Those before it get theirs; then it is handed over to the one that is dropped.
                    for waiter in waiters.drain(..gone) {
                        let mut waiter = waiter;
                        drop(ready(&mut waiter));
                    }
                    drop(waiters.remove(0));
                } else {
                    drop(waiters.remove(gone));
                    drop(held);
                }
                assert!(waiters.is_empty() || !free(), "it was to be handed on");
                for mut waiter in waiters {
                    drop(ready(&mut waiter));
                }
                assert!(free(), "it is lost: {gone} was dropped, handed over: {handed_over}");
            }
        }
    }

    run(runtime, async {
        let mutex = Arc::new(Mutex::new(()));
        let hold = || mutex.try_lock().unwrap();
        each(|| mutex.try_lock().is_some(), || mutex.lock(), hold);
        each(|| mutex.try_lock().is_some(), || mutex.lock_arc(), hold);
        let lock = Arc::new(RwLock::new(()));
        let hold = || lock.try_write().unwrap();
        each(|| lock.try_write().is_some(), || lock.write(), hold);
        each(|| lock.try_write().is_some(), || lock.write_arc(), hold);
        each(|| lock.try_write().is_some(), || lock.read(), hold);
        each(|| lock.try_write().is_some(), || lock.read_arc(), hold);
    });
}

/// A guard may be held across an await in a spawned task, and be sent to another; what it guards is changed by one at a
/// time, however many threads the runtime has.
pub fn a_guard_is_held_across_awaits_and_goes_to_other_tasks<R: Runtime>(runtime: R) {
    const TASKS: usize = 20;
    const ROUNDS: usize = 20;

    let sum = run(runtime, async {
        let (mutex, lock) = (Arc::new(Mutex::new(0)), Arc::new(RwLock::new(0)));
        task_group::<R, _, _>(async |g| {
            for _ in 0..TASKS {
                let (mutex, lock) = (mutex.clone(), lock.clone());
                g.spawn(async move {
                    for _ in 0..ROUNDS {
                        let mut guard = mutex.lock().await;
                        let before = *guard;
                        yield_now().await;
                        *guard = before + 1;
                        drop(guard);
                        let mut guard = lock.write().await;
                        let before = *guard;
                        yield_now().await;
                        *guard = before + 1;
                        drop(guard);
                        let guard = lock.read().await;
                        let before = *guard;
                        yield_now().await;
                        assert_eq!(*guard, before, "it was changed while somebody looked");
                    }
                });
            }
            let (mut owned, looking) = (mutex.clone().lock_arc().await, lock.clone().read_arc().await);
            let looked = g.spawn(async move {
                let before = *owned;
                yield_now().await;
                *owned = before + 1;
                *looking
            });
            assert!(looked.await <= TASKS * ROUNDS);
        })
        .await;
        *mutex.lock().await + *lock.read().await
    });
    assert_eq!(sum, 2 * TASKS * ROUNDS + 1);
}

/// A panic while the guard is held unlocks, and poisons nothing.
pub fn a_panic_of_who_holds_a_lock_unlocks_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (mutex, lock) = (Mutex::new(1), RwLock::new(1));
        let panicked = caught(async {
            *mutex.lock().await = 2;
            let (_guard, _writing) = (mutex.lock().await, lock.write().await);
            yield_now().await;
            panic!("with both")
        });
        assert!(panicked.await.is_err());
        assert_eq!((*mutex.lock().await, *lock.read().await), (2, 1));
        assert_eq!((mutex.into_inner(), lock.into_inner()), (2, 1));
    });
}

/// Two numbers that are the same whenever nobody is at them.
#[derive(Default)]
struct Pair(AtomicUsize, AtomicUsize);

impl Pair {
    fn change(&self) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before + 1, Ordering::Relaxed);
        thread::yield_now();
        self.1.store(before + 1, Ordering::Relaxed);
    }

    fn look(&self) -> usize {
        let before = self.0.load(Ordering::Relaxed);
        thread::yield_now();
        assert_eq!(self.1.load(Ordering::Relaxed), before, "somebody was at it");
        before
    }
}

/// However threads and tasks ask, give up and unlock at the same time: one is in who changes, or some who look.
pub fn locks_let_in_whom_they_may_under_stress<R: Runtime>(runtime: R) {
    const ROUNDS: usize = 300;

    async fn use_locks(shared: Arc<(Mutex<Pair>, RwLock<Pair>, AtomicUsize)>, seed: usize) {
        let (mutex, lock, changes) = &*shared;
        for round in seed..seed + ROUNDS {
            if round % 5 == 0 {
                // Given up, queued or handed over.
                let (mut one, mut other) = (mutex.lock(), lock.write());
                let (_, _) = (polled(&mut one).await.is_ready(), polled(&mut other).await.is_ready());
                thread::yield_now();
            }
            match round % 3 {
                0 => {
                    mutex.lock().await.change();
                    let guard = lock.write().await;
                    guard.change();
                    let guard = RwLockWriteGuard::downgrade(guard);
                    guard.look();
                    changes.fetch_add(1, Ordering::SeqCst);
                }
                1 => {
                    lock.read().await.look();
                    mutex.lock().await.look();
                }
                _ => {
                    let _ = mutex.try_lock().map(|guard| guard.look());
                    let _ = lock.try_read().map(|guard| guard.look());
                }
            }
        }
    }

    run(runtime, async {
        let shared = Arc::new((Mutex::new(Pair::default()), RwLock::new(Pair::default()), AtomicUsize::new(0)));
        task_group::<R, _, _>(async |g| {
            for seed in 0..3 {
                let shared = shared.clone();
                g.spawn(on_thread(move || on_this_thread(use_locks(shared, seed))));
            }
            for seed in 3..6 {
                g.spawn(use_locks(shared.clone(), seed));
            }
        })
        .await;
        let changes = shared.2.load(Ordering::SeqCst);
        assert_eq!(shared.0.try_lock().expect("nobody has it").look(), changes);
        assert_eq!(shared.1.try_write().expect("nobody has it").look(), changes);
    });
}

/// Those who wait for a notification get it in the order in which they began to; one is for one, and all for all who
/// wait then; nobody keeps the mutex meanwhile.
pub fn notifications_go_in_the_order_of_waiting<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        condvar.notify_one();
        condvar.notify_all();
        let mut waiters: Vec<_> = (0..5).map(|_| queued(condvar.wait(mutex.try_lock().unwrap()))).collect();
        for waiter in &mut waiters {
            assert!(poll_once(waiter).is_pending(), "a notification from before was kept");
        }
        for turn in 0..2 {
            condvar.notify_one();
            for waiter in waiters.iter_mut().skip(1) {
                assert!(poll_once(waiter).is_pending(), "turn {turn}");
            }
            *ready(&mut waiters.remove(0)) += 1;
        }
        let held = mutex.try_lock().expect("those who wait don't have it");
        condvar.notify_all();
        assert!(waiters.iter_mut().all(|waiter| poll_once(waiter).is_pending()), "the mutex is locked");
        let mut late = condvar.wait(held);
        assert!(poll_once(&mut late).is_pending());
        for waiter in &mut waiters {
            *ready(waiter) += 1;
        }
        assert!(poll_once(&mut late).is_pending(), "it came after the notification");
        drop(late);
        assert_eq!(*ready(&mut mutex.lock()), 5);
    });
}

/// A notification of all is one step, however many wait: who waits anew when it is woken has come too late for it.
pub fn a_notification_of_all_is_for_those_who_wait_then<R: Runtime>(runtime: R) {
    type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

    struct WaitsAnew(Box<dyn Fn() -> Wait + Send + Sync>, StdMutex<Vec<Wait>>);

    impl Wake for WaitsAnew {
        fn wake(self: Arc<Self>) {
            let mut late = self.0();
            assert!(poll_once(&mut late).is_pending());
            self.1.lock().unwrap().push(late);
        }
    }

    run(runtime, async {
        let (mutex, condvar) = (Arc::new(Mutex::new(())), Arc::new(Condvar::new()));
        let wait = {
            let condvar = condvar.clone();
            move || -> Wait {
                let (mutex, condvar) = (mutex.clone(), condvar.clone());
                Box::pin(async move { drop(condvar.wait(mutex.lock().await).await) })
            }
        };
        let mut waiters: Vec<Wait> = (0..50).map(|_| wait()).collect();
        let anew = Arc::new(WaitsAnew(Box::new(wait), StdMutex::default()));
        for waiter in &mut waiters {
            assert!(poll_with(waiter, &Waker::from(anew.clone())).is_pending());
        }
        condvar.notify_all();
        for waiter in &mut waiters {
            assert!(poll_once(waiter).is_ready(), "it waited then");
        }
        let mut late = std::mem::take(&mut *anew.1.lock().unwrap());
        assert_eq!(late.len(), 50, "each was woken once");
        for waiter in &mut late {
            assert!(poll_once(waiter).is_pending(), "it came after the notification");
        }
    });
}

/// The one who was notified, and is dropped before it has its guard, passes the notification on: unseen, or while it
/// waits for the mutex. One of many does not.
pub fn a_notified_waiter_that_is_cancelled_passes_the_notification_on<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let wait = || queued(condvar.wait(mutex.try_lock().unwrap()));
        for locking in [false, true] {
            let (mut first, mut second, mut third) = (wait(), wait(), wait());
            let held = mutex.try_lock();
            condvar.notify_one();
            if locking {
                assert!(poll_once(&mut first).is_pending(), "the mutex is locked");
            }
            let (wakes, waker) = Wakes::waker();
            assert!(poll_with(&mut second, &waker).is_pending());
            drop(first);
            assert_eq!(wakes.count(), 1, "the notification is lost; it waited for the mutex: {locking}");
            drop(held);
            drop(ready(&mut second));
            assert!(poll_once(&mut third).is_pending(), "one notification became two");
            // Dropped without a notification: there is none to pass on.
            let mut fourth = wait();
            drop(third);
            assert!(poll_once(&mut fourth).is_pending());
            condvar.notify_all();
            let mut fifth = wait();
            drop(fourth);
            assert!(poll_once(&mut fifth).is_pending(), "it waits since after the notification");
        }

        // The mutex was handed over as well, unseen: it is unlocked, and the notification goes on.
        let (mut first, mut second) = (wait(), wait());
        let held = mutex.try_lock();
        condvar.notify_one();
        assert!(poll_once(&mut first).is_pending());
        drop(held);
        assert!(mutex.try_lock().is_none(), "it is on its way");
        drop(first);
        drop(ready(&mut second));

        // Dropped before it was ever polled: the guard goes, and nobody was there.
        let unpolled = condvar.wait(mutex.try_lock().unwrap());
        drop(unpolled);
        assert!(mutex.try_lock().is_some());
    });
}

/// A queue that tasks fill and empty under a mutex and a condition: nobody sleeps through what it waits for.
pub fn nobody_misses_the_change_that_it_waits_for<R: Runtime>(runtime: R) {
    const EACH: usize = 100;

    let sum = run(runtime, async {
        let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new(), Condvar::new()));
        let sum = Arc::new(AtomicUsize::new(0));
        task_group::<R, _, _>(async |g| {
            for _ in 0..3 {
                let (taking, putting, sum) = (shared.clone(), shared.clone(), sum.clone());
                g.spawn(async move {
                    let (queue, filled, emptied) = &*taking;
                    for _ in 0..EACH {
                        let mut queue = filled.wait_while(queue.lock().await, |queue| queue.is_empty()).await;
                        sum.fetch_add(queue.pop().expect("it isn't empty"), Ordering::SeqCst);
                        drop(queue);
                        emptied.notify_one();
                    }
                });
                g.spawn(async move {
                    let (queue, filled, emptied) = &*putting;
                    for number in 0..EACH {
                        let guard = queue.lock().await;
                        emptied.wait_while(guard, |queue| queue.len() >= 2).await.push(number);
                        filled.notify_one();
                        if number % 10 == 0 {
                            // Begins to wait, and gives up.
                            let mut given_up = emptied.wait(queue.lock().await);
                            let _ = polled(&mut given_up).await;
                            yield_now().await;
                        }
                    }
                });
            }
        })
        .await;
        sum.load(Ordering::SeqCst)
    });
    assert_eq!(sum, 3 * EACH * (EACH - 1) / 2);
}

/// An event that was set stays set: it wakes all who wait, once each, and holds up nobody later.
pub fn an_event_lets_everybody_through_for_ever<R: Runtime>(runtime: R) {
    run(runtime, async {
        let event = Arc::new(Event::new());
        assert!(!event.is_set());
        let ((old, old_waker), (new, new_waker)) = (Wakes::waker(), Wakes::waker());
        let mut waiting = queued(event.wait());
        assert!(poll_with(&mut waiting, &old_waker).is_pending());
        assert!(poll_with(&mut waiting, &new_waker).is_pending());
        let mut given_up = queued(event.wait());
        assert!(poll_with(&mut given_up, &new_waker).is_pending());
        drop(given_up);
        // One is ours, one is the waker's.
        assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (2, 3), "a waker is kept without need");
        task_group::<R, _, _>(async |g| {
            for _ in 0..20 {
                let event = event.clone();
                g.spawn(async move { event.wait().await });
            }
            turns(3).await;
            assert!(event.set() && !event.set(), "one is told to be the first");
        })
        .await;
        assert_eq!((old.count(), new.count()), (0, 1));
        ready(&mut waiting);
        ready(&mut event.wait());
        assert!(event.is_set());
        assert_eq!(Arc::strong_count(&new), 2);
    });
}

/// A barrier counts who is there: not who was dropped before it was full. One of each round leads, and then there is
/// another round; for one, and for none, it holds up nobody.
pub fn a_barrier_counts_who_is_there<R: Runtime>(runtime: R) {
    run(runtime, async {
        for size in [0, 1] {
            let barrier = Barrier::new(size);
            assert!(ready(&mut barrier.wait()).is_leader() && ready(&mut barrier.wait()).is_leader(), "{size}");
        }
        let barrier = Barrier::new(3);
        for _ in 0..3 {
            drop(barrier.wait());
            let left = queued(barrier.wait());
            let mut one = queued(barrier.wait());
            drop(left);
            // Were the one that was dropped counted, this would be the third.
            let mut two = queued(barrier.wait());
            assert!(poll_once(&mut one).is_pending());
            assert!(ready(&mut barrier.wait()).is_leader(), "the last to come leads");
            // The round is over: one that is dropped unseen is missed by nobody, and the next round begins from nothing.
            let mut next = queued(barrier.wait());
            drop(one);
            assert!(!ready(&mut two).is_leader());
            assert!(poll_once(&mut next).is_pending());
        }

        let (barrier, leaders) = (Arc::new(Barrier::new(8)), Arc::new(AtomicUsize::new(0)));
        task_group::<R, _, _>(async |g| {
            for _ in 0..8 {
                let (barrier, leaders) = (barrier.clone(), leaders.clone());
                g.spawn(async move {
                    for round in 0..20 {
                        if barrier.wait().await.is_leader() {
                            leaders.fetch_add(1, Ordering::SeqCst);
                        }
                        barrier.wait().await;
                        assert_eq!(leaders.load(Ordering::SeqCst), round + 1);
                        barrier.wait().await;
                    }
                });
            }
        })
        .await;
        assert_eq!(leaders.load(Ordering::SeqCst), 20);
    });
}

/// An initialiser that fails, panics or is dropped lets the next who waits try, in order; the first value stays.
pub fn an_initialiser_that_ends_early_lets_the_next_try<R: Runtime>(runtime: R) {
    run(runtime, async {
        let cell = OnceCell::new();
        let tried = StdMutex::new(Vec::new());
        let gate = Gate::new();
        let mut dropped = Box::pin(cell.get_or_init(async || {
            tried.lock().unwrap().push("dropped");
            pending().await
        }));
        let mut panics = Box::pin(caught(cell.get_or_init(async || {
            tried.lock().unwrap().push("panics");
            panic!("no value")
        })));
        let mut fails = Box::pin(cell.get_or_try_init(async || {
            tried.lock().unwrap().push("fails");
            Err("no value either")
        }));
        let mut never = Box::pin(cell.get_or_init(async || unreachable!("it gave up before its turn")));
        let mut makes = Box::pin(cell.get_or_init(async || {
            tried.lock().unwrap().push("makes");
            gate.passed().await;
            7
        }));
        let mut finds = Box::pin(cell.get_or_init(async || unreachable!("there is a value")));
        assert!(settled(&mut dropped, Waker::noop()).is_pending());
        assert!(cell.get().is_none());
        let refused = cell.set(1).expect_err("somebody is at it");
        assert!(!refused.is_set() && refused.into_inner() == 1);
        assert!(settled(&mut panics, Waker::noop()).is_pending() && settled(&mut fails, Waker::noop()).is_pending());
        assert!(settled(&mut never, Waker::noop()).is_pending() && settled(&mut makes, Waker::noop()).is_pending());
        assert!(settled(&mut finds, Waker::noop()).is_pending());
        drop(dropped);
        assert!(poll_once(&mut makes).is_pending(), "it isn't its turn");
        assert!(ready(&mut panics).is_err());
        assert_eq!(ready(&mut fails), Err("no value either"));
        drop(never);
        assert!(poll_once(&mut makes).is_pending());
        let (wakes, waker) = Wakes::waker();
        assert!(poll_with(&mut finds, &waker).is_pending());
        gate.open();
        assert_eq!(ready(&mut makes), &7);
        assert_eq!(wakes.count(), 1);
        assert_eq!((ready(&mut finds), cell.get()), (&7, Some(&7)));
        assert_eq!(*tried.lock().unwrap(), ["dropped", "panics", "fails", "makes"]);
        assert!(cell.set(8).expect_err("there is a value").is_set());
        assert_eq!(cell.get_or_init(async || 8).await, &7);
    });
}

/// However many ask at once, the value is made once.
pub fn a_value_is_made_once_however_many_ask<R: Runtime>(runtime: R) {
    let made = run(runtime, async {
        let (cell, made) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
        task_group::<R, _, _>(async |g| {
            for number in 0..20 {
                let (cell, made) = (cell.clone(), made.clone());
                g.spawn(async move {
                    let make = async || {
                        yield_now().await;
                        if number % 3 == 0 { Err(()) } else { Ok(made.fetch_add(1, Ordering::SeqCst)) }
                    };
                    assert!(cell.get_or_try_init(make).await.is_ok_and(|value| *value == 0) || number % 3 == 0);
                });
            }
        })
        .await;
        made.load(Ordering::SeqCst)
    });
    assert_eq!(made, 1);
}

/// A waker may re-enter what it waits for in every way, whether it is woken, replaced or dropped: no lock of the
/// primitive's is held then.
pub fn a_waker_may_re_enter_what_it_waits_for<R: Runtime>(runtime: R) {
    type All = (Mutex<()>, RwLock<()>, Condvar, Event, Barrier, OnceCell<u8>, AtomicUsize, AtomicBool);

    fn act((mutex, lock, condvar, event, barrier, cell, acts, armed): &All) {
        // What it does wakes others of its kind, which do the same: not without end.
        if acts.fetch_add(1, Ordering::SeqCst) > 2_000 {
            return;
        }
        drop((mutex.try_lock(), lock.try_read(), lock.try_write()));
        let _ = poll_once(&mut mutex.lock());
        let _ = (poll_once(&mut lock.read()).is_ready(), poll_once(&mut lock.write()).is_ready());
        // Not before the check has what it needs: this serves one who waits.
        if armed.load(Ordering::SeqCst) {
            condvar.notify_one();
        }
        let _ = poll_once(&mut event.wait());
        let _ = poll_once(&mut barrier.wait());
        let _ = poll_once(&mut Box::pin(cell.get_or_init(pending)));
        let _ = format!("{mutex:?} {lock:?} {condvar:?} {event:?} {barrier:?} {cell:?}");
    }

    run(runtime, async {
        let all: Arc<All> = Arc::new((
            Mutex::new(()),
            RwLock::new(()),
            Condvar::new(),
            Event::new(),
            Barrier::new(30),
            OnceCell::new(),
            AtomicUsize::new(0),
            AtomicBool::new(false),
        ));
        let hostile = || {
            let all = all.clone();
            Hostile::waker(move || act(&all))
        };
        let acts = || all.6.load(Ordering::SeqCst);
        let (mutex, lock, condvar, event, barrier, cell, _, armed) = &*all;
        // Those who wait are dropped, and in another round let through.
        macro_rules! each {
            ($name:literal, $wait:expr, $go:expr) => {
                for goes in [false, true] {
                    armed.store(false, Ordering::SeqCst);
                    all.6.store(0, Ordering::SeqCst);
                    let mut waiters: Vec<_> = (0..4).map(|_| Box::pin($wait)).collect();
                    for waiter in &mut waiters {
                        assert!(poll_with(waiter, &hostile()).is_pending(), $name);
                        assert!(poll_with(waiter, &hostile()).is_pending(), $name);
                    }
                    assert!(acts() >= 4, "{}: replaced wakers are dropped", $name);
                    armed.store(true, Ordering::SeqCst);
                    let before = acts();
                    if goes {
                        $go;
                        assert!(acts() > before, "{}: nobody was woken", $name);
                    } else {
                        drop(waiters);
                        assert!(acts() > before, "{}: the wakers are dropped", $name);
                    }
                }
            };
        }
        let (held, writing) = (StdMutex::new(mutex.try_lock()), StdMutex::new(lock.try_write()));
        each!("a mutex", mutex.lock(), drop(held.lock().unwrap().take()));
        drop(held);
        each!("a lock", lock.read(), drop(writing.lock().unwrap().take()));
        drop(writing);
        each!("a condition", async { drop(condvar.wait(mutex.lock().await).await) }, condvar.notify_all());
        each!("a barrier", barrier.wait(), {
            let mut others: Vec<_> = (0..30).map(|_| barrier.wait()).collect();
            assert!(others.iter_mut().any(|other| settled(other, Waker::noop()).is_ready()));
        });
        let initialising = StdMutex::new(Some(Box::pin(cell.get_or_init(pending))));
        assert!(initialising.lock().unwrap().as_mut().is_some_and(|cell| settled(cell, Waker::noop()).is_pending()));
        each!("a cell", cell.get_or_init(async || 7), drop(initialising.lock().unwrap().take()));
        each!("an event", event.wait(), event.set());
    });
}

/// Polls what it is the waker of as soon as it is woken, inside of the wake.
struct AtOnce<F> {
    future: StdMutex<Option<F>>,
    entered: AtomicBool,
}

impl<F: Future + Unpin + Send> Wake for AtOnce<F> {
    fn wake(self: Arc<Self>) {
        let future = self.future.lock().unwrap().take();
        let entered = future.is_some_and(|mut future| poll_once(&mut future).is_ready());
        self.entered.store(entered, Ordering::SeqCst);
    }
}

/// Whoever is woken because a lock is free finds it free, at once and in the middle of the wake, whatever kind of guard
/// was dropped: the value is given back before anybody is let in.
pub fn whoever_is_woken_finds_the_lock_free<R: Runtime>(runtime: R) {
    fn entered<F: Future + Unpin + Send + 'static>(mut future: F, free: impl FnOnce()) -> bool {
        let waiting = Arc::new(AtOnce { future: StdMutex::new(None), entered: AtomicBool::new(false) });
        assert!(settled(&mut future, &Waker::from(waiting.clone())).is_pending(), "it is locked");
        *waiting.future.lock().unwrap() = Some(future);
        free();
        waiting.entered.load(Ordering::SeqCst)
    }

    run(runtime, async {
        let (mutex, lock) = (Arc::new(Mutex::new(())), Arc::new(RwLock::new(())));
        let held = mutex.try_lock();
        assert!(entered(mutex.lock_arc(), || drop(held)), "a mutex");
        let held = mutex.try_lock_arc();
        assert!(entered(mutex.lock_arc(), || drop(held)), "a mutex, owned");
        let held = lock.try_read();
        assert!(entered(lock.write_arc(), || drop(held)), "one who read");
        let held = lock.try_read_arc();
        assert!(entered(lock.write_arc(), || drop(held)), "one who read, owned");
        for downgrades in [false, true] {
            let held = lock.try_write().unwrap();
            let mut reading = None;
            let free = || if downgrades { reading = Some(RwLockWriteGuard::downgrade(held)) } else { drop(held) };
            assert!(entered(lock.read_arc(), free), "one who wrote; downgrades: {downgrades}");
            drop(reading);
            let held = lock.try_write_arc().unwrap();
            let mut reading = None;
            let free = || if downgrades { reading = Some(RwLockWriteGuardArc::downgrade(held)) } else { drop(held) };
            assert!(entered(lock.read_arc(), free), "one who wrote, owned; downgrades: {downgrades}");
        }
        assert!(mutex.try_lock().is_some() && lock.try_write().is_some());
    });
}

/// Tasks that wait for locks give them up when they are cancelled, and hold up nobody.
pub fn a_cancelled_task_gives_up_its_locks_and_its_places<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (mutex, lock, entered) = (Arc::new(Mutex::new(())), Arc::new(RwLock::new(())), Gate::new());
        task_group::<R, _, _>(async |g| {
            let holding = g.spawn({
                let (mutex, lock, entered) = (mutex.clone(), lock.clone(), entered.clone());
                async move {
                    let _held = (mutex.lock().await, lock.write_arc().await);
                    entered.open();
                    pending::<()>().await;
                }
            });
            entered.passed().await;
            let waiting: Vec<_> = (0..5)
                .map(|_| {
                    let (mutex, lock) = (mutex.clone(), lock.clone());
                    g.spawn(async move { drop(gather::<R, _, _>((mutex.lock(), lock.write())).await) })
                })
                .collect();
            turns(3).await;
            for task in &waiting {
                task.cancel();
            }
            holding.cancel();
            let _both = (mutex.lock().await, lock.write().await);
        })
        .await;
    });
}
