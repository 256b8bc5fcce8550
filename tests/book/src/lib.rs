//! The chapters of the book, so that their snippets are compiled and run.
//!
//! What a reader sees is followed by the program beside this file, `main.rs`.

#![forbid(unsafe_code)]

#[doc = include_str!("../../../docs/book/src/start.md")]
mod start {}
#[doc = include_str!("../../../docs/book/src/scopes.md")]
mod scopes {}
#[doc = include_str!("../../../docs/book/src/cancellation.md")]
mod cancellation {}
#[doc = include_str!("../../../docs/book/src/deadlines.md")]
mod deadlines {}
#[doc = include_str!("../../../docs/book/src/bounded.md")]
mod bounded {}
#[doc = include_str!("../../../docs/book/src/blocking.md")]
mod blocking {}
#[doc = include_str!("../../../docs/book/src/simulator.md")]
mod simulator {}
#[doc = include_str!("../../../docs/book/src/library.md")]
mod library {}
#[doc = include_str!("../../../docs/book/src/adapter.md")]
mod adapter {}
#[doc = include_str!("../../../docs/book/src/tree.md")]
mod tree {}
#[doc = include_str!("../../../docs/book/src/migration.md")]
mod migration {}
#[doc = include_str!("../../../docs/book/src/laws.md")]
mod laws {}
