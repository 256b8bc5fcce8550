//! The programs of the cookbook: what each prints, and that the index has all of them.
//!
//! With `COOKBOOK=overwrite` what they print is written into them.

#![forbid(unsafe_code)]

// For the tests in it, which show how one is written.
#[allow(dead_code, unreachable_pub, reason = "the rest of it is run as a process")]
#[path = "../cookbook/virtual_time.rs"]
mod virtual_time;

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn each_program_prints_what_stands_at_its_end() {
    let overwrite = std::env::var("COOKBOOK").is_ok_and(|wish| wish == "overwrite");
    let mut wrong = Vec::new();
    for (name, text) in programs() {
        let (program, written) = text.split_once("\n// Output:\n").unwrap_or((text.trim_end(), "nothing\n"));
        let output = cookbook(&[&name]);
        let [said, told] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let said: String = said.lines().map(|line| format!("// {line}").trim_end().to_owned() + "\n").collect();
        if !output.status.success() {
            wrong.push(format!("{name} fails, after this:\n{said}{told}"));
        } else if overwrite {
            fs::write(file(&name), format!("{}\n\n// Output:\n{said}", program.trim_end())).unwrap();
        } else if said != written {
            wrong.push(format!("{name} says so at its end:\n{written}and prints this:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_index_and_the_binary_have_each_program_and_no_other() {
    let there: BTreeSet<String> = programs().into_keys().collect();
    let listed = String::from_utf8(cookbook(&[]).stdout).unwrap();
    assert_eq!(listed.lines().map(str::to_owned).collect::<BTreeSet<_>>(), there, "in `main.rs`");
    assert_eq!(listed.lines().count(), there.len(), "each once");

    let index = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows: Vec<(&str, &str)> = index
        .lines()
        .filter_map(|line| line.split_once("[`")?.1.split_once(')')?.0.split_once("`]("))
        .inspect(|(name, file)| assert_eq!(*file, name.replace('-', "_") + ".rs", "in the index"))
        .collect();
    assert_eq!(rows.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>(), there, "in the index");
    assert_eq!(rows.len(), there.len(), "each once in the index");
}

#[test]
fn each_program_says_when_to_use_it_and_how_to_run_it() {
    for (name, text) in programs() {
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(head.iter().any(|line| line.starts_with("//! When: ")), "{name} doesn't say when");
        let command = format!("//! cargo run --example cookbook {name}");
        assert!(head.contains(&command.as_str()), "{name} doesn't have its command: {command}");
        assert!(!text.contains("crate::"), "{name} isn't a whole program by itself");
    }
}

#[test]
fn a_name_that_is_not_there_is_an_error() {
    let output = cookbook(&["quiche"]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("no `quiche`"));
}

/// The text of each program, by its name.
fn programs() -> BTreeMap<String, String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let programs = files.filter(|path| path.extension().is_some_and(|is| is == "rs") && !path.ends_with("main.rs"));
    let programs: BTreeMap<_, _> = programs
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().replace('_', "-"), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(!programs.is_empty());
    programs
}

fn file(name: &str) -> PathBuf {
    folder().join(name.replace('-', "_") + ".rs")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cookbook")
}

fn cookbook(arguments: &[&str]) -> Output {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join(format!("examples/cookbook{EXE_SUFFIX}"));
    let output = Command::new(&binary).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{}: {error}; `cargo build --example cookbook` makes it", binary.display()))
}
