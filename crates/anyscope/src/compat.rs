//! For applications that are there already: the names they're written with, on any anyscope runtime.
//!
//! An application on tokio moves by its `use` lines: `use anyscope::compat::tokio;` where it had the crate. See
//! `docs/compat.md` for what is the same, what isn't, and what isn't here.

pub mod tokio;
pub mod tokio_util;
