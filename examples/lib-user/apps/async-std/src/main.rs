//! An application that is still on async-std, like any other: the library is called from a task of async-std's.
//!
//! ```text
//! cargo run -p fetcher-on-async-std
//! ```

#![forbid(unsafe_code)]

use async_std::task;
use fetcher_demo::Demo;

fn main() {
    let demo = Demo::new();
    let task = task::spawn({
        let demo = demo.clone();
        async move { demo.report().await }
    });
    let report = task::block_on(task);
    eprintln!("on {}", report.runtime);
    print!("{}{}", report.lines, demo.peak());
}
