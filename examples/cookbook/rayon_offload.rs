//! Work for all cores, done by rayon, and awaited.
//!
//! When: computing takes long enough to starve the tasks beside it. A runtime's threads are for waiting and its pool is for
//! blocking; rayon has a thread for each core. The job learns that nobody waits any more from a token.
//!
//! ```text
//! cargo run --example cookbook rayon-offload
//! ```

use anyscope::tokio::Tokio;
use anyscope::{CancelToken, channel, race};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub fn main() {
    anyscope::run(Tokio::new(), async {
        // A result.
        let primes = on_rayon(|_| (2..20_000_u32).into_par_iter().filter(|n| is_prime(*n)).count()).await;
        println!("{primes} primes below 20000");

        // A job that would go on for ever, and a caller that doesn't wait.
        let (begun, begins) = channel(1);
        let (ended, ends) = channel(1);
        let endless = on_rayon(move |token| {
            begun.try_send(()).expect("there is room for one");
            while !token.is_cancelled() {
                std::thread::yield_now();
            }
            ended.try_send("the job saw that nobody waits").expect("there is room for one");
            0
        });
        let impatient = async {
            begins.recv().await.expect("it begins");
            -1
        };
        println!("{}", race((endless, impatient)).await);
        println!("{}", ends.recv().await.expect("it ends"));
    });
}

/// Runs `job` on rayon's threads. Dropping the future cancels the token, and doesn't wait for the job.
async fn on_rayon<T: Send + 'static>(job: impl FnOnce(&CancelToken) -> T + Send + 'static) -> T {
    let token = CancelToken::new();
    let _cancel = token.drop_guard();
    let (send, receive) = channel(1);
    rayon::spawn({
        let token = token.clone();
        move || {
            // A panic belongs to the caller; rayon would end the process.
            let result = catch_unwind(AssertUnwindSafe(|| job(&token)));
            let _ = send.try_send(result);
        }
    });
    let result = receive.recv().await.expect("the job sends its result");
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

fn is_prime(n: u32) -> bool {
    (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
}

// Output:
// 2262 primes below 20000
// -1
// the job saw that nobody waits
