//! Laws 7 to 14: requests, reasons, who reports, and who cancels nobody.

use crate::support::{
    Census, Gate, Hostile, Member, OneAtATime, Stop, Wakes, on_this_thread, on_thread, on_thread_of, poll_once,
    poll_with, polled, settled, start_thread, surviving, turns, until, while_polling,
};
use anyscope_core::{
    CancelToken, GroupHandle, Outcome, Reason, ReasonKind, Runtime, Semaphore, Task, TaskGroup, cancelled,
    is_cancelled, now, race, run, sleep_until, task_group, timeout, timeout_at, try_task_group, yield_now,
};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// A future that never ends and holds nothing.
async fn never() {
    pending().await
}

/// Why a task was cancelled.
fn reason_of<T>(outcome: Outcome<T>) -> Reason {
    match outcome {
        Outcome::Cancelled(reason) => reason,
        Outcome::Completed(_) => panic!("the task completed, and was to be cancelled"),
        Outcome::Panicked(panic) => panic!("the task {panic}, and was to be cancelled"),
        Outcome::RuntimeGone => panic!("the runtime is gone"),
    }
}

/// When `cancel` returns, every descendant is cancelled already, however deep and wide the tree.
pub fn a_request_is_heard_as_soon_as_it_is_made<R: Runtime>(runtime: R) {
    run(runtime, async {
        let root = CancelToken::<R>::new();
        let aside = CancelToken::<R>::new();
        let mut tokens = vec![root.clone()];
        for index in 0..1000 {
            // A tree with long branches and broad forks: each is the child of the one half as far on.
            let parent = if index % 3 == 0 { tokens.len() - 1 } else { index / 2 };
            tokens.push(tokens[parent].child());
        }
        assert!(tokens.iter().all(|token| !token.is_cancelled()));
        assert!(root.cancel_with("all of you"), "this call is the first");
        for token in &tokens {
            assert!(token.is_cancelled(), "a descendant hadn't heard when `cancel` returned");
            assert_eq!(token.reason().as_ref().and_then(Reason::message), Some("all of you"));
        }
        assert!(root.child().is_cancelled(), "born under a cancelled token");
        assert!(!aside.is_cancelled());
    });
}

/// A task deep below tokens and groups can see the request in the poll that is under way when it is made.
pub fn a_poll_under_way_sees_the_request<R: Runtime>(runtime: R) {
    run(runtime, async {
        let token = CancelToken::<R>::new();
        let (stop, control) = Stop::new();
        let (send, heard) = channel();
        let mut work = Box::pin(token.run(task_group::<R, _, _>(async move |g| {
            g.spawn(timeout::<R, _>(
                Duration::from_secs(3600),
                task_group::<R, _, _>(async move |g| {
                    let own = CancelToken::<R>::new();
                    g.spawn(async move {
                        let inner = own.run(async move {
                            let before = is_cancelled();
                            stop.here();
                            let told = match settled(&mut cancelled(), Waker::noop()) {
                                Poll::Ready(reason) => reason.message().map(str::to_owned),
                                Poll::Pending => None,
                            };
                            send.send((before, is_cancelled(), told)).expect("the check waits");
                            never().await;
                        });
                        let _ = inner.await;
                    });
                    never().await;
                }),
            ));
            never().await;
        })));
        assert!(polled(&mut work).await.is_pending());
        let canceller = token.clone();
        on_thread(move || {
            control.wait();
            assert!(canceller.cancel_with("from a thread"));
            control.release();
        })
        .await;
        let heard = heard.recv().expect("the child went on");
        assert_eq!(heard, (false, true, Some("from a thread".to_owned())));
        let cut = work.await.expect_err("it was cancelled");
        assert_eq!(cut.reason().message(), Some("from a thread"));
    });
}

/// Of many who cancel at once one is the first, is told so, and gives the reason, to the descendants as well.
pub fn the_first_reason_wins<R: Runtime>(runtime: R) {
    const THREADS: usize = 4;

    run(runtime, async {
        for _ in 0..50 {
            let token = CancelToken::<R>::new();
            let below = token.child().child();
            let early = token.child();
            assert!(early.cancel_with("its own"));
            let barrier = Arc::new(Barrier::new(THREADS));
            let racers: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (token, barrier) = (token.clone(), barrier.clone());
                    start_thread(move || {
                        barrier.wait();
                        token.cancel_with(number.to_string()).then_some(number)
                    })
                })
                .collect();
            let winners: Vec<_> = racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect();
            assert_eq!(winners.len(), 1, "each of {winners:?} was told to be the first");
            let winner = winners[0].to_string();
            assert!(!token.cancel_with("late"), "a request is idempotent");
            for token in [&token, &below] {
                assert_eq!(token.reason().as_ref().and_then(Reason::message), Some(&*winner));
            }
            assert_eq!(early.reason().as_ref().and_then(Reason::message), Some("its own"));
        }

        // The same for a task, which the group around cancels as well.
        task_group::<R, _, _>(async |g| {
            let task = g.spawn(never());
            assert!(task.cancel_with("its own"));
            assert!(!task.cancel_with("late"));
            g.cancel_with("everybody");
            assert_eq!(reason_of(task.outcome().await).message(), Some("its own"));
        })
        .await;
    });
}

thread_local! {
    /// Whether this thread is inside a call that cancels.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

fn asking<T>(ask: impl FnOnce() -> T) -> T {
    ASKING.set(true);
    let answer = ask();
    ASKING.set(false);
    answer
}

/// Notes a poll or a drop that happens inside of a request.
struct Watchful(Arc<AtomicBool>, #[allow(dead_code, reason = "counts")] Member);

impl Watchful {
    fn look(&self) {
        self.0.fetch_or(ASKING.get(), Ordering::SeqCst);
    }
}

impl Drop for Watchful {
    fn drop(&mut self) {
        self.look();
    }
}

/// A request polls nothing and destroys nothing: not the idle, not the queued, not those held back by a limit.
pub fn a_request_runs_no_code_of_what_it_cancels<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (inside, census) = (Arc::new(AtomicBool::new(false)), Census::new());
        let child = || {
            let watchful = Watchful(inside.clone(), census.member());
            poll_fn(move |_| {
                watchful.look();
                Poll::<()>::Pending
            })
        };
        for how in 0..3 {
            let (token, seen) = (CancelToken::<R>::new(), Gate::new());
            // The group around ends after everything that the cancelled one has to leave to others.
            task_group::<R, _, _>(async |_| {
                let work = token.run(TaskGroup::<R>::builder().limit(2).run(async |g| {
                    let tasks: Vec<_> = (0..3).map(|_| g.spawn(child())).collect();
                    // At most two are started; whether they were polled yet differs from time to time.
                    yield_now().await;
                    match how {
                        0 => assert!(asking(|| tasks.iter().all(Task::cancel))),
                        1 => asking(|| g.cancel()),
                        _ => assert!(asking(|| token.cancel())),
                    }
                    seen.open();
                }));
                let _ = work.await;
            })
            .await;
            assert!(seen.is_open());
            assert_eq!(census.alive(), 0, "something that was cancelled is still there");
        }
        assert!(!inside.load(Ordering::SeqCst), "user code ran inside of a request");
    });
}

/// A hundred thousand nested levels are cancelled and dropped on a stack of 64 KiB, in whatever order they go.
pub fn a_request_reaches_100_000_levels_on_a_small_stack<R: Runtime>(runtime: R) {
    const LEVELS: usize = 100_000;

    surviving(|| {
        run(runtime, async {
            on_thread_of(64 << 10, || {
                for cancel in [true, false] {
                    for order in 0..3 {
                        let root = CancelToken::<R>::new();
                        let mut levels = vec![root.child()];
                        for _ in 1..LEVELS {
                            levels.push(levels[levels.len() - 1].child());
                        }
                        let deepest = levels[LEVELS - 1].clone();
                        let (wakes, waker) = Wakes::waker();
                        let mut waiter = Box::pin(deepest.cancelled());
                        assert!(settled(&mut waiter, &waker).is_pending());
                        let before = wakes.count();
                        // Held by its descendants alone, or by the list alone, or both.
                        if order == 0 {
                            levels.clear();
                        }
                        if cancel {
                            assert!(root.cancel());
                            assert!(deepest.is_cancelled(), "the deepest level hadn't heard when `cancel` returned");
                            assert_eq!(wakes.count(), before + 1);
                            assert!(settled(&mut waiter, Waker::noop()).is_ready());
                        }
                        drop(waiter);
                        match order {
                            0 => drop(root),
                            1 => levels.drain(..).for_each(drop),
                            _ => levels.drain(..).rev().for_each(drop),
                        }
                        assert_eq!(deepest.is_cancelled(), cancel);
                        drop(deepest);
                    }
                }
            })
            .await;
        })
    });
}

/// A request misses nobody who is being created at the same time on another thread: no child of a group, no token.
pub fn a_request_reaches_what_is_being_spawned_meanwhile<R: Runtime>(runtime: R) {
    run(runtime, async {
        for round in 0..100 {
            let barrier = Arc::new(Barrier::new(2));
            task_group::<R, _, _>(async |g| {
                let (handle, start) = (g.handle(), barrier.clone());
                let spawning = on_thread(move || {
                    start.wait();
                    (0..20).map(|_| handle.spawn(never()).expect("the body runs")).collect::<Vec<_>>()
                });
                barrier.wait();
                (0..round * 20).for_each(|_| std::hint::spin_loop());
                g.cancel_with("all of you");
                for task in spawning.await {
                    assert_eq!(reason_of(task.outcome().await).message(), Some("all of you"));
                }
            })
            .await;
        }

        // Tokens come in one stream, and the request somewhere in it.
        for round in 0..300 {
            let (token, barrier) = (CancelToken::<R>::new(), Arc::new(Barrier::new(2)));
            let (root, start) = (token.clone(), barrier.clone());
            let creating = on_thread(move || {
                start.wait();
                let mut tokens = Vec::new();
                while !root.is_cancelled() {
                    tokens.truncate(1000);
                    tokens.push(root.child());
                }
                tokens
            });
            barrier.wait();
            (0..200 + round).for_each(|_| std::hint::spin_loop());
            token.cancel_with("all of you");
            for token in creating.await {
                assert!(token.is_cancelled(), "the request missed a token that was being made");
                assert_eq!(token.reason().as_ref().and_then(Reason::message), Some("all of you"));
            }
        }
    });
}

/// An idle task that is cancelled is never polled again, though the request wakes it, and others do afterwards.
pub fn an_idle_task_is_not_polled_for_its_cancellation<R: Runtime>(runtime: R) {
    run(OneAtATime(runtime), async {
        for round in 0..30 {
            let token = CancelToken::<OneAtATime<R>>::new();
            let (polls, wakers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::<Waker>::new())));
            let work = token.run(task_group::<OneAtATime<R>, _, _>(async |g| {
                let tasks: Vec<_> = (0..10)
                    .map(|_| {
                        let (polls, wakers) = (polls.clone(), wakers.clone());
                        g.spawn(poll_fn(move |cx| {
                            polls.fetch_add(1, Ordering::SeqCst);
                            wakers.lock().unwrap().push(cx.waker().clone());
                            Poll::<()>::Pending
                        }))
                    })
                    .collect();
                until(|| polls.load(Ordering::SeqCst) == 10).await;
                // Polled after the polls of all others have returned.
                g.spawn(async {}).await;
                match round % 3 {
                    0 => assert!(tasks.iter().all(Task::cancel)),
                    1 => g.cancel(),
                    _ => assert!(token.cancel()),
                }
                wakers.lock().unwrap().iter().for_each(Waker::wake_by_ref);
            }));
            let _ = work.await;
            assert_eq!(polls.load(Ordering::SeqCst), 10, "an idle task was polled because it was cancelled");
        }
    });
}

/// A task that is kept busy is polled no more after it was cancelled, but for the one poll that was about to begin.
pub fn a_cancelled_task_is_not_polled_again<R: Runtime>(runtime: R) {
    run(runtime, async {
        for round in 0..100 {
            let (token, begun) = (CancelToken::<R>::new(), Gate::new());
            let (asked, late): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
            let child = {
                let (asked, late, begun) = (asked.clone(), late.clone(), begun.clone());
                poll_fn(move |cx| {
                    late.fetch_add(usize::from(asked.load(Ordering::SeqCst)), Ordering::SeqCst);
                    begun.open();
                    cx.waker().wake_by_ref();
                    Poll::<()>::Pending
                })
            };
            let (send, started) = channel();
            let racing = {
                let (token, asked) = (token.clone(), asked.clone());
                on_thread(move || {
                    let (task, group): (Task<()>, GroupHandle<R>) = started.recv().expect("the child was polled");
                    (0..round).for_each(|_| std::hint::spin_loop());
                    match round % 3 {
                        0 => assert!(task.cancel()),
                        1 => group.cancel(),
                        _ => assert!(token.cancel()),
                    }
                    asked.store(true, Ordering::SeqCst);
                })
            };
            task_group::<R, _, _>(async |_| {
                let work = token.run(task_group::<R, _, _>(async |g| {
                    let task = g.spawn(child);
                    begun.passed().await;
                    send.send((task, g.handle())).expect("the thread waits");
                }));
                let _ = work.await;
                racing.await;
            })
            .await;
            assert!(late.load(Ordering::SeqCst) <= 1, "polled on and on after the request, in round {round}");
        }
    });
}

/// What runs under a token isn't polled again either, and is dropped when the cancellation is reported.
pub fn what_runs_under_a_cancelled_token_is_dropped_unpolled<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (token, census, polls) = (CancelToken::<R>::new(), Census::new(), Arc::new(AtomicUsize::new(0)));
        let work = |member: Member, polls: Arc<AtomicUsize>| {
            poll_fn(move |_| {
                let _ = &member;
                polls.fetch_add(1, Ordering::SeqCst);
                Poll::<()>::Pending
            })
        };
        let (wakes, waker) = Wakes::waker();
        let mut begun = Box::pin(token.run(work(census.member(), polls.clone())));
        assert!(poll_with(&mut begun, &waker).is_pending());
        let mut unbegun = Box::pin(token.run(work(census.member(), polls.clone())));
        token.cancel();
        assert_eq!(wakes.count(), 1, "whoever runs under the token is woken once");
        assert_eq!(census.alive(), 2, "a request drops nothing");
        assert!(matches!(polled(&mut begun).await, Poll::Ready(Err(_))));
        assert!(matches!(polled(&mut unbegun).await, Poll::Ready(Err(_))));
        assert_eq!((polls.load(Ordering::SeqCst), census.alive()), (1, 0));
    });
}

/// A child that a limit holds back ends when it is cancelled, unpolled, and doesn't wait for room first.
pub fn a_child_held_back_by_a_limit_is_cancelled_at_once<R: Runtime>(runtime: R) {
    run(runtime, async {
        TaskGroup::<R>::builder()
            .limit(1)
            .run(async |g| {
                let (census, gate) = (Census::new(), Gate::new());
                let first = g.spawn(gate.passed());
                let polls = Arc::new(AtomicUsize::new(0));
                let (member, counted) = (census.member(), polls.clone());
                let held_back = g.spawn(async move {
                    counted.fetch_add(1, Ordering::SeqCst);
                    drop(member);
                });
                let third = g.spawn(async { 3 });
                held_back.cancel_with("never mind");
                assert_eq!(reason_of(held_back.outcome().await).message(), Some("never mind"));
                assert!(!first.is_finished());
                assert_eq!((polls.load(Ordering::SeqCst), census.alive()), (0, 0));
                gate.open();
                assert_eq!(third.await, 3, "the one behind it took its turn");
            })
            .await;
    });
}

/// What a poll ends with is delivered, though the cancellation came before that poll returned.
pub fn what_completed_before_the_cancellation_was_seen_is_delivered<R: Runtime>(runtime: R) {
    run(runtime, async {
        // In the very poll that cancels.
        let token = CancelToken::<R>::new();
        let canceller = token.clone();
        let value = token.run(async move {
            canceller.cancel();
            1
        });
        assert_eq!(value.await.expect("it had ended"), 1);

        // In a poll during which another thread cancels.
        task_group::<R, _, _>(async |g| {
            let (stop, control) = Stop::new();
            let task = g.spawn(async move {
                stop.here();
                2
            });
            let handle = g.handle();
            let task = on_thread(move || {
                control.wait();
                assert!(task.cancel());
                handle.cancel();
                control.release();
                task
            });
            assert!(matches!(task.await.outcome().await, Outcome::Completed(2)));
        })
        .await;

        // In a task that had ended, and whose value nobody had asked for yet.
        task_group::<R, _, _>(async |g| {
            let task = g.spawn(async { 3 });
            until(|| task.is_finished()).await;
            task.cancel();
            g.cancel();
            assert!(matches!(task.outcome().await, Outcome::Completed(3)));
        })
        .await;
    });
}

/// A permit that was handed to somebody who is cancelled before seeing it goes to the next who waits.
pub fn a_permit_on_its_way_to_a_cancelled_waiter_goes_to_the_next<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (token, semaphore) = (CancelToken::<R>::new(), Semaphore::new(1));
        let held = semaphore.try_acquire().expect("it is free");
        let mut first = Box::pin(token.run(semaphore.acquire()));
        assert!(polled(&mut first).await.is_pending());
        let mut second = Box::pin(semaphore.acquire());
        assert!(polled(&mut second).await.is_pending());
        drop(held);
        token.cancel();
        assert!(matches!(polled(&mut first).await, Poll::Ready(Err(_))));
        drop(second.await.expect("the permit came on to the second"));
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// A waker may re-enter its token in every way, whether it is woken, replaced or dropped: no lock is held then.
pub fn a_waker_may_re_enter_its_token<R: Runtime>(runtime: R) {
    run(runtime, async {
        for cancels in [false, true] {
            let token = CancelToken::<R>::new();
            let (acts, armed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let act = || {
                let (token, acts, armed) = (token.clone(), acts.clone(), armed.clone());
                Hostile::waker(move || {
                    acts.fetch_add(1, Ordering::SeqCst);
                    let child = token.child();
                    let mut waiter = Box::pin(token.cancelled());
                    let _ = poll_once(&mut waiter);
                    token.drop_guard().disarm();
                    let _ = (token.is_cancelled(), token.reason(), child.cancel(), child.is_cancelled());
                    let _ = poll_once(&mut Box::pin(token.run(never())));
                    if armed.load(Ordering::SeqCst) {
                        token.cancel_with("from a waker");
                    }
                })
            };
            let mut waiters: Vec<_> = (0..40).map(|_| Box::pin(token.cancelled())).collect();
            let mut under = Box::pin(token.run(never()));
            for waiter in &mut waiters {
                let _ = settled(waiter, &act());
                // Replaced, and dropped with that.
                let _ = settled(waiter, &act());
            }
            let _ = poll_with(&mut under, &act());
            let before = acts.load(Ordering::SeqCst);
            assert!(before >= 40);
            // Dropped with those who wait.
            armed.store(cancels, Ordering::SeqCst);
            waiters.truncate(20);
            assert_eq!(token.cancel(), !cancels);
            for waiter in &mut waiters {
                assert!(settled(waiter, Waker::noop()).is_ready());
            }
            assert!(settled(&mut under, Waker::noop()).is_ready());
            assert!(cancels || acts.load(Ordering::SeqCst) > before);
        }
    });
}

/// Everybody who waits is woken, many as they are, though one of the wakers panics and another waits anew.
pub fn everybody_who_waits_is_woken<R: Runtime>(runtime: R) {
    struct Panicking;

    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    run(runtime, async {
        let token = CancelToken::<R>::new();
        let counted: Vec<_> = (0..100).map(|_| Wakes::waker()).collect();
        let mut waiters: Vec<_> = counted.iter().map(|_| Box::pin(token.cancelled())).collect();
        for (index, (waiter, (_, waker))) in waiters.iter_mut().zip(&counted).enumerate() {
            let panicking = Waker::from(Arc::new(Panicking));
            let waker = if index == 30 { &panicking } else { waker };
            assert!(settled(waiter, waker).is_pending());
        }
        let before: Vec<_> = counted.iter().map(|(wakes, _)| wakes.count()).collect();
        let canceller = token.child();
        task_group::<R, _, _>(async |g| {
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let token = token.clone();
                    g.spawn(async move { token.cancelled().await })
                })
                .collect();
            let _ = catch_unwind(AssertUnwindSafe(|| token.cancel_with("wake up")));
            for task in tasks {
                assert_eq!(task.await.message(), Some("wake up"));
            }
        })
        .await;
        assert!(canceller.is_cancelled());
        for (index, (wakes, _)) in counted.iter().enumerate() {
            assert_eq!(wakes.count(), before[index] + usize::from(index != 30), "waiter {index}");
        }
        assert!(waiters.iter_mut().all(|waiter| settled(waiter, Waker::noop()).is_ready()));
    });
}

/// Of nested tokens that are cancelled the outermost reports, in whatever order and way they were.
pub fn of_nested_tokens_the_outermost_cancelled_reports<R: Runtime>(runtime: R) {
    run(runtime, async {
        // The three nested tokens; which are cancelled, in this order; and which is to report.
        let cases: [(&[usize], usize); 12] = [
            (&[0], 0),
            (&[1], 1),
            (&[2], 2),
            (&[2, 0], 0),
            (&[0, 2], 0),
            (&[2, 1], 1),
            (&[1, 2], 1),
            (&[1, 0], 0),
            (&[2, 1, 0], 0),
            (&[0, 1, 2], 0),
            (&[1, 2, 0], 0),
            (&[1, 0, 2], 0),
        ];
        for (order, reporter) in cases {
            for (in_poll, family) in [(false, false), (false, true), (true, false), (true, true)] {
                let outermost = CancelToken::<R>::new();
                let middle = if family { outermost.child() } else { CancelToken::new() };
                let innermost = if family { middle.child() } else { CancelToken::new() };
                let tokens = [outermost, middle, innermost];
                let names = ["outermost", "middle", "innermost"];
                let cancel = || {
                    for &which in order {
                        tokens[which].cancel_with(names[which]);
                    }
                };
                let reports = Mutex::new(Vec::new());
                let mut work = Box::pin(async {
                    let result = tokens[0]
                        .run(async {
                            let result = tokens[1]
                                .run(async {
                                    let result = tokens[2]
                                        .run(poll_fn(|_| {
                                            if in_poll {
                                                cancel();
                                            }
                                            Poll::<()>::Pending
                                        }))
                                        .await;
                                    reports.lock().unwrap().extend(result.err().map(|cut| (2, cut)));
                                    never().await;
                                })
                                .await;
                            reports.lock().unwrap().extend(result.err().map(|cut| (1, cut)));
                            never().await;
                        })
                        .await;
                    reports.lock().unwrap().extend(result.err().map(|cut| (0, cut)));
                    never().await;
                });
                assert!(polled(&mut work).await.is_pending());
                if !in_poll {
                    cancel();
                }
                assert!(polled(&mut work).await.is_pending());
                drop(work);
                let reports = reports.into_inner().unwrap();
                let [(who, cut)] = &*reports else { panic!("{order:?}: not one report, but {reports:?}") };
                assert_eq!(*who, reporter, "{order:?}, in the poll: {in_poll}, a family: {family}");
                assert_eq!(cut.reason().message(), Some(names[reporter]));
            }
        }
    });
}

/// An inner token never claims a cancellation that began outside of it, also where the two race.
pub fn an_inner_token_never_claims_what_an_outer_one_reports<R: Runtime>(runtime: R) {
    run(runtime, async {
        for round in 0..300 {
            let (outer, inner) = (CancelToken::<R>::new(), CancelToken::<R>::new());
            let mut work = Box::pin(outer.run(inner.run(never())));
            assert!(poll_once(&mut work).is_pending());
            let barrier = Arc::new(Barrier::new(2));
            let racer = {
                let (outer, inner, barrier) = (outer.clone(), inner.clone(), barrier.clone());
                start_thread(move || {
                    barrier.wait();
                    inner.cancel_with("inner");
                    (0..round % 50).for_each(|_| std::hint::spin_loop());
                    outer.cancel_with("outer");
                })
            };
            barrier.wait();
            loop {
                let outer_first = outer.is_cancelled();
                match poll_once(&mut work) {
                    Poll::Pending => thread::yield_now(),
                    Poll::Ready(Err(cut)) => {
                        assert_eq!(cut.reason().message(), Some("outer"));
                        break;
                    }
                    Poll::Ready(Ok(result)) => {
                        assert!(!outer_first, "the inner one reported, though the outer one was cancelled before");
                        assert_eq!(result.expect_err("it never ends").reason().message(), Some("inner"));
                        break;
                    }
                }
            }
            racer.join().unwrap();
        }
    });
}

/// A token that is cancelled from far above, while the pass hasn't come to the tokens between yet, claims nothing.
pub fn a_token_cancelled_from_far_above_claims_nothing<R: Runtime>(runtime: R) {
    run(runtime, async {
        for round in 0..100 {
            let (outer, middle) = (CancelToken::<R>::new(), CancelToken::<R>::new());
            // Before and after what is in between, as the pass may go either way.
            let early = outer.child();
            let crowd = || -> Vec<_> { (0..500).map(|_| outer.child()).collect() };
            let before = crowd();
            let mut work = Box::pin(outer.run(middle.run(async {
                let after = crowd();
                let inner = if round % 2 == 0 { early } else { outer.child() };
                let result = inner.run(never()).await;
                drop((before, after));
                result
            })));
            assert!(poll_once(&mut work).is_pending());
            let barrier = Arc::new(Barrier::new(2));
            let canceller = {
                let (outer, barrier) = (outer.clone(), barrier.clone());
                start_thread(move || {
                    barrier.wait();
                    outer.cancel_with("outer");
                })
            };
            barrier.wait();
            let result = loop {
                match poll_once(&mut work) {
                    Poll::Pending => std::hint::spin_loop(),
                    Poll::Ready(result) => break result,
                }
            };
            assert_eq!(result.expect_err("an inner token claimed it").reason().message(), Some("outer"));
            canceller.join().unwrap();
        }
    });
}

/// Of nested timeouts that are past when somebody looks, the outermost reports; one alone is reported by itself.
pub fn of_nested_timeouts_the_outermost_past_reports<R: Runtime>(runtime: R) {
    const HOUR: Duration = Duration::from_secs(3600);

    run(runtime, async {
        let zero = Duration::ZERO;
        assert!(timeout::<R, _>(zero, timeout::<R, _>(zero, never())).await.is_err());
        assert!(matches!(timeout::<R, _>(HOUR, timeout::<R, _>(zero, never())).await, Ok(Err(_))));
        assert!(timeout::<R, _>(zero, timeout::<R, _>(HOUR, never())).await.is_err());
        let three = timeout::<R, _>(HOUR, timeout::<R, _>(zero, timeout::<R, _>(zero, never())));
        assert!(matches!(three.await, Ok(Err(_))), "the middle one is the outermost that is past");

        // Nobody looked until both were past, whichever was first.
        for (outer_ms, inner_ms) in [(20, 10), (10, 20)] {
            let start = now::<R>();
            let (outer, inner) = (start + Duration::from_millis(outer_ms), start + Duration::from_millis(inner_ms));
            let mut begun = Box::pin(timeout_at::<R, _>(outer, timeout_at::<R, _>(inner, never())));
            let unbegun = timeout_at::<R, _>(outer, timeout_at::<R, _>(inner, never()));
            let first = polled(&mut begun).await;
            sleep_until::<R>(outer.max(inner)).await;
            assert!(unbegun.await.is_err(), "the inner one claimed what the outer one reports");
            // A machine that is slow may be past one or both already when it looks first.
            if first.is_pending() {
                assert!(begun.await.is_err(), "the inner one claimed what the outer one reports");
            }
        }
    });
}

/// A timeout is never taken for a cancellation, nor the other way round, where both are due at once.
pub fn a_timeout_is_not_mistaken_for_a_cancellation<R: Runtime>(runtime: R) {
    const HOUR: Duration = Duration::from_secs(3600);

    run(runtime, async {
        // Cancels its token in its poll, and doesn't end.
        let cancels = |token: &CancelToken<R>| {
            let token = token.clone();
            poll_fn(move |_| {
                token.cancel_with("by hand");
                Poll::<()>::Pending
            })
        };
        let token = CancelToken::<R>::new();
        let cut = token.run(timeout::<R, _>(Duration::ZERO, cancels(&token))).await;
        assert_eq!(cut.expect_err("the token is outside").reason().kind(), ReasonKind::Explicit);

        let token = CancelToken::<R>::new();
        let late = timeout::<R, _>(Duration::ZERO, token.run(cancels(&token))).await;
        assert!(late.is_err(), "the timeout is outside");

        let token = CancelToken::<R>::new();
        let cut = timeout::<R, _>(HOUR, token.run(cancels(&token))).await.expect("no timeout is past");
        assert_eq!(cut.expect_err("it was cancelled").reason().message(), Some("by hand"));

        let late = CancelToken::<R>::new().run(timeout::<R, _>(Duration::ZERO, never())).await;
        assert!(late.expect("no token was cancelled").is_err());

        // A token's own deadline is a cancellation of that token.
        let dated = CancelToken::<R>::new().with_deadline(now::<R>());
        let cut = timeout::<R, _>(HOUR, dated.run(never())).await.expect("no timeout is past");
        assert_eq!(cut.expect_err("it was past its deadline").reason().kind(), ReasonKind::Deadline);
        let dated = CancelToken::<R>::new().with_deadline(now::<R>());
        assert!(timeout::<R, _>(Duration::ZERO, dated.run(never())).await.is_err(), "the timeout is outside");
    });
}

/// Sends out the handle of a child that never ends, and waits for ever: the body of a group that something ends.
async fn hand_out<R: Runtime>(g: &TaskGroup<R>, tasks: &std::sync::mpsc::Sender<Task<()>>) {
    tasks.send(g.task("left behind").spawn(never())).expect("the check waits");
    never().await;
}

/// An explicit reason tells the message, the line that asked, and the task in which it was asked; and it arrives
/// unchanged at the far end, below tokens, tasks and groups.
pub fn an_explicit_reason_tells_who_asked_and_where<R: Runtime>(runtime: R) {
    run(runtime, async {
        let token = CancelToken::<R>::new();
        let line = line!() + 1;
        token.cancel_with("no more");
        let reason = token.child().child().reason().expect("it was cancelled");
        assert_eq!((reason.kind(), reason.message()), (ReasonKind::Explicit, Some("no more")));
        assert_eq!((reason.location().line(), reason.location().file()), (line, file!()));
        assert!(reason.task().is_none(), "no task asked");
        assert!(reason.to_string().contains("no more"));

        let token = CancelToken::<R>::new();
        let (send, tasks) = channel();
        let line = task_group::<R, _, _>(async |g| {
            let (canceller, gate) = (token.clone(), Gate::new());
            let open = gate.passed();
            let asked = g.task("asker").spawn(async move {
                open.await;
                let line = line!() + 1;
                canceller.cancel();
                line
            });
            let below = token.run(task_group::<R, _, _>(async |g| {
                g.spawn(task_group::<R, _, _>(async move |g| {
                    let handed_out = hand_out(g, &send);
                    race((handed_out, async { gate.open() })).await;
                    never().await;
                }));
                never().await;
            }));
            let cut = below.await.expect_err("it was cancelled");
            assert_eq!(cut.reason().task().and_then(|task| task.name()), Some("asker"));
            asked.await
        })
        .await;
        let reason = reason_of(tasks.recv().expect("the innermost body ran").outcome().await);
        assert_eq!((reason.kind(), reason.message()), (ReasonKind::Explicit, None));
        assert_eq!(reason.task().and_then(|task| task.name()), Some("asker"));
        assert_eq!((reason.location().line(), reason.location().file()), (line, file!()));
    });
}

/// Who cancels a task by its handle, or the children of a group, is told apart from where they were spawned.
pub fn a_cancelled_child_is_told_which_line_asked<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let (one, other, all) = (g.spawn(never()), g.spawn(never()), g.spawn(never()));
            let line = line!() + 1;
            assert!(one.cancel_with("not this one"));
            assert!(other.cancel());
            g.cancel_with("nobody");
            for (task, line, message) in
                [(one, line, Some("not this one")), (other, line + 1, None), (all, line + 2, Some("nobody"))]
            {
                let reason = reason_of(task.outcome().await);
                assert_eq!((reason.kind(), reason.message()), (ReasonKind::Explicit, message));
                assert_eq!((reason.location().line(), reason.location().file()), (line, file!()));
            }
        })
        .await;
    });
}

/// Children whose group is dropped by a timeout are told of the deadline, and where it was set; also those whose token
/// is past its deadline.
pub fn the_children_of_what_timed_out_are_told_of_the_deadline<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (send, tasks) = channel();
        let (inner_send, inner_tasks) = (send.clone(), &tasks);
        let group = task_group::<R, _, _>(async move |g| {
            g.spawn(task_group::<R, _, _>(async move |g| hand_out(g, &inner_send).await));
            hand_out(g, &send).await;
        });
        // Begun before, so that every child is there when the time is up.
        let mut group = Box::pin(group);
        assert!(polled(&mut group).await.is_pending());
        let first = inner_tasks.recv().expect("the body ran");
        let second = until_received(inner_tasks).await;
        let line = line!() + 1;
        let late = timeout::<R, _>(Duration::ZERO, group);
        assert!(late.await.is_err());
        for task in [first, second] {
            let reason = reason_of(task.outcome().await);
            assert_eq!(reason.kind(), ReasonKind::Deadline);
            assert_eq!((reason.location().line(), reason.location().file()), (line, file!()));
        }

        let (send, tasks) = channel();
        let dated = CancelToken::<R>::new().with_deadline(now::<R>() + Duration::from_millis(1));
        let cut = dated.run(task_group::<R, _, _>(async move |g| hand_out(g, &send).await)).await;
        assert_eq!(cut.expect_err("time was up").reason().kind(), ReasonKind::Deadline);
        // Where the time was up before the first poll, there is no child to be told.
        if let Ok(task) = tasks.recv() {
            assert_eq!(reason_of(task.outcome().await).kind(), ReasonKind::Deadline);
        }
    });
}

/// Receives what another task is about to send.
async fn until_received<T>(receiver: &std::sync::mpsc::Receiver<T>) -> T {
    loop {
        match receiver.try_recv() {
            Ok(value) => return value,
            Err(std::sync::mpsc::TryRecvError::Empty) => yield_now().await,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => panic!("the sender is gone"),
        }
    }
}

/// The siblings of a task that failed or panicked are told which it was, and where it was spawned.
pub fn siblings_are_told_which_task_failed<R: Runtime>(runtime: R) {
    let (line, left_behind) = run(runtime.clone(), async {
        let (send, tasks) = channel();
        let (line_send, lines) = channel();
        let result = try_task_group::<R, _, (), _>(async move |g| {
            send.send(g.spawn(pending::<Result<(), &str>>())).expect("the check waits");
            let line = line!() + 1;
            g.task("broken").spawn(async { Err::<(), _>("no disk") });
            line_send.send(line).expect("the check waits");
            never().await;
            Ok(())
        });
        assert_eq!(result.await.expect_err("a child failed").into_first(), "no disk");
        (lines.recv().expect("the body ran"), tasks.recv().expect("the body ran"))
    });
    let reason = reason_of(on_this_thread(left_behind.outcome()));
    assert_eq!(reason.kind(), ReasonKind::SiblingFailed);
    assert_eq!(reason.task().and_then(|task| task.name()), Some("broken"));
    assert_eq!((reason.location().line(), reason.location().file()), (line, file!()));

    let (send, tasks) = channel();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        run(runtime, async {
            task_group::<R, _, _>(async move |g| {
                g.task("panicking").spawn(async { panic!("a child panics") });
                hand_out(g, &send).await;
            })
            .await;
        });
    }));
    assert!(panicked.is_err());
    let reason = reason_of(on_this_thread(tasks.recv().expect("the body ran").outcome()));
    assert_eq!(reason.kind(), ReasonKind::SiblingFailed);
    assert_eq!(reason.task().and_then(|task| task.name()), Some("panicking"));
}

/// The children of a body that ended with an error or a panic are told that it was the parent, and which group's.
pub fn children_are_told_that_their_body_failed<R: Runtime>(runtime: R) {
    let (send, tasks) = channel();
    let line = run(runtime.clone(), async {
        let line = line!() + 1;
        let group = try_task_group::<R, _, (), _>(async |g| {
            send.send(g.spawn(pending::<Result<(), &str>>())).expect("the check waits");
            Err("the body fails")
        });
        assert_eq!(group.await.expect_err("the body failed").into_first(), "the body fails");
        line
    });
    let reason = reason_of(on_this_thread(tasks.recv().expect("the body ran").outcome()));
    assert_eq!(reason.kind(), ReasonKind::Parent);
    assert_eq!((reason.location().line(), reason.location().file()), (line, file!()));

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        run(
            runtime,
            TaskGroup::<R>::builder().name("doomed").run(async |g| {
                send.send(g.spawn(never())).expect("the check waits");
                panic!("the body panics");
            }),
        );
    }));
    assert!(panicked.is_err());
    let reason = reason_of(on_this_thread(tasks.recv().expect("the body ran").outcome()));
    assert_eq!(reason.kind(), ReasonKind::Parent);
    assert!(reason.message().is_some_and(|message| message.contains("doomed")), "{reason}");
}

/// The children of a group that is dropped are told so, and where the group was opened; a guard tells where it is from.
pub fn children_are_told_that_their_owner_was_dropped<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (send, tasks) = channel();
        let line = line!() + 1;
        let group = task_group::<R, _, _>(async move |g| hand_out(g, &send).await);
        let mut group = Box::pin(group);
        assert!(polled(&mut group).await.is_pending());
        drop(group);
        let reason = reason_of(tasks.recv().expect("the body ran").outcome().await);
        assert_eq!(reason.kind(), ReasonKind::Dropped);
        assert_eq!((reason.location().line(), reason.location().file()), (line, file!()));

        let token = CancelToken::<R>::new();
        token.drop_guard().disarm();
        assert!(!token.is_cancelled());
        let line = line!() + 1;
        let guard = token.drop_guard();
        drop(guard);
        let reason = token.reason().expect("the guard was dropped");
        assert_eq!((reason.kind(), reason.location().line()), (ReasonKind::Dropped, line));
    });
}

/// A token that a destructor cancels, while what it belongs to is dropped because of that very token, is cancelled.
pub fn a_destructor_may_cancel_what_is_being_cancelled<R: Runtime>(runtime: R) {
    struct Cancels<R>(CancelToken<R>, Arc<AtomicUsize>);

    impl<R> Drop for Cancels<R> {
        fn drop(&mut self) {
            self.0.cancel_with("from a destructor");
            self.0.child().cancel();
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }

    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = dropped.clone();
    run(runtime, async {
        let token = CancelToken::<R>::new();
        let cut = token.run(task_group::<R, _, _>(async |g| {
            for _ in 0..10 {
                let cancels = Cancels(token.clone(), counted.clone());
                g.spawn(async move {
                    let _cancels = cancels;
                    never().await;
                });
            }
            let last = Cancels(token.clone(), counted.clone());
            token.cancel_with("first");
            never().await;
            drop(last);
        }));
        assert_eq!(cut.await.expect_err("it was cancelled").reason().message(), Some("first"));
    });
    assert_eq!(dropped.load(Ordering::SeqCst), 11);
}

/// A group cancels nobody by itself, neither when a child has ended, well or with a value that is an error or by its own
/// cancellation, nor when the body has; and none of that ends the body early.
pub fn a_group_originates_no_cancellation<R: Runtime>(runtime: R) {
    run(runtime, async {
        for failing in [false, true] {
            let (gate, over) = (Gate::new(), Gate::new());
            let (passed, ended) = (gate.passed(), over.clone());
            let mut group = Box::pin(task_group::<R, _, _>(async move |g| {
                let late = g.spawn(async move {
                    passed.await;
                    turns(3).await;
                    5
                });
                g.spawn(async {}).await;
                let error = g.spawn(async { Err::<(), _>("a value like any other") }).await;
                assert!(error.is_err());
                let cancelled = g.spawn(never());
                cancelled.cancel();
                assert!(cancelled.outcome().await.is_cancelled());
                turns(10).await;
                assert!(!g.is_cancelled() && !is_cancelled());
                ended.open();
                if failing { Err(late) } else { Ok(late) }
            }));
            // What the group does at the end of its body, it does in the poll in which the body ends.
            while_polling(&mut group, over.passed()).await;
            gate.open();
            let (Ok(late) | Err(late)) = group.await;
            assert_eq!(late.outcome().await.completed(), Some(5), "it was cancelled by its group");
        }

        let gate = Gate::new();
        let passed = gate.passed();
        let sum = try_task_group::<R, _, _, &str>(async |g| {
            let late = g.spawn(async move {
                passed.await;
                Ok(2)
            });
            g.spawn(async { Ok(()) }).await;
            let cancelled = g.spawn(pending::<Result<(), _>>());
            cancelled.cancel();
            assert!(cancelled.outcome().await.is_cancelled());
            turns(10).await;
            gate.open();
            Ok(late.await + 1)
        });
        assert_eq!(sum.await.expect("nobody failed"), 3);
    });
}
