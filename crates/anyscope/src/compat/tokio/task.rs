//! Tasks that nobody has to wait for: `tokio::task`.

mod abort_handle;
mod cell;
mod error;
mod id;
mod join_handle;
mod join_set;
mod local;

pub use self::abort_handle::AbortHandle;
pub use self::error::JoinError;
pub use self::id::{Id, id, try_id};
pub use self::join_handle::JoinHandle;
pub use self::join_set::JoinSet;
pub use self::local::{AccessError, LocalKey};

use self::cell::{Blocking, Shared, Tracked};
use crate::Current;
use anyscope_core::detached;
use std::future::Future;

/// Futures of this module.
pub mod futures {
    pub use super::local::TaskLocalFuture;
}

/// Starts a task on the runtime around the caller. It belongs to nobody: dropping the handle lets it run on.
///
/// See [`compat::tokio`](super) for where it lives. It never runs inside this call. Where the run around has come to its end, the
/// future is dropped, and the handle tells of a cancellation.
///
/// # Panics
///
/// Outside of any runtime.
///
/// # Examples
///
/// ```
/// use anyscope::compat::tokio;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let sum = tokio::spawn(async { 1 + 1 });
///     let late = tokio::spawn(async { panic!("out of soup") });
///     assert_eq!(sum.await.unwrap(), 2);
///     assert!(late.await.unwrap_err().is_panic());
/// });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let shared = Shared::new();
    let task = detached::spawn::<Current, _>(Tracked::new(future, shared.clone()));
    shared.control().is_run_by(task);
    JoinHandle::new(shared)
}

/// Starts a closure that blocks, on the runtime's pool for such work.
///
/// It begins as soon as the pool has a thread, whether the handle is polled or not; [`blocking_limiter`](crate::blocking_limiter)
/// doesn't count it. Once it runs it can't be aborted, and [`run`](crate::run) waits for it.
///
/// # Panics
///
/// Outside of any runtime.
///
/// # Examples
///
/// ```
/// use anyscope::compat::tokio::task;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let sum: u64 = task::spawn_blocking(|| (1..=1000).sum()).await.unwrap();
///     assert_eq!(sum, 500_500);
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let shared = Shared::new();
    let blocking = Blocking::new(f, shared.clone());
    detached::spawn_blocking::<Current>(move || blocking.run());
    JoinHandle::new(shared)
}

/// Lets other tasks run, once.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
pub async fn yield_now() {
    crate::yield_now().await;
}
