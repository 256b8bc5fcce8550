//! A long handler notices that its client has gone away, and stops.
//!
//! When: an answer takes long, and nobody may be there to have it. The connection cancels a token; async work is dropped at
//! its next await, and blocking work asks `is_cancelled()`. For an answer in pieces see `streaming-response`.
//!
//! ```text
//! cargo run --example cookbook client-disconnects
//! ```

use anyscope::sim::Sim;
use anyscope::sync::Event;
use anyscope::{CancelToken, gather, is_cancelled, sleep, unblock};
use std::sync::Arc;
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        // Nothing is asked in the handler: it is dropped where it waits.
        let request = CancelToken::new();
        let (answer, ()) = gather((request.run(handler()), client(3500, &request))).await;
        println!("async:    {}\n", answer.unwrap_err().reason().message().unwrap());

        // A closure can't be stopped, but it can ask. It is waited for, and what it says is kept.
        let request = CancelToken::new();
        let begun = Arc::new(Event::new());
        let begins = begun.clone();
        let (rows, ()) = gather((request.run(unblock(move || export(&begins))), async {
            begun.wait().await;
            client(0, &request).await;
        }))
        .await;
        println!("blocking: stopped at row {}", rows.unwrap().unwrap_err());
    });
}

/// What watches the connection: a read of nothing, in a server.
async fn client(leaves_after: u64, request: &CancelToken) {
    sleep(Duration::from_millis(leaves_after)).await;
    request.cancel_with("the client went away");
}

async fn handler() -> &'static str {
    for chapter in 1..=100 {
        sleep(Duration::from_secs(1)).await;
        println!("chapter {chapter}");
    }
    "a thick book"
}

/// `Err` with how far it came: half an export must not pass for a whole one.
fn export(begun: &Event) -> Result<usize, usize> {
    for row in 0..1_000_000 {
        if row % 1000 == 0 && is_cancelled() {
            return Err(row);
        }
        begun.set();
    }
    Ok(1_000_000)
}

// Output:
// chapter 1
// chapter 2
// chapter 3
// async:    the client went away
//
// blocking: stopped at row 1000
