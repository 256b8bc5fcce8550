//! Follows the book as a reader would, by its text alone: makes a fresh crate for each chapter in a temporary folder, writes
//! the files that the chapter shows, runs its commands in the order of the text, and compares what they print.
//!
//! ```text
//! .ci/book               # every chapter
//! .ci/book deadlines     # one of them
//! .ci/book --renew laws  # puts what its commands print into the text; read the difference
//! ```
//!
//! What it reads in a chapter:
//!
//! - A block below a line that is a path and a colon, `` `src/main.rs`: ``, is that file from there on. Lines that are
//!   hidden in the book, `# ..`, aren't in it.
//! - In a `console` block, a line `$ ..` is a command, and what is below it is what it prints, standard error included. A
//!   line `…` stands for any number of lines, and `…` in a line for any text. `cargo new` and `cd` print nothing that is
//!   compared.
//! - Every other block is left to the doctests.
//!
//! What it does for the reader, who has `anyscope` from the registry: a patch points each of its crates to this checkout,
//! and the workspace's `Cargo.lock` says which version of everything else is taken. So nothing is downloaded.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Chapters that tell of other pages, and have no program of their own.
const WITHOUT_PROGRAMS: [&str; 2] = ["about", "laws"];

fn main() -> ExitCode {
    let mut named: Vec<String> = std::env::args().skip(1).collect();
    let renew = named.first().is_some_and(|first| first == "--renew");
    if renew {
        named.remove(0);
    }
    let root = fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).expect("the workspace is there");
    // Outside of the workspace, or `cargo new` makes a member of what it makes; and the same each time, or cargo keeps what it
    // built for each.
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    let place = std::env::temp_dir().join(format!("anyscope-book-{:x}", hasher.finish()));
    let _ = fs::remove_dir_all(&place);
    let mut failed = Vec::new();
    for chapter in chapters(&root).into_iter().filter(|chapter| named.is_empty() || named.contains(chapter)) {
        let file = root.join("docs/book/src").join(format!("{chapter}.md"));
        let text = fs::read_to_string(&file).expect("a chapter's file");
        let steps = steps(&text);
        let commands = steps.iter().filter(|step| matches!(step, Step::Run { .. })).count();
        println!("{chapter}: {commands} commands");
        if commands == 0 && !WITHOUT_PROGRAMS.contains(&chapter.as_str()) {
            failed.push(format!("{chapter}: it has no program that is run"));
        }
        let mut reader =
            Reader { root: &root, home: place.join(&chapter), at: place.join(&chapter), renew, found: Vec::new() };
        fs::create_dir_all(&reader.home).expect("a temporary folder");
        for step in steps {
            if let Err(error) = reader.follow(step) {
                failed.push(format!("{chapter}: {error}"));
                break;
            }
        }
        if renew {
            fs::write(&file, renewed(&text, &reader.found)).expect("a chapter's file");
        }
    }
    // What a failed chapter left is kept, to be looked at.
    if failed.is_empty() {
        let _ = fs::remove_dir_all(&place);
        return ExitCode::SUCCESS;
    }
    for failure in &failed {
        eprintln!("\n{failure}");
    }
    eprintln!("\n{} of the chapters can't be followed; what they made is in {}", failed.len(), place.display());
    ExitCode::FAILURE
}

/// The names of the chapters, in their order, without the reference.
fn chapters(root: &Path) -> Vec<String> {
    let summary = fs::read_to_string(root.join("docs/book/src/SUMMARY.md")).expect("the summary");
    let links = summary.lines().filter_map(|line| line.split_once("](")?.1.strip_suffix(".md)"));
    links.filter(|link| !link.contains('/')).map(str::to_owned).collect()
}

/// What a chapter asks its reader to do next.
#[derive(Debug, PartialEq)]
enum Step {
    Write { path: String, text: String },
    Run { command: String, printed: Vec<String> },
}

fn steps(chapter: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = "";
    let mut lines = chapter.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if kind == "console" {
                steps.extend(commands(&block));
            } else if let Some(path) = before.strip_prefix('`').and_then(|rest| rest.strip_suffix("`:")) {
                let rust = kind.starts_with("rust");
                let hidden = |line: &&str| rust && (*line == "#" || line.starts_with("# "));
                let mut text = block.into_iter().filter(|line| !hidden(line)).collect::<Vec<_>>().join("\n");
                text.push('\n');
                steps.push(Step::Write { path: path.to_owned(), text });
            }
        }
        if !line.trim().is_empty() {
            before = line;
        }
    }
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step::Run { command: command.to_owned(), printed: Vec::new() }),
            (None, Some(Step::Run { printed, .. })) => printed.push((*line).to_owned()),
            (None, _) => panic!("a line of output without a command: {line}"),
        }
    }
    steps
}

struct Reader<'a> {
    root: &'a Path,
    home: PathBuf,
    at: PathBuf,
    renew: bool,
    /// What each command printed, where that is to be in the text.
    found: Vec<Option<String>>,
}

impl Reader<'_> {
    fn follow(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Write { path, text } => {
                let path = self.at.join(path);
                fs::create_dir_all(path.parent().expect("a file is in a folder")).map_err(|error| error.to_string())?;
                fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
            }
            Step::Run { command, printed } => {
                if let Some(folder) = command.strip_prefix("cd ") {
                    self.at = self.at.join(folder);
                    self.found.push(None);
                    return if self.at.is_dir() {
                        Ok(())
                    } else {
                        Err(format!("`{command}`: there is no such folder"))
                    };
                }
                self.prepare();
                let found = self.run(&command)?;
                if command.starts_with("cargo new") {
                    self.found.push(None);
                } else {
                    let lines: Vec<&str> = found.lines().collect();
                    let printed: Vec<&str> = printed.iter().map(String::as_str).collect();
                    let same = matches(&printed, &lines);
                    self.found.push((!same).then(|| found.clone()));
                    if !same && !self.renew {
                        let (printed, found) = (printed.join("\n"), found);
                        return Err(format!(
                            "`{command}`\n-- the chapter says:\n{printed}\n-- and it prints:\n{found}"
                        ));
                    }
                }
                Ok(())
            }
        }
    }

    /// The patch for the crates of ours that the chapter's own name, so that cargo doesn't warn of others, and the lock file.
    fn prepare(&self) {
        let mut named = BTreeSet::new();
        for manifest in manifests(&self.home) {
            let text = fs::read_to_string(manifest).expect("a manifest");
            named.extend(text.lines().filter_map(|line| {
                let name = line.split_once(" = ")?.0.strip_suffix(".workspace").unwrap_or(line.split_once(" = ")?.0);
                self.root.join("crates").join(name).is_dir().then(|| name.to_owned())
            }));
        }
        let mut config = String::from("[patch.crates-io]\n");
        for name in named {
            config += &format!("{name} = {{ path = {:?} }}\n", self.root.join("crates").join(&name));
        }
        fs::create_dir_all(self.home.join(".cargo")).expect("a temporary folder");
        fs::write(self.home.join(".cargo/config.toml"), config).expect("a temporary file");
        if self.at.join("Cargo.toml").exists() && !self.at.join("Cargo.lock").exists() {
            fs::copy(self.root.join("Cargo.lock"), self.at.join("Cargo.lock")).expect("a temporary file");
        }
    }

    fn run(&self, command: &str) -> Result<String, String> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from);
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(&self.at)
            // One for all chapters: what they depend on is compiled once.
            .env("CARGO_TARGET_DIR", target.join("book-crates"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "0")
            // As in a terminal where nobody has set any of it; and this is run by cargo itself.
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("ANYSCOPE_SEEDS")
            .env_remove("ANYSCOPE_REPLAY")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("`{command}`: {error}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a chapter's folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(manifests(&path));
        } else if path.ends_with("Cargo.toml") {
            found.push(path);
        }
    }
    found
}

/// A chapter with what its commands print, where that isn't what it says.
fn renewed(chapter: &str, found: &[Option<String>]) -> String {
    let (mut text, mut found) = (String::new(), found.iter());
    let (mut console, mut replaced) = (false, false);
    for line in chapter.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            (console, replaced) = (kind == "console", false);
        }
        if console && line.starts_with("$ ") {
            let printed = found.next().and_then(Option::as_ref);
            replaced = printed.is_some();
            text += &format!("{line}\n{}", printed.map_or("", String::as_str));
        } else if !replaced {
            text += &format!("{line}\n");
        }
    }
    text
}

/// Whether lines are what the chapter says, where `…` stands for any lines, or any text of one.
fn matches(said: &[&str], found: &[&str]) -> bool {
    match said.split_first() {
        None => found.is_empty(),
        Some((line, rest)) if line.trim() == "…" => (0..=found.len()).any(|skip| matches(rest, &found[skip..])),
        Some((line, rest)) => {
            found.split_first().is_some_and(|(first, others)| alike(line, first) && matches(rest, others))
        }
    }
}

fn alike(said: &str, found: &str) -> bool {
    let (said, found) = (said.trim_end(), found.trim_end());
    match said.split_once('…') {
        None => said == found,
        Some((before, after)) => found.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| alike(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_commands_are_found_in_the_text() {
        let text = "A file.\n\n`src/main.rs`:\n\n```rust,should_panic\n# hidden\n#[test]\nfn main() {}\n```\n\nnot one:\n\n\
                    ```rust\n1\n```\n\n```console\n$ cd there\n$ cargo run -q\none\n\ntwo\n```\n";
        let printed = ["one", "", "two"].map(str::to_owned).to_vec();
        assert_eq!(
            steps(text),
            [
                Step::Write { path: "src/main.rs".into(), text: "#[test]\nfn main() {}\n".into() },
                Step::Run { command: "cd there".into(), printed: Vec::new() },
                Step::Run { command: "cargo run -q".into(), printed },
            ]
        );
    }

    #[test]
    fn other_lines_are_not_those_that_the_chapter_says() {
        assert!(matches(&["one", "two"], &["one", "two"]));
        assert!(matches(&["one", "…", "four"], &["one", "two", "three", "four"]));
        assert!(matches(&["one", "…"], &["one"]));
        assert!(matches(&["took …s, in …"], &["took 0.1s, in all"]));
        assert!(!matches(&["one"], &["one", "two"]));
        assert!(!matches(&["one", "two"], &["one"]));
        assert!(!matches(&["one", "…", "four"], &["one", "two"]));
        assert!(!matches(&["took …s"], &["took 0.1m"]));
        assert!(!matches(&[], &["a warning"]));
    }
}
