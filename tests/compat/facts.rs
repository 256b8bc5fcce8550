// Facts about tokio, each once. `tokio` and `tokio_util` are what is around: the crates, or what takes their place.

use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::{self, AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::{
    self, Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until, timeout, timeout_at,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

facts! {
    a_spawned_task_gives_its_value,
    a_spawned_task_runs_without_being_awaited,
    a_dropped_handle_detaches,
    a_value_that_nobody_wants_is_dropped,
    a_task_outlives_who_spawned_it,
    a_panic_is_a_join_error,
    a_panic_touches_nobody_else,
    a_join_error_shows_the_task_and_the_panic,
    a_join_error_shows_a_cancellation,
    a_join_error_becomes_an_io_error,
    a_panic_with_no_string_is_shown_without_it,
    abort_drops_the_future_before_the_handle_resolves,
    abort_of_a_finished_task_changes_nothing,
    abort_twice_is_abort_once,
    an_abort_handle_aborts_and_tells_the_end,
    a_task_that_aborts_itself_runs_to_its_next_stop,
    a_task_that_aborts_itself_and_ends_keeps_its_value,
    a_destructor_that_panics_in_an_abort_is_a_panic,
    a_destructor_that_panics_after_the_value_is_a_panic,
    a_handle_that_gave_its_result_panics,
    a_handle_can_be_awaited_by_reference,
    ids_are_distinct_and_known_inside,
    a_task_can_spawn_from_a_destructor,
    yield_now_lets_others_run,
    spawn_blocking_gives_its_value_or_its_panic,
    spawn_blocking_runs_without_its_handle,
    a_blocking_closure_can_spawn,
    task_locals_belong_to_a_scope,
    task_locals_are_not_inherited,
    a_set_joins_in_order_of_completion,
    a_set_keeps_the_order_of_what_ended_before_it_was_asked,
    an_empty_set_has_nothing_to_join,
    try_join_next_never_waits,
    a_set_tells_the_id_of_what_it_joined,
    a_panic_in_a_set_leaves_the_others,
    abort_all_leaves_the_tasks_to_be_joined,
    shutdown_empties_the_set,
    a_dropped_set_aborts_its_tasks,
    detach_all_lets_the_tasks_run_on,
    join_all_gives_the_values_in_order_of_completion,
    join_all_panics_with_a_tasks_panic,
    a_set_is_made_of_futures_and_extended,
    a_set_takes_closures_that_block,
    a_set_can_be_polled_by_hand,
    join_next_loses_nothing_when_dropped,
    a_sleep_is_never_early,
    a_sleep_counts_from_when_it_was_made,
    a_sleep_until_the_past_ends,
    a_sleep_can_be_reset,
    a_timeout_gives_the_value_or_elapsed,
    an_elapsed_shows_and_becomes_an_io_error,
    a_ready_future_wins_over_a_time_that_is_up,
    a_timeout_of_the_longest_duration_does_not_overflow,
    a_timeout_drops_what_it_ran,
    a_timeout_at_a_time_holds,
    the_inner_of_two_timeouts_tells,
    a_timeout_gives_its_future_back,
    the_first_tick_is_at_once,
    an_interval_at_begins_then,
    an_interval_of_zero_panics,
    missed_ticks_burst,
    missed_ticks_delay,
    missed_ticks_are_skipped,
    an_interval_can_be_reset,
    a_dropped_tick_comes_again,
    instants_calculate_like_those_of_std,
    a_queue_feeds_workers,
    a_watch_tells_the_latest,
    a_broadcast_reaches_all,
    locks_and_permits_need_no_runtime,
    select_takes_the_branch_that_is_ready,
    select_disables_what_does_not_match,
    select_loops_over_borrowed_futures,
    join_waits_for_all,
    try_join_ends_with_the_first_error,
    a_token_reaches_its_children,
    a_drop_guard_cancels,
    a_token_runs_until_cancelled,
    a_tracker_waits_until_it_is_closed_and_empty,
    a_tracker_can_be_reopened,
    a_tracker_counts_tokens_and_futures,
    a_tracker_tracks_closures_that_block,
    an_abort_on_drop_handle_aborts,
    an_abort_on_drop_handle_can_be_detached,
    handles_can_go_anywhere,
    @not_simulated
    a_blocking_closure_that_runs_is_not_aborted,
    a_blocking_closure_needs_no_poll_to_begin,
}

/// Tells of its drop.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().map(|told| told.send(()));
    }
}

fn dropped() -> (Dropped, oneshot::Receiver<()>) {
    let (told, dropped) = oneshot::channel();
    (Dropped(Some(told)), dropped)
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("the bomb went off");
        }
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        task::yield_now().await;
    }
}

/// Spawns a task that has begun, and never ends.
async fn idle() -> (JoinHandle<()>, oneshot::Receiver<()>) {
    let (guard, gone) = dropped();
    let (begun, begins) = oneshot::channel();
    let task = tokio::spawn(async move {
        let _guard = guard;
        begun.send(()).unwrap();
        pending::<()>().await;
    });
    begins.await.unwrap();
    (task, gone)
}

async fn a_spawned_task_gives_its_value() {
    assert_eq!(tokio::spawn(async { 1 + 1 }).await.unwrap(), 2);
    assert_eq!(task::spawn(async { "two" }).await.unwrap(), "two");
}

async fn a_spawned_task_runs_without_being_awaited() {
    let (tell, told) = oneshot::channel();
    let _task = tokio::spawn(async move { tell.send(1).unwrap() });
    assert_eq!(told.await, Ok(1));
}

async fn a_dropped_handle_detaches() {
    let (go, gate) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    drop(tokio::spawn(async move {
        gate.await.unwrap();
        tell.send("alive").unwrap();
    }));
    go.send(()).unwrap();
    assert_eq!(told.await, Ok("alive"));
}

async fn a_value_that_nobody_wants_is_dropped() {
    let (guard, gone) = dropped();
    drop(tokio::spawn(async move { guard }));
    gone.await.unwrap();

    let (guard, gone) = dropped();
    let task = tokio::spawn(async move { guard });
    until(|| task.is_finished()).await;
    drop(task);
    gone.await.unwrap();
}

async fn a_task_outlives_who_spawned_it() {
    let (go, gate) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        tokio::spawn(async move {
            gate.await.unwrap();
            tell.send(()).unwrap();
        });
    })
    .await
    .unwrap();
    go.send(()).unwrap();
    told.await.unwrap();
}

async fn a_panic_is_a_join_error() {
    let error = tokio::spawn(async { panic!("boom") }).await.unwrap_err();
    assert!(error.is_panic());
    assert!(!error.is_cancelled());
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"boom"));

    let error = tokio::spawn(async { panic!("boom {}", task::id()) }).await.unwrap_err();
    let message = format!("boom {}", error.id());
    let payload = error.try_into_panic().unwrap();
    assert_eq!(payload.downcast_ref::<String>(), Some(&message));
}

async fn a_panic_touches_nobody_else() {
    let (go, gate) = oneshot::channel::<()>();
    let sibling = tokio::spawn(async move { gate.await.unwrap() });
    let inner = tokio::spawn(async {
        let error = tokio::spawn(async { panic!("boom") }).await.unwrap_err();
        error.is_panic()
    });
    assert!(inner.await.unwrap());
    go.send(()).unwrap();
    sibling.await.unwrap();
    assert_eq!(tokio::spawn(async { 1 }).await.unwrap(), 1);
}

async fn a_join_error_shows_the_task_and_the_panic() {
    let task = tokio::spawn(async { panic!("boom") });
    let id = task.id();
    let error: JoinError = task.await.unwrap_err();
    assert_eq!(error.id(), id);
    assert_eq!(error.to_string(), format!("task {id} panicked with message \"boom\""));
    assert_eq!(format!("{error:?}"), format!("JoinError::Panic({id:?}, \"boom\", ...)"));
}

async fn a_join_error_shows_a_cancellation() {
    let (task, _gone) = idle().await;
    let id = task.id();
    task.abort();
    let error = task.await.unwrap_err();
    assert_eq!(error.id(), id);
    assert_eq!(error.to_string(), format!("task {id} was cancelled"));
    assert_eq!(format!("{error:?}"), format!("JoinError::Cancelled({id:?})"));
    assert!(error.try_into_panic().unwrap_err().is_cancelled());
}

async fn a_join_error_becomes_an_io_error() {
    let error = std::io::Error::from(tokio::spawn(async { panic!("boom") }).await.unwrap_err());
    assert_eq!((error.kind(), error.to_string().as_str()), (std::io::ErrorKind::Other, "task panicked"));
    let (task, _gone) = idle().await;
    task.abort();
    let error = std::io::Error::from(task.await.unwrap_err());
    assert_eq!((error.kind(), error.to_string().as_str()), (std::io::ErrorKind::Other, "task was cancelled"));
}

async fn a_panic_with_no_string_is_shown_without_it() {
    let task = tokio::spawn(async { std::panic::panic_any(7_u8) });
    let id = task.id();
    let error = task.await.unwrap_err();
    assert_eq!(error.to_string(), format!("task {id} panicked"));
    assert_eq!(format!("{error:?}"), format!("JoinError::Panic({id:?}, ...)"));
    assert_eq!(error.into_panic().downcast_ref(), Some(&7_u8));
}

async fn abort_drops_the_future_before_the_handle_resolves() {
    let (task, mut gone) = idle().await;
    assert!(!task.is_finished());
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(gone.try_recv(), Ok(()));
}

async fn abort_of_a_finished_task_changes_nothing() {
    let task = tokio::spawn(async { 1 });
    until(|| task.is_finished()).await;
    task.abort();
    assert_eq!(task.await.unwrap(), 1);
}

async fn abort_twice_is_abort_once() {
    let (task, gone) = idle().await;
    task.abort();
    task.abort();
    gone.await.unwrap();
    assert!(task.await.unwrap_err().is_cancelled());
}

async fn an_abort_handle_aborts_and_tells_the_end() {
    let (task, gone) = idle().await;
    let abort = task.abort_handle();
    let again: AbortHandle = abort.clone();
    assert_eq!(abort.id(), task.id());
    assert!(!abort.is_finished());
    drop(task);
    abort.abort();
    gone.await.unwrap();
    until(|| abort.is_finished()).await;
    assert!(again.is_finished());
}

async fn a_task_that_aborts_itself_runs_to_its_next_stop() {
    let (give, given) = oneshot::channel::<AbortHandle>();
    let (tell, told) = oneshot::channel();
    let task = tokio::spawn(async move {
        given.await.unwrap().abort();
        tell.send("still here").unwrap();
        pending::<()>().await;
    });
    give.send(task.abort_handle()).unwrap();
    assert_eq!(told.await, Ok("still here"));
    assert!(task.await.unwrap_err().is_cancelled());
}

async fn a_task_that_aborts_itself_and_ends_keeps_its_value() {
    let (give, given) = oneshot::channel::<AbortHandle>();
    let task = tokio::spawn(async move {
        given.await.unwrap().abort();
        "done"
    });
    give.send(task.abort_handle()).unwrap();
    assert_eq!(task.await.unwrap(), "done");
}

async fn a_destructor_that_panics_in_an_abort_is_a_panic() {
    let (begun, begins) = oneshot::channel();
    let task = tokio::spawn(async move {
        let _bomb = Bomb;
        begun.send(()).unwrap();
        pending::<()>().await;
    });
    begins.await.unwrap();
    task.abort();
    let error = task.await.unwrap_err();
    assert!(error.is_panic());
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"the bomb went off"));
}

/// Ready at once, with something that panics when it goes.
struct Explosive(#[allow(dead_code, reason = "for its drop")] Bomb);

impl Future for Explosive {
    type Output = u8;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
        Poll::Ready(1)
    }
}

async fn a_destructor_that_panics_after_the_value_is_a_panic() {
    assert!(tokio::spawn(Explosive(Bomb)).await.unwrap_err().is_panic());
}

async fn a_handle_that_gave_its_result_panics() {
    let mut task = tokio::spawn(async { 1 });
    assert_eq!((&mut task).await.unwrap(), 1);
    let again = tokio::spawn(async move { task.await.is_ok() }).await;
    assert!(again.unwrap_err().is_panic());
}

async fn a_handle_can_be_awaited_by_reference() {
    let (go, gate) = oneshot::channel::<()>();
    let mut task = tokio::spawn(async move { gate.await.unwrap() });
    tokio::select! {
        biased;
        _ = &mut task => unreachable!("the gate is shut"),
        () = ready(()) => {}
    }
    go.send(()).unwrap();
    task.await.unwrap();
}

async fn ids_are_distinct_and_known_inside() {
    assert_eq!(task::try_id(), None);
    let one = tokio::spawn(async { (task::id(), task::try_id()) });
    let two = tokio::spawn(async { task::id() });
    let three = task::spawn_blocking(task::id);
    let ids = [one.id(), two.id(), three.id()];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert_eq!(one.await.unwrap(), (ids[0], Some(ids[0])));
    assert_eq!(two.await.unwrap(), ids[1]);
    assert_eq!(three.await.unwrap(), ids[2]);
    assert_ne!(ids[0].to_string(), ids[1].to_string());
    assert_eq!(task::try_id(), None);
}

struct SpawnsWhenDropped(Option<oneshot::Sender<()>>);

impl Drop for SpawnsWhenDropped {
    fn drop(&mut self) {
        let tell = self.0.take().unwrap();
        tokio::spawn(async move { tell.send(()).unwrap() });
    }
}

async fn a_task_can_spawn_from_a_destructor() {
    let (tell, told) = oneshot::channel();
    let (begun, begins) = oneshot::channel();
    let task = tokio::spawn(async move {
        let _guard = SpawnsWhenDropped(Some(tell));
        begun.send(()).unwrap();
        pending::<()>().await;
    });
    begins.await.unwrap();
    task.abort();
    told.await.unwrap();
}

async fn yield_now_lets_others_run() {
    let ran = Arc::new(AtomicBool::new(false));
    let runs = ran.clone();
    tokio::spawn(async move { runs.store(true, SeqCst) });
    until(|| ran.load(SeqCst)).await;
}

async fn spawn_blocking_gives_its_value_or_its_panic() {
    assert_eq!(task::spawn_blocking(|| 1 + 1).await.unwrap(), 2);
    let error = task::spawn_blocking(|| panic!("boom")).await.unwrap_err();
    assert!(error.is_panic());
}

async fn spawn_blocking_runs_without_its_handle() {
    let (tell, told) = oneshot::channel();
    drop(task::spawn_blocking(move || tell.send(1).unwrap()));
    assert_eq!(told.await, Ok(1));
}

async fn a_blocking_closure_can_spawn() {
    let inner = task::spawn_blocking(|| tokio::spawn(async { 7 })).await.unwrap();
    assert_eq!(inner.await.unwrap(), 7);
}

async fn a_blocking_closure_that_runs_is_not_aborted() {
    let (begun, begins) = oneshot::channel();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let job = task::spawn_blocking(move || {
        begun.send(()).unwrap();
        gate.recv().unwrap();
        "done"
    });
    begins.await.unwrap();
    job.abort();
    go.send(()).unwrap();
    assert_eq!(job.await.unwrap(), "done");
}

async fn a_blocking_closure_needs_no_poll_to_begin() {
    let (tell, told) = std::sync::mpsc::channel();
    let _job = task::spawn_blocking(move || tell.send(1).unwrap());
    // The thread is blocked, and nothing is polled on it meanwhile.
    assert_eq!(told.recv(), Ok(1));
}

tokio::task_local! {
    static NUMBER: u32;
    /// Another, with attributes and visibility.
    pub(crate) static NAME: &'static str
}

async fn task_locals_belong_to_a_scope() {
    assert!(NUMBER.try_with(|_| ()).is_err());
    assert_eq!(NUMBER.try_get().unwrap_err().to_string(), "task-local value not set");
    let inner = NUMBER.scope(1, async {
        assert_eq!(NUMBER.get(), 1);
        task::yield_now().await;
        let two = NUMBER.scope(2, async { NUMBER.with(|number| *number) }).await;
        (NUMBER.get(), two)
    });
    assert_eq!(NAME.scope("ann", inner).await, (1, 2));
    assert_eq!(NUMBER.sync_scope(3, || NUMBER.get()), 3);
    assert!(NUMBER.try_get().is_err());
    assert!(catch_unwind(|| NUMBER.get()).is_err());
    // What a destructor inside asks for is there too.
    struct Asks(Arc<AtomicUsize>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.store(NUMBER.get() as usize, SeqCst);
        }
    }
    let seen = Arc::new(AtomicUsize::new(0));
    let asks = Asks(seen.clone());
    drop(NUMBER.scope(4, async move {
        let _asks = asks;
        pending::<()>().await;
    }));
    assert_eq!(seen.load(SeqCst), 4);
}

async fn task_locals_are_not_inherited() {
    NUMBER
        .scope(1, async {
            assert!(tokio::spawn(async { NUMBER.try_get().is_err() }).await.unwrap());
            assert!(task::spawn_blocking(|| NUMBER.try_get().is_err()).await.unwrap());
        })
        .await;
    assert_eq!(tokio::spawn(NUMBER.scope(5, async { NUMBER.get() })).await.unwrap(), 5);
}

async fn a_set_joins_in_order_of_completion() {
    let mut set = JoinSet::new();
    let gates: Vec<_> = (0..3)
        .map(|n| {
            let (go, gate) = oneshot::channel::<()>();
            set.spawn(async move {
                gate.await.unwrap();
                n
            });
            Some(go)
        })
        .collect();
    let mut gates = gates;
    for n in [2, 0, 1] {
        gates[n].take().unwrap().send(()).unwrap();
        assert_eq!(set.join_next().await.unwrap().unwrap(), n);
    }
    assert!(set.join_next().await.is_none());
}

async fn a_set_keeps_the_order_of_what_ended_before_it_was_asked() {
    let mut set = JoinSet::new();
    let mut gates = Vec::new();
    let mut handles = Vec::new();
    for n in 0..4 {
        let (go, gate) = oneshot::channel::<()>();
        gates.push(Some(go));
        handles.push(set.spawn(async move {
            gate.await.unwrap();
            n
        }));
    }
    let order = [3, 1, 0, 2];
    for n in order {
        gates[n].take().unwrap().send(()).unwrap();
        until(|| handles[n].is_finished()).await;
    }
    for n in order {
        assert_eq!(set.join_next().await.unwrap().unwrap(), n);
    }
}

async fn an_empty_set_has_nothing_to_join() {
    let mut set = JoinSet::<()>::default();
    assert!(set.is_empty());
    assert!(set.join_next().await.is_none());
    assert!(set.join_next_with_id().await.is_none());
    assert!(set.try_join_next().is_none());
    assert!(set.try_join_next_with_id().is_none());
    set.shutdown().await;
    set.abort_all();
    set.detach_all();
    assert!(set.join_all().await.is_empty());
}

async fn try_join_next_never_waits() {
    let mut set = JoinSet::new();
    let (go, gate) = oneshot::channel::<()>();
    let task = set.spawn(async move { gate.await.unwrap() });
    assert!(set.try_join_next().is_none());
    assert_eq!(set.len(), 1);
    go.send(()).unwrap();
    until(|| task.is_finished()).await;
    let mut joined = None;
    until(|| {
        joined = set.try_join_next();
        joined.is_some()
    })
    .await;
    joined.unwrap().unwrap();
    assert!(set.is_empty());
}

async fn a_set_tells_the_id_of_what_it_joined() {
    let mut set = JoinSet::new();
    let task = set.spawn(async { 1 });
    let (id, value) = set.join_next_with_id().await.unwrap().unwrap();
    assert_eq!((id, value), (task.id(), 1));
    let task = set.spawn(async { panic!("boom") });
    assert_eq!(set.join_next_with_id().await.unwrap().unwrap_err().id(), task.id());
}

async fn a_panic_in_a_set_leaves_the_others() {
    let mut set = JoinSet::new();
    let (go, gate) = oneshot::channel::<()>();
    set.spawn(async move { gate.await.unwrap() });
    set.spawn(async { panic!("boom") });
    assert!(set.join_next().await.unwrap().unwrap_err().is_panic());
    assert_eq!(set.len(), 1);
    go.send(()).unwrap();
    set.join_next().await.unwrap().unwrap();
}

async fn abort_all_leaves_the_tasks_to_be_joined() {
    let mut set = JoinSet::new();
    for _ in 0..3 {
        set.spawn(pending::<()>());
    }
    set.abort_all();
    assert_eq!(set.len(), 3);
    for left in [2, 1, 0] {
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert_eq!(set.len(), left);
    }
}

async fn shutdown_empties_the_set() {
    let mut set = JoinSet::new();
    let (guard, mut gone) = dropped();
    set.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    set.spawn(async {});
    set.shutdown().await;
    assert!(set.is_empty());
    assert_eq!(gone.try_recv(), Ok(()));
}

async fn a_dropped_set_aborts_its_tasks() {
    let mut set = JoinSet::new();
    let (guard, gone) = dropped();
    let task = set.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    drop(set);
    gone.await.unwrap();
    until(|| task.is_finished()).await;
}

async fn detach_all_lets_the_tasks_run_on() {
    let mut set = JoinSet::new();
    let (go, gate) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    set.spawn(async move {
        gate.await.unwrap();
        tell.send("alive").unwrap();
    });
    set.detach_all();
    assert!(set.is_empty());
    set.spawn(async {});
    assert_eq!(set.len(), 1);
    set.join_next().await.unwrap().unwrap();
    go.send(()).unwrap();
    assert_eq!(told.await, Ok("alive"));
}

async fn join_all_gives_the_values_in_order_of_completion() {
    let mut set = JoinSet::new();
    let (go, gate) = oneshot::channel::<()>();
    set.spawn(async move {
        gate.await.unwrap();
        "second"
    });
    let first = set.spawn(async { "first" });
    until(|| first.is_finished()).await;
    go.send(()).unwrap();
    assert_eq!(set.join_all().await, ["first", "second"]);
}

async fn join_all_panics_with_a_tasks_panic() {
    let (guard, gone) = dropped();
    let error = tokio::spawn(async {
        let mut set = JoinSet::new();
        set.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        set.spawn(async { panic!("boom") });
        set.join_all().await
    })
    .await
    .unwrap_err();
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"boom"));
    gone.await.unwrap();

    let mut set = JoinSet::new();
    set.spawn(pending::<()>()).abort();
    assert!(tokio::spawn(set.join_all()).await.unwrap_err().is_panic());
}

async fn a_set_is_made_of_futures_and_extended() {
    let mut set: JoinSet<u32> = (0..3).map(|n| async move { n }).collect();
    set.extend((3..5).map(|n| async move { n }));
    assert_eq!(set.len(), 5);
    let mut values = set.join_all().await;
    values.sort();
    assert_eq!(values, [0, 1, 2, 3, 4]);
}

async fn a_set_takes_closures_that_block() {
    let mut set = JoinSet::new();
    let job = set.spawn_blocking(|| 1);
    assert_eq!(set.join_next_with_id().await.unwrap().unwrap(), (job.id(), 1));
}

async fn a_set_can_be_polled_by_hand() {
    let mut set = JoinSet::new();
    assert!(matches!(set.poll_join_next(&mut Context::from_waker(Waker::noop())), Poll::Ready(None)));
    let (go, gate) = oneshot::channel::<()>();
    set.spawn(async move { gate.await.unwrap() });
    assert!(poll_fn(|cx| Poll::Ready(set.poll_join_next(cx).is_pending())).await);
    go.send(()).unwrap();
    poll_fn(|cx| set.poll_join_next(cx)).await.unwrap().unwrap();
    assert!(poll_fn(|cx| set.poll_join_next(cx)).await.is_none());
}

async fn join_next_loses_nothing_when_dropped() {
    let mut set = JoinSet::new();
    let (go, gate) = oneshot::channel::<()>();
    set.spawn(async move { gate.await.unwrap() });
    tokio::select! {
        biased;
        _ = set.join_next() => unreachable!("the gate is shut"),
        () = ready(()) => {}
    }
    go.send(()).unwrap();
    set.join_next().await.unwrap().unwrap();
}

async fn a_sleep_is_never_early() {
    for millis in [0, 1, 3] {
        let before = Instant::now();
        sleep(Duration::from_millis(millis)).await;
        assert!(before.elapsed() >= Duration::from_millis(millis));
    }
}

async fn a_sleep_counts_from_when_it_was_made() {
    let hour = Duration::from_secs(3600);
    let before = Instant::now();
    let long = sleep(hour);
    let after = Instant::now();
    assert!(before + hour <= long.deadline() && long.deadline() <= after + hour);
    let at = Instant::now() + hour;
    assert_eq!(sleep_until(at).deadline(), at);

    let short = sleep(Duration::from_millis(2));
    sleep_until(short.deadline()).await;
    let mut short = pin!(short);
    until(|| short.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()).await;
}

async fn a_sleep_until_the_past_ends() {
    sleep_until(Instant::now()).await;
    if let Some(past) = Instant::now().checked_sub(Duration::from_millis(1)) {
        sleep_until(past).await;
    }
}

async fn a_sleep_can_be_reset() {
    let sleep = sleep(Duration::from_secs(3600));
    tokio::pin!(sleep);
    assert!(!sleep.is_elapsed());
    assert!(poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await);
    let at = Instant::now() + Duration::from_millis(1);
    sleep.as_mut().reset(at);
    assert_eq!(sleep.deadline(), at);
    sleep.as_mut().await;
    assert!(sleep.is_elapsed() && Instant::now() >= at);
    let at = Instant::now() + Duration::from_millis(1);
    sleep.as_mut().reset(at);
    assert!(!sleep.is_elapsed());
    sleep.await;
    assert!(Instant::now() >= at);
}

async fn a_timeout_gives_the_value_or_elapsed() {
    assert_eq!(timeout(Duration::from_secs(3600), async { 1 }).await, Ok(1));
    let before = Instant::now();
    assert!(timeout(Duration::from_millis(2), pending::<()>()).await.is_err());
    assert!(before.elapsed() >= Duration::from_millis(2));
}

async fn an_elapsed_shows_and_becomes_an_io_error() {
    let elapsed: time::error::Elapsed = timeout(Duration::ZERO, pending::<()>()).await.unwrap_err();
    assert_eq!(elapsed.to_string(), "deadline has elapsed");
    assert_eq!(format!("{elapsed:?}"), "Elapsed(())");
    assert_eq!(Err(elapsed), timeout(Duration::ZERO, pending::<()>()).await);
    let elapsed = timeout(Duration::ZERO, pending::<()>()).await.unwrap_err();
    assert_eq!(std::io::Error::from(elapsed).kind(), std::io::ErrorKind::TimedOut);
}

async fn a_ready_future_wins_over_a_time_that_is_up() {
    assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
    assert_eq!(timeout_at(Instant::now(), ready(2)).await, Ok(2));
}

async fn a_timeout_of_the_longest_duration_does_not_overflow() {
    let (go, gate) = oneshot::channel::<()>();
    let waits = tokio::spawn(timeout(Duration::MAX, gate));
    let sleeps = tokio::spawn(sleep(Duration::MAX));
    go.send(()).unwrap();
    assert_eq!(waits.await.unwrap(), Ok(Ok(())));
    assert!(!sleeps.is_finished());
    assert!(sleep(Duration::MAX).deadline() > Instant::now() + Duration::from_secs(3600 * 24 * 365));
}

async fn a_timeout_drops_what_it_ran() {
    let (guard, mut gone) = dropped();
    let late = timeout(Duration::from_millis(1), async move {
        let _guard = guard;
        pending::<()>().await;
    });
    assert!(late.await.is_err());
    assert_eq!(gone.try_recv(), Ok(()));
}

async fn a_timeout_at_a_time_holds() {
    let at = Instant::now() + Duration::from_millis(2);
    assert!(timeout_at(at, pending::<()>()).await.is_err());
    assert!(Instant::now() >= at);
}

async fn the_inner_of_two_timeouts_tells() {
    let at = Instant::now();
    assert!(matches!(timeout_at(at, timeout_at(at, pending::<()>())).await, Ok(Err(_))));
    let outer = timeout(Duration::from_millis(1), async {
        let inner = timeout(Duration::from_secs(3600), pending::<()>()).await;
        unreachable!("{inner:?}")
    });
    assert!(outer.await.is_err());
}

async fn a_timeout_gives_its_future_back() {
    let mut limited = timeout(Duration::from_secs(3600), ready(1));
    fn is<T>(_: T) {}
    is::<&std::future::Ready<i32>>(limited.get_ref());
    is::<&mut std::future::Ready<i32>>(limited.get_mut());
    assert_eq!(limited.into_inner().await, 1);
}

async fn the_first_tick_is_at_once() {
    let before = Instant::now();
    let mut ticks = interval(Duration::from_millis(2));
    let made = Instant::now();
    assert_eq!(ticks.period(), Duration::from_millis(2));
    let first = ticks.tick().await;
    assert!(before <= first && first <= made);
    let second = ticks.tick().await;
    assert_eq!(second - first, Duration::from_millis(2));
    assert!(Instant::now() >= second);
}

async fn an_interval_at_begins_then() {
    let start = Instant::now() + Duration::from_millis(3);
    let mut ticks = interval_at(start, Duration::from_millis(1));
    assert_eq!(ticks.tick().await, start);
    assert!(Instant::now() >= start);
    assert_eq!(ticks.tick().await, start + Duration::from_millis(1));
}

async fn an_interval_of_zero_panics() {
    assert!(catch_unwind(|| interval(Duration::ZERO)).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| interval_at(Instant::now(), Duration::ZERO))).is_err());
}

const PERIOD: Duration = Duration::from_millis(10);
/// Long enough for a tick to be missed: tokio takes five milliseconds for none.
const LATE: Duration = Duration::from_millis(36);

async fn missed_ticks_burst() {
    let mut ticks = interval(PERIOD);
    assert_eq!(ticks.missed_tick_behavior(), MissedTickBehavior::Burst);
    let first = ticks.tick().await;
    sleep(LATE).await;
    for n in 1..=3 {
        assert_eq!(ticks.tick().await, first + PERIOD * n);
    }
}

async fn missed_ticks_delay() {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    sleep(LATE).await;
    let late = Instant::now();
    assert!(ticks.tick().await < late);
    assert!(ticks.tick().await >= late + PERIOD);
}

async fn missed_ticks_are_skipped() {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let first = ticks.tick().await;
    sleep(LATE).await;
    let late = Instant::now();
    let missed = ticks.tick().await;
    let next = ticks.tick().await;
    assert!(missed < late && late < next);
    for tick in [missed, next] {
        assert_eq!((tick - first).as_nanos() % PERIOD.as_nanos(), 0);
    }
}

async fn an_interval_can_be_reset() {
    let hour = Duration::from_secs(3600);
    let mut ticks = interval(hour);
    let first = ticks.tick().await;
    ticks.reset_immediately();
    let second = ticks.tick().await;
    assert!(second >= first && second < first + hour);
    let at = Instant::now() + Duration::from_millis(1);
    ticks.reset_at(at);
    assert_eq!(ticks.tick().await, at);
    let now = Instant::now();
    ticks.reset_after(Duration::from_millis(1));
    assert!(ticks.tick().await >= now + Duration::from_millis(1));
    ticks.reset();
    assert!(poll_fn(|cx| Poll::Ready(ticks.poll_tick(cx).is_pending())).await);
}

async fn a_dropped_tick_comes_again() {
    let mut ticks = interval(Duration::from_millis(2));
    let first = ticks.tick().await;
    // Where this thread was held up it is due already, and delivered.
    let delivered = pin!(ticks.tick()).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    let due = if delivered { 2 } else { 1 };
    assert_eq!(ticks.tick().await, first + Duration::from_millis(2) * due);
}

async fn instants_calculate_like_those_of_std() {
    let (second, now) = (Duration::from_secs(1), Instant::now());
    let later = now + second;
    assert!(later > now);
    assert_eq!(later - now, second);
    assert_eq!(now - later, Duration::ZERO);
    assert_eq!(later - second, now);
    assert_eq!(later.duration_since(now), second);
    assert_eq!(now.duration_since(later), Duration::ZERO);
    assert_eq!(now.checked_duration_since(later), None);
    assert_eq!(later.checked_duration_since(now), Some(second));
    assert_eq!(now.saturating_duration_since(later), Duration::ZERO);
    assert_eq!(now.checked_add(second), Some(later));
    assert_eq!(later.checked_sub(second), Some(now));
    assert_eq!(now.checked_add(Duration::MAX), None);
    assert_eq!(now.checked_sub(Duration::MAX), None);
    assert_eq!(Instant::from_std(now.into_std()), now);
    assert_eq!(Instant::from(std::time::Instant::from(now)), now);
    let mut moved = now;
    moved += second;
    moved -= Duration::from_millis(500);
    assert_eq!(moved - now, Duration::from_millis(500));
    assert_eq!(later.elapsed(), Duration::ZERO);
}

async fn a_queue_feeds_workers() {
    let (give, take) = mpsc::channel::<(u32, oneshot::Sender<u32>)>(2);
    let take = Arc::new(Mutex::new(take));
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        let take = take.clone();
        workers.spawn(async move {
            let mut done = 0;
            loop {
                let Some((n, reply)) = take.lock().await.recv().await else { return done };
                reply.send(n * n).unwrap();
                done += 1;
            }
        });
    }
    let mut squares = Vec::new();
    for n in 0..10 {
        let (reply, answer) = oneshot::channel();
        give.send((n, reply)).await.unwrap();
        squares.push(answer);
    }
    for (n, square) in (0..).zip(squares) {
        assert_eq!(square.await, Ok(n * n));
    }
    drop(give);
    assert_eq!(workers.join_all().await.iter().sum::<u32>(), 10);
}

async fn a_watch_tells_the_latest() {
    let (set, mut seen) = watch::channel(0);
    let watcher = tokio::spawn(async move {
        seen.wait_for(|value| *value == 3).await.unwrap();
        *seen.borrow()
    });
    for value in 1..=3 {
        set.send(value).unwrap();
        task::yield_now().await;
    }
    assert_eq!(watcher.await.unwrap(), 3);
}

async fn a_broadcast_reaches_all() {
    let (tell, _) = broadcast::channel(4);
    let mut set = JoinSet::new();
    for _ in 0..3 {
        let mut hear = tell.subscribe();
        set.spawn(async move { hear.recv().await.unwrap() });
    }
    tell.send("all").unwrap();
    assert_eq!(set.join_all().await, ["all"; 3]);
}

async fn locks_and_permits_need_no_runtime() {
    let (barrier, semaphore, sum) = (Arc::new(Barrier::new(3)), Arc::new(Semaphore::new(1)), Arc::new(RwLock::new(0)));
    let (bell, once) = (Arc::new(Notify::new()), Arc::new(OnceCell::new()));
    let set: JoinSet<()> = (1..=3)
        .map(|n| {
            let (barrier, semaphore, sum) = (barrier.clone(), semaphore.clone(), sum.clone());
            let (bell, once) = (bell.clone(), once.clone());
            async move {
                barrier.wait().await;
                let _permit = semaphore.acquire().await.unwrap();
                *sum.write().await += n;
                once.get_or_init(|| async { task::yield_now().await }).await;
                if *sum.read().await == 6 {
                    bell.notify_one();
                }
            }
        })
        .collect();
    bell.notified().await;
    set.join_all().await;
    assert_eq!(*sum.read().await, 6);
}

async fn select_takes_the_branch_that_is_ready() {
    let taken = tokio::select! {
        () = pending() => 0,
        n = async { task::yield_now().await; 1 } => n,
    };
    assert_eq!(taken, 1);
    let first = tokio::select! { biased; n = ready(1) => n, n = ready(2) => n };
    assert_eq!(first, 1);
    let allowed = tokio::select! { n = ready(1), if false => n, n = ready(2) => n };
    assert_eq!(allowed, 2);
    let slept = tokio::select! { () = sleep(Duration::from_millis(1)) => "slept", () = pending() => "never" };
    assert_eq!(slept, "slept");
}

async fn select_disables_what_does_not_match() {
    let taken = tokio::select! {
        Some(n) = ready(None::<u8>) => n,
        else => 9,
    };
    assert_eq!(taken, 9);
}

async fn select_loops_over_borrowed_futures() {
    let (tell, mut told) = mpsc::channel(1);
    let talks = tokio::spawn(async move {
        for n in 0..5 {
            tell.send(n).await.unwrap();
        }
    });
    let deadline = sleep(Duration::from_secs(3600));
    tokio::pin!(deadline);
    let mut heard = Vec::new();
    loop {
        tokio::select! {
            message = told.recv() => match message {
                Some(n) => heard.push(n),
                None => break,
            },
            () = &mut deadline => unreachable!("an hour has passed"),
        }
    }
    talks.await.unwrap();
    assert_eq!(heard, [0, 1, 2, 3, 4]);
}

async fn join_waits_for_all() {
    let (go, gate) = oneshot::channel();
    let (one, two) = tokio::join!(gate, async { go.send(1) });
    assert_eq!((one, two), (Ok(1), Ok(())));
}

async fn try_join_ends_with_the_first_error() {
    let both: Result<(u8, u8), ()> = tokio::try_join!(async { Ok(1) }, async { Ok(2) });
    assert_eq!(both, Ok((1, 2)));
    let error: Result<((), ()), &str> = tokio::try_join!(pending::<Result<(), &str>>(), async { Err("no") });
    assert_eq!(error, Err("no"));
}

async fn a_token_reaches_its_children() {
    let token = CancellationToken::new();
    let (child, sibling) = (token.child_token(), token.child_token());
    sibling.cancel();
    assert!(sibling.is_cancelled() && !token.is_cancelled() && !child.is_cancelled());
    let grandchild = child.child_token();
    let waits = tokio::spawn(async move { grandchild.cancelled().await });
    token.cancel();
    waits.await.unwrap();
    assert!(child.is_cancelled() && token.child_token().is_cancelled());
    token.cancelled_owned().await;
}

async fn a_drop_guard_cancels() {
    let token = CancellationToken::new();
    drop(token.clone().drop_guard().disarm());
    assert!(!token.is_cancelled());
    let guard = token.clone().drop_guard();
    let waits = tokio::spawn({
        let token = token.clone();
        async move { token.cancelled().await }
    });
    drop(guard);
    waits.await.unwrap();
}

async fn a_token_runs_until_cancelled() {
    let token = CancellationToken::new();
    assert_eq!(token.run_until_cancelled(ready(1)).await, Some(1));
    let (token_too, cancels) = (token.clone(), tokio::spawn(async move { token.cancel() }));
    assert_eq!(token_too.run_until_cancelled(pending::<()>()).await, None);
    cancels.await.unwrap();
}

async fn a_tracker_waits_until_it_is_closed_and_empty() {
    let tracker = TaskTracker::new();
    let (go, gate) = oneshot::channel::<()>();
    let task = tracker.spawn(async move { gate.await.unwrap() });
    assert_eq!((tracker.len(), tracker.is_empty(), tracker.is_closed()), (1, false, false));
    let waits = tokio::spawn({
        let tracker = tracker.clone();
        async move { tracker.wait().await }
    });
    assert!(tracker.close());
    assert!(!tracker.close());
    assert!(!waits.is_finished());
    go.send(()).unwrap();
    waits.await.unwrap();
    task.await.unwrap();
    assert!(tracker.is_empty());
    tracker.wait().await;

    // One that is empty waits to be closed.
    let tracker = TaskTracker::new();
    let mut waits = pin!(tracker.wait());
    assert!(poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
    tracker.close();
    waits.await;
}

async fn a_tracker_can_be_reopened() {
    let tracker = TaskTracker::new();
    let mut waits = pin!(tracker.wait());
    assert!(poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
    tracker.close();
    assert!(tracker.reopen());
    assert!(!tracker.reopen());
    // It was over while somebody waited.
    waits.await;
    let mut waits = pin!(tracker.wait());
    assert!(poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
}

async fn a_tracker_counts_tokens_and_futures() {
    let tracker = TaskTracker::new();
    let token = tracker.token();
    let again = token.clone();
    assert!(TaskTracker::ptr_eq(token.task_tracker(), &tracker));
    assert_eq!(tracker.len(), 2);
    drop((token, again));
    let tracked = tracker.track_future(ready(1));
    assert_eq!(tracker.len(), 1);
    assert_eq!(tracked.await, 1);
    tracker.close();
    tracker.wait().await;
}

async fn a_tracker_tracks_closures_that_block() {
    let tracker = TaskTracker::new();
    let job = tracker.spawn_blocking(|| 1);
    tracker.close();
    tracker.wait().await;
    assert_eq!(job.await.unwrap(), 1);

    // What is aborted, and what panics, has ended too.
    let tracker = TaskTracker::new();
    tracker.spawn(pending::<()>()).abort();
    tracker.spawn(async { panic!("boom") });
    tracker.close();
    tracker.wait().await;
}

async fn an_abort_on_drop_handle_aborts() {
    let (task, gone) = idle().await;
    let task = AbortOnDropHandle::new(task);
    assert!(!task.is_finished());
    let abort = task.abort_handle();
    drop(task);
    gone.await.unwrap();
    until(|| abort.is_finished()).await;
    assert_eq!(AbortOnDropHandle::new(tokio::spawn(async { 1 })).await.unwrap(), 1);
}

async fn an_abort_on_drop_handle_can_be_detached() {
    let (go, gate) = oneshot::channel::<()>();
    let task = AbortOnDropHandle::new(tokio::spawn(async move { gate.await.unwrap() }));
    let task = task.detach();
    go.send(()).unwrap();
    task.await.unwrap();
}

async fn handles_can_go_anywhere() {
    fn anywhere<T: Send + Sync + Unpin + 'static>() {}
    fn shared<T: Send + Sync>(_: &T) {}
    anywhere::<JoinHandle<std::cell::Cell<u8>>>();
    anywhere::<AbortHandle>();
    anywhere::<JoinError>();
    anywhere::<JoinSet<u8>>();
    anywhere::<time::Interval>();
    anywhere::<task::Id>();
    anywhere::<TaskTracker>();
    anywhere::<CancellationToken>();
    shared(&sleep(Duration::ZERO));
    shared(&timeout(Duration::ZERO, pending::<()>()));
    shared(&NUMBER.scope(1, pending::<()>()));
}
