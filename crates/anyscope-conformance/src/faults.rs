//! Faults that may strike anything: each check goes through a table of all that can be awaited, or of all that runs
//! something, and holds of every row. The laws are those of the rows.

use crate::runtime::Toy;
use crate::support::{
    Census, Gate, Hostile, Wakes, caught, on_thread, poll_once, poll_with, polled, said, settled, start_thread,
    surviving, turns, until, without_keeping,
};
use crate::waits::{Give, Wait, Waiting, waits, works};
use anyscope_core::channel::bounded;
use anyscope_core::locks::{Barrier, Event, Mutex, RwLock};
use anyscope_core::observe::Observer;
use anyscope_core::{
    CancelToken, Driver, DynRuntime, Job, Limiter, MissedTicks, Outcome, Runtime, RuntimeError, Semaphore, Task,
    TaskGroup, gather, interval, now, race, run, scope, shield, sleep, sleep_until, task_group, timeout,
    try_task_group, unblock, with_cleanup, yield_now,
};
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex as StdMutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is around some work: its name, and what puts the work into it.
type Around<F> = (&'static str, fn(F) -> Boxed);

/// What a piece of work is given, with so many permits, and who counts its members.
fn given(permits: usize) -> (Arc<Give>, Census) {
    let census = Census::new();
    let counted = census.clone();
    (Arc::new((Gate::new(), Box::new(move || counted.member()), Arc::new(Semaphore::new(permits)))), census)
}

/// Whatever waits may be dropped after any number of polls, each by another waker, before or after it was given what it
/// waits for: it is as if it had never been there, or had ended.
pub fn whatever_waits_may_be_dropped_after_any_poll<R: Runtime>(runtime: R) {
    run(runtime, async {
        for (name, row) in waits::<R>() {
            for (before, after) in [(0, 0), (1, 0), (2, 0), (3, 0), (50, 0), (0, 1), (1, 1), (2, 1), (2, 2), (50, 2)] {
                for dropped_first in [false, true] {
                    row(&mut |wait| {
                        let mut waiter = (wait.waiter)();
                        for _ in 0..before {
                            assert!(poll_with(&mut waiter, &Wakes::waker().1).is_pending(), "{name} was there at once");
                        }
                        let mut ended = false;
                        if dropped_first {
                            drop(waiter);
                            (wait.give)();
                        } else {
                            (wait.give)();
                            for _ in 0..after {
                                ended = ended || poll_with(&mut waiter, &Wakes::waker().1).is_ready();
                            }
                            drop(waiter);
                        }
                        (wait.intact)(usize::from(ended));
                    });
                }
            }
        }
    });
}

/// Whoever is given something and is dropped before it looks holds up nobody: the next in line has it.
pub fn whoever_waits_behind_what_was_dropped_is_served<R: Runtime>(runtime: R) {
    run(runtime, async {
        for (name, row) in waits::<R>() {
            for dropped_first in [false, true] {
                row(&mut |wait| {
                    let (mut first, mut second) = ((wait.waiter)(), (wait.waiter)());
                    assert!(settled(&mut first, Waker::noop()).is_pending(), "{name} was there at once");
                    let (wakes, waker) = Wakes::waker();
                    if settled(&mut second, &waker).is_ready() {
                        // Two are enough for a barrier.
                        return;
                    }
                    let before = wakes.count();
                    if dropped_first {
                        drop(first);
                        (wait.give)();
                    } else {
                        (wait.give)();
                        drop(first);
                        if wait.one_by_one {
                            (wait.give)();
                        }
                    }
                    assert!(wakes.count() > before, "{name}: the next in line wasn't woken");
                    assert!(settled(&mut second, &waker).is_ready(), "{name}: the next in line wasn't served");
                    drop(second);
                    (wait.intact)(1);
                });
            }
        }
    });
}

/// Whatever runs something may be dropped after any number of polls: its children, jobs and clean-up end, whoever waits
/// for them meanwhile, and no permit is lost.
pub fn whatever_runs_something_may_be_dropped_after_any_poll<R: Runtime>(runtime: R) {
    const MOST: usize = 200;

    run(runtime, async {
        for (name, work) in works::<R>() {
            for permits in [1, 8] {
                let mut polls = 0;
                loop {
                    let (give, census) = given(permits);
                    let semaphore = give.2.clone();
                    let gate = give.0.clone();
                    let over = task_group::<R, _, _>(async move |_| {
                        let mut working = work(give);
                        for turn in 0..polls {
                            if turn == polls / 2 {
                                gate.open();
                            }
                            if polled(&mut working).await.is_ready() {
                                return true;
                            }
                            yield_now().await;
                        }
                        drop(working);
                        // What goes on in the group around isn't to wait for ever.
                        gate.open();
                        false
                    })
                    .await;
                    assert_eq!(census.alive(), 0, "{name}, dropped after {polls} polls");
                    assert_eq!(semaphore.available_permits(), permits, "{name}, dropped after {polls} polls");
                    // A busy machine may need more turns; how far it comes is no part of the law.
                    if over || polls == MOST {
                        break;
                    }
                    polls += 1;
                }
            }
        }
    });
}

/// What is forgotten keeps what it has, and holds up nothing else; what it ran goes on.
pub fn forgetting_what_runs_or_waits_leaves_the_rest_usable<R: Runtime>(runtime: R) {
    run(runtime, async {
        for (name, row) in waits::<R>() {
            row(&mut |wait| {
                let mut forgotten = (wait.waiter)();
                assert!(settled(&mut forgotten, Waker::noop()).is_pending(), "{name} was there at once");
                mem::forget(forgotten);
                mem::forget((wait.waiter)());
                let mut dropped = (wait.waiter)();
                let _ = settled(&mut dropped, Waker::noop());
                (wait.give)();
                drop(dropped);
            });
        }
        for (name, work) in works::<R>() {
            let (give, _) = given(8);
            let gate = give.0.clone();
            let mut forgotten = work(give);
            assert!(polled(&mut forgotten).await.is_pending(), "{name} ended too early");
            mem::forget(forgotten);
            gate.open();
            let (give, census) = given(8);
            give.0.open();
            work(give).await;
            assert_eq!(census.alive(), 0, "{name}");
        }

        let (mutex, lock) = (Mutex::new(()), RwLock::new(()));
        mem::forget(mutex.lock().await);
        mem::forget(lock.read().await);
        assert!(mutex.try_lock().is_none() && lock.try_write().is_none());
        drop(lock.read().await);
        assert!(timeout::<R, _>(Duration::from_millis(1), mutex.lock()).await.is_err());
        let (sender, receiver) = bounded(1);
        mem::forget((sender.clone(), receiver.clone()));
        assert!(sender.send(7).await.is_ok() && receiver.recv().await.is_ok_and(|message| message == 7));
        drop(sender);
        assert!(timeout::<R, _>(Duration::from_millis(1), receiver.recv()).await.is_err(), "a sender is left");
    });
}

/// Panics when it is woken.
struct PanicsWoken;

impl Wake for PanicsWoken {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics when it is woken");
    }
}

/// Panics when it is dropped.
struct PanicsDropped;

impl Wake for PanicsDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsDropped {
    fn drop(&mut self) {
        panic!("a waker that panics when it is dropped");
    }
}

/// A waker that panics, when it is woken or dropped, is the fault of whoever brought it: the others are woken and served.
pub fn a_waker_that_panics_hurts_nobody_else<R: Runtime>(runtime: R) {
    fn strike(name: &str, wait: &Wait<'_>, waker: Waker, gives_up: bool) {
        let (mut hurt, mut other) = ((wait.waiter)(), (wait.waiter)());
        assert!(settled(&mut hurt, &waker).is_pending(), "{name} was there at once");
        // The queue has the last of it.
        drop(waker);
        let (wakes, counting) = Wakes::waker();
        if settled(&mut other, &counting).is_ready() {
            return;
        }
        let before = wakes.count();
        if gives_up {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(hurt)));
            (wait.give)();
        } else {
            let _ = catch_unwind(AssertUnwindSafe(|| (wait.give)()));
            let _ = catch_unwind(AssertUnwindSafe(|| drop(hurt)));
            if wait.one_by_one {
                (wait.give)();
            }
        }
        assert!(wakes.count() > before, "{name}: the other wasn't woken");
        assert!(settled(&mut other, &counting).is_ready(), "{name}: the other wasn't served");
        drop(other);
        (wait.intact)(1);
    }

    surviving(|| {
        run(runtime, async {
            for (name, row) in waits::<R>() {
                for gives_up in [false, true] {
                    row(&mut |wait| strike(name, &wait, Waker::from(Arc::new(PanicsWoken)), gives_up));
                    row(&mut |wait| strike(name, &wait, Waker::from(Arc::new(PanicsDropped)), gives_up));
                }
                // Replaced by another.
                row(&mut |wait| {
                    let mut waiter = (wait.waiter)();
                    assert!(settled(&mut waiter, &Waker::from(Arc::new(PanicsDropped))).is_pending());
                    let (_, waker) = Wakes::waker();
                    let _ = catch_unwind(AssertUnwindSafe(|| settled(&mut waiter, &waker)));
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(waiter)));
                    (wait.give)();
                    (wait.intact)(0);
                });
            }
            // Who awaits a task, and who polls a group.
            for waker in [|| Waker::from(Arc::new(PanicsWoken)), || Waker::from(Arc::new(PanicsDropped))] {
                let (give, census) = given(8);
                let (send, tasks) = channel();
                let inside = give.clone();
                let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
                    let member = (inside.1)();
                    let gate = inside.0.clone();
                    let task = g.spawn(async move {
                        gate.passed().await;
                        drop(member);
                        7
                    });
                    send.send(task).expect("the check waits");
                }));
                // The last of a waker may be dropped by whoever polls.
                let _ = catch_unwind(AssertUnwindSafe(|| poll_with(&mut group, &waker())));
                let mut task = tasks.recv().expect("the body was polled");
                let _ = catch_unwind(AssertUnwindSafe(|| poll_with(&mut task, &waker())));
                give.0.open();
                until(|| task.is_finished()).await;
                assert_eq!(task.await, 7);
                let _ = caught(group).await;
                assert_eq!(census.alive(), 0);
            }
        });
    });
}

/// Whoever polled last is woken, and nobody else; no waker is kept when it isn't needed any more, and one that is called
/// afterwards does nothing.
pub fn only_the_last_waker_is_woken_and_none_is_kept<R: Runtime>(runtime: R) {
    run(runtime, async {
        for (name, row) in waits::<R>() {
            for gives_up in [false, true] {
                row(&mut |wait| {
                    let ((old, old_waker), (new, new_waker)) = (Wakes::waker(), Wakes::waker());
                    let mut waiter = (wait.waiter)();
                    assert!(settled(&mut waiter, &old_waker).is_pending(), "{name} was there at once");
                    assert!(settled(&mut waiter, &new_waker).is_pending(), "{name} was there at once");
                    // One is ours, one is the waker's.
                    assert_eq!(Arc::strong_count(&old), 2, "{name}: a waker was kept though it was replaced");
                    let before = (old.count(), new.count());
                    if gives_up {
                        drop(waiter);
                        assert_eq!(Arc::strong_count(&new), 2, "{name}: a waker was kept after its waiter was dropped");
                        (wait.give)();
                        assert_eq!((old.count(), new.count()), before, "{name}: one who had gone was woken");
                        return;
                    }
                    (wait.give)();
                    assert_eq!(old.count(), before.0, "{name}: one was woken who doesn't wait any more");
                    assert!(new.count() > before.1, "{name}: nobody was woken");
                    assert!(settled(&mut waiter, &new_waker).is_ready(), "{name} wasn't there");
                    assert_eq!(Arc::strong_count(&new), 2, "{name}: a waker was kept after its waiter was served");
                    drop(waiter);
                    (wait.intact)(1);
                });
            }
        }
    });
}

/// What has ended isn't to be polled again. Where it is, it says so, or stays as it is: it never gives a second time what
/// it gave.
pub fn what_has_ended_gives_nothing_a_second_time<R: Runtime>(runtime: R) {
    /// What is so for ever may be told again.
    const FOR_EVER: [&str; 2] = ["an event", "the cancellation of a token"];

    fn again<F: Future<Output = ()> + ?Sized>(name: &str, ended: &mut Pin<Box<F>>) {
        let again = catch_unwind(AssertUnwindSafe(|| ended.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        match again {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => assert!(FOR_EVER.contains(&name), "{name} ended twice"),
            Err(payload) => assert!(said(&payload).contains("after"), "{name}: {:?}", said(&payload)),
        }
    }

    run(runtime, async {
        for (name, row) in waits::<R>() {
            row(&mut |wait| {
                let mut waiter: Waiting<'_> = (wait.waiter)();
                assert!(settled(&mut waiter, Waker::noop()).is_pending(), "{name} was there at once");
                (wait.give)();
                assert!(settled(&mut waiter, Waker::noop()).is_ready(), "{name} wasn't there");
                again(name, &mut waiter);
                again(name, &mut waiter);
                drop(waiter);
                (wait.intact)(1);
            });
        }
        for (name, work) in works::<R>() {
            let (give, census) = given(8);
            give.0.open();
            let semaphore = give.2.clone();
            let mut working = work(give);
            working.as_mut().await;
            again(name, &mut working);
            drop(working);
            assert_eq!((census.alive(), semaphore.available_permits()), (0, 8), "{name}");
        }
    });
}

/// Counts how often it is polled, until it is told to end; keeps the last waker that it was polled by.
struct Polls {
    polls: Arc<AtomicUsize>,
    waker: Arc<StdMutex<Option<Waker>>>,
    over: Arc<AtomicBool>,
}

impl Future for Polls {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        let before = self.waker.lock().unwrap().replace(cx.waker().clone());
        drop(before);
        if self.over.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// However often something is woken, it is polled at most once for each wake, and for none after it has ended.
pub fn a_storm_of_wakes_costs_at_most_a_poll_each<R: Runtime>(runtime: R) {
    const WAKES: usize = 20_000;

    fn around<R: Runtime>() -> [Around<Polls>; 4] {
        [
            ("a child", |polls| {
                Box::pin(task_group::<R, _, _>(async |g| {
                    g.spawn(polls);
                }))
            }),
            ("a gathered future", |polls| Box::pin(async { drop(gather::<R, _, _>([polls]).await) })),
            ("a future on the runtime", |polls| Box::pin(async { drop(gather::<R, _, _>([polls]).parallel().await) })),
            ("a child of a scope", |polls| {
                Box::pin(async {
                    scope::<R, _, _>(|s| async move {
                        s.spawn(polls);
                    })
                    .await;
                })
            }),
        ]
    }

    run(runtime, async {
        for (name, wrap) in around::<R>() {
            let (polls, waker, over) = (Arc::default(), Arc::<StdMutex<Option<Waker>>>::default(), Arc::default());
            let working = wrap(Polls { polls: Arc::clone(&polls), waker: waker.clone(), over: Arc::clone(&over) });
            let kept = waker.clone();
            let storm = on_thread(move || {
                let waker = loop {
                    if let Some(waker) = kept.lock().unwrap().clone() {
                        break waker;
                    }
                    thread::yield_now();
                };
                for _ in 0..WAKES {
                    waker.wake_by_ref();
                }
                over.store(true, Ordering::SeqCst);
                waker.wake_by_ref();
                waker
            });
            working.await;
            let late = storm.await;
            let polled = polls.load(Ordering::SeqCst);
            assert!(polled <= WAKES + 2, "{name} was polled {polled} times for {} wakes", WAKES + 1);
            // It has ended, and these do nothing.
            on_thread(move || (0..100).for_each(|_| late.wake_by_ref())).await;
            turns(5).await;
            assert_eq!(polls.load(Ordering::SeqCst), polled, "{name} was polled after its end");
        }
    });
}

/// Wakers are called from other threads while what they would wake is dropped, and after: nothing comes of it, and no
/// future is kept by its waker.
pub fn wakers_may_outlive_what_they_wake<R: Runtime>(runtime: R) {
    const ROUNDS: usize = 50;

    run(runtime, async {
        for round in 0..ROUNDS {
            let census = Census::new();
            let wakers = Arc::new(StdMutex::new(Vec::new()));
            let child = || {
                let (member, wakers) = (census.member(), wakers.clone());
                let mut member = Some(member);
                let mut ended = false;
                poll_fn(move |cx| {
                    assert!(!ended && member.is_some(), "it was polled after its end");
                    wakers.lock().unwrap().push(cx.waker().clone());
                    ended = round % 3 == 2;
                    if ended {
                        drop(member.take());
                        return Poll::Ready(());
                    }
                    Poll::Pending
                })
            };
            let children: Vec<_> = (0..8).map(|_| child()).collect();
            let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
                for child in children {
                    g.spawn(child);
                }
                pending::<()>().await;
            }));
            assert!(poll_once(&mut group).is_pending());
            until(|| wakers.lock().unwrap().len() >= 8).await;
            let (barrier, over) = (Arc::new(std::sync::Barrier::new(2)), Arc::new(AtomicBool::new(false)));
            let (start, stop, theirs) = (barrier.clone(), over.clone(), wakers.clone());
            let waking = start_thread(move || {
                let called = theirs.lock().unwrap().clone();
                start.wait();
                while !stop.load(Ordering::SeqCst) {
                    called.iter().for_each(Waker::wake_by_ref);
                    thread::yield_now();
                }
                called.into_iter().for_each(Waker::wake);
            });
            barrier.wait();
            drop(group);
            // What was in a poll is dropped when that returns.
            until(|| census.alive() == 0).await;
            over.store(true, Ordering::SeqCst);
            waking.join().expect("no wake panics");
            mem::take(&mut *wakers.lock().unwrap()).into_iter().for_each(Waker::wake);
        }
    });
}

/// A waker of a group's, or of a task's, may re-enter the group when it is woken, replaced or dropped.
pub fn a_waker_may_re_enter_its_group<R: Runtime>(runtime: R) {
    run(runtime, async {
        for cancels in [false, true] {
            let acts = Arc::new(AtomicUsize::new(0));
            let gate = Gate::new();
            let (send, receive) = channel();
            let passing = gate.clone();
            let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
                let task = g.spawn(async move { passing.passed().await });
                send.send((g.handle(), task)).expect("the check waits");
                pending::<()>().await;
            }));
            assert!(poll_once(&mut group).is_pending());
            let (handle, task) = receive.recv().expect("the body was polled");
            let hostile = || {
                let (handle, acts) = (handle.clone(), acts.clone());
                Hostile::waker(move || {
                    // Not for ever: what is spawned here wakes the group again.
                    if acts.fetch_add(1, Ordering::SeqCst) < 100 {
                        drop(handle.spawn(async {}));
                        let _ = handle.is_cancelled();
                        if cancels {
                            handle.cancel();
                        }
                    }
                })
            };
            let (mut outcome, mut ended) = (task.outcome(), false);
            for _ in 0..2 {
                assert!(poll_with(&mut group, &hostile()).is_pending());
                ended = ended || poll_with(&mut outcome, &hostile()).is_ready();
            }
            gate.open();
            if !ended {
                let _ = outcome.await;
            }
            assert!(acts.load(Ordering::SeqCst) >= 2);
            drop(group);
        }
    });
}

/// A panic goes through whatever is around it with its payload, once, whether it comes in the first poll or later; what
/// it went through has let go of everything.
pub fn a_panic_goes_through_whatever_is_around<R: Runtime>(runtime: R) {
    #[derive(Debug, PartialEq, Eq)]
    struct NoString(usize);

    fn around<R: Runtime>() -> [Around<Boxed>; 14] {
        [
            ("a child", |work| Box::pin(task_group::<R, _, _>(async |g| g.spawn(work).await))),
            ("a child that nobody awaits", |work| {
                Box::pin(task_group::<R, _, _>(async |g| {
                    g.spawn(work);
                    pending().await
                }))
            }),
            ("a body", |work| Box::pin(task_group::<R, _, _>(async |_| work.await))),
            ("a child that may fail", |work| {
                Box::pin(async {
                    let group = try_task_group::<R, _, (), ()>(async |g| {
                        g.spawn(async {
                            work.await;
                            Ok(())
                        });
                        pending().await
                    });
                    drop(group.await);
                })
            }),
            ("a service", |work| {
                Box::pin(task_group::<R, _, _>(async |g| {
                    g.spawn_service(work);
                    pending().await
                }))
            }),
            ("a gather", |work| Box::pin(async { drop(gather::<R, _, _>([work, Box::pin(pending())]).await) })),
            ("a gather on the runtime", |work| {
                Box::pin(async { drop(gather::<R, _, _>([work, Box::pin(pending())]).parallel().await) })
            }),
            ("a race", |work| Box::pin(async { race((pending::<()>(), work)).await })),
            ("a scope", |work| {
                Box::pin(async {
                    scope::<R, _, _>(|s| async move {
                        s.spawn(work);
                        pending().await
                    })
                    .await
                })
            }),
            ("a timeout", |work| {
                Box::pin(async {
                    let _ = timeout::<R, _>(HOUR, work).await;
                })
            }),
            ("a token", |work| Box::pin(async { drop(CancelToken::<R>::new().run(work).await) })),
            ("a shield", |work| Box::pin(shield::<R, _>(HOUR, work))),
            ("work with a clean-up", |work| {
                Box::pin(async {
                    let work = async {
                        work.await;
                        Ok::<_, ()>(())
                    };
                    drop(with_cleanup::<R, _, _, _, _>(work, async {}, HOUR).await);
                })
            }),
            ("a start", |work| {
                Box::pin(task_group::<R, _, _>(async |g| {
                    g.start(|started| async move {
                        let _started = started;
                        work.await;
                    })
                    .await
                }))
            }),
        ]
    }

    surviving(|| {
        run(runtime, async {
            for (name, wrap) in around::<R>() {
                for polls in [0, 1, 4] {
                    let (census, semaphore) = (Census::new(), Arc::new(Semaphore::new(1)));
                    let (member, permits) = (census.member(), semaphore.clone());
                    let work: Boxed = Box::pin(async move {
                        let _member = member;
                        let _permit = permits.acquire().await.expect("it is open");
                        turns(polls).await;
                        panic_any(NoString(polls));
                    });
                    let payload = caught(wrap(work)).await.expect_err("it panicked");
                    assert_eq!(payload.downcast_ref(), Some(&NoString(polls)), "{name}: {:?}", said(&payload));
                    assert_eq!((census.alive(), semaphore.available_permits()), (0, 1), "{name}");
                }
            }
            // A job panics where it is awaited.
            let limiter = Limiter::new(1);
            let job = unblock::<R, _, _>(|| panic_any(NoString(7))).limiter(&limiter);
            let payload = caught(job).await.expect_err("it panicked");
            assert_eq!(payload.downcast_ref(), Some(&NoString(7)));
            assert_eq!(limiter.statistics().available, 1);
        });
    });
}

/// Thousands of children that fail at once: each that did is told of, once, the first of them first. Behind a shield none
/// is interrupted by the failure of another, and all have failed.
pub fn thousands_of_errors_at_once_are_all_kept<R: Runtime>(runtime: R) {
    const CHILDREN: usize = 10_000;

    run(runtime, async {
        for budget in [Duration::ZERO, HOUR] {
            let (census, gate, failing) = (Census::new(), Gate::new(), Arc::new(AtomicUsize::new(0)));
            let failed = try_task_group::<R, _, (), usize>(async |g| {
                for number in 0..CHILDREN {
                    let (member, passing, failing) = (census.member(), gate.clone(), failing.clone());
                    g.spawn(shield::<R, _>(budget, async move {
                        let _member = member;
                        passing.passed().await;
                        failing.fetch_add(1, Ordering::SeqCst);
                        Err::<(), _>(number)
                    }));
                }
                until(|| gate.waiting() >= CHILDREN).await;
                gate.open();
                pending().await
            });
            let failed = failed.await.expect_err("its children failed");
            assert_eq!(census.alive(), 0);
            assert_eq!(failed.errors().next(), Some(failed.first()));
            let mut errors: Vec<usize> = failed.errors().copied().collect();
            assert_eq!(errors.len(), failing.load(Ordering::SeqCst), "an error was lost");
            assert!(errors.len() == CHILDREN || budget.is_zero(), "one behind a shield was interrupted");
            errors.sort_unstable();
            errors.dedup();
            assert_eq!(errors.len(), failed.errors().count(), "an error was told twice");
        }
    });
}

/// A clock that jumps on by a century ends everything that was due by then, once; what is due later goes on waiting.
pub fn a_clock_that_jumps_ends_each_wait_once<R: Runtime>(runtime: R) {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let ended = AtomicUsize::new(0);
        let due = |after: Duration| {
            let ended = &ended;
            async move {
                sleep::<Toy<R>>(after).await;
                ended.fetch_add(1, Ordering::SeqCst);
            }
        };
        let mut sleeps = Box::pin(gather::<Toy<R>, _, _>([due(HOUR), due(YEAR), due(99 * YEAR), due(101 * YEAR)]));
        let mut late = Box::pin(timeout::<Toy<R>, _>(50 * YEAR, pending::<()>()));
        let mut ticks = interval::<Toy<R>>(HOUR).missed(MissedTicks::Skip);
        let start = ticks.tick().await;
        assert!(polled(&mut sleeps).await.is_pending() && polled(&mut late).await.is_pending());

        clock.advance(100 * YEAR);
        assert!(polled(&mut sleeps).await.is_pending(), "a sleep was early");
        assert_eq!(ended.load(Ordering::SeqCst), 3, "what was due hasn't ended, or twice");
        let Poll::Ready(Err(_)) = polled(&mut late).await else { panic!("a deadline passed unseen") };
        assert_eq!(ticks.tick().await, start + HOUR, "the first that was missed");
        let mut tick = Box::pin(ticks.tick());
        assert!(polled(&mut tick).await.is_pending(), "a tick came twice");

        clock.advance(YEAR);
        sleeps.await;
        assert_eq!(ended.load(Ordering::SeqCst), 4);
        sleep_until::<Toy<R>>(now::<Toy<R>>() - YEAR).await;
    });
}

/// A limit may be any number but none: the largest holds nobody back, and takes no memory beforehand.
pub fn limits_of_every_size_work<R: Runtime>(runtime: R) {
    run(runtime, async {
        let past = usize::try_from(u64::from(u32::MAX) + 1).unwrap_or(usize::MAX);
        for limit in [1, 2, usize::MAX >> 3, (usize::MAX >> 3) + 1, past - 1, past, usize::MAX - 1, usize::MAX] {
            let sum = TaskGroup::<R>::builder()
                .limit(limit)
                .run(async |g| {
                    g.room().await;
                    let tasks: Vec<_> = (0..5).map(|n| g.spawn(async move { n })).collect();
                    let mut sum = 0;
                    for task in tasks {
                        sum += task.await;
                    }
                    sum
                })
                .await;
            assert_eq!(sum, 10, "a group of at most {limit}");
            let values = gather::<R, _, _>((0..5).map(|n| async move { n })).limit(limit).await;
            assert_eq!(values, [0, 1, 2, 3, 4], "a gather of at most {limit}");
            let values = gather::<R, _, _>((0..5).map(|n| async move { n })).limit(limit).parallel().await;
            assert_eq!(values, [0, 1, 2, 3, 4], "a gather on the runtime of at most {limit}");

            let (sender, receiver) = bounded(limit);
            assert_eq!(receiver.capacity(), Some(limit));
            assert!(sender.send(7).await.is_ok() && receiver.recv().await.is_ok());

            let permits = limit.min(Semaphore::MAX_PERMITS);
            let (semaphore, limiter) = (Semaphore::new(permits), Limiter::new(permits));
            let all = semaphore.acquire_many(permits).await.expect("there are as many");
            assert!(semaphore.try_acquire().is_err_and(|error| error.is_no_permits()));
            assert!(semaphore.acquire_many(permits + 1).await.is_err_and(|error| error.is_too_many()));
            drop(all);
            drop(limiter.acquire().await);
            assert_eq!((semaphore.available_permits(), limiter.statistics().available), (permits, permits));

            let barrier = Barrier::new(limit);
            let mut waiting = Box::pin(barrier.wait());
            assert_eq!(settled(&mut waiting, Waker::noop()).is_ready(), limit == 1, "a barrier for {limit}");
        }
    });
}

/// More jobs than any pool has threads all run, each once, and jobs that start others and wait for them too.
pub fn more_jobs_than_threads_all_run<R: Runtime>(runtime: R) {
    const JOBS: usize = 600;

    run(runtime, async {
        let (ran, limiter) = (Arc::new(AtomicUsize::new(0)), Limiter::new(JOBS));
        let jobs = (0..JOBS).map(|_| {
            let ran = ran.clone();
            unblock::<R, _, _>(move || ran.fetch_add(1, Ordering::SeqCst)).limiter(&limiter)
        });
        let mut numbers = gather::<R, _, _>(jobs).await;
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..JOBS), "a job ran twice, or never");
        assert_eq!(limiter.statistics().available, JOBS);

        let inner = Limiter::new(4);
        let sum: usize = task_group::<R, _, _>(async |g| {
            let portal = g.portal();
            let jobs = (0..8).map(|n| {
                let (portal, inner) = (portal.clone(), inner.clone());
                unblock::<R, _, _>(move || {
                    let job = move || unblock::<R, _, _>(move || n).limiter(&inner);
                    portal.call(job).expect("the group goes on")
                })
                .limiter(&limiter)
            });
            gather::<R, _, _>(jobs).await.into_iter().sum()
        })
        .await;
        assert_eq!(sum, 28);
    });
}

/// A runtime that refuses to start a job, as one does that gets no more threads.
#[derive(Clone)]
struct Refusing<R>(R);

impl<R: Runtime> Runtime for Refusing<R> {
    type Sleep = R::Sleep;

    const REMEDY: &'static str = R::REMEDY;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn detect() -> Option<Self> {
        None
    }

    fn into_dyn(self) -> DynRuntime {
        DynRuntime::new(Self(without_keeping(self.0)))
    }

    fn spawn(&self, driver: Driver) {
        self.0.spawn(driver);
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, at: Instant) -> Result<Self::Sleep, RuntimeError> {
        self.0.sleep_until(at)
    }

    fn spawn_blocking(&self, job: Job) {
        let _job = job;
        panic!("no thread is to be had");
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn parallelism(&self) -> usize {
        self.0.parallelism()
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.0.observer()
    }
}

/// Where the runtime has no thread for a job and panics over it, the caller has the panic, and the permit is back; a
/// group with such a job ends.
pub fn a_job_that_gets_no_thread_is_told<R: Runtime>(runtime: R) {
    surviving(|| {
        run(Refusing(runtime), async {
            let (limiter, census) = (Limiter::new(1), Census::new());
            for _ in 0..2 {
                let member = census.member();
                let job = unblock::<Refusing<R>, _, _>(move || drop(member)).limiter(&limiter);
                let payload = caught(job).await.expect_err("there was no thread");
                assert_eq!(said(&payload), "no thread is to be had");
                assert_eq!((census.alive(), limiter.statistics().available), (0, 1));
            }
            let member = census.member();
            let group = task_group::<Refusing<R>, _, _>(async |g| {
                let sibling = census.member();
                g.spawn(async move {
                    pending::<()>().await;
                    drop(sibling);
                });
                g.spawn_blocking(move || drop(member)).outcome().await
            });
            match caught(group).await {
                Err(payload) => assert_eq!(said(&payload), "no thread is to be had"),
                Ok(outcome) => panic!("the group ended well: {outcome:?}"),
            }
            assert_eq!(census.alive(), 0);
        });
    });
}

/// Who holds a permit and isn't polled can't give it back: who waits for it beside is late. A child of a group is always
/// polled, so a body may wait for what its children hold.
pub fn only_who_is_not_polled_keeps_a_permit<R: Runtime>(runtime: R) {
    async fn hold(semaphore: Arc<Semaphore>, held: Gate, gate: Gate) {
        let _permit = semaphore.acquire().await.expect("it is open");
        held.open();
        gate.passed().await;
        turns(3).await;
    }

    run(runtime, async {
        let semaphore = Arc::new(Semaphore::new(1));
        let (held, gate) = (Gate::new(), Gate::new());
        let mut parked = Box::pin(hold(semaphore.clone(), held.clone(), gate.clone()));
        until(|| poll_once(&mut parked).is_pending() && held.is_open()).await;
        gate.open();
        assert!(timeout::<R, _>(Duration::from_millis(1), semaphore.acquire()).await.is_err(), "nobody gave it back");
        drop(parked);
        assert_eq!(semaphore.available_permits(), 1);

        let (held, gate) = (Gate::new(), Gate::new());
        task_group::<R, _, _>(async |g| {
            g.spawn(hold(semaphore.clone(), held.clone(), gate.clone()));
            held.passed().await;
            let waiting = semaphore.acquire();
            gate.open();
            drop(waiting.await.expect("it is open"));
        })
        .await;
        scope::<R, _, _>(|s| {
            s.spawn(hold(semaphore.clone(), held.clone(), gate.clone()));
            let semaphore = &semaphore;
            async move {
                yield_now().await;
                drop(semaphore.acquire().await.expect("it is open"));
            }
        })
        .await;
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// What may not be sent to another thread is polled and dropped on its own, also where another thread cancels it.
pub fn what_may_not_be_sent_is_dropped_where_it_lives<R: Runtime>(runtime: R) {
    /// Knows its thread.
    struct AtHome(thread::ThreadId, Rc<Cell<usize>>);

    impl Drop for AtHome {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.0, "it was dropped on another thread");
            self.1.set(self.1.get() + 1);
        }
    }

    run(runtime, async {
        for _ in 0..20 {
            let dropped = Rc::new(Cell::new(0));
            let token = CancelToken::<R>::new();
            let canceller = token.clone();
            let (started, start) = channel();
            let cancelling = on_thread(move || {
                start.recv().expect("the gather is polled");
                canceller.cancel();
            });
            let children = (0..5).map(|_| {
                let at_home = AtHome(thread::current().id(), dropped.clone());
                async move {
                    pending::<()>().await;
                    drop(at_home);
                }
            });
            let tells = async {
                yield_now().await;
                started.send(()).expect("the thread waits");
                pending::<()>().await;
            };
            let ended = token.run(gather::<R, _, _>((gather::<R, _, _>(children), tells))).await;
            assert!(ended.is_err());
            assert_eq!(dropped.get(), 5, "a future outlived its gather");
            cancelling.await;
        }
    });
}

/// A child that holds its group, its own task, or a token that holds what runs under it: nothing of it is left.
pub fn a_child_that_holds_its_own_group_leaks_nothing<R: Runtime>(runtime: R) {
    run(runtime, async {
        for drops in [false, true] {
            let census = Census::new();
            let (own, started): (Arc<StdMutex<Option<Task<()>>>>, _) = (Arc::default(), Gate::new());
            let weak: Weak<_> = Arc::downgrade(&own);
            let (member, began) = (census.member(), started.clone());
            let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
                let (handle, mine, token) = (g.handle(), own.clone(), CancelToken::<R>::new());
                let inside = token.clone();
                let task = g.spawn(async move {
                    let _all = (&handle, &mine, &member);
                    began.open();
                    let _ = token.run(async move { inside.cancelled().await }).await;
                });
                *own.lock().unwrap() = Some(task);
                drop(own);
                pending::<()>().await;
            }));
            assert!(polled(&mut group).await.is_pending());
            started.passed().await;
            if drops {
                drop(group);
            } else {
                assert!(timeout::<R, _>(Duration::ZERO, group).await.is_err());
            }
            until(|| census.alive() == 0).await;
            until(|| weak.upgrade().is_none()).await;
        }
    });
}

/// A request may come twice, from within a clean-up, from a destructor of what it cancels, and during a shutdown: the
/// first counts, and clean-up runs to its end.
pub fn a_request_may_come_again_at_any_time<R: Runtime>(runtime: R) {
    /// Cancels when it is dropped.
    struct Cancels<R: Runtime>(CancelToken<R>);

    impl<R: Runtime> Drop for Cancels<R> {
        fn drop(&mut self) {
            assert!(!self.0.cancel_with("again"), "it was the first request");
        }
    }

    run(runtime, async {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let token = CancelToken::<R>::new();
        let in_cleanup = token.clone();
        let counts = cleaned.clone();
        let asks = token.clone();
        let ended = token
            .run(async {
                let held = Cancels(asks.clone());
                let work = async move {
                    let _held = held;
                    assert!(asks.cancel_with("first"));
                    assert!(!asks.cancel_with("second"));
                    pending::<Result<(), ()>>().await
                };
                let clean = async move {
                    assert!(!in_cleanup.cancel_with("in the clean-up"));
                    turns(3).await;
                    counts.fetch_add(1, Ordering::SeqCst);
                };
                drop(with_cleanup::<R, _, _, _, _>(work, clean, HOUR).await);
            })
            .await;
        assert_eq!(ended.expect_err("it was cancelled").reason().message(), Some("first"));
        until(|| cleaned.load(Ordering::SeqCst) == 1).await;

        let (counts, event) = (cleaned.clone(), Arc::new(Event::new()));
        let begun = event.clone();
        let outcome = task_group::<R, _, _>(async |g| {
            let handle = g.handle();
            let child = g.spawn(async move {
                shield::<R, _>(HOUR, async {
                    handle.cancel_with("from behind the shield");
                    handle.cancel_with("again");
                    begun.set();
                    turns(3).await;
                    counts.fetch_add(1, Ordering::SeqCst);
                })
                .await;
                pending::<()>().await;
            });
            event.wait().await;
            let _ = (g.shutdown(Duration::ZERO).await, g.cancel_with("late"), child.cancel());
            child.outcome().await
        });
        match caught(outcome).await.expect("nobody panicked") {
            Outcome::Cancelled(reason) => assert_eq!(reason.message(), Some("from behind the shield")),
            other => panic!("it was to be cancelled: {other:?}"),
        }
        assert_eq!(cleaned.load(Ordering::SeqCst), 2);
    });
}
