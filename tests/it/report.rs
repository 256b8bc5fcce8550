//! The table of the laws, of runtimes that don't keep them all.

use anyscope_conformance::{Report, Subject, report};
use anyscope_core::{Driver, Job, Runtime, RuntimeError};
use anyscope_tests::toy::{Sleep, Toy};
use std::pin::Pin;
use std::process::abort;
use std::task::{Context, Waker};
use std::time::Instant;

/// The toy, with something wrong about how it spawns.
#[derive(Clone)]
struct Wrong(Toy, fn(&Toy, Driver));

impl Runtime for Wrong {
    type Sleep = Sleep;

    const REMEDY: &'static str = Toy::REMEDY;

    fn name(&self) -> &'static str {
        "wrong"
    }

    fn detect() -> Option<Self> {
        None
    }

    fn spawn(&self, driver: Driver) {
        (self.1)(&self.0, driver);
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, at: Instant) -> Result<Sleep, RuntimeError> {
        self.0.sleep_until(at)
    }

    fn spawn_blocking(&self, job: Job) {
        self.0.spawn_blocking(job);
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}

fn hasty() -> Wrong {
    Wrong(Toy::new(), |toy, mut driver| {
        // The very thing that a runtime must not do.
        let _ = Pin::new(&mut driver).poll(&mut Context::from_waker(Waker::noop()));
        toy.spawn(driver);
    })
}

fn aborting() -> Wrong {
    Wrong(Toy::new(), |_, _| abort())
}

const CHECK: &str = "a_child_never_runs_inside_spawn";

#[test]
fn the_table_tells_what_is_kept_what_was_declared_and_what_failed() {
    let report = Report::new()
        .laws([6, 32])
        .run(Subject::new("toy", Toy::new))
        .run(Subject::new("declared", hasty).not_kept(CHECK, "it is hasty"))
        .run(Subject::new("aborting", aborting))
        .run(Subject::new("boasting", Toy::new).not_kept(CHECK, "so we thought"));

    let told = report.to_string();
    let lines: Vec<&str> = told.lines().collect();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>().join("|");
    assert_eq!(cells(lines[0]), "|law|toy|declared|aborting|boasting|", "{told}");
    assert_eq!(cells(lines[2]), "|6. Never inside `spawn`|2/2|1/2 [^1]|1/2|1/2|", "{told}");
    assert_eq!(cells(lines[3]), "|32. The simulator|none|none|none|none|", "{told}");
    assert_eq!(lines[5], format!("[^1]: declared, `lifetime::{CHECK}`: it is hasty"), "{told}");
    assert_eq!(lines[7], "Not kept:", "{told}");
    let aborted = format!("- aborting, `lifetime::{CHECK}`: its process ended with ");
    assert!(lines[9].starts_with(&aborted), "{told}");
    let boasted = format!("- boasting, `lifetime::{CHECK}`: declared as not kept (so we thought), but it is");
    assert_eq!(lines[10..], [boasted], "{told}");
    assert!(!report.is_kept());
}

#[test]
fn a_check_that_fails_says_why() {
    let report = Report::new().laws([6]).run(Subject::new("hasty", hasty));
    let told = report.to_string();
    let why = told.lines().last().unwrap().strip_prefix(&format!("- hasty, `lifetime::{CHECK}`: ")).unwrap();
    assert!(why.contains("a child ran inside of `spawn`"), "{told}");
}

#[test]
fn the_toy_keeps_every_law() {
    assert!(report([Subject::new("toy", Toy::new)]).is_kept());
}
