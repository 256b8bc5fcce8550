//! Values that travel with the work: task-locals, and those that a group has for its children.

use crate::support::{Census, Gate, Member, on_thread, on_thread_of, polled, said, turns};
use anyscope_core::{
    AccessError, GroupHandle, Runtime, TaskGroup, TaskLocal, blocking_scope, gather, is_cancelled, remaining, run,
    scope, sleep, task_group, timeout, unblock, with_cleanup, yield_now,
};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

static NUMBER: TaskLocal<u32> = TaskLocal::new();
static OTHER: TaskLocal<u32> = TaskLocal::new();
static COUNTED: TaskLocal<Arc<Member>> = TaskLocal::new();

/// The number around the caller, or 0.
fn number() -> u32 {
    NUMBER.try_get().unwrap_or(0)
}

/// What was seen where.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(&'static str, u32)>>>);

impl Seen {
    fn look(&self, place: &'static str) {
        self.0.lock().unwrap().push((place, number()));
    }

    /// Everyone has seen this.
    fn check(&self, count: usize, expected: u32) {
        let mut seen = self.0.lock().unwrap();
        assert_eq!(seen.len(), count, "{seen:?}");
        for (place, number) in seen.drain(..) {
            assert_eq!(number, expected, "{place}");
        }
    }
}

/// Whatever is started under a local has it: children and theirs, jobs, services, finalisers, clean-up, those of a scope.
pub fn a_local_is_inherited_by_whatever_is_started_under_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        let seen = Seen::default();
        let look = |place| {
            let seen = seen.clone();
            async move {
                yield_now().await;
                seen.look(place);
            }
        };
        let all = task_group::<R, _, _>(async |g| {
            g.spawn(look("a child"));
            let (handle, grandchild) = (g.handle(), look("a grandchild"));
            g.spawn(async move { drop(handle.spawn(grandchild)) });
            let inner = look("a child of a group inside of a child");
            g.spawn(task_group::<R, _, _>(async move |g| drop(g.spawn(inner))));
            g.spawn_service(look("a service"));
            g.on_exit(look("a finaliser"));
            let starting = look("a child that says when it is ready");
            g.start(|started| async move {
                starting.await;
                started.ready(());
            })
            .await;
            let job = seen.clone();
            g.spawn_blocking(move || job.look("a blocking member")).await;

            let job = seen.clone();
            unblock::<R, _, _>(move || {
                job.look("a job");
                blocking_scope::<R, _, _>(|s| drop(s.spawn(async { job.look("a child of a blocking scope") })));
            })
            .await;
            gather::<R, _, _>([look("a gather")]).await;
            gather::<R, _, _>([look("a parallel gather")]).parallel().await;
            scope::<R, _, _>(|s| {
                let child = look("a child of a scope");
                async move { drop(s.spawn(child)) }
            })
            .await;
            let done: Result<(), _> =
                with_cleanup::<R, _, _, _, ()>(async { Ok(()) }, look("a clean-up"), HOUR).await.map_err(drop);
            assert_eq!(done, Ok(()));
            let mut work = Box::pin(with_cleanup::<R, _, _, (), ()>(pending(), look("a clean-up by itself"), HOUR));
            assert!(polled(&mut work).await.is_pending());
            drop(work);
        });
        NUMBER.scope(7, all).await;
        seen.check(14, 7);
        assert_eq!(number(), 0);
    });
}

/// What is spawned under a local further in has it as well, though the group or the scope around the spawn hasn't.
pub fn a_child_has_the_locals_of_whoever_spawned_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        task_group::<R, _, _>(async |g| {
            let (inner,) = NUMBER.scope(1, async { (g.spawn(async { number() }),) }).await;
            let by_closure = NUMBER.sync_scope(2, || g.spawn(async { number() }));
            let outer = g.spawn(async { number() });
            assert_eq!((inner.await, by_closure.await, outer.await), (1, 2, 0));
        })
        .await;

        scope::<R, _, _>(|s| async move {
            let (inner,) = NUMBER.scope(1, async { (s.spawn(async { number() }),) }).await;
            let by_closure = NUMBER.sync_scope(2, || s.spawn(async { number() }));
            let outer = s.spawn(async { number() });
            let own = s.clone();
            let child = s.spawn(NUMBER.scope(3, async move {
                let grandchild = own.spawn(async {
                    yield_now().await;
                    number()
                });
                grandchild.await
            }));
            assert_eq!((inner.await, by_closure.await, outer.await, child.await), (1, 2, 0, 3), "in a scope");
        })
        .await;

        let job = unblock::<R, _, _>(|| {
            let (sender, receiver) = channel();
            blocking_scope::<R, _, _>(|s| {
                let (sender, own) = (&sender, s.clone());
                drop(NUMBER.sync_scope(1, || s.spawn(async { sender.send(number()).unwrap() })));
                drop(s.spawn(NUMBER.scope(2, async move {
                    let grandchild = own.spawn(async {
                        yield_now().await;
                        sender.send(number()).unwrap();
                    });
                    grandchild.await;
                })));
            });
            drop(sender);
            let mut seen: Vec<_> = receiver.iter().collect();
            seen.sort_unstable();
            seen
        });
        assert_eq!(job.await, [1, 2], "in a blocking scope");
    });
}

/// A scope further in hides the value for what is inside of it, and changes nothing outside: not for the parent of a
/// child, not for a sibling, not between the polls of the same task.
pub fn a_scope_further_in_changes_nothing_outside<R: Runtime>(runtime: R) {
    run(runtime, async {
        NUMBER
            .scope(
                1,
                task_group::<R, _, _>(async |g| {
                    let (inside, leave) = (Gate::new(), Gate::new());
                    let (entered, passed) = (inside.clone(), leave.passed());
                    let child = g.spawn(async move {
                        let within = NUMBER.scope(2, async move {
                            entered.open();
                            passed.await;
                            number()
                        });
                        (within.await, number())
                    });
                    inside.passed().await;
                    // The child stands in the middle of its scope.
                    assert_eq!(number(), 1, "a child changed what its parent sees");
                    assert_eq!(g.spawn(async { number() }).await, 1, "a child changed what its sibling sees");
                    leave.open();
                    assert_eq!(child.await, (2, 1));

                    // Two of one task, whose polls take turns, and another local between them.
                    let turn = async |value| {
                        for _ in 0..10 {
                            assert_eq!((number(), OTHER.try_get()), (value, Ok(5)));
                            yield_now().await;
                        }
                    };
                    let both = OTHER
                        .scope(5, gather::<R, _, _>((NUMBER.scope(3, turn(3)), NUMBER.scope(4, turn(4)), turn(1))));
                    both.await;
                    assert!(OTHER.try_get().is_err());

                    // A poll that panics leaves nothing behind.
                    let panicked = catch_unwind(|| NUMBER.sync_scope(6, || assert_eq!(number(), 0)));
                    assert!(panicked.is_err());
                    assert_eq!(number(), 1);
                }),
            )
            .await;
    });
}

/// A group's own value is seen by its children wherever they are spawned from; for who spawns from inside, or calls from
/// elsewhere with values of his own, the nearer one holds.
pub fn a_groups_local_holds_for_children_spawned_from_elsewhere<R: Runtime>(runtime: R) {
    run(runtime, async {
        let group = TaskGroup::<R>::builder().local(&NUMBER, 1).local(&OTHER, 9).run(async |g| {
            assert_eq!((number(), OTHER.get()), (1, 9), "the body");
            assert_eq!(g.spawn(async { (number(), OTHER.get()) }).await, (1, 9), "a child");
            assert_eq!(NUMBER.scope(2, async { g.spawn(async { number() }).await }).await, 2, "spawned from inside");

            let (handle, portal) = (g.handle(), g.portal());
            let by_thread = on_thread(move || {
                let task = handle.spawn(async { (number(), OTHER.get()) }).expect("the group is open");
                (task, portal.call(|| async { (number(), OTHER.get()) }).expect("the group is open"))
            });
            let (task, called) = by_thread.await;
            assert_eq!(task.await, (1, 9), "spawned by a thread");
            assert_eq!(called, (1, 9), "called by a thread");

            // From a run of its own, which has another value of one of them.
            let (handle, portal) = (g.handle(), g.portal());
            let elsewhere = on_thread(move || {
                NUMBER.sync_scope(3, || {
                    let task = handle.spawn(async { (number(), OTHER.get()) }).expect("the group is open");
                    (task, portal.call(|| async { (number(), OTHER.try_get()) }))
                })
            });
            let (task, called) = elsewhere.await;
            assert_eq!(task.await, (1, 9), "a child spawned from elsewhere took what is there");
            let called = called.expect("the group is open");
            assert_eq!(called.0, 3, "a call didn't bring its caller's");
            assert_eq!(called.1, Ok(9), "a call lost the group's, because its caller has another");
        });
        NUMBER.scope(8, group).await;
    });
}

/// Values live as long as somebody can read them: as long as the scope, and whatever was started in it.
pub fn a_value_is_dropped_when_nobody_can_read_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        COUNTED
            .scope(Arc::new(census.member()), async {
                assert_eq!(COUNTED.with(Arc::strong_count), 1, "the value was copied");
                yield_now().await;
            })
            .await;
        assert_eq!(census.alive(), 0, "after its scope");

        task_group::<R, _, _>(async |g| {
            let gate = Gate::new();
            let passed = gate.passed();
            let counts = async move {
                passed.await;
                COUNTED.with(Arc::strong_count)
            };
            let (child,) = COUNTED.scope(Arc::new(census.member()), async { (g.spawn(counts),) }).await;
            turns(3).await;
            assert_eq!(census.alive(), 1, "while a child can read it");
            gate.open();
            assert_eq!(child.await, 1);
        })
        .await;
        assert_eq!(census.alive(), 0, "after the child");

        // Dropped half-way, and unpolled.
        for polls in 0..2 {
            let mut dropped = Box::pin(COUNTED.scope(Arc::new(census.member()), pending::<()>()));
            for _ in 0..polls {
                assert!(polled(&mut dropped).await.is_pending());
            }
            drop(dropped);
            assert_eq!(census.alive(), 0);
        }
    });
}

/// A chain of children, each of which gives the local anew and starts the next, keeps no value that the last can't read;
/// and it takes no stack to take it apart.
pub fn a_local_given_anew_100_000_times_keeps_only_the_nearest<R: Runtime>(runtime: R) {
    const LEVELS: u32 = 100_000;

    type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn next<R: Runtime>(handle: GroupHandle<R>, level: u32, census: Census, most: Arc<AtomicUsize>) -> Boxed {
        Box::pin(async move {
            if level == LEVELS {
                assert_eq!(OTHER.get(), 1, "a value from far outside was lost");
                assert_eq!(NUMBER.get(), LEVELS - 1);
                return;
            }
            let value = Arc::new(census.member());
            let child = COUNTED.scope(
                value,
                NUMBER.scope(level, async {
                    most.fetch_max(census.alive(), Ordering::SeqCst);
                    let child = next(handle.clone(), level + 1, census.clone(), most.clone());
                    drop(handle.spawn(child).expect("the group has a child that lives"));
                }),
            );
            child.await;
        })
    }

    let inner = runtime.clone();
    run(runtime, async move {
        on_thread_of(256 * 1024, move || {
            let (census, most) = (Census::new(), Arc::new(AtomicUsize::new(0)));
            run(inner, async {
                let group = task_group::<R, _, _>(async |g| {
                    drop(g.spawn(next(g.handle(), 0, census.clone(), most.clone())));
                });
                OTHER.scope(1, group).await;
            });
            assert_eq!(census.alive(), 0);
            let most = most.load(Ordering::SeqCst);
            assert!(most < 100, "{most} values at a time, of which one could be read");
        })
        .await
    });
}

/// Where nothing gave a value, asking says so; and no value stays on a thread of the runtime or of its pool.
pub fn outside_of_every_scope_a_local_says_so<R: Runtime>(runtime: R) {
    fn absent() {
        let error: AccessError = NUMBER.try_get().expect_err("there is no value");
        assert!(error.to_string().contains("no value"), "{error}");
        assert!(NUMBER.try_with(|_| ()).is_err());
        let payload = catch_unwind(|| NUMBER.get()).expect_err("there is no value");
        assert!(said(&payload).contains("no value"), "{:?}", said(&payload));
    }

    absent();
    run(runtime, async {
        absent();
        for _ in 0..20 {
            NUMBER
                .scope(1, async {
                    unblock::<R, _, _>(|| assert_eq!(number(), 1)).await;
                    task_group::<R, _, _>(async |g| g.spawn(async { assert_eq!(number(), 1) }).await).await;
                    gather::<R, _, _>([async { assert_eq!(number(), 1) }]).parallel().await;
                })
                .await;
            unblock::<R, _, _>(absent).await;
            task_group::<R, _, _>(async |g| g.spawn(async { absent() }).await).await;
        }
        assert_eq!(NUMBER.sync_scope(1, || OTHER.try_get()), OTHER.try_get(), "another local's value was taken");
    });
    NUMBER.sync_scope(1, || {
        let payload = catch_unwind(AssertUnwindSafe(|| OTHER.with(|value| *value))).expect_err("there is no value");
        assert!(said(&payload).contains("no value"));
    });
    absent();
}

/// A local is there in every poll, on whatever thread, and in the destructors of what it was given to.
pub fn a_local_is_there_in_every_poll_and_destructor<R: Runtime>(runtime: R) {
    struct Looks(Arc<AtomicUsize>);

    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.fetch_add(number() as usize, Ordering::SeqCst);
        }
    }

    run(runtime, async {
        let sum = Arc::new(AtomicUsize::new(0));
        for ends in [true, false] {
            let gate = Gate::new();
            let (looks, passed) = (Looks(sum.clone()), gate.passed());
            let mut moved = Box::pin(NUMBER.scope(1, async move {
                let _looks = looks;
                assert_eq!(number(), 1);
                passed.await;
                assert_eq!(number(), 1);
                if !ends {
                    pending::<()>().await;
                }
            }));
            assert!(polled(&mut moved).await.is_pending());
            gate.open();
            on_thread(move || {
                assert_eq!(crate::support::poll_once(&mut moved).is_ready(), ends);
                drop(moved);
                assert_eq!(number(), 0, "a value stayed on the thread");
            })
            .await;
        }
        assert_eq!(sum.load(Ordering::SeqCst), 2, "a destructor didn't see the value");

        // A child that is cancelled.
        NUMBER
            .scope(
                10,
                task_group::<R, _, _>(async |g| {
                    let looks = Looks(sum.clone());
                    let child = g.spawn(async move {
                        let _looks = looks;
                        pending::<()>().await;
                    });
                    yield_now().await;
                    child.cancel();
                }),
            )
            .await;
        assert_eq!(sum.load(Ordering::SeqCst), 12, "a destructor of a child didn't see the value");
    });
}

/// A value for a closure changes nothing else around it: deadline, cancellation and runtime stay.
pub fn a_closure_under_a_local_keeps_what_is_around<R: Runtime>(runtime: R) {
    run(runtime, async {
        let look = || (NUMBER.sync_scope(1, remaining::<R>), remaining::<R>());
        let here = timeout::<R, _>(HOUR, async move { look() }).await.expect("an hour is enough");
        assert!(here.0.is_some() && here.1.is_some(), "{here:?}: a closure lost the deadline");
        let job = timeout::<R, _>(HOUR, unblock::<R, _, _>(look)).await.expect("an hour is enough");
        assert!(job.0.is_some() && job.1.is_some(), "{job:?}: a closure lost the deadline");

        let ended = task_group::<R, _, _>(async |g| {
            let child = g.spawn_blocking(|| {
                while !NUMBER.sync_scope(1, is_cancelled) {
                    std::thread::yield_now();
                }
            });
            g.cancel();
            child.outcome().await
        });
        drop(ended.await);

        // What is made under it finds the runtime.
        let slept = NUMBER.sync_scope(1, || sleep::<R>(Duration::from_millis(1)));
        slept.await;
        let portal_call = task_group::<R, _, _>(async |g| {
            let portal = g.portal();
            on_thread(move || NUMBER.sync_scope(5, || portal.call(|| async { number() }))).await
        });
        assert_eq!(portal_call.await.expect("the group is open"), 5, "a plain thread may have a value and call");
    });
}
