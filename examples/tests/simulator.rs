//! The example `simulator`, as a process.

#![forbid(unsafe_code)]

use std::env::consts::EXE_SUFFIX;
use std::process::Command;

#[test]
fn simulator_shows_what_a_simulator_is_for() {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join(format!("examples/simulator{EXE_SUFFIX}"));

    let output = Command::new(binary).output().unwrap();

    let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{errors}");
    assert!(said.starts_with("86400s of the simulator's time\n"), "{said}");
    assert!(said.contains("interleavings, all that there are within the bound"), "{said}");
    assert!(errors.contains("To have it again: ANYSCOPE_REPLAY=\"\""), "{errors}");
    assert!(errors.contains("held by task `right` (spawned at examples/simulator.rs"), "{errors}");
}
