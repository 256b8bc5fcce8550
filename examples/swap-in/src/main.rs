//! A job server that was written for tokio, on tokio and on every runtime, from the same file.
//!
//! ```sh
//! cargo run -p anyscope-swap-in                        # as it was written, on tokio
//! cargo run -p anyscope-swap-in -- --runtime smol      # on another: or tokio, tokio-current-thread, async-std
//! ```
//!
//! `app.rs` is the application, and compiled twice: `original.rs` gives it tokio, `swapped.rs` what takes its place. That
//! one line is all that they differ in. The output is the same line by line.

mod original;
mod swapped;

use anyscope::{async_std::AsyncStd, smol::Smol, tokio::Tokio};
use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => original::app::main(),
        ["--runtime", "tokio"] => anyscope::run(Tokio::new(), swapped::app::demo()),
        ["--runtime", "tokio-current-thread"] => anyscope::run(Tokio::current_thread(), swapped::app::demo()),
        ["--runtime", "smol"] => anyscope::run(Smol::new(), swapped::app::demo()),
        ["--runtime", "async-std"] => anyscope::run(AsyncStd::new(), swapped::app::demo()),
        _ => {
            eprintln!("usage: anyscope-swap-in [--runtime tokio|tokio-current-thread|smol|async-std]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
