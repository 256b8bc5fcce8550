//! Laws 27 and 28: blocking jobs, who waits for them, and what they see.

use crate::runtime::Toy;
use crate::support::{
    Bomb, Census, Gate, Stop, Wakes, caught, on_this_thread, on_thread, poll_once, poll_with, polled, said,
    start_thread_for, surviving, turns, until,
};
use anyscope_core::observe::Outside;
use anyscope_core::{
    CancelToken, Limiter, ReasonKind, Runtime, blocking, blocking_scope, gather, is_cancelled, remaining, run,
    task_group, timeout, try_task_group, unblock,
};
use std::future::{Future, pending, poll_fn};
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A job that was accepted runs to its end though its future was dropped, and the group around waits for it.
pub fn an_accepted_job_runs_though_its_future_was_dropped<R: Runtime>(runtime: R) {
    run(runtime, async {
        for shared in [false, true] {
            let (stop, control) = Stop::new();
            let (ended, returned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let census = Census::new();
            task_group::<R, _, _>(async |g| {
                let (set, member) = (ended.clone(), census.member());
                let mut job = unblock::<R, _, _>(move || {
                    stop.here();
                    set.store(true, Ordering::SeqCst);
                    drop(member);
                });
                if shared {
                    job = job.abandon_on_cancel();
                }
                let dropped = Gate::new();
                let opener = dropped.clone();
                let (ended, returning) = (ended.clone(), returned.clone());
                g.spawn(async move {
                    task_group::<R, _, _>(async |_| {
                        assert!(polled(&mut job).await.is_pending());
                        drop(job);
                        opener.open();
                    })
                    .await;
                    returning.store(true, Ordering::SeqCst);
                    assert!(ended.load(Ordering::SeqCst), "the group didn't wait for its job");
                });
                dropped.passed().await;
                turns(50).await;
                assert!(!returned.load(Ordering::SeqCst), "the group didn't wait for its job");
                control.release();
            })
            .await;
            assert_eq!(census.alive(), 0, "a job's capture outlived the group");
        }
    });
}

/// `run` returns after the last job, though nobody is left who would wait for it.
pub fn a_run_waits_for_the_jobs_left_in_it<R: Runtime>(runtime: R) {
    let ended = Arc::new(AtomicBool::new(false));
    let set = ended.clone();
    let (stop, control) = Stop::new();
    let left = Gate::new();
    let opener = left.clone();
    let releasing = start_thread_for(Outside::of(runtime.observer()), move || {
        on_this_thread(left.passed());
        // The run's body is at its end; many turns of the scheduler are its chance to get it wrong.
        (0..1_000).for_each(|_| thread::yield_now());
        control.release();
    });
    run(runtime, async {
        let mut job = unblock::<R, _, _>(move || {
            stop.here();
            set.store(true, Ordering::SeqCst);
        });
        assert!(polled(&mut job).await.is_pending());
        drop(job);
        opener.open();
    });
    assert!(ended.load(Ordering::SeqCst), "the run didn't wait for its job");
    releasing.join().expect("the thread ends well");
}

/// A caller that is cancelled, or whose time is up, waits for its job by default and keeps its result.
pub fn a_running_job_is_waited_for_and_keeps_its_result<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime.clone());
    run(runtime, async {
        // Cancelled by its group, by its handle, and by a token.
        task_group::<R, _, _>(async |g| {
            let started = Gate::new();
            let at_work = started.clone();
            let task = g.spawn(async move { unblock::<R, _, _>(move || until_cancelled(&at_work)).await });
            started.passed().await;
            task.cancel();
            assert_eq!(task.outcome().await.completed(), Some(7), "a finished job's result was lost");

            let started = Gate::new();
            let at_work = started.clone();
            let task = g.spawn_blocking(move || until_cancelled(&at_work));
            started.passed().await;
            g.cancel();
            assert_eq!(task.outcome().await.completed(), Some(7), "a finished job's result was lost");
        })
        .await;

        let token = CancelToken::<R>::new();
        let canceller = token.clone();
        let job = unblock::<R, _, _>(move || {
            canceller.cancel_with("from inside");
            is_cancelled()
        });
        assert!(token.run(job).await.expect("its job was done"), "the job didn't see its token");
    });

    let clock = toy.clone();
    run(toy, async move {
        let late = clock.clone();
        let job = unblock::<Toy<R>, _, _>(move || {
            let before = remaining::<Toy<R>>();
            late.advance(10 * SECOND);
            (before, remaining::<Toy<R>>())
        });
        let inside = timeout::<Toy<R>, _>(2 * SECOND, timeout::<Toy<R>, _>(SECOND, job)).await;
        assert_eq!(inside, Ok(Ok((Some(SECOND), Some(Duration::ZERO)))), "late but done is done");

        // What comes after the job is cut: only the job was waited for.
        let late = clock.clone();
        let done = AtomicBool::new(false);
        let cut = timeout::<Toy<R>, _>(SECOND, async {
            unblock::<Toy<R>, _, _>(move || late.advance(10 * SECOND)).await;
            done.store(true, Ordering::SeqCst);
            pending::<()>().await;
        });
        assert!(cut.await.is_err());
        assert!(done.into_inner(), "the result was taken away");
    });
}

/// A job that works until it sees that it is cancelled.
fn until_cancelled(started: &Gate) -> u8 {
    assert!(!is_cancelled());
    started.open();
    while !is_cancelled() {
        thread::yield_now();
    }
    7
}

/// A job that may be abandoned lets its caller go at once; its permit is kept until it really ends, and the group
/// around waits for it.
pub fn an_abandoned_job_keeps_its_permit_until_it_ends<R: Runtime>(runtime: R) {
    run(runtime, async {
        let limiter = Limiter::new(1);
        let (stop, control) = Stop::new();
        let ended = Arc::new(AtomicBool::new(false));
        let set = ended.clone();
        task_group::<R, _, _>(async |g| {
            let token = CancelToken::<R>::new();
            let job = unblock::<R, _, _>(move || {
                stop.here();
                assert!(is_cancelled(), "an abandoned job doesn't see that it is cancelled");
                set.store(true, Ordering::SeqCst);
            });
            let mut cut = Box::pin(token.run(job.limiter(&limiter).abandon_on_cancel()));
            assert!(polled(&mut cut).await.is_pending());
            token.cancel_with("no longer wanted");
            assert_eq!(cut.await.expect_err("it is abandoned").reason().message(), Some("no longer wanted"));
            assert_eq!(limiter.statistics().borrowed, 1, "the permit of a job that runs was given back");
            assert!(limiter.try_acquire().is_none());

            // The next one has its turn when the job has really ended.
            let ended = ended.clone();
            let next = unblock::<R, _, _>(move || ended.load(Ordering::SeqCst)).limiter(&limiter);
            let next = g.spawn(next);
            turns(20).await;
            assert!(!next.is_finished(), "two jobs under a limit of one");
            control.release();
            assert!(next.await, "the next job began before the abandoned one had ended");
        })
        .await;
        assert_eq!(limiter.statistics().available, 1);

        // By a deadline as well.
        let (stop, control) = Stop::new();
        task_group::<R, _, _>(async |_| {
            let job = unblock::<R, _, _>(move || stop.here()).limiter(&limiter).abandon_on_cancel();
            let cut = timeout::<R, _>(Duration::from_millis(1), job).await;
            assert!(cut.is_err());
            control.release();
        })
        .await;
        assert_eq!(limiter.statistics().available, 1, "the group returned before its job");
    });
}

/// At most as many jobs run at a time as the limiter has permits, and so many do.
pub fn a_limiter_bounds_the_jobs_that_run<R: Runtime>(runtime: R) {
    run(runtime, async {
        let limiter = Limiter::new(3);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        // Three at a time meet: were fewer let in, nobody would go on.
        let barrier = Arc::new(Barrier::new(3));
        let jobs = (0..30).map(|n| {
            let (running, most, barrier) = (running.clone(), most.clone(), barrier.clone());
            let job = unblock::<R, _, _>(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                barrier.wait();
                running.fetch_sub(1, Ordering::SeqCst);
                n
            });
            job.limiter(&limiter)
        });
        assert_eq!(gather::<R, _, _>(jobs).await, (0..30).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 3);
        until(|| limiter.statistics().available == 3).await;

        // A limiter of none lets nobody in until it is raised.
        let limiter = Limiter::new(0);
        let mut job = unblock::<R, _, _>(|| 1).limiter(&limiter);
        assert!(polled(&mut job).await.is_pending());
        turns(10).await;
        assert_eq!(limiter.statistics().waiting, 1);
        limiter.set_total(1);
        assert_eq!(job.await, 1);
    });
}

/// Who has a job's result finds its permit given back: the job has ended.
pub fn a_jobs_permit_is_back_when_its_result_is_there<R: Runtime>(runtime: R) {
    /// Looks at the limiter in the moment of its wake.
    struct Look(Limiter, AtomicUsize);

    impl Wake for Look {
        fn wake(self: Arc<Self>) {
            self.1.store(self.0.statistics().borrowed, Ordering::SeqCst);
        }
    }

    run(runtime, async {
        let limiter = Limiter::new(1);
        let (stop, control) = Stop::new();
        let look = Arc::new(Look(limiter.clone(), AtomicUsize::new(usize::MAX)));
        let mut job = unblock::<R, _, _>(move || stop.here()).limiter(&limiter);
        assert!(poll_with(&mut job, &Waker::from(look.clone())).is_pending());
        control.release();
        until(|| look.1.load(Ordering::SeqCst) != usize::MAX).await;
        assert_eq!(look.1.load(Ordering::SeqCst), 0, "the caller was woken while the job held its permit");
        job.await;
    });
}

/// A job that still waits for its permit is dropped unrun with its future, and loses nobody a permit.
pub fn a_job_that_still_waits_is_dropped_unrun<R: Runtime>(runtime: R) {
    run(runtime, async {
        let limiter = Limiter::new(1);
        let census = Census::new();
        let ran = Arc::new(AtomicUsize::new(0));
        let (stop, control) = Stop::new();
        task_group::<R, _, _>(async |g| {
            let mut first = unblock::<R, _, _>(move || stop.here()).limiter(&limiter);
            assert!(polled(&mut first).await.is_pending());
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let (member, ran) = (census.member(), ran.clone());
                    let job = unblock::<R, _, _>(move || {
                        ran.fetch_add(1, Ordering::SeqCst);
                        drop(member);
                    });
                    g.spawn(job.limiter(&limiter))
                })
                .collect();
            until(|| limiter.statistics().waiting == 100).await;
            for (n, task) in tasks.iter().enumerate() {
                assert!(n == 50 || task.cancel());
            }
            for (n, task) in tasks.into_iter().enumerate() {
                if n == 50 {
                    // The one that stayed is next, however many went.
                    control.release();
                    task.await;
                } else {
                    assert!(task.outcome().await.is_cancelled());
                }
            }
            first.await;
        })
        .await;
        assert_eq!((ran.load(Ordering::SeqCst), census.alive()), (1, 0));
        assert_eq!(limiter.statistics().available, 1);
        assert_eq!(limiter.statistics().waiting, 0);
    });
}

/// A job sees its deadline, and its cancellation as soon as it is requested; nothing of another's.
pub fn a_job_sees_its_deadline_and_its_cancellation<R: Runtime>(runtime: R) {
    run(runtime, async {
        let hour = 3600 * SECOND;
        let look = || (is_cancelled(), remaining::<R>());
        assert_eq!(unblock::<R, _, _>(look).await, (false, None));
        let (_, left) = timeout::<R, _>(hour, unblock::<R, _, _>(look)).await.expect("an hour is enough");
        assert!(left.is_some_and(|left| left <= hour), "{left:?}");
        // The thread that had the job has no memory of it.
        let jobs = (0..20).map(|_| unblock::<R, _, _>(look));
        assert!(gather::<R, _, _>(jobs).await.into_iter().all(|seen| seen == (false, None)));

        let token = CancelToken::<R>::new();
        let (inner, other) = (token.child(), CancelToken::<R>::new());
        other.cancel();
        let canceller = token.clone();
        let seen = inner.run(unblock::<R, _, _>(move || {
            let before = is_cancelled();
            canceller.cancel();
            (before, is_cancelled())
        }));
        assert_eq!(seen.await.expect("it was done"), (false, true));

        // A sibling's failure is seen as well.
        let failed = try_task_group::<R, _, (), &str>(async |g| {
            let started = Gate::new();
            let at_work = started.clone();
            g.spawn_blocking(move || {
                until_cancelled(&at_work);
                Err::<(), _>("second")
            });
            started.passed().await;
            Err("first")
        });
        let failed = failed.await.expect_err("the body failed");
        assert_eq!(failed.errors().collect::<Vec<_>>(), [&"first", &"second"]);
    });
}

/// A job's panic goes on in its caller with its payload, and gives back the permit; one that nobody awaits harms nobody.
pub fn a_jobs_panic_goes_on_in_its_caller<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let limiter = Limiter::new(1);
            let payload = caught(unblock::<R, _, ()>(|| panic_any(7_u64)).limiter(&limiter)).await;
            assert_eq!(payload.expect_err("it panicked").downcast_ref(), Some(&7_u64));
            until(|| limiter.statistics().available == 1).await;

            // Nobody wants the result, whose destructor panics, nor the panic of another job.
            for panics in [false, true] {
                let (stop, control) = Stop::new();
                task_group::<R, _, _>(async |_| {
                    let job = unblock::<R, _, _>(move || {
                        stop.here();
                        assert!(!panics, "an abandoned job");
                        Bomb("a result")
                    });
                    let mut job = job.limiter(&limiter);
                    assert!(polled(&mut job).await.is_pending());
                    drop(job);
                    control.release();
                })
                .await;
                assert_eq!(limiter.statistics().available, 1, "the permit was lost");
            }

            // A closure whose capture panics when it is dropped unrun.
            let held = limiter.try_acquire().expect("it is free");
            let bomb = Bomb("a capture");
            let payload = caught(task_group::<R, _, _>(async |g| {
                let job = unblock::<R, _, _>(move || drop(bomb)).limiter(&limiter);
                let task = g.spawn(job);
                until(|| limiter.statistics().waiting == 1).await;
                task.cancel();
                drop(held);
                pending::<()>().await;
            }))
            .await;
            assert_eq!(said(&payload.expect_err("a capture panicked")), "a capture");
            assert_eq!(limiter.statistics().available, 1);
        });
    });
}

/// Jobs are members of their group like any child: named, waited for, and a fail-fast group fails with theirs.
pub fn jobs_are_members_of_their_group<R: Runtime>(runtime: R) {
    run(runtime, async {
        let values = task_group::<R, _, _>(async |g| {
            let named = g.task("hasher").spawn_blocking(|| 1);
            assert_eq!(named.name(), Some("hasher"));
            let tasks: Vec<_> = (2..=5).map(|n| g.spawn_blocking(move || n)).collect();
            let mut values = vec![named.await];
            for task in tasks {
                values.push(task.await);
            }
            values
        });
        assert_eq!(values.await, [1, 2, 3, 4, 5]);

        let ended = Arc::new(AtomicUsize::new(0));
        task_group::<R, _, _>(async |g| {
            for _ in 0..10 {
                let ended = ended.clone();
                drop(g.spawn_blocking(move || ended.fetch_add(1, Ordering::SeqCst)));
            }
        })
        .await;
        assert_eq!(ended.load(Ordering::SeqCst), 10, "a job whose handle was dropped didn't run");

        let census = Census::new();
        let failed = try_task_group::<R, _, (), _>(async |g| {
            let member = census.member();
            g.spawn(async move {
                pending::<()>().await;
                drop(member);
                Ok(())
            });
            g.task("reader").spawn_blocking(|| Err::<(), _>("no disk"));
            pending().await
        });
        let failed = failed.await.expect_err("a job failed");
        assert_eq!((failed.len(), *failed.first()), (1, "no disk"));
        assert_eq!(failed.failures()[0].task().and_then(|task| task.name()), Some("reader"));
        assert_eq!(census.alive(), 0);

        let sum = try_task_group::<R, _, _, ()>(async |g| {
            let (one, two) = (g.spawn_blocking(|| Ok(1)), g.spawn_blocking(|| Ok(2)));
            Ok(one.await + two.await)
        });
        assert_eq!(sum.await.expect("nothing failed"), 3);
    });
}

/// A group that is dropped while a child's job runs leaves the job to the group around, which waits for it.
pub fn a_dropped_group_leaves_its_job_to_the_group_around<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let (stop, control) = Stop::new();
        task_group::<R, _, _>(async |_| {
            let (member, after) = (census.member(), census.member());
            let started = Gate::new();
            let at_work = started.clone();
            let mut dropped = Box::pin(task_group::<R, _, _>(async |g| {
                g.spawn(async move {
                    let _after = after;
                    unblock::<R, _, _>(move || {
                        at_work.open();
                        stop.here();
                        assert!(is_cancelled(), "a job of a dropped group doesn't see that");
                        drop(member);
                    })
                    .await;
                });
                pending::<()>().await;
            }));
            crate::support::while_polling(&mut dropped, started.passed()).await;
            drop(dropped);
            assert_eq!(census.alive(), 2, "a job that runs can't be destroyed");
            control.release();
        })
        .await;
        assert_eq!(census.alive(), 0, "the group around didn't wait");
    });
}

/// A job wakes whoever polled its future last, and nobody before.
pub fn a_job_wakes_whoever_polled_it_last<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (stop, control) = Stop::new();
        let mut job = unblock::<R, _, _>(move || stop.here());
        let (first, first_waker) = Wakes::waker();
        assert!(poll_with(&mut job, &first_waker).is_pending());
        drop(first_waker);
        let moved = on_thread(move || {
            assert!(poll_once(&mut job).is_pending());
            job
        });
        // The thread polls it without any runtime around, and its waker is the one that counts.
        let mut job = moved.await;
        assert_eq!(Arc::strong_count(&first), 1, "an old waker is kept");
        control.wait();
        assert!(polled(&mut job).await.is_pending());
        control.release();
        job.await;
        assert_eq!(first.count(), 0, "an old waker was woken");
    });
}

/// A function that blocks is async when it is wrapped, as often as it is called, and keeps what it shares.
pub fn a_blocking_function_is_async_when_it_is_wrapped<R: Runtime>(runtime: R) {
    run(runtime, async {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let double = blocking::<R, _, _, _>(move |n: usize| {
            counted.fetch_add(1, Ordering::SeqCst);
            2 * n
        });
        let again = double.clone();
        assert_eq!(gather::<R, _, _>((0..20).map(&double)).await, (0..20).map(|n| 2 * n).collect::<Vec<_>>());
        assert_eq!(again(21).await, 42);
        assert_eq!(calls.load(Ordering::SeqCst), 21);
        drop(double(1));
        assert_eq!(calls.load(Ordering::SeqCst), 21, "a call that nobody polled was run");
        drop((double, again));
        assert_eq!(Arc::strong_count(&calls), 1);
    });
}

/// A caller that is over its deadline before its job has a permit is late: there is nothing to wait for.
pub fn a_job_without_a_permit_does_not_hold_up_its_caller<R: Runtime>(runtime: R) {
    run(runtime, async {
        let limiter = Limiter::new(0);
        let job = || unblock::<R, _, _>(|| ()).limiter(&limiter);
        assert!(timeout::<R, _>(Duration::from_millis(1), job()).await.is_err());
        let token = CancelToken::<R>::new();
        let mut waiting = Box::pin(token.run(job()));
        assert!(poll_once(&mut waiting).is_pending());
        token.cancel();
        assert_eq!(waiting.await.expect_err("it is cancelled").reason().kind(), ReasonKind::Explicit);
        assert_eq!(limiter.statistics().waiting, 0);
    });
}

/// What a panic said that a job of `limiter` went on with.
async fn complaint<R: Runtime, T: Send + 'static>(
    limiter: &Limiter,
    job: impl FnOnce(&Limiter) -> T + Send + 'static,
) -> Option<String> {
    let own = limiter.clone();
    let job = unblock::<R, _, _>(move || drop(job(&own))).limiter(limiter);
    caught(job).await.err().map(|payload| said(&payload).to_owned())
}

/// A job that waits inside for the limiter that it holds the last permit of is told, and doesn't hang: whatever stands
/// between the job and the wait.
pub fn a_job_that_waits_for_its_own_limiter_is_told<R: Runtime>(runtime: R) {
    let inner = runtime.clone();
    run(runtime, async move {
        let limiter = Limiter::new(1);
        let told = |complaint: Option<String>, way: &str| {
            let complaint = complaint.unwrap_or_else(|| panic!("{way}: it had a permit that there isn't"));
            assert!(complaint.contains("limiter of its own"), "{way}: {complaint:?} doesn't say what to do");
        };
        let new = || inner.clone();

        let runtime = new();
        let way = complaint::<R, _>(&limiter, |own| run(runtime, own.acquire())).await;
        told(way, "through a run");
        let way = complaint::<R, _>(&limiter, |own| on_this_thread(own.acquire())).await;
        told(way, "waited for by the thread itself");
        let runtime = new();
        let way = complaint::<R, _>(&limiter, |own| {
            let own = own.clone();
            run(runtime, task_group::<R, _, _>(async move |g| drop(g.spawn(async move { drop(own.acquire().await) }))));
        });
        told(way.await, "in a child of a run");
        let runtime = new();
        let way = complaint::<R, _>(&limiter, |own| {
            let own = own.clone();
            run(runtime, async move { unblock::<R, _, _>(|| ()).limiter(&own).await });
        });
        told(way.await, "in a job of a run");
        let runtime = new();
        let way = complaint::<R, _>(&limiter, |own| {
            let own = own.clone();
            // Under another limiter in between.
            let between = unblock::<R, _, _>(move || on_this_thread(own.acquire_for("ann")).map(drop));
            drop(run(runtime, between.limiter(&Limiter::new(1))));
        });
        told(way.await, "in a job of another limiter");
        let way = complaint::<R, _>(&limiter, |own| {
            blocking_scope::<R, _, _>(|s| drop(s.spawn(async { drop(own.acquire().await) })));
        });
        told(way.await, "in a child of a blocking scope");
        task_group::<R, _, _>(async |g| {
            let portal = g.portal();
            let way = complaint::<R, _>(&limiter, move |own| {
                let own = own.clone();
                drop(portal.call(move || async move { drop(own.acquire().await) }));
            });
            told(way.await, "through a portal");
        })
        .await;
        assert_eq!(limiter.statistics().available, 1);
        assert_eq!(limiter.statistics().waiting, 0, "who was told is still in the queue");

        // Both permits are held by jobs of one another.
        let limiter = Limiter::new(2);
        let runtime = new();
        let way = complaint::<R, _>(&limiter, |own| {
            let own = own.clone();
            run(runtime, async move {
                let third = own.clone();
                unblock::<R, _, _>(move || drop(on_this_thread(third.acquire()))).limiter(&own).await;
            });
        });
        told(way.await, "in a job in a job");
        assert_eq!(limiter.statistics().available, 2);
    });
}

/// Where every permit is held by a job that waits for another, the one that would be the last to wait is told; the others
/// go on with the permit that it gives back.
pub fn of_jobs_that_wait_for_one_another_one_is_told<R: Runtime>(runtime: R) {
    const JOBS: usize = 3;

    run(runtime, async {
        let limiter = Limiter::new(JOBS);
        let barrier = Arc::new(Barrier::new(JOBS));
        let jobs = (0..JOBS).map(|_| {
            let barrier = barrier.clone();
            complaint::<R, _>(&limiter, move |own| {
                barrier.wait();
                on_this_thread(own.acquire())
            })
        });
        let told: Vec<_> = gather::<R, _, _>(jobs.map(Box::pin)).await.into_iter().flatten().collect();
        assert_eq!(told.len(), 1, "{told:?}");
        until(|| limiter.statistics().available == JOBS).await;
        assert_eq!(limiter.statistics().waiting, 0);
    });
}

/// Polls a job to its end, and does something meanwhile: as soon as so many wait for the limiter.
async fn meanwhile<F: Future>(job: F, limiter: &Limiter, waiting: usize, act: impl FnOnce()) -> F::Output {
    let (mut job, mut act) = (Box::pin(job), Some(act));
    poll_fn(|cx| {
        let polled = job.as_mut().poll(cx);
        if limiter.statistics().waiting == waiting {
            if let Some(act) = act.take() {
                act();
            }
        }
        cx.waker().wake_by_ref();
        polled
    })
    .await
}

/// A job that waits for its own limiter is told also when it becomes hopeless only later: the limiter shrinks, and the
/// other permits that there were go with their holders.
pub fn a_job_whose_wait_becomes_hopeless_is_told<R: Runtime>(runtime: R) {
    run(runtime, async {
        let limiter = Limiter::new(2);
        let other = limiter.acquire().await;
        let ask = complaint::<R, _>(&limiter, |own| drop(on_this_thread(own.acquire())));
        let shrink = || {
            limiter.set_total(1);
            drop(other);
        };
        let told = meanwhile(ask, &limiter, 1, shrink).await.expect("no permit was to come any more");
        assert!(told.contains("limiter of its own"), "{told:?}");
        assert_eq!((limiter.statistics().available, limiter.statistics().waiting), (1, 0));
    });
}

/// A job that waits for its own limiter isn't told where a permit will come: from another holder, or because there are
/// more now; its two waits count as one, and one that was given up not at all.
pub fn a_job_that_will_have_a_permit_is_not_told<R: Runtime>(runtime: R) {
    run(runtime, async {
        let limiter = Limiter::new(2);
        let ask = || complaint::<R, _>(&limiter, |own| drop(on_this_thread(own.acquire())));
        let other = limiter.acquire().await;
        assert_eq!(meanwhile(ask(), &limiter, 1, || drop(other)).await, None, "another holder was to give back");

        let other = limiter.acquire().await;
        let ask_twice = complaint::<R, _>(&limiter, |own| {
            let turn = async || drop(own.acquire().await);
            on_this_thread(gather::<R, _, _>((turn(), turn())));
        });
        assert_eq!(meanwhile(ask_twice, &limiter, 2, || drop(other)).await, None, "a job's permit counted twice");

        for _ in 0..3 {
            let other = limiter.acquire().await;
            let give_up = complaint::<R, _>(&limiter, |own| {
                let mut asked = own.acquire();
                assert!(poll_once(&mut asked).is_pending());
            });
            assert_eq!(give_up.await, None);
            drop(other);
        }

        let other = limiter.acquire().await;
        assert_eq!(meanwhile(ask(), &limiter, 1, || limiter.set_total(3)).await, None, "there are more permits");
        drop(other);
        until(|| limiter.statistics().available == 3).await;
    });
}

/// What a job gave away as its result waits like anybody else: its job has ended, and holds nothing.
pub fn what_outlives_its_job_waits_like_anybody_else<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let limiter = Limiter::new(1);
            let (portal, own) = (g.portal(), limiter.clone());
            let job = unblock::<R, _, _>(move || portal.enter(move || async move { drop(own.acquire().await) }));
            let call = job.limiter(&limiter).await;
            let other = limiter.acquire().await;
            let call = caught(call);
            let ended = meanwhile(call, &limiter, 1, || drop(other)).await;
            assert!(ended.is_ok(), "it was told to wait for itself");
        })
        .await;
    });
}
