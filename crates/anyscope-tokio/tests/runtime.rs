//! What is tokio's own: handles, flavours, runtimes without timers, runtimes that go away.

use anyscope_core::{Outcome, Runtime, run, sleep, task_group, timeout};
use anyscope_tokio::Tokio;
use std::future::pending;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::runtime::Builder;

#[test]
fn a_runtime_without_timers_says_which_method_turns_them_on() {
    let tokio = Tokio::from(Builder::new_current_thread().build().unwrap());
    let error = tokio.sleep_until(tokio.now()).unwrap_err();
    assert!(error.to_string().contains("enable_time"), "{error}");

    let panic = catch_unwind(|| run(tokio, timeout::<Tokio, _>(Duration::from_secs(1), pending::<()>()))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("enable_time"), "{message}");
}

#[test]
fn a_runtime_without_timers_does_all_that_needs_none() {
    let tokio = Tokio::from(Builder::new_current_thread().build().unwrap());
    let two = run(tokio, task_group::<Tokio, _, _>(async |g| g.spawn(async { 2 }).await));
    assert_eq!(two, 2);
}

#[test]
fn a_runtime_that_was_given_is_used() {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("given").enable_time().build().unwrap();
    let tokio = Tokio::from_handle(runtime.handle().clone());
    let name = run(
        tokio,
        task_group::<Tokio, _, _>(async |g| g.spawn(async { std::thread::current().name().map(str::to_owned) }).await),
    );
    assert_eq!(name.as_deref(), Some("given"));
}

/// The runtime keeps the drivers and the drivers keep their group: if the group kept the runtime, it would never go.
#[test]
fn a_runtime_that_was_built_is_gone_after_the_run() {
    for tokio in [Tokio::new(), Tokio::current_thread()] {
        let alive = Arc::new(());
        let kept = alive.clone();
        run(tokio, async {
            task_group::<Tokio, _, _>(async |g| g.spawn(async {}).await).await;
            tokio::spawn(async move {
                let _kept = kept;
                pending::<()>().await;
            });
        });
        assert_eq!(Arc::strong_count(&alive), 1, "the runtime's own task is still there");
    }
}

#[test]
fn children_of_a_runtime_that_goes_away_end_and_nobody_hangs() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tokio = Tokio::from_handle(runtime.handle().clone());
    let (started, is_started) = channel();
    let waiting = std::thread::spawn(move || {
        let _context = tokio.handle().enter();
        let group = task_group::<Tokio, _, _>(async |g| {
            let child = g.spawn(async move {
                started.send(()).unwrap();
                pending::<()>().await;
            });
            child.outcome().await
        });
        // Polled by a thread of its own, which outlives the runtime.
        futures_lite::future::block_on(group)
    });
    is_started.recv().unwrap();
    runtime.shutdown_background();
    assert!(matches!(waiting.join().unwrap(), Outcome::RuntimeGone));
}

#[test]
fn paused_time_is_the_time_of_the_runtime() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let tokio = Tokio::from_handle(runtime.handle().clone());
    let real = std::time::Instant::now();
    let slept = runtime.block_on(async {
        let before = tokio.now();
        sleep::<Tokio>(Duration::from_secs(3600)).await;
        tokio.now() - before
    });
    assert!(slept >= Duration::from_secs(3600));
    assert!(real.elapsed() < Duration::from_secs(3000), "it waited for real");
}
