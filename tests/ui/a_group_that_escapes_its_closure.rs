//! Outside of the closure nobody would wait for what is spawned. A handle can go anywhere.

use anyscope::{TaskGroup, task_group};

fn main() {
    let mut escaped: Option<&TaskGroup> = None;
    anyscope::run(anyscope::sim::Sim::new(), task_group(async |g| {
        escaped = Some(g);
    }));
}
