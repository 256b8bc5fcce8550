//! Tasks with names, and an error that says which of them failed, where it was spawned, and what else went wrong.
//!
//! When: a message without its place costs an hour. All errors of a fail-fast group are kept, in the order of coming.
//!
//! ```text
//! cargo run --example cookbook named-errors
//! ```

use anyscope::sim::Sim;
use anyscope::{TaskGroup, shield, sleep};
use std::fmt;
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let group = TaskGroup::builder().name("start-up").try_run(async |g| {
            let config = g.task("config").spawn(load("config.toml"));
            let schema = g.task("schema").spawn(load("schema.sql"));
            g.task("cache").spawn(warm_up());
            Ok((config.await, schema.await))
        });
        let failed = group.await.unwrap_err();

        // For people: everything.
        println!("{failed}\n");

        // For programs: what it comes to, one by one.
        println!("because of: {}", failed.first());
        for failure in failed.failures() {
            let task = failure.task().and_then(|task| task.name()).unwrap_or("the body");
            println!("{task}, line {}: {}", failure.location().line(), failure.error());
        }
    });
}

async fn load(file: &'static str) -> Result<usize, StartUpError> {
    sleep(Duration::from_millis(10)).await;
    if file == "schema.sql" { Err(StartUpError::Missing(file)) } else { Ok(file.len()) }
}

/// Is cancelled with the others, but comes to its end behind its shield, and to an error of its own.
async fn warm_up() -> Result<(), StartUpError> {
    shield(Duration::from_secs(1), async {
        sleep(Duration::from_millis(30)).await;
        Err(StartUpError::NoDisk)
    })
    .await
}

#[derive(Debug)]
enum StartUpError {
    Missing(&'static str),
    NoDisk,
}

impl fmt::Display for StartUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(file) => write!(f, "there is no `{file}`"),
            Self::NoDisk => f.write_str("no space left on the disk of the cache"),
        }
    }
}

impl std::error::Error for StartUpError {}

// Output:
// 2 failures
//   1. task `schema` (spawned at examples/cookbook/named_errors.rs:18:43): there is no `schema.sql`
//   2. task `cache` (spawned at examples/cookbook/named_errors.rs:19:29): no space left on the disk of the cache
//
// because of: there is no `schema.sql`
// schema, line 18: there is no `schema.sql`
// cache, line 19: no space left on the disk of the cache
