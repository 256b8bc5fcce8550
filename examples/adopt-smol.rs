//! An application on smol that uses anyscope in two functions. Its main, its tasks and its way to end are what they were.
//!
//! ```text
//! cargo run --example adopt-smol
//! ```

#![forbid(unsafe_code)]

#[path = "adopt/shop.rs"]
mod shop;

use anyscope::Current;
use shop::{Stock, cheapest};
use std::sync::Arc;

fn main() {
    smol::block_on(async {
        // In a task of its own.
        let task = smol::spawn(async {
            eprintln!("on {}", Current::get().name());
            cheapest(&["corner shop", "market hall", "mail order"]).await
        });
        println!("the cheapest: {:?}", task.await);

        // It cancels the task, as ever. What has to be put in order goes on by itself, and can be waited for.
        let stock = Arc::new(Stock::default());
        let task = smol::spawn(stock.clone().hold_all());
        stock.full().await;
        println!("aborted: {}", task.cancel().await.is_none());
        anyscope::drained().await;
        println!("given back: {}", stock.given_back());
    });
}
