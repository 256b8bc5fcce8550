//! Two tables of what can be awaited, for checks that hold of every row.
//!
//! [`waits`] has what a task waits for that another one gives: a permit, a lock, a message. It needs no runtime to make
//! progress, so a check polls it by hand. [`works`] has what runs something: groups, gathers, jobs.

use crate::support::{Gate, Member, poll_once, ready, settled};
use anyscope_core::channel::{bounded, rendezvous};
use anyscope_core::locks::{Barrier, Condvar, Event, Mutex, OnceCell, RwLock};
use anyscope_core::{
    CancelToken, Limiter, Runtime, Semaphore, TaskGroup, gather, race, scope, shield, sleep, task_group, timeout,
    try_gather, try_task_group, unblock, with_cleanup, yield_now,
};
use std::cell::RefCell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A future whose value nobody wants: it is dropped when it comes.
pub(crate) type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Something to wait for.
pub(crate) struct Wait<'a> {
    /// Makes one that waits, as often as it is asked.
    pub(crate) waiter: &'a dyn Fn() -> Waiting<'a>,
    /// Gives what is waited for, once. The next in line is served, or all are.
    pub(crate) give: &'a dyn Fn(),
    /// Panics where something was lost, or was made. Asked when nobody waits any more and all was given; it is told how
    /// many had it.
    pub(crate) intact: &'a dyn Fn(usize),
    /// Whether each that waits has to be given to by itself.
    pub(crate) one_by_one: bool,
}

/// A row: its name, and what calls a check with it.
pub(crate) type Row = (&'static str, fn(&mut dyn FnMut(Wait<'_>)));

/// Drops the value of a future, and is otherwise that future, also where it is polled after its end.
struct Valueless<F>(Pin<Box<F>>);

impl<F: Future> Future for Valueless<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx).map(drop)
    }
}

fn valueless<'a, F: Future + 'a>(future: F) -> Waiting<'a> {
    Box::pin(Valueless(Box::pin(future)))
}

/// All that a task may wait for, and another give.
pub(crate) fn waits<R: Runtime>() -> Vec<Row> {
    vec![
        ("a permit", |check| {
            let semaphore = Semaphore::new(1);
            let held = RefCell::new(semaphore.try_acquire().ok());
            check(Wait {
                waiter: &|| valueless(semaphore.acquire()),
                give: &|| drop(held.take()),
                intact: &|_| assert_eq!((semaphore.available_permits(), semaphore.statistics().waiting), (1, 0)),
                one_by_one: false,
            });
        }),
        ("permits that own their semaphore", |check| {
            let semaphore = Arc::new(Semaphore::new(3));
            let held = RefCell::new(semaphore.try_acquire_arc().ok());
            check(Wait {
                waiter: &|| valueless(semaphore.acquire_many_arc(3)),
                give: &|| drop(held.take()),
                intact: &|_| assert_eq!((semaphore.available_permits(), semaphore.statistics().waiting), (3, 0)),
                one_by_one: false,
            });
        }),
        ("the close of a semaphore", |check| {
            let semaphore = Semaphore::new(0);
            check(Wait {
                waiter: &|| valueless(semaphore.acquire()),
                give: &|| semaphore.close(),
                intact: &|_| assert_eq!((semaphore.available_permits(), semaphore.statistics().waiting), (0, 0)),
                one_by_one: false,
            });
        }),
        ("a limiter's permit", |check| {
            let limiter = Limiter::new(1);
            let held = RefCell::new(limiter.try_acquire());
            check(Wait {
                waiter: &|| valueless(limiter.acquire()),
                give: &|| drop(held.take()),
                intact: &|_| assert_eq!((limiter.statistics().available, limiter.statistics().waiting), (1, 0)),
                one_by_one: false,
            });
        }),
        ("a limiter's room", |check| {
            let limiter = Limiter::new(0);
            check(Wait {
                waiter: &|| valueless(limiter.acquire()),
                give: &|| limiter.set_total(1),
                intact: &|_| assert_eq!((limiter.statistics().available, limiter.statistics().waiting), (1, 0)),
                one_by_one: false,
            });
        }),
        ("a mutex", |check| {
            let mutex = Mutex::new(());
            let held = RefCell::new(mutex.try_lock());
            check(Wait {
                waiter: &|| valueless(mutex.lock()),
                give: &|| drop(held.take()),
                intact: &|_| assert!(mutex.try_lock().is_some()),
                one_by_one: false,
            });
        }),
        ("a mutex that its guard owns", |check| {
            let mutex = Arc::new(Mutex::new(()));
            let held = RefCell::new(mutex.try_lock_arc());
            check(Wait {
                waiter: &|| valueless(mutex.lock_arc()),
                give: &|| drop(held.take()),
                intact: &|_| assert!(mutex.try_lock().is_some()),
                one_by_one: false,
            });
        }),
        ("a lock to read", |check| {
            let lock = RwLock::new(());
            let held = RefCell::new(lock.try_write());
            check(Wait {
                waiter: &|| valueless(lock.read()),
                give: &|| drop(held.take()),
                intact: &|_| assert!(lock.try_write().is_some()),
                one_by_one: false,
            });
        }),
        ("a lock to write", |check| {
            let lock = Arc::new(RwLock::new(()));
            let held = RefCell::new(lock.try_read());
            check(Wait {
                waiter: &|| valueless(lock.write_arc()),
                give: &|| drop(held.take()),
                intact: &|_| assert!(lock.try_write().is_some()),
                one_by_one: false,
            });
        }),
        ("a notification", |check| {
            let (mutex, condvar) = (Mutex::new(()), Condvar::new());
            check(Wait {
                waiter: &|| valueless(async { drop(condvar.wait(mutex.lock().await).await) }),
                give: &|| condvar.notify_one(),
                intact: &|_| assert!(mutex.try_lock().is_some()),
                one_by_one: true,
            });
        }),
        ("a condition", |check| {
            let (mutex, condvar) = (Mutex::new(false), Condvar::new());
            check(Wait {
                waiter: &|| valueless(async { drop(condvar.wait_while(mutex.lock().await, |over| !*over).await) }),
                give: &|| {
                    *mutex.try_lock().expect("who waits doesn't hold it") = true;
                    condvar.notify_all();
                },
                intact: &|_| assert!(mutex.try_lock().is_some()),
                one_by_one: false,
            });
        }),
        ("an event", |check| {
            let event = Event::new();
            check(Wait {
                waiter: &|| valueless(event.wait()),
                give: &|| assert!(event.set()),
                intact: &|_| assert!(event.is_set()),
                one_by_one: false,
            });
        }),
        ("a barrier", |check| {
            let barrier = Barrier::new(2);
            check(Wait {
                waiter: &|| valueless(barrier.wait()),
                give: &|| {
                    let _ = settled(&mut barrier.wait(), Waker::noop());
                },
                intact: &|_| {
                    // Whoever left is counted no more: it takes two again.
                    let (mut one, mut two) = (barrier.wait(), barrier.wait());
                    assert!(poll_once(&mut one).is_pending() && poll_once(&mut one).is_pending());
                    ready(&mut two);
                    ready(&mut one);
                },
                one_by_one: true,
            });
        }),
        ("a cell that another initialises", |check| {
            let cell = OnceCell::new();
            let mut first = Box::pin(cell.get_or_init(pending::<u8>));
            assert!(poll_once(&mut first).is_pending());
            let first = RefCell::new(Some(first));
            check(Wait {
                waiter: &|| valueless(cell.get_or_init(async || 7)),
                give: &|| drop(first.take()),
                intact: &|ended| assert_eq!(cell.get().is_some(), ended > 0),
                one_by_one: false,
            });
        }),
        ("a message", |check| {
            let (sender, receiver) = bounded(8);
            let given = RefCell::new(0);
            check(Wait {
                waiter: &|| valueless(receiver.recv()),
                give: &|| {
                    sender.try_send(()).expect("there is room");
                    *given.borrow_mut() += 1;
                },
                intact: &|ended| assert_eq!(receiver.len(), *given.borrow() - ended),
                one_by_one: true,
            });
        }),
        ("the end of a channel", |check| {
            let (sender, receiver) = bounded::<()>(1);
            check(Wait {
                waiter: &|| valueless(receiver.recv()),
                give: &|| assert!(sender.close()),
                intact: &|_| assert!(receiver.try_recv().is_err_and(|error| error.is_closed())),
                one_by_one: false,
            });
        }),
        ("room in a channel", |check| {
            let (sender, receiver) = bounded(1);
            sender.try_send(()).expect("it is empty");
            check(Wait {
                waiter: &|| valueless(sender.send(())),
                give: &|| receiver.try_recv().expect("it is full"),
                // A send that was given its room has sent, whether it was asked again or not.
                intact: &|ended| assert!((ended..=1).contains(&receiver.len())),
                one_by_one: true,
            });
        }),
        ("a receiver", |check| {
            let (sender, receiver) = rendezvous();
            let taken = RefCell::new(0);
            check(Wait {
                waiter: &|| valueless(sender.send(())),
                give: &|| *taken.borrow_mut() += usize::from(receiver.try_recv().is_ok()),
                intact: &|ended| assert!(*taken.borrow() >= ended && receiver.is_empty()),
                one_by_one: true,
            });
        }),
        ("the cancellation of a token", |check| {
            let token = CancelToken::<R>::new();
            check(Wait {
                waiter: &|| valueless(token.cancelled()),
                give: &|| assert!(token.child().cancel() && token.cancel()),
                intact: &|_| assert!(token.is_cancelled()),
                one_by_one: false,
            });
        }),
        ("what runs under a token", |check| {
            let token = CancelToken::<R>::new();
            check(Wait {
                waiter: &|| valueless(token.run(pending::<()>())),
                give: &|| assert!(token.cancel()),
                intact: &|_| assert!(token.is_cancelled()),
                one_by_one: false,
            });
        }),
    ]
}

/// What a piece of work is given: what it waits for, and a member that it holds while it lives.
pub(crate) type Give = (Gate, Box<dyn Fn() -> Member + Send + Sync>, Arc<Semaphore>);

/// Work: its name, and what makes it. It holds members and permits in every part that runs, and ends when the gate opens.
pub(crate) type Work = (&'static str, fn(Arc<Give>) -> Pin<Box<dyn Future<Output = ()> + Send>>);

/// A part of some work: it gives way, waits for a permit, for the gate, and for a moment.
async fn part<R: Runtime>(give: Arc<Give>) {
    let _member = give.1();
    yield_now().await;
    let _permit = give.2.acquire().await.expect("it is open");
    give.0.passed().await;
    sleep::<R>(Duration::ZERO).await;
}

/// All that runs something.
pub(crate) fn works<R: Runtime>() -> Vec<Work> {
    vec![
        ("a group", |give| {
            Box::pin(task_group::<R, _, _>(async move |g| {
                let task = g.spawn(part::<R>(give.clone()));
                g.spawn(part::<R>(give.clone()));
                part::<R>(give.clone()).await;
                task.await;
            }))
        }),
        ("a group that fails", |give| {
            Box::pin(async move {
                let failed = try_task_group::<R, _, (), ()>(async |g| {
                    let failing = part::<R>(give.clone());
                    g.spawn(async move {
                        failing.await;
                        Err::<(), _>(())
                    });
                    g.spawn_service(pending::<Result<(), ()>>());
                    pending().await
                });
                drop(failed.await);
            })
        }),
        ("a group with a limit, a service, and a finaliser", |give| {
            Box::pin(TaskGroup::<R>::builder().limit(1).run(async move |g| {
                let _service = g.spawn_service(pending::<()>());
                g.on_exit(part::<R>(give.clone()));
                for _ in 0..3 {
                    g.room().await;
                    g.spawn(part::<R>(give.clone()));
                }
            }))
        }),
        ("a start and a shutdown", |give| {
            Box::pin(task_group::<R, _, _>(async move |g| {
                let starting = give.clone();
                g.start(|started| async move {
                    part::<R>(starting.clone()).await;
                    started.ready(());
                    part::<R>(starting).await;
                })
                .await;
                drop(g.shutdown(HOUR).await);
            }))
        }),
        ("a gather", |give| {
            Box::pin(async move { drop(gather::<R, _, _>((0..4).map(|_| part::<R>(give.clone()))).limit(2).await) })
        }),
        ("a gather on the runtime", |give| {
            Box::pin(async move {
                drop(gather::<R, _, _>((0..4).map(move |_| part::<R>(give.clone()))).limit(2).parallel().await);
            })
        }),
        ("a gather that fails", |give| {
            Box::pin(async move {
                let fails = |give| async move {
                    part::<R>(give).await;
                    Err::<(), _>(())
                };
                drop(try_gather::<R, _, _>([give.clone(), give].map(fails)).await);
            })
        }),
        ("a race", |give| Box::pin(async move { race((part::<R>(give.clone()), part::<R>(give.clone()))).await })),
        ("a scope", |give| {
            Box::pin(async move {
                let (one, two) = (give.clone(), give);
                scope::<R, _, _>(|s| async move {
                    let task = s.spawn(part::<R>(one));
                    part::<R>(two).await;
                    task.await;
                })
                .await;
            })
        }),
        ("a timeout, a token, and a shield", |give| {
            Box::pin(async move {
                let token = CancelToken::<R>::new();
                let work = timeout::<R, _>(HOUR, shield::<R, _>(Duration::ZERO, part::<R>(give)));
                assert!(token.run(work).await.is_ok_and(|in_time| in_time.is_ok()));
            })
        }),
        ("work with a clean-up", |give| {
            Box::pin(async move {
                let (working, cleaning) = (give.clone(), give);
                let work = async move {
                    part::<R>(working).await;
                    Err::<(), _>(())
                };
                let clean = async move { part::<R>(cleaning).await };
                drop(with_cleanup::<R, _, _, _, _>(work, clean, HOUR).await);
            })
        }),
        ("a job", |give| {
            Box::pin(async move {
                yield_now().await;
                let member = give.1();
                let limiter = Limiter::new(1);
                unblock::<R, _, _>(move || drop(member)).limiter(&limiter).await;
                assert_eq!(limiter.statistics().available, 1);
                part::<R>(give).await;
            })
        }),
    ]
}
