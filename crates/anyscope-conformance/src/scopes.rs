//! Scopes whose children borrow: side by side in one task, and in parallel while a thread waits.

use crate::runtime::Toy;
use crate::support::{
    Bomb, Census, Gate, Wakes, caught, on_thread, on_thread_of, poll_with, polled, said, surviving, turns, until,
    while_polling, why,
};
use anyscope_core::{
    CancelToken, ReasonKind, Runtime, Scope, ScopedTask, blocking_scope, is_cancelled, remaining, run, scope, shield,
    sleep, task_group, timeout, unblock, yield_now,
};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The children of a scope borrow from outside of it, mutably too, and the scope gives the value of its body.
pub fn the_children_of_a_scope_borrow_from_outside<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (words, mut sums) = (vec!["one".to_owned(), "three".to_owned()], [0, 0]);
        let total = {
            let (words, [first, second]) = (&words, &mut sums);
            scope::<R, _, _>(|s| async move {
                let one = s.spawn(async {
                    yield_now().await;
                    *first += words[0].len();
                    *first
                });
                let other = s.spawn(async {
                    sleep::<R>(Duration::from_millis(1)).await;
                    *second += words[1].len();
                    *second
                });
                // The later one first: it isn't the handles that the children are polled by.
                other.await + one.await
            })
            .await
        };
        assert_eq!((total, sums), (8, [3, 5]));
        drop(words);

        assert_eq!(scope::<R, _, _>(|_| async { 7 }).await, 7, "a scope without a child");
    });
}

/// A scope ends after its children, and after theirs, though the body is over and nobody has their handles.
pub fn a_scope_ends_after_children_of_children<R: Runtime>(runtime: R) {
    const GENERATIONS: usize = 100;

    /// Spawns the next one at the end of its own life.
    fn generation<'env, R: Runtime>(
        s: Scope<'env, R>,
        left: usize,
        census: &'env Census,
        ended: &'env AtomicUsize,
    ) -> Boxed<'env, ()> {
        let member = census.member();
        Box::pin(async move {
            if left % 2 == 0 {
                yield_now().await;
            }
            if left > 0 {
                drop(s.spawn(generation(s.clone(), left - 1, census, ended)));
            }
            ended.fetch_add(1, Ordering::SeqCst);
            drop(member);
        })
    }

    run(runtime, async {
        let (census, ended) = (Census::new(), AtomicUsize::new(0));
        scope::<R, _, _>(|s| {
            let (census, ended) = (&census, &ended);
            async move { drop(s.spawn(generation(s.clone(), GENERATIONS, census, ended))) }
        })
        .await;
        assert_eq!((census.alive(), ended.load(Ordering::SeqCst)), (0, GENERATIONS + 1));

        // Another thread spawns while the body is over and the only child waits.
        let ended = Arc::new(AtomicUsize::new(0));
        let seen = scope::<R, _, _>(|s| {
            let ended = ended.clone();
            async move {
                let (handle, by_thread) = (s.clone(), ended.clone());
                drop(s.spawn(on_thread(move || {
                    for _ in 0..50 {
                        let ended = by_thread.clone();
                        drop(handle.spawn(async move {
                            yield_now().await;
                            ended.fetch_add(1, Ordering::SeqCst);
                        }));
                    }
                })));
                ended
            }
        })
        .await;
        assert_eq!(seen.load(Ordering::SeqCst), 50, "a child that a thread had spawned was lost");
    });
}

/// What is spawned doesn't run inside of the spawn.
pub fn a_scoped_child_never_runs_inside_spawn<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (spawning, inside, ran) = (AtomicBool::new(false), AtomicBool::new(false), AtomicUsize::new(0));
        scope::<R, _, _>(|s| {
            let (spawning, inside, ran) = (&spawning, &inside, &ran);
            let child = || async {
                inside.fetch_or(spawning.load(Ordering::SeqCst), Ordering::SeqCst);
                ran.fetch_add(1, Ordering::SeqCst);
            };
            spawning.store(true, Ordering::SeqCst);
            drop(s.spawn(child()));
            spawning.store(false, Ordering::SeqCst);
            async move {
                spawning.store(true, Ordering::SeqCst);
                drop(s.spawn(child()));
                spawning.store(false, Ordering::SeqCst);
            }
        })
        .await;
        assert!(!inside.into_inner());
        assert_eq!(ran.into_inner(), 2, "not every child ran");
    });
}

/// A body that waits stops no child, a child that waits stops neither another nor the body, and one that wakes itself
/// again and again starves nobody.
pub fn nobody_in_a_scope_stops_another<R: Runtime>(runtime: R) {
    run(runtime, async {
        // The body waits for what only its children bring about, one after the other.
        let steps: Vec<_> = (0..10).map(|_| Gate::new()).collect();
        scope::<R, _, _>(|s| {
            let steps = &steps;
            async move {
                for pair in steps.windows(2).rev() {
                    drop(s.spawn(async {
                        pair[0].passed().await;
                        pair[1].open();
                    }));
                }
                // In the order of spawning, all of them wait before the first may go.
                drop(s.spawn(async { steps[0].open() }));
                steps[9].passed().await;
            }
        })
        .await;

        // A chatty child ends only when its sibling and the body have got somewhere; they wait in between.
        let (sibling, body) = (AtomicUsize::new(0), AtomicUsize::new(0));
        scope::<R, _, _>(|s| {
            let (sibling, body) = (&sibling, &body);
            async move {
                drop(s.spawn(poll_fn(|cx| {
                    if sibling.load(Ordering::SeqCst) == 20 && body.load(Ordering::SeqCst) == 20 {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })));
                drop(s.spawn(async {
                    for _ in 0..20 {
                        yield_now().await;
                        sibling.fetch_add(1, Ordering::SeqCst);
                    }
                    pending_once().await;
                }));
                for _ in 0..20 {
                    yield_now().await;
                    body.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
        .await;

        // One that spawns for ever, each child at once another, doesn't keep the thread from a deadline.
        let spawned = AtomicUsize::new(0);
        let endless = scope::<R, _, _>(|s| {
            let spawned = &spawned;
            async move { drop(s.spawn(again(s.clone(), spawned))) }
        });
        assert!(timeout::<R, _>(Duration::from_millis(5), endless).await.is_err());
        assert!(spawned.load(Ordering::SeqCst) > 0);
    });
}

fn again<'env, R: Runtime>(s: Scope<'env, R>, spawned: &'env AtomicUsize) -> Boxed<'env, ()> {
    Box::pin(async move {
        spawned.fetch_add(1, Ordering::SeqCst);
        drop(s.spawn(again(s.clone(), spawned)));
    })
}

async fn pending_once() {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// A wake of one child polls that child, and none of its many siblings.
pub fn a_wake_in_a_scope_costs_only_what_is_ready<R: Runtime>(runtime: R) {
    const CHILDREN: usize = 1000;

    run(runtime, async {
        let gates: Vec<_> = (0..CHILDREN).map(|_| Gate::new()).collect();
        let polls: Vec<_> = (0..CHILDREN).map(|_| AtomicUsize::new(0)).collect();
        let mut all = Box::pin(scope::<R, _, _>(|s| {
            for (gate, polls) in gates.iter().zip(&polls) {
                drop(s.spawn(async move {
                    let mut passed = gate.passed();
                    poll_fn(|cx| {
                        polls.fetch_add(1, Ordering::SeqCst);
                        Pin::new(&mut passed).poll(cx)
                    })
                    .await;
                }));
            }
            async {}
        }));
        let (wakes, waker) = Wakes::waker();
        assert!(poll_with(&mut all, &waker).is_pending());
        while wakes.count() > 0 && poll_count(&polls) < CHILDREN {
            assert!(poll_with(&mut all, &waker).is_pending());
        }
        assert_eq!(poll_count(&polls), CHILDREN, "each is polled once to begin with");
        let before = wakes.count();
        gates[500].open();
        assert_eq!(wakes.count(), before + 1, "a wake of a child is one wake of its scope");
        assert!(poll_with(&mut all, &waker).is_pending());
        assert_eq!(poll_count(&polls), CHILDREN + 1, "a sibling was polled that nobody had woken");
        // Who polls it last is woken.
        let (others, other) = Wakes::waker();
        assert!(poll_with(&mut all, &other).is_pending());
        let before = wakes.count();
        gates[7].open();
        assert_eq!((wakes.count(), others.count()), (before, 1), "an old waker was woken");
        assert!(poll_with(&mut all, &other).is_pending());
        assert_eq!(poll_count(&polls), CHILDREN + 2);
        gates.iter().for_each(Gate::open);
        all.await;
    });
}

fn poll_count(polls: &[AtomicUsize]) -> usize {
    polls.iter().map(|polls| polls.load(Ordering::SeqCst)).sum()
}

/// A child's panic drops the body and the other children, and goes on in the owner with its payload; so does one in a
/// destructor.
pub fn a_panic_of_a_scoped_child_drops_the_others_and_goes_on<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let census = Census::new();
            let rest = Mutex::new(None);
            let mut panicking = pin!(scope::<R, _, _>(|s| {
                let (census, rest) = (&census, &rest);
                async move {
                    let member = census.member();
                    *rest.lock().unwrap() = Some(s.spawn(async move {
                        pending::<()>().await;
                        drop(member);
                    }));
                    drop(s.spawn(async { panic_any(7_u64) }));
                    let _member = census.member();
                    pending::<()>().await;
                }
            }));
            // The future is still there when the panic has left it.
            let payload = caught(panicking.as_mut()).await.expect_err("a child panicked");
            assert_eq!(payload.downcast_ref(), Some(&7_u64));
            assert_eq!(census.alive(), 0, "somebody outlived the panic of the scope");
            let left = rest.lock().unwrap().take();
            let rest: ScopedTask<(), R> = left.expect("it was spawned");
            assert!(rest.outcome().await.is_cancelled());

            // Others panic in their destructors meanwhile: the first goes on, and nothing is aborted.
            let payload = caught(scope::<R, _, _>(|s| async move {
                for _ in 0..3 {
                    let bomb = Bomb("second");
                    drop(s.spawn(async move {
                        let _bomb = bomb;
                        pending::<()>().await;
                    }));
                }
                drop(s.spawn(async { panic!("first") }));
                let _bomb = Bomb("second");
                pending::<()>().await;
            }))
            .await
            .expect_err("a child panicked");
            assert_eq!(said(&payload), "first");

            // In the destructor of one that is cancelled.
            let payload = caught(scope::<R, _, _>(|s| async move {
                let bomb = Bomb("going off");
                let child = s.spawn(async move {
                    let _bomb = bomb;
                    pending::<()>().await;
                });
                yield_now().await;
                child.cancel();
                pending::<()>().await;
            }))
            .await
            .expect_err("a destructor panicked");
            assert_eq!(said(&payload), "going off");
        });
    });
}

/// A panic of the body drops the children, and goes on; also where it is the closure that panics, and a child keeps a
/// handle on its own scope.
pub fn a_panic_of_the_body_of_a_scope_drops_the_children<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let census = Census::new();
            let mut panicking = pin!(scope::<R, _, _>(|s| {
                let census = &census;
                async move {
                    let member = census.member();
                    drop(s.spawn(async move {
                        pending::<()>().await;
                        drop(member);
                    }));
                    yield_now().await;
                    panic!("the body's");
                }
            }));
            let payload = caught(panicking.as_mut()).await.expect_err("the body panicked");
            assert_eq!((said(&payload), census.alive()), ("the body's", 0));

            let payload = catch_unwind(AssertUnwindSafe(|| {
                drop(scope::<R, _, std::future::Pending<()>>(|s| {
                    let (member, own) = (census.member(), s.clone());
                    drop(s.spawn(async move {
                        let _kept = (member, own);
                        pending::<()>().await;
                    }));
                    panic!("the closure's");
                }));
            }))
            .expect_err("the closure panicked");
            assert_eq!((said(&payload), census.alive()), ("the closure's", 0));
        });
    });
}

/// One child is cancelled by its handle, all by the scope, also those that come; the body goes on, and what is cancelled
/// before its first poll is never polled.
pub fn a_scope_cancels_one_child_or_all<R: Runtime>(runtime: R) {
    run(runtime, async {
        scope::<R, _, _>(|s| async move {
            let [one, other, third] = [(); 3].map(|()| s.spawn(pending::<()>()));
            yield_now().await;
            assert!(one.cancel_with("no longer wanted"));
            assert!(!one.cancel(), "the first request is the one");
            let reason = why(one.outcome().await);
            assert_eq!((reason.kind(), reason.message()), (ReasonKind::Explicit, Some("no longer wanted")));
            assert_eq!(reason.location().file(), file!());
            turns(3).await;
            assert!(!other.is_finished(), "another one was cancelled");

            s.cancel_with("closing time");
            for task in [other, third] {
                let reason = why(task.outcome().await);
                assert_eq!(reason.message(), Some("closing time"));
            }
            let (ran, census) = (Arc::new(AtomicBool::new(false)), Census::new());
            let (set, member) = (ran.clone(), census.member());
            let late = s.spawn(async move {
                set.store(true, Ordering::SeqCst);
                drop(member);
            });
            assert!(late.outcome().await.is_cancelled());
            assert_eq!((ran.load(Ordering::SeqCst), census.alive()), (false, 0), "it was polled");
            assert!(!is_cancelled(), "the body was cancelled");
        })
        .await;
    });
}

/// A value that a child had before its cancellation was seen is delivered, as are those of shielded ones.
pub fn what_a_scoped_child_had_before_is_delivered<R: Runtime>(runtime: R) {
    run(runtime, async {
        scope::<R, _, _>(|s| async move {
            let (own, gate) = (s.clone(), Gate::new());
            let passed = gate.passed();
            let at_once = s.spawn(async move {
                own.cancel();
                assert!(is_cancelled(), "a child in its poll doesn't hear of it");
                1
            });
            let shielded = s.spawn(async move {
                shield::<R, _>(HOUR, async {
                    passed.await;
                    2
                })
                .await
            });
            assert_eq!(at_once.await, 1, "a value was lost");
            // It was born cancelled: what is cancelled before its first poll doesn't put up a shield any more.
            assert!(shielded.outcome().await.is_cancelled());
            drop(gate);
        })
        .await;

        scope::<R, _, _>(|s| async move {
            let gate = Gate::new();
            let passed = gate.passed();
            let shielded = s.spawn(async move {
                shield::<R, _>(HOUR, passed).await;
                2
            });
            until(|| gate.waiting() > 0).await;
            s.cancel();
            turns(3).await;
            assert!(!shielded.is_finished(), "a shield was broken");
            gate.open();
            assert_eq!(shielded.await, 2, "what a shield had was lost");
        })
        .await;
    });
}

/// A handle that outlives its scope gives the outcome cancelled, and the future is dropped unpolled.
pub fn spawning_into_a_scope_that_ended_drops_the_future_unpolled<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (ran, census) = (Arc::new(AtomicBool::new(false)), Census::new());
        let ended = scope::<R, _, _>(|s| async move { s }).await;
        let mut kept = None;
        drop(scope::<R, _, _>(|s| {
            kept = Some(s);
            pending::<()>()
        }));
        let mut polled_once = None;
        let mut dropped = Box::pin(scope::<R, _, _>(|s| {
            polled_once = Some(s);
            pending::<()>()
        }));
        assert!(polled(&mut dropped).await.is_pending());
        drop(dropped);
        for handle in [Some(ended), kept, polled_once].into_iter().flatten() {
            let (set, member) = (ran.clone(), census.member());
            let task = handle.spawn(async move {
                set.store(true, Ordering::SeqCst);
                drop(member);
            });
            assert_eq!(census.alive(), 0, "the future is kept by a scope that nobody polls");
            assert!(task.is_finished());
            assert!(task.outcome().await.is_cancelled());
        }
        assert!(!ran.load(Ordering::SeqCst), "it was polled");
    });
}

/// Dropping the future of a scope drops the body and every child before the drop returns, and what is left of them is
/// told why.
pub fn dropping_a_scope_drops_everything_at_once<R: Runtime>(runtime: R) {
    run(runtime, async {
        for polls in 0..3 {
            let census = Census::new();
            let mut all = Box::pin(scope::<R, _, _>(|s| {
                let census = census.clone();
                drop(s.spawn(idle(census.clone())));
                async move {
                    let _member = census.member();
                    drop(s.spawn(idle(census.clone())));
                    yield_now().await;
                    drop(s.spawn(idle(census.clone())));
                    pending::<()>().await;
                }
            }));
            for _ in 0..polls {
                assert!(polled(&mut all).await.is_pending());
            }
            drop(all);
            assert_eq!(census.alive(), 0, "somebody was left after {polls} polls");
        }

        // A destructor spawns into the scope that is being dropped.
        struct Spawns<'env, R: Runtime>(Scope<'env, R>, Census);

        impl<R: Runtime> Drop for Spawns<'_, R> {
            fn drop(&mut self) {
                let task = self.0.spawn(idle(self.1.clone()));
                drop(task);
            }
        }

        let census = Census::new();
        let mut all = Box::pin(scope::<R, _, _>(|s| {
            let spawns = Spawns(s.clone(), census.clone());
            drop(s.spawn(async move {
                let _spawns = spawns;
                pending::<()>().await;
            }));
            let spawns = Spawns(s, census.clone());
            async move {
                let _spawns = spawns;
                pending::<()>().await;
            }
        }));
        assert!(polled(&mut all).await.is_pending());
        drop(all);
        assert_eq!(census.alive(), 0, "what a destructor had spawned was kept");

        // A handle that was carried out tells why its child went.
        let token = CancelToken::<R>::new();
        let task = Mutex::new(None);
        let mut cut = Box::pin(token.run(scope::<R, _, _>(|s| {
            *task.lock().unwrap() = Some(s.spawn(pending::<()>()));
            async move {
                let _s = s;
                pending::<()>().await;
            }
        })));
        assert!(polled(&mut cut).await.is_pending());
        token.cancel_with("the token's");
        assert_eq!(cut.await.expect_err("it was cut").reason().message(), Some("the token's"));
        let task: ScopedTask<(), R> = task.into_inner().unwrap().expect("it was spawned");
        let reason = why(task.outcome().await);
        assert_eq!(reason.message(), Some("the token's"));
    });
}

async fn idle(census: Census) {
    let _member = census.member();
    pending::<()>().await;
}

/// A child that keeps a handle on its own scope, or on a sibling, keeps nothing alive: whether the scope ends, is
/// dropped, or is never polled.
pub fn a_child_that_holds_its_own_scope_leaks_nothing<R: Runtime>(runtime: R) {
    run(runtime, async {
        for polls in 0..3 {
            let census = Census::new();
            let mut all = Box::pin(scope::<R, _, _>(|s| {
                for _ in 0..3 {
                    let (own, member) = (s.clone(), census.member());
                    let sibling = s.spawn(pending_if(polls < 2));
                    drop(s.spawn(async move {
                        let _kept = (own, member);
                        sibling.await;
                    }));
                }
                let (own, member) = (s.clone(), census.member());
                async move {
                    let _kept = (own, member);
                    yield_now().await;
                }
            }));
            match polls {
                2 => all.await,
                _ => {
                    for _ in 0..polls {
                        assert!(polled(&mut all).await.is_pending());
                    }
                    drop(all);
                }
            }
            assert_eq!(census.alive(), 0, "a cycle was left after {polls} polls");
        }
    });
}

async fn pending_if(condition: bool) {
    if condition {
        pending::<()>().await;
    }
}

/// Scopes stand in scopes as deep as there is stack for polling them; what it takes to build, wake and drop one level
/// doesn't depend on how many there are.
pub fn thousands_of_nested_scopes_end_and_are_dropped<R: Runtime>(runtime: R) {
    const LEVELS: usize = 5000;

    fn nested<'a, R: Runtime>(left: usize, census: &'a Census, gate: &'a Gate) -> Boxed<'a, usize> {
        let member = census.member();
        Box::pin(async move {
            let _member = member;
            if left == 0 {
                gate.passed().await;
                return 0;
            }
            scope::<R, _, _>(|s| async move { s.spawn(nested::<R>(left - 1, census, gate)).await + 1 }).await
        })
    }

    // Futures in futures are polled in one another: that takes stack by the level, whoever makes them.
    let stack = 16 * 1024 * LEVELS;
    let inner = runtime.clone();
    run(runtime, async move {
        on_thread_of(stack, move || {
            run(inner, async {
                let census = Census::new();
                let gate = Gate::new();
                let mut all = nested::<R>(LEVELS, &census, &gate);
                assert!(polled(&mut all).await.is_pending());
                assert_eq!(census.alive(), LEVELS + 1);
                gate.open();
                assert_eq!(all.await, LEVELS);

                let gate = Gate::new();
                let token = CancelToken::<R>::new();
                let mut all = Box::pin(token.run(nested::<R>(LEVELS, &census, &gate)));
                assert!(polled(&mut all).await.is_pending());
                token.cancel();
                assert!(all.await.is_err());
                assert_eq!(census.alive(), 0);

                let mut all = nested::<R>(LEVELS, &census, &gate);
                assert!(polled(&mut all).await.is_pending());
                drop(all);
                assert_eq!(census.alive(), 0);
            });
        })
        .await
    });
}

/// Where a token around a scope is cancelled, the token reports: neither the scope nor its children claim it, whoever
/// else cancelled them too.
pub fn a_token_around_a_scope_reports<R: Runtime>(runtime: R) {
    run(runtime, async {
        for also_inside in [false, true] {
            let token = CancelToken::<R>::new();
            let canceller = token.clone();
            let ended = token.run(scope::<R, _, _>(|s| async move {
                let child = s.spawn(pending::<()>());
                yield_now().await;
                if also_inside {
                    s.cancel_with("the inner one");
                }
                canceller.cancel_with("the outer one");
                // It never comes to that: whoever waits is cancelled as well.
                child.outcome().await
            }));
            let reason = ended.await.expect_err("the outer one reports").into_reason();
            assert_eq!(reason.message(), Some("the outer one"));
        }

        // By a deadline.
        let late = timeout::<R, _>(
            Duration::from_millis(1),
            scope::<R, _, _>(|s| async move {
                let left = s.spawn(async { remaining::<R>() });
                assert!(left.await.is_some_and(|left| left <= Duration::from_millis(1)), "a child has no deadline");
                s.spawn(pending::<()>()).outcome().await
            }),
        );
        assert!(late.await.is_err(), "a deadline was taken for a cancellation");
    });
}

/// Awaiting a child that was cancelled by itself panics and says why; an awaiter that is cancelled too never resumes.
pub fn awaiting_a_cancelled_child_of_a_scope_says_why<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            let payload = caught(scope::<R, _, _>(|s| async move {
                let child = s.spawn(pending::<()>());
                child.cancel_with("by itself");
                child.await;
            }))
            .await
            .expect_err("it was cancelled");
            let said = said(&payload);
            assert!(said.contains("by itself") && said.contains(file!()), "{said:?}");

            let resumed = AtomicBool::new(false);
            scope::<R, _, _>(|s| {
                let resumed = &resumed;
                async move {
                    let child = s.spawn(pending::<()>());
                    let awaiter = s.spawn(async move {
                        child.await;
                        resumed.store(true, Ordering::SeqCst);
                    });
                    turns(2).await;
                    s.cancel();
                    assert!(awaiter.outcome().await.is_cancelled());
                }
            })
            .await;
            assert!(!resumed.into_inner());

            // Whoever asks after such an awaiter is told.
            scope::<R, _, _>(|s| async move {
                let mut child = s.spawn(pending::<()>());
                child.cancel_with("by itself");
                until(|| child.is_finished()).await;
                let token = CancelToken::<R>::new();
                let cut = token.run(async {
                    token.cancel();
                    (&mut child).await;
                });
                cut.await.expect_err("the await was cancelled too");
                assert_eq!(why(child.outcome().await).message(), Some("by itself"));
            })
            .await;
        });
    });
}

/// The future of a scope is `Send` where its parts are: a child of a group may open one.
pub fn whoever_opens_a_scope_can_be_spawned<R: Runtime>(runtime: R) {
    fn is_send<T: Send>(value: T) -> T {
        value
    }

    run(runtime, async {
        let opened = task_group::<R, _, _>(async |g| {
            let words = vec!["one".to_owned(), "three".to_owned()];
            let child = g.spawn(is_send(async move {
                let words = &words;
                let scoped = is_send(scope::<R, _, _>(|s| async move {
                    let one = s.spawn(async { words[0].len() });
                    let other = s.spawn(async {
                        sleep::<R>(Duration::from_millis(1)).await;
                        words[1].len()
                    });
                    (one.await, other.outcome().await.completed())
                }));
                scoped.await
            }));
            child.await
        });
        assert_eq!(opened.await, (3, Some(5)));
    });
}

/// The children of a blocking scope borrow, mutably too, and the call returns when all have ended: also those that a child
/// spawned after the body had returned.
pub fn a_blocking_scope_ends_after_all_that_borrow<R: Runtime>(runtime: R) {
    run(runtime, async {
        let job = unblock::<R, _, _>(|| {
            let (census, mut halves) = (Census::new(), [vec![3, 1, 2], vec![6, 5, 4]]);
            let [left, right] = &mut halves;
            let ended = AtomicUsize::new(0);
            let value = blocking_scope::<R, _, _>(|s| {
                drop(s.spawn(async { left.sort_unstable() }));
                drop(s.spawn(async {
                    yield_now().await;
                    right.sort_unstable();
                }));
                let (own, census, ended) = (s.clone(), &census, &ended);
                drop(s.spawn(async move {
                    for _ in 0..20 {
                        let member = census.member();
                        drop(own.spawn(async move {
                            sleep::<R>(Duration::from_millis(1)).await;
                            ended.fetch_add(1, Ordering::SeqCst);
                            drop(member);
                        }));
                        yield_now().await;
                    }
                }));
                7
            });
            assert_eq!((ended.into_inner(), census.alive()), (20, 0), "a child was left");
            assert_eq!(halves, [[1, 2, 3], [4, 5, 6]]);
            value
        });
        assert_eq!(job.await, 7);

        // Into one that has ended, nothing is spawned.
        let job = unblock::<R, _, _>(|| {
            let census = Census::new();
            let kept = blocking_scope::<R, _, _>(|s| s.clone());
            let member = census.member();
            let task = kept.spawn(async move {
                drop(member);
                1
            });
            assert!(task.is_finished());
            assert_eq!(census.alive(), 0);
        });
        job.await;
    });
}

/// Where the runtime polls tasks on several threads, so does a blocking scope: two children that wait for each other,
/// blocking, both go on.
pub fn the_children_of_a_blocking_scope_run_in_parallel<R: Runtime>(runtime: R) {
    let workers = runtime.parallelism();
    run(runtime, async move {
        let job = unblock::<R, _, _>(move || {
            let barrier = Barrier::new(workers.max(1));
            let met = AtomicUsize::new(0);
            blocking_scope::<R, _, _>(|s| {
                for _ in 0..workers.max(1) {
                    drop(s.spawn(async {
                        barrier.wait();
                        met.fetch_add(1, Ordering::SeqCst);
                    }));
                }
            });
            assert_eq!(met.into_inner(), workers.max(1));
        });
        job.await;
    });
}

/// Timers, blocking jobs, groups and scopes work in the children of a blocking scope.
pub fn a_blocking_scope_has_the_runtime_of_its_caller<R: Runtime>(runtime: R) {
    run(runtime, async {
        let job = unblock::<R, _, _>(|| {
            let words = ["one", "three"];
            let (sender, receiver) = channel();
            blocking_scope::<R, _, _>(|s| {
                let words = &words;
                let (first, second, third, fourth) = (sender.clone(), sender.clone(), sender.clone(), sender);
                drop(s.spawn(async move {
                    let cut = timeout::<R, _>(Duration::from_millis(1), pending::<()>()).await;
                    first.send(usize::from(cut.is_err())).unwrap();
                }));
                drop(s.spawn(async move { second.send(unblock::<R, _, _>(|| 2).await).unwrap() }));
                drop(s.spawn(async move {
                    let value = task_group::<R, _, _>(async |g| g.spawn(async { 4 }).await).await;
                    third.send(value).unwrap();
                }));
                drop(s.spawn(async move {
                    let lengths = scope::<R, _, _>(|s| async move {
                        let (one, other) = (s.spawn(async { words[0].len() }), s.spawn(async { words[1].len() }));
                        one.await + other.await
                    });
                    fourth.send(lengths.await).unwrap();
                }));
            });
            receiver.iter().sum::<usize>()
        });
        assert_eq!(job.await, 1 + 2 + 4 + 8);
    });
}

/// A panic of a child cancels the others, and goes on with its payload after they have ended; so does one of the body.
pub fn a_panic_in_a_blocking_scope_goes_on_after_all_have_ended<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            for by_body in [false, true] {
                let job = unblock::<R, _, _>(move || {
                    let census = Census::new();
                    let mut rest = None;
                    let payload = catch_unwind(AssertUnwindSafe(|| {
                        blocking_scope::<R, _, _>(|s| {
                            let own = s.clone();
                            rest = Some(s.spawn(idle(census.clone())));
                            for _ in 0..5 {
                                let bomb = Bomb("second");
                                let census = census.clone();
                                drop(s.spawn(async move {
                                    let _bomb = bomb;
                                    idle(census).await;
                                }));
                            }
                            if by_body {
                                panic_any(7_u64);
                            }
                            drop(s.spawn(async move {
                                let _own = own;
                                panic_any(7_u64);
                            }));
                        });
                    }))
                    .expect_err("it panicked");
                    assert_eq!(payload.downcast_ref(), Some(&7_u64));
                    assert_eq!(census.alive(), 0, "the panic went on before all had ended");
                    rest
                });
                let rest: ScopedTask<(), R> = job.await.expect("it was spawned");
                let reason = why(rest.outcome().await);
                assert_eq!(reason.kind(), if by_body { ReasonKind::Parent } else { ReasonKind::SiblingFailed });
            }
        });
    });
}

/// The children of a blocking scope are dropped when the scope around its caller is cancelled: because nobody waits for
/// the job any more, by a token, or by the scope itself.
pub fn a_blocking_scope_ends_with_its_caller<R: Runtime>(runtime: R) {
    run(runtime, async {
        // The future of the job is dropped.
        let census = Census::new();
        task_group::<R, _, _>(async |_| {
            let started = Gate::new();
            let (at_work, counted) = (started.clone(), census.clone());
            let mut job = unblock::<R, _, _>(move || {
                blocking_scope::<R, _, _>(|s| {
                    drop(s.spawn(idle(counted.clone())));
                    drop(s.spawn(async {
                        at_work.open();
                        idle(counted.clone()).await;
                    }));
                });
            });
            while_polling(&mut job, started.passed()).await;
            drop(job);
        })
        .await;
        assert_eq!(census.alive(), 0);

        // A token around the job.
        let token = CancelToken::<R>::new();
        let canceller = token.clone();
        let job = unblock::<R, _, _>(move || {
            let mut child = None;
            blocking_scope::<R, _, _>(|s| {
                child = Some(s.spawn(pending::<()>()));
                drop(s.spawn(async move { canceller.cancel_with("the token's") }));
            });
            child
        });
        let child = token.run(job).await.expect("a job that runs is waited for").expect("it was spawned");
        assert_eq!(why(child.outcome().await).message(), Some("the token's"));

        // By itself; the body goes on.
        let job = unblock::<R, _, _>(|| {
            blocking_scope::<R, _, _>(|s| {
                let child = s.spawn(pending::<()>());
                s.cancel_with("by itself");
                (child, s.spawn(async { 1 }))
            })
        });
        let (child, late) = job.await;
        assert_eq!(why(child.outcome().await).message(), Some("by itself"));
        assert!(late.outcome().await.is_cancelled(), "a child that came later wasn't cancelled");
    });
}

/// The deadline of its caller holds for the children of a blocking scope: they can read it, and are dropped at it.
pub fn a_blocking_scope_has_the_deadline_of_its_caller<R: Runtime>(runtime: R) {
    run(runtime, async {
        let look = || {
            let (sender, receiver) = channel();
            blocking_scope::<R, _, _>(|s| {
                drop(s.spawn(async move { sender.send(remaining::<R>()).unwrap() }));
            });
            receiver.recv().unwrap()
        };
        assert_eq!(unblock::<R, _, _>(look).await, None);
        let left = timeout::<R, _>(HOUR, unblock::<R, _, _>(look)).await.expect("an hour is enough");
        assert!(left.is_some_and(|left| left <= HOUR), "{left:?}");

        let job = unblock::<R, _, _>(|| blocking_scope::<R, _, _>(|s| s.spawn(pending::<()>())));
        if let Ok(child) = timeout::<R, _>(Duration::from_millis(5), job).await {
            let reason = why(child.outcome().await);
            assert_eq!(reason.kind(), ReasonKind::Deadline);
        }
    });
}

/// Outside of any runtime, a blocking scope says what to do, and its closure isn't called.
pub fn a_blocking_scope_outside_of_a_runtime_names_the_remedy<R: Runtime>(_runtime: R) {
    let called = AtomicBool::new(false);
    let payload = catch_unwind(AssertUnwindSafe(|| {
        blocking_scope::<Toy<R>, _, _>(|_| called.store(true, Ordering::SeqCst));
    }))
    .expect_err("there is no runtime around");
    assert!(said(&payload).contains(Toy::<R>::REMEDY), "{:?} doesn't say what to do", said(&payload));
    assert!(!called.into_inner());
}
