//! What the applications have in common, and what names no runtime: a faulty upstream, and a report of what the fetcher
//! makes of it.

#![forbid(unsafe_code)]

mod report;
mod upstream;

pub use crate::report::{Demo, Report};
pub use crate::upstream::{Fault, Faulty, Page};
