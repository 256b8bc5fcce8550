//! An application on tokio that uses anyscope in two functions. Its main, its tasks and its way to end are what they were.
//!
//! ```text
//! cargo run --example adopt-tokio
//! ```

#![forbid(unsafe_code)]

#[path = "adopt/shop.rs"]
mod shop;

use anyscope::Current;
use shop::{Stock, cheapest};
use std::sync::Arc;

#[tokio::main]
async fn main() {
    // In a task of its own, in a set of its own.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async {
        eprintln!("on {}", Current::get().name());
        cheapest(&["corner shop", "market hall", "mail order"]).await
    });
    while let Some(offer) = tasks.join_next().await {
        println!("the cheapest: {:?}", offer.expect("nobody panics"));
    }

    // It aborts the task, as ever. What has to be put in order goes on by itself, and can be waited for.
    let stock = Arc::new(Stock::default());
    let task = tokio::spawn(stock.clone().hold_all());
    stock.full().await;
    task.abort();
    println!("aborted: {}", task.await.is_err_and(|error| error.is_cancelled()));
    anyscope::drained().await;
    println!("given back: {}", stock.given_back());
}
