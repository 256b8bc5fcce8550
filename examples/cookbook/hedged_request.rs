//! Asks a second server when the first takes longer than usual, and takes whichever answer comes first.
//!
//! When: a few calls in a hundred are slow for no good reason, and a second try costs little. Wait as long as all but the
//! slowest take, so that the second is rarely asked.
//!
//! ```text
//! cargo run --example cookbook hedged-request
//! ```

use anyscope::sim::Sim;
use anyscope::sync::Event;
use anyscope::{now, race, race_ok, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        for latencies in [[Some(30), Some(30)], [Some(900), Some(30)], [None, Some(30)], [None, None]] {
            let started = now();
            let reply = hedged(Duration::from_millis(100), |server| ask(server, latencies[server])).await;
            println!("{reply:?} after {:?}", now() - started);
        }
    });
}

/// The first answer. The second call begins after `patience`, or as soon as the first has failed.
async fn hedged<T, E, F>(patience: Duration, call: impl Fn(usize) -> F) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let failed = Event::new();
    race_ok([0, 1].map(async |server| {
        if server == 1 {
            race((sleep(patience), failed.wait())).await;
        }
        let reply = call(server).await;
        if reply.is_err() {
            failed.set();
        }
        reply
    }))
    .await
}

async fn ask(server: usize, latency: Option<u64>) -> Result<String, String> {
    println!("asking server {server}");
    sleep(Duration::from_millis(latency.unwrap_or(10))).await;
    if latency.is_some() { Ok(format!("server {server}'s answer")) } else { Err(format!("server {server} is down")) }
}

// Output:
// asking server 0
// Ok("server 0's answer") after 30ms
// asking server 0
// asking server 1
// Ok("server 1's answer") after 130ms
// asking server 0
// asking server 1
// Ok("server 1's answer") after 40ms
// asking server 0
// asking server 1
// Err(["server 0 is down", "server 1 is down"]) after 20ms
