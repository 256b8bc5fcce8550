//! anyscope and its peers, side by side.
//!
//! `count` says what an operation costs in instructions, atomic operations and memory, which is the same each time;
//! `compare` how long it takes on this machine, all subjects in one process and in turn. `docs/performance.md` tells
//! what the scenarios are.

#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "an allocator can't be written without")]
mod allocator;
mod case;
mod measure;
mod runtimes;
mod scenarios;
mod shape;
mod slots;
mod table;

use clap::{Parser, Subcommand};
use measure::count;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Counts instructions, atomics, allocations and bytes of an operation.
    Count {
        /// Only this one: `S1`.
        scenario: Option<String>,
        /// One object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Does a subject's work, for `count`.
    #[command(hide = true)]
    One {
        id: String,
        rounds: u64,
        #[arg(long)]
        memory: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Count { scenario, json } => {
            let cases = scenarios::of(scenario.as_deref());
            let mut rows = count::count(&cases, |_, _| true)?;
            table::judge(&mut rows, &cases);
            if json {
                for row in &rows {
                    println!("{}", row.to_json(None));
                }
            } else {
                print!("{}", table::render(&rows));
            }
            Ok(())
        }
        Command::One { id, rounds, memory } => {
            let cases = scenarios::all();
            let subjects = cases.iter().flat_map(|case| case.subjects.iter().map(move |subject| (case, subject)));
            let (_, subject) = subjects
                .into_iter()
                .find(|(case, subject)| case.id(subject) == id)
                .ok_or_else(|| format!("nothing here is called {id}"))?;
            count::one(subject, rounds, memory);
            Ok(())
        }
    }
}
