//! What goes wrong, and what the process says of it.

use anyscope::Reason;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

/// The exit code of a process that Ctrl-C ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// How long a stopped job has to come to its end.
const GRACE: Duration = Duration::from_secs(2);

/// A file or directory that could not be read.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.path, self.error)
    }
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The first failure was to end it all.
    Failed(Failure),
    /// The time was up.
    TimedOut { runtime: &'static str, limit: Duration },
    /// The token was cancelled.
    Interrupted(Reason),
    /// There is nothing to read.
    NoSuchPath { path: PathBuf, error: io::Error },
    /// The lines could not be printed.
    Unwritable(io::Error),
    /// Nobody would hear of Ctrl-C.
    NoHandler(ctrlc::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stop {
    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Unwritable(_) | Self::NoHandler(_) => 1,
            Self::NoSuchPath { .. } => 2,
            Self::TimedOut { .. } => 124,
            Self::Interrupted(_) => INTERRUPTED,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.code().into()
    }

    /// Leaves the process after a while, should the job not have ended by then.
    ///
    /// A run waits for the reads that are under way. They look whether they are wanted at each chunk; but one that
    /// never returns, from a pipe that nobody writes to, can't be stopped: only left, with the process.
    pub(crate) fn leave_soon(&self) {
        let (message, code) = (self.to_string(), self.code());
        thread::spawn(move || {
            thread::sleep(GRACE);
            crate::console::write(format_args!("checksum: {message} (and a read that doesn't return)"));
            process::exit(code.into());
        });
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => write!(f, "{failure}; stopped at this first failure, nothing was printed"),
            Self::TimedOut { runtime, limit } => {
                let limit = humantime::format_duration(*limit);
                write!(f, "timed out on {runtime} after {limit}, nothing was printed")
            }
            Self::Interrupted(reason) => {
                write!(f, "interrupted by {}, the output is not complete", reason.message().unwrap_or("a cancellation"))
            }
            Self::NoSuchPath { path, error } => write!(f, "{path:?}: {error}"),
            Self::Unwritable(error) => write!(f, "standard output: {error}"),
            Self::NoHandler(error) => write!(f, "Ctrl-C can't be handled: {error}"),
        }
    }
}
