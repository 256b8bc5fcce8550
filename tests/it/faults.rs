//! Faults that take a process of their own, or several runtimes at once: runtimes within runtimes, a fork,
//! destructors of thread-locals. `docs/reliability.md` has the table.
//!
//! A part that may abort or hang runs in a process that is the test binary again, asked for [`inside`] and told by
//! [`PART`] what to run. It kills itself where it hangs.

use anyscope_async_std::AsyncStd;
use anyscope_core::locks::Event;
use anyscope_core::{
    CancelToken, Limiter, Outcome, Runtime, Semaphore, TaskGroup, is_cancelled, run, sleep, task_group, timeout,
    unblock, yield_now,
};
use anyscope_sim::Sim;
use anyscope_smol::Smol;
use anyscope_tests::toy::Toy;
use anyscope_tokio::Tokio;
use futures_lite::FutureExt;
use std::any::Any;
use std::cell::RefCell;
use std::env;
use std::fs;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

const PART: &str = "ANYSCOPE_FAULT";
const HOUR: Duration = Duration::from_secs(3600);
/// The address space of a thread's stack in those processes, of which only what is used takes memory: so much that the
/// system can refuse threads, and nothing else.
const STACK: u64 = 1 << 30;

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
        ("no thread", on_each!(no_thread)),
        ("no more threads", on_each!(no_more_threads)),
    ]
}

/// Runs one part on one runtime, where the process was told to.
#[test]
fn inside() {
    let Ok(told) = env::var(PART) else { return };
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(60));
        eprintln!("it hung");
        process::abort();
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
            .env("RUST_MIN_STACK", STACK.to_string())
            .envs((part == "no more threads").then_some(("BLOCKING_MAX_THREADS", "1")))
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
fn said(payload: &(dyn Any + Send)) -> String {
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
                fork::Fork::Child => process::exit(7),
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

/// A job for which the system has no thread is refused, and leaves nothing behind; or it waits for one.
#[test]
#[cfg(target_os = "linux")]
fn the_system_may_have_no_thread_for_a_job() {
    each_in_a_process("no thread");
}

/// The same where there is a thread already, which has other work: who doesn't wait for it any longer goes on. The pool
/// of smol and async-std bears with it only where it doesn't try to grow, so it is told to have one thread.
#[test]
#[cfg(target_os = "linux")]
fn the_system_may_have_no_more_threads() {
    each_in_a_process("no more threads");
}

/// What the system refuses from here on: more address space than a quarter of what a thread takes.
fn refuse_threads() {
    let status = fs::read_to_string("/proc/self/status").expect("what the process takes");
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB"));
    let taken: u64 = kilobytes.expect("its address space").trim().parse().expect("a number");
    limit(&(taken * 1024 + STACK / 4).to_string());
    thread::Builder::new().spawn(|| {}).expect_err("the system had a thread");
}

fn allow_threads() {
    limit("unlimited");
}

fn limit(bytes: &str) {
    let status = Command::new("prlimit").arg(format!("--pid={}", process::id())).arg(format!("--as={bytes}:")).status();
    assert!(status.expect("`prlimit` of util-linux").success());
}

/// How long all threads of the process have worked, in whatever the system counts.
fn work() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("what the process did");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// Whether a job was told that it gets no thread.
fn is_refusal(payload: &(dyn Any + Send)) -> bool {
    let said = said(payload);
    // The simulator drops the job, as a runtime does that goes away.
    ["OS can't spawn", "failed to spawn thread", "a blocking job was not run"].iter().any(|text| said.contains(text))
}

fn no_thread<R: Runtime>(runtime: fn() -> R) {
    let (begin, begun) = channel();
    let over = Arc::new(AtomicUsize::new(0));
    let seen = over.clone();
    // The pool of smol and async-std tries again and again, on the thread that asked for the job. When it has done so
    // for a while, there are threads again.
    let relief = thread::spawn(move || {
        begun.recv().expect("a job is about to be refused");
        let before = work();
        while work() < before + 30 && seen.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        allow_threads();
    });
    let ran = Arc::new(AtomicUsize::new(0));
    let limiter = Limiter::new(1);
    run(runtime(), async {
        // The runtime has what it needs for itself.
        assert_eq!(program::<R>().await, SUM);
        refuse_threads();
        begin.send(()).expect("the relief waits");
        let job = ran.clone();
        let job = unblock::<R, _, _>(move || job.fetch_add(1, Ordering::SeqCst)).limiter(&limiter);
        let ended = AssertUnwindSafe(job).catch_unwind().await;
        over.store(1, Ordering::SeqCst);
        let refused = ended.is_err_and(|payload| {
            assert!(is_refusal(&*payload), "{}", said(&*payload));
            true
        });
        assert_eq!(limiter.statistics().available, 1, "a permit was lost");
        relief.join().expect("there are threads again");
        assert_eq!(unblock::<R, _, _>(|| 7).limiter(&limiter).await, 7);
        assert_eq!(ran.load(Ordering::SeqCst), usize::from(!refused), "a refused job ran, or another didn't");
    });
}

fn no_more_threads<R: Runtime>(runtime: fn() -> R) {
    let (open, gate) = channel::<()>();
    let ran = Arc::new(AtomicUsize::new(0));
    let limiter = Limiter::new(2);
    let runtime = runtime();
    let keeps_threads = !["toy", "sim"].contains(&runtime.name());
    let waits = run(runtime, async {
        assert_eq!(program::<R>().await, SUM);
        // A thread of a job that has just ended would make room for another, where the runtime keeps none.
        if keeps_threads {
            unblock::<R, _, _>(|| {}).await;
        }
        refuse_threads();
        task_group::<R, _, _>(async |g| {
            let (bound, at_work) = (limiter.clone(), Arc::new(Event::new()));
            let (begun, refused) = (at_work.clone(), at_work.clone());
            g.spawn(async move {
                let job = unblock::<R, _, _>(move || {
                    begun.set();
                    gate.recv()
                });
                // A runtime with a thread for each job refuses this one too.
                let _ = AssertUnwindSafe(job.limiter(&bound)).catch_unwind().await;
                refused.set();
            });
            at_work.wait().await;
            let job = ran.clone();
            let job = unblock::<R, _, _>(move || job.fetch_add(1, Ordering::SeqCst)).limiter(&limiter);
            let job = timeout::<R, _>(Duration::from_millis(10), job.abandon_on_cancel());
            let waits = match AssertUnwindSafe(job).catch_unwind().await {
                Ok(ended) => ended.is_err(),
                Err(payload) => {
                    assert!(is_refusal(&*payload), "{}", said(&*payload));
                    false
                }
            };
            drop(open);
            waits
        })
        .await
    });
    assert_eq!(waits, keeps_threads);
    // Who waited no longer went on, and the run has waited for the job.
    assert_eq!(ran.load(Ordering::SeqCst), usize::from(waits));
    assert_eq!(limiter.statistics().available, 2, "a permit was lost");
}

/// No clock of the wall's is read anywhere: setting it back or forth changes nothing.
#[test]
fn nobody_reads_the_clock_on_the_wall() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("the sources").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("the sources");
                assert!(!text.contains("SystemTime"), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 50);
}
