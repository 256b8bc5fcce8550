//! Structured concurrency that names no runtime: the primitives behind [`anyscope`](https://docs.rs/anyscope).
//!
//! Applications and libraries use the `anyscope` crate, which has the same items for the runtime around the caller.
//! This crate is for two others: who writes an adapter for a runtime ([`Runtime`] says what is asked of one, and the
//! `anyscope-conformance` crate checks it), and who wants the runtime fixed in the type: every item here that needs a
//! runtime is generic over it.
//!
//! It names no runtime, reads no clock and starts no thread.

#![forbid(unsafe_code)]

mod blocking;
mod cancel;
pub mod channel;
mod context;
mod coop;
mod error;
mod gather;
mod group;
mod guard;
mod limiter;
pub mod locks;
#[cfg(all(test, anyscope_loom))]
mod models;
mod outcome;
mod race;
mod ready_list;
mod run;
mod runtime;
mod semaphore;
mod sync;
mod task;
mod time;
mod wait_queue;

pub use blocking::{Unblock, blocking, unblock};
pub use cancel::reason::{Cancelled, Reason, ReasonKind};
pub use cancel::{CancelToken, DropGuard, cancelled, is_cancelled};
pub use channel::bounded as channel;
pub use error::{Closed, Failure, GroupError};
pub use gather::{Gather, Gatherable, Progress, TryGatherable, gather, try_gather};
pub use group::drive::Driver;
pub use group::orphan::drained;
pub use group::{
    Builder, GroupHandle, TaskBuilder, TaskGroup, TryGroupHandle, TryTaskBuilder, TryTaskGroup, task_group,
    try_task_group,
};
pub use limiter::{Limiter, LimiterPermit, blocking_limiter};
pub use outcome::{Outcome, Panic};
pub use race::{Raceable, race, race_ok};
pub use run::run;
pub use runtime::{DynRuntime, Job, Runtime, RuntimeError, Sleep};
pub use semaphore::{AcquireError, Permit, PermitArc, Semaphore, Statistics, TryAcquireError};
pub use task::{Task, TaskId, TaskRef};
pub use time::{
    Elapsed, Interval, MissedTicks, Timeout, interval, now, remaining, sleep, sleep_until, timeout, timeout_at,
    yield_now,
};

/// The futures that the functions and methods of this crate return, each named after where it comes from.
pub mod futures {
    pub use crate::cancel::{AmbientCancelled, RunUnderToken, UntilCancelled};
    pub use crate::gather::{InTask, OnRuntime, TimeoutEach};
    pub use crate::group::orphan::Drained;
    pub use crate::limiter::AcquireLimiter;
    pub use crate::race::{Race, RaceOk};
    pub use crate::semaphore::{Acquire, AcquireArc};
    pub use crate::task::TaskOutcome;
    pub use crate::time::{Sleep, YieldNow};
}
