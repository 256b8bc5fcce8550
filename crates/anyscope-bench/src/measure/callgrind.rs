//! Instructions and atomic operations, counted by valgrind's callgrind.

use crate::runtimes::ASYNC_STD_THREADS;
use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a process has executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Executed {
    pub(crate) instructions: u64,
    /// Instructions that lock the bus: on x86-64 these are the atomic read-modify-writes, and the exchanges that
    /// sequentially consistent stores are made of. An atomic load, or a weaker store, is none.
    pub(crate) atomics: u64,
}

/// Runs this program with `arguments` under callgrind. With `part`, only functions of that name count, with what they
/// call.
pub(crate) fn run(arguments: &[String], part: Option<&str>) -> Result<Executed, String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let file = env::temp_dir().join(format!("anyscope-bench-{}-{number}.callgrind", process::id()));
    let told = of(&file, arguments, part);
    // Where valgrind has failed there is no file, which is told already.
    let _ = fs::remove_file(&file);
    told
}

fn of(file: &PathBuf, arguments: &[String], part: Option<&str>) -> Result<Executed, String> {
    let program = env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
    let mut command = Command::new("valgrind");
    // Threads take turns: one that spins for another gets nowhere until that one runs.
    command.args(["--tool=callgrind", "--collect-bus=yes", "--fair-sched=try", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}", file.display()));
    command.args(part.map(|name| format!("--toggle-collect={name}")));
    command.arg(program).args(arguments).env(ASYNC_STD_THREADS.0, ASYNC_STD_THREADS.1);
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "valgrind isn't installed: `apt-get install valgrind`".to_owned(),
        _ => format!("valgrind could not be started: {error}"),
    })?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} ended with {}:\n{errors}", arguments.join(" "), output.status));
    }
    let text = fs::read_to_string(file).map_err(|error| format!("callgrind left no file: {error}"))?;
    parse(&text).ok_or_else(|| format!("no totals in callgrind's file for {}", arguments.join(" ")))
}

/// Reads the totals, which stand in the order in which the file names its events.
fn parse(text: &str) -> Option<Executed> {
    let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let events: Vec<&str> = line("events")?.split_whitespace().collect();
    let totals: Vec<u64> = line("totals")?.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let of = |event: &str| events.iter().position(|name| *name == event).map(|at| totals.get(at).copied());
    // Zeroes at the end are left out, the whole event isn't.
    Some(Executed { instructions: of("Ir")??, atomics: of("Ge")?.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version: 1\ncreator: callgrind-3.19.0\npid: 7\n\npositions: line\nevents: Ir Ge\nsummary: 9 1\n\n\
        fl=(1) lib.rs\nfn=(1) main\n3 9 1\n\ntotals: 1200 34\n";

    #[test]
    fn totals_are_read_by_the_names_of_the_events() {
        assert_eq!(parse(FILE), Some(Executed { instructions: 1200, atomics: 34 }));
        let turned = FILE.replace("events: Ir Ge", "events: Ge Ir");
        assert_eq!(parse(&turned), Some(Executed { instructions: 34, atomics: 1200 }));
    }

    #[test]
    fn an_event_of_which_there_was_none_may_be_left_out_at_the_end() {
        let short = FILE.replace("totals: 1200 34", "totals: 1200");
        assert_eq!(parse(&short), Some(Executed { instructions: 1200, atomics: 0 }));
    }

    #[test]
    fn a_file_without_totals_or_without_the_events_is_refused() {
        assert_eq!(parse(&FILE.replace("totals:", "total:")), None);
        assert_eq!(parse(&FILE.replace("events: Ir Ge", "events: Ir")), None);
        assert_eq!(parse(&FILE.replace("totals: 1200 34", "totals: many 34")), None);
    }
}
