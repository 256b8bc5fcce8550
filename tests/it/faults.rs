//! Faults that take a process of their own, or several runtimes at once: runtimes within runtimes, a fork,
//! destructors of thread-locals. `docs/reliability.md` has the table.
//!
//! A part that may abort or hang runs in a process that is the test binary again, asked for [`inside`] and told by
//! [`PART`] what to run. It kills itself where it hangs.

use anyscope_async_std::AsyncStd;
use anyscope_core::locks::Event;
use anyscope_core::{
    CancelToken, Outcome, Runtime, Semaphore, TaskGroup, is_cancelled, run, sleep, task_group, timeout, unblock,
    yield_now,
};
use anyscope_sim::Sim;
use anyscope_smol::Smol;
use anyscope_tests::toy::Toy;
use anyscope_tokio::Tokio;
use std::cell::RefCell;
use std::env;
use std::future::{Future, pending};
use std::panic::catch_unwind;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

const PART: &str = "ANYSCOPE_FAULT";
const HOUR: Duration = Duration::from_secs(3600);

/// Calls a generic function with each runtime: an array of names and what to call.
macro_rules! on_each {
    ($function:ident) => {
        [
            ("tokio", (|| $function(Tokio::new)) as fn()),
            ("tokio-current-thread", || $function(Tokio::current_thread)),
            ("smol", || $function(Smol::new)),
            ("async-std", || $function(AsyncStd::new)),
            ("toy", || $function(Toy::new)),
            ("sim", || $function(sim)),
        ]
    };
}

fn sim() -> Sim {
    Sim::new().open().lenient()
}

/// What is run in a process of its own: its name, and how it is done on each runtime.
type Part = (&'static str, [(&'static str, fn()); 6]);

/// The parts that run in a process of their own: for each its name, and the runtimes.
fn parts() -> Vec<Part> {
    vec![
        ("nesting", on_each!(nesting)),
        ("forking", on_each!(forking)),
        ("at the end of a thread", on_each!(at_the_end_of_a_thread)),
    ]
}

/// Runs one part on one runtime, where the process was told to.
#[test]
fn inside() {
    let Ok(told) = env::var(PART) else { return };
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(60));
        eprintln!("it hung");
        std::process::abort();
    });
    let (part, on) = told.split_once(" on ").expect("a part and a runtime");
    let (_, runtimes) = parts().into_iter().find(|(name, _)| *name == part).expect("a part");
    let (_, body) = runtimes.into_iter().find(|(name, _)| *name == on).expect("a runtime");
    body();
}

/// Runs a part in a process of its own, on every runtime.
fn each_in_a_process(part: &str) {
    let (_, runtimes) = parts().into_iter().find(|(name, _)| *name == part).expect("a part");
    for (name, _) in runtimes {
        let Output { status, stdout, stderr } = Command::new(env::current_exe().expect("the path of the tests"))
            .args(["faults::inside", "--exact", "--nocapture", "--test-threads=1"])
            .env(PART, format!("{part} on {name}"))
            .output()
            .expect("a process for the part");
        let (told, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{part} on {name} ended with {status}:\n{told}\n{errors}");
        assert!(told.contains("1 passed"), "{part} on {name} wasn't run:\n{told}");
    }
}

/// A little of everything, which has to work wherever it is.
async fn program<R: Runtime>() -> usize {
    task_group::<R, _, _>(async |g| {
        let tasks: Vec<_> = (0..5)
            .map(|n| {
                g.spawn(async move {
                    yield_now().await;
                    sleep::<R>(Duration::from_micros(10)).await;
                    n
                })
            })
            .collect();
        let mut sum = timeout::<R, _>(HOUR, async { 0 }).await.expect("an hour is enough");
        for task in tasks {
            sum += task.await;
        }
        sum
    })
    .await
}

const SUM: usize = 10;

/// What a panic said.
fn said(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[test]
fn a_runtime_inside_of_another_works_or_says_so() {
    each_in_a_process("nesting");
}

fn nesting<O: Runtime>(outer: fn() -> O) {
    fn inner<I: Runtime>(name: &str, on: &str, inner: fn() -> I) {
        let ended = catch_unwind(|| run(inner(), program::<I>()));
        match ended {
            Ok(sum) => assert_eq!(sum, SUM),
            // tokio refuses to block a thread that drives another tokio, and names it.
            Err(payload) => {
                assert!(name.starts_with("tokio") && on.starts_with("tokio"), "{name} in {on}: {}", said(&*payload));
                assert!(said(&*payload).contains("within a runtime"), "{name} in {on}: {}", said(&*payload));
            }
        }
    }

    let runtime = outer();
    let on = runtime.name().to_owned();
    run(runtime, async {
        // In the body, and in a job. In a child it would block a thread of the runtime's, as anything may that blocks:
        // smol's executor has no other, by default.
        let all = move || {
            inner("tokio", &on, Tokio::new);
            inner("tokio-current-thread", &on, Tokio::current_thread);
            inner("smol", &on, Smol::new);
            inner("async-std", &on, AsyncStd::new);
            inner("toy", &on, Toy::new);
            inner("sim", &on, sim);
        };
        all();
        unblock::<O, _, _>(all).await;
        // Neither what worked nor what was refused left anything behind.
        assert_eq!(program::<O>().await, SUM);
    });
}

/// A task, a call, and a permit of one runtime are awaited on another.
#[test]
fn what_lives_on_one_runtime_is_awaited_on_another() {
    fn pair<A: Runtime, B: Runtime>(here: fn() -> A, there: fn() -> B) {
        let (send, receive) = channel();
        let over = Arc::new(Event::new());
        let end = over.clone();
        let semaphore = Arc::new(Semaphore::new(1));
        let permits = semaphore.clone();
        let other = thread::spawn(move || {
            run(
                there(),
                task_group::<B, _, _>(async move |g| {
                    let task = g.spawn(program::<B>());
                    let held = permits.acquire_arc().await.expect("it is open");
                    send.send((g.handle(), g.portal(), task)).expect("the test waits");
                    drop(held);
                    end.wait().await;
                }),
            );
        });
        let (handle, portal, task) = receive.recv().expect("the other runtime runs");
        run(here(), async move {
            assert_eq!(task.await, SUM);
            let spawned = handle.spawn(program::<B>()).expect("the group goes on");
            assert!(matches!(spawned.outcome().await, Outcome::Completed(SUM)));
            assert!(matches!(portal.enter(program::<B>).await, Ok(SUM)));
            let held = semaphore.acquire().await.expect("it is open");
            over.set();
            drop(held);
            assert_eq!(program::<A>().await, SUM);
        });
        other.join().expect("the other runtime ends well");
    }

    fn with_each<A: Runtime>(here: fn() -> A) {
        pair(here, Tokio::new);
        pair(here, Tokio::current_thread);
        pair(here, Smol::new);
        pair(here, AsyncStd::new);
        pair(here, Toy::new);
        pair(here, sim);
    }

    on_each!(with_each).into_iter().for_each(|(_, matrix)| matrix());
}

/// Nothing of the process that forked is lost; the child may exit.
#[test]
fn a_fork_leaves_the_parent_as_it_was() {
    each_in_a_process("forking");
}

fn forking<R: Runtime>(runtime: fn() -> R) {
    run(runtime(), async {
        task_group::<R, _, _>(async |g| {
            let event = Arc::new(Event::new());
            let waiting = event.clone();
            let task = g.spawn(async move {
                waiting.wait().await;
                program::<R>().await
            });
            yield_now().await;
            match fork::fork().expect("another process") {
                fork::Fork::Child => std::process::exit(7),
                fork::Fork::Parent(child) => {
                    let status = fork::waitpid(child).expect("its child");
                    assert_eq!(status >> 8, 7, "the child ended with {status}");
                }
            }
            event.set();
            assert_eq!(task.await, SUM);
        })
        .await;
    });
}

/// What a thread drops when it ends, and does then, harms nothing: its own thread-locals may be gone before.
#[test]
fn a_thread_may_drop_anything_when_it_ends() {
    each_in_a_process("at the end of a thread");
}

/// Does something when its thread ends.
struct AtTheEnd(RefCell<Vec<Box<dyn FnOnce()>>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|act| act());
    }
}

thread_local!(static AT_THE_END: AtTheEnd = const { AtTheEnd(RefCell::new(Vec::new())) });

fn at_the_end_of_a_thread<R: Runtime>(runtime: fn() -> R) {
    fn at_the_end(act: impl FnOnce() + 'static) {
        AT_THE_END.with(|end| end.0.borrow_mut().push(Box::new(act)));
    }

    // Thread-locals are destroyed in the order in which they were first used, or the opposite one.
    for first in [false, true] {
        let runtime = runtime();
        let done = Arc::new(AtomicUsize::new(0));
        let (semaphore, token) = (Arc::new(Semaphore::new(1)), CancelToken::<R>::new());
        let (acts, permits, guard) = (done.clone(), semaphore.clone(), token.drop_guard());
        let ending = thread::spawn(move || {
            if first {
                at_the_end(|| {});
            }
            let dropped = acts.clone();
            let (group, left) = run(runtime.clone(), async move {
                let mut group = Box::pin(TaskGroup::<R>::builder().run(async move |g| {
                    g.spawn(async move {
                        pending::<()>().await;
                        dropped.fetch_add(100, Ordering::SeqCst);
                    });
                    pending::<()>().await;
                }));
                let poll = group.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(poll.is_pending());
                let left = task_group::<R, _, _>(async |g| (g.handle(), g.spawn(async { 7 }))).await;
                (group, left)
            });
            let permit = permits.try_acquire_arc().expect("it is free");
            let inner = CancelToken::<R>::new();
            at_the_end(move || {
                assert!(!is_cancelled(), "nothing is around the end of a thread");
                drop(group);
                drop((permit, guard));
                assert!(left.0.spawn(async {}).is_err(), "its group has ended");
                drop(left);
                assert!(inner.cancel());
                let mut polled = Box::pin(inner.run(async {}));
                let _ = polled.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                drop(polled);
                // It may say either, and doesn't panic.
                let _ = R::detect();
                drop(runtime);
                acts.fetch_add(1, Ordering::SeqCst);
            });
        });
        ending.join().expect("the thread ends well");
        assert_eq!(done.load(Ordering::SeqCst), 1, "not all was done");
        assert_eq!(semaphore.available_permits(), 1);
        assert!(token.is_cancelled());
    }
}

/// No clock of the wall's is read anywhere: setting it back or forth changes nothing.
#[test]
fn nobody_reads_the_clock_on_the_wall() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("the sources").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("the sources");
                assert!(!text.contains("SystemTime"), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 50);
}
