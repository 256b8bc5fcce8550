//! Tests across the crates, one module for each concept.

mod auto_traits;
mod detached;
mod drops;
mod faults;
mod hyper;
mod names;
mod programs;
mod report;
mod storm;
mod tidy;
mod toy;
