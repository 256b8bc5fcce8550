//! A hundred URLs, ten at a time, the pages in the order of the URLs.
//!
//! When: there is more to fetch than the other side, or the machine, takes at once. The input is pulled as there is room,
//! so it may be as long as it likes, or without an end.
//!
//! ```text
//! cargo run --example cookbook bounded-fan-out
//! ```

use anyscope::sim::Sim;
use anyscope::{gather, now, sleep};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let client = Client::default();
        let urls = (0..100).map(|n| format!("https://example.org/page/{n}"));

        let pages = gather(urls.map(|url| client.fetch(url))).limit(10).await;

        println!("{} pages, the last of them {:?}", pages.len(), pages.last().unwrap());
        println!("{} at once at most, {:?} in all", client.most.load(Ordering::Relaxed), now() - started);
    });
}

/// A client that counts how many of its calls are under way.
#[derive(Default)]
struct Client {
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Client {
    async fn fetch(&self, url: String) -> String {
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        sleep(Duration::from_millis(100)).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        format!("<p>{url}</p>")
    }
}

// Output:
// 100 pages, the last of them "<p>https://example.org/page/99</p>"
// 10 at once at most, 1s in all
