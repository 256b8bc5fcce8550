//! Laws 24 to 26: permits.

use crate::support::{
    Hostile, Wakes, caught, on_this_thread, on_thread, poll_once, poll_with, polled, queued, ready, said,
};
use anyscope_core::{
    Limiter, Permit, PermitArc, Runtime, Semaphore, Statistics, TaskGroup, gather, interval, run, task_group, yield_now,
};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// Total, available, borrowed and waiting.
fn numbers(statistics: Statistics) -> [usize; 4] {
    [statistics.total, statistics.available, statistics.borrowed, statistics.waiting]
}

/// Permits go to those who wait in the order in which they came, and each release wakes just the one who is served.
pub fn permits_go_in_the_order_of_asking<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Semaphore::new(1);
        let mut held = Some(semaphore.try_acquire().expect("it is free"));
        let wakes: Vec<_> = (0..10).map(|_| Wakes::waker()).collect();
        let mut waiters: Vec<_> = wakes.iter().map(|_| queued(semaphore.acquire())).collect();
        for (waiter, (_, waker)) in waiters.iter_mut().zip(&wakes) {
            assert!(poll_with(waiter, waker).is_pending());
        }
        for turn in 0..10 {
            drop(held.take());
            for (index, (waiter, (wakes, waker))) in waiters.iter_mut().zip(&wakes).enumerate().rev() {
                assert_eq!(wakes.count(), usize::from(index <= turn), "waiter {index} at turn {turn}");
                if index > turn {
                    assert!(poll_with(waiter, waker).is_pending(), "waiter {index} came before its turn, {turn}");
                }
            }
            held = Some(ready(&mut waiters[turn]).expect("it is open"));
            assert_eq!(numbers(semaphore.statistics()), [1, 0, 1, 9 - turn]);
        }
        drop(held);
        assert_eq!(numbers(semaphore.statistics()), [1, 1, 0, 0]);
    });
}

/// Tasks that queue in an order known are served in it, on the runtime as well.
pub fn tasks_are_served_in_the_order_of_asking<R: Runtime>(runtime: R) {
    const TASKS: usize = 50;

    run(runtime, async {
        let (semaphore, served) = (Arc::new(Semaphore::new(1)), Arc::new(Mutex::new(Vec::new())));
        let held = semaphore.acquire().await.expect("it is open");
        task_group::<R, _, _>(async |g| {
            for number in 0..TASKS {
                let (semaphore, served) = (semaphore.clone(), served.clone());
                let waiting = semaphore.statistics().waiting;
                assert_eq!(waiting, number);
                let here = semaphore.clone();
                g.spawn(async move {
                    let permit = here.acquire_arc().await.expect("it is open");
                    served.lock().unwrap().push(number);
                    yield_now().await;
                    drop(permit);
                });
                while semaphore.statistics().waiting == waiting {
                    yield_now().await;
                }
            }
            drop(held);
        })
        .await;
        assert_eq!(*served.lock().unwrap(), (0..TASKS).collect::<Vec<_>>());
        assert_eq!(numbers(semaphore.statistics()), [1, 1, 0, 0]);
    });
}

/// A small request doesn't overtake a large one that waits, though there would be enough for it.
pub fn a_small_request_does_not_overtake_a_large_one<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Semaphore::new(3);
        let (one, two) = (semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap());
        let mut large = queued(semaphore.acquire_many(3));
        let mut small = queued(semaphore.acquire());
        let refused = semaphore.try_acquire().expect_err("somebody waits").is_no_permits();
        assert!(refused);
        assert_eq!(numbers(semaphore.statistics()), [3, 1, 2, 2]);
        drop(one);
        assert!(poll_once(&mut small).is_pending() && poll_once(&mut large).is_pending());
        assert_eq!(numbers(semaphore.statistics()), [3, 2, 1, 2]);
        drop(two);
        assert!(poll_once(&mut small).is_pending(), "the small one was let past");
        let permits = ready(&mut large).expect("it is open");
        assert_eq!(permits.count(), 3);
        drop(permits);
        drop(ready(&mut small).expect("it is open"));
        assert_eq!(numbers(semaphore.statistics()), [3, 3, 0, 0]);
    });
}

/// A permit that was handed over, and that its waiter hasn't seen yet, can't be had by anybody else.
pub fn nobody_takes_a_permit_that_was_handed_over<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Semaphore::new(1);
        let held = semaphore.try_acquire().unwrap();
        let mut first = queued(semaphore.acquire());
        drop(held);
        assert!(semaphore.try_acquire().expect_err("it is on its way").is_no_permits());
        let mut second = queued(semaphore.acquire());
        assert_eq!(numbers(semaphore.statistics()), [1, 0, 1, 1]);
        let permit = ready(&mut first).expect("it is open");
        assert!(poll_once(&mut second).is_pending());
        drop(permit);
        drop(ready(&mut second).expect("it is open"));
    });
}

/// In whatever state a waiter is dropped, no permit is lost, and the others keep their order.
pub fn dropping_a_waiter_in_any_state_loses_nothing<R: Runtime>(runtime: R) {
    run(runtime, async {
        // Each of five waiters, and each pair of them, is dropped: never polled, queued, or handed over.
        for (gone, also_gone) in (0..5).flat_map(|one| (0..5).map(move |other| (one, other))) {
            for handed_over in [false, true] {
                let semaphore = Semaphore::new(5);
                let held = semaphore.try_acquire_many(5).unwrap();
                drop(semaphore.acquire());
                let mut waiters: Vec<_> =
                    (1..=5).map(|count| Some(queued(semaphore.acquire_many(count % 3)))).collect();
                if !handed_over {
                    (waiters[gone], waiters[also_gone]) = (None, None);
                }
                drop(held);
                if handed_over {
                    (waiters[gone], waiters[also_gone]) = (None, None);
                }
                let mut served = Vec::new();
                let mut permits = Vec::new();
                for (index, waiter) in waiters.iter_mut().enumerate() {
                    if let Some(waiter) = waiter {
                        match poll_once(waiter) {
                            Poll::Ready(permit) => {
                                permits.push(permit.expect("it is open"));
                                served.push(index);
                            }
                            Poll::Pending => break,
                        }
                    }
                }
                let taken: usize = permits.iter().map(Permit::count).sum();
                let statistics = semaphore.statistics();
                assert_eq!(statistics.available, 5 - statistics.borrowed);
                assert!(taken <= statistics.borrowed);
                permits.clear();
                // All that remain get theirs, in order, as the permits come back.
                for (index, waiter) in waiters.iter_mut().enumerate() {
                    if let Some(waiter) = waiter.as_mut().filter(|_| !served.contains(&index)) {
                        drop(ready(waiter).expect("it is open"));
                    }
                }
                assert_eq!(numbers(semaphore.statistics()), [5, 5, 0, 0]);
            }
        }
    });
}

/// When a large request at the head gives up, those behind it get what it was waiting for.
pub fn whoever_leaves_the_head_lets_the_next_in<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Semaphore::new(3);
        let held = semaphore.try_acquire().unwrap();
        let large = queued(semaphore.acquire_many(3));
        let (first, second, third) = (Wakes::waker(), Wakes::waker(), Wakes::waker());
        let mut behind = [queued(semaphore.acquire()), queued(semaphore.acquire()), queued(semaphore.acquire())];
        for (waiter, (_, waker)) in behind.iter_mut().zip([&first, &second, &third]) {
            assert!(poll_with(waiter, waker).is_pending());
        }
        drop(large);
        assert_eq!([first.0.count(), second.0.count(), third.0.count()], [1, 1, 0], "two permits were free");
        let [one, two, three] = &mut behind;
        let taken = (ready(one).unwrap(), ready(two).unwrap());
        assert!(poll_once(three).is_pending());
        drop((taken, held));
        drop(ready(three).unwrap());

        // The same for one that had been handed its permits: they go on to the next in line.
        let held = semaphore.try_acquire_many(3).unwrap();
        let large = queued(semaphore.acquire_many(3));
        let mut behind = [queued(semaphore.acquire_many(2)), queued(semaphore.acquire_many(2))];
        drop(held);
        drop(large);
        let [one, two] = &mut behind;
        let taken = ready(one).unwrap();
        assert!(poll_once(two).is_pending());
        drop(taken);
        drop(ready(two).unwrap());
        assert_eq!(numbers(semaphore.statistics()), [3, 3, 0, 0]);
    });
}

/// Counts what is held, and notices at once where it is more than there can be.
#[derive(Clone)]
struct Ledger {
    held: Arc<AtomicUsize>,
    most: usize,
}

impl Ledger {
    fn take(&self, count: usize) {
        let before = self.held.fetch_add(count, Ordering::SeqCst);
        assert!(before + count <= self.most, "{} permits are held of {}", before + count, self.most);
    }

    fn give(&self, count: usize) {
        self.held.fetch_sub(count, Ordering::SeqCst);
    }
}

/// Numbers that look random; the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }
}

/// Asks, waits, gives up in every state, gives back.
async fn use_permits(semaphore: Arc<Semaphore>, ledger: Ledger, seed: u64, yields: bool) {
    let mut dice = Dice(seed);
    for _ in 0..200 {
        let count = dice.roll(4);
        let permit: Option<PermitArc> = match dice.roll(4) {
            0 => semaphore.try_acquire_arc().ok(),
            1 => {
                // Given up after some polls.
                let mut acquire = semaphore.acquire_many_arc(count);
                let mut permit = None;
                for _ in 0..dice.roll(4) {
                    if let Poll::Ready(acquired) = polled(&mut acquire).await {
                        permit = Some(acquired.expect("it is open"));
                        break;
                    }
                    if yields { yield_now().await } else { thread::yield_now() }
                }
                permit
            }
            _ => Some(semaphore.acquire_many_arc(count).await.expect("it is open")),
        };
        if let Some(permit) = permit {
            ledger.take(permit.count());
            if dice.roll(2) == 0 {
                if yields { yield_now().await } else { thread::yield_now() }
            }
            ledger.give(permit.count());
        }
    }
}

/// However threads and tasks ask, give up, add and give back at the same time: never are more permits held than there
/// are, and in the end all are there.
pub fn permits_are_neither_lost_nor_made_under_stress<R: Runtime>(runtime: R) {
    const PERMITS: usize = 5;
    const ADDED: usize = 3;

    run(runtime, async {
        let semaphore = Arc::new(Semaphore::new(PERMITS));
        let ledger = Ledger { held: Arc::default(), most: PERMITS + ADDED };
        let over = Arc::new(AtomicBool::new(false));
        let watching = {
            let (semaphore, over) = (semaphore.clone(), over.clone());
            on_thread(move || {
                while !over.load(Ordering::SeqCst) {
                    let [total, available, borrowed, _] = numbers(semaphore.statistics());
                    assert_eq!(available + borrowed, total);
                    thread::yield_now();
                }
            })
        };
        task_group::<R, _, _>(async |g| {
            for seed in 0..3 {
                let (semaphore, ledger) = (semaphore.clone(), ledger.clone());
                g.spawn(on_thread(move || {
                    on_this_thread(use_permits(semaphore, ledger, seed, false));
                }));
            }
            for seed in 3..9 {
                g.spawn(use_permits(semaphore.clone(), ledger.clone(), seed, true));
            }
            for _ in 0..ADDED {
                yield_now().await;
                semaphore.add_permits(1);
            }
        })
        .await;
        over.store(true, Ordering::SeqCst);
        watching.await;
        assert_eq!(numbers(semaphore.statistics()), [PERMITS + ADDED, PERMITS + ADDED, 0, 0]);
        assert_eq!(ledger.held.load(Ordering::SeqCst), 0);
    });
}

/// The same for a limiter that is resized all the while, also to nothing.
pub fn resizing_under_stress_neither_loses_nor_makes_permits<R: Runtime>(runtime: R) {
    const MOST: usize = 4;

    run(runtime, async {
        let limiter = Limiter::new(MOST);
        let ledger = Ledger { held: Arc::default(), most: MOST };
        let over = Arc::new(AtomicBool::new(false));
        let resizing = {
            let (limiter, over) = (limiter.clone(), over.clone());
            on_thread(move || {
                let mut dice = Dice(7);
                while !over.load(Ordering::SeqCst) {
                    limiter.set_total(dice.roll(MOST + 1));
                    let statistics = limiter.statistics();
                    assert!(statistics.total <= MOST && statistics.borrowed <= MOST);
                    thread::yield_now();
                }
                limiter.set_total(MOST);
            })
        };
        task_group::<R, _, _>(async |g| {
            for seed in 0..8 {
                let (limiter, ledger) = (limiter.clone(), ledger.clone());
                g.spawn(async move {
                    let mut dice = Dice(seed);
                    for _ in 0..50 {
                        if dice.roll(3) == 0 {
                            let mut given_up = limiter.acquire();
                            let _ = polled(&mut given_up).await;
                            yield_now().await;
                        }
                        let permit = limiter.acquire().await;
                        ledger.take(1);
                        yield_now().await;
                        ledger.give(1);
                        drop(permit);
                    }
                });
            }
        })
        .await;
        over.store(true, Ordering::SeqCst);
        resizing.await;
        assert_eq!(numbers(limiter.statistics()), [MOST, MOST, 0, 0]);
    });
}

/// Growing lets in those who wait, in order; shrinking takes nothing from anyone, and the next wait until enough came
/// back; a total of zero lets nobody in.
pub fn a_limiter_is_resized_while_in_use<R: Runtime>(runtime: R) {
    run(runtime, async {
        let limiter = Limiter::new(3);
        let mut held: Vec<_> = (0..3).map(|_| limiter.try_acquire().expect("it is free")).collect();
        let mut waiters: Vec<_> = (0..4).map(|_| queued(limiter.acquire())).collect();
        assert_eq!(numbers(limiter.statistics()), [3, 0, 3, 4]);

        limiter.set_total(1);
        assert_eq!(numbers(limiter.statistics()), [1, 0, 3, 4], "shrinking evicts nobody");
        held.pop();
        held.pop();
        assert!(waiters.iter_mut().all(|waiter| poll_once(waiter).is_pending()), "one is held, and there is one");
        assert_eq!(numbers(limiter.statistics()), [1, 0, 1, 4]);

        limiter.set_total(3);
        assert_eq!(numbers(limiter.statistics()), [3, 0, 3, 2], "growing hands over at once");
        assert!(limiter.try_acquire().is_none());
        // Shrunk while two permits are on their way: they arrive all the same.
        limiter.set_total(0);
        assert_eq!(numbers(limiter.statistics()), [0, 0, 3, 2]);
        assert!(poll_once(&mut waiters[3]).is_pending() && poll_once(&mut waiters[2]).is_pending());
        held.push(ready(&mut waiters[0]));
        // The other is given up unseen: it goes to nobody.
        drop(waiters.remove(1));
        held.clear();
        assert_eq!(numbers(limiter.statistics()), [0, 0, 0, 2]);
        assert!(limiter.try_acquire().is_none(), "there is none in all");
        let mut newcomer = queued(limiter.acquire());

        limiter.set_total(1);
        assert!(poll_once(&mut newcomer).is_pending() && poll_once(&mut waiters[2]).is_pending());
        drop(ready(&mut waiters[1]));
        drop(ready(&mut waiters[2]));
        drop(ready(&mut newcomer));
        assert_eq!(numbers(limiter.statistics()), [1, 1, 0, 0]);
    });
}

/// Closing tells all who wait and all who come. What was handed over before, or is held, stays good, and nothing that
/// is given back, added or forgotten later opens it again.
pub fn a_closed_semaphore_stays_closed<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Arc::new(Semaphore::new(2));
        let (one, two) = (semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap());
        let mut handed_over = queued(semaphore.acquire());
        let (wakes, waker) = Wakes::waker();
        let mut waiting: Vec<_> = (0..40).map(|_| queued(semaphore.acquire())).collect();
        for waiter in &mut waiting {
            assert!(poll_with(waiter, &waker).is_pending());
        }
        let mut owned = queued(semaphore.acquire_many_arc(2));
        drop(one);
        semaphore.close();
        assert!(semaphore.is_closed());
        assert_eq!(wakes.count(), 40);
        // Whether they look, or are dropped.
        waiting.truncate(20);
        for waiter in &mut waiting {
            assert!(ready(waiter).expect_err("it is closed").is_closed());
        }
        assert!(ready(&mut owned).expect_err("it is closed").is_closed());
        let kept = ready(&mut handed_over).expect("it was handed over before the close");

        let closed = |semaphore: &Arc<Semaphore>| {
            assert!(semaphore.is_closed());
            assert!(ready(&mut semaphore.acquire()).expect_err("it is closed").is_closed());
            assert!(semaphore.try_acquire().expect_err("it is closed").is_closed());
            assert!(semaphore.try_acquire_arc().expect_err("it is closed").is_closed());
            assert!(semaphore.try_acquire_many(0).expect_err("it is closed").is_closed());
        };
        closed(&semaphore);
        two.forget();
        closed(&semaphore);
        drop(kept);
        closed(&semaphore);
        semaphore.add_permits(3);
        closed(&semaphore);
        semaphore.close();
        closed(&semaphore);
        assert_eq!(numbers(semaphore.statistics()), [4, 4, 0, 0]);
    });
}

/// Asking for more than there can be is an error at once, though others wait; a semaphore without permits is a gate.
pub fn asking_for_more_than_there_can_be_is_an_error_at_once<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Arc::new(Semaphore::new(2));
        let held = semaphore.try_acquire_many(2).unwrap();
        let mut waiter = queued(semaphore.acquire_many(2));
        for count in [3, Semaphore::MAX_PERMITS, Semaphore::MAX_PERMITS + 1, usize::MAX - 1, usize::MAX] {
            assert!(semaphore.acquire_many(count).await.expect_err("it can't be").is_too_many(), "{count}");
            assert!(semaphore.acquire_many_arc(count).await.expect_err("it can't be").is_too_many(), "{count}");
            assert!(semaphore.try_acquire_many(count).expect_err("it can't be").is_too_many(), "{count}");
        }
        drop(held);
        drop(ready(&mut waiter).unwrap());
        // What was taken out of the world counts no more; what was added does.
        semaphore.try_acquire().unwrap().forget();
        assert!(semaphore.acquire_many(2).await.expect_err("one is left").is_too_many());
        semaphore.add_permits(1);
        drop(semaphore.acquire_many(2).await.unwrap());
        // None is a number too, and waits for its turn.
        assert_eq!(semaphore.acquire_many(0).await.unwrap().count(), 0);
        let all = semaphore.try_acquire_many(2).unwrap();
        let one = queued(semaphore.acquire());
        let mut none = queued(semaphore.acquire_many(0));
        drop(one);
        drop(ready(&mut none).unwrap());
        drop(all);
        assert_eq!(numbers(semaphore.statistics()), [2, 2, 0, 0]);
        assert!(Semaphore::new(0).acquire_many(usize::MAX).await.expect_err("it can't be").is_too_many());
    });
}

/// A semaphore made without permits is a gate: who waits for several gets them once as many were added, also one by one.
pub fn a_gate_opens_when_enough_permits_were_added<R: Runtime>(runtime: R) {
    run(runtime, async {
        let gate = Semaphore::new(0);
        assert!(gate.try_acquire().expect_err("it is shut").is_no_permits());
        let mut waiter = queued(gate.acquire_many(5));
        for _ in 0..4 {
            gate.add_permits(1);
            assert!(poll_once(&mut waiter).is_pending());
        }
        gate.add_permits(1);
        assert_eq!(ready(&mut waiter).expect("there are five").count(), 5);
    });
}

/// Who waits for more than is left after permits were taken out of the world is told, and holds up nobody behind.
pub fn whoever_waits_for_more_than_is_left_is_told<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Semaphore::new(2);
        let (one, two) = (semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap());
        let mut large = queued(semaphore.acquire_many(2));
        let mut small = queued(semaphore.acquire());
        one.forget();
        assert!(ready(&mut large).expect_err("one is left").is_too_many());
        assert!(poll_once(&mut small).is_pending());
        drop(two);
        drop(ready(&mut small).unwrap());
        assert_eq!(numbers(semaphore.statistics()), [1, 1, 0, 0]);
    });
}

/// A permit comes back when its holder panics, however it was taken, and so does the place of one who waited.
pub fn a_panic_of_who_holds_a_permit_gives_it_back<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Arc::new(Semaphore::new(3));
        let limiter = Limiter::new(1);
        for _ in 0..2 {
            let panicked = caught(async {
                let _one = semaphore.acquire().await.expect("it is open");
                let _two = semaphore.try_acquire_arc().expect("there are two left");
                let _three = limiter.acquire().await;
                let mut waiting = Box::pin(semaphore.acquire_many(2));
                assert!(polled(&mut waiting).await.is_pending());
                panic!("with permits in hand");
            });
            panicked.await.expect_err("it panicked");
            assert_eq!(numbers(semaphore.statistics()), [3, 3, 0, 0]);
            assert_eq!(numbers(limiter.statistics()), [1, 1, 0, 0]);
        }
    });
}

/// More permits than can be counted, and limits under which nothing would ever start, are panics that say so.
pub fn numbers_that_make_no_sense_panic_at_the_call<R: Runtime>(runtime: R) {
    fn panics(what: &str, f: impl FnOnce()) {
        let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("{what} didn't panic") };
        let text = said(&payload);
        assert!(text.contains("MAX_PERMITS") || text.contains("zero"), "{what}: {text}");
    }

    const MAX: usize = Semaphore::MAX_PERMITS;

    run(runtime, async {
        panics("a semaphore of too many", || drop(Semaphore::new(MAX + 1)));
        panics("a semaphore of far too many", || drop(Semaphore::new(usize::MAX)));
        panics("a limiter of too many", || drop(Limiter::new(MAX + 1)));
        let full = Semaphore::new(MAX);
        panics("adding one to the most", || full.add_permits(1));
        panics("adding without bounds", || full.add_permits(usize::MAX));
        full.add_permits(0);
        assert_eq!(numbers(full.statistics()), [MAX, MAX, 0, 0], "a refused number changes nothing");
        drop(full.acquire_many(MAX).await.expect("there are as many"));
        let limiter = Limiter::new(1);
        panics("a limiter resized to too many", || limiter.set_total(MAX + 1));
        assert_eq!(limiter.statistics().total, 1);
        limiter.set_total(MAX);
        assert_eq!(numbers(limiter.statistics()), [MAX, MAX, 0, 0]);
        panics("a group that starts nothing", || drop(TaskGroup::<R>::builder().limit(0)));
        panics("an interval without a period", || drop(interval::<R>(Duration::ZERO)));
        panics("a gather that starts nothing", || drop(gather::<R, _, _>([async {}]).limit(0)));
    });
}

/// A waker may re-enter its semaphore in every way, whether it is woken, replaced or dropped: no lock is held then.
pub fn a_waker_may_re_enter_its_semaphore<R: Runtime>(runtime: R) {
    run(runtime, async {
        for closes in [false, true] {
            let semaphore = Arc::new(Semaphore::new(1));
            let (acts, armed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let hostile = || {
                let (semaphore, acts, armed) = (semaphore.clone(), acts.clone(), armed.clone());
                Hostile::waker(move || {
                    acts.fetch_add(1, Ordering::SeqCst);
                    drop(semaphore.try_acquire());
                    drop(semaphore.try_acquire_arc());
                    let mut acquire = semaphore.acquire();
                    let _ = poll_once(&mut acquire);
                    drop(acquire);
                    let _ = (semaphore.statistics(), semaphore.is_closed());
                    // Not before the check has what it needs: this serves one who waits.
                    if armed.load(Ordering::SeqCst) {
                        semaphore.add_permits(1);
                        let _ = semaphore.try_acquire().map(Permit::forget);
                    }
                })
            };
            let held = semaphore.try_acquire().unwrap();
            let mut waiters: Vec<_> = (0..40).map(|_| semaphore.acquire()).collect();
            for waiter in &mut waiters {
                let _ = poll_with(waiter, &hostile());
                let _ = poll_with(waiter, &hostile());
            }
            assert!(acts.load(Ordering::SeqCst) > 0);
            // Dropped with those who wait; woken by a close, or by a release and what comes of that.
            waiters.truncate(30);
            armed.store(true, Ordering::SeqCst);
            let before = acts.load(Ordering::SeqCst);
            if closes {
                semaphore.close();
            }
            drop(held);
            assert!(acts.load(Ordering::SeqCst) >= before + if closes { 30 } else { 1 });
            drop(waiters);
            let [total, available, borrowed, waiting] = numbers(semaphore.statistics());
            assert_eq!((available, borrowed, waiting), (total, 0, 0));
        }
    });
}

/// A waiter that is polled by another task is woken there, and only there; no waker is kept for longer than needed.
pub fn the_last_waker_is_woken_and_none_is_kept<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Semaphore::new(1);
        let held = semaphore.try_acquire().unwrap();
        let ((old, old_waker), (new, new_waker)) = (Wakes::waker(), Wakes::waker());
        let mut waiter = queued(semaphore.acquire());
        assert!(poll_with(&mut waiter, &old_waker).is_pending());
        assert!(poll_with(&mut waiter, &new_waker).is_pending());
        // One is ours, one is the waker's.
        assert_eq!(Arc::strong_count(&old), 2, "a waker was kept though it was replaced");
        assert_eq!(Arc::strong_count(&new), 3);
        drop(held);
        assert_eq!((old.count(), new.count()), (0, 1));
        let permit = ready(&mut waiter).unwrap();
        assert_eq!(Arc::strong_count(&new), 2, "a waker was kept after its waiter was served");
        let mut given_up = queued(semaphore.acquire());
        assert!(poll_with(&mut given_up, &new_waker).is_pending());
        drop(given_up);
        assert_eq!(Arc::strong_count(&new), 2, "a waker was kept after its waiter was dropped");
        drop(permit);
        assert_eq!(new.count(), 1, "nobody waited");
    });
}

/// Whoever has a permit and asks for another stands behind all who wait; so everybody gets a turn.
pub fn whoever_asks_anew_goes_to_the_end_of_the_queue<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Semaphore::new(1);
        let mut held = semaphore.try_acquire().unwrap();
        let mut queue: VecDeque<_> = (0..5).map(|number| (number, queued(semaphore.acquire()))).collect();
        for turn in 0..30 {
            drop(held);
            let Some((number, mut served)) = queue.pop_front() else { unreachable!("five are always there") };
            assert_eq!(number, turn % 5);
            held = ready(&mut served).unwrap();
            queue.push_back((number, queued(semaphore.acquire())));
            assert!(queue.iter_mut().all(|(_, waiter)| poll_once(waiter).is_pending()));
        }
    });
}

/// A key has one permit at a time: who asks for another is refused at once, whether the key holds one or waits for one;
/// other keys, and whoever has none, aren't concerned.
pub fn a_key_has_one_permit_at_a_time<R: Runtime>(runtime: R) {
    run(runtime, async {
        let limiter = Limiter::new(2);
        let ann = limiter.acquire_for("ann").await.expect("the key is free");
        assert_eq!(ann.key(), Some("ann"));
        assert!(limiter.is_held_by("ann") && !limiter.is_held_by("bob"));
        // Nothing is asked before the first poll.
        let mut bob = limiter.acquire_for("bob".to_owned());
        assert!(!limiter.is_held_by("bob"));
        let refused = ready(&mut limiter.acquire_for("ann")).expect_err("the key holds a permit");
        assert_eq!(refused.key(), "ann");
        assert!(refused.to_string().contains("ann"), "{refused}");
        assert_eq!(numbers(limiter.statistics()), [2, 1, 1, 0], "a refusal took a permit, or a place");

        let nobody = limiter.acquire().await;
        assert_eq!(nobody.key(), None);
        assert!(poll_once(&mut bob).is_pending());
        assert!(limiter.is_held_by("bob"), "a key that waits isn't held");
        assert!(ready(&mut limiter.acquire_for("bob")).is_err(), "a key waits twice");
        assert_eq!(numbers(limiter.statistics()), [2, 0, 2, 1]);
        drop(nobody);
        let bob = ready(&mut bob).expect("it was its turn");
        assert_eq!(bob.key(), Some("bob"));
        drop(ann);
        assert!(!limiter.is_held_by("ann"), "a key outlived its permit");
        drop(ready(&mut limiter.acquire_for("ann")).expect("the key is free again"));

        // Another limiter has keys of its own, and a clone the same.
        assert!(ready(&mut Limiter::new(1).acquire_for("bob")).is_ok());
        assert!(ready(&mut limiter.clone().acquire_for("bob")).is_err());
        drop(bob);
        assert_eq!(numbers(limiter.statistics()), [2, 2, 0, 0]);
    });
}

/// In whatever state one who asks for a key is dropped, the key is free again, no permit is lost, and whoever is let in
/// by a permit finds its key free.
pub fn a_key_is_free_when_its_waiter_is_dropped_in_any_state<R: Runtime>(runtime: R) {
    /// Asks for the key in the moment of its wake.
    struct Asks(Limiter, AtomicBool);

    impl Wake for Asks {
        fn wake(self: Arc<Self>) {
            self.1.store(!self.0.is_held_by("ann"), Ordering::SeqCst);
        }
    }

    run(runtime, async {
        let limiter = Limiter::new(1);
        let held = limiter.try_acquire().expect("it is free");
        // Never polled, queued, refused.
        drop(limiter.acquire_for("ann"));
        assert!(!limiter.is_held_by("ann"));
        let mut first = queued(limiter.acquire_for("ann"));
        drop(ready(&mut limiter.acquire_for("ann")).expect_err("the key waits"));
        assert!(limiter.is_held_by("ann"), "a refusal gave the key away");
        let second = queued(limiter.acquire_for("bob"));
        drop(first);
        assert!(!limiter.is_held_by("ann") && limiter.is_held_by("bob"));

        // Handed over and not seen yet: the permit goes to the next.
        first = queued(limiter.acquire_for("ann"));
        drop(held);
        drop(second);
        assert!(!limiter.is_held_by("bob"));
        let permit = ready(&mut first).expect("it was its turn");
        assert_eq!(numbers(limiter.statistics()), [1, 0, 1, 0]);

        // The key is free before the permit is: the next may be for the same one.
        let asks = Arc::new(Asks(limiter.clone(), AtomicBool::new(false)));
        let mut next = queued(limiter.acquire());
        assert!(poll_with(&mut next, &Waker::from(asks.clone())).is_pending());
        drop(permit);
        assert!(asks.1.load(Ordering::SeqCst), "the permit was back before its key");
        drop(next);
        assert_eq!(numbers(limiter.statistics()), [1, 1, 0, 0]);
    });
}

/// Keys asked for by many tasks, dropped and given back in any order, leave nothing behind, and never two hold one.
pub fn keys_are_neither_lost_nor_doubled_under_stress<R: Runtime>(runtime: R) {
    const KEYS: [&str; 3] = ["ann", "bob", "eve"];

    run(runtime, async {
        let limiter = Limiter::new(2);
        let holders: Arc<[AtomicUsize; 3]> = Arc::default();
        task_group::<R, _, _>(async |g| {
            for task in 0..30_usize {
                let (limiter, holders) = (limiter.clone(), holders.clone());
                g.spawn(async move {
                    for round in 0..50 {
                        let key = (task + round) % 3;
                        let mut asked = limiter.acquire_for(KEYS[key]);
                        if (task + round) % 4 == 0 {
                            // Lets go in the middle.
                            drop(polled(&mut asked).await);
                            yield_now().await;
                            continue;
                        }
                        if let Ok(permit) = asked.await {
                            assert_eq!(holders[key].fetch_add(1, Ordering::SeqCst), 0, "a key holds two permits");
                            yield_now().await;
                            holders[key].fetch_sub(1, Ordering::SeqCst);
                            drop(permit);
                        }
                        yield_now().await;
                    }
                });
            }
        })
        .await;
        assert_eq!(numbers(limiter.statistics()), [2, 2, 0, 0]);
        assert!(KEYS.iter().all(|key| !limiter.is_held_by(key)));
    });
}
