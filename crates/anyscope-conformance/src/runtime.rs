//! Laws 29 to 31: every runtime is the same, a runtime may go away, and nobody keeps a thread for himself.

use crate::support::{Census, Gate, caught, on_this_thread, poll_once, said, start_thread, turns, until};
use anyscope_core::channel::{bounded, unbounded};
use anyscope_core::locks::{self, Barrier, Condvar, Event, OnceCell, RwLock};
use anyscope_core::observe::Observer;
use anyscope_core::{
    CancelToken, Driver, Job, Limiter, Outcome, Runtime, RuntimeError, Semaphore, TaskGroup, gather, interval,
    is_cancelled, now, race, remaining, run, sleep, sleep_until, task_group, timeout, try_gather, try_task_group,
    unblock, yield_now,
};
use std::fmt::Write as _;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// One program gives one result: which children ended how, in what order their values stand, what was cut short.
pub fn the_same_program_gives_the_same_result<R: Runtime>(runtime: R) {
    let told = run(runtime, async {
        let mut told = String::new();
        let sum: u32 = task_group::<R, _, _>(async |g| {
            let tasks: Vec<_> = (1..=10).map(|n| g.spawn(async move { inner_group::<R>(n).await })).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await;
            }
            sum
        })
        .await;
        write!(told, "sum {sum}").unwrap();

        let failed = try_task_group::<R, _, (), &str>(async |g| {
            g.spawn(pending::<Result<(), _>>());
            g.task("third").spawn(async { Err::<(), _>("wrong") });
            pending().await
        })
        .await;
        let failed = failed.unwrap_err();
        let name = failed.failures()[0].task().and_then(|task| task.name()).unwrap_or("nobody");
        write!(told, "; {name} was {}", failed.first()).unwrap();

        let token = CancelToken::<R>::new();
        let canceller = token.clone();
        let cut = token
            .run(async move {
                canceller.cancel_with("enough");
                yield_now().await;
            })
            .await;
        write!(told, "; {}", cut.unwrap_err().reason().message().unwrap_or("no message")).unwrap();

        let late = timeout::<R, _>(Duration::from_millis(1), pending::<()>()).await;
        write!(told, "; {}", late.unwrap_err()).unwrap();

        let values = gather::<R, _, _>((0..5).rev().map(|n| async move {
            turns(n).await;
            n
        }))
        .limit(2)
        .await;
        write!(told, "; {values:?}").unwrap();

        let error = try_gather::<R, _, _>((ready(Ok::<_, char>(1)), ready(Err::<u8, _>('e')))).await;
        write!(told, "; {error:?}").unwrap();

        let job = unblock::<R, _, _>(|| (is_cancelled(), remaining::<R>())).await;
        write!(told, "; {job:?}").unwrap();
        told
    });
    assert_eq!(
        told,
        "sum 110; third was wrong; enough; deadline has elapsed; [4, 3, 2, 1, 0]; Err('e'); (false, None)"
    );
}

async fn inner_group<R: Runtime>(n: u32) -> u32 {
    task_group::<R, _, _>(async |g| {
        let half = g.spawn(async move { n });
        let other = g.spawn_blocking(move || n);
        sleep::<R>(Duration::from_micros(100)).await;
        half.await + other.await
    })
    .await
}

/// A hundred children that hand a value round end in the same order on each runtime, whoever polls them.
pub fn a_chain_of_children_ends_in_one_order<R: Runtime>(runtime: R) {
    let order = run(runtime, async {
        let order = Arc::new(Mutex::new(Vec::new()));
        let gates: Vec<Gate> = (0..=100).map(|_| Gate::new()).collect();
        task_group::<R, _, _>(async |g| {
            for n in (0..100).rev() {
                let (before, after, order) = (gates[n].clone(), gates[n + 1].clone(), order.clone());
                g.spawn(async move {
                    before.passed().await;
                    order.lock().unwrap().push(n);
                    after.open();
                });
            }
            gates[0].open();
        })
        .await;
        Arc::into_inner(order).unwrap().into_inner().unwrap()
    });
    assert_eq!(order, (0..100).collect::<Vec<_>>());
}

/// A handle spawns from a thread that has no runtime around it, and the child has everything of its group's.
pub fn a_plain_thread_spawns_through_a_handle<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let handle = g.handle();
            let semaphore = Arc::new(Semaphore::new(0));
            let (permits, done) = (semaphore.clone(), Gate::new());
            let opener = done.clone();
            let spawned = start_thread(move || {
                let permits_of_child = permits.clone();
                let child = handle.spawn(async move {
                    let permit = permits_of_child.acquire_arc().await.expect("it isn't closed");
                    sleep::<R>(Duration::from_millis(1)).await;
                    drop(permit);
                    let _ = now::<R>();
                    opener.open();
                    7
                });
                permits.add_permits(1);
                on_this_thread(child.expect("the body still runs"))
            });
            done.passed().await;
            // The thread has only to be woken by the child's end now.
            let value = unblock::<R, _, _>(move || spawned.join()).await;
            assert_eq!(value.expect("the thread ends well"), 7);
            assert_eq!(semaphore.available_permits(), 1, "the permit went back");
        })
        .await;
    });
}

/// A plain thread waits for a permit that a task gives back, without any runtime around it.
pub fn a_plain_thread_waits_for_a_semaphore<R: Runtime>(runtime: R) {
    run(runtime, async {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.try_acquire_arc().expect("it is free");
        let theirs = semaphore.clone();
        let waiting = start_thread(move || {
            let permit = on_this_thread(theirs.acquire_arc()).expect("it isn't closed");
            drop(permit);
        });
        until(|| semaphore.statistics().waiting == 1).await;
        task_group::<R, _, _>(async |g| {
            g.spawn(async move { drop(held) });
        })
        .await;
        unblock::<R, _, _>(move || waiting.join()).await.expect("the thread got its permit");
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// A group that was opened on its runtime is carried to a thread of nobody's and polled there to its end.
pub fn a_group_is_polled_by_hand_on_a_foreign_thread<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let (gate, done) = (Gate::new(), Gate::new());
        let (member, passing) = (census.member(), gate.clone());
        let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
            let child = g.spawn(async move {
                passing.passed().await;
                sleep::<R>(Duration::from_millis(1)).await;
                drop(member);
                1
            });
            // Only the group's own surroundings tell this timer which runtime it is for.
            timeout::<R, _>(HOUR, yield_now()).await.expect("an hour is enough");
            sleep::<R>(Duration::from_millis(1)).await;
            let nested = task_group::<R, _, _>(async |g| g.spawn(async { 2 }).await).await;
            child.await + nested
        }));
        assert!(poll_once(&mut group).is_pending());
        let opener = done.clone();
        let foreign = start_thread(move || {
            let sum = on_this_thread(group);
            opener.open();
            sum
        });
        gate.open();
        done.passed().await;
        assert_eq!(foreign.join().expect("the thread ends well"), 3);
        assert_eq!(census.alive(), 0);
    });
}

/// A timer that was first polled in one place goes on in another: on a plain thread, with another waker.
pub fn a_timer_moves_between_threads<R: Runtime>(runtime: R) {
    run(runtime, async {
        let at = now::<R>() + Duration::from_millis(20);
        let mut timer = Box::pin(sleep_until::<R>(at));
        // It may well be over already, on a machine that is busy.
        if poll_once(&mut timer).is_ready() {
            return;
        }
        let done = Gate::new();
        let opener = done.clone();
        let (sender, receiver) = channel();
        // A runtime is around the thread only by the timer itself.
        let moved = start_thread(move || {
            on_this_thread(timer);
            opener.open();
            sender.send(()).expect("the check waits");
        });
        done.passed().await;
        receiver.recv().expect("the timer ended");
        assert!(now::<R>() >= at, "a timer was early after it was moved");
        moved.join().expect("the thread ends well");
    });
}

/// A runtime that goes away ends the children that live on it, and whoever waits for them is told; nobody hangs.
pub fn children_of_a_runtime_that_goes_away_end<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    let census = Census::new();
    let counted = census.clone();
    run(toy, async move {
        task_group::<Toy<R>, _, _>(async |g| {
            let mut tasks = Vec::new();
            for _ in 0..10 {
                let member = counted.member();
                tasks.push(g.spawn(async move {
                    pending::<()>().await;
                    drop(member);
                }));
            }
            let done = g.spawn(async { 1 });
            until(|| done.is_finished()).await;
            going.go_away();
            for task in tasks {
                assert!(matches!(task.outcome().await, Outcome::RuntimeGone));
            }
            assert_eq!(done.await, 1, "what had ended keeps its value");

            // The runtime takes nobody in any more: neither a child by itself, nor a group of its own.
            let late = g.spawn(async { 2 });
            assert!(matches!(late.outcome().await, Outcome::RuntimeGone));
            let nested = task_group::<Toy<R>, _, _>(async |g| g.spawn(async { 3 }).outcome().await).await;
            assert!(matches!(nested, Outcome::RuntimeGone));
        })
        .await;
        assert_eq!(counted.alive(), 0, "a child outlived its runtime");
    });
    assert_eq!(census.alive(), 0);
}

/// A runtime that goes away in the middle of a child's poll ends that child, at the latest when whoever polls the children
/// gives way to it.
pub fn a_child_sends_its_own_runtime_away<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    run(toy, async move {
        let census = Census::new();
        let member = census.member();
        let outcomes = task_group::<Toy<R>, _, _>(async |g| {
            let sibling = g.spawn(pending::<()>());
            let going = going.clone();
            let child = g.spawn(async move {
                going.go_away();
                for _ in 0..1000 {
                    yield_now().await;
                }
                drop(member);
                unreachable!("nobody polls it for that long");
            });
            (child.outcome().await, sibling.outcome().await)
        })
        .await;
        assert!(matches!(outcomes, (Outcome::<()>::RuntimeGone, Outcome::RuntimeGone)), "{outcomes:?}");
        assert_eq!(census.alive(), 0);
    });
}

/// A group that is polled by a thread of nobody's learns that its runtime has gone away, and ends there; so do the
/// children that its limit held back.
pub fn a_group_polled_elsewhere_learns_that_its_runtime_is_gone<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    run(toy, async move {
        let census = Census::new();
        let (member, held_back) = (census.member(), census.member());
        let mut group = Box::pin(TaskGroup::<Toy<R>>::builder().limit(1).run(async move |g| {
            let child = g.spawn(async move {
                pending::<()>().await;
                drop(member);
            });
            let waiting = g.spawn(async move { drop(held_back) });
            (child.outcome().await, waiting.outcome().await)
        }));
        assert!(poll_once(&mut group).is_pending());
        let done = Gate::new();
        let opener = done.clone();
        let foreign = start_thread(move || {
            let outcomes = on_this_thread(group);
            opener.open();
            outcomes
        });
        // Whether the thread waits already or is about to: it is told.
        yield_now().await;
        going.go_away();
        done.passed().await;
        let outcomes = foreign.join().expect("the thread ends well");
        assert!(matches!(outcomes, (Outcome::RuntimeGone, Outcome::RuntimeGone)), "{outcomes:?}");
        assert_eq!(census.alive(), 0);
    });
}

/// A gather on the threads of a runtime that goes away ends with a panic that says so.
pub fn a_parallel_gather_on_a_lost_runtime_says_so<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    run(toy, async move {
        let census = Census::new();
        let futures = (0..5).map(|_| {
            let member = census.member();
            async move {
                pending::<()>().await;
                drop(member);
            }
        });
        let mut gathered = Box::pin(caught(gather::<Toy<R>, _, _>(futures).limit(3).parallel()));
        assert!(poll_once(&mut gathered).is_pending());
        going.go_away();
        let mut ended = None;
        // Nothing is left that could take longer than a few turns.
        for _ in 0..100 {
            if let Poll::Ready(result) = poll_once(&mut gathered) {
                ended = Some(result);
                break;
            }
            yield_now().await;
        }
        let payload = ended.expect("it hangs").expect_err("it has no values");
        assert!(said(&payload).contains("went away"), "{:?}", said(&payload));
        drop(gathered);
        assert_eq!(census.alive(), 0);
    });
}

/// A blocking job that runs when its runtime goes away can't be stopped: the group waits for it all the same.
pub fn a_job_outlasts_a_runtime_that_goes_away<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    run(toy, async move {
        let census = Census::new();
        let ended = Arc::new(AtomicBool::new(false));
        let (set, started) = (ended.clone(), Gate::new());
        let (at_work, member) = (started.clone(), census.member());
        let (release, released) = channel::<()>();
        task_group::<Toy<R>, _, _>(async |g| {
            let task = g.spawn_blocking(move || {
                at_work.open();
                // An error is as good: nobody is left who could send.
                let _ = released.recv();
                set.store(true, Ordering::SeqCst);
                drop(member);
            });
            started.passed().await;
            going.go_away();
            assert!(matches!(task.outcome().await, Outcome::RuntimeGone));
            assert!(!ended.load(Ordering::SeqCst));
            drop(release);
        })
        .await;
        assert!(ended.load(Ordering::SeqCst), "the group didn't wait for its job");
        assert_eq!(census.alive(), 0);
    });
}

/// Awaiting a task whose runtime is gone is a panic that says so, and the group around it still ends.
pub fn awaiting_a_task_of_a_lost_runtime_says_so<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    run(toy, async move {
        let ended = caught(task_group::<Toy<R>, _, _>(async |g| {
            let child = g.task("left").spawn(pending::<()>());
            going.go_away();
            child.await;
        }))
        .await;
        let payload = ended.expect_err("a task that has no value was awaited");
        assert!(said(&payload).contains("runtime went away"), "{:?}", said(&payload));
        assert!(said(&payload).contains("`left`"), "{:?}", said(&payload));
    });
}

/// A blocking job that a runtime on its way out drops unrun is told to its caller; its permit comes back.
pub fn a_job_that_the_runtime_drops_is_told<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let going = toy.clone();
    let ran = Arc::new(AtomicBool::new(false));
    let run_by_job = ran.clone();
    run(toy, async move {
        let limiter = Limiter::new(1);
        going.go_away();
        let job = unblock::<Toy<R>, _, _>(move || run_by_job.store(true, Ordering::SeqCst)).limiter(&limiter);
        let payload = caught(job).await.expect_err("the job was dropped");
        assert!(said(&payload).contains("runtime went away"), "{:?}", said(&payload));
        assert_eq!(limiter.statistics().available, 1, "the permit of a dropped job was lost");
    });
    assert!(!ran.load(Ordering::SeqCst));
}

/// Where no runtime of the type is around, a call panics at once, and its message says what to do.
pub fn outside_of_a_runtime_a_call_names_the_remedy<R: Runtime>(runtime: R) {
    /// What a call said that found no runtime.
    fn complaint<T>(call: impl FnOnce() -> T) -> String {
        let payload = catch_unwind(AssertUnwindSafe(|| drop(call()))).expect_err("there is no runtime around");
        said(&payload).to_owned()
    }

    let complain = || {
        let calls = [
            complaint(|| now::<Toy<R>>()),
            complaint(|| poll_once(&mut Box::pin(sleep::<Toy<R>>(HOUR)))),
            complaint(|| poll_once(&mut Box::pin(timeout::<Toy<R>, _>(HOUR, pending::<()>())))),
            complaint(|| poll_once(&mut Box::pin(interval::<Toy<R>>(HOUR).tick()))),
            complaint(|| poll_once(&mut Box::pin(task_group::<Toy<R>, _, _>(async |_| ())))),
            complaint(|| poll_once(&mut Box::pin(try_task_group::<Toy<R>, _, (), ()>(async |_| Ok(()))))),
            complaint(|| poll_once(&mut unblock::<Toy<R>, _, _>(|| ()))),
            complaint(|| poll_once(&mut gather::<Toy<R>, _, _>([ready(1)]).parallel())),
        ];
        for said in calls {
            assert!(said.contains(Toy::<R>::REMEDY), "{said:?} doesn't say what to do");
        }
        // What needs no runtime works without one.
        assert_eq!(remaining::<Toy<R>>(), None);
        assert!(!is_cancelled());
        assert_eq!(poll_once(&mut gather::<Toy<R>, _, _>([ready(1)])), Poll::Ready(vec![1]));
        let token = CancelToken::<Toy<R>>::new();
        assert!(poll_once(&mut Box::pin(token.run(ready(())))).is_ready());
    };
    complain();
    // A runtime of another type doesn't count.
    run(runtime, async move { complain() });
}

/// A blocking job that was refused by a call outside of a runtime keeps no permit.
pub fn a_job_outside_of_a_runtime_keeps_no_permit<R: Runtime>(runtime: R) {
    drop(runtime);
    let limiter = Limiter::new(1);
    let mut job = unblock::<Toy<R>, _, _>(|| ()).limiter(&limiter);
    catch_unwind(AssertUnwindSafe(|| poll_once(&mut job))).expect_err("there is no runtime around");
    drop(job);
    assert_eq!(limiter.statistics().available, 1, "the permit was lost with the job");
}

/// A child that blocks its thread holds up none of the others, where the runtime polls more than one task at a time.
pub fn a_child_that_blocks_its_thread_holds_up_no_sibling<R: Runtime>(runtime: R) {
    if runtime.parallelism() < 2 {
        return;
    }
    run(runtime, async {
        let (release, released): (Sender<()>, Receiver<()>) = channel();
        let (gate, blocked) = (Gate::new(), Gate::new());
        task_group::<R, _, _>(async |g| {
            let blocking = blocked.clone();
            let child = g.spawn(async move {
                blocking.open();
                // Far longer than the hand-shake takes: a runtime that never gets there is told apart from a hang.
                released.recv_timeout(Duration::from_secs(10)).is_ok()
            });
            blocked.passed().await;
            // Some come while the thread is blocked, some were there, and these are woken by one that comes.
            let early: Vec<_> = (0..10)
                .map(|_| {
                    let gate = gate.clone();
                    g.spawn(async move { gate.passed().await })
                })
                .collect();
            g.spawn(async move { gate.open() });
            for task in early {
                task.await;
            }
            // Where the child gave up, it says so.
            let _ = release.send(());
            assert!(child.await, "a child that blocked its thread held up its siblings");
        })
        .await;
    });
}

/// A group starts no more drivers than the runtime polls tasks at a time, however many children it has.
pub fn a_group_starts_no_more_drivers_than_the_runtime_polls<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let counted = toy.clone();
    run(toy, async move {
        task_group::<Toy<R>, _, _>(async |g| {
            for _ in 0..10_000 {
                g.spawn(turns(2));
            }
        })
        .await;
        let spawned = counted.spawned();
        assert!((1..=Toy::<R>::PARALLELISM).contains(&spawned), "{spawned} drivers for one group");
    });
}

/// A blocking job may call `run` again: the inner one has its own tasks, and nothing of the outer's around it.
pub fn a_run_inside_of_a_run_stands_for_itself<R: Runtime>(runtime: R) {
    let inner = runtime.clone();
    run(runtime, async {
        let token = CancelToken::<R>::new();
        let outer = token.clone();
        let job = unblock::<R, _, _>(move || {
            outer.cancel_with("the outer one only");
            assert!(is_cancelled());
            run(inner, async {
                assert!(!is_cancelled(), "a run inherited a cancellation");
                assert_eq!(remaining::<R>(), None, "a run inherited a deadline");
                task_group::<R, _, _>(async |g| {
                    let child = g.spawn(async {
                        sleep::<R>(Duration::from_millis(1)).await;
                        5
                    });
                    child.await
                })
                .await
            })
        });
        let value = timeout::<R, _>(HOUR, token.run(job)).await.expect("an hour is enough");
        assert_eq!(value.expect("a job that runs isn't cut short"), 5);
    });
}

/// Two runtimes of one type in one process each keep their own tasks and their own clock.
pub fn two_runtimes_of_one_type_do_not_mix<R: Runtime>(runtime: R) {
    let (one, other) = (Toy::new(runtime.clone()), Toy::new(runtime));
    one.advance(HOUR);
    let (clock, other_clock) = (one.now(), other.now());
    assert_ne!(clock, other_clock);
    let (spawned_by_one, spawned_by_other) = (one.clone(), other.clone());
    run(one, async move {
        task_group::<Toy<R>, _, _>(async |g| {
            let (handle, done) = (g.handle(), Gate::new());
            let opener = done.clone();
            let there = start_thread(move || {
                run(other, async move {
                    // Spawned from the one, it runs on the other: what counts is whose group it is.
                    let guest = handle.spawn(async { now::<Toy<R>>() }).expect("the group is open");
                    let mine = task_group::<Toy<R>, _, _>(async |g| g.spawn(async { now::<Toy<R>>() }).await).await;
                    let times = (guest.await, mine, now::<Toy<R>>());
                    opener.open();
                    times
                })
            });
            done.passed().await;
            let (guest, mine, body) = there.join().expect("the other runtime ends well");
            assert_eq!(guest, clock, "a child ran by the clock of the runtime that it was spawned from");
            assert_eq!((mine, body), (other_clock, other_clock));
            assert_eq!(now::<Toy<R>>(), clock);
        })
        .await;
    });
    assert_eq!((spawned_by_one.spawned(), spawned_by_other.spawned()), (1, 1));
}

/// A loop over what is always ready starves nobody who is polled by the same task.
pub fn an_always_ready_loop_starves_nobody_beside_it<R: Runtime>(runtime: R) {
    let mut starved = Vec::new();
    run(runtime, async {
        for (name, endless) in always_ready::<R>() {
            let polled = Arc::new(AtomicBool::new(false));
            let set = polled.clone();
            let beside = async {
                turns(3).await;
                set.store(true, Ordering::SeqCst);
            };
            let endless = endless(Box::new(move || polled.load(Ordering::SeqCst)));
            let (ended, ()) = gather::<R, _, _>((endless, beside)).await;
            if !ended {
                starved.push(name);
            }
        }
    });
    assert!(starved.is_empty(), "loops that starved what was beside them: over {starved:?}");
}

/// A child that loops over what is always ready starves neither its siblings nor the body of its group.
pub fn an_always_ready_child_starves_no_sibling<R: Runtime>(runtime: R) {
    let mut starved = Vec::new();
    run(runtime, async {
        for (name, endless) in always_ready::<R>() {
            let sibling = Arc::new(AtomicBool::new(false));
            let set = sibling.clone();
            task_group::<R, _, _>(async |g| {
                let child = g.spawn(endless(Box::new(move || sibling.load(Ordering::SeqCst))));
                g.spawn(async move {
                    turns(3).await;
                    set.store(true, Ordering::SeqCst);
                });
                if !child.await {
                    starved.push(name);
                }
            })
            .await;
        }
    });
    assert!(starved.is_empty(), "children that starved their siblings: loops over {starved:?}");
}

/// An endless loop that ends with true when the condition holds, and with false when it has gone on for too long.
type Endless = fn(Box<dyn FnMut() -> bool + Send>) -> Pin<Box<dyn Future<Output = bool> + Send>>;

/// Loops over everything of the core's that may be ready each time. None goes on for ever, so that a law that is
/// broken is a failure, not a thread that is lost.
pub(crate) fn always_ready<R: Runtime>() -> Vec<(&'static str, Endless)> {
    const ROUNDS: usize = 2_000_000;

    macro_rules! endless {
        ({ $($before:tt)* } $each:expr) => {
            |mut enough| {
                Box::pin(async move {
                    $($before)*
                    for _ in 0..ROUNDS {
                        if enough() {
                            return true;
                        }
                        $each;
                    }
                    false
                })
            }
        };
    }

    vec![
        ("permits", endless!({ let semaphore = Semaphore::new(1); } drop(semaphore.acquire().await))),
        ("a limiter's permits", endless!({ let limiter = Limiter::new(1); } drop(limiter.acquire().await))),
        ("sleeps of no time", endless!({} sleep::<R>(Duration::ZERO).await)),
        ("late ticks", endless!({ let mut ticks = interval::<R>(Duration::from_nanos(1)); } ticks.tick().await)),
        (
            "permits in time",
            endless!({ let semaphore = Semaphore::new(1); } drop(timeout::<R, _>(HOUR, semaphore.acquire()).await)),
        ),
        (
            "the faster of two permits",
            endless!({ let semaphore = Semaphore::new(2); } drop(race((semaphore.acquire(), semaphore.acquire())).await)),
        ),
        ("a cancelled token", endless!({ let token = cancelled_token::<R>(); } token.cancelled().await)),
        ("groups of one child", endless!({} task_group::<R, _, _>(async |g| { g.spawn(async {}).await }).await)),
        ("a gather's values", |mut enough| {
            Box::pin(async move {
                let stopped = Arc::new(AtomicBool::new(false));
                let stop = stopped.clone();
                let input = (0..ROUNDS).take_while(move |_| !stop.fetch_or(enough(), Ordering::SeqCst)).map(ready);
                gather::<R, _, _>(input).limit(4).for_each(async |_, _| ()).await;
                stopped.load(Ordering::SeqCst)
            })
        }),
        ("a mutex", endless!({ let mutex = locks::Mutex::new(()); } drop(mutex.lock().await))),
        ("a lock to read", endless!({ let lock = RwLock::new(()); } drop(lock.read().await))),
        ("a lock to write", endless!({ let lock = Arc::new(RwLock::new(())); } drop(lock.write_arc().await))),
        (
            "a condition that holds",
            endless!({ let (mutex, condvar) = (locks::Mutex::new(()), Condvar::new()); }
                drop(condvar.wait_while(mutex.try_lock().expect("nobody has it"), |()| false).await)),
        ),
        ("an event", endless!({ let event = Event::new(); event.set(); } event.wait().await)),
        ("a barrier for one", endless!({ let barrier = Barrier::new(1); } assert!(barrier.wait().await.is_leader()))),
        ("a cell's value", endless!({ let cell = OnceCell::from(1); } cell.get_or_init(async || 2).await)),
        (
            "a cell's errors",
            endless!({ let cell = OnceCell::<()>::new(); } assert!(cell.get_or_try_init(async || Err(())).await.is_err())),
        ),
        ("messages sent", endless!({ let (sender, _receiver) = unbounded(); } assert!(sender.send(()).await.is_ok()))),
        (
            "messages received",
            endless!({ let (sender, receiver) = bounded(1); } {
                assert!(sender.try_send(()).is_ok());
                assert!(receiver.recv().await.is_ok());
            }),
        ),
    ]
}

fn cancelled_token<R: Runtime>() -> CancelToken<R> {
    let token = CancelToken::new();
    token.cancel();
    token
}

/// A runtime that the check holds in its hand. Its drivers are polled by whoever blocks on it; its clock stands until
/// it is moved; it surrounds nobody by itself; and it can go away. Everything else is the runtime's below it.
#[derive(Clone)]
pub(crate) struct Toy<R>(Arc<Shared<R>>);

struct Shared<R> {
    below: R,
    state: Mutex<State>,
    spawned: AtomicUsize,
}

struct State {
    gone: bool,
    drivers: Vec<Driver>,
    running: Option<Waker>,
    now: Instant,
    early: usize,
    timers: Vec<Waker>,
}

impl<R: Runtime> Toy<R> {
    pub(crate) const PARALLELISM: usize = 3;

    pub(crate) fn new(below: R) -> Self {
        let state =
            State { gone: false, drivers: Vec::new(), running: None, now: below.now(), early: 0, timers: Vec::new() };
        Self(Arc::new(Shared { below, state: Mutex::new(state), spawned: AtomicUsize::new(0) }))
    }

    /// Drops every driver, and each that comes, as a runtime does that is shut down.
    pub(crate) fn go_away(&self) {
        let drivers = {
            let mut state = self.0.state.lock().unwrap();
            state.gone = true;
            std::mem::take(&mut state.drivers)
        };
        drop(drivers);
        self.wake();
    }

    /// Moves the clock, and wakes who waits for it.
    pub(crate) fn advance(&self, by: Duration) {
        let timers = {
            let mut state = self.0.state.lock().unwrap();
            state.now += by;
            std::mem::take(&mut state.timers)
        };
        timers.into_iter().for_each(Waker::wake);
    }

    /// Lets the next so many polls of its timers end too early.
    pub(crate) fn be_early(&self, times: usize) {
        self.0.state.lock().unwrap().early = times;
    }

    /// How many drivers it was ever given.
    pub(crate) fn spawned(&self) -> usize {
        self.0.spawned.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        let running = self.0.state.lock().unwrap().running.take();
        if let Some(running) = running {
            running.wake();
        }
    }

    /// Polls each driver once. Those that are new are polled when the waker has been woken for them.
    fn poll_drivers(&self, cx: &mut Context<'_>) {
        let drivers = {
            let mut state = self.0.state.lock().unwrap();
            state.running = Some(cx.waker().clone());
            std::mem::take(&mut state.drivers)
        };
        let mut pending: Vec<_> = drivers
            .into_iter()
            .filter_map(|mut driver| Pin::new(&mut driver).poll(cx).is_pending().then_some(driver))
            .collect();
        let gone = {
            let mut state = self.0.state.lock().unwrap();
            if !state.gone {
                state.drivers.append(&mut pending);
            }
            pending
        };
        drop(gone);
    }
}

impl<R: Runtime> Runtime for Toy<R> {
    type Sleep = ToySleep<R>;

    const REMEDY: &'static str = "wind up the toy";

    fn name(&self) -> &'static str {
        "toy"
    }

    fn detect() -> Option<Self> {
        None
    }

    fn spawn(&self, driver: Driver) {
        self.0.spawned.fetch_add(1, Ordering::SeqCst);
        let refused = {
            let mut state = self.0.state.lock().unwrap();
            if state.gone {
                Some(driver)
            } else {
                state.drivers.push(driver);
                None
            }
        };
        drop(refused);
        self.wake();
    }

    fn now(&self) -> Instant {
        self.0.state.lock().unwrap().now
    }

    fn sleep_until(&self, at: Instant) -> Result<ToySleep<R>, RuntimeError> {
        Ok(ToySleep { toy: self.clone(), at })
    }

    fn spawn_blocking(&self, job: Job) {
        let gone = self.0.state.lock().unwrap().gone;
        if gone { drop(job) } else { self.0.below.spawn_blocking(job) }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        self.0.below.block_on(poll_fn(|cx| {
            self.poll_drivers(cx);
            future.as_mut().poll(cx)
        }))
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.0.below.observer()
    }

    fn parallelism(&self) -> usize {
        Self::PARALLELISM
    }
}

/// A timer by the clock that stands.
pub(crate) struct ToySleep<R> {
    toy: Toy<R>,
    at: Instant,
}

impl<R: Runtime> Future for ToySleep<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.toy.0.state.lock().unwrap();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        if state.early > 0 {
            state.early -= 1;
            return Poll::Ready(());
        }
        state.timers.push(cx.waker().clone());
        Poll::Pending
    }
}

impl<R: Runtime> anyscope_core::Sleep for ToySleep<R> {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.at = at;
    }
}

/// Children that are always ready, more of them than there are threads, leave the runtime's other tasks their turn.
pub fn a_group_of_busy_children_starves_nobody_beside_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let enough = Arc::new(AtomicBool::new(false));
            for _ in 0..64 {
                let enough = enough.clone();
                g.spawn(async move { until(|| enough.load(Ordering::SeqCst)).await });
            }
            let beside =
                task_group::<R, _, _>(async |g| g.spawn(async move { enough.store(true, Ordering::SeqCst) }).await);
            beside.await;
        })
        .await;
    });
}
