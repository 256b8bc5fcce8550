//! An application without any runtime of anyscope's, on an executor that is nobody's: what its calls say, a line each.
//! `tests/adoption.rs` runs it, built by itself.

#![forbid(unsafe_code)]

use anyscope::{gather, race, sleep, task_group, timeout, unblock};
use futures::executor::block_on;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    println!("{}", complaint(task_group(async |g| g.spawn(async {}).await)));
    println!("{}", complaint(timeout(Duration::from_secs(3600), pending::<()>())));
    println!("{}", complaint(sleep(Duration::from_secs(3600))));
    println!("{}", complaint(unblock(|| ())));
    println!("{}", complaint(async { anyscope::now() }));
    let gathered = block_on(gather([1, 2].map(async |n| n)));
    let first = block_on(race((pending(), async { 3 })));
    println!("what needs no runtime: {gathered:?} {first}");
}

/// What a call says that finds no runtime.
fn complaint<F: Future>(call: F) -> String {
    let ended = catch_unwind(AssertUnwindSafe(|| drop(block_on(call))));
    let payload = ended.expect_err("there is no runtime around");
    match payload.downcast::<String>() {
        Ok(said) => *said,
        Err(payload) => payload.downcast_ref::<&str>().copied().unwrap_or("nothing").to_owned(),
    }
}
