//! Loads the service, torments it, stops it in the middle of that, and prints what came of it as a table.
//!
//! `cargo run --release -p anyscope-service --bin load`, with `--runtime` for one runtime only. It exits with 1 where
//! something was lost or left over, or answered as it mustn't be. The service is a process of its own; this one is on
//! tokio, whichever that is on.

mod client;
mod clients;
mod faults;
mod phases;
mod process;
mod state;
mod table;

use crate::phases::{Acknowledged, Findings};
use crate::process::Service;
use crate::table::Table;
use anyscope::tokio::Tokio;
use anyscope_service::Which;
use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Loads the service on each runtime, and says what was lost or left over: nothing should be.
#[derive(Parser)]
struct Options {
    /// Only these runtimes.
    #[arg(long = "runtime", value_enum)]
    which: Vec<Which>,
    /// How long each kind of request is asked for.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "3s")]
    time: Duration,
    /// How many clients ask at a time.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// How many connections are made, one after the other and many at once.
    #[arg(long, default_value_t = 10_000)]
    connects: usize,
    /// How many rounds of faults, between which the memory is looked at.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Where the service shows its tasks meanwhile, as a page.
    #[arg(long, value_name = "ADDRESS")]
    inspect: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let which = if options.which.is_empty() { Which::value_variants() } else { &options.which };
    let mut lost: Vec<(String, usize)> = Vec::new();
    let mut table = Table::new();
    for &which in which {
        let name = which.to_possible_value().expect("each has a name").get_name().to_owned();
        let mut findings = Findings::default();
        anyscope::run(Tokio::new(), load(&options, &name, &mut table, &mut findings));
        for finding in findings.into_iter().map(|finding| format!("{name}: {finding}")) {
            match lost.iter_mut().find(|(line, _)| *line == finding) {
                Some((_, times)) => *times += 1,
                None => lost.push((finding, 1)),
            }
        }
    }
    for (line, times) in &lost {
        let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
        println!("NOT AS IT SHOULD BE: {line}{times}");
    }
    if lost.is_empty() {
        println!("nothing lost, nothing left over");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn load(options: &Options, which: &str, table: &mut Table, findings: &mut Findings) {
    let service = Service::start(which, options.inspect).await;
    let Options { time, clients, .. } = *options;
    let mut acknowledged = Acknowledged::default();
    for (phase, path) in [
        ("async handler", "/hello"),
        ("sync handler", "/hash?rounds=100"),
        ("fan-out", "/fan-out?delay=2&limit=8"),
        ("fan-out with faults", "/fan-out?delay=2&limit=8&each=200&faults=1"),
    ] {
        table.add(which, phase, &phases::ask(&service, path, clients, time, findings).await);
    }
    table.add(which, "sync handler, resized", &phases::resize(&service, clients, time, findings).await);
    table.add(which, "items stored", &phases::store(&service, clients, time, &mut acknowledged, findings).await);
    table.add(which, "over the limit", &phases::overload(&service, time, findings).await);
    table.add(which, "connects", &phases::connects(&service, options.connects, findings).await);
    let mut memory = Vec::new();
    for round in 0..options.rounds {
        let row = phases::torment(&service, clients, time, &mut acknowledged, findings).await;
        table.add(which, &format!("with faults, round {}", round + 1), &row);
        memory.extend(phases::memory(&service, findings).await);
    }
    table.note(which, "memory after each round", &phases::flat(&memory, findings));
    let row = phases::stop(service, clients, acknowledged, findings).await;
    table.note(which, "stopped under load", &row);
}
