//! Several calls that are all needed: the first error ends the rest.
//!
//! When: with one part missing the answer is worth nothing, so there is no use in waiting for the others. Where the
//! errors of the others matter too, see `named-errors`.
//!
//! ```text
//! cargo run --example cookbook fail-fast
//! ```

use anyscope::sim::Sim;
use anyscope::{now, sleep, try_gather};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let pages = try_gather(["home", "news", "shop"].map(fetch)).await;
        println!("{:?} after {:?}", pages.unwrap(), now() - started);

        let started = now();
        let pages = try_gather(["home", "gone", "archive"].map(fetch)).await;
        println!("{} after {:?}", pages.unwrap_err(), now() - started);
    });
}

async fn fetch(page: &'static str) -> Result<usize, String> {
    let _told = TellWhenDropped(page);
    match page {
        "gone" => {
            sleep(Duration::from_secs(2)).await;
            Err(format!("no page `{page}`"))
        }
        "archive" => {
            sleep(Duration::from_secs(3600)).await;
            Ok(1_000_000)
        }
        _ => {
            sleep(Duration::from_secs(1)).await;
            Ok(page.len())
        }
    }
}

/// So that one sees when it ends: what it owned is given back by then.
struct TellWhenDropped(&'static str);

impl Drop for TellWhenDropped {
    fn drop(&mut self) {
        println!("  end of `{}`", self.0);
    }
}

// Output:
//   end of `home`
//   end of `news`
//   end of `shop`
// [4, 4, 4] after 1s
//   end of `home`
//   end of `gone`
//   end of `archive`
// no page `gone` after 2s
