//! Models of the permits: who asks against who releases, leaves, closes, resizes.

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
        let panicking = thread::spawn(move || {
            let panic = crate::guard::catch(|| {
                let _permit = permit;
                std::panic::resume_unwind(Box::new("boom"))
            });
            let Err(_) = panic;
        });
        drop(block_on(semaphore.acquire()).unwrap());
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
