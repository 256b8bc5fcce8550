//! Laws 1 to 6: who lives how long.

use crate::support::{
    Census, Control, Gate, Member, OneAtATime, Stop, Wakes, on_this_thread, on_thread, on_thread_of, poll_once,
    poll_with, polled, start_thread, surviving, turns, until, while_polling,
};
use anyscope_core::{
    CancelToken, GroupHandle, Limiter, Outcome, Runtime, Semaphore, Task, TaskGroup, drained, race, run, sleep,
    task_group, timeout, try_task_group, unblock, yield_now,
};
use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::hint;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A group's await returns after every child has ended and its captures are gone.
pub fn a_group_ends_after_its_children<R: Runtime>(runtime: R) {
    let census = Census::new();
    let gate = Gate::new();
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            for _ in 0..10 {
                let (member, gate) = (census.member(), gate.clone());
                g.spawn(async move {
                    gate.passed().await;
                    drop(member);
                });
            }
            let opener = gate.clone();
            g.spawn(async move { opener.open() });
        })
        .await;
        assert_eq!(census.alive(), 0, "a child outlived its group");
    });
}

/// Children of children, and children spawned by other threads while the body is over, are joined as well.
pub fn children_of_children_and_of_threads_are_joined<R: Runtime>(runtime: R) {
    const GENERATIONS: usize = 20;
    const BY_THREAD: usize = 50;

    let (census, ended) = (Census::new(), Arc::new(AtomicUsize::new(0)));
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            g.spawn(generation::<R>(g.handle(), GENERATIONS, census.clone(), ended.clone()));
            let (handle, census, ended) = (g.handle(), census.clone(), ended.clone());
            // The child that waits for the thread keeps the group open; the body is over by then.
            g.spawn(on_thread(move || {
                for _ in 0..BY_THREAD {
                    let (member, ended) = (census.member(), ended.clone());
                    let child = async move {
                        yield_now().await;
                        ended.fetch_add(1, Ordering::SeqCst);
                        drop(member);
                    };
                    drop(handle.spawn(child).expect("the group has a child that lives"));
                }
            }));
        })
        .await;
        assert_eq!(census.alive(), 0, "a child outlived its group");
        assert_eq!(ended.load(Ordering::SeqCst), GENERATIONS + 1 + BY_THREAD, "a child didn't run to its end");
    });
}

fn generation<R: Runtime>(handle: GroupHandle<R>, left: usize, census: Census, ended: Arc<AtomicUsize>) -> Boxed<()> {
    let member = census.member();
    Box::pin(async move {
        if left > 0 {
            let child = generation(handle.clone(), left - 1, census, ended.clone());
            drop(handle.spawn(child).expect("the group has a child that lives"));
        }
        yield_now().await;
        ended.fetch_add(1, Ordering::SeqCst);
        drop(member);
    })
}

/// Its destructor stops half-way.
struct SlowToDrop(Stop, #[allow(dead_code, reason = "counts")] Member);

impl Drop for SlowToDrop {
    fn drop(&mut self) {
        self.0.here();
    }
}

/// A child hasn't ended before the destructors of its captures have, whether it completes or is cancelled.
pub fn a_group_waits_for_the_destructor_of_a_capture<R: Runtime>(runtime: R) {
    run(runtime, async {
        for cancelled in [false, true] {
            let census = Census::new();
            let (stop, control) = Stop::new();
            let capture = SlowToDrop(stop, census.member());
            let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
                let gate = Gate::new();
                let passed = gate.passed();
                g.spawn(async move {
                    let _capture = capture;
                    passed.await;
                });
                if cancelled { g.cancel() } else { gate.open() }
            }));
            assert!(polled(&mut group).await.is_pending(), "the group ended before its child");
            on_thread(move || {
                control.wait();
                assert!(poll_once(&mut group).is_pending(), "the group ended in the middle of a child's destructor");
                control.release();
                on_this_thread(group);
                assert_eq!(census.alive(), 0);
            })
            .await;
        }
    });
}

/// A value that nobody will ask for is dropped before the group ends, like the captures.
pub fn an_unwanted_value_is_dropped_before_the_group_ends<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (stop, control) = Stop::new();
        let census = Census::new();
        let value = SlowToDrop(stop, census.member());
        let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
            let unwanted = Gate::new();
            let passed = unwanted.passed();
            drop(g.spawn(async move {
                passed.await;
                value
            }));
            // Not before the handle is gone: it would drop the value itself otherwise.
            unwanted.open();
        }));
        assert!(polled(&mut group).await.is_pending(), "the group ended before its child");
        on_thread(move || {
            control.wait();
            assert!(poll_once(&mut group).is_pending(), "the group ended before a child's value was dropped");
            control.release();
            on_this_thread(group);
            assert_eq!(census.alive(), 0);
        })
        .await;
    });
}

/// Dropping a task's handle neither stops the task nor lets the group end before it.
pub fn dropping_a_handle_changes_nothing<R: Runtime>(runtime: R) {
    let ended = Arc::new(AtomicUsize::new(0));
    run(runtime, async {
        let gate = Gate::new();
        task_group::<R, _, _>(async |g| {
            for how in 0..3 {
                let (gate, ended) = (gate.clone(), ended.clone());
                let task = g.spawn(async move {
                    gate.passed().await;
                    ended.fetch_add(1, Ordering::SeqCst);
                });
                match how {
                    0 => drop(task),
                    1 => {
                        let mut outcome = task.outcome();
                        assert!(polled(&mut outcome).await.is_pending());
                    }
                    _ => {
                        let mut task = task;
                        assert!(polled(&mut task).await.is_pending());
                    }
                }
            }
            gate.open();
        })
        .await;
    });
    assert_eq!(ended.load(Ordering::SeqCst), 3);
}

/// What is spawned at the very moment of a group's end is either joined, or given back.
pub fn a_spawn_that_races_with_the_end_is_joined_or_given_back<R: Runtime>(runtime: R) {
    const ROUNDS: usize = 50;
    const SPAWNS: usize = 30;

    run(runtime, async {
        for round in 0..ROUNDS {
            let ran = Arc::new(AtomicUsize::new(0));
            let census = Census::new();
            let barrier = Arc::new(Barrier::new(2));
            let (send, handles) = channel();
            let spawning = {
                let (ran, census, barrier) = (ran.clone(), census.clone(), barrier.clone());
                on_thread(move || {
                    let handle: GroupHandle<R> = handles.recv().expect("a handle");
                    barrier.wait();
                    let mut joined = 0;
                    for _ in 0..SPAWNS {
                        let (ran, member) = (ran.clone(), census.member());
                        let child = async move {
                            ran.fetch_add(1, Ordering::SeqCst);
                            drop(member);
                        };
                        match handle.spawn(child) {
                            Ok(_) => joined += 1,
                            Err(closed) => on_this_thread(closed.into_inner()),
                        }
                    }
                    joined
                })
            };
            task_group::<R, _, _>(async |g| {
                send.send(g.handle()).expect("the thread waits");
                barrier.wait();
                for _ in 0..round {
                    thread::yield_now();
                }
            })
            .await;
            let joined: usize = spawning.await;
            assert_eq!(ran.load(Ordering::SeqCst), SPAWNS, "{joined} were taken in, and some didn't run");
            assert_eq!(census.alive(), 0);
        }
    });
}

/// Takes its time to drop, so that a drop that another thread does is not over by luck.
struct Lingering(#[allow(dead_code, reason = "counts")] Member);

impl Drop for Lingering {
    fn drop(&mut self) {
        (0..500).for_each(|_| hint::spin_loop());
    }
}

/// A group of fifty children, each of which was polled and is idle when `idle` is passed.
///
/// The last one is polled after the polls of all others have returned, as there is one driver.
fn idle_group<R: Runtime>(census: &Census, idle: &Gate) -> Boxed<()> {
    const CHILDREN: usize = 50;

    let (census, idle) = (census.clone(), idle.clone());
    Box::pin(task_group::<OneAtATime<R>, _, _>(async move |g| {
        let (seen, all_seen) = (Arc::new(AtomicUsize::new(0)), Gate::new());
        for _ in 0..CHILDREN {
            let (member, seen, all_seen) = (Lingering(census.member()), seen.clone(), all_seen.clone());
            g.spawn(async move {
                let _member = member;
                if seen.fetch_add(1, Ordering::SeqCst) + 1 == CHILDREN {
                    all_seen.open();
                }
                pending::<()>().await;
            });
        }
        all_seen.passed().await;
        g.spawn(async move { idle.open() });
        pending::<()>().await;
    }))
}

/// Idle children are gone when the drop of their group returns: every time, not nearly every time.
pub fn dropping_a_group_destroys_its_idle_children_at_once<R: Runtime>(runtime: R) {
    run(OneAtATime(runtime), async {
        for round in 0..200 {
            let (census, idle) = (Census::new(), Gate::new());
            let mut group = idle_group::<R>(&census, &idle);
            while_polling(&mut group, idle.passed()).await;
            assert_eq!(census.alive(), 50);
            if round % 2 == 0 {
                drop(group);
                assert_eq!(census.alive(), 0, "children that outlived the drop of their group, in round {round}");
            } else {
                on_thread(move || {
                    drop(group);
                    assert_eq!(census.alive(), 0, "children that outlived the drop on a thread, in round {round}");
                })
                .await;
            }
        }
    });
}

/// It doesn't matter who drops the group: a race, a timeout, a token, a scope that unwinds, another thread, or the end
/// of the task that it ran in.
pub fn whoever_drops_a_group_destroys_its_children<R: Runtime>(runtime: R) {
    run(OneAtATime(runtime), async {
        for how in 0..6 {
            let (census, idle) = (Census::new(), Gate::new());
            let mut group = idle_group::<R>(&census, &idle);
            while_polling(&mut group, idle.passed()).await;
            match how {
                0 => race((ready(()), group)).await,
                1 => assert!(timeout::<OneAtATime<R>, _>(Duration::ZERO, group).await.is_err()),
                2 => {
                    let token = CancelToken::<OneAtATime<R>>::new();
                    token.cancel();
                    assert!(token.run(group).await.is_err());
                }
                3 => {
                    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                        let _group = group;
                        panic!("the owner of the group unwinds");
                    }));
                    assert!(unwound.is_err());
                }
                4 => on_thread(move || drop(group)).await,
                _ => {
                    task_group::<OneAtATime<R>, _, _>(async |g| {
                        let owner = g.spawn(group);
                        owner.cancel();
                        assert!(owner.outcome().await.is_cancelled());
                        assert_eq!(census.alive(), 0, "an outcome was told before what the task owned was gone");
                    })
                    .await;
                }
            }
            assert_eq!(census.alive(), 0, "children outlived their group, which was dropped in way {how}");
        }
    });
}

/// Of children that are always being polled, at most those outlive the drop that a thread of the runtime polls at that
/// moment; children that never had a poll are among the destroyed; and the group around ends after all of them.
pub fn a_dropped_group_leaves_only_polls_under_way<R: Runtime>(runtime: R) {
    run(runtime.clone(), async {
        for round in 0..200 {
            let census = Census::new();
            task_group::<R, _, _>(async |_| {
                let (members, busy) = (census.clone(), Gate::new());
                let opener = busy.clone();
                let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
                    for _ in 0..50 {
                        let (member, busy) = (members.member(), opener.clone());
                        g.spawn(async move {
                            let _member = member;
                            busy.open();
                            loop {
                                yield_now().await;
                            }
                        });
                    }
                    pending::<()>().await;
                }));
                if round % 2 == 0 {
                    while_polling(&mut group, busy.passed()).await;
                } else {
                    assert!(polled(&mut group).await.is_pending());
                }
                drop(group);
                let (alive, threads) = (census.alive(), runtime.parallelism().max(1));
                assert!(alive <= threads, "{alive} children outlived the drop, on {threads} threads");
            })
            .await;
            assert_eq!(census.alive(), 0, "the group around ended before them");
        }
    });
}

/// A child whose poll is under way on another thread is destroyed when that poll returns. Its idle siblings are gone
/// before, and the group around ends after it.
pub fn a_child_in_a_poll_is_destroyed_when_the_poll_returns<R: Runtime>(runtime: R) {
    run(OneAtATime(runtime), async {
        let (census, leave) = (Census::new(), Gate::new());
        let (stop, control) = Stop::new();
        let went_on = Arc::new(AtomicBool::new(false));
        let mut outer = {
            let (census, leave, went_on) = (census.clone(), leave.clone(), went_on.clone());
            Box::pin(task_group::<OneAtATime<R>, _, _>(async move |_| {
                let mut inner = Box::pin(task_group::<OneAtATime<R>, _, _>(async move |g| {
                    for _ in 0..20 {
                        let member = census.member();
                        g.spawn(async move {
                            let _member = member;
                            pending::<()>().await;
                        });
                    }
                    let member = census.member();
                    g.spawn(async move {
                        let _member = member;
                        stop.here();
                        yield_now().await;
                        went_on.store(true, Ordering::SeqCst);
                    });
                    pending::<()>().await;
                }));
                assert!(polled(&mut inner).await.is_pending());
                leave.passed().await;
                drop(inner);
            }))
        };
        assert!(polled(&mut outer).await.is_pending());
        on_thread(move || {
            control.wait();
            assert_eq!(census.alive(), 21);
            leave.open();
            assert!(poll_once(&mut outer).is_pending(), "the group around didn't wait for the poll that was left");
            assert_eq!(census.alive(), 1, "only the child in its poll outlives the drop");
            control.release();
            on_this_thread(outer);
            assert_eq!(census.alive(), 0, "the group around ended before the poll that was left");
        })
        .await;
        assert!(!went_on.load(Ordering::SeqCst), "a child of a dropped group was polled again");
    });
}

/// `run` returns after the poll that a dropped group had to leave running.
pub fn run_waits_for_a_poll_that_a_dropped_group_left<R: Runtime>(runtime: R) {
    let census = Census::new();
    let home = thread::current().id();
    // A clone, since a runtime may wait by itself for what runs on it when the last is dropped.
    run(runtime.clone(), async {
        let (stop, control) = Stop::new();
        let (body_ends, body_ended) = channel::<()>();
        let member = census.member();
        let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
            g.spawn(async move {
                let _member = member;
                stop.here();
                // On the thread of `run` itself the body can't end before this poll.
                if thread::current().id() != home {
                    let _ = body_ended.recv();
                    // Room for a `run` that doesn't wait.
                    (0..1000).for_each(|_| thread::yield_now());
                }
                pending::<()>().await;
            });
            pending::<()>().await;
        }));
        assert!(polled(&mut group).await.is_pending());
        on_thread(move || {
            control.wait();
            drop(group);
            control.release();
        })
        .await;
        drop(body_ends);
    });
    assert_eq!(census.alive(), 0, "`run` returned before a poll that it has to wait for");
}

/// A child may own the group that it is in, and drop it: the poll that does so is its last.
pub fn a_child_may_drop_its_own_group<R: Runtime>(runtime: R) {
    let (census, went_on) = (Census::new(), Arc::new(AtomicBool::new(false)));
    run(OneAtATime(runtime), async {
        let place: Arc<Mutex<Option<Boxed<()>>>> = Arc::default();
        let (start, dropped) = (Gate::new(), Gate::new());
        let mut group: Boxed<()> = {
            let (census, went_on) = (census.clone(), went_on.clone());
            let (place, start, dropped) = (place.clone(), start.clone(), dropped.clone());
            Box::pin(task_group::<OneAtATime<R>, _, _>(async move |g| {
                for _ in 0..10 {
                    let member = census.member();
                    g.spawn(async move {
                        let _member = member;
                        pending::<()>().await;
                    });
                }
                let own = census.member();
                g.spawn(async move {
                    let _own = own;
                    start.passed().await;
                    let group = place.lock().unwrap().take();
                    drop(group);
                    assert_eq!(census.alive(), 1, "its siblings are gone, and it is not");
                    dropped.open();
                    yield_now().await;
                    went_on.store(true, Ordering::SeqCst);
                });
                pending::<()>().await;
            }))
        };
        assert!(polled(&mut group).await.is_pending());
        *place.lock().unwrap() = Some(group);
        start.open();
        dropped.passed().await;
    });
    assert_eq!(census.alive(), 0);
    assert!(!went_on.load(Ordering::SeqCst), "the child was polled again");
}

/// Makes use of its group while it is destroyed.
struct Restless<R: Runtime> {
    handle: GroupHandle<R>,
    token: CancelToken<R>,
    siblings: Gate,
    refused: Arc<AtomicUsize>,
    _member: Lingering,
}

impl<R: Runtime> Drop for Restless<R> {
    fn drop(&mut self) {
        self.siblings.open();
        self.token.cancel();
        self.handle.cancel();
        if self.handle.spawn(async {}).is_err() {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A destructor that runs because its group is dropped may wake its siblings, cancel, and try to spawn: the siblings
/// aren't polled for it, and what it spawns is given back.
pub fn a_destructor_may_use_the_group_that_is_being_dropped<R: Runtime>(runtime: R) {
    let (census, refused) = (Census::new(), Arc::new(AtomicUsize::new(0)));
    let woken = Arc::new(AtomicUsize::new(0));
    run(OneAtATime(runtime), async {
        let (token, siblings, idle) = (CancelToken::<OneAtATime<R>>::new(), Gate::new(), Gate::new());
        let mut group = {
            let (census, refused, woken, idle) = (census.clone(), refused.clone(), woken.clone(), idle.clone());
            Box::pin(task_group::<OneAtATime<R>, _, _>(async move |g| {
                for _ in 0..20 {
                    let restless = Restless {
                        handle: g.handle(),
                        token: token.clone(),
                        siblings: siblings.clone(),
                        refused: refused.clone(),
                        _member: Lingering(census.member()),
                    };
                    let (token, siblings, woken) = (token.child(), siblings.clone(), woken.clone());
                    g.spawn(async move {
                        let _restless = restless;
                        let _ = token.run(siblings.passed()).await;
                        woken.fetch_add(1, Ordering::SeqCst);
                    });
                }
                g.spawn(async move { idle.open() });
                pending::<()>().await;
            }))
        };
        while_polling(&mut group, idle.passed()).await;
        drop(group);
        assert_eq!(census.alive(), 0);
    });
    assert_eq!(refused.load(Ordering::SeqCst), 20, "a group that is being dropped took a child in");
    assert_eq!(woken.load(Ordering::SeqCst), 0, "a child of a dropped group was polled");
}

/// A child may hold a group whose child holds a group, hundreds of levels deep: dropping the outermost destroys all of
/// them before it returns, and doesn't need a deep stack for it.
pub fn dropping_the_outermost_group_destroys_every_level<R: Runtime>(runtime: R) {
    const LEVELS: usize = 300;

    surviving(|| {
        run(OneAtATime(runtime), async {
            for round in 0..20 {
                let (census, idle) = (Census::new(), Gate::new());
                let mut outermost = level::<R>(LEVELS, census.clone(), idle.clone());
                while_polling(&mut outermost, idle.passed()).await;
                assert_eq!(census.alive(), LEVELS);
                on_thread_of(64 << 10, move || {
                    drop(outermost);
                    assert_eq!(census.alive(), 0, "levels that outlived the drop of the outermost, in round {round}");
                })
                .await;
            }
        });
    });
}

/// A group with a child that holds the next level. `idle` is passed when the children of this and all deeper levels
/// are idle: a last child of each group says so, in turn from the innermost outwards.
fn level<R: Runtime>(left: usize, census: Census, idle: Gate) -> Boxed<()> {
    Box::pin(task_group::<OneAtATime<R>, _, _>(async move |g| {
        if left > 0 {
            let (member, idle_below) = (Lingering(census.member()), Gate::new());
            let below = level::<R>(left - 1, census, idle_below.clone());
            g.spawn(async move {
                let _member = member;
                below.await;
            });
            idle_below.passed().await;
        }
        g.spawn(async move { idle.open() });
        pending::<()>().await;
    }))
}

/// The poll that the innermost of thousands of dropped groups left running ends them all, one after the other, when it
/// returns: `run` waits for that, and it needs no deep stack.
pub fn the_last_poll_of_thousands_of_dropped_levels_ends_them_all<R: Runtime>(runtime: R) {
    surviving(|| {
        let census = Census::new();
        run(runtime.clone(), async {
            let (stop, control) = Stop::new();
            let mut outermost = level_above_a_poll::<R>(20_000, census.clone(), stop);
            assert!(polled(&mut outermost).await.is_pending());
            on_thread(move || {
                control.wait();
                drop(outermost);
                control.release();
            })
            .await;
        });
        assert_eq!(census.alive(), 0, "`run` returned before the innermost poll");
    });
}

/// A group with a child that holds the next level; the innermost stops in its poll.
fn level_above_a_poll<R: Runtime>(left: usize, census: Census, stop: Stop) -> Boxed<()> {
    Box::pin(task_group::<R, _, _>(async move |g| {
        let member = census.member();
        if left > 0 {
            let below = level_above_a_poll::<R>(left - 1, census, stop);
            g.spawn(async move {
                let _member = member;
                below.await;
            });
        } else {
            g.spawn(async move {
                let _member = member;
                stop.here();
                pending::<()>().await;
            });
        }
        pending::<()>().await;
    }))
}

/// `mem::forget` of anything is safe, and hurts nobody else.
pub fn forgetting_anything_leaves_the_rest_usable<R: Runtime>(runtime: R) {
    let census = Census::new();
    run(runtime, async {
        // A group's future: its children go on.
        let gate = Gate::new();
        let (send, tasks) = channel();
        let passed = gate.passed();
        let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
            let task = g.spawn(async move {
                passed.await;
                5
            });
            send.send(task).expect("the check waits");
            pending::<()>().await;
        }));
        assert!(polled(&mut group).await.is_pending());
        mem::forget(group);
        mem::forget(Box::pin(task_group::<R, _, _>(async |_| ())));
        gate.open();
        assert_eq!(tasks.recv().expect("the body was polled").await, 5);

        // Handles: the group joins the tasks.
        task_group::<R, _, _>(async |g| {
            let child = || {
                let member = census.member();
                async move {
                    let _member = member;
                    yield_now().await;
                }
            };
            mem::forget(g.handle());
            mem::forget(g.spawn(child()));
            let mut outcome = g.spawn(child()).outcome();
            let _ = polled(&mut outcome).await;
            mem::forget(outcome);
        })
        .await;
        assert_eq!(census.alive(), 0, "a task whose handle was forgotten wasn't joined");

        // Tokens, and everything that waits for them.
        let token = CancelToken::<R>::new();
        let below = token.child();
        mem::forget(token.child());
        mem::forget(token.drop_guard());
        let mut waiter = Box::pin(token.cancelled());
        assert!(polled(&mut waiter).await.is_pending());
        mem::forget(waiter);
        let mut under = Box::pin(below.run(pending::<()>()));
        assert!(polled(&mut under).await.is_pending());
        mem::forget(under);
        assert!(!token.is_cancelled());
        assert!(token.cancel() && below.is_cancelled());
        token.cancelled().await;

        // Permits: those are lost, and nothing else.
        let semaphore = Semaphore::new(3);
        mem::forget(semaphore.acquire().await.expect("it is open"));
        mem::forget(semaphore.acquire());
        let held = (semaphore.acquire().await.expect("it is open"), semaphore.acquire().await.expect("it is open"));
        let mut lost = Box::pin(semaphore.acquire());
        assert!(polled(&mut lost).await.is_pending());
        mem::forget(lost);
        let mut next = Box::pin(semaphore.acquire());
        assert!(polled(&mut next).await.is_pending());
        drop(held);
        drop(next.await.expect("it is open"));
        let statistics = semaphore.statistics();
        assert_eq!((statistics.available, statistics.borrowed, statistics.waiting), (1, 2, 0));

        let limiter = Limiter::new(2);
        mem::forget(limiter.acquire().await);
        mem::forget(limiter.acquire());
        drop(limiter.acquire().await);

        // Time.
        let mut late = Box::pin(timeout::<R, _>(Duration::from_secs(3600), pending::<()>()));
        assert!(polled(&mut late).await.is_pending());
        mem::forget(late);
        let mut nap = Box::pin(sleep::<R>(Duration::from_secs(3600)));
        assert!(polled(&mut nap).await.is_pending());
        mem::forget(nap);
        assert!(timeout::<R, _>(Duration::from_millis(1), pending::<()>()).await.is_err());
    });
}

/// Whoever spawns into a group that has ended, or was dropped, gets the future back, unharmed and unpolled.
pub fn spawning_into_an_ended_group_gives_the_future_back<R: Runtime>(runtime: R) {
    run(runtime, async {
        let ended = task_group::<R, _, _>(async |g| g.handle()).await;
        let failed = try_task_group::<R, _, _, ()>(async |g| Ok(g.handle())).await.expect("nothing failed");
        let dropped = {
            let (send, handles) = channel();
            let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
                send.send(g.handle()).expect("the check waits");
                pending::<()>().await;
            }));
            assert!(polled(&mut group).await.is_pending());
            drop(group);
            handles.recv().expect("the body was polled")
        };
        let census = Census::new();
        for handle in [ended.clone(), dropped] {
            let member = census.member();
            let back = handle.spawn(async move {
                drop(member);
                7
            });
            let back = back.expect_err("a group that is over took a child in").into_inner();
            assert_eq!(census.alive(), 1, "the future was harmed");
            assert_eq!(back.await, 7);
        }
        let back = failed.spawn(async { Ok::<_, ()>(7) }).expect_err("a group that is over took a child in");
        assert_eq!(back.into_inner().await, Ok(7));
        let from_thread = on_thread(move || ended.spawn(async { 7 }).map(drop)).await;
        assert_eq!(from_thread.expect_err("a group that is over took a child in").into_inner().await, 7);
    });
}

/// Whoever spawns into a cancelled group that hasn't ended gets a task whose future is dropped unpolled, and whose
/// outcome is the group's reason.
pub fn spawning_into_a_cancelled_group_drops_the_future_unpolled<R: Runtime>(runtime: R) {
    async fn refused(task: Task<()>) {
        match task.outcome().await {
            Outcome::Cancelled(reason) => assert_eq!(reason.message(), Some("closing time")),
            other => panic!("spawned into a cancelled group, and it was {other:?}"),
        }
    }

    run(runtime, async {
        let (census, polls) = (Census::new(), Arc::new(AtomicUsize::new(0)));
        let child = {
            let (census, polls) = (census.clone(), polls.clone());
            move || {
                let (member, polls) = (census.member(), polls.clone());
                async move {
                    polls.fetch_add(1, Ordering::SeqCst);
                    drop(member);
                }
            }
        };
        task_group::<R, _, _>(async |g| {
            // One in its poll, which cancels the group and then spawns.
            let (handle, in_poll, results) = (g.handle(), child.clone(), channel());
            let send = results.0;
            let last = g.spawn(async move {
                handle.cancel_with("closing time");
                send.send(handle.spawn(in_poll())).expect("the body waits");
                5
            });
            assert_eq!(last.await, 5, "what the poll ends with is delivered");
            refused(results.1.recv().expect("it was sent").expect("the group hasn't ended")).await;

            refused(g.spawn(child())).await;
            refused(g.task("named").spawn(child())).await;
            let (handle, elsewhere) = (g.handle(), child.clone());
            refused(on_thread(move || handle.spawn(elsewhere()).expect("the group hasn't ended")).await).await;
            assert_eq!(census.alive(), 0, "a future that is not to be polled was kept");
        })
        .await;
        assert_eq!(polls.load(Ordering::SeqCst), 0, "a child of a cancelled group was polled");
    });
}

thread_local! {
    /// Whether this thread is inside a call that spawns.
    static SPAWNING: Cell<bool> = const { Cell::new(false) };
}

fn spawning<T>(spawn: impl FnOnce() -> T) -> T {
    SPAWNING.set(true);
    let spawned = spawn();
    SPAWNING.set(false);
    spawned
}

/// A child is never polled inside the call that spawns it, whoever calls; but it is polled.
pub fn a_child_never_runs_inside_spawn<R: Runtime>(runtime: R) {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let outside = move || {
        assert!(!SPAWNING.get(), "a child ran inside of `spawn`");
        counted.fetch_add(1, Ordering::SeqCst);
    };
    run(runtime, async {
        TaskGroup::<R>::builder()
            .limit(2)
            .run(async |g| {
                for _ in 0..20 {
                    let inside = outside.clone();
                    spawning(|| g.spawn(async move { inside() }));
                    spawning(|| g.task("blocking").spawn_blocking(outside.clone()));
                    let (handle, inside) = (g.handle(), outside.clone());
                    spawning(|| {
                        g.spawn(async move {
                            inside();
                            drop(spawning(|| handle.spawn(async move { inside() })));
                        })
                    });
                    yield_now().await;
                }
            })
            .await;
        assert_eq!(ran.load(Ordering::SeqCst), 80, "not every child ran");
        task_group::<R, _, _>(async |g| {
            let (handle, outside) = (g.handle(), outside.clone());
            g.spawn(on_thread(move || {
                for _ in 0..20 {
                    let inside = outside.clone();
                    drop(spawning(|| handle.spawn(async move { inside() })));
                }
            }));
        })
        .await;
    });
    assert_eq!(ran.load(Ordering::SeqCst), 100, "not every child ran");
}

/// A job that blocks a thread until the check lets it go on.
fn left_behind<R: Runtime>(started: &Gate, stop: Stop, member: Member) -> impl Future<Output = ()> + Send + use<R> {
    let at_work = started.clone();
    unblock::<R, _, _>(move || {
        at_work.open();
        stop.here();
        drop(member);
    })
}

/// A group opens where its first poll is. Where the group around that has ended meanwhile, and it is dropped, what it
/// leaves running is waited for further out.
pub fn what_is_left_goes_past_a_group_that_ended<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        task_group::<R, _, _>(async |_| {
            let started = Gate::new();
            let (stop, control) = Stop::new();
            let job = left_behind::<R>(&started, stop, census.member());
            // The innermost of three is begun in the middle one, and outlives it.
            let (mut innermost,) = task_group::<R, _, _>(async |_| {
                let mut innermost: Boxed<()> = Box::pin(async move {
                    let mut job = Some(job);
                    task_group::<R, _, _>(async move |_| {
                        if let Some(job) = job.take() {
                            job.await;
                        }
                    })
                    .await;
                });
                assert!(polled(&mut innermost).await.is_pending());
                (innermost,)
            })
            .await;
            while_polling(&mut innermost, started.passed()).await;
            drop(innermost);
            assert_eq!(census.alive(), 1, "a job that runs can't be destroyed");
            control.release();
        })
        .await;
        assert_eq!(census.alive(), 0, "nobody waited for what a group inside of an ended one had left");
    });
}

/// Of groups in children of groups that are dropped at once, the nearest that lives waits for what each leaves running.
pub fn what_is_left_goes_past_groups_that_are_dropped<R: Runtime>(runtime: R) {
    fn level<R: Runtime>(left: usize, all: &Gate, census: &Census, stops: &mut Vec<Control>) -> Boxed<()> {
        let inner = (left > 0).then(|| level::<R>(left - 1, all, census, stops));
        let (stop, control) = Stop::new();
        stops.push(control);
        let started = if left == 0 { all.clone() } else { Gate::new() };
        let job = left_behind::<R>(&started, stop, census.member());
        Box::pin(task_group::<R, _, _>(async move |g| {
            let job = g.spawn(job);
            started.passed().await;
            if let Some(inner) = inner {
                drop(g.spawn(inner));
            }
            // The one is waited for as a job that nothing may interrupt, the other by its group.
            job.await;
        }))
    }

    run(runtime, async {
        let census = Census::new();
        task_group::<R, _, _>(async |g| {
            let (all, mut stops) = (Gate::new(), Vec::new());
            let mut dropped = level::<R>(2, &all, &census, &mut stops);
            while_polling(&mut dropped, all.passed()).await;
            drop(dropped);
            assert_eq!(census.alive(), 3, "a job that runs can't be destroyed");
            // The last one to be released is each of the levels' in turn, with the others gone for some time.
            let last = stops.swap_remove(1);
            stops.iter().for_each(Control::release);
            until(|| census.alive() == 1).await;
            g.spawn(async move {
                turns(50).await;
                last.release();
            });
        })
        .await;
        assert_eq!(census.alive(), 0, "a level's job was left to nobody");
    });
}

/// An abandoned job in a group that is dropped is waited for by the group around, and keeps its permit until then.
pub fn an_abandoned_job_of_a_dropped_group_is_waited_for<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (census, limiter) = (Census::new(), Limiter::new(1));
        task_group::<R, _, _>(async |_| {
            let started = Gate::new();
            let (stop, control) = Stop::new();
            let (at_work, member) = (started.clone(), census.member());
            let job = unblock::<R, _, _>(move || {
                at_work.open();
                stop.here();
                drop(member);
            });
            let job = job.limiter(&limiter).abandon_on_cancel();
            let mut dropped = Box::pin(task_group::<R, _, _>(async move |g| {
                let task = g.spawn(job);
                started.passed().await;
                task.cancel();
                // The caller goes at once; its job is the group's.
                assert!(task.outcome().await.is_cancelled());
                pending::<()>().await;
            }));
            let abandoned = limiter.clone();
            while_polling(&mut dropped, Box::pin(until(move || abandoned.statistics().borrowed == 1))).await;
            for _ in 0..20 {
                assert!(polled(&mut dropped).await.is_pending());
                yield_now().await;
            }
            drop(dropped);
            assert_eq!((census.alive(), limiter.statistics().borrowed), (1, 1));
            control.release();
        })
        .await;
        assert_eq!((census.alive(), limiter.statistics().available), (0, 1), "the group around didn't wait");
    });
}

/// What no group waits for any more, because all around have ended, is waited for by who asks for it: by all of them, until
/// the last is gone.
pub fn whoever_asks_waits_for_all_that_nobody_else_does<R: Runtime>(runtime: R) {
    const STRAYS: usize = 3;

    let census = Census::new();
    let (mut strays, mut stops): (Vec<Boxed<()>>, Vec<Control>) = (Vec::new(), Vec::new());
    run(runtime.clone(), async {
        for _ in 0..STRAYS {
            let started = Gate::new();
            let (stop, control) = Stop::new();
            let job = left_behind::<R>(&started, stop, census.member());
            let mut stray: Boxed<()> = Box::pin(task_group::<R, _, _>(async move |_| job.await));
            while_polling(&mut stray, started.passed()).await;
            strays.push(stray);
            stops.push(control);
        }
    });
    // Their runs have ended. From now on, there is nobody.
    strays.clear();
    assert_eq!(census.alive(), STRAYS, "a job that runs can't be destroyed");
    let (wakes, waker) = Wakes::waker();
    let (mut waiting, mut leaving) = (drained(), drained());
    assert!(poll_with(&mut waiting, &waker).is_pending(), "a stray wasn't counted");
    assert!(poll_with(&mut leaving, &waker).is_pending());
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let census = census.clone();
            start_thread(move || {
                on_this_thread(drained());
                census.alive()
            })
        })
        .collect();
    let last = stops.pop().expect("there are several");
    stops.iter().for_each(Control::release);
    while census.alive() > 1 {
        thread::yield_now();
    }
    assert!(poll_with(&mut waiting, &waker).is_pending(), "one of them is still there");
    assert_eq!(wakes.count(), 0, "somebody was woken for a stray that wasn't the last");
    drop(leaving);
    last.release();
    for waiter in waiters {
        assert_eq!(waiter.join().expect("it waits and ends"), 0, "it didn't wait for all");
    }
    on_this_thread(waiting);
    run(runtime, drained());
    assert_eq!(census.alive(), 0);
}
