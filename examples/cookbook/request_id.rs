//! A value that travels with a request, into its children and its blocking work, without an argument.
//!
//! When: a line of the log should say which request it belongs to, or a query which tenant, wherever it is written.
//!
//! ```text
//! cargo run --example cookbook request-id
//! ```

use anyscope::sim::Sim;
use anyscope::{TaskLocal, gather, task_group, unblock};

static REQUEST: TaskLocal<u32> = TaskLocal::new();

pub fn main() {
    anyscope::run(Sim::new(), async {
        log("the server is up");
        gather([REQUEST.scope(7, handle("ann")), REQUEST.scope(8, handle("bob"))]).await;
        log("the server is down");
    });
}

async fn handle(user: &'static str) {
    log(&format!("GET /{user}"));
    task_group(async |g| {
        g.spawn(async { log("  from a child") }).await;
        g.spawn(unblock(|| log("  from a closure on another thread"))).await;

        // Anew for what is inside, and nowhere else.
        REQUEST.scope(700, async { log("  from a request inside") }).await;
    })
    .await;
    log("200 OK");
}

fn log(line: &str) {
    match REQUEST.try_get() {
        Ok(request) => println!("[{request:>3}] {line}"),
        Err(_) => println!("[  -] {line}"),
    }
}

// Output:
// [  -] the server is up
// [  7] GET /ann
// [  8] GET /bob
// [  7]   from a child
// [  8]   from a child
// [  7]   from a closure on another thread
// [  8]   from a closure on another thread
// [700]   from a request inside
// [  7] 200 OK
// [700]   from a request inside
// [  8] 200 OK
// [  -] the server is down
