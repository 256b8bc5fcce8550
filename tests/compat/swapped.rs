//! What `compat` keeps where tokio has nothing to compare: on a run of anyscope's, beside its scopes, and in an application
//! that is on a runtime by itself.

#![allow(clippy::async_yields_async, reason = "handles are carried out of what they are not to end with")]

use anyscope::compat::tokio::{self, sync::oneshot};
use anyscope::{Runtime, drained, run, shield, task_group};
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

on_every_runtime! {
    a_run_ends_what_is_idle_and_does_not_wait_for_it,
    a_run_that_panics_ends_it_too,
    a_run_waits_for_a_closure_that_blocks,
    a_run_ends_it_after_what_groups_left,
    what_is_spawned_at_the_end_is_cancelled,
    a_group_does_not_wait_for_it,
    a_cancellation_around_the_spawn_does_not_reach_it,
    a_deadline_around_the_spawn_does_not_reach_it,
    its_panic_is_not_the_runs,
    a_destructor_that_panics_at_the_end_of_a_run_is_nobodys,
    an_abort_ends_the_groups_inside,
    an_abort_tells_the_groups_inside,
    a_shield_holds_an_abort_off,
    it_inherits_no_locals,
}

/// Tells of its drop.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn dropped() -> (Dropped, Arc<AtomicBool>) {
    let gone = Arc::new(AtomicBool::new(false));
    (Dropped(gone.clone()), gone)
}

/// Starts a task that has begun and never ends.
async fn idle(guard: Dropped) -> tokio::JoinHandle<()> {
    let (begun, begins) = oneshot::channel();
    let task = tokio::spawn(async move {
        let _guard = guard;
        begun.send(()).unwrap();
        pending::<()>().await;
    });
    begins.await.unwrap();
    task
}

fn a_run_ends_what_is_idle_and_does_not_wait_for_it<R: Runtime>(runtime: R) {
    let (guard, gone) = dropped();
    let (unbegun, gone_too) = dropped();
    let task = run(runtime, async move {
        let task = idle(guard).await;
        drop(tokio::spawn(async move {
            let _unbegun = unbegun;
            pending::<()>().await;
        }));
        assert!(!task.is_finished());
        task
    });
    assert!(gone.load(SeqCst) && gone_too.load(SeqCst));
    assert!(task.is_finished());
}

fn a_run_that_panics_ends_it_too<R: Runtime>(runtime: R) {
    let (guard, gone) = dropped();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(runtime, async move {
            let _task = idle(guard).await;
            panic!("the body");
        });
    }));
    assert!(ended.is_err());
    assert!(gone.load(SeqCst));
}

fn a_run_waits_for_a_closure_that_blocks<R: Runtime>(runtime: R) {
    let (guard, gone) = dropped();
    run(runtime, async move {
        let (begun, begins) = oneshot::channel();
        drop(tokio::task::spawn_blocking(move || {
            let _guard = guard;
            begun.send(()).unwrap();
            // It lasts until the run has come to its end, and a little longer.
            while !anyscope::is_cancelled() {
                std::thread::yield_now();
            }
        }));
        begins.await.unwrap();
    });
    assert!(gone.load(SeqCst));
}

fn a_run_ends_it_after_what_groups_left<R: Runtime>(runtime: R) {
    let (answered, is_answered) = mpsc::channel();
    run(runtime, async move {
        let (ask, mut asked) = tokio::sync::mpsc::channel::<oneshot::Sender<u8>>(1);
        tokio::spawn(async move {
            while let Some(reply) = asked.recv().await {
                reply.send(7).unwrap();
            }
        });
        // The finaliser of a group that is dropped needs the worker.
        let left = task_group(async |g| {
            g.on_exit(async move {
                let (reply, answer) = oneshot::channel();
                ask.send(reply).await.unwrap();
                answered.send(answer.await.unwrap()).unwrap();
            });
            pending::<()>().await;
        });
        tokio::select! {
            biased;
            () = left => {}
            () = std::future::ready(()) => {}
        }
    });
    assert_eq!(is_answered.try_recv(), Ok(7));
}

struct SpawnsWhenDropped(mpsc::Sender<tokio::JoinHandle<()>>);

impl Drop for SpawnsWhenDropped {
    fn drop(&mut self) {
        let spawned = tokio::spawn(async { unreachable!("polled after the end of the run") });
        self.0.send(spawned).unwrap();
    }
}

fn what_is_spawned_at_the_end_is_cancelled<R: Runtime>(runtime: R) {
    let (spawned, late) = mpsc::channel();
    run(runtime, async move {
        let (begun, begins) = oneshot::channel();
        drop(tokio::spawn(async move {
            let _guard = SpawnsWhenDropped(spawned);
            begun.send(()).unwrap();
            pending::<()>().await;
        }));
        begins.await.unwrap();
    });
    let late = late.try_recv().unwrap();
    assert!(late.is_finished());
    assert!(::smol::block_on(late).unwrap_err().is_cancelled());
}

fn a_group_does_not_wait_for_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (go, gate) = oneshot::channel::<()>();
        let task =
            task_group(async |g| g.spawn(async { tokio::spawn(async move { gate.await.unwrap() }) }).await).await;
        assert!(!task.is_finished());
        go.send(()).unwrap();
        task.await.unwrap();
    });
}

fn a_cancellation_around_the_spawn_does_not_reach_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (go, gate) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let token = anyscope::CancelToken::new();
        let cancelled = token.run(async {
            let task = tokio::spawn(async move {
                gate.await.unwrap();
                anyscope::is_cancelled()
            });
            tell.send(task).unwrap();
            token.cancel();
            pending::<()>().await;
        });
        assert!(cancelled.await.is_err());
        go.send(()).unwrap();
        assert!(!told.await.unwrap().await.unwrap());
    });
}

fn a_deadline_around_the_spawn_does_not_reach_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (go, gate) = oneshot::channel::<()>();
        let task = anyscope::timeout(Duration::from_secs(3600), async {
            tokio::spawn(async move {
                gate.await.unwrap();
                anyscope::remaining()
            })
        });
        let task = task.await.unwrap();
        go.send(()).unwrap();
        assert_eq!(task.await.unwrap(), None);
    });
}

fn its_panic_is_not_the_runs<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (begun, begins) = oneshot::channel::<()>();
        drop(tokio::spawn(async move {
            let _begun = begun;
            panic!("nobody looks");
        }));
        assert!(begins.await.is_err());
        // A group that a task drops in a panic leaves nothing to the run either.
        let group = tokio::spawn(async {
            task_group(async |g| {
                g.spawn(async { panic!("a child") });
                pending::<()>().await;
            })
            .await;
        });
        assert!(group.await.unwrap_err().is_panic());
        assert_eq!(tokio::spawn(async { 1 }).await.unwrap(), 1);
    });
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb went off");
    }
}

fn a_destructor_that_panics_at_the_end_of_a_run_is_nobodys<R: Runtime>(runtime: R) {
    let (guard, gone) = dropped();
    let exploded = run(runtime, async move {
        let (begun, begins) = oneshot::channel();
        let exploded = tokio::spawn(async move {
            let _bomb = Bomb;
            begun.send(()).unwrap();
            pending::<()>().await;
        });
        begins.await.unwrap();
        drop(idle(guard).await);
        exploded
    });
    assert!(gone.load(SeqCst));
    assert!(::smol::block_on(exploded).unwrap_err().is_panic());
}

fn an_abort_ends_the_groups_inside<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (guard, gone) = dropped();
        let (begun, begins) = oneshot::channel();
        let task = tokio::spawn(task_group(async |g| {
            g.spawn(async move {
                let _guard = guard;
                begun.send(()).unwrap();
                pending::<()>().await;
            });
            pending::<()>().await;
        }));
        begins.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        // A child that was in the middle of its poll is destroyed when that returns.
        while !gone.load(SeqCst) {
            tokio::task::yield_now().await;
        }
    });
}

fn an_abort_tells_the_groups_inside<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (told, tells) = mpsc::channel();
        let (begun, begins) = oneshot::channel();
        let task = tokio::spawn(task_group(async |g| {
            g.on_exit_with(move |how| async move {
                if let anyscope::Outcome::Cancelled(reason) = how {
                    told.send(reason.message().map(str::to_owned)).unwrap();
                }
            });
            begun.send(()).unwrap();
            pending::<()>().await;
        }));
        begins.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        loop {
            match tells.try_recv() {
                Ok(message) => return assert_eq!(message.as_deref(), Some("aborted")),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
}

fn a_shield_holds_an_abort_off<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (begun, begins) = oneshot::channel();
        let (go, gate) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let task = tokio::spawn(async move {
            shield(Duration::from_secs(3600), async {
                begun.send(()).unwrap();
                gate.await.unwrap();
                tell.send("shielded").unwrap();
            })
            .await;
            pending::<()>().await;
        });
        begins.await.unwrap();
        task.abort();
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        go.send(()).unwrap();
        assert_eq!(told.await, Ok("shielded"));
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

fn it_inherits_no_locals<R: Runtime>(runtime: R) {
    static LOCAL: anyscope::TaskLocal<u8> = anyscope::TaskLocal::new();
    run(runtime, async {
        let inside = LOCAL.scope(1, async {
            let task = tokio::spawn(LOCAL.scope(2, async {
                assert_eq!(LOCAL.get(), 2);
                // Nor from another of its kind.
                tokio::spawn(async { LOCAL.try_get().is_err() }).await.unwrap()
            }));
            assert_eq!(LOCAL.get(), 1);
            (task.await.unwrap(), tokio::spawn(async { LOCAL.try_get().is_err() }).await.unwrap())
        });
        assert_eq!(inside.await, (true, true));
    });
}

/// An application on tokio that has changed its `use` lines and nothing else.
#[test]
fn on_a_runtime_of_the_applications_tasks_end_with_that() {
    let (guard, gone) = dropped();
    let runtime = ::tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (task, set) = runtime.block_on(async move {
        assert_eq!(tokio::spawn(async { anyscope::Current::get().name() }).await.unwrap(), "tokio");
        let nested = tokio::spawn(async { tokio::spawn(async { tokio::task::spawn_blocking(|| 1).await }).await });
        assert_eq!(nested.await.unwrap().unwrap().unwrap(), 1);
        let mut set = tokio::task::JoinSet::new();
        set.spawn(pending::<()>());
        (idle(guard).await, set)
    });
    assert!(!task.is_finished());
    drop(runtime);
    assert!(gone.load(SeqCst));
    assert!(::smol::block_on(task).unwrap_err().is_cancelled());
    assert_eq!(set.len(), 1);
}

/// Where there is no run, what a task leaves is counted by nobody but `drained`; the task itself isn't waited for.
#[test]
fn drained_does_not_wait_for_tasks_but_for_what_they_leave() {
    ::smol::block_on(async {
        let (guard, gone) = dropped();
        let task = idle(guard).await;
        drained().await;
        let (begun, begins) = oneshot::channel();
        let (go, gate) = mpsc::channel::<()>();
        let (ended, is_ended) = dropped();
        drop(tokio::task::spawn_blocking(move || {
            let _ended = ended;
            begun.send(()).unwrap();
            gate.recv().unwrap();
        }));
        begins.await.unwrap();
        go.send(()).unwrap();
        drained().await;
        assert!(is_ended.load(SeqCst));
        assert!(!gone.load(SeqCst));
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(gone.load(SeqCst));
    });
}

/// A task that has ended leaves no driver behind, whatever was run in it besides.
#[test]
fn a_task_of_the_applications_runtime_leaves_nothing_running() {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let task = tokio::spawn(async {
            // Its clean-up goes on in the task's group after the future is gone.
            let clean = async {
                tokio::task::yield_now().await;
                Ok::<(), String>(())
            };
            let work = anyscope::with_cleanup(pending::<Result<(), String>>(), clean, Duration::from_secs(3600));
            tokio::time::timeout(Duration::ZERO, work).await.is_err()
        });
        assert!(task.await.unwrap());
        let metrics = ::tokio::runtime::Handle::current().metrics();
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[tokio::main]
async fn main_by_attribute(number: u32) -> u32 {
    tokio::spawn(async move { number + 1 }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attributes_are_tokios() -> Result<(), tokio::task::JoinError> {
    // On a thread of its own: a `main` blocks the one that it is called on.
    let main = tokio::task::spawn_blocking(|| std::thread::spawn(|| main_by_attribute(1)).join().unwrap());
    assert_eq!(main.await?, 2);
    Ok(())
}

#[test]
fn a_main_runs_on_the_first_runtime_that_is_compiled_in() {
    let body = async {
        let spawned = tokio::spawn(async { anyscope::Current::get().name() }).await.unwrap();
        (anyscope::Current::get().name(), spawned)
    };
    assert_eq!(tokio::__private::on_one_thread(body), ("smol", "smol"));
    let borrowed = String::from("not static");
    assert_eq!(tokio::__private::on_many_threads(async { borrowed.len() }), 10);
}

#[test]
fn the_names_are_at_the_root_too() {
    use anyscope::compat::{tokio, tokio_util};
    fn same<T>(_: Option<T>, _: Option<T>) {}
    same::<tokio::JoinHandle<()>>(None, None::<tokio::task::JoinHandle<()>>);
    same::<tokio::AbortHandle>(None, None::<tokio::task::AbortHandle>);
    same::<tokio::JoinSet<()>>(None, None::<tokio::task::JoinSet<()>>);
    same::<tokio::CancellationToken>(None, None::<tokio_util::sync::CancellationToken>);
    same::<tokio::TaskTracker>(None, None::<tokio_util::task::TaskTracker>);
    same::<tokio::AbortOnDropHandle<()>>(None, None::<tokio_util::task::AbortOnDropHandle<()>>);
}
