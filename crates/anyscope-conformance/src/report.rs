//! The laws as a table: which runtime keeps how many of the checks of each.
//!
//! Each check runs in a process of its own, so that one that hangs or aborts is one failure. That process is the
//! program that makes the report, started again with the same arguments and the variable [`ONE_CHECK`], which the
//! report looks at before anything else: it runs that check, tells by its exit code how it went, and doesn't return.

use crate::checks::bodies;
use crate::harness::{self, Verdict, WATCHDOG};
use crate::support::{INSIDE, said};
use crate::{CHECKS, Check, LAWS};
use anyscope_core::Runtime;
use std::fmt;
use std::process::{Command, Stdio, exit};
use std::{env, iter, thread};

/// Names the runtime and the check that a process is for.
const ONE_CHECK: &str = "ANYSCOPE_CONFORMANCE_CHECK";

/// Exit codes that no program has by accident: one that ends without having run its check keeps no law.
const KEPT: i32 = 86;
const NOT_KEPT: i32 = 87;

/// Stands before what a check that failed has to say.
const COMPLAINT: &str = "anyscope-conformance: ";

/// Runs every check on every runtime, one at a time, and prints the table.
///
/// Call it at the start of `main`, or as the whole of a `#[test]`: for each check, the program is started again with the
/// same arguments (or with the test's name, in a test) and has to get here again. There, this never returns. What a
/// check writes is kept to itself; of one that fails, it goes to stderr.
///
/// # Panics
///
/// Where no process can be started, where two runtimes have one name, and where a check that was declared as not kept
/// doesn't exist.
///
/// # Examples
///
/// ```ignore
/// use anyscope_conformance::{Subject, report};
/// use anyscope_tokio::Tokio;
///
/// fn main() {
///     report([Subject::new("tokio", Tokio::new), Subject::new("tokio, current-thread", Tokio::current_thread)]);
/// }
/// ```
pub fn report(subjects: impl IntoIterator<Item = Subject>) -> Report {
    let report = subjects.into_iter().fold(Report::new(), Report::run);
    print!("{report}");
    report
}

/// A runtime to report on: its name, how to make it, and what it is known not to keep.
pub struct Subject {
    name: &'static str,
    run: Box<dyn Fn(usize) -> Verdict>,
    not_kept: Vec<(&'static str, &'static str)>,
}

impl Subject {
    /// Names a runtime, which is made anew for each check.
    #[must_use]
    pub fn new<R: Runtime>(name: &'static str, runtime: fn() -> R) -> Self {
        let run = move |check: usize| harness::run(runtime, bodies::<R>()[check]);
        Self { name, run: Box::new(run), not_kept: Vec::new() }
    }

    /// Declares that a check can't be kept, and why: what `not_kept` is for [`suite!`](crate::suite).
    ///
    /// # Panics
    ///
    /// Where no check has this name.
    #[must_use]
    pub fn not_kept(mut self, check: &'static str, reason: &'static str) -> Self {
        assert!(CHECKS.iter().any(|known| known.name == check), "no check is named `{check}`");
        self.not_kept.push((check, reason));
        self
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).field("not_kept", &self.not_kept).finish_non_exhaustive()
    }
}

/// A table of the laws: a row for each, a column for each runtime, and in the cells how many of its checks are kept.
///
/// `Display` writes Markdown: `5/6` is five checks kept of six, with a footnote where the sixth was declared, and
/// `none` is a law that no check is about. What failed is listed below the table.
///
/// # Examples
///
/// ```ignore
/// let report = Report::new().laws([16, 17]).run(Subject::new("mine", MyRuntime::new));
/// println!("{report}");
/// assert!(report.is_kept());
/// ```
#[derive(Debug)]
pub struct Report {
    laws: Vec<u8>,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    found: Vec<(&'static Check, Finding)>,
}

#[derive(Debug)]
enum Finding {
    Kept,
    Declared(&'static str),
    Failed(String),
}

impl Report {
    /// Makes a report on every law, without a runtime yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an empty report is nobody's default")]
    pub fn new() -> Self {
        Self { laws: LAWS.iter().map(|(number, _)| *number).collect(), columns: Vec::new() }
    }

    /// Restricts the report to some laws: no other checks are run. Call it before the first [`run`](Self::run).
    #[must_use]
    pub fn laws(mut self, laws: impl IntoIterator<Item = u8>) -> Self {
        self.laws = laws.into_iter().collect();
        self
    }

    /// Runs the checks on a runtime, one at a time, each in a process of its own. See [`report`] for how, and for what
    /// that asks of the program.
    ///
    /// # Panics
    ///
    /// Where no process can be started, and where there is a runtime of this name already.
    #[must_use]
    pub fn run(mut self, subject: Subject) -> Self {
        if let Ok(wanted) = env::var(ONE_CHECK) {
            // Where it is for another runtime, that one's turn comes.
            if let Some(check) = CHECKS.iter().position(|check| wanted == address(&subject, check)) {
                run_here(&subject, check);
            }
            return self;
        }
        let name = subject.name;
        assert!(self.columns.iter().all(|column| column.name != name), "two runtimes are named `{name}`");
        let checks = CHECKS.iter().filter(|check| check.laws.iter().any(|law| self.laws.contains(law)));
        let found = checks.map(|check| (check, find(&subject, check))).collect();
        self.columns.push(Column { name, found });
        self
    }

    /// Returns whether each runtime kept every check, but for those that were declared.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.failures().next().is_none()
    }

    fn failures(&self) -> impl Iterator<Item = (&'static str, &'static Check, &str)> {
        self.findings().filter_map(|(name, check, finding)| match finding {
            Finding::Failed(complaint) => Some((name, check, complaint.as_str())),
            Finding::Kept | Finding::Declared(_) => None,
        })
    }

    fn declared(&self) -> impl Iterator<Item = (&'static str, &'static Check, &'static str)> {
        self.findings().filter_map(|(name, check, finding)| match finding {
            Finding::Declared(reason) => Some((name, check, *reason)),
            Finding::Kept | Finding::Failed(_) => None,
        })
    }

    fn findings(&self) -> impl Iterator<Item = (&'static str, &'static Check, &Finding)> {
        let columns = self.columns.iter();
        columns.flat_map(|column| column.found.iter().map(|(check, finding)| (column.name, *check, finding)))
    }

    /// How many of the checks of a law are kept: `5/6`, and which footnotes tell of the rest.
    fn cell(&self, column: &Column, law: u8) -> String {
        let found: Vec<_> = column.found.iter().filter(|(check, _)| check.laws.contains(&law)).collect();
        if found.is_empty() {
            return "none".to_owned();
        }
        let kept = found.iter().filter(|(_, finding)| matches!(finding, Finding::Kept)).count();
        let declared = self.declared().enumerate();
        let notes = declared.filter(|(_, (name, check, _))| *name == column.name && check.laws.contains(&law));
        let notes: String = notes.map(|(note, _)| format!(" [^{}]", note + 1)).collect();
        format!("{kept}/{}{notes}", found.len())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.columns.iter().map(|column| column.name.to_owned());
        let mut rows = vec![iter::once("law".to_owned()).chain(names).collect::<Vec<_>>()];
        for (number, name) in LAWS.iter().filter(|(number, _)| self.laws.contains(number)) {
            let cells = self.columns.iter().map(|column| self.cell(column, *number));
            rows.push(iter::once(format!("{number}. {name}")).chain(cells).collect());
        }
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
            .collect();
        rows.insert(1, widths.iter().map(|width| "-".repeat(*width)).collect());
        for row in &rows {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
        }

        for (note, (name, check, reason)) in self.declared().enumerate() {
            writeln!(f, "\n[^{}]: {name}, `{}::{}`: {reason}", note + 1, check.area, check.name)?;
        }
        if !self.is_kept() {
            writeln!(f, "\nNot kept:\n")?;
        }
        for (name, check, complaint) in self.failures() {
            writeln!(f, "- {name}, `{}::{}`: {complaint}", check.area, check.name)?;
        }
        Ok(())
    }
}

fn address(subject: &Subject, check: &Check) -> String {
    format!("{} {}::{}", subject.name, check.area, check.name)
}

/// Runs a check in this process, which is for nothing else and ends here.
fn run_here(subject: &Subject, check: usize) -> ! {
    let complaint = match (subject.run)(check) {
        Verdict::Kept => exit(KEPT),
        Verdict::Broken(payload) => said(&payload).to_owned(),
        Verdict::Hung => format!("hung for {} s", WATCHDOG.as_secs()),
    };
    eprintln!("{COMPLAINT}{complaint}");
    exit(NOT_KEPT)
}

/// Runs a check in a process of its own, and compares how it went with what was declared.
fn find(subject: &Subject, check: &Check) -> Finding {
    let failure = failure(subject, check);
    let declared = subject.not_kept.iter().find(|(declared, _)| *declared == check.name);
    match (failure, declared) {
        (None, None) => Finding::Kept,
        (Some(_), Some((_, reason))) => Finding::Declared(reason),
        (None, Some((_, reason))) => Finding::Failed(format!("declared as not kept ({reason}), but it is")),
        (Some(Failure { complaint, errors }), None) => {
            eprintln!("{}:\n{errors}", address(subject, check));
            Finding::Failed(complaint)
        }
    }
}

struct Failure {
    complaint: String,
    /// Everything that the process wrote to stderr.
    errors: String,
}

fn failure(subject: &Subject, check: &Check) -> Option<Failure> {
    let mut program = Command::new(env::current_exe().expect("the path of the program"));
    match thread::current().name() {
        // The harness of the tests gives each thread the name of its test.
        Some(test) if test != "main" => program.args([test, "--exact", "--nocapture"]),
        _ => program.args(env::args_os().skip(1)),
    };
    program.env(ONE_CHECK, address(subject, check)).env(INSIDE, "1").stdin(Stdio::null());
    let output = program.output().expect("a process for the check");
    if output.status.code() == Some(KEPT) {
        return None;
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaint = match errors.rsplit_once(COMPLAINT) {
        Some((_, complaint)) if output.status.code() == Some(NOT_KEPT) => complaint.trim().replace('\n', " "),
        _ => format!("its process ended with {}", output.status),
    };
    Some(Failure { complaint, errors })
}
