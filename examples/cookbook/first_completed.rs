//! The first of several to end, whatever it ends with; the others are dropped.
//!
//! When: there are several ways to one answer, or something to do and something that would interrupt it. Of those that
//! are ready at once, the first in the list wins. Where an error isn't an answer, see `first-success`.
//!
//! ```text
//! cargo run --example cookbook first-completed
//! ```

use anyscope::sim::Sim;
use anyscope::sync::Event;
use anyscope::{now, race, sleep, task_group};
use std::sync::Arc;
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        // Many of a kind.
        let started = now();
        let nearest = race(["Oslo", "Rome", "Lima"].map(ping)).await;
        println!("{nearest} was first, after {:?}", now() - started);

        // A few of different kinds, with values of one type.
        let quit = Arc::new(Event::new());
        task_group(async |g| {
            let pressed = quit.clone();
            g.spawn(async move {
                sleep(Duration::from_secs(3)).await;
                pressed.set();
            });
            let why = race((async { Some(download().await) }, async {
                quit.wait().await;
                None
            }));
            println!("the download: {:?}", why.await);
        })
        .await;
    });
}

async fn ping(city: &str) -> &str {
    sleep(Duration::from_millis(if city == "Rome" { 20 } else { 80 })).await;
    city
}

async fn download() -> usize {
    sleep(Duration::from_secs(600)).await;
    1 << 30
}

// Output:
// Rome was first, after 20ms
// the download: None
