//! [`run`]: from a plain thread into a runtime.

use crate::group::owner::Owner;
use crate::runtime::Runtime;
use std::future::Future;
use std::panic::Location;

/// Runs a future to its end on `runtime`, on the calling thread, and waits for everything that it started.
///
/// What a dropped group had to leave running inside (a poll under way, a blocking job) has ended when this returns. What was
/// [detached](crate::detached) is ended then.
///
/// # Panics
///
/// With a panic of the future. Where the runtime can't block the calling thread, see [`Runtime::block_on`].
///
/// # Examples
///
/// ```
/// let answer = anyscope::run(anyscope::smol::Smol::new(), async { 42 });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
pub fn run<R: Runtime, F: Future>(runtime: R, future: F) -> F::Output {
    let location = Location::caller();
    // On the heap, before anything moves it: what a runtime's `block_on` is handed goes through its own frames, and a debug
    // build has room for it in each, so that a program of 30 KB overflowed the 2 MiB of a spawned thread on async-std.
    let future = Box::pin(future);
    runtime.block_on(async {
        let owner = Owner::root(runtime.clone().into_dyn(), location);
        match owner.run(future).await {
            Some(output) => output,
            None => unreachable!("a run was stopped without a panic"),
        }
    })
}
