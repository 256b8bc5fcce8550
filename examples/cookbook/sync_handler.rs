//! A function that blocks, as a handler beside async ones.
//!
//! When: a library has no async form: a database driver, a renderer, an archive. `blocking(f)` makes of it something to
//! await; at most 40 such calls run at a time, and inside are the caller's deadline and task-locals.
//!
//! ```text
//! cargo run --example cookbook sync-handler
//! ```

use anyscope::sim::Sim;
use anyscope::{blocking, gather, remaining, timeout};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        // A plain `fn`, and an `async fn`, called in the same way.
        let thumbnail = blocking(thumbnail);
        let (small, name) = gather((thumbnail("cat.png"), name_of(7))).await;
        println!("{name}: {small}");

        // Several, as a gather of any calls.
        let all = gather(["a.png", "bb.png", "ccc.png"].map(&thumbnail)).limit(2).await;
        println!("{}", all.join(", "));

        // A closure, which knows the deadline. More than one argument is a tuple.
        let resize = blocking(|(file, width): (&str, u32)| format!("{file} at {width}, {:?} left", remaining()));
        let resized = timeout(Duration::from_secs(5), resize(("dog.png", 640))).await;
        println!("{}", resized.unwrap());
    });
}

/// Sync, slow, and none of ours.
fn thumbnail(file: &str) -> String {
    format!("{} bytes", file.len() * 100)
}

async fn name_of(user: u32) -> String {
    format!("user {user}")
}

// Output:
// user 7: 700 bytes
// 500 bytes, 600 bytes, 700 bytes
// dog.png at 640, Some(5s) left
