//! An application on tokio, like any other: the library is called from a task of tokio's own.
//!
//! ```text
//! cargo run -p fetcher-on-tokio
//! ```

#![forbid(unsafe_code)]

use fetcher_demo::Demo;

#[tokio::main]
async fn main() {
    let demo = Demo::new();
    let task = tokio::spawn({
        let demo = demo.clone();
        async move { demo.report().await }
    });
    let report = task.await.expect("the report doesn't panic");
    eprintln!("on {}", report.runtime);
    print!("{}{}", report.lines, demo.peak());
}
