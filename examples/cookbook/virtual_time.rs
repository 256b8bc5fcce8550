//! A program that takes hours, tested in no time: on the simulator the clock jumps to the next timer.
//!
//! When: timeouts, breaks and intervals are to be tested as they are, to the nanosecond, and not with shorter ones and a
//! tolerance. The program isn't changed for it: `#[anyscope::test]` makes a test of it on the simulator, and one on each
//! other runtime that is compiled in, with real time; `runtimes(sim)` keeps it to the former.
//!
//! ```text
//! cargo run --example cookbook virtual-time
//! ```

use anyscope::sim::Sim;
use anyscope::{now, sleep, timeout};
use std::time::Duration;

pub fn main() {
    let sim = Sim::seed(1);
    anyscope::run(sim.clone(), async {
        let before = now();
        println!("{:?}", deliver(async || false).await);
        println!("{:?} have passed inside", now() - before);

        // The clock can be moved by hand as well.
        sim.advance(Duration::from_secs(86_400));
        println!("{:?} after a day that was skipped", now() - before);
    });
}

/// Tries to deliver for a day: after a minute, two, four and so on.
async fn deliver<F: Future<Output = bool>>(mut is_at_home: impl FnMut() -> F) -> Result<u32, &'static str> {
    let tries = async {
        for attempt in 1.. {
            if is_at_home().await {
                return attempt;
            }
            sleep(Duration::from_secs(60 << attempt)).await;
        }
        unreachable!("nobody tries that often in a day")
    };
    timeout(Duration::from_secs(86_400), tries).await.map_err(|_| "sent back")
}

#[cfg(test)]
mod tests {
    use super::deliver;
    use anyscope::now;
    use std::time::Duration;

    #[anyscope::test]
    async fn who_is_at_home_has_it_at_once() {
        assert_eq!(deliver(async || true).await, Ok(1));
    }

    #[anyscope::test(runtimes(sim), seeds = 10)]
    async fn after_a_day_it_is_sent_back() {
        let before = now();
        assert_eq!(deliver(async || false).await, Err("sent back"));
        assert_eq!(now() - before, Duration::from_secs(86_400));
    }
}

// Output:
// Err("sent back")
// 86400s have passed inside
// 172800s after a day that was skipped
