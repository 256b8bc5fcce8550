//! Models of a set: the wakes of its futures against its polls, the reuse of a slot, and its drop.

use super::*;
use crate::models::{Gate, Ledger, Wakes, block_on, model, thread};
use std::future::{poll_fn, ready};
use std::pin::Pin;

type BoxedFuture = Pin<Box<dyn Future<Output = u32> + Send>>;

fn after(gate: &Gate, value: u32) -> BoxedFuture {
    let passed = gate.passed();
    Box::pin(async move {
        passed.await;
        value
    })
}

fn open(gate: &Gate) -> thread::JoinHandle<()> {
    let gate = gate.clone();
    thread::spawn(move || gate.open())
}

/// Polls a set to its end. Gives the indices and values in the order in which they came.
fn drain<F: Future>(set: &mut Set<F>) -> Vec<(usize, F::Output)> {
    let mut values = Vec::new();
    block_on(poll_fn(|cx| {
        set.poll(cx, |index, value| {
            values.push((index, value));
            true
        });
        if set.len() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }));
    values
}

#[test]
fn a_wake_of_a_future_wakes_the_task_of_its_set() {
    model(|| {
        let gate = Gate::new();
        let mut set = Set::new();
        set.add(0, after(&gate, 1));
        let opening = open(&gate);
        assert_eq!(drain(&mut set), [(0, 1)]);
        opening.join().unwrap();
    });
}

#[test]
fn wakes_from_two_threads_lose_none() {
    model(|| {
        let (one, other) = (Gate::new(), Gate::new());
        let mut set = Set::new();
        set.add(0, after(&one, 1));
        set.add(1, after(&other, 2));
        let opening = [open(&one), open(&other)];
        let mut values = drain(&mut set);
        values.sort_unstable();
        assert_eq!(values, [(0, 1), (1, 2)]);
        for thread in opening {
            thread.join().unwrap();
        }
    });
}

#[test]
fn two_wakes_of_one_future_lose_none() {
    model(|| {
        let ledger = Ledger::new();
        let (one, other) = (Gate::new(), Gate::new());
        let mut set = Set::new();
        set.add(
            0,
            ledger.future(poll_fn({
                let (one, other) = (one.clone(), other.clone());
                move |cx| {
                    let (one, other) = (one.poll_open(cx), other.poll_open(cx));
                    if one.is_ready() && other.is_ready() { Poll::Ready(()) } else { Poll::Pending }
                }
            })),
        );
        let opening = [open(&one), open(&other)];
        assert_eq!(drain(&mut set), [(0, ())]);
        assert!(ledger.polls() <= 3, "a poll for each wake, and the first");
        for thread in opening {
            thread.join().unwrap();
        }
    });
}

#[test]
fn who_polls_a_set_with_another_waker_is_woken_by_that() {
    model(|| {
        let gate = Gate::new();
        let mut set = Set::new();
        set.add(0, after(&gate, 1));
        let stale = Wakes::new();
        let waker = Waker::from(stale.clone());
        set.poll(&Context::from_waker(&waker), |_, _| true);
        drop(waker);
        let opening = open(&gate);
        assert_eq!(drain(&mut set), [(0, 1)]);
        opening.join().unwrap();
        assert_eq!(Arc::strong_count(&stale), 1, "the old waker is let go");
    });
}

#[test]
fn a_late_wake_of_a_slot_does_no_harm_to_the_next_future_in_it() {
    model(|| {
        let (late, gate) = (Gate::new(), Gate::new());
        let mut set: Set<BoxedFuture> = Set::new();
        let mut passed = late.passed();
        // Ends though its gate is shut, and leaves its waker there.
        set.add(
            0,
            Box::pin(poll_fn(move |cx| {
                let _ = Pin::new(&mut passed).poll(cx);
                Poll::Ready(1)
            })),
        );
        assert_eq!(drain(&mut set), [(0, 1)]);
        let opening = [open(&late), open(&gate)];
        set.add(1, after(&gate, 2));
        assert_eq!(drain(&mut set), [(1, 2)]);
        for thread in opening {
            thread.join().unwrap();
        }
    });
}

#[test]
fn what_a_stopped_poll_did_not_get_to_stays_ready() {
    model(|| {
        let gate = Gate::new();
        let mut set: Set<BoxedFuture> = Set::new();
        set.add(0, Box::pin(ready(1)));
        set.add(1, Box::pin(ready(2)));
        set.add(2, after(&gate, 3));
        let opening = open(&gate);
        let mut values = Vec::new();
        block_on(poll_fn(|cx| {
            set.poll(cx, |index, value| {
                values.push((index, value));
                false
            });
            if set.len() == 0 { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert_eq!(values, [(0, 1), (1, 2), (2, 3)]);
        opening.join().unwrap();
    });
}

#[test]
fn a_set_that_is_dropped_during_a_wake_keeps_nothing() {
    model(|| {
        let (ledger, gate, wakes) = (Ledger::new(), Gate::new(), Wakes::new());
        let mut set = Set::new();
        set.add(0, ledger.future(gate.passed()));
        let list = Arc::downgrade(set.woken.as_ref().unwrap());
        let waker = Waker::from(wakes.clone());
        set.poll(&Context::from_waker(&waker), |_, ()| true);
        drop(waker);
        let opening = open(&gate);
        drop(set);
        assert_eq!(ledger.drops(), 1);
        opening.join().unwrap();
        assert!(wakes.count() <= 1);
        assert_eq!(Arc::strong_count(&wakes), 1);
        drop(gate);
        assert!(list.upgrade().is_none());
    });
}

#[test]
fn a_poll_sees_what_was_done_before_a_wake_that_found_the_slot_queued() {
    model(|| {
        let done = Arc::new(AtomicBool::new(false));
        let wakers = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut set = Set::new();
        set.add(
            0,
            poll_fn({
                let (done, wakers) = (done.clone(), wakers.clone());
                move |cx| {
                    // Ordering: Relaxed; the wake is what publishes it.
                    if done.load(Ordering::Relaxed) {
                        return Poll::Ready(());
                    }
                    wakers.lock().unwrap().push(cx.waker().clone());
                    Poll::Pending
                }
            }),
        );
        set.poll(&Context::from_waker(Waker::noop()), |_, ()| true);
        let waker = wakers.lock().unwrap().pop().unwrap();
        let early = thread::spawn({
            let waker = waker.clone();
            move || waker.wake()
        });
        let doing = thread::spawn(move || {
            done.store(true, Ordering::Relaxed);
            waker.wake();
        });
        assert_eq!(drain(&mut set), [(0, ())]);
        early.join().unwrap();
        doing.join().unwrap();
    });
}

#[test]
fn a_future_that_wakes_itself_is_polled_again() {
    model(|| {
        let gate = Gate::new();
        let mut set = Set::new();
        let mut polls = 0;
        // Its own wakes and the one from elsewhere come in any order, and at the same time.
        set.add(
            0,
            poll_fn({
                let gate = gate.clone();
                move |cx| {
                    polls += 1;
                    if polls < 3 {
                        cx.waker().wake_by_ref();
                    }
                    let opened = gate.poll_open(cx);
                    if opened.is_ready() && polls >= 3 { Poll::Ready(polls) } else { Poll::Pending }
                }
            }),
        );
        let opening = open(&gate);
        let values = drain(&mut set);
        assert!(values[0].1 <= 5, "one poll for the first, and one for each wake at most: {values:?}");
        opening.join().unwrap();
    });
}

#[test]
fn who_wakes_itself_is_polled_after_those_who_were_woken_before() {
    model(|| {
        let gate = Gate::new();
        let mut set: Set<BoxedFuture> = Set::new();
        set.add(0, after(&gate, 0));
        let mut first = true;
        // Opens the gate, and wakes itself behind that.
        set.add(
            1,
            Box::pin(poll_fn(move |cx| {
                if !mem::take(&mut first) {
                    return Poll::Ready(1);
                }
                gate.open();
                cx.waker().wake_by_ref();
                Poll::Pending
            })),
        );
        // Wakes itself by a waker that it has given to another thread, too.
        let mut waking = None;
        set.add(
            2,
            Box::pin(poll_fn(move |cx| {
                if let Some(thread) = waking.take() {
                    thread::JoinHandle::join(thread).unwrap();
                    return Poll::Ready(2);
                }
                let waker = cx.waker().clone();
                waking = Some(thread::spawn(move || waker.wake()));
                cx.waker().wake_by_ref();
                Poll::Pending
            })),
        );
        assert_eq!(drain(&mut set), [(0, 0), (1, 1), (2, 2)]);
    });
}

#[test]
fn a_panic_of_one_that_has_woken_itself_loses_no_wake() {
    model(|| {
        let gate = Gate::new();
        let mut set: Set<BoxedFuture> = Set::new();
        let mut first = true;
        set.add(
            0,
            Box::pin(poll_fn(move |cx| {
                if !mem::take(&mut first) {
                    return Poll::Ready(0);
                }
                cx.waker().wake_by_ref();
                std::panic::resume_unwind(Box::new(()));
            })),
        );
        set.add(1, after(&gate, 1));
        let opening = open(&gate);
        assert!(guard::catch(|| drain(&mut set)).is_err());
        let mut values = drain(&mut set);
        values.sort_unstable();
        assert_eq!(values, [(0, 0), (1, 1)]);
        opening.join().unwrap();
    });
}
