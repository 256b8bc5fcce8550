//! A span for each task: what is logged says which task it was, and in which task that one was spawned.
//!
//! ```text
//! cargo run --example tracing
//! RUST_LOG=info,anyscope=debug cargo run --example tracing     # and who cancels whom
//! ```

#![forbid(unsafe_code)]

use anyscope::{TaskGroup, sleep, task_group};
use std::time::Duration;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

fn main() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).without_time().init();
    let _spans = anyscope::tracing::install();
    anyscope::run(anyscope::tokio::Tokio::new(), serve());
}

async fn serve() {
    TaskGroup::builder()
        .name("requests")
        .run(async |g| {
            for path in ["/a", "/b"] {
                g.task(path).spawn(request());
            }
            let slow = g.task("slow").spawn(async {
                warn!("this takes a while");
                sleep(Duration::from_secs(3600)).await;
            });
            sleep(Duration::from_millis(5)).await;
            slow.cancel_with("nobody asks any more");
        })
        .await;
    info!("all requests are over");
}

async fn request() {
    info!("begun");
    task_group(async |g| {
        g.task("database").spawn(async {
            sleep(Duration::from_millis(1)).await;
            info!("the rows are there");
        });
    })
    .await;
}
