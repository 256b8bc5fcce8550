//! Serves until SIGTERM or Ctrl-C. See the README beside this.

use anyscope::CancelToken;
use anyscope_service::{Config, Ready, serve};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// An HTTP service on anyscope: one source for tokio, smol and async-std.
///
/// SIGTERM or Ctrl-C stops it: no new connections, what is under way has its grace. A second one cancels all at once.
/// Exit codes: 0 when all ended by itself, 3 when something had to be cancelled, 1 when it couldn't serve.
#[derive(Parser)]
#[command(name = "service")]
struct Cli {
    #[command(flatten)]
    config: Config,
    /// Where to write a trace of what its tasks do, for Perfetto; nowhere, if it isn't said.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// Something didn't end in time.
const STRAGGLERS: u8 = 3;

fn told(ready: Ready) {
    println!("listening on {}", ready.address);
    if let Some(address) = ready.inspect {
        eprintln!("its tasks: http://{address}");
    }
}

fn main() -> ExitCode {
    let Cli { config, trace } = Cli::parse();
    let trace = match trace.map(anyscope::trace::to_file).transpose() {
        Ok(trace) => trace,
        Err(error) => {
            eprintln!("no trace: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (stop, end) = (CancelToken::new(), CancelToken::new());
    let handled = ctrlc::set_handler({
        let (stop, end) = (stop.clone(), end.clone());
        move || {
            if stop.is_cancelled() {
                end.cancel_with("told twice to stop");
            }
            stop.cancel_with("told to stop");
        }
    });
    if let Err(error) = handled {
        eprintln!("no signal would stop this: {error}");
        return ExitCode::FAILURE;
    }
    let which = config.which;
    let served = which.run(end.run(serve(config, stop, told)));
    if let Some(Err(error)) = trace.map(anyscope::trace::Trace::finish) {
        eprintln!("the trace isn't whole: {error}");
    }
    match served {
        Ok(Ok(report)) => {
            println!("answered {}; left over: {}", report.answered, report.left);
            for straggler in &report.stragglers {
                println!("had to be cancelled: {straggler}");
            }
            if report.stragglers.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(STRAGGLERS) }
        }
        Ok(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(cancelled) => {
            eprintln!("{cancelled}");
            ExitCode::from(STRAGGLERS)
        }
    }
}
