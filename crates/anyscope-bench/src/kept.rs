//! The counts that are committed: written, and compared with those of today.

use crate::case::{Case, Subject, is_ours};
use crate::docs;
use crate::runtimes::On;
use crate::table::{self, Row};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// By how much a count may grow before the check fails.
const GROWTH: f64 = 1.05;
/// What the table rounds away, and a little more: counts near nothing don't grow by percents.
const ROUNDED: f64 = 0.15;
/// Cases with more operations than that are left out of the check: they take too long for it.
const MANY: usize = 10_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.txt")
}

/// Which subjects are checked: ours, where there is one thread, so that the count is the same each time. smol's timers look at
/// the clock of the wall, and how many are due at a look depends on how fast the machine is meanwhile.
pub(crate) fn is_checked(case: &Case, subject: &Subject) -> bool {
    let by_the_wall = case.scenario == "T3" && case.runtime == On::SmolOneThread;
    subject.is_ours() && case.runtime.is_one_thread() && case.ops <= MANY && !by_the_wall
}

/// Writes what was counted into the file and into the page, beside what is there of other cases.
pub(crate) fn write(counted: Vec<Row>, cases: &[Case]) -> Result<(), String> {
    let kept = match fs::read_to_string(file()) {
        Ok(text) => table::parse(&text)?,
        Err(_) => Vec::new(),
    };
    let mut rows = merge(kept, counted, cases);
    table::judge(&mut rows, cases);
    let head = format!(
        "Counts of `cargo run --release -p anyscope-bench -- count --write`, by {} and {}, on {}.\n\
         What an operation takes; `docs/performance.md` tells what the scenarios are.\n\n",
        tool("rustc")?,
        tool("valgrind")?,
        std::env::consts::ARCH
    );
    let text = head + &table::render(&rows);
    fs::write(file(), text).map_err(|error| format!("{}: {error}", file().display()))?;

    let page = root().join("docs/performance.md");
    let told = |error| format!("{}: {error}", page.display());
    let text = fs::read_to_string(&page).map_err(told)?;
    fs::write(&page, docs::renew(&text, &rows, cases)?).map_err(told)
}

/// What was counted, and what is kept of the rest, in the order of the cases.
fn merge(kept: Vec<Row>, counted: Vec<Row>, cases: &[Case]) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in cases {
        for subject in &case.subjects {
            let row = Row::new(case, subject);
            let found = counted.iter().chain(&kept).find(|other| other.key() == row.key());
            rows.extend(found.cloned());
        }
    }
    rows
}

/// The name and version of a tool, without what it was built from: `rustc 1.95.0`, `valgrind 3.19.0`.
fn tool(name: &str) -> Result<String, String> {
    let output = Command::new(name).arg("--version").output().map_err(|error| format!("{name}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" ").replace("valgrind-", "valgrind "))
}

/// Whether the file is from the same compiler: another one's counts are others.
pub(crate) fn is_comparable() -> Result<bool, String> {
    let text = fs::read_to_string(file()).map_err(|error| format!("{}: {error}", file().display()))?;
    let rustc = tool("rustc")?;
    let head = text.lines().next().unwrap_or_default();
    let same = head.contains(&format!("{rustc} ")) && head.contains(std::env::consts::ARCH);
    if !same {
        println!("not compared: these are counts of another compiler than {rustc}, or another processor:\n{head}");
    }
    Ok(same)
}

/// Compares with the file.
pub(crate) fn check(counted: &[Row]) -> Result<(), String> {
    let text = fs::read_to_string(file()).map_err(|error| format!("{}: {error}", file().display()))?;
    let grown = grown(&table::parse(&text)?, counted);
    if grown.is_empty() {
        println!("{} subjects: no count has grown by more than 5 %", counted.len());
        return Ok(());
    }
    Err(format!(
        "{}\nIf that is wanted: `cargo run --release -p anyscope-bench -- count --write SCENARIO` renews the counts.",
        grown.join("\n")
    ))
}

/// What has grown, in words.
fn grown(kept: &[Row], counted: &[Row]) -> Vec<String> {
    let mut grown = Vec::new();
    for row in counted.iter().filter(|row| is_ours(&row.subject)) {
        let name = row.key().join(" ");
        let Some(before) = kept.iter().find(|kept| kept.key() == row.key()) else {
            grown.push(format!("{name}: isn't in the file"));
            continue;
        };
        let figures = [
            ("instructions", before.instructions, row.instructions),
            ("atomics", before.atomics, row.atomics),
            ("allocs", before.allocs, row.allocs),
            ("bytes", before.bytes, row.bytes),
        ];
        for (what, before, now) in figures {
            if now > before * GROWTH + ROUNDED {
                grown.push(format!("{name}: {before} {what} have become {now:.1}"));
            }
        }
    }
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(instructions: f64, allocs: f64) -> Row {
        let text = format!("| S1 | ready | tokio | anyscope | {instructions} | 1.4 | {allocs} | 0 | | |");
        table::parse(&text).unwrap().remove(0)
    }

    #[test]
    fn five_percent_more_is_as_much_as_a_count_may_grow() {
        let kept = [row(500.0, 1.0)];
        assert_eq!(grown(&kept, &[row(525.0, 1.0)]), Vec::<String>::new());
        assert_eq!(grown(&kept, &[row(530.0, 1.0)]), ["S1 ready tokio anyscope: 500 instructions have become 530.0"]);
        assert_eq!(grown(&kept, &[row(100.0, 0.0)]), Vec::<String>::new());
    }

    #[test]
    fn where_there_was_none_an_allocation_is_growth() {
        assert_eq!(grown(&[row(500.0, 0.0)], &[row(500.0, 1.0)]).len(), 1);
        assert_eq!(grown(&[row(500.0, 0.0)], &[row(500.0, 0.1)]).len(), 0);
    }

    #[test]
    fn what_is_not_in_the_file_is_told() {
        assert_eq!(grown(&[], &[row(1.0, 0.0)]).len(), 1);
    }
}
