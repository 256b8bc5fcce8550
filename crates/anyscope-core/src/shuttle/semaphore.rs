use super::{Tally, below, join, one_in, rest, threads};
use crate::models::{block_on, poll_once, scenario, thread};
use crate::semaphore::{Semaphore, Statistics};
use std::sync::{Arc, Mutex};
use std::task::Poll;

#[track_caller]
fn assert_whole(semaphore: &Semaphore, total: usize) {
    assert_eq!(semaphore.statistics(), Statistics { total, available: total, borrowed: 0, waiting: 0 });
}

/// Twenty tasks take one to three of four permits, wait for them, try, or leave before they have them; another adds two
/// and takes two out of the world. No permit is lost, and none is made.
#[test]
fn permits_are_neither_lost_nor_made() {
    scenario(|| {
        let semaphore = Arc::new(Semaphore::new(4));
        let taken = Tally::default();
        let resizing = thread::spawn({
            let semaphore = semaphore.clone();
            move || {
                semaphore.add_permits(2);
                block_on(semaphore.acquire_many(2)).unwrap().forget();
            }
        });
        let asking = threads(20, {
            let (semaphore, taken) = (semaphore.clone(), taken.clone());
            move |_| {
                let permits = 1 + below(3);
                let permit = match below(4) {
                    0 => semaphore.try_acquire_many(permits).ok(),
                    1 => match poll_once(&mut semaphore.acquire_many(permits)) {
                        Poll::Ready(permit) => Some(permit.unwrap()),
                        Poll::Pending => None,
                    },
                    _ => Some(block_on(semaphore.acquire_many(permits)).unwrap()),
                };
                let Some(permit) = permit else { return };
                assert!(taken.add(permits) <= 6, "more than there ever were");
                rest();
                taken.remove(permits);
                drop(permit);
            }
        });
        join(asking);
        resizing.join().unwrap();
        assert_whole(&semaphore, 4);
    });
}

/// Fourteen wait in a known order, each for more than half, so that one at a time is in; some leave, while the permits
/// come back one by one from other tasks. The others are let in in their order, and three that come anew after them.
#[test]
fn who_waits_is_served_in_the_order_of_asking() {
    scenario(|| {
        let semaphore = Arc::new(Semaphore::new(4));
        let held: Vec<_> = (0..4).map(|_| semaphore.try_acquire_arc().unwrap()).collect();
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..14)
            .map(|number| {
                let mut acquire = semaphore.acquire_many_arc(3 + below(2));
                assert!(poll_once(&mut acquire).is_pending());
                let order = order.clone();
                thread::spawn(move || {
                    if one_in(3) {
                        return drop(acquire);
                    }
                    let permit = block_on(acquire).unwrap();
                    order.lock().unwrap().push(number);
                    rest();
                    drop(permit);
                })
            })
            .collect();
        let coming = threads(3, {
            let (semaphore, order) = (semaphore.clone(), order.clone());
            move |_| {
                let permit = match one_in(2) {
                    true => semaphore.try_acquire_many(3).ok(),
                    false => Some(block_on(semaphore.acquire_many(3)).unwrap()),
                };
                if permit.is_some() {
                    order.lock().unwrap().push(14);
                    rest();
                }
            }
        });
        let releasing = held.into_iter().map(|permit| thread::spawn(move || drop(permit))).collect();
        join(releasing);
        join(waiting);
        join(coming);
        assert!(order.lock().unwrap().is_sorted());
        assert_whole(&semaphore, 4);
    });
}

/// Sixteen tasks ask while another closes: each has a permit or is told, and nobody is let in who asked afterwards.
#[test]
fn a_close_reaches_all_who_wait_and_all_who_come() {
    scenario(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let asking = threads(16, {
            let semaphore = semaphore.clone();
            move |_| {
                let was_closed = semaphore.is_closed();
                match block_on(semaphore.acquire_many(1 + below(2))) {
                    Ok(permit) => {
                        assert!(!was_closed);
                        rest();
                        drop(permit);
                    }
                    Err(error) => assert!(error.is_closed() && semaphore.is_closed()),
                }
            }
        });
        semaphore.close();
        join(asking);
        assert_whole(&semaphore, 2);
    });
}
