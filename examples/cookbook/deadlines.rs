//! A deadline that travels: into functions, children and blocking work, without an argument.
//!
//! When: a request has so much time, and everything that is done for it should know how much is left: to pass it on to
//! another service, to leave out what doesn't fit any more, to keep some for the end.
//!
//! ```text
//! cargo run --example cookbook deadlines
//! ```

use anyscope::sim::Sim;
use anyscope::{remaining, sleep, task_group, timeout, unblock};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        println!("outside: {:?}", remaining());
        timeout(Duration::from_secs(10), request()).await.expect("it fits");
    });
}

async fn request() {
    println!("request: {:?}", remaining());
    sleep(Duration::from_secs(2)).await;

    task_group(async |g| {
        g.spawn(async { println!("child:   {:?}", remaining()) }).await;
        g.spawn(async { println!("closure: {:?}", unblock(remaining).await) }).await;
    })
    .await;

    // All but a second of what is left, so that there is time to answer in any case.
    let budget = remaining().unwrap_or(Duration::MAX).saturating_sub(Duration::from_secs(1));
    let prices = timeout(budget, ask("prices", 60)).await;
    println!("prices:  {}", prices.unwrap_or_else(|late| format!("{late}; {:?} left to answer", remaining().unwrap())));

    // What wouldn't be ready in time isn't begun.
    if remaining().is_some_and(|left| left < Duration::from_secs(5)) {
        println!("advice:  left out");
    } else {
        println!("advice:  {}", ask("advice", 5).await);
    }
}

/// Tells the other service how long there is use for its answer.
async fn ask(service: &str, seconds: u64) -> String {
    let header = remaining().map_or("none".to_owned(), |left| format!("{}ms", left.as_millis()));
    println!("    GET /{service} HTTP/1.1, x-timeout: {header}");
    sleep(Duration::from_secs(seconds)).await;
    format!("from {service}")
}

// Output:
// outside: None
// request: Some(10s)
// child:   Some(8s)
// closure: Some(8s)
//     GET /prices HTTP/1.1, x-timeout: 7000ms
// prices:  deadline has elapsed; 1s left to answer
// advice:  left out
