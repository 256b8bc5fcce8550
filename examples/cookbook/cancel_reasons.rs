//! A tree of tokens: who cancels takes everything below along, and everybody can tell why.
//!
//! When: work is in parts, of which one may be stopped and the others not: a window, its tabs, their downloads.
//!
//! ```text
//! cargo run --example cookbook cancel-reasons
//! ```

use anyscope::sim::Sim;
use anyscope::{CancelToken, ReasonKind, gather, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let window = CancelToken::new();
        let (news, mail) = (window.child(), window.child());
        // A deadline of its own, besides.
        let picture = mail.with_deadline(now() + Duration::from_secs(1));

        let stop = async {
            sleep(Duration::from_secs(2)).await;
            news.cancel_with("the tab was closed");
            // The first reason stays.
            assert!(!news.cancel_with("once more"));
            sleep(Duration::from_secs(2)).await;
            window.cancel();
        };
        let ((), news, mail, picture) = gather((stop, load(&news), load(&mail), load(&picture))).await;
        for (name, how) in [("news", news), ("mail", mail), ("picture", picture)] {
            println!("{name:<8} {how}");
        }
    });
}

async fn load(token: &CancelToken) -> String {
    let started = now();
    let Err(cancelled) = token.run(sleep(Duration::from_secs(60))).await else { return "loaded".to_owned() };
    let why = match (cancelled.reason().kind(), cancelled.reason().message()) {
        (ReasonKind::Deadline, _) => "took too long",
        (_, Some(message)) => message,
        (_, None) => "stopped",
    };
    format!("{why}, after {:?}", now() - started)
}

// Output:
// news     the tab was closed, after 2s
// mail     stopped, after 4s
// picture  took too long, after 1s
