//! Two children and a timeout, written once and run on every runtime.
//!
//! ```text
//! cargo run --example hello
//! ```

#![forbid(unsafe_code)]

use anyscope::{CancelToken, Current, task_group, timeout};
use std::time::Duration;

fn main() {
    anyscope::run(anyscope::tokio::Tokio::new(), hello());
    anyscope::run(anyscope::smol::Smol::new(), hello());
    anyscope::run(anyscope::async_std::AsyncStd::new(), hello());
}

/// Names no runtime: it runs on whichever is around.
async fn hello() {
    println!("on {}:", Current::get().name());

    // Both children run on the runtime's threads, and have ended when the group returns.
    let (user, posts) = task_group(async |g| {
        let user = g.spawn(fetch_user(1));
        let posts = g.spawn(fetch_posts(1));
        (user.await, posts.await)
    })
    .await;
    println!("  {user} wrote {}", posts.join(" and "));

    // A timeout around a group ends the children with it.
    let late = timeout(Duration::from_millis(20), task_group(async |g| g.spawn(never()).await)).await;
    println!("  too slow: {}", late.unwrap_err());

    // So does a token, which also says why.
    let token = CancelToken::new();
    token.cancel_with("the client went away");
    let cut = token.run(never()).await.unwrap_err();
    println!("  {}", cut.reason());
}

async fn fetch_user(id: u32) -> String {
    anyscope::sleep(Duration::from_millis(10)).await;
    format!("user {id}")
}

async fn fetch_posts(by: u32) -> Vec<String> {
    anyscope::sleep(Duration::from_millis(10)).await;
    vec![format!("post {by}.1"), format!("post {by}.2")]
}

async fn never() {
    anyscope::sleep(Duration::MAX).await;
}
