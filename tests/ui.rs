//! What must not compile, and what the compiler says of it.
//!
//! The compiler's words change with its version, so they are compared on the one they were written down with. That the
//! same programs compile nowhere is held by the `compile_fail` examples in the docs. `TRYBUILD=overwrite` writes them anew.

#![forbid(unsafe_code)]

use std::io::{Write, stderr};
use std::process::Command;

const WRITTEN_WITH: &str = "rustc 1.95.";

#[test]
fn what_must_not_compile_says_why() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("there is a compiler");
    if version.stdout.starts_with(WRITTEN_WITH.as_bytes()) {
        trybuild::TestCases::new().compile_fail("ui/*.rs");
    } else {
        let version = String::from_utf8_lossy(&version.stdout);
        // Not by `eprintln!`, which nobody sees of a test that passes.
        let told = format!("LEFT OUT: `ui/*.rs`, written down with {WRITTEN_WITH}*; this is {}\n", version.trim());
        stderr().write_all(told.as_bytes()).expect("standard error is there");
    }
}
