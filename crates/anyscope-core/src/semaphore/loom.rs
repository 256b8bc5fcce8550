//! Models of the permits: who asks against who releases, leaves, closes, resizes; with the lock and without.
//!
//! A [`Counter`] is read and then written: two who have the one permit at once, or one who doesn't see what the one
//! before did with it, lose a count.

use super::*;
use crate::limiter::Limiter;
use crate::models::{Wakes, block_on, model, poll_once, thread};

fn semaphore(permits: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits))
}

/// A permit for the model to hold from the beginning.
fn take(semaphore: &Arc<Semaphore>, permits: usize) -> PermitArc {
    match poll_once(&mut semaphore.acquire_many_arc(permits)) {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("not to be had at once: {other:?}"),
    }
}

/// One who has asked and waits.
fn queued(semaphore: &Arc<Semaphore>, permits: usize) -> AcquireArc {
    let mut acquire = semaphore.acquire_many_arc(permits);
    assert!(poll_once(&mut acquire).is_pending());
    acquire
}

struct Counter(AtomicUsize);

impl Counter {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }

    fn read(&self) -> usize {
        // Ordering: Relaxed; the permit under test orders it.
        self.0.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.0.store(self.read() + 1, Ordering::Relaxed);
    }
}

/// Counts with a permit, if it is to be had at once. Returns how often it did.
fn try_to_count(semaphore: &Semaphore, counter: &Counter) -> usize {
    let Ok(_permit) = semaphore.try_acquire() else { return 0 };
    counter.count();
    1
}

fn drop_elsewhere<T: Send + 'static>(value: T) -> thread::JoinHandle<()> {
    thread::spawn(move || drop(value))
}

/// All that there ever was is there again, and nobody waits.
#[track_caller]
fn assert_whole(semaphore: &Semaphore, total: usize) {
    let statistics = semaphore.statistics();
    assert_eq!(statistics, Statistics { total, available: total, borrowed: 0, waiting: 0 });
}

#[test]
fn who_asks_while_a_permit_is_released_gets_it() {
    model(|| {
        let semaphore = semaphore(1);
        let releasing = drop_elsewhere(take(&semaphore, 1));
        let permit = block_on(semaphore.acquire()).unwrap();
        assert_eq!(semaphore.available_permits(), 0);
        drop(permit);
        releasing.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn who_asks_again_with_another_waker_is_woken_by_that() {
    model(|| {
        let semaphore = semaphore(1);
        let permit = take(&semaphore, 1);
        let stale = Wakes::new();
        let waker = Waker::from(stale.clone());
        let mut acquire = semaphore.acquire_arc();
        assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        let releasing = drop_elsewhere(permit);
        drop(block_on(acquire).unwrap());
        releasing.join().unwrap();
        assert_eq!(Arc::strong_count(&stale), 1, "the old waker is let go");
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn a_waiter_that_is_dropped_during_a_release_passes_the_permit_on() {
    model(|| {
        let semaphore = semaphore(1);
        let permit = take(&semaphore, 1);
        let leaving = queued(&semaphore, 1);
        let next = queued(&semaphore, 1);
        let releasing = drop_elsewhere(permit);
        let leaving = drop_elsewhere(leaving);
        drop(block_on(next).unwrap());
        releasing.join().unwrap();
        leaving.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn a_large_waiter_that_is_dropped_lets_the_small_one_behind_it_through() {
    model(|| {
        let semaphore = semaphore(2);
        let permit = take(&semaphore, 1);
        let other = take(&semaphore, 1);
        let large = queued(&semaphore, 2);
        let small = queued(&semaphore, 1);
        let releasing = drop_elsewhere(permit);
        let leaving = drop_elsewhere(large);
        let small = block_on(small).unwrap();
        releasing.join().unwrap();
        leaving.join().unwrap();
        drop((small, other));
        assert_whole(&semaphore, 2);
    });
}

#[test]
fn a_waiter_and_its_permit_that_are_both_dropped_leave_nothing_behind() {
    model(|| {
        let semaphore = semaphore(1);
        let releasing = drop_elsewhere(take(&semaphore, 1));
        let mut acquire = semaphore.acquire_arc();
        let early = poll_once(&mut acquire);
        drop(acquire);
        drop(early);
        releasing.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn a_close_ends_the_wait_of_who_asks_meanwhile() {
    model(|| {
        let semaphore = semaphore(0);
        let closing = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.close()
        });
        assert!(block_on(semaphore.acquire()).unwrap_err().is_closed());
        closing.join().unwrap();
        assert_whole(&semaphore, 0);
    });
}

#[test]
fn a_waiter_that_is_dropped_during_a_close_gives_back_what_it_had_and_no_more() {
    model(|| {
        let semaphore = semaphore(1);
        let permit = take(&semaphore, 1);
        let leaving = queued(&semaphore, 1);
        let closing = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.close()
        });
        let leaving = drop_elsewhere(leaving);
        drop(permit);
        closing.join().unwrap();
        leaving.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn a_close_lasts_though_permits_are_forgotten_meanwhile() {
    model(|| {
        let semaphore = semaphore(2);
        let permit = take(&semaphore, 1);
        let forgetting = thread::spawn(move || permit.forget());
        semaphore.close();
        forgetting.join().unwrap();
        assert!(block_on(semaphore.acquire()).unwrap_err().is_closed());
    });
}

#[test]
fn a_waker_may_re_enter_the_semaphore_that_wakes_it() {
    struct Asks(Arc<Semaphore>);

    impl std::task::Wake for Asks {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.statistics().total, 1);
        }
    }

    model(|| {
        let semaphore = semaphore(1);
        let permit = take(&semaphore, 1);
        let waker = Waker::from(Arc::new(Asks(semaphore.clone())));
        let mut acquire = semaphore.acquire_arc();
        assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)).is_pending());
        let releasing = drop_elsewhere(permit);
        drop(block_on(acquire).unwrap());
        releasing.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn who_panics_with_a_permit_lets_the_next_in() {
    model(|| {
        let semaphore = semaphore(1);
        let permit = take(&semaphore, 1);
        // One who waits by now: loom's threads share what std knows of panics, so that one which asks, and takes what is
        // open out under the lock, would poison loom's own.
        let waiting = queued(&semaphore, 1);
        let panicking = thread::spawn(move || {
            let panic = crate::guard::catch(|| {
                let _permit = permit;
                std::panic::resume_unwind(Box::new("boom"))
            });
            let Err(_) = panic;
        });
        drop(block_on(waiting).unwrap());
        panicking.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn an_acquire_that_is_forgotten_before_it_asked_keeps_nothing() {
    model(|| {
        let semaphore = semaphore(1);
        let forgetting = thread::spawn({
            let semaphore = semaphore.clone();
            move || {
                std::mem::forget(semaphore.acquire());
                drop(semaphore.try_acquire());
            }
        });
        drop(block_on(semaphore.acquire()).unwrap());
        forgetting.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn a_close_against_a_release_gives_the_permit_or_the_error() {
    model(|| {
        let semaphore = semaphore(1);
        let permit = take(&semaphore, 1);
        let waiting = queued(&semaphore, 1);
        let next = queued(&semaphore, 1);
        let releasing = drop_elsewhere(permit);
        let closing = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.close()
        });
        match block_on(waiting) {
            Ok(permit) => drop(permit),
            Err(error) => assert!(error.is_closed()),
        }
        // Once closed, who hadn't been handed a permit gets none.
        if let Err(error) = block_on(next) {
            assert!(error.is_closed());
        }
        releasing.join().unwrap();
        closing.join().unwrap();
        assert!(semaphore.try_acquire().unwrap_err().is_closed());
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn nobody_takes_a_permit_past_one_who_waits() {
    model(|| {
        let semaphore = semaphore(1);
        let permit = take(&semaphore, 1);
        let mut waiting = queued(&semaphore, 1);
        let releasing = drop_elsewhere(permit);
        assert!(semaphore.try_acquire().is_err());
        let mut late = semaphore.acquire_arc();
        assert!(poll_once(&mut late).is_pending());
        releasing.join().unwrap();
        assert!(matches!(poll_once(&mut waiting), Poll::Ready(Ok(_))), "the permit was handed to who came first");
        drop(waiting);
        assert!(matches!(poll_once(&mut late), Poll::Ready(Ok(_))));
        drop(late);
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn nobody_takes_what_is_free_past_one_who_waits_for_more() {
    model(|| {
        let semaphore = semaphore(2);
        let permit = take(&semaphore, 1);
        let large = queued(&semaphore, 2);
        let releasing = drop_elsewhere(permit);
        assert!(semaphore.try_acquire().is_err());
        let mut late = semaphore.acquire_arc();
        assert!(poll_once(&mut late).is_pending());
        drop(block_on(large).unwrap());
        releasing.join().unwrap();
        assert!(matches!(poll_once(&mut late), Poll::Ready(Ok(_))));
        drop(late);
        assert_whole(&semaphore, 2);
    });
}

#[test]
fn a_large_request_is_served_when_all_of_it_is_there() {
    model(|| {
        let semaphore = semaphore(2);
        let (one, other) = (take(&semaphore, 1), take(&semaphore, 1));
        let mut large = queued(&semaphore, 2);
        let releasing = drop_elsewhere(one);
        assert!(poll_once(&mut large).is_pending(), "one of two is still held");
        drop(other);
        drop(block_on(large).unwrap());
        releasing.join().unwrap();
        assert_whole(&semaphore, 2);
    });
}

#[test]
fn permits_released_at_once_serve_as_many_as_they_suffice_for() {
    model(|| {
        let semaphore = semaphore(2);
        let permits = take(&semaphore, 2);
        let (one, other) = (queued(&semaphore, 1), queued(&semaphore, 1));
        let releasing = drop_elsewhere(permits);
        let (one, other) = (block_on(one).unwrap(), block_on(other).unwrap());
        assert_eq!(semaphore.available_permits(), 0);
        drop((one, other));
        releasing.join().unwrap();
        assert_whole(&semaphore, 2);
    });
}

#[test]
fn a_small_request_does_not_overtake_a_large_one() {
    model(|| {
        let semaphore = semaphore(2);
        let (one, other) = (take(&semaphore, 1), take(&semaphore, 1));
        let mut large = queued(&semaphore, 2);
        let mut small = queued(&semaphore, 1);
        let (one, other) = (drop_elsewhere(one), drop_elsewhere(other));
        assert!(poll_once(&mut small).is_pending(), "both permits are the large one's");
        one.join().unwrap();
        other.join().unwrap();
        let Poll::Ready(Ok(permits)) = poll_once(&mut large) else { panic!("released to nobody") };
        assert!(poll_once(&mut small).is_pending());
        drop(permits);
        let Poll::Ready(Ok(permit)) = poll_once(&mut small) else { panic!("released to nobody") };
        drop(permit);
        assert_whole(&semaphore, 2);
    });
}

#[test]
fn waiters_on_two_threads_are_all_served() {
    model(|| {
        let semaphore = semaphore(1);
        let permit = take(&semaphore, 1);
        let waiting = thread::spawn({
            let semaphore = semaphore.clone();
            move || drop(block_on(semaphore.acquire()).unwrap())
        });
        let releasing = drop_elsewhere(permit);
        drop(block_on(semaphore.acquire()).unwrap());
        waiting.join().unwrap();
        releasing.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn permits_that_are_added_go_to_who_waits_for_them() {
    model(|| {
        let semaphore = semaphore(0);
        let adding = thread::spawn({
            let semaphore = semaphore.clone();
            move || {
                semaphore.add_permits(1);
                semaphore.add_permits(1);
            }
        });
        // A gate takes any request; while it has one permit, two are more than there are.
        match block_on(semaphore.acquire_many(2)) {
            Ok(permits) => drop(permits),
            Err(error) => assert!(error.is_too_many()),
        }
        adding.join().unwrap();
        assert_whole(&semaphore, 2);
    });
}

#[test]
fn a_limiter_that_shrinks_and_grows_loses_no_permit_and_no_waiter() {
    model(|| {
        let limiter = Limiter::new(1);
        let held = limiter.try_acquire().unwrap();
        let resizing = thread::spawn({
            let limiter = limiter.clone();
            move || {
                limiter.set_total(0);
                limiter.set_total(2);
            }
        });
        let releasing = drop_elsewhere(held);
        let permit = block_on(limiter.acquire());
        assert!(limiter.statistics().borrowed >= 1);
        drop(permit);
        resizing.join().unwrap();
        releasing.join().unwrap();
        assert_eq!(limiter.statistics(), Statistics { total: 2, available: 2, borrowed: 0, waiting: 0 });
    });
}

#[test]
fn a_limiter_that_shrinks_below_what_is_held_gives_nothing_before_that_is_back() {
    model(|| {
        let limiter = Limiter::new(2);
        let (one, other) = (limiter.try_acquire().unwrap(), limiter.try_acquire().unwrap());
        limiter.set_total(1);
        let mut waiting = limiter.acquire();
        assert!(poll_once(&mut waiting).is_pending());
        let releasing = drop_elsewhere(one);
        assert!(poll_once(&mut waiting).is_pending(), "one of one is still held");
        releasing.join().unwrap();
        let releasing = drop_elsewhere(other);
        drop(block_on(waiting));
        releasing.join().unwrap();
        assert_eq!(limiter.statistics(), Statistics { total: 1, available: 1, borrowed: 0, waiting: 0 });
    });
}

#[test]
fn of_two_resizes_the_last_counts_whole() {
    model(|| {
        let limiter = Limiter::new(1);
        let held = limiter.try_acquire().unwrap();
        let resizing = [2, 3].map(|total| {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.set_total(total))
        });
        drop(block_on(limiter.acquire()));
        for thread in resizing {
            thread.join().unwrap();
        }
        drop(held);
        let Statistics { total, available, borrowed, waiting } = limiter.statistics();
        assert!(total == 2 || total == 3);
        assert_eq!((available, borrowed, waiting), (total, 0, 0));
    });
}

#[test]
fn permits_that_are_forgotten_are_gone_and_no_others() {
    model(|| {
        let semaphore = semaphore(2);
        let (one, other) = (take(&semaphore, 1), take(&semaphore, 1));
        let waiting = queued(&semaphore, 1);
        let forgetting = thread::spawn(move || one.forget());
        let releasing = drop_elsewhere(other);
        drop(block_on(waiting).unwrap());
        forgetting.join().unwrap();
        releasing.join().unwrap();
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn who_takes_what_is_open_sees_what_was_done_with_it() {
    model(|| {
        let (semaphore, counter) = (semaphore(1), Counter::new());
        let others = [(); 2].map(|()| {
            let (semaphore, counter) = (semaphore.clone(), counter.clone());
            thread::spawn(move || try_to_count(&semaphore, &counter))
        });
        let mut counted = try_to_count(&semaphore, &counter);
        for other in others {
            counted += other.join().unwrap();
        }
        assert!(counted >= 1, "the first of all has it");
        assert_eq!(counter.read(), counted);
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn who_asks_under_the_lock_sees_what_was_done_without_it() {
    model(|| {
        let (semaphore, counter) = (semaphore(1), Counter::new());
        let other = thread::spawn({
            let (semaphore, counter) = (semaphore.clone(), counter.clone());
            move || {
                let _permit = block_on(semaphore.acquire()).unwrap();
                counter.count();
            }
        });
        let permit = block_on(semaphore.acquire()).unwrap();
        counter.count();
        drop(permit);
        other.join().unwrap();
        assert_eq!(counter.read(), 2);
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn who_takes_what_a_waiter_left_open_sees_what_was_done_with_it() {
    model(|| {
        let (semaphore, counter) = (semaphore(1), Counter::new());
        let permit = take(&semaphore, 1);
        let leaving = queued(&semaphore, 1);
        let releasing = thread::spawn({
            let counter = counter.clone();
            move || {
                counter.count();
                drop(permit);
            }
        });
        let trying = thread::spawn({
            let (semaphore, counter) = (semaphore.clone(), counter.clone());
            move || try_to_count(&semaphore, &counter)
        });
        drop(leaving);
        releasing.join().unwrap();
        let counted = 1 + trying.join().unwrap();
        assert_eq!(counter.read(), counted);
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn of_those_who_ask_for_more_and_for_less_at_once_both_are_served() {
    model(|| {
        let semaphore = semaphore(2);
        let other = thread::spawn({
            let semaphore = semaphore.clone();
            move || drop(block_on(semaphore.acquire_many(2)).unwrap())
        });
        drop(block_on(semaphore.acquire()).unwrap());
        other.join().unwrap();
        assert_whole(&semaphore, 2);
    });
}

#[test]
fn what_the_last_waiter_leaves_is_open_to_all() {
    model(|| {
        let semaphore = semaphore(2);
        let permit = take(&semaphore, 1);
        let leaving = drop_elsewhere(queued(&semaphore, 2));
        let releasing = drop_elsewhere(permit);
        // One is free all the time, and whoever waits for two may be gone.
        let permit = semaphore.try_acquire();
        leaving.join().unwrap();
        releasing.join().unwrap();
        assert!(semaphore.try_acquire().is_ok());
        drop(permit);
        assert!(semaphore.try_acquire_many(2).is_ok());
        assert_whole(&semaphore, 2);
    });
}

#[test]
fn who_takes_what_is_open_during_a_close_has_it_or_is_told() {
    model(|| {
        let semaphore = semaphore(1);
        let closing = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.close()
        });
        let permit = semaphore.try_acquire();
        assert!(permit.as_ref().err().is_none_or(TryAcquireError::is_closed));
        closing.join().unwrap();
        drop(permit);
        assert!(semaphore.try_acquire().unwrap_err().is_closed(), "a permit that comes back opens nothing");
        assert_whole(&semaphore, 1);
    });
}

#[test]
fn a_snapshot_adds_up_while_permits_come_and_go_and_there_are_more() {
    model(|| {
        let limiter = Limiter::new(1);
        let taking = thread::spawn({
            let limiter = limiter.clone();
            move || drop(limiter.try_acquire())
        });
        let resizing = thread::spawn({
            let limiter = limiter.clone();
            move || limiter.set_total(2)
        });
        let Statistics { total, available, borrowed, waiting } = limiter.statistics();
        assert_eq!((available + borrowed, waiting), (total, 0));
        assert!(borrowed <= 1);
        taking.join().unwrap();
        resizing.join().unwrap();
        assert_eq!(limiter.statistics(), Statistics { total: 2, available: 2, borrowed: 0, waiting: 0 });
    });
}

#[test]
fn what_is_taken_while_a_limiter_shrinks_comes_back_to_what_there_is() {
    model(|| {
        let limiter = Limiter::new(2);
        let taking = [(); 2].map(|()| {
            let limiter = limiter.clone();
            thread::spawn(move || limiter.try_acquire().is_some())
        });
        limiter.set_total(1);
        let Statistics { available, borrowed, .. } = limiter.statistics();
        assert!(available <= 1 && borrowed <= 2 && available + borrowed <= 2);
        let [one, other] = taking.map(|thread| thread.join().unwrap());
        assert!(one || other, "one is free all the time for one of them");
        assert_eq!(limiter.statistics(), Statistics { total: 1, available: 1, borrowed: 0, waiting: 0 });
        let permit = limiter.try_acquire();
        assert!(permit.is_some() && limiter.try_acquire().is_none());
    });
}
