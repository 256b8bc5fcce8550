//! Several calls, and what became of each, whatever it was: a value, an error, or a panic.
//!
//! When: each answer counts by itself, as in an import of many records or a health check of many hosts.
//!
//! ```text
//! cargo run --example cookbook settle-all
//! ```

use anyscope::sim::Sim;
use anyscope::{Outcome, gather, sleep};
use std::time::Duration;

pub fn main() {
    // Panics are told below, as values.
    std::panic::set_hook(Box::new(|_| {}));

    anyscope::run(Sim::new(), async {
        // Errors alone are values already.
        let answers = gather(["ash", "birch"].map(check)).await;
        println!("{} of {} are well", answers.iter().filter(|answer| answer.is_ok()).count(), answers.len());

        // `settled` makes values of panics as well.
        let hosts = ["ash", "birch", "cedar"];
        let outcomes = gather(hosts.map(check)).settled().await;
        for (host, outcome) in hosts.iter().zip(outcomes) {
            match outcome {
                Outcome::Completed(Ok(load)) => println!("{host}: load {load}"),
                Outcome::Completed(Err(error)) => println!("{host}: {error}"),
                Outcome::Panicked(panic) => println!("{host}: {panic}"),
                other => println!("{host}: {other:?}"),
            }
        }
    });
}

async fn check(host: &'static str) -> Result<u32, String> {
    sleep(Duration::from_millis(20)).await;
    match host {
        "ash" => Ok(3),
        "birch" => Err("connection refused".to_owned()),
        _ => panic!("`{host}` isn't a host that anybody knows"),
    }
}

// Output:
// 1 of 2 are well
// ash: load 3
// birch: connection refused
// cedar: panicked: `cedar` isn't a host that anybody knows
