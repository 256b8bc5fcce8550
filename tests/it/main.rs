//! Tests across the crates, one module for each concept.

mod programs;
mod report;
mod storm;
mod tidy;
mod toy;
