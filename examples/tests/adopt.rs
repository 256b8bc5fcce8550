//! The examples that adopt anyscope, as processes.

#![forbid(unsafe_code)]

use std::env::consts::EXE_SUFFIX;
use std::process::Command;

#[test]
fn an_application_adopts_two_functions_on_each_runtime() {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe().unwrap();
    let examples = test.ancestors().nth(2).unwrap().join("examples");
    for (example, runtime) in [("adopt-tokio", "tokio"), ("adopt-smol", "smol"), ("adopt-async-std", "async-std")] {
        let output = Command::new(examples.join(format!("{example}{EXE_SUFFIX}"))).output().unwrap();
        let [said, found] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{example}: {found}");
        assert_eq!(found, format!("on {runtime}\n"), "of {example}");
        assert_eq!(said, SAID, "of {example}");
    }
}

const SAID: &str = r#"the cheapest: Some(("corner shop", 23))
aborted: true
given back: 3
"#;
