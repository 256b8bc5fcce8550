//! What `compat::tokio::main` and `compat::tokio::test` expand to.

use crate::current;
use std::future::Future;

/// Runs a program whose flavor is `multi_thread` on what [`set_default`](crate::set_default) chose, else on the first of smol, async-std and tokio that is
/// compiled in.
///
/// In this order for the same reason that [`Current`](crate::Current) has it: a plain thread of the program then finds the
/// runtime that its main is on.
///
/// # Panics
///
/// Where none is compiled in, and none was chosen.
#[track_caller]
pub fn on_many_threads<F: Future>(body: F) -> F::Output {
    match current::chosen() {
        Some(chosen) => crate::run(chosen, body),
        None => on_first(body),
    }
}

/// The same where the flavor is `current_thread`: if tokio is the first, it is that of tokio's.
///
/// # Panics
///
/// As [`on_many_threads`].
#[track_caller]
pub fn on_one_thread<F: Future>(body: F) -> F::Output {
    #[cfg(all(feature = "tokio", not(any(feature = "smol", feature = "async-std"))))]
    if current::chosen().is_none() {
        return crate::run(anyscope_tokio::Tokio::current_thread(), body);
    }
    on_many_threads(body)
}

#[cfg(feature = "smol")]
#[track_caller]
fn on_first<F: Future>(body: F) -> F::Output {
    crate::run(anyscope_smol::Smol::new(), body)
}

#[cfg(all(feature = "async-std", not(feature = "smol")))]
#[track_caller]
fn on_first<F: Future>(body: F) -> F::Output {
    crate::run(anyscope_async_std::AsyncStd::new(), body)
}

#[cfg(all(feature = "tokio", not(any(feature = "smol", feature = "async-std"))))]
#[track_caller]
fn on_first<F: Future>(body: F) -> F::Output {
    crate::run(anyscope_tokio::Tokio::new(), body)
}

#[cfg(not(any(feature = "tokio", feature = "smol", feature = "async-std")))]
#[track_caller]
fn on_first<F: Future>(_: F) -> F::Output {
    panic!(
        "no async runtime to run this on: enable a feature `smol`, `tokio` or `async-std` of `anyscope` in the \
         application's Cargo.toml, or call `anyscope::set_default` before"
    );
}
