//! The command line.

use crate::RUNTIMES;
use crate::stop::Stop;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Computes the SHA-256 of every regular file in a tree, and prints lines for `sha256sum -c`.
#[derive(Debug, Parser)]
#[command(name = "checksum", after_help = NOTES)]
pub(crate) struct Args {
    /// A directory, to be walked, or a single file [default: `.`, without its `target` and `.git`]
    path: Option<PathBuf>,

    /// Which runtime to run on; with `all`, the results are compared
    #[arg(long, value_name = "NAME", default_value = ALL, value_parser = runtime_names())]
    runtime: String,

    /// How many files to read at a time
    #[arg(long, value_name = "N", default_value_t = default_limit(), value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,

    /// How long the job may take on each runtime, like 500ms, 10s or 2m
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// End everything at the first file or directory that can't be read
    #[arg(long)]
    pub(crate) fail_fast: bool,
}

const NOTES: &str = "\
What is read:
  Regular files, at any depth, in the order of their paths. Symbolic links below PATH are not followed, so that no
  walk is endless; PATH itself may be one. Pipes, sockets and devices below PATH are left out. Without PATH the
  directories `./target` and `./.git` are skipped, so that the output stays the same while cargo works; with PATH,
  also with `.`, nothing is.

What is printed:
  Lines to standard output when all is done, never a part of them after a timeout or an interruption; a table to
  standard error. Its `digest of digests` is the SHA-256 of the lines. If the runtimes differ, no lines.
  What can't be read is told on standard error, and the rest goes on. Ctrl-C ends in good order, twice at once.

Exit code:
  0 all is well; 1 something could not be read, or written, or the runtimes differ; 2 wrong arguments, or there is no
  such PATH; 124 the time was up; 130 interrupted";

const ALL: &str = "all";

/// What of the workspace changes while cargo works.
const UNSTABLE: &[&str] = &["./target", "./.git"];

fn runtime_names() -> PossibleValuesParser {
    PossibleValuesParser::new(RUNTIMES.map(|(name, _)| name).into_iter().chain([ALL]))
}

/// Two a processor: while one waits for the disk, the other computes.
fn default_limit() -> u16 {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(2 * processors).unwrap_or(u16::MAX)
}

impl Args {
    /// Returns where to start, and which directories to skip.
    pub(crate) fn root(&self) -> Result<(PathBuf, &'static [&'static str]), Stop> {
        let (path, skip) = match &self.path {
            // `sha256sum -c` takes a bare `-` for its standard input.
            Some(dash) if dash.as_os_str() == "-" => (Path::new("./-"), &[][..]),
            Some(path) => (&**path, &[][..]),
            None => (Path::new("."), UNSTABLE),
        };
        match fs::metadata(path) {
            Ok(_) => Ok((path.to_owned(), skip)),
            Err(error) => Err(Stop::NoSuchPath { path: path.to_owned(), error }),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.into()
    }

    pub(crate) fn is_asked_for(&self, runtime: &str) -> bool {
        self.runtime == ALL || self.runtime == runtime
    }
}
