//! An answer that is sent while it is made, and isn't made any further when nobody reads it.
//!
//! When: the answer is long, or has no end: an export, a feed, a log that is followed. The channel holds up whoever makes it
//! to the pace of the client, and tells when the client is gone.
//!
//! ```text
//! cargo run --example cookbook streaming-response
//! ```

use anyscope::channel::{Receiver, Sender};
use anyscope::sim::Sim;
use anyscope::{GroupHandle, channel, now, sleep, task_group};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        // The application's group: it waits for what is left of the answers.
        task_group(async |g| {
            let body = handler(&g.handle());
            for _ in 0..3 {
                sleep(Duration::from_secs(1)).await;
                println!("{:?}: received {:?}", now() - started, body.recv().await.unwrap());
            }
            println!("{:?}: the client goes away", now() - started);
            drop(body);
        })
        .await;
    });
}

/// Returns at once; the body is made by a task of its own.
fn handler(group: &GroupHandle) -> Receiver<String> {
    let (send, body) = channel(1);
    group.task("export").spawn(export(send)).expect("the application isn't ending");
    body
}

async fn export(body: Sender<String>) {
    for row in 1.. {
        if body.send(format!("row {row}")).await.is_err() {
            println!("row {row} is for nobody: that is enough");
            return;
        }
    }
}

// Output:
// 1s: received "row 1"
// 2s: received "row 2"
// 3s: received "row 3"
// 3s: the client goes away
// row 5 is for nobody: that is enough
