//! Two ways to measure: counts, which are the same each time, and times, which are what one waits for.

pub(crate) mod callgrind;
pub(crate) mod compare;
pub(crate) mod count;
pub(crate) mod statistics;
