//! The program prints what the README shows, on tokio itself and wherever it is moved.

use std::process::Command;

fn shown() -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("```text\n").expect("the README shows the output");
    rest.split_once("```").expect("the output ends").0.to_owned()
}

#[track_caller]
fn prints_what_is_shown(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_anyscope-swap-in")).args(arguments).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown());
}

#[test]
fn as_it_was_written() {
    prints_what_is_shown(&[]);
}

#[test]
fn on_tokio() {
    prints_what_is_shown(&["--runtime", "tokio"]);
}

#[test]
fn on_tokio_in_one_thread() {
    prints_what_is_shown(&["--runtime", "tokio-current-thread"]);
}

#[test]
fn on_smol() {
    prints_what_is_shown(&["--runtime", "smol"]);
}

#[test]
fn on_async_std() {
    prints_what_is_shown(&["--runtime", "async-std"]);
}

#[test]
fn a_runtime_that_there_is_not_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_anyscope-swap-in")).args(["--runtime", "none"]).output().unwrap();
    assert!(!output.status.success());
}
