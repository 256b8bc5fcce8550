//! The examples `trace` and `trace-picture`, as processes: one draws what the other writes.

#![forbid(unsafe_code)]

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::Path;
use std::process::Command;

fn run(example: &str, arguments: &[&Path]) -> String {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe().unwrap();
    let examples = test.ancestors().nth(2).unwrap().join("examples");
    let output = Command::new(examples.join(format!("{example}{EXE_SUFFIX}"))).args(arguments).output().unwrap();
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_trace_is_written_and_drawn_whole_or_cut_off() {
    let place = std::env::temp_dir().join(format!("anyscope-example-trace-{}", std::process::id()));
    fs::create_dir(&place).unwrap();
    let (trace, picture) = (place.join("trace.json"), place.join("trace.svg"));
    assert!(run("trace", &[&trace]).contains(" bytes\n"));
    assert!(run("trace-picture", &[&trace, &picture]).contains(" tracks, "));
    let drawn = fs::read_to_string(&picture).unwrap();
    for shown in ["requests (", "late (", ">cancelled<", ">poll<"] {
        assert!(drawn.contains(shown), "{shown}");
    }

    let text = fs::read_to_string(&trace).unwrap();
    let half = text[..text.len() / 2].rfind(",\n").unwrap();
    fs::write(&trace, &text[..half]).unwrap();
    run("trace-picture", &[&trace, &picture]);
    assert!(fs::read_to_string(&picture).unwrap().ends_with("</svg>\n"));
    fs::remove_dir_all(&place).unwrap();
}

#[test]
fn what_is_logged_says_whose_it_is() {
    let said = run("tracing", &[]);
    let line = said.lines().find(|line| line.contains("the rows are there")).expect("it is logged");
    let outer = line.find("task{name=\"/").expect("the request's");
    assert!(line[outer..].contains(":task{name=\"database\" id="), "{line}");
}
