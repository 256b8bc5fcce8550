//! Tests across the crates, one module for each concept.

#[macro_use]
#[path = "../on_every_runtime.rs"]
mod on_every_runtime;

mod auto_traits;
mod detached;
mod drops;
mod faults;
mod hyper;
mod names;
mod nested;
mod programs;
mod report;
mod storm;
mod tidy;
mod toy;
