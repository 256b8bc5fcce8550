//! The table, a line as soon as it is known.

use crate::phases::Row;
use std::time::Duration;

pub(crate) struct Table;

impl Table {
    pub(crate) fn new() -> Self {
        println!("| runtime | what | requests | a second | median | 99 % | what came of it |");
        println!("|---|---|---:|---:|---:|---:|---|");
        Self
    }

    pub(crate) fn add(&mut self, which: &str, phase: &str, row: &Row) {
        let Row { latencies, took, said } = row;
        let count = latencies.len();
        let rate = count as f64 / took.as_secs_f64();
        let (median, most) = (row.quantile(0.5), row.quantile(0.99));
        println!("| {which} | {phase} | {count} | {rate:.0} | {} | {} | {said} |", millis(median), millis(most));
    }

    pub(crate) fn note(&mut self, which: &str, phase: &str, said: &str) {
        println!("| {which} | {phase} | | | | | {said} |");
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1_000.0)
}
