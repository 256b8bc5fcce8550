//! SHA-256 of every file in a directory tree, a bounded number at a time, on any runtime.
//!
//! ```text
//! cargo run --release --example checksum -- [PATH] [--runtime NAME] [--limit N] [--timeout D] [--fail-fast]
//! ```
//!
//! The job is in `job.rs`, is written once, and names no runtime. Here it is run on each of them, under a deadline and
//! a token that Ctrl-C cancels, and what comes out is compared. The lines on standard output are those of `sha256sum`,
//! for `sha256sum -c`; they come when everything is done, so that what is there is complete, or nothing is.

#![forbid(unsafe_code)]

mod args;
mod console;
mod digest;
mod job;
mod report;
mod stop;
mod walk;

use crate::args::Args;
use crate::console::Console;
use crate::job::{Order, Survey, job};
use crate::report::Table;
use crate::stop::Stop;
use anyscope::async_std::AsyncStd;
use anyscope::smol::Smol;
use anyscope::tokio::Tokio;
use anyscope::{CancelToken, timeout};
use clap::Parser;
use std::pin::Pin;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let args = Args::parse();
    let console = Console::new();
    checksum(&args, &console).unwrap_or_else(|stop| {
        console.end();
        console.say(&stop);
        stop.exit_code()
    })
}

/// Does the job on every runtime that was asked for, and prints its lines if all of them agree.
fn checksum(args: &Args, console: &Console) -> Result<ExitCode, Stop> {
    let (root, skip) = args.root()?;
    let order =
        Arc::new(Order { root, skip, limit: args.limit(), fail_fast: args.fail_fast, console: console.clone() });
    let token = cancelled_by_ctrl_c()?;

    let mut first: Option<Survey> = None;
    let mut table = Table::default();
    for (name, run) in RUNTIMES.into_iter().filter(|(name, _)| args.is_asked_for(name)) {
        console.begin(name);
        let started = Instant::now();
        let survey = run(Box::pin(bounded(name, args.timeout, token.clone(), job(order.clone()))))?;
        table.add(name, &survey, started.elapsed());
        // Only the first is kept: the others are compared with it and dropped.
        match &first {
            None => first = Some(survey),
            Some(first) => table.compare(name, first, &survey),
        }
    }
    console.end();

    if let Some(survey) = first.filter(|_| table.all_equal()) {
        report::print(&survey.lines, &token)?;
    }
    console::write(&table);
    Ok(if table.all_equal() && !console.has_failures() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The job, ready to be run.
type Bounded = Pin<Box<dyn Future<Output = Result<Survey, Stop>>>>;

/// A name for the command line, and a way to run the job to its end.
type Runtime = (&'static str, fn(Bounded) -> Result<Survey, Stop>);

/// All that there is to choosing a runtime: a value of its type.
const RUNTIMES: [Runtime; 4] = [
    ("tokio", |job| anyscope::run(Tokio::new(), job)),
    ("tokio-current-thread", |job| anyscope::run(Tokio::current_thread(), job)),
    ("smol", |job| anyscope::run(Smol::new(), job)),
    ("async-std", |job| anyscope::run(AsyncStd::new(), job)),
];

/// Runs the job until it ends, or its time is up, or the token is cancelled; whichever comes first ends all of it.
async fn bounded(
    runtime: &'static str,
    limit: Option<Duration>,
    token: CancelToken,
    job: impl Future<Output = Result<Survey, Stop>>,
) -> Result<Survey, Stop> {
    let limit = limit.unwrap_or(Duration::MAX);
    let ended = match token.run(timeout(limit, job)).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(_elapsed)) => Err(Stop::TimedOut { runtime, limit }),
        Err(cancelled) => Err(Stop::Interrupted(cancelled.into_reason())),
    };
    ended.inspect_err(Stop::leave_soon)
}

/// Returns the token that the first Ctrl-C cancels; the second leaves at once.
fn cancelled_by_ctrl_c() -> Result<CancelToken, Stop> {
    let token = CancelToken::new();
    let handle = token.clone();
    ctrlc::set_handler(move || {
        if !handle.cancel_with("Ctrl-C") {
            process::exit(stop::INTERRUPTED.into());
        }
    })
    .map_err(Stop::NoHandler)?;
    Ok(token)
}
