//! Many ask for the same thing at the same time, and it is fetched once.
//!
//! When: something is dear to make and the same for all who ask: a page in a cache, a token, a compiled template. Where
//! the one who fetches it fails or is dropped, the next of those who wait tries.
//!
//! ```text
//! cargo run --example cookbook single-flight
//! ```

use anyscope::sim::Sim;
use anyscope::sync::OnceCell;
use anyscope::{gather, now, sleep};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let cache = Cache::default();
        let names = ["home", "news", "home", "gone", "home"];

        let pages = gather(names.map(async |name| cache.get(name).await)).await;
        for (name, page) in names.iter().zip(pages) {
            println!("{name}: {page:?}");
        }
        println!("after {:?}", now() - started);
    });
}

#[derive(Default)]
struct Cache {
    pages: Mutex<HashMap<&'static str, Arc<OnceCell<String>>>>,
}

impl Cache {
    async fn get(&self, name: &'static str) -> Result<String, String> {
        let cell = self.pages.lock().unwrap().entry(name).or_default().clone();
        // An error isn't kept: whoever asks later tries again.
        cell.get_or_try_init(|| fetch(name)).await.cloned()
    }
}

async fn fetch(name: &str) -> Result<String, String> {
    println!("fetching {name}");
    sleep(Duration::from_secs(1)).await;
    if name == "gone" { Err("404".to_owned()) } else { Ok(format!("<h1>{name}</h1>")) }
}

// Output:
// fetching home
// fetching news
// fetching gone
// home: Ok("<h1>home</h1>")
// news: Ok("<h1>news</h1>")
// home: Ok("<h1>home</h1>")
// gone: Err("404")
// home: Ok("<h1>home</h1>")
// after 1s
