//! The laws of anyscope as a test suite that any runtime can run.
//!
//! An adapter's whole test is one line, which declares one `#[test]` for each check, so that a failure names the law
//! and the runtime:
//!
//! ```ignore
//! anyscope_conformance::suite!(anyscope_tokio::Tokio::new());
//! ```
//!
//! A check that a runtime can't keep is declared with the reason. It is run all the same, shown with its reason, and
//! fails when it passes after all:
//!
//! ```ignore
//! anyscope_conformance::suite!(MyRuntime::new(), not_kept: {
//!     a_sleep_is_never_early: "its clock has a grain of a minute",
//! });
//! ```
//!
//! The checks are plain functions, one module for each area of the laws; [`CHECKS`] lists them with their laws, and
//! [`LAWS`] the laws.
//!
//! [`report`] runs the same checks from a program and prints a table, law by runtime:
//!
//! ```ignore
//! use anyscope_conformance::{Subject, report};
//!
//! fn main() {
//!     report([Subject::new("mine", MyRuntime::new), Subject::new("tokio", anyscope_tokio::Tokio::new)]);
//! }
//! ```

#![forbid(unsafe_code)]

pub mod blocking;
pub mod cancel;
pub mod channels;
pub mod collect;
pub mod failure;
pub mod faults;
pub mod lifetime;
pub mod locals;
pub mod locks;
pub mod members;
pub mod policies;
pub mod portals;
pub mod runtime;
pub mod scopes;
pub mod shields;
pub mod sync;
pub mod time;

mod checks;
mod harness;
mod laws;
mod report;
mod support;
mod waits;

pub use checks::{CHECKS, bodies};
pub use harness::Check;
#[doc(hidden)]
pub use harness::check;
pub use laws::LAWS;
pub use report::{Report, Subject, report};
