//! An application on async-std that uses anyscope in two functions. Its main, its tasks and its way to end are what they
//! were. async-std is discontinued: this is the first half of a way out, since these functions are on any runtime already.
//!
//! ```text
//! cargo run --example adopt-async-std
//! ```

#![forbid(unsafe_code)]

#[path = "adopt/shop.rs"]
mod shop;

use anyscope::Current;
use async_std::task;
use shop::{Stock, cheapest};
use std::sync::Arc;

#[async_std::main]
async fn main() {
    // In a task of its own.
    let offer = task::spawn(async {
        eprintln!("on {}", Current::get().name());
        cheapest(&["corner shop", "market hall", "mail order"]).await
    });
    println!("the cheapest: {:?}", offer.await);

    // It cancels the task, as ever. What has to be put in order goes on by itself, and can be waited for.
    let stock = Arc::new(Stock::default());
    let task = task::spawn(stock.clone().hold_all());
    stock.full().await;
    println!("aborted: {}", task.cancel().await.is_none());
    anyscope::drained().await;
    println!("given back: {}", stock.given_back());
}
