//! The example `hello`, as a process.

#![forbid(unsafe_code)]

use std::env::consts::EXE_SUFFIX;
use std::process::Command;

#[test]
fn hello_says_the_same_on_every_runtime() {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join(format!("examples/hello{EXE_SUFFIX}"));

    let output = Command::new(binary).output().unwrap();

    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<(&str, &str)> =
        said.split("on ").filter(|part| !part.is_empty()).map(|part| part.split_once(":\n").unwrap()).collect();
    let [("tokio", on_tokio), ("smol", on_smol), ("async-std", on_async_std)] = parts[..] else { panic!("{said}") };
    assert!(on_tokio.starts_with("  user 1 wrote post 1.1 and post 1.2\n  too slow: deadline has elapsed\n"), "{said}");
    assert!(on_tokio.contains("the client went away"), "{said}");
    assert_eq!((on_smol, on_async_std), (on_tokio, on_tokio));
}
