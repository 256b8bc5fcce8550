//! anyscope and its peers, side by side.
//!
//! `count` says what an operation costs in instructions, atomic operations and memory, which is the same each time;
//! `compare` how long it takes on this machine, all subjects in one process and in turn. `docs/performance.md` tells
//! what the scenarios are.

#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "an allocator can't be written without")]
mod allocator;
mod case;
mod docs;
mod kept;
mod measure;
mod runtimes;
mod scenarios;
mod shape;
mod slots;
mod svg;
mod table;

use clap::{Args, Parser, Subcommand};
use measure::{compare, count};
use runtimes::ASYNC_STD_THREADS;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::{env, fs};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Times all subjects of a scenario, in one process and in turn.
    Compare(Compare),
    /// Counts instructions, atomics, allocations and bytes of an operation.
    Count(Count),
    /// Does a subject's work, for `count`.
    #[command(hide = true)]
    One {
        id: String,
        rounds: u64,
        #[arg(long)]
        memory: bool,
    },
}

#[derive(Args)]
struct Compare {
    /// Only this one: `S1`.
    scenario: Option<String>,
    /// One object a line instead of text.
    #[arg(long)]
    json: bool,
    /// Draws it into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// How often each subject has its turn, of about 5 ms.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
    /// Five turns: a glance.
    #[arg(long)]
    quick: bool,
}

#[derive(Args)]
struct Count {
    /// Only this one: `S1`.
    scenario: Option<String>,
    /// One object a line instead of a table.
    #[arg(long)]
    json: bool,
    /// Writes the counts into `counts.txt` and `docs/performance.md`.
    #[arg(long)]
    write: bool,
    /// Counts only anyscope; what is kept of the peers stays as it is.
    #[arg(long)]
    ours: bool,
    /// Counts only anyscope, on one thread, and fails where a count has grown by more than 5 %.
    #[arg(long, conflicts_with_all = ["json", "write"])]
    check: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Compare(asked) if env::var_os(ASYNC_STD_THREADS.0).is_some() => compare(&asked)?,
        // async-std reads it when it starts, and a process can't change its own environment safely.
        Command::Compare(_) => return again(),
        Command::Count(asked) => count(&asked)?,
        Command::One { id, rounds, memory } => one(&id, rounds, memory)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs this program again, with async-std's threads in its environment.
fn again() -> Result<ExitCode, String> {
    let program = env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
    let mut command = process::Command::new(program);
    command.args(env::args_os().skip(1)).env(ASYNC_STD_THREADS.0, ASYNC_STD_THREADS.1);
    let status = command.status().map_err(|error| format!("this program could not be started: {error}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cases that were asked for; a scenario that isn't there is told.
fn cases(scenario: Option<&str>) -> Result<Vec<case::Case>, String> {
    let cases = scenarios::of(scenario);
    match (scenario, cases.is_empty()) {
        (Some(scenario), true) => Err(format!("there is no scenario {scenario}")),
        _ => Ok(cases),
    }
}

fn compare(asked: &Compare) -> Result<(), String> {
    let cases = cases(asked.scenario.as_deref())?;
    let samples = if asked.quick { 5 } else { asked.rounds.max(1) };
    let mut all = Vec::new();
    compare::compare(&cases, samples, |timed| {
        if asked.json {
            timed.iter().for_each(|line| println!("{}", line.to_json()));
        } else {
            println!("{}", compare::render(timed));
        }
        all.extend_from_slice(timed);
    });
    match &asked.svg {
        Some(file) => fs::write(file, svg::draw(&all)).map_err(|error| format!("{}: {error}", file.display())),
        None => Ok(()),
    }
}

fn count(asked: &Count) -> Result<(), String> {
    let cases = cases(asked.scenario.as_deref())?;
    if asked.check {
        return match kept::is_comparable()? {
            true => kept::check(&count::count(&cases, kept::is_checked)?),
            false => Ok(()),
        };
    }
    if asked.write && (asked.ours || asked.scenario.is_some()) && !kept::is_comparable()? {
        return Err("what is kept is another compiler's: renew all of it".to_owned());
    }
    let mut rows = count::count(&cases, |_, subject| !asked.ours || subject.is_ours())?;
    table::judge(&mut rows, &cases);
    if asked.json {
        for row in &rows {
            println!("{}", row.to_json(table::target(&rows, row, &cases)));
        }
    } else {
        print!("{}", table::render(&rows));
    }
    if asked.write { kept::write(rows, &scenarios::all()) } else { Ok(()) }
}

fn one(id: &str, rounds: u64, memory: bool) -> Result<(), String> {
    let cases = scenarios::all();
    let mut subjects =
        cases.iter().flat_map(|case| case.subjects.iter().map(move |subject| (case.id(subject), subject)));
    let found = subjects.find(|(name, _)| name == id);
    let (_, subject) = found.ok_or_else(|| format!("nothing here is called {id}"))?;
    count::one(subject, rounds, memory);
    Ok(())
}
