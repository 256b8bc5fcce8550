//! Models of the locks: who waits against who lets through, leaves, or comes meanwhile.
//!
//! A [`Counter`] is read and then written: two who are in at once, or one who doesn't see what the one before wrote,
//! lose a count.

use super::*;
use crate::models::{Wakes, block_on, model, model_bounded, poll_once, thread};
use crate::sync::{Arc, AtomicUsize, Ordering};
use std::task::Poll;

struct Counter(AtomicUsize);

impl Counter {
    fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    fn read(&self) -> usize {
        // Ordering: Relaxed; the lock under test orders it.
        self.0.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.0.store(self.read() + 1, Ordering::Relaxed);
    }
}

fn elsewhere<T: Send + Sync + 'static>(shared: &Arc<T>, f: impl FnOnce(&T) + Send + 'static) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || f(&shared))
}

#[test]
fn one_at_a_time_is_in_a_mutex() {
    model(|| {
        let mutex = Arc::new(Mutex::new(Counter::new()));
        let other = elsewhere(&mutex, |mutex| block_on(mutex.lock()).count());
        block_on(mutex.lock_arc()).count();
        if let Some(guard) = mutex.try_lock() {
            guard.count();
            drop(guard);
            other.join().unwrap();
            assert_eq!(mutex.try_lock().unwrap().read(), 3);
        } else {
            other.join().unwrap();
            assert_eq!(mutex.try_lock().unwrap().read(), 2);
        }
    });
}

#[test]
fn a_waiter_for_a_mutex_that_is_dropped_during_an_unlock_passes_it_on() {
    model(|| {
        let mutex = Arc::new(Mutex::new(Counter::new()));
        let held = mutex.try_lock_arc().unwrap();
        let (mut leaving, mut next) = (mutex.lock_arc(), mutex.lock_arc());
        assert!(poll_once(&mut leaving).is_pending() && poll_once(&mut next).is_pending());
        let unlocking = thread::spawn(move || {
            held.count();
            drop(held);
        });
        let leaving = thread::spawn(move || drop(leaving));
        let guard = block_on(next);
        assert_eq!(guard.read(), 1);
        drop(guard);
        unlocking.join().unwrap();
        leaving.join().unwrap();
        assert!(mutex.try_lock().is_some());
    });
}

#[test]
fn who_reads_sees_what_was_written_and_nobody_who_writes() {
    model(|| {
        let lock = Arc::new(RwLock::new((Counter::new(), Counter::new())));
        let writing = elsewhere(&lock, |lock| {
            let value = block_on(lock.write());
            value.0.count();
            value.1.count();
        });
        let reading = elsewhere(&lock, |lock| {
            let value = block_on(lock.read());
            assert_eq!(value.0.read(), value.1.read());
        });
        let value = block_on(lock.read());
        assert_eq!(value.0.read(), value.1.read());
        drop(value);
        writing.join().unwrap();
        reading.join().unwrap();
        assert_eq!(lock.try_write().unwrap().0.read(), 1);
    });
}

#[test]
fn nobody_writes_between_a_change_and_the_look_it_is_downgraded_to() {
    model(|| {
        let lock = Arc::new(RwLock::new(Counter::new()));
        let writing = elsewhere(&lock, |lock| block_on(lock.write()).count());
        let value = block_on(lock.write());
        value.count();
        let written = value.read();
        let value = RwLockWriteGuard::downgrade(value);
        assert_eq!(value.read(), written);
        drop(value);
        writing.join().unwrap();
        assert_eq!(lock.try_read().unwrap().read(), 2);
    });
}

#[test]
fn a_notification_after_a_change_reaches_who_waits_for_it() {
    model(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let changing = elsewhere(&shared, |(mutex, condvar)| {
            *block_on(mutex.lock()) = true;
            condvar.notify_one();
        });
        let (mutex, condvar) = &*shared;
        assert!(*block_on(async { condvar.wait_while(mutex.lock().await, |done| !*done).await }));
        changing.join().unwrap();
    });
}

/// Dropped while it is queued, notified, or waits for the mutex.
#[test]
fn a_notified_waiter_that_is_dropped_passes_the_notification_on() {
    model_bounded(2, || {
        let shared = Arc::new((Mutex::new(()), Condvar::new()));
        let (begun, begin) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let leaving = thread::spawn({
            let (shared, begun, begin) = (shared.clone(), begun.clone(), begin.clone());
            move || {
                let (mutex, condvar) = &*shared;
                let mut leaving = condvar.wait(mutex.try_lock().unwrap());
                assert!(poll_once(&mut leaving).is_pending());
                begun.set();
                block_on(begin.wait());
                poll_once(&mut leaving).is_ready()
            }
        });
        block_on(begun.wait());
        let (mutex, condvar) = &*shared;
        let mut next = condvar.wait(mutex.try_lock().unwrap());
        assert!(poll_once(&mut next).is_pending());
        let held = mutex.try_lock();
        begin.set();
        condvar.notify_one();
        drop(held);
        let had_its_guard = leaving.join().unwrap();
        assert_eq!(poll_once(&mut next).is_pending(), had_its_guard, "one notification is for one");
        drop(next);
        assert!(mutex.try_lock().is_some());
    });
}

#[test]
fn an_event_that_is_set_meanwhile_is_not_missed() {
    model(|| {
        let event = Arc::new(Event::new());
        let leaving = thread::spawn({
            let event = event.clone();
            move || {
                let mut leaving = event.wait();
                let _ = poll_once(&mut leaving);
            }
        });
        let setting = elsewhere(&event, |event| assert!(event.set()));
        block_on(event.wait());
        leaving.join().unwrap();
        setting.join().unwrap();
        assert!(event.is_set() && !event.set());
    });
}

#[test]
fn a_barrier_lets_all_through_and_one_of_each_round_leads() {
    model_bounded(2, || {
        let shared = Arc::new((Barrier::new(2), Counter::new(), AtomicUsize::new(0)));
        let rounds = |(barrier, counter, leaders): &(Barrier, Counter, AtomicUsize)| {
            for round in 1..=2 {
                if block_on(barrier.wait()).is_leader() {
                    counter.count();
                    leaders.fetch_add(1, Ordering::Relaxed);
                }
                block_on(barrier.wait());
                assert_eq!(counter.read(), round);
                block_on(barrier.wait());
            }
        };
        let other = elsewhere(&shared, rounds);
        rounds(&shared);
        other.join().unwrap();
        assert_eq!(shared.2.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn who_leaves_a_barrier_before_it_is_full_counts_no_more() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let leaving = thread::spawn({
            let barrier = barrier.clone();
            move || {
                let mut leaving = barrier.wait();
                poll_once(&mut leaving).is_ready()
            }
        });
        let mut waiting = barrier.wait();
        let passed = poll_once(&mut waiting).is_ready();
        let led = leaving.join().unwrap();
        assert!(!(passed && led), "both can't be the last");
        if !passed && !led {
            // Either it was full at a time, and this one is let through, or it waits for one more.
            if poll_once(&mut waiting).is_pending() {
                assert!(matches!(poll_once(&mut barrier.wait()), Poll::Ready(result) if result.is_leader()));
                assert!(poll_once(&mut waiting).is_ready());
            }
        }
    });
}

#[test]
fn a_value_is_made_once_and_seen_by_all() {
    model(|| {
        let shared = Arc::new((OnceCell::new(), Counter::new()));
        let ask = |(cell, made): &(OnceCell<usize>, Counter)| {
            let value = block_on(cell.get_or_init(async || {
                made.count();
                7
            }));
            assert_eq!(*value, 7);
        };
        let other = elsewhere(&shared, ask);
        let looking = elsewhere(&shared, |(cell, _)| assert!(cell.get().is_none_or(|value| *value == 7)));
        ask(&shared);
        other.join().unwrap();
        looking.join().unwrap();
        // Looked at here: that whoever sees the value sees what came before, a std cell answers for, which loom knows
        // nothing of.
        assert_eq!(shared.1.read(), 1);
    });
}

#[test]
fn an_initialiser_that_fails_or_is_dropped_lets_the_next_try() {
    model(|| {
        let cell = Arc::new(OnceCell::new());
        let failing = elsewhere(&cell, |cell| {
            assert!(block_on(cell.get_or_try_init(async || Err(()))).is_err_and(|()| true) || cell.get().is_some());
        });
        let leaving = elsewhere(&cell, |cell| {
            let mut asking = Box::pin(cell.get_or_init(std::future::pending));
            let _ = poll_once(&mut asking);
        });
        assert_eq!(block_on(cell.get_or_init(async || 7)), &7);
        failing.join().unwrap();
        leaving.join().unwrap();
        assert!(cell.set(8).unwrap_err().is_set());
    });
}

#[test]
fn a_waker_that_was_replaced_is_let_go() {
    model(|| {
        let event = Arc::new(Event::new());
        let stale = Wakes::new();
        let mut waiting = event.wait();
        let waker = std::task::Waker::from(stale.clone());
        assert!(
            std::pin::Pin::new(&mut waiting).poll(&mut std::task::Context::from_waker(&waker)).is_pending(),
            "it isn't set"
        );
        drop(waker);
        let setting = elsewhere(&event, |event| {
            event.set();
        });
        block_on(waiting);
        setting.join().unwrap();
        assert_eq!(Arc::strong_count(&stale), 1);
    });
}
