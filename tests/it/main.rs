//! Tests across the crates, one module for each concept.

mod programs;
mod storm;
mod tidy;
