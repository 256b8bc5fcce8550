//! What is smol's own: executors of the application's.

use anyscope_core::{run, task_group};
use anyscope_smol::Smol;
use async_executor::Executor;
use std::sync::Arc;

/// The executor keeps the drivers and the drivers keep their group: if the group kept the executor, it would never go.
#[test]
fn an_executor_goes_with_its_last_handle() {
    let executor = Arc::new(Executor::new());
    let weak = Arc::downgrade(&executor);
    run(Smol::with_executor(executor), task_group::<Smol, _, _>(async |g| g.spawn(async {}).await));
    assert!(weak.upgrade().is_none(), "somebody keeps the executor");
}
