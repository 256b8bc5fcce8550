//! Doesn't call what has just failed several times, and tries again after a while with a single call.
//!
//! When: a service is down, and to call it anyhow costs each caller a timeout, and the service its recovery.
//!
//! ```text
//! cargo run --example cookbook circuit-breaker
//! ```

use anyscope::sim::Sim;
use anyscope::{now, sleep, sleep_until, timeout};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let breaker = Breaker::new(2, Duration::from_secs(30));
        for second in [0, 5, 10, 15, 45, 50, 90, 95] {
            sleep_until(started + Duration::from_secs(second)).await;
            let reply = breaker.call(timeout(Duration::from_secs(3), service(now() - started))).await;
            let said = match reply {
                None => "not called".to_owned(),
                Some(Err(error)) => error.to_string(),
                Some(Ok(reply)) => reply.to_owned(),
            };
            println!("{:>4?} to {:>4?}: {said}", Duration::from_secs(second), now() - started);
        }
    });
}

struct Breaker {
    most: u32,
    pause: Duration,
    /// How many calls in a row have failed, and until when nobody calls.
    state: Mutex<(u32, Option<Instant>)>,
}

impl Breaker {
    fn new(most: u32, pause: Duration) -> Self {
        Self { most, pause, state: Mutex::new((0, None)) }
    }

    /// `None` where the call isn't made.
    async fn call<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Option<Result<T, E>> {
        {
            let (_, closed_until) = &mut *self.state.lock().unwrap();
            match *closed_until {
                Some(until) if now() < until => return None,
                // This call is the one that tries; the others are kept off until it is known how it went.
                Some(_) => *closed_until = Some(now() + self.pause),
                None => {}
            }
        }
        let reply = call.await;
        let (failures, closed_until) = &mut *self.state.lock().unwrap();
        *failures = if reply.is_ok() { 0 } else { *failures + 1 };
        *closed_until = (*failures >= self.most).then(|| now() + self.pause);
        Some(reply)
    }
}

/// Is down for the first minute.
async fn service(at: Duration) -> &'static str {
    sleep(Duration::from_secs(if at < Duration::from_secs(60) { 600 } else { 1 })).await;
    "hello"
}

// Output:
//  0ns to   3s: deadline has elapsed
//   5s to   8s: deadline has elapsed
//  10s to  10s: not called
//  15s to  15s: not called
//  45s to  48s: deadline has elapsed
//  50s to  50s: not called
//  90s to  91s: hello
//  95s to  96s: hello
