use super::{Tally, below, join, one_in, pause, rest, threads};
use crate::locks::{Barrier, Condvar, Event, Mutex, OnceCell, RwLock, RwLockWriteGuard};
use crate::models::{block_on, poll_once, scenario, thread};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

/// Sixteen tasks add to a number behind a mutex, reading it first and writing it later; some leave while they wait.
#[test]
fn one_at_a_time_is_in_a_mutex() {
    scenario(|| {
        let mutex = Arc::new(Mutex::new(0));
        let adding = threads(16, {
            let mutex = mutex.clone();
            move |_| {
                if one_in(4) {
                    let mut leaving = mutex.lock();
                    if poll_once(&mut leaving).is_pending() {
                        rest();
                    }
                    return 0;
                }
                let mut number = block_on(mutex.lock());
                let before = *number;
                rest();
                *number = before + 1;
                1
            }
        });
        let added: usize = join(adding).into_iter().sum();
        assert_eq!(*mutex.try_lock().unwrap(), added);
    });
}

/// Five write and ten read; some leave, some go on to read what they wrote. Who writes is alone, and who reads sees no
/// half of a change.
#[test]
fn nobody_is_beside_one_who_writes() {
    scenario(|| {
        let lock = Arc::new(RwLock::new((0, 0)));
        let (reading, writing) = (Tally::default(), Tally::default());
        let both = threads(15, {
            let lock = lock.clone();
            move |number| {
                if number % 3 > 0 {
                    if one_in(4) {
                        return drop(poll_once(&mut lock.read()));
                    }
                    let pair = block_on(lock.read());
                    let _inside = reading.enter();
                    rest();
                    assert_eq!((pair.0, writing.get()), (pair.1, 0));
                    return;
                }
                if one_in(4) {
                    return drop(poll_once(&mut lock.write()));
                }
                let mut pair = block_on(lock.write());
                {
                    let _inside = writing.enter();
                    assert_eq!((writing.get(), reading.get()), (1, 0));
                    pair.0 += 1;
                    rest();
                    pair.1 += 1;
                }
                let written = *pair;
                if one_in(2) {
                    let pair = RwLockWriteGuard::downgrade(pair);
                    let _inside = reading.enter();
                    rest();
                    assert_eq!(*pair, written);
                }
            }
        });
        join(both);
        assert!(lock.try_write().is_some());
    });
}

/// Four tasks put five numbers each into a queue of two, and four take them out, with a mutex and two condvars; some are
/// dropped while they wait, and come again or don't. No notification is lost on those who leave.
#[test]
fn a_queue_of_condvars_loses_nothing() {
    const EACH: usize = 5;

    #[derive(Default)]
    struct Queue {
        numbers: VecDeque<usize>,
        left: usize,
    }

    /// Waits for a while, and leaves: in the queue of the condvar, or in that of the mutex. Says whether it had to.
    fn leave(mutex: &Mutex<Queue>, condvar: &Condvar, blocked: fn(&mut Queue) -> bool) -> bool {
        let guard = block_on(mutex.lock());
        let mut leaving = pin!(condvar.wait_while(guard, blocked));
        for _ in 0..2 {
            if poll_once(&mut leaving).is_ready() {
                return false;
            }
            rest();
        }
        true
    }

    scenario(|| {
        let queue =
            Arc::new((Mutex::new(Queue { left: 4 * EACH, ..Queue::default() }), Condvar::new(), Condvar::new()));
        let putting = threads(4, {
            let queue = queue.clone();
            move |number| {
                let (mutex, room, filled) = &*queue;
                for number in (number * EACH..).take(EACH) {
                    if one_in(3) {
                        leave(mutex, room, |queue| queue.numbers.len() == 2);
                    }
                    let guard = block_on(mutex.lock());
                    let mut guard = block_on(room.wait_while(guard, |queue| queue.numbers.len() == 2));
                    guard.numbers.push_back(number);
                    drop(guard);
                    filled.notify_one();
                }
            }
        });
        let taking = threads(4, {
            let queue = queue.clone();
            move |number| {
                let (mutex, room, filled) = &*queue;
                let empty: fn(&mut Queue) -> bool = |queue| queue.numbers.is_empty() && queue.left > 0;
                let mut taken = Vec::new();
                loop {
                    if one_in(3) && leave(mutex, filled, empty) && number > 1 {
                        return taken;
                    }
                    let guard = block_on(mutex.lock());
                    let mut guard = block_on(filled.wait_while(guard, empty));
                    let Some(number) = guard.numbers.pop_front() else { return taken };
                    guard.left -= 1;
                    let is_over = guard.left == 0;
                    drop(guard);
                    taken.push(number);
                    room.notify_one();
                    if is_over {
                        filled.notify_all();
                    }
                }
            }
        });
        join(putting);
        let mut taken: Vec<_> = join(taking).into_iter().flatten().collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..4 * EACH).collect::<Vec<_>>());
    });
}

/// Eight tasks meet three times at a barrier for eight: one of each round leads, and nobody is a round ahead.
#[test]
fn nobody_passes_a_barrier_alone() {
    scenario(|| {
        let (barrier, leaders) = (Arc::new(Barrier::new(8)), Tally::default());
        let arrived = [(); 3].map(|()| Tally::default());
        let meeting = threads(8, {
            let (leaders, arrived) = (leaders.clone(), arrived.clone());
            move |_| {
                for round in &arrived {
                    round.add(1);
                    let led = block_on(barrier.wait()).is_leader();
                    leaders.add(usize::from(led));
                    assert_eq!(round.get(), 8, "somebody hasn't come yet");
                }
            }
        });
        join(meeting);
        assert_eq!(leaders.get(), 3);
    });
}

/// Seven come to a barrier for three and leave, then twelve wait there: who left counts no more, and each round of these
/// lets three through.
#[test]
fn who_leaves_a_barrier_counts_no_more() {
    scenario(|| {
        let barrier = Arc::new(Barrier::new(3));
        let (passed, led) = (Tally::default(), Tally::default());
        let leaving = threads(7, {
            let (barrier, passed, led) = (barrier.clone(), passed.clone(), led.clone());
            move |_| {
                let mut leaving = barrier.wait();
                if let std::task::Poll::Ready(result) = poll_once(&mut leaving) {
                    passed.add(1);
                    led.add(usize::from(result.is_leader()));
                }
            }
        });
        join(leaving);
        // One who was let through and left hasn't seen it.
        assert!(passed.get() <= 3 * led.get());
        let rounds = led.get();
        let staying = threads(12, {
            let led = led.clone();
            move |_| {
                led.add(usize::from(block_on(barrier.wait()).is_leader()));
            }
        });
        join(staying);
        assert_eq!(led.get(), rounds + 4);
    });
}

/// Fifteen tasks wait for an event, and some leave, while two set it: one of these was the first, and all are let through.
#[test]
fn an_event_lets_all_through() {
    scenario(|| {
        let event = Arc::new(Event::new());
        let waiting = threads(15, {
            let event = event.clone();
            move |_| {
                if one_in(4) {
                    let _ = poll_once(&mut event.wait());
                    return;
                }
                block_on(event.wait());
                assert!(event.is_set());
            }
        });
        let setting = threads(2, move |_| event.set());
        assert_eq!(join(setting).into_iter().filter(|first| *first).count(), 1);
        join(waiting);
    });
}

/// Twelve tasks ask for a value; initialisers fail, are dropped or give way. It is made once, and all see it.
#[test]
fn a_value_is_made_once_though_initialisers_fail() {
    scenario(|| {
        let (cell, made, making) = (Arc::new(OnceCell::new()), Tally::default(), Tally::default());
        let asking = threads(12, {
            let (cell, made) = (cell.clone(), made.clone());
            move |number| {
                let make = async || {
                    let _inside = making.enter();
                    assert_eq!(making.get(), 1, "two make it at a time");
                    pause().await;
                    if number > 0 && below(2) == 0 {
                        return Err(());
                    }
                    made.add(1);
                    Ok(7)
                };
                if number > 0 && one_in(3) {
                    let mut leaving = pin!(cell.get_or_try_init(make));
                    let _ = poll_once(&mut leaving);
                    return;
                }
                if let Ok(value) = block_on(cell.get_or_try_init(make)) {
                    assert_eq!(*value, 7);
                }
            }
        });
        let looking = thread::spawn({
            let cell = cell.clone();
            move || assert!(cell.get().is_none_or(|value| *value == 7))
        });
        join(asking);
        looking.join().unwrap();
        assert_eq!((cell.get(), made.get()), (Some(&7), 1));
    });
}
