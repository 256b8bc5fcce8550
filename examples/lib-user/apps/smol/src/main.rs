//! An application on smol, like any other: the library is called from a task of smol's global executor.
//!
//! ```text
//! cargo run -p fetcher-on-smol
//! ```

#![forbid(unsafe_code)]

use fetcher_demo::Demo;

fn main() {
    let demo = Demo::new();
    let task = smol::spawn({
        let demo = demo.clone();
        async move { demo.report().await }
    });
    let report = smol::block_on(task);
    eprintln!("on {}", report.runtime);
    print!("{}{}", report.lines, demo.peak());
}
