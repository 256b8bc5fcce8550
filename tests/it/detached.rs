//! Tasks that belong to nobody, on every runtime.

#![allow(clippy::async_yields_async, reason = "handles are carried out of the run that they are not to end with")]

use anyscope::{
    Current, Outcome, Reason, ReasonKind, Runtime, channel, drained, run, shield, task_group, with_cleanup,
};
use anyscope_core::detached;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

on_every_runtime! {
    a_panic_is_told_by_the_handle_alone,
    what_a_dropped_group_leaves_fails_nobody,
    a_run_ends_it_with_a_reason,
    a_run_that_has_ended_it_takes_no_more,
    a_run_that_is_dropped_ends_it,
    a_run_waits_for_a_shield_in_it,
    a_panic_of_a_job_is_nobodys,
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb went off");
    }
}

/// Sets a flag when it is dropped.
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

fn a_panic_is_told_by_the_handle_alone<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (go, gate) = channel::<()>(1);
        let sibling = detached::spawn::<Current, _>(async move { gate.recv().await.is_ok() });
        let panics = detached::spawn::<Current, _>(async { panic!("boom") });
        match panics.outcome().await {
            Outcome::Panicked(panic) => assert_eq!(panic.message(), "boom"),
            other => panic!("{other:?}"),
        }
        go.send(()).await.unwrap();
        assert_eq!(sibling.outcome().await.completed(), Some(true));
        assert_eq!(detached::spawn::<Current, _>(async { 1 }).await, 1);
    });
}

fn what_a_dropped_group_leaves_fails_nobody<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (go, gate) = channel::<()>(1);
        let sibling = detached::spawn::<Current, _>(async move { gate.recv().await.is_ok() });
        let task = detached::spawn::<Current, _>(async {
            let mut group = Box::pin(task_group(async |g| {
                let bomb = Bomb;
                g.spawn(async move {
                    let _bomb = bomb;
                    pending::<()>().await;
                });
            }));
            assert!(group.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            // Nobody is left to resume the destructor's panic, but who is around.
            drop(group);
            "went on"
        });
        assert_eq!(task.outcome().await.completed(), Some("went on"));
        go.send(()).await.unwrap();
        assert_eq!(sibling.outcome().await.completed(), Some(true));
    });
}

fn reason<T>(outcome: Outcome<T>) -> Reason {
    match outcome {
        Outcome::Cancelled(reason) => reason,
        _ => panic!("it wasn't cancelled"),
    }
}

fn a_run_ends_it_with_a_reason<R: Runtime>(runtime: R) {
    let (guard, gone) = dropped();
    let idle = run(runtime, async move {
        detached::spawn::<Current, _>(async move {
            let _guard = guard;
            pending::<()>().await;
        })
    });
    assert!(gone.load(SeqCst));
    let reason = reason(::smol::block_on(idle.outcome()));
    assert_eq!(reason.kind(), ReasonKind::Shutdown);
    assert_eq!(reason.message(), Some("the run that it was detached in has come to its end"));
}

/// Spawns when it is dropped, and hands out what became of it.
struct SpawnsWhenDropped(channel::Sender<(anyscope::Task<()>, Arc<AtomicBool>)>);

impl Drop for SpawnsWhenDropped {
    fn drop(&mut self) {
        let (job, uncalled) = dropped();
        detached::spawn_blocking::<Current>(move || std::mem::forget(job));
        let late = detached::spawn::<Current, _>(async { unreachable!("polled after the end of the run") });
        let _ = self.0.try_send((late, uncalled));
    }
}

fn a_run_that_has_ended_it_takes_no_more<R: Runtime>(runtime: R) {
    let (spawned, late) = channel(1);
    run(runtime, async move {
        let spawns = SpawnsWhenDropped(spawned);
        let _idle = detached::spawn::<Current, _>(async move {
            let _spawns = spawns;
            pending::<()>().await;
        });
    });
    let (late, uncalled) = late.try_recv().unwrap();
    assert!(uncalled.load(SeqCst));
    assert!(late.is_finished());
    assert!(::smol::block_on(late.outcome()).is_cancelled());
}

fn a_run_that_is_dropped_ends_it<R: Runtime>(runtime: R) {
    let (guard, gone) = dropped();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(runtime, async move {
            let _idle = detached::spawn::<Current, _>(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            panic!("the body");
        });
    }));
    assert!(ended.is_err());
    assert!(gone.load(SeqCst));
}

fn a_run_waits_for_a_shield_in_it<R: Runtime>(runtime: R) {
    let ended = Arc::new(AtomicBool::new(false));
    let ends = ended.clone();
    let (body, is_over) = dropped();
    run(runtime, async move {
        let _body = body;
        let (begun, begins) = channel(1);
        let _task = detached::spawn::<Current, _>(shield(Duration::from_secs(3600), async move {
            begun.send(()).await.unwrap();
            while !is_over.load(SeqCst) {
                anyscope::yield_now().await;
            }
            ends.store(true, SeqCst);
        }));
        begins.recv().await.unwrap();
    });
    assert!(ended.load(SeqCst));
}

fn a_panic_of_a_job_is_nobodys<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (begun, begins) = channel::<()>(1);
        detached::spawn_blocking::<Current>(move || {
            let _begun = begun;
            panic!("boom");
        });
        assert!(begins.recv().await.is_err());
    });
}

/// Outside of any run a task is by itself: nobody's end waits for it, and what it leaves is for `drained`.
#[test]
fn what_a_stray_leaves_is_waited_for_and_the_stray_is_not() {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (begun, begins) = channel(1);
        let (go, gate) = channel::<()>(1);
        let task = detached::spawn::<Current, _>(async move {
            let mut group = Box::pin(task_group(async |g| {
                g.spawn(shield(Duration::from_secs(3600), async move {
                    begun.send(()).await.unwrap();
                    gate.recv().await.unwrap();
                }));
            }));
            assert!(group.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            begins.recv().await.unwrap();
            drop(group);
        });
        let idle = detached::spawn::<Current, _>(pending::<()>());
        assert!(task.outcome().await.is_completed());
        let mut drained = pin!(drained());
        assert!(poll_fn(|cx| Poll::Ready(drained.as_mut().poll(cx).is_pending())).await);
        go.send(()).await.unwrap();
        drained.await;
        assert!(!idle.is_finished());
        idle.cancel();
        assert!(idle.outcome().await.is_cancelled());
    });
}

/// Not even where something of it went on after its end: its driver ends with the last of that.
#[test]
fn a_stray_leaves_no_task_of_the_runtime_behind() {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (begun, begins) = channel(1);
        let (cleaned, is_clean) = channel(1);
        let task = detached::spawn::<Current, _>(async move {
            let work = async move {
                begun.send(()).await.unwrap();
                pending::<Result<(), String>>().await
            };
            let clean = async move {
                anyscope::yield_now().await;
                cleaned.send(()).await.map_err(|_| "nobody asks".to_owned())
            };
            with_cleanup(work, clean, Duration::from_secs(3600)).await.is_ok()
        });
        begins.recv().await.unwrap();
        task.cancel();
        assert!(task.outcome().await.is_cancelled());
        is_clean.recv().await.unwrap();
        let metrics = ::tokio::runtime::Handle::current().metrics();
        while metrics.num_alive_tasks() > 0 {
            ::tokio::task::yield_now().await;
        }
    });
}
