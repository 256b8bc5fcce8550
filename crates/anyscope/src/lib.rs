//! Structured concurrency on any async runtime.
//!
//! A library written on anyscope names no runtime; an application picks tokio, smol or async-std, and the same program
//! means the same on each.
//!
//! ```
//! use anyscope::task_group;
//!
//! async fn fetch(what: &'static str) -> usize {
//!     what.len()
//! }
//!
//! let (user, posts) = anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
//!     let user = g.spawn(fetch("user"));
//!     let posts = g.spawn(fetch("posts"));
//!     (user.await, posts.await)
//! }));
//! assert_eq!((user, posts), (4, 5));
//! ```
//!
//! # Which one?
//!
//! | you have | on the runtime's threads, `'static` | in the current task, may borrow |
//! |---|---|---|
//! | a few children, each its own thing | [`task_group`], [`try_task_group`] | [`gather`] and [`try_gather`] of a tuple |
//! | children that are spawned as it goes | [`task_group`] | [`scope`]; in parallel, blocking the caller: [`blocking_scope`] |
//! | one child for each key | [`TaskGroup::keyed`] | |
//! | something that others need, and that has to be ready | [`TaskGroup::start`], [`TaskGroup::spawn_service`] | |
//! | many of a kind, results in order | [`gather`]`(..).parallel()` | [`gather`], [`try_gather`], with `.limit(n)` |
//! | many of a kind, results as they come | `gather(..).parallel().for_each(..)` | `gather(..).for_each(..)` |
//! | alternatives | spawn, then [`race`] the handles | [`race`], [`race_ok`] |
//! | more than enough, and a few will do | `gather(..).parallel()`, then `.first_ok()`, `.quorum(n)`, `.until(..)` | the same without `.parallel()` |
//! | what there is at a deadline | `gather(..).parallel().within(..)` | `gather(..).within(..)` |
//! | everything, panics included | `gather(..).parallel().settled()` | `gather(..).settled()` |
//! | work that blocks a thread | [`unblock`], [`TaskGroup::spawn_blocking`] | |
//! | a plain thread, or another runtime, that wants something done | [`TaskGroup::portal`] | |
//! | something that takes too long | [`timeout`] around any of these | [`timeout`] around any of these |
//! | somebody who may change their mind | [`CancelToken::run`] around any of these | [`CancelToken::run`] |
//!
//! Clean-up: [`with_cleanup`] for a piece of work, [`TaskGroup::on_exit`] for a group, [`shield`] for what must not be
//! interrupted, [`TaskGroup::shutdown`] for an end in two phases. What travels with the work: [`TaskLocal`].
//!
//! Between tasks: [`Semaphore`], [`Limiter`], the locks of [`sync`], and [`channel`](channel()).
//!
//! # Where it runs
//!
//! Every function here uses the runtime around the caller: see [`Current`]. [`run`] enters one from a plain thread; an
//! application that is on tokio, smol or async-std already just calls the functions. A library depends on this crate
//! without features; features only make runtimes available, and exclude nothing.
//!
//! As attributes: `#[anyscope::main]` runs a program on a runtime, and `#[anyscope::test]` makes of one function a test for
//! each runtime that is compiled in.
//!
//! A running service shows its live task tree in a browser: feature `inspect` adds `anyscope::inspect`.
//!
//! An application that is written with tokio's API moves to another runtime by its `use` lines: feature `compat-tokio`
//! adds `anyscope::compat::tokio`.
//!
//! What a program does can be looked at: feature `trace` adds `anyscope::trace`, a picture of who ran when and waited for whom,
//! and feature `tracing` adds `anyscope::tracing`, a span for each task.
//!
//! # What it doesn't do
//!
//! Children that borrow, run in parallel and don't block, all at once, can't be had soundly. Nothing waits inside a
//! `Drop`; a poll that never returns and a blocking closure that runs can't be stopped. For a single task that nobody
//! waits for, use your runtime's own spawn.

#![forbid(unsafe_code)]

#[cfg(feature = "compat-tokio")]
pub mod compat;
mod current;
#[cfg(feature = "dump")]
pub mod dump;
mod names;
pub mod watchdog;

pub use crate::current::{Current, CurrentSleep, set_default};
pub use crate::names::*;
#[cfg(feature = "macros")]
pub use anyscope_macros::{main, test};

/// anyscope on tokio.
#[cfg(feature = "tokio")]
pub mod tokio {
    pub use anyscope_tokio::*;
}

/// anyscope on a simulator, for tests: virtual time, one interleaving for each seed, deadlocks told at once.
#[cfg(feature = "sim")]
pub mod sim {
    pub use anyscope_sim::*;
}

/// anyscope on smol.
#[cfg(feature = "smol")]
pub mod smol {
    pub use anyscope_smol::*;
}

/// anyscope on async-std. Legacy: async-std is discontinued upstream.
#[cfg(feature = "async-std")]
pub mod async_std {
    pub use anyscope_async_std::*;
}

#[cfg(feature = "hyper")]
pub mod hyper;

#[cfg(feature = "inspect")]
pub mod inspect;

#[cfg(feature = "trace")]
pub mod trace;

#[cfg(feature = "tracing")]
pub mod tracing;

/// Locks, and what else tasks wait for each other with: all first in, first out, and all without a runtime.
///
/// See [`anyscope_core::locks`] for which is which.
pub mod sync {
    pub use anyscope_core::locks::*;
}

/// The futures that the functions and methods of this crate return, each named after where it comes from.
pub mod futures {
    pub use anyscope_core::futures::*;
}

// What the attributes expand to. No names for users: they change as the attributes do.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __macros;

// The pages of `docs`, so that their examples are compiled and run.
#[doc(hidden)]
pub mod _docs;
