//! The applications of the example `lib-user`, as processes: one library, on every runtime, and on two at once.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

/// The applications, and what they say of where the library found itself.
const APPLICATIONS: [(&str, &str); 4] = [
    ("fetcher-on-tokio", "on tokio\n"),
    ("fetcher-on-smol", "on smol\n"),
    ("fetcher-on-async-std", "on async-std\n"),
    ("fetcher-on-tokio-and-smol", "on tokio and smol\n"),
];

/// Each way in which a fetch can end, and the limit. What else is in a report, is the same in all.
const LINES: [&str; 11] = [
    "16 pages, 4 at a time, 3 attempts each:",
    "  key \"page-01\": 94394 bytes, 60e7980b03ae9b40, at attempt 1",
    "  key \"page-02\": 47484 bytes, b82a206fa067ab4f, at attempt 3",
    "  key \"page-04\": no answer in the time of an attempt, after 3 attempts: deadline has elapsed",
    "  key \"page-05\": the body can't be decoded, after 1 attempt: the checksum is wrong",
    "  key \"page-13\": the upstream failed, after 1 attempt: the page is gone",
    "  key \"always-busy\": the upstream failed, after 3 attempts: the upstream is busy",
    "  key \"always-busy\": the caller's deadline leaves no time to try again, after 1 attempt: the upstream is busy",
    "  deadline has elapsed",
    "  3 requests under way, then 0: the client went away",
    "never more than 4 requests under way",
];

#[test]
fn every_application_prints_the_same_lines_with_no_runtime_compiled_in_but_its_own() {
    let reports = APPLICATIONS.map(|(package, runtime)| {
        let (report, said) = run(package);
        assert_eq!(said, runtime, "of {package}");
        report
    });

    for (report, (package, _)) in reports.iter().zip(APPLICATIONS) {
        assert_eq!(*report, reports[0], "of {package}");
    }
    let mut lines = reports[0].lines();
    for line in LINES {
        assert!(lines.any(|printed| printed == line), "no {line:?} where it should be in:\n{}", reports[0]);
    }
    assert_eq!(lines.next(), None);
}

/// Runs an application; returns what it printed and what it said.
///
/// Cargo builds it by itself, as an application is built: with its own features. In a build of the whole workspace they
/// are united, and each would have every runtime.
fn run(package: &str) -> (String, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", package, "--target-dir"])
        .arg(folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let [printed, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{package}: {said}");
    (printed, said)
}
