//! What a watchdog finds, and that it tells each thing once.
//!
//! Nothing here waits for time to pass: what is to have lasted too long may last for no time at all.

#![forbid(unsafe_code)]

use anyscope::sim::Sim;
use anyscope::sync::Event;
use anyscope::watchdog::{Finding, FindingKind, Watchdog};
use anyscope::{CancelToken, Runtime, Semaphore, shield, sleep, task_group, tree};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

#[macro_use]
#[path = "on_every_runtime.rs"]
mod on_every_runtime;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// One that allows everything.
fn patient() -> Watchdog {
    Watchdog::new().longest_poll(HOUR).over_budget(HOUR).longest_end(HOUR).longest_wait(HOUR)
}

/// Those of the task of that name: other tests of this process have tasks too.
fn of(name: &str, findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.task().name() == Some(name)).collect()
}

/// Runs a task of that name on a thread of its own, which tells when it is in its poll, and stays there until it is let go.
fn stuck<R: Runtime>(
    runtime: R,
    name: String,
    token: CancelToken,
) -> (Receiver<()>, Sender<()>, thread::JoinHandle<()>) {
    let (begin, begun) = mpsc::channel();
    let (let_go, go) = mpsc::channel::<()>();
    let program = thread::spawn(move || {
        anyscope::run(runtime, async {
            let group = task_group(async |g| {
                g.task(name).spawn(async move {
                    begin.send(()).unwrap();
                    let _ = go.recv();
                });
            });
            let _ = token.run(group).await;
        });
    });
    (begun, let_go, program)
}

fn a_poll_that_keeps_its_thread_is_found_while_it_does<R: Runtime>(runtime: R) {
    tree::record();
    let name = format!("stuck on {}", runtime.name());
    let (begun, let_go, program) = stuck(runtime, name.clone(), CancelToken::new());
    begun.recv().unwrap();
    let mut watchdog = patient().longest_poll(Duration::ZERO);
    let findings = of(&name, watchdog.look(Instant::now()));
    assert_eq!(findings.iter().map(Finding::kind).collect::<Vec<_>>(), [FindingKind::LongPoll]);
    let text = findings[0].to_string();
    assert!(text.starts_with(&format!("task `{name}` (spawned at tests/watchdog.rs:")), "{text}");
    assert!(text.contains("is in a poll that has taken "), "{text}");
    assert!(of(&name, watchdog.look(Instant::now())).is_empty(), "it is told once");
    drop(let_go);
    program.join().unwrap();
}

fn a_task_that_was_cancelled_and_stays_is_found_once<R: Runtime>(runtime: R) {
    tree::record();
    let name = format!("deaf on {}", runtime.name());
    let token = CancelToken::new();
    let (begun, let_go, program) = stuck(runtime, name.clone(), token.clone());
    begun.recv().unwrap();
    let mut watchdog = patient().longest_end(SECOND);
    let now = Instant::now();
    assert!(of(&name, watchdog.look(now)).is_empty());
    token.cancel_with("client went away");
    assert!(of(&name, watchdog.look(now)).is_empty());
    assert!(of(&name, watchdog.look(now + SECOND)).is_empty());
    let findings = of(&name, watchdog.look(now + 2 * SECOND));
    assert_eq!(findings.iter().map(Finding::kind).collect::<Vec<_>>(), [FindingKind::IgnoresCancellation]);
    let text = findings[0].to_string();
    assert!(text.contains("client went away") && text.contains("is running 2.0s later"), "{text}");
    assert!(of(&name, watchdog.look(now + 3 * SECOND)).is_empty());
    drop(let_go);
    program.join().unwrap();
}

fn a_wait_for_permits_is_found_with_who_holds_them<R: Runtime>(runtime: R) {
    tree::record();
    let [holds, first, second] = ["holds", "first", "second"].map(|what| format!("{what} on {}", runtime.name()));
    let semaphore = Arc::new(Semaphore::new(1));
    anyscope::run(runtime, async {
        task_group(async |g| {
            let (of_it, held) = (semaphore.clone(), Arc::new(Event::new()));
            let has = held.clone();
            g.task(holds.clone()).spawn(async move {
                let _permit = of_it.acquire().await;
                has.set();
                sleep(HOUR).await;
            });
            held.wait().await;
            for name in [&first, &second] {
                let semaphore = semaphore.clone();
                g.task(name.clone()).spawn(async move { _ = semaphore.acquire().await });
            }
            while semaphore.statistics().waiting < 2 {
                anyscope::yield_now().await;
            }
            let mut watchdog = patient().longest_wait(Duration::ZERO);
            let findings = loop {
                // In virtual time, a wait lasts for no time until there is nothing else to do.
                sleep(Duration::from_millis(1)).await;
                let findings = watchdog.look(anyscope::now());
                let ours = |finding: &Finding| {
                    [&first, &second].iter().any(|name| finding.task().name() == Some(name.as_str()))
                };
                let ours: Vec<_> = findings.into_iter().filter(ours).collect();
                if !ours.is_empty() {
                    break ours;
                }
            };
            assert_eq!(findings.iter().map(Finding::kind).collect::<Vec<_>>(), [FindingKind::Exhausted]);
            let text = findings[0].to_string();
            assert!(text.contains(&format!("held by task `{holds}`")), "{text}");
            // It is told once for both.
            assert!(of(&first, watchdog.look(anyscope::now())).is_empty());
            assert!(of(&second, watchdog.look(anyscope::now())).is_empty());
            g.cancel();
        })
        .await;
    });
}

mod while_a_thread_is_kept {
    use super::*;

    macro_rules! on_real_runtimes {
        ($($fact:ident),*) => {$(
            mod $fact {
                #[test]
                fn tokio() {
                    super::super::$fact(anyscope::tokio::Tokio::new());
                }

                #[test]
                fn tokio_current_thread() {
                    super::super::$fact(anyscope::tokio::Tokio::current_thread());
                }

                #[test]
                fn smol() {
                    super::super::$fact(anyscope::smol::Smol::new());
                }

                #[test]
                fn async_std() {
                    super::super::$fact(anyscope::async_std::AsyncStd::new());
                }
            }
        )*};
    }

    // Not on the simulator, whose time stands still in a poll.
    on_real_runtimes!(
        a_poll_that_keeps_its_thread_is_found_while_it_does,
        a_task_that_was_cancelled_and_stays_is_found_once
    );

    #[test]
    fn the_thread_of_a_watchdog_sees_a_runtime_of_which_every_thread_is_kept() {
        let name = "keeps the only thread";
        let (tell, told) = mpsc::channel();
        let watchdog = patient().period(Duration::from_millis(1)).longest_poll(Duration::ZERO);
        let watching = watchdog.start(move |finding| _ = tell.send(finding)).unwrap();
        let runtime = anyscope::tokio::Tokio::current_thread();
        let (begun, let_go, program) = stuck(runtime, name.to_owned(), CancelToken::new());
        begun.recv().unwrap();
        let found = told.iter().find(|finding| finding.task().name() == Some(name));
        assert_eq!(found.unwrap().kind(), FindingKind::LongPoll);
        drop(watching);
        // The thread is gone, and with it the other end.
        assert!(told.iter().all(|finding| finding.kind() == FindingKind::LongPoll));
        drop(let_go);
        program.join().unwrap();
    }
}

on_every_runtime!(a_wait_for_permits_is_found_with_who_holds_them,);

#[test]
fn a_shield_over_its_budget_is_found_once() {
    tree::record();
    anyscope::run(Sim::new(), async {
        task_group(async |g| {
            g.task("cleans up for long").spawn(shield(SECOND, sleep(HOUR)));
            let mut watchdog = patient().over_budget(SECOND);
            let mut look = || of("cleans up for long", watchdog.look(anyscope::now()));
            sleep(2 * SECOND).await;
            assert!(look().is_empty());
            sleep(SECOND).await;
            let findings = look();
            assert_eq!(findings.iter().map(Finding::kind).collect::<Vec<_>>(), [FindingKind::OverBudget]);
            assert!(findings[0].to_string().ends_with("is 2.0s over the budget of its shield"), "{}", findings[0]);
            assert!(look().is_empty());
            g.cancel();
        })
        .await;
    });
}

#[test]
#[should_panic(expected = "its period is zero")]
fn a_watchdog_that_would_look_all_the_time_is_refused() {
    let _ = Watchdog::new().period(Duration::ZERO);
}
