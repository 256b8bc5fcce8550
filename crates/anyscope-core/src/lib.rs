//! Structured concurrency that names no runtime: the primitives behind [`anyscope`](https://docs.rs/anyscope).
//!
//! Applications and libraries use the `anyscope` crate, which has the same items for the runtime around the caller.
//! This crate is for two others: who writes an adapter for a runtime ([`Runtime`] says what is asked of one, and the
//! `anyscope-conformance` crate checks it), and who wants the runtime fixed in the type: every item here that needs a
//! runtime is generic over it.
//!
//! It names no runtime, reads no clock and starts no thread.

#![deny(unsafe_code)]

mod blocking;
mod blocking_scope;
mod cancel;
pub mod channel;
mod cleanup;
mod context;
mod coop;
pub mod detached;
mod error;
mod gather;
mod giving;
mod group;
mod guard;
mod keyed;
mod limiter;
mod local;
pub mod locks;
#[cfg(all(test, any(anyscope_loom, anyscope_shuttle)))]
#[cfg_attr(anyscope_shuttle, allow(dead_code, reason = "some of it only the models need"))]
mod models;
pub mod observe;
mod outcome;
mod portal;
mod race;
mod ready_list;
mod run;
mod runtime;
mod scope;
mod semaphore;
mod shield;
#[cfg(all(test, anyscope_shuttle))]
mod shuttle;
mod sync;
mod task;
mod time;
pub mod tree;
mod wait_queue;

pub use blocking::{Unblock, blocking, unblock};
pub use blocking_scope::{BlockingScope, blocking_scope};
pub use cancel::reason::{Cancelled, Reason, ReasonKind};
pub use cancel::{CancelToken, DropGuard, cancelled, is_cancelled};
pub use channel::bounded as channel;
pub use cleanup::{Cleaned, CleanupError, with_cleanup};
pub use error::{Closed, Failure, GroupError};
pub use gather::{Gather, Gatherable, Partial, Progress, QuorumError, TryGatherable, gather, try_gather};
pub use group::builder::Builder;
pub use group::drive::Driver;
pub use group::fallible::{Finished, TryTaskBuilder, TryTaskGroup, try_task_group};
pub use group::handle::{GroupHandle, HandleTaskBuilder, TryGroupHandle};
pub use group::orphan::drained;
pub use group::shutdown::{Stragglers, is_stopping, stopping};
pub use group::start::{NotReady, Start, Started, TryStart};
pub use group::{TaskBuilder, TaskGroup, task_group};
pub use keyed::{KeyedGroup, TrySpawnError};
pub use limiter::{AlreadyHeld, Limiter, LimiterPermit, blocking_limiter};
pub use local::{AccessError, TaskLocal};
pub use outcome::{Outcome, Panic};
pub use portal::{CallError, Portal};
pub use race::{Raceable, race, race_ok};
pub use run::run;
pub use runtime::{DynRuntime, Job, Runtime, RuntimeError, Sleep};
pub use scope::{Scope, ScopedTask, scope};
pub use semaphore::{AcquireError, Permit, PermitArc, Semaphore, Statistics, TryAcquireError};
pub use shield::shield;
pub use task::{Task, TaskId, TaskRef};
pub use time::{
    Elapsed, Interval, MissedTicks, Timeout, interval, now, remaining, sleep, sleep_until, timeout, timeout_at,
    yield_now,
};
pub use tree::tree;

/// The futures that the functions and methods of this crate return, each named after where it comes from.
pub mod futures {
    pub use crate::cancel::{AmbientCancelled, RunUnderToken, UntilCancelled};
    pub use crate::cleanup::WithCleanup;
    pub use crate::gather::{FirstOk, InTask, OnRuntime, Quorum, SettleEach, TimeoutEach, Under, Until, Within};
    pub use crate::giving::Giving;
    pub use crate::group::orphan::Drained;
    pub use crate::group::room::Room;
    pub use crate::group::shutdown::{Shutdown, Stopping};
    pub use crate::limiter::{AcquireLimiter, AcquireLimiterFor};
    pub use crate::local::WithLocal;
    pub use crate::portal::Call;
    pub use crate::race::{Race, RaceOk};
    pub use crate::scope::InScope;
    pub use crate::semaphore::{Acquire, AcquireArc};
    pub use crate::shield::Shield;
    pub use crate::task::TaskOutcome;
    pub use crate::time::{Sleep, YieldNow};
}
