//! Which runtime keeps which law: runs every check on every runtime and prints the table of the README.
//!
//! ```text
//! cargo run --example laws
//! cargo run --example laws -- 16 17    # these laws only
//! ```

#![forbid(unsafe_code)]

use anyscope::async_std::AsyncStd;
use anyscope::smol::Smol;
use anyscope::tokio::Tokio;
use anyscope_conformance::{Report, Subject};
use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = Report::new();
    let laws: Vec<u8> = env::args().skip(1).map(|law| law.parse().expect("the number of a law")).collect();
    if !laws.is_empty() {
        report = report.laws(laws);
    }
    // Each check is a process of its own: this program, started again, which gets no further than its own runtime here.
    report = report
        .run(Subject::new("tokio", Tokio::new))
        .run(Subject::new("tokio, current-thread", Tokio::current_thread))
        .run(Subject::new("smol", Smol::new))
        .run(Subject::new("async-std", AsyncStd::new));
    print!("{report}");
    if report.is_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
