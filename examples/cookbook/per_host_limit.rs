//! So many calls at a time in all, and fewer to each host.
//!
//! When: one slow host must not have all the places, and none may be asked by too many of ours at once.
//!
//! ```text
//! cargo run --example cookbook per-host-limit
//! ```

use anyscope::sim::Sim;
use anyscope::{Semaphore, gather, now, sleep};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let urls = ["slow.org/1", "slow.org/2", "slow.org/3", "slow.org/4", "fast.org/1", "fast.org/2", "fast.org/3"];
        let client = Client::new(2, 4);

        gather(urls.map(async |url| {
            client.fetch(url).await;
            println!("{:>4?}: {url}", now() - started);
        }))
        .await;
    });
}

struct Client {
    per_host: usize,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    all: Semaphore,
}

impl Client {
    fn new(per_host: usize, in_all: usize) -> Self {
        Self { per_host, hosts: Mutex::default(), all: Semaphore::new(in_all) }
    }

    async fn fetch(&self, url: &str) {
        let host = url.split('/').next().unwrap_or_default();
        let places = {
            let mut hosts = self.hosts.lock().unwrap();
            hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_host))).clone()
        };
        // The host's first: who waits for a host has none of the places for all.
        let _place_at_host = places.acquire().await.expect("it is never closed");
        let _place = self.all.acquire().await.expect("it is never closed");
        sleep(Duration::from_secs(if host == "slow.org" { 60 } else { 1 })).await;
    }
}

// Output:
//   1s: fast.org/1
//   1s: fast.org/2
//   2s: fast.org/3
//  60s: slow.org/1
//  60s: slow.org/2
// 120s: slow.org/3
// 120s: slow.org/4
