//! Laws 21 to 23: gathers and races, their order, their bounds, and what a wake costs.

use crate::runtime::Toy;
use crate::support::{
    Bomb, Census, Gate, Member, Wakes, caught, poll_once, said, start_thread, surviving, turns, until,
};
use anyscope_core::{
    Elapsed, Limiter, Runtime, Semaphore, gather, race, race_ok, run, sleep, task_group, try_gather, unblock, yield_now,
};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, Ready, pending, poll_fn, ready};
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Values stand in the order of the input, in whichever order the futures end, and wherever they run.
pub fn results_stand_in_the_order_of_the_input<R: Runtime>(runtime: R) {
    /// Futures of which each ends after the one behind it.
    fn backwards(count: usize) -> impl Iterator<Item = impl Future<Output = usize> + Send + 'static> {
        let gates: Vec<Gate> = (0..=count).map(|_| Gate::new()).collect();
        gates[count].open();
        (0..count).map(move |n| {
            let (behind, own) = (gates[n + 1].clone(), gates[n].clone());
            async move {
                behind.passed().await;
                own.open();
                n
            }
        })
    }

    let expected: Vec<usize> = (0..50).collect();
    run(runtime, async {
        assert_eq!(gather::<R, _, _>(backwards(50)).await, expected);
        assert_eq!(gather::<R, _, _>(backwards(50)).parallel().await, expected);
        let ok = |n: usize| async move { Ok::<_, ()>(n) };
        assert_eq!(
            try_gather::<R, _, _>(backwards(50).map(|future| async { ok(future.await).await })).await,
            Ok(expected)
        );

        let few = |n: usize| async move {
            turns((7 * n) % 5).await;
            n
        };
        let expected: Vec<usize> = (0..200).collect();
        assert_eq!(gather::<R, _, _>((0..200).map(few)).limit(3).await, expected);
        assert_eq!(gather::<R, _, _>((0..200).map(few)).limit(3).parallel().await, expected);

        let order = RefCell::new(Vec::new());
        let handed_over = gather::<R, _, _>(backwards(10)).for_each(async |index, value| {
            assert_eq!(index, value, "a value came with another's place");
            order.borrow_mut().push(value);
        });
        handed_over.await;
        assert_eq!(order.into_inner(), (0..10).rev().collect::<Vec<_>>(), "not in the order in which they ended");
    });
}

/// How many of something there are and have been at most.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize, AtomicUsize)>);

struct Counted(Gauge);

impl Gauge {
    /// Counts one in, until it is dropped.
    fn enter(&self) -> Counted {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        self.0.2.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }

    fn ever(&self) -> usize {
        self.0.2.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// As many as the limit says are in progress, no more and, while there is input, no fewer; nothing is pulled before
/// there is room for it.
pub fn at_most_the_limit_is_in_progress_and_nothing_is_pulled_early<R: Runtime>(runtime: R) {
    run(runtime, async {
        let pulled = Cell::new(0);
        let gates: Vec<Gate> = (0..10).map(|_| Gate::new()).collect();
        let mut gathered = gather::<R, _, _>(gates.iter().map(|gate| {
            pulled.set(pulled.get() + 1);
            gate.passed()
        }))
        .limit(3);
        assert_eq!(pulled.get(), 0, "pulled before it was polled");
        assert!(poll_once(&mut gathered).is_pending());
        assert_eq!(pulled.get(), 3);
        assert!(poll_once(&mut gathered).is_pending());
        assert_eq!(pulled.get(), 3, "pulled though nothing had ended");
        gates[1].open();
        assert!(poll_once(&mut gathered).is_pending());
        assert_eq!(pulled.get(), 4, "one place was free");
        assert_eq!(gates[3].waiting(), 1, "what was pulled wasn't polled");
        gates[0].open();
        gates[3].open();
        assert!(poll_once(&mut gathered).is_pending());
        assert_eq!(pulled.get(), 6, "two places were free");
        gates.iter().for_each(Gate::open);
        assert_eq!(gathered.await.len(), 10);
        assert_eq!(pulled.get(), 10);

        for parallel in [false, true] {
            let (input, progress) = (Gauge::default(), Gauge::default());
            let (entering, running) = (input.clone(), progress.clone());
            let four = Gate::new();
            let futures = (0..100_usize).map(move |n| {
                let entered = entering.enter();
                let (running, four) = (running.clone(), four.clone());
                async move {
                    let _counted = (entered, running.enter());
                    // Nobody goes on before four are in progress side by side.
                    if running.now() == 4 {
                        four.open();
                    }
                    four.passed().await;
                    turns(n % 4).await;
                }
            });
            let gathered = gather::<R, _, _>(futures).limit(4);
            if parallel {
                gathered.parallel().await;
            } else {
                gathered.await;
            }
            assert_eq!(input.most(), 4, "parallel: {parallel}");
            assert_eq!(progress.most(), 4, "parallel: {parallel}");
            assert_eq!((progress.ever(), progress.now()), (100, 0));
        }
    });
}

/// With `for_each`, what was pulled and hasn't been handed over is bounded by the limit, however slow the consumer is
/// and however long the input: memory doesn't grow with it.
pub fn what_waits_for_a_consumer_counts_towards_the_limit<R: Runtime>(runtime: R) {
    run(runtime, async {
        for parallel in [false, true] {
            let values = Gauge::default();
            let entering = values.clone();
            let futures = (0..5_000).map(move |_| {
                let counted = entering.enter();
                async move { counted }
            });
            let slow = async |_, value| {
                // Everything that could go on has had its turns by now.
                turns(2).await;
                assert!(values.now() <= 5, "{} are alive beside a limit of 4", values.now());
                drop(value);
            };
            let gathered = gather::<R, _, _>(futures).limit(4);
            if parallel {
                gathered.parallel().for_each(slow).await;
            } else {
                gathered.for_each(slow).await;
            }
            assert_eq!((values.ever(), values.now()), (5_000, 0));
            assert!(values.most() >= 4, "the limit was never reached");
        }
    });
}

/// A consumer that waits for something a sibling has still to do gets it: what is in progress goes on meanwhile.
pub fn a_slow_consumer_stops_no_sibling<R: Runtime>(runtime: R) {
    run(runtime, async {
        for limit in [2, 10] {
            // The consumer of the first value waits for the second future's last turn.
            let gate = Gate::new();
            let opener = gate.clone();
            let futures = (0..10).map(|n| {
                let gate = opener.clone();
                async move {
                    if n == 1 {
                        turns(20).await;
                        gate.open();
                    }
                    n
                }
            });
            let seen = Cell::new(0);
            let gathered = gather::<R, _, _>(futures).limit(limit).for_each(async |_, _| {
                gate.passed().await;
                seen.set(seen.get() + 1);
            });
            gathered.await;
            assert_eq!(seen.get(), 10);
        }

        // One that a sibling holds a permit from, or was handed one and only has to be polled to give it back.
        let semaphore = Semaphore::new(1);
        let futures = (0..20).map(|n| {
            let semaphore = &semaphore;
            async move {
                let permit = semaphore.acquire().await.expect("it isn't closed");
                turns(n % 3).await;
                drop(permit);
            }
        });
        let gathered = gather::<R, _, _>(futures).limit(5).for_each(async |_, ()| {
            let permit = semaphore.acquire().await.expect("it isn't closed");
            yield_now().await;
            drop(permit);
        });
        gathered.await;
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// A full limit stops nobody either: a future in progress that is woken goes on, though nothing can be started.
pub fn a_full_limit_stops_no_sibling<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (left, right) = (Gate::new(), Gate::new());
        let (one, other) = (left.clone(), right.clone());
        // The two that are in progress need each other, one after the other, and a third is never begun before.
        let first: Pin<Box<dyn Future<Output = u8>>> = Box::pin(async move {
            one.open();
            other.passed().await;
            1
        });
        let (one, other) = (left.clone(), right.clone());
        let second: Pin<Box<dyn Future<Output = u8>>> = Box::pin(async move {
            one.passed().await;
            turns(5).await;
            other.open();
            2
        });
        let third = Box::pin(ready(3));
        assert_eq!(gather::<R, _, _>([first, second, third]).limit(2).await, [1, 2, 3]);
    });
}

/// A future that wakes itself at every poll starves nobody: neither in a gather, nor in a race, nor in a group.
pub fn a_chatty_child_starves_none<R: Runtime>(runtime: R) {
    /// Wakes itself until `enough`, or until it has gone on for too long.
    async fn chatter(enough: Arc<AtomicBool>) -> bool {
        for _ in 0..1_000_000 {
            if enough.load(Ordering::SeqCst) {
                return true;
            }
            poll_fn(|cx| {
                // More wakes than it needs, too.
                cx.waker().wake_by_ref();
                let another = cx.waker().clone();
                another.wake();
                Poll::Ready(())
            })
            .await;
            yield_now().await;
        }
        false
    }

    async fn quiet(done: Arc<AtomicBool>) -> bool {
        turns(50).await;
        done.store(true, Ordering::SeqCst);
        true
    }

    run(runtime, async {
        let done = Arc::<AtomicBool>::default();
        let futures = (0..10).map(|n| {
            let done = done.clone();
            async move { if n == 9 { quiet(done).await } else { chatter(done).await } }
        });
        assert_eq!(gather::<R, _, _>(futures).await, [true; 10], "in a gather");

        let done = Arc::<AtomicBool>::default();
        assert_eq!(gather::<R, _, _>((chatter(done.clone()), quiet(done))).await, (true, true), "in a tuple");

        let done = Arc::<AtomicBool>::default();
        assert!(race((chatter(Arc::default()), quiet(done))).await, "in a race");

        let done = Arc::<AtomicBool>::default();
        task_group::<R, _, _>(async |g| {
            let chattering: Vec<_> = (0..10).map(|_| g.spawn(chatter(done.clone()))).collect();
            g.spawn(quiet(done.clone()));
            for task in chattering {
                assert!(task.await, "in a group");
            }
        })
        .await;
    });
}

/// A wake polls what was woken, and nothing else: a thousand idle futures are polled once each, whatever one does.
pub fn a_wake_costs_only_what_is_ready<R: Runtime>(runtime: R) {
    /// Idle until `over`, and counts its polls.
    fn idle(over: Gate, polls: Arc<AtomicUsize>) -> impl Future<Output = ()> + Send + 'static {
        let mut passed = over.passed();
        poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            Pin::new(&mut passed).poll(cx)
        })
    }

    run(runtime, async {
        const IDLE: usize = 1_000;

        let polls = Arc::new(AtomicUsize::new(0));
        let over = Gate::new();
        let opener = over.clone();
        let busy: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            turns(1_000).await;
            opener.open();
        });
        let (gate, count) = (over.clone(), polls.clone());
        let all = (0..IDLE).map(move |_| {
            let idle: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(idle(gate.clone(), count.clone()));
            idle
        });
        gather::<R, _, _>(all.chain(iter::once(busy))).await;
        assert_eq!(polls.load(Ordering::SeqCst), 2 * IDLE, "in a gather: once to wait, once to end");

        polls.store(0, Ordering::SeqCst);
        let over = Gate::new();
        task_group::<R, _, _>(async |g| {
            for _ in 0..IDLE {
                g.spawn(idle(over.clone(), polls.clone()));
            }
            until(|| polls.load(Ordering::SeqCst) == IDLE).await;
            g.spawn(turns(1_000)).await;
            assert_eq!(polls.load(Ordering::SeqCst), IDLE, "in a group: a sibling's wake polled the idle");
            over.open();
        })
        .await;
        assert_eq!(polls.load(Ordering::SeqCst), 2 * IDLE);
    });
}

/// A gather that is polled by another task, with another waker, wakes that one from then on.
pub fn a_gather_wakes_whoever_polled_it_last<R: Runtime>(runtime: R) {
    run(runtime, async {
        let gates: Vec<Gate> = (0..3).map(|_| Gate::new()).collect();
        let mut gathered = gather::<R, _, _>(gates.iter().map(Gate::passed));
        let (first, first_waker) = Wakes::waker();
        let (second, second_waker) = Wakes::waker();
        assert!(Pin::new(&mut gathered).poll(&mut Context::from_waker(&first_waker)).is_pending());
        assert!(Pin::new(&mut gathered).poll(&mut Context::from_waker(&second_waker)).is_pending());
        gates[0].open();
        assert_eq!((first.count(), second.count()), (0, 1), "the last waker isn't the one that was woken");
        // Only one wake for what is ready: the poll that it asks for sees all of it.
        gates[1].open();
        assert_eq!((first.count(), second.count()), (0, 1));
        assert!(Pin::new(&mut gathered).poll(&mut Context::from_waker(&first_waker)).is_pending());
        gates[2].open();
        assert_eq!((first.count(), second.count()), (1, 1));
        assert!(Pin::new(&mut gathered).poll(&mut Context::from_waker(&first_waker)).is_ready());
        drop(gathered);
        drop(first_waker);
        assert_eq!(Arc::strong_count(&first), 1, "a gather that has ended keeps a waker");
    });
}

/// A waker that outlives its future, or its gather, may be used at any time: it polls nobody who isn't there.
pub fn a_late_wake_harms_nobody<R: Runtime>(runtime: R) {
    run(runtime, async {
        let kept: Mutex<Vec<Waker>> = Mutex::default();
        let polls = AtomicUsize::new(0);
        let keep = |ready: bool| {
            let (kept, polls) = (&kept, &polls);
            poll_fn(move |cx| {
                polls.fetch_add(1, Ordering::SeqCst);
                kept.lock().unwrap().push(cx.waker().clone());
                if ready { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        // The first has ended, and its place is the second's when its waker is used again.
        let mut gathered = gather::<R, _, _>([true, false].map(keep)).limit(1);
        assert!(poll_once(&mut gathered).is_pending());
        let first = kept.lock().unwrap()[0].clone();
        first.wake_by_ref();
        first.wake();
        assert!(poll_once(&mut gathered).is_pending());
        assert!(polls.load(Ordering::SeqCst) <= 3, "a late wake polled somebody twice");
        let late = kept.lock().unwrap().clone();
        let waking = start_thread(move || late.into_iter().for_each(Waker::wake));
        drop(gathered);
        waking.join().expect("no wake panics");
        kept.into_inner().unwrap().into_iter().for_each(Waker::wake);
    });
}

/// On the runtime's threads the futures are tasks: they go on without the gather, and have ended when it returns.
pub fn a_parallel_gather_runs_on_the_runtime<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (ended, gate) = (Arc::new(AtomicUsize::new(0)), Gate::new());
        let futures: Vec<_> = (0..10)
            .map(|n| {
                let (ended, gate) = (ended.clone(), gate.clone());
                async move {
                    gate.passed().await;
                    turns(n).await;
                    ended.fetch_add(1, Ordering::SeqCst);
                    n
                }
            })
            .collect();
        let mut gathered = gather::<R, _, _>(futures).parallel();
        assert!(poll_once(&mut gathered).is_pending());
        // Nobody polls the gather from here to the end of them all.
        gate.open();
        until(|| ended.load(Ordering::SeqCst) == 10).await;
        assert_eq!(gathered.await, (0..10).collect::<Vec<_>>());

        // The first error cancels the others, which have ended when it is delivered; so does dropping the gather.
        let census = Census::new();
        let futures = (0..10).map(|n| {
            let member = census.member();
            async move {
                if n == 3 {
                    return Err("the third");
                }
                pending::<()>().await;
                drop(member);
                Ok(())
            }
        });
        assert_eq!(try_gather::<R, _, _>(futures).parallel().await, Err("the third"));
        assert_eq!(census.alive(), 0, "an error was delivered before all had ended");

        let handed_over = AtomicUsize::new(0);
        let gathered = gather::<R, _, _>((0..100).map(|n| async move { n })).limit(7).parallel();
        gathered
            .for_each(async |index, n| {
                assert_eq!(index, n);
                handed_over.fetch_add(1, Ordering::SeqCst);
            })
            .await;
        assert_eq!(handed_over.into_inner(), 100);
    });
}

/// Each future's own time starts when it is polled, not with the gather; who is late is told apart from who is not.
pub fn each_future_has_its_own_time<R: Runtime>(runtime: R) {
    #[derive(Debug, PartialEq, Eq)]
    enum Wrong {
        Late,
        Other,
    }

    impl From<Elapsed> for Wrong {
        fn from(_: Elapsed) -> Self {
            Self::Late
        }
    }

    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        // Three times six seconds, one after the other, with ten seconds each.
        let futures = (0..3).map(|n| {
            let clock = clock.clone();
            async move {
                yield_now().await;
                clock.advance(6 * SECOND);
                yield_now().await;
                n
            }
        });
        let values = gather::<Toy<R>, _, _>(futures).timeout_each(10 * SECOND).limit(1).await;
        assert_eq!(values, [Ok(0), Ok(1), Ok(2)]);

        let late = |n: u8| {
            let clock = clock.clone();
            async move {
                if n == 1 {
                    yield_now().await;
                    clock.advance(20 * SECOND);
                    pending::<()>().await;
                }
                n
            }
        };
        let values = gather::<Toy<R>, _, _>((0..3).map(late)).limit(1).timeout_each(10 * SECOND).await;
        assert!(matches!(values[..], [Ok(0), Err(_), Ok(2)]), "{values:?}");
        let late = (0..3).map(|n| {
            let late = late(n);
            async { Ok::<_, Wrong>(late.await) }
        });
        let values = try_gather::<Toy<R>, _, _>(late).limit(1).timeout_each(10 * SECOND).await;
        assert_eq!(values, Err(Wrong::Late));
        let other = try_gather::<Toy<R>, _, _>([ready(Err::<u8, _>(Wrong::Other))]).timeout_each(10 * SECOND).await;
        assert_eq!(other, Err(Wrong::Other));
    });
}

/// Progress is told once for each that ends, and knows the total where the input does.
pub fn progress_is_told_as_it_is_made<R: Runtime>(runtime: R) {
    run(runtime, async {
        let mut told = Vec::new();
        let values = gather::<R, _, _>((0..4).map(ready)).limit(2).on_progress(|progress| {
            assert!(progress.started >= progress.finished && progress.started - progress.finished <= 2);
            told.push((progress.finished, progress.total));
        });
        assert_eq!(values.await, [0, 1, 2, 3]);
        assert_eq!(told, [(1, Some(4)), (2, Some(4)), (3, Some(4)), (4, Some(4))]);

        // An input that doesn't know its length is counted when it is through.
        let mut told = Vec::new();
        let input = (0..4).filter(|n| n % 2 == 0).map(ready);
        gather::<R, _, _>(input).limit(1).on_progress(|progress| told.push((progress.finished, progress.total))).await;
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|(_, total)| total.is_none_or(|total| total == 2)), "{told:?}");

        // An error ends it, and is counted; what comes after isn't.
        let mut told = 0;
        let failed = try_gather::<R, _, _>([Ok(1), Err("two"), Ok(3)].map(ready)).on_progress(|_| told += 1);
        assert_eq!(failed.await, Err("two"));
        assert_eq!(told, 2);
    });
}

/// The first error in time drops the rest, wherever it stands in the input; nothing more is pulled or handed over.
pub fn the_first_error_drops_the_rest<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let pulled = Cell::new(0);
        let gate = Gate::new();
        let mut gathered = try_gather::<R, _, _>((0..10).map(|n| {
            pulled.set(pulled.get() + 1);
            let (member, gate) = (census.member(), gate.clone());
            async move {
                if n == 2 {
                    gate.passed().await;
                    return Err(n);
                }
                pending::<()>().await;
                drop(member);
                Ok(())
            }
        }))
        .limit(4);
        assert!(poll_once(&mut gathered).is_pending());
        gate.open();
        assert_eq!(gathered.await, Err(2));
        assert_eq!((census.alive(), pulled.get()), (0, 4));

        // It also drops what the consumer was doing, and values that wait for it.
        let consumed = Cell::new(0);
        let member = RefCell::new(Some(census.member()));
        let futures = (0..3).map(|n| {
            let member = census.member();
            async move {
                turns(3 * n).await;
                if n == 2 { Err("the last") } else { Ok(member) }
            }
        });
        let ended = try_gather::<R, _, _>(futures).for_each(async |_, value| {
            consumed.set(consumed.get() + 1);
            let _held = (value, member.borrow_mut().take());
            pending::<()>().await;
        });
        assert_eq!(ended.await, Err("the last"));
        assert_eq!((consumed.get(), census.alive()), (1, 0), "the consumer went on, or something was kept");

        // The first in time, though it stands behind one that fails later.
        let late = |n: usize| async move {
            turns(10 - n).await;
            Err::<Infallible, _>(n)
        };
        assert_eq!(try_gather::<R, _, _>((0..5).map(late)).await, Err(4));
        assert_eq!(try_gather::<R, _, _>((late(0), late(1), late(3))).await, Err(3));
    });
}

/// A tuple gives a tuple, of as many types as it has, and drops the rest at the first error.
pub fn a_tuple_gives_a_tuple<R: Runtime>(runtime: R) {
    run(runtime, async {
        let text = String::from("borrowed");
        let values = gather::<R, _, _>((async { turns(3).await }, async { &text[..3] }, ready(1), ready('c')));
        assert_eq!(values.await, ((), "bor", 1, 'c'));
        assert_eq!(gather::<R, _, _>((ready(1),)).await, (1,));

        let census = Census::new();
        let idle = |member: Member| async move {
            pending::<()>().await;
            drop(member);
            Ok::<u8, &str>(1)
        };
        let mut failing = Box::pin(try_gather::<R, _, _>((
            idle(census.member()),
            async {
                yield_now().await;
                Err::<char, _>("failed")
            },
            idle(census.member()),
        )));
        assert_eq!(failing.as_mut().await, Err("failed"));
        drop(failing);
        assert_eq!(census.alive(), 0);
        assert_eq!(try_gather::<R, _, _>((ready(Ok::<_, ()>(1)), ready(Ok('b')))).await, Ok((1, 'b')));
    });
}

/// Nothing gives nothing, at once; where nobody could win, or nothing could start, it is said.
pub fn nothing_gives_nothing<R: Runtime>(runtime: R) {
    run(runtime, async {
        let none = iter::empty::<Ready<u8>>;
        assert_eq!(gather::<R, _, _>(none()).await, []);
        assert_eq!(gather::<R, _, _>(none()).limit(1).parallel().await, []);
        let none_to_try = iter::empty::<Ready<Result<u8, ()>>>;
        assert_eq!(try_gather::<R, _, _>(none_to_try()).await, Ok(vec![]));
        gather::<R, _, _>(none()).for_each(async |_, _| unreachable!("there is nothing")).await;
        assert_eq!(try_gather::<R, _, _>(none_to_try()).for_each(async |_, _| ()).await, Ok(()));
        assert_eq!(race_ok(none_to_try()).await, Err(vec![]));

        let calls: [Box<dyn FnOnce()>; 3] = [
            Box::new(move || drop(race(none()))),
            Box::new(move || drop(gather::<R, _, _>(none()).limit(0))),
            Box::new(move || drop(try_gather::<R, _, _>(none_to_try()).limit(0))),
        ];
        for (call, why) in calls.into_iter().zip(["nobody could win", "nothing would ever start", "nothing would"]) {
            let payload = catch_unwind(AssertUnwindSafe(call)).expect_err("it can't work");
            assert!(said(&payload).contains(why), "{:?}", said(&payload));
        }
    });
}

/// A race gives the first value, the earlier of the input where two are ready, and has dropped the others by then.
pub fn a_race_gives_the_first_and_drops_the_others<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let futures = (0..10_usize).map(|n| {
            let member = census.member();
            async move {
                turns(10 - n).await;
                drop(member);
                n
            }
        });
        assert_eq!(race(futures).await, 9);
        assert_eq!(census.alive(), 0, "who lost is still there");
        assert_eq!(race([5, 6, 7].map(ready)).await, 5);
        assert_eq!(race((pending(), ready(1), ready(2))).await, 1);

        let errors = (0..5_usize).map(|n| async move {
            turns(5 - n).await;
            Err::<(), _>(n)
        });
        assert_eq!(race_ok(errors).await, Err(vec![0, 1, 2, 3, 4]), "the errors stand in another order");
        let futures = (0..5_usize).map(|n| {
            let member = census.member();
            async move {
                turns(n).await;
                let _member = member;
                if n == 3 { Ok(n) } else { Err(()) }
            }
        });
        assert_eq!(race_ok(futures).await, Ok(3));
        assert_eq!(census.alive(), 0);
    });
}

/// A future that panics, and destructors that do, drop everything else once; the first panic goes on.
pub fn a_panic_in_a_gather_drops_the_others<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let census = Census::new();
            let failing = |explosive: &'static [usize]| {
                let census = census.clone();
                (0..6_usize).map(move |n| {
                    let member = census.member();
                    let bomb = explosive.contains(&n).then(|| Bomb("a destructor"));
                    async move {
                        let _alive = (bomb, member);
                        turns(n).await;
                        assert_ne!(n, 3, "the third");
                        pending::<u8>().await
                    }
                })
            };
            for explosive in [&[][..], &[0], &[5], &[0, 1, 2, 4, 5]] {
                let payload =
                    caught(async { gather::<R, _, _>(failing(explosive)).await }).await.expect_err("one panics");
                assert!(said(&payload).contains("the third"), "{:?}", said(&payload));
                assert_eq!(census.alive(), 0);
                let payload = caught(async { race(failing(explosive)).await }).await.expect_err("one panics");
                assert!(said(&payload).contains("the third"), "{:?}", said(&payload));
                assert_eq!(census.alive(), 0);
            }

            // Who loses a race, or is dropped for an error, may panic in its destructor.
            let losers = |explosive: bool| {
                let member = census.member();
                let bomb = explosive.then(|| Bomb("a loser"));
                async move {
                    let _alive = (bomb, member);
                    pending::<()>().await;
                    Ok::<(), ()>(())
                }
            };
            type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;
            let all = || -> [Boxed<Result<(), ()>>; 4] {
                [Box::pin(losers(true)), Box::pin(losers(false)), Box::pin(losers(true)), Box::pin(ready(Err(())))]
            };
            let payload = caught(race(all())).await.expect_err("two losers panic");
            assert_eq!(said(&payload), "a loser");
            assert_eq!(census.alive(), 0);
            let payload = caught(try_gather::<R, _, _>(all())).await.expect_err("two of the rest panic");
            assert_eq!(said(&payload), "a loser");
            assert_eq!(census.alive(), 0);

            // A consumer's panic ends it as well, and a pulling one does.
            let endless = (0..10).map(|n| {
                let member = census.member();
                async move {
                    if n > 0 {
                        pending::<()>().await;
                    }
                    drop(member);
                }
            });
            let consuming = gather::<R, _, _>(endless).for_each(async |_, ()| panic!("the consumer"));
            assert_eq!(said(&caught(consuming).await.expect_err("it panics")), "the consumer");
            let input = (0..10).map(|n| {
                assert_ne!(n, 5, "the input");
                let member = census.member();
                async move {
                    pending::<()>().await;
                    drop(member);
                }
            });
            let payload = caught(gather::<R, _, _>(input)).await.expect_err("it panics");
            assert!(said(&payload).contains("the input"));
            assert_eq!(census.alive(), 0);
        });
    });
}

/// Futures may borrow what is around the gather, also mutably, each its part.
pub fn gathered_futures_may_borrow<R: Runtime>(runtime: R) {
    run(runtime, async {
        let mut numbers = [1, 2, 3, 4];
        gather::<R, _, _>(numbers.iter_mut().map(|n| async move {
            yield_now().await;
            *n *= 10;
        }))
        .limit(2)
        .await;
        assert_eq!(numbers, [10, 20, 30, 40]);
        let (left, right) = numbers.split_at_mut(2);
        let sum = |part: &mut [i32]| part.iter().sum::<i32>();
        assert_eq!(gather::<R, _, _>((async { sum(left) }, async { sum(right) })).await, (30, 70));
        let firsts: Vec<&i32> = gather::<R, _, _>(numbers.iter().map(ready)).await;
        assert_eq!(firsts, [&10, &20, &30, &40]);
    });
}

/// A gather of a hundred thousand, of which many are woken at once from other threads, loses none.
pub fn a_large_gather_loses_none<R: Runtime>(runtime: R) {
    run(runtime, async {
        let count = 100_000;
        let gate = Gate::new();
        let mut gathered = gather::<R, _, _>((0..count).map(|n| {
            let passed = gate.passed();
            async move {
                passed.await;
                n
            }
        }));
        assert!(poll_once(&mut gathered).is_pending());
        let opener = gate.clone();
        let opening = start_thread(move || opener.open());
        let values = gathered.await;
        opening.join().expect("the thread ends well");
        assert!(values.into_iter().eq(0..count));

        // The runtime's own wakes: timers, jobs, children.
        let limiter = Limiter::new(4);
        let mixed = (0..200_u64).map(|n| {
            let limiter = limiter.clone();
            async move {
                match n % 3 {
                    0 => sleep::<R>(Duration::from_micros(n)).await,
                    1 => unblock::<R, _, _>(|| ()).limiter(&limiter).await,
                    _ => task_group::<R, _, _>(async |g| g.spawn(yield_now()).await).await,
                }
                n
            }
        });
        assert!(gather::<R, _, _>(mixed).limit(20).await.into_iter().eq(0..200));
    });
}
