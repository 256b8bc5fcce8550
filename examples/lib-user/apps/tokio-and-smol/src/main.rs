//! An application with two runtimes: its main part is on tokio, and has another part, on smol, do the same work at the
//! same time, through the same fetcher. The limit of the fetcher holds for both together.
//!
//! ```text
//! cargo run -p fetcher-on-tokio-and-smol
//! ```

#![forbid(unsafe_code)]

use fetcher_demo::{Demo, Report};
use smol::Task;

#[tokio::main]
async fn main() {
    let demo = Demo::new();
    let there = part_on_smol(demo.clone());
    let here = tokio::spawn({
        let demo = demo.clone();
        async move { demo.report().await }
    });

    // The task of smol's runs on smol's threads; that tokio awaits it doesn't change where it is.
    let there = there.await;
    let here = here.await.expect("the report doesn't panic");
    eprintln!("on {} and {}", here.runtime, there.runtime);
    assert_eq!(here.lines, there.lines, "the runtimes differ");
    print!("{}{}", here.lines, demo.peak());
}

/// A part of the application that was written for smol.
fn part_on_smol(demo: Demo) -> Task<Report> {
    smol::spawn(async move { demo.report().await })
}
