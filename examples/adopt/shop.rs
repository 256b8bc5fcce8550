//! Two functions of three applications, written anew on anyscope. They name no runtime, and are the same in each.

use anyscope::sync::Event;
use anyscope::{gather, sleep, task_group, timeout, unblock, with_cleanup};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Asks every shop for its price, two at a time, and leaves out who takes too long. The lowest one.
pub(crate) async fn cheapest(shops: &[&str]) -> Option<(String, u32)> {
    let ask = async |shop: &&str| {
        let price = timeout(Duration::from_secs(5), price_of(shop)).await.ok()?;
        Some((shop.to_string(), price))
    };
    let offers = gather(shops.iter().map(ask)).limit(2).await;
    offers.into_iter().flatten().min_by_key(|(_, price)| *price)
}

async fn price_of(shop: &str) -> u32 {
    // A request, and something to compute that takes a thread.
    sleep(Duration::from_millis(2)).await;
    let shop = shop.to_owned();
    unblock(move || shop.bytes().map(u32::from).sum::<u32>() % 100).await
}

/// What is put aside for a customer who may not come.
#[derive(Default)]
pub(crate) struct Stock {
    held: AtomicUsize,
    given_back: AtomicUsize,
    full: Event,
}

impl Stock {
    const ITEMS: [&str; 3] = ["kettle", "toaster", "lamp"];

    /// Puts everything aside until it is told that there is no point: which is by ending the task around.
    pub(crate) async fn hold_all(self: Arc<Self>) {
        task_group(async |g| {
            for item in Self::ITEMS {
                let (stock, back) = (self.clone(), self.clone());
                g.task(item).spawn(async move {
                    let work = async move {
                        stock.hold();
                        pending::<Result<(), std::convert::Infallible>>().await
                    };
                    // Whatever ends the work, this is done, and whoever waits for the group waits for it.
                    let _ = with_cleanup(work, async move { back.give_back().await }, Duration::from_secs(5)).await;
                });
            }
        })
        .await;
    }

    fn hold(&self) {
        // Ordering: Relaxed, here and below; numbers that are read after the event, and after `drained`.
        if self.held.fetch_add(1, Ordering::Relaxed) + 1 == Self::ITEMS.len() {
            self.full.set();
        }
    }

    async fn give_back(&self) {
        sleep(Duration::from_millis(2)).await;
        self.given_back.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until everything is put aside.
    pub(crate) async fn full(&self) {
        self.full.wait().await;
    }

    pub(crate) fn given_back(&self) -> usize {
        self.given_back.load(Ordering::Relaxed)
    }
}
