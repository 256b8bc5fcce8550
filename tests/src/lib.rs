//! A library as its authors would write it: it depends on `anyscope` without features and names no runtime.
//!
//! These are the programs of the design's page, as they stand there; `it/programs.rs` runs them on every runtime.

#![forbid(unsafe_code)]

pub mod machine;
pub mod toy;

use anyscope::{CancelToken, Cancelled, Elapsed, GroupError, gather, task_group, timeout, try_gather, try_task_group};
use std::io;
use std::num::ParseIntError;
use std::time::Duration;

async fn fetch_user(id: u32) -> String {
    anyscope::sleep(Duration::from_millis(1)).await;
    format!("user {id}")
}

async fn fetch_posts(id: u32) -> Vec<String> {
    anyscope::yield_now().await;
    vec![format!("post of {id}")]
}

fn parse(text: &str) -> Result<i32, ParseIntError> {
    text.parse()
}

struct Client {
    bodies: &'static str,
}

async fn fetch(client: &Client, url: &String) -> Result<String, io::Error> {
    anyscope::yield_now().await;
    if url.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(format!("{} of {url}", client.bodies))
}

async fn digest(file: String) -> usize {
    anyscope::unblock(move || file.len()).await
}

async fn one() -> u8 {
    1
}

async fn two() -> &'static str {
    "two"
}

async fn three() -> f64 {
    3.0
}

/// Parallel children on the runtime, with results of different types.
pub async fn children() -> (String, Vec<String>) {
    let (user, posts) = task_group(async |g| {
        let user = g.spawn(fetch_user(1));
        let posts = g.spawn(fetch_posts(1));
        (user.await, posts.await)
    })
    .await;
    (user, posts)
}

/// The first `Err` cancels the siblings and the body.
pub async fn fail_fast() -> Result<i32, GroupError<ParseIntError>> {
    let total = try_task_group(async |g| {
        let a = g.spawn(async { parse("1") });
        let b = g.spawn(async { parse("2") });
        Ok(a.await + b.await)
    })
    .await?;
    Ok(total)
}

/// Ordered, bounded, in the current task, with borrows.
pub async fn gathers() -> io::Result<(Vec<bool>, Vec<String>, (u8, &'static str, f64), Vec<usize>)> {
    let client = Client { bodies: "body" };
    let urls: Vec<String> = (0..25).map(|n| format!("url {n}")).collect();
    let bodies = gather(urls.iter().map(|u| fetch(&client, u))).limit(10).await;
    let fine = bodies.iter().map(Result::is_ok).collect();
    let bodies = try_gather(urls.iter().map(|u| fetch(&client, u))).limit(10).await?;
    let (a, b, c) = gather((one(), two(), three())).await;
    let files = urls;
    let digests = gather(files.into_iter().map(digest)).limit(64).parallel().await;
    Ok((fine, bodies, (a, b, c), digests))
}

/// A timeout, and the deadline as it is seen inside.
pub async fn times() -> Result<(u8, Option<Duration>), Elapsed> {
    let call = || async { one().await };
    let reply = timeout(Duration::from_secs(5), call()).await?;
    let left = timeout(Duration::from_secs(5), async { anyscope::remaining() }).await?;
    Ok((reply, left))
}

/// A tree of tokens.
pub async fn tokens() -> (Result<u8, Cancelled>, Result<(), Cancelled>) {
    let token = CancelToken::new();
    let out = token.run(one()).await;
    let child = token.child();
    child.cancel_with("client went away");
    (out, child.run(anyscope::sleep(Duration::from_secs(60))).await)
}

/// Blocking work.
pub async fn blocks() -> usize {
    let path = String::from("a path");
    anyscope::unblock(move || path.len()).await
}

/// Runs every program and compares what comes out.
pub async fn all() {
    assert_eq!(children().await, ("user 1".to_owned(), vec!["post of 1".to_owned()]));
    assert_eq!(fail_fast().await.unwrap(), 3);
    let (fine, bodies, tuple, digests) = gathers().await.unwrap();
    assert_eq!(fine, [true; 25]);
    assert_eq!(bodies[24], "body of url 24");
    assert_eq!(tuple, (1, "two", 3.0));
    assert_eq!((digests[0], digests[24]), (5, 6));
    let (reply, left) = times().await.unwrap();
    assert_eq!(reply, 1);
    assert!(left.unwrap() <= Duration::from_secs(5));
    let (out, cut) = tokens().await;
    assert_eq!(out.unwrap(), 1);
    assert_eq!(cut.unwrap_err().reason().message(), Some("client went away"));
    assert_eq!(blocks().await, 6);
}
