//! What a group does when it ends: after its children, the last one registered first, however it came to its end.
//!
//! When: something is opened for the children and has to be closed after them, with an await. It happens after an error, a
//! panic and a cancellation too, and where the group's future is dropped, the group around waits for it.
//!
//! ```text
//! cargo run --example cookbook finalisers
//! ```

use anyscope::sim::Sim;
use anyscope::{TaskGroup, sleep, task_group, timeout};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        println!("an end like any other:");
        job(1).await;

        println!("cut by a timeout:");
        // The group around waits for the finalisers of the one that is dropped.
        task_group(async |_| {
            let late = timeout(Duration::from_secs(10), job(60)).await;
            println!("  {}", late.unwrap_err());
        })
        .await;
    });
}

async fn job(seconds: u64) {
    task_group(async |g| {
        open(g, "database").await;
        open(g, "transaction").await;
        g.on_exit_with(|how| async move { println!("  completed: {}", how.is_completed()) });
        g.spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            println!("  worked for {seconds} s");
        });
    })
    .await;
}

/// Opens something that the group closes.
async fn open(group: &TaskGroup, what: &'static str) {
    println!("  open the {what}");
    group.on_exit(async move {
        // Nothing interrupts it; a timeout of its own keeps it short.
        let closed = timeout(Duration::from_secs(5), sleep(Duration::from_millis(20))).await;
        println!("  close the {what}: {}", if closed.is_ok() { "done" } else { "took too long" });
    });
}

// Output:
// an end like any other:
//   open the database
//   open the transaction
//   worked for 1 s
//   completed: true
//   close the transaction: done
//   close the database: done
// cut by a timeout:
//   open the database
//   open the transaction
//   deadline has elapsed
//   completed: false
//   close the transaction: done
//   close the database: done
