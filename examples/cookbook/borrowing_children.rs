//! Children that borrow what their caller owns: `scope`.
//!
//! When: tasks are spawned as it goes and share what isn't theirs. They run side by side in the caller's task, not in
//! parallel: where they compute, see `borrowing-threads`; where they are known from the start, `gather` does.
//!
//! ```text
//! cargo run --example cookbook borrowing-children
//! ```

use anyscope::sim::Sim;
use anyscope::{now, scope, sleep};
use std::sync::Mutex;
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let site = Site { pages: vec![("home", vec![1, 2]), ("news", vec![2]), ("shop", vec![])] };
        let seen = Mutex::new(Vec::new());

        let links = scope(async |s| {
            let home = s.spawn(crawl(&site, 0, &seen));
            let others = s.spawn(async {
                // What is spawned may be told by what came before.
                sleep(Duration::from_secs(1)).await;
                crawl(&site, 2, &seen).await
            });
            home.await + others.await
        })
        .await;

        println!("{links} links on {} after {:?}", seen.into_inner().unwrap().join(" and "), now() - started);
        drop(site);
    });
}

struct Site {
    pages: Vec<(&'static str, Vec<usize>)>,
}

async fn crawl<'s>(site: &'s Site, page: usize, seen: &Mutex<Vec<&'s str>>) -> usize {
    sleep(Duration::from_secs(2)).await;
    let (name, links) = &site.pages[page];
    seen.lock().unwrap().push(*name);
    links.len()
}

// Output:
// 2 links on home and shop after 3s
