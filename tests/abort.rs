//! What holds where a panic ends the process. Tests can't be built so, hence a program of its own:
//! `cargo run --profile abort -p anyscope-tests --example abort`.
//!
//! It runs itself again for each part on each runtime, and looks at how that ended.

#![forbid(unsafe_code)]

use anyscope_async_std::AsyncStd;
use anyscope_core::locks::Event;
use anyscope_core::{
    CancelToken, Runtime, Semaphore, TaskGroup, run, sleep, task_group, timeout, try_task_group, unblock, with_cleanup,
    yield_now,
};
use anyscope_sim::Sim;
use anyscope_smol::Smol;
use anyscope_tests::toy::Toy;
use anyscope_tokio::Tokio;
use std::env;
use std::future::{Future, pending};
use std::process::{self, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

const PART: &str = "ANYSCOPE_ABORT";
const MOMENT: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3600);
const MESSAGE: &str = "one child panics";

macro_rules! on_each {
    ($function:ident) => {
        [
            ("tokio", (|| $function(Tokio::new())) as fn()),
            ("tokio-current-thread", || $function(Tokio::current_thread())),
            ("smol", || $function(Smol::new())),
            ("async-std", || $function(AsyncStd::new())),
            ("toy", || $function(Toy::new())),
            ("sim", || $function(Sim::new().open().lenient())),
        ]
    };
}

/// How a part has to end.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Well,
    Aborted,
}

type Part = (&'static str, [(&'static str, fn()); 6], End);

fn main() {
    if !cfg!(panic = "abort") {
        eprintln!("build this with `--profile abort`");
        process::exit(2);
    }
    let parts: [Part; 4] = [
        ("what is cancelled drains", on_each!(drains), End::Well),
        ("a dropped group destroys its children", on_each!(destroys), End::Well),
        ("a panic of a child ends the process", on_each!(child_panics), End::Aborted),
        ("a panic of a job ends the process", on_each!(job_panics), End::Aborted),
    ];
    if let Ok(told) = env::var(PART) {
        let (part, on) = told.split_once('/').expect("a part and a runtime");
        let (_, runtimes, _) = parts.into_iter().find(|(name, ..)| *name == part).expect("a part");
        let (_, body) = runtimes.into_iter().find(|(name, _)| *name == on).expect("a runtime");
        body();
        return println!("{told} ended well");
    }
    for (part, runtimes, end) in parts {
        for (on, _) in runtimes {
            let output = Command::new(env::current_exe().expect("the path of this program"))
                .env(PART, format!("{part}/{on}"))
                .output()
                .expect("a process for the part");
            let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let status = output.status;
            let as_it_has_to = match end {
                End::Well => status.success() && told.contains("ended well"),
                End::Aborted => is_abort(status) && errors.contains(MESSAGE) && !told.contains("ended well"),
            };
            assert!(as_it_has_to, "{part}, on {on}, ended with {status}:\n{told}\n{errors}");
            println!("{part}, on {on}: {status}");
        }
    }
}

#[cfg(unix)]
fn is_abort(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const SIGABRT: i32 = 6;
    status.signal() == Some(SIGABRT)
}

#[cfg(not(unix))]
fn is_abort(status: ExitStatus) -> bool {
    !status.success()
}

/// A child that waits for ever and keeps what it was given.
async fn waits<R: Runtime, T: Send>(kept: T) {
    let _kept = kept;
    let _: Result<(), _> = timeout::<R, _>(HOUR, pending()).await;
}

/// Cut off by a deadline, by a token, by a sibling that fails: nothing is left, and what was to be done after it is done.
fn drains<R: Runtime>(runtime: R) {
    let (alive, cleaned) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let (members, done) = (alive.clone(), cleaned.clone());
    run(runtime, async move {
        let semaphore = Arc::new(Semaphore::new(3));
        let group = task_group::<R, _, _>(async |g| {
            for _ in 0..20 {
                let (member, semaphore) = (members.clone(), semaphore.clone());
                g.spawn(async move {
                    let _permit = semaphore.acquire().await;
                    waits::<R, _>(member).await;
                });
            }
            pending::<()>().await;
        });
        assert!(timeout::<R, _>(MOMENT, group).await.is_err());
        assert_eq!((Arc::strong_count(&members), semaphore.available_permits()), (2, 3));

        let token = CancelToken::<R>::new();
        let stops = token.clone();
        let member = members.clone();
        let begun = Arc::new(Event::new());
        let begins = begun.clone();
        let work = async move {
            begins.set();
            waits::<R, _>(member).await;
            Ok::<_, ()>(())
        };
        let clean = async move {
            sleep::<R>(MOMENT).await;
            // Ordering: Relaxed; a number is all that it tells, and the run has waited.
            done.fetch_add(1, Ordering::Relaxed);
        };
        let cut = token.run(task_group::<R, _, _>(async move |g| {
            g.spawn(async move {
                let _ = with_cleanup::<R, _, _, _, _>(work, clean, HOUR).await;
            });
            begun.wait().await;
            stops.cancel();
            pending::<()>().await;
        }));
        assert!(cut.await.is_err());
        assert_eq!(Arc::strong_count(&members), 2);

        let failed: Result<(), _> = try_task_group::<R, _, _, _>(async |g| {
            let member = members.clone();
            g.spawn(async move {
                waits::<R, _>(member).await;
                Ok(())
            });
            g.spawn(async {
                yield_now().await;
                Err::<(), _>(7)
            });
            pending().await
        })
        .await;
        assert!(failed.is_err());
        assert_eq!(Arc::strong_count(&members), 2);
        assert_eq!(unblock::<R, _, _>(|| 7).await, 7);
    });
    // The run has waited for what was to be done after the work.
    assert_eq!((Arc::strong_count(&alive), cleaned.load(Ordering::Relaxed)), (1, 1));
}

fn destroys<R: Runtime>(runtime: R) {
    run(runtime, async {
        let alive = Arc::new(());
        let members = alive.clone();
        let mut group = Box::pin(TaskGroup::<R>::builder().run(async move |g| {
            for _ in 0..20 {
                g.spawn(waits::<R, _>(members.clone()));
            }
            pending::<()>().await;
        }));
        assert!(group.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(Arc::strong_count(&alive), 22);
        drop(group);
        // A child whose poll is under way on another thread goes when that poll returns.
        while Arc::strong_count(&alive) > 1 {
            yield_now().await;
        }
    });
}

fn child_panics<R: Runtime>(runtime: R) {
    run(
        runtime,
        task_group::<R, _, _>(async |g| {
            g.spawn(async { panic!("{MESSAGE}") });
        }),
    );
}

fn job_panics<R: Runtime>(runtime: R) {
    run(runtime, unblock::<R, _, _>(|| panic!("{MESSAGE}")));
}
