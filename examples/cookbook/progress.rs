//! A line of progress for a long fan-out.
//!
//! When: somebody waits and wants to see that something happens. The callback is called in the task of the gather, each
//! time that the numbers change.
//!
//! ```text
//! cargo run --example cookbook progress
//! ```

use anyscope::sim::Sim;
use anyscope::{Progress, gather, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let mut shown = 0;
        let sizes = gather((1..=8).map(upload)).limit(2).on_progress(|progress| show(progress, &mut shown)).await;
        println!("{} bytes", sizes.iter().sum::<u64>());
    });
}

/// Draws a bar for each quarter that is done.
fn show(progress: Progress, shown: &mut usize) {
    let Some(total) = progress.total else { return };
    let quarters = 4 * progress.finished / total;
    if quarters > *shown {
        *shown = quarters;
        println!("[{:<4}] {} of {total}", "#".repeat(quarters), progress.finished);
    }
}

async fn upload(part: u64) -> u64 {
    sleep(Duration::from_secs(part)).await;
    part * 1024
}

// Output:
// [#   ] 2 of 8
// [##  ] 4 of 8
// [### ] 6 of 8
// [####] 8 of 8
// 36864 bytes
