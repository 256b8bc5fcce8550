//! Children that borrow and run in parallel, while the calling thread waits: `blocking_scope`.
//!
//! When: parts of one thing are worked on by several threads, and the work is async or wants the deadline and the
//! cancellation of its caller. From async code call it inside of `unblock`. For plain loops over data take rayon.
//!
//! ```text
//! cargo run --example cookbook borrowing-threads
//! ```

use anyscope::smol::Smol;
use anyscope::{blocking_scope, gather, sleep, unblock};
use std::time::Duration;

pub fn main() {
    anyscope::run(Smol::new(), async {
        let (table, rows) = unblock(|| {
            let mut table = vec![[3, 1, 2], [9, 7, 8], [6, 4, 5]];
            // Each child has a row of its own, and all have ended when this returns.
            let rows: Vec<_> = blocking_scope(|s| table.iter_mut().map(|row| s.spawn(sort(row))).collect());
            (table, rows)
        })
        .await;

        println!("{table:?}");
        // What the children returned is in their handles.
        println!("sums: {:?}", gather(rows).await);
    });
}

async fn sort(row: &mut [u32]) -> u32 {
    sleep(Duration::from_millis(1)).await;
    row.sort_unstable();
    row.iter().sum()
}

// Output:
// [[1, 2, 3], [7, 8, 9], [4, 5, 6]]
// sums: [6, 24, 15]
