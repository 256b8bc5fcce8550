//! Tries again, with longer and longer breaks, for as long as the caller's deadline allows.
//!
//! When: an error may pass by itself. The function has no limit of its own: the deadline around it is one, and when there
//! is no time for another try, the last error says more than a timeout would. Against many who retry in step, add a random
//! part to each break.
//!
//! ```text
//! cargo run --example cookbook retry
//! ```

use anyscope::sim::Sim;
use anyscope::{now, remaining, sleep, timeout};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let reply = timeout(Duration::from_secs(10), retry(|attempt| connect(attempt, 4))).await;
        println!("{:?} after {:?}\n", reply.unwrap(), now() - started);

        let started = now();
        let reply = timeout(Duration::from_secs(10), retry(|attempt| connect(attempt, 99))).await;
        println!("{:?} after {:?}", reply.unwrap(), now() - started);
    });
}

/// Not `impl AsyncFnMut`: with that, an attempt that borrows can't be made in a task that is spawned.
async fn retry<T, E, F>(mut attempt: impl FnMut(u32) -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pause = Duration::from_millis(500);
    let mut number = 1;
    loop {
        match attempt(number).await {
            Ok(value) => return Ok(value),
            Err(error) if remaining().is_some_and(|left| left <= pause) => return Err(error),
            Err(_) => sleep(pause).await,
        }
        pause *= 2;
        number += 1;
    }
}

/// A server that is up when it is tried for the `up_at`th time.
async fn connect(attempt: u32, up_at: u32) -> Result<&'static str, String> {
    println!("attempt {attempt}, with {:?} left", remaining().unwrap());
    sleep(Duration::from_millis(100)).await;
    if attempt < up_at { Err(format!("attempt {attempt}: connection refused")) } else { Ok("connected") }
}

// Output:
// attempt 1, with 10s left
// attempt 2, with 9.4s left
// attempt 3, with 8.3s left
// attempt 4, with 6.2s left
// Ok("connected") after 3.9s
//
// attempt 1, with 10s left
// attempt 2, with 9.4s left
// attempt 3, with 8.3s left
// attempt 4, with 6.2s left
// attempt 5, with 2.1s left
// Err("attempt 5: connection refused") after 8s
