//! Tasks that spawn further tasks, in one group that waits for all of them.
//!
//! When: how much there is to do is seen while it is done: links of pages, folders of folders. Each task has a handle of
//! the group; it ends when nobody is left who could spawn any more.
//!
//! ```text
//! cargo run --example cookbook crawler
//! ```

use anyscope::sim::Sim;
use anyscope::{GroupHandle, TaskGroup, now, sleep};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let seen = Seen::default();
        let crawl = TaskGroup::builder().name("crawler").limit(2).run(async |g| {
            visit(&g.handle(), &seen, "/", 0);
        });
        crawl.await;

        for (page, depth) in &*seen.lock().unwrap() {
            println!("{depth} {page}");
        }
        println!("after {:?}", now() - started);
    });
}

/// The pages that somebody has or had in hand, and how deep they are.
type Seen = Arc<Mutex<BTreeMap<&'static str, u32>>>;

fn visit(group: &GroupHandle, seen: &Seen, page: &'static str, depth: u32) {
    match seen.lock().unwrap().entry(page) {
        Entry::Occupied(_) => return,
        Entry::Vacant(new) => new.insert(depth),
    };
    let (handle, seen) = (group.clone(), seen.clone());
    let crawl = async move {
        for link in links_of(page).await {
            visit(&handle, &seen, link, depth + 1);
        }
    };
    group.task(page).spawn(crawl).expect("the group lives while one of its tasks does");
}

async fn links_of(page: &str) -> Vec<&'static str> {
    sleep(Duration::from_secs(1)).await;
    match page {
        "/" => vec!["/news", "/shop"],
        "/news" => vec!["/", "/news/today", "/news/yesterday"],
        "/shop" => vec!["/", "/shop/cart"],
        _ => vec!["/"],
    }
}

// Output:
// 0 /
// 1 /news
// 2 /news/today
// 2 /news/yesterday
// 1 /shop
// 2 /shop/cart
// after 4s
