use super::{Tally, join, one_in, rest, threads};
use crate::limiter::Limiter;
use crate::models::{block_on, poll_once, scenario, thread};
use crate::semaphore::Statistics;
use std::task::Poll;

const KEYS: [&str; 4] = ["ann", "bob", "cy", "dee"];

/// Sixteen tasks ask for permits, half of them for a key, some leave; the limiter shrinks to nothing and grows
/// meanwhile. Never are more in than there ever were, nor two for one key, and nobody waits for ever.
#[test]
fn a_limiter_is_resized_under_load() {
    scenario(|| {
        let limiter = Limiter::new(2);
        let (all, keyed) = (Tally::default(), [(); KEYS.len()].map(|()| Tally::default()));
        let resizing = thread::spawn({
            let limiter = limiter.clone();
            move || {
                for total in [0, 3, 1, 0, 2] {
                    limiter.set_total(total);
                    rest();
                }
            }
        });
        let asking = threads(16, {
            let limiter = limiter.clone();
            move |number| {
                let key = number % 8;
                let mine = keyed.get(key);
                let permit = if mine.is_some() {
                    let mut acquire = limiter.acquire_for(KEYS[key]);
                    if one_in(4) {
                        let Poll::Ready(permit) = poll_once(&mut acquire) else { return };
                        permit
                    } else {
                        block_on(acquire)
                    }
                } else if one_in(4) {
                    Ok(limiter.try_acquire()).transpose().unwrap_or_else(|| Ok(block_on(limiter.acquire())))
                } else {
                    Ok(block_on(limiter.acquire()))
                };
                let Ok(permit) = permit else { return };
                assert!(all.add(1) <= 3, "more than there ever were");
                assert!(mine.is_none_or(|mine| mine.add(1) == 1), "two for one key");
                rest();
                all.remove(1);
                if let Some(mine) = mine {
                    mine.remove(1);
                }
                drop(permit);
            }
        });
        resizing.join().unwrap();
        join(asking);
        assert_eq!(limiter.statistics(), Statistics { total: 2, available: 2, borrowed: 0, waiting: 0 });
        assert!(KEYS.iter().all(|key| !limiter.is_held_by(key)));
    });
}
