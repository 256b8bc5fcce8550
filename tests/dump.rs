//! Trees that are written down on a signal, and after a panic: by processes of their own.

#![cfg(unix)]
#![forbid(unsafe_code)]

use anyscope::sim::Sim;
use anyscope::sync::{Event, Mutex};
use anyscope::{Current, dump, sleep, task_group};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Set in the process that a test starts, which is this program with that test alone.
const ALONE: &str = "ANYSCOPE_TESTS_DUMP";

/// Starts the test anew in a process of its own, unless this is it.
fn alone(test: &str) -> Option<Child> {
    if std::env::var_os(ALONE).is_some() {
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command.spawn().unwrap())
}

fn this(test: &str) -> String {
    format!("{test}::{}", Current::get().name().replace('-', "_"))
}

fn signal(child: &Child) {
    assert!(Command::new("kill").args(["-USR1", &child.id().to_string()]).status().unwrap().success());
}

/// Waits until the parent lets it go on: each line is one word of its.
fn parent_goes_on() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

// Not on the simulator: it has a panic again and again, to find out what is enough for it, and tells the last alone.
#[anyscope::test(except(sim))]
async fn after_a_panic_the_tree_is_written_below_what_the_panic_says() {
    if let Some(child) = alone(&this("after_a_panic_the_tree_is_written_below_what_the_panic_says")) {
        let said = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr);
        let (panic, tree) = said.split_once("what lived at the panic:\n").unwrap_or_else(|| panic!("{said}"));
        assert!(panic.contains("the disk is on fire"), "{said}");
        assert!(tree.contains("task `burns` (spawned at tests/dump.rs:") && tree.contains(": running"), "{said}");
        assert!(tree.contains("task `bystander`"), "{said}");
        return;
    }
    dump::on_panic();
    dump::on_panic();
    task_group(async |g| {
        let (waits, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (wait, begin) = (waits.clone(), begun.clone());
        g.task("bystander").spawn(async move {
            begin.set();
            wait.wait().await;
        });
        begun.wait().await;
        g.task("burns").spawn(async { panic!("the disk is on fire") });
    })
    .await;
}

#[test]
fn a_deadlock_in_the_simulator_is_told_and_hangs_nobody() {
    if let Some(child) = alone("a_deadlock_in_the_simulator_is_told_and_hangs_nobody") {
        let said = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr);
        assert!(said.contains("deadlock: everybody waits") && said.contains("what lived at the panic"), "{said}");
        return;
    }
    dump::on_panic();
    anyscope::run(Sim::new(), async {
        let (one, other) = (Mutex::new(()), Mutex::new(()));
        let _held = one.lock().await;
        let _also = other.lock().await;
        drop(one.lock().await);
    });
}

#[anyscope::test(except(sim))]
async fn a_signal_has_the_tree_written_and_ends_nobody() {
    let test = this("a_signal_has_the_tree_written_and_ends_nobody");
    if let Some(mut child) = alone(&test) {
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut hear = |wanted: &str| {
            let mut heard = String::new();
            while !heard.contains(wanted) {
                assert_ne!(said.read_line(&mut heard).unwrap(), 0, "{heard}");
            }
            heard
        };
        hear("ready");
        for _ in 0..2 {
            signal(&child);
            let heard = hear("task `sleeper` (spawned at tests/dump.rs:");
            assert!(heard.contains("what lives:\n"), "{heard}");
        }
        use std::io::Write as _;
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        hear("nobody listens");
        signal(&child);
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("what lives"), "{rest}");
        assert!(child.wait().unwrap().success());
        return;
    }
    let dumps = dump::on_signal().unwrap();
    task_group(async |g| {
        g.task("sleeper").spawn(sleep(HOUR));
        // So that it has been polled.
        anyscope::yield_now().await;
        while !anyscope::tree().to_string().contains("`sleeper`") {
            anyscope::yield_now().await;
        }
        eprintln!("ready");
        anyscope::unblock(parent_goes_on).await;
        drop(dumps);
        eprintln!("nobody listens");
        anyscope::unblock(parent_goes_on).await;
        g.cancel();
    })
    .await;
}
