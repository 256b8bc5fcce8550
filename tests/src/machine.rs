//! Programs made of bytes, run on anyscope and on plain models of it, and compared.
//!
//! | program | what it does | the model |
//! |---|---|---|
//! | [`permits`] | semaphores, limiters and locks, polled by hand | numbers, and a queue of who asked for how many |
//! | [`channel`] | a channel, polled by hand | queues of messages and of who waits |
//! | [`signals`] | tokens, events and barriers, polled by hand | a tree of flags, and who waits |
//! | [`tree`] | groups, gathers, scopes and what waits in them, on a runtime with virtual time | an interpreter of times |
//!
//! Any bytes are a program: property tests and fuzzers share the one definition, and fewer or smaller bytes are a
//! smaller program. A run panics where the two differ.

pub mod channel;
pub mod permits;
pub mod signals;
pub mod tree;

mod bytes;
mod hand;

use std::env;
use std::fmt::Debug;

/// Prints a program, where `SHOW` is set: for a fuzzer, whose process ends before the failure itself could.
pub fn show(program: &impl Debug) {
    if env::var_os("SHOW").is_some() {
        eprintln!("{program:#?}");
    }
}
