//! What hyper is given: its executor and its timers, on every runtime.

use ::hyper::rt::{Executor as _, Timer as _};
use anyscope::async_std::AsyncStd;
use anyscope::hyper::{Executor, Timer};
use anyscope::sim::Sim;
use anyscope::smol::Smol;
use anyscope::tokio::Tokio;
use anyscope::{Runtime, now, race, sleep, task_group, timeout};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[anyscope::test]
async fn a_group_waits_for_what_is_executed_in_it() {
    let is_done = Arc::new(AtomicBool::new(false));
    task_group(async |group| {
        let is_done = is_done.clone();
        Executor::in_group(group.handle()).execute(async move {
            sleep(MS).await;
            is_done.store(true, Ordering::Relaxed);
        });
    })
    .await;
    assert!(is_done.load(Ordering::Relaxed));
}

#[anyscope::test]
async fn what_is_executed_is_dropped_with_its_group() {
    let (held, is_polled) = (Arc::new(()), Arc::new(AtomicBool::new(false)));
    let group = task_group(async |group| {
        let (held, polled) = (held.clone(), is_polled.clone());
        Executor::in_group(group.handle()).execute(async move {
            let _held = held;
            polled.store(true, Ordering::Relaxed);
            pending::<()>().await;
        });
        pending::<()>().await;
    });
    let until_polled = async {
        while !is_polled.load(Ordering::Relaxed) {
            sleep(MS).await;
        }
    };
    race((group, until_polled)).await;
    anyscope::drained().await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[anyscope::test]
async fn what_comes_after_the_group_is_dropped_at_once() {
    let executor = task_group(async |group| Executor::in_group(group.handle())).await;
    let held = Arc::new(());
    let other = held.clone();
    executor.execute(async move { drop(other) });
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn without_a_group_it_is_nobodys_and_ends_with_the_run() {
    fn on(runtime: impl Runtime) {
        let held = Arc::new(());
        anyscope::run(runtime, async {
            let (is_done, held) = (Arc::new(AtomicBool::new(false)), held.clone());
            let done = is_done.clone();
            task_group(async |_| {
                Executor::new().execute(async move {
                    let _held = held;
                    sleep(MS).await;
                    done.store(true, Ordering::Relaxed);
                    pending::<()>().await;
                });
            })
            .await;
            // The group didn't wait for it, and it goes on.
            while !is_done.load(Ordering::Relaxed) {
                sleep(MS).await;
            }
        });
        assert_eq!(Arc::strong_count(&held), 1);
    }
    on(Tokio::new());
    on(Tokio::current_thread());
    on(Smol::new());
    on(AsyncStd::new());
    on(Sim::new());
}

#[anyscope::test]
async fn timers_are_never_early_and_can_be_reset() {
    let timer = Timer::new();
    let begun = timer.now();
    timer.sleep(MS).await;
    assert!(now() >= begun + MS);
    timer.sleep_until(begun + 3 * MS).await;
    assert!(now() >= begun + 3 * MS);
    // An hour becomes a millisecond, before the first poll and after it.
    let mut hour = timer.sleep(3_600_000 * MS);
    timer.reset(&mut hour, now() + MS);
    hour.as_mut().await;
    timer.reset(&mut hour, now() + 3_600_000 * MS);
    timeout(MS, hour.as_mut()).await.expect_err("an hour");
    let soon = now() + MS;
    timer.reset(&mut hour, soon);
    hour.await;
    assert!(now() >= soon);
}

#[test]
fn the_time_can_be_asked_for_on_a_plain_thread() {
    let _now = Timer::new().now();
}

#[test]
fn timers_go_by_the_clock_of_the_simulator() {
    anyscope::run(Sim::new(), async {
        let begun = now();
        Timer::new().sleep(3_600_000 * MS).await;
        assert_eq!(now() - begun, 3_600_000 * MS);
    });
}
