//! The example `laws`, as a process.

#![forbid(unsafe_code)]

use anyscope_conformance::CHECKS;
use std::env::consts::EXE_SUFFIX;
use std::process::Command;

#[test]
fn laws_prints_the_row_of_the_law_that_it_was_asked_for() {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join(format!("examples/laws{EXE_SUFFIX}"));

    let output = Command::new(binary).args(["6"]).output().unwrap();

    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let count = CHECKS.iter().filter(|check| check.laws.contains(&6)).count();
    let kept = format!("{count}/{count}");
    let rows = [
        "| law                     | tokio | tokio, current-thread | smol | async-std |".to_owned(),
        "| ----------------------- | ----- | --------------------- | ---- | --------- |".to_owned(),
        format!("| 6. Never inside `spawn` | {kept:<5} | {kept:<21} | {kept:<4} | {kept:<9} |"),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), rows, "{errors}");
    assert!(output.status.success());
    assert!(errors.is_empty(), "what a check that is kept writes isn't shown: {errors}");
}
