//! Laws 1 to 6: who lives how long.

use crate::support::{Census, Gate};
use anyscope_core::{Runtime, run, task_group};

/// A group's await returns after every child has ended and its captures are gone.
pub fn a_group_ends_after_its_children<R: Runtime>(runtime: R) {
    let census = Census::new();
    let gate = Gate::new();
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            for _ in 0..10 {
                let (member, gate) = (census.member(), gate.clone());
                g.spawn(async move {
                    gate.passed().await;
                    drop(member);
                });
            }
            let opener = gate.clone();
            g.spawn(async move { opener.open() });
        })
        .await;
        assert_eq!(census.alive(), 0, "a child outlived its group");
    });
}
