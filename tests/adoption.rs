//! An application that was there before anyscope: it has its runtime, its main, its spawns and its own way to end, and
//! uses groups, timeouts and the rest in single functions, without `run`. What it does ends what is inside: nothing hangs,
//! and nothing is left behind.
//!
//! A pattern is one body, for each runtime. What is about one runtime alone stands at the end.

#![forbid(unsafe_code)]

use anyscope::sync::Event;
use anyscope::{
    CancelToken, Current, GroupHandle, Outcome, Portal, Semaphore, Task, TaskLocal, channel, drained, gather,
    is_cancelled, race, remaining, scope, shield, sleep, task_group, timeout, try_gather, try_task_group, unblock,
    with_cleanup, yield_now,
};
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const HOUR: Duration = Duration::from_secs(3600);

/// The runtime as its own users have it.
trait App: 'static {
    /// What anyscope finds around its tasks.
    const FOUND: &'static str;

    type Task<T: Send + 'static>: Send + 'static;

    /// What stands around everything in a `main`.
    fn main<F: Future>(main: F) -> F::Output;

    /// Its own spawn.
    fn spawn<F>(future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Waits for a task in its own way. A panic of the task goes on here.
    fn join<T: Send + 'static>(task: Self::Task<T>) -> impl Future<Output = T> + Send + 'static;

    /// Ends a task in its own way, from the first poll on, and waits until it is gone.
    fn end<T: Send + 'static>(task: Self::Task<T>) -> impl Future<Output = ()> + Send + 'static;

    /// Its own timeout.
    fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>>;
}

struct TokioApp;
struct TokioOneThread;
struct SmolApp;
struct SmolOwnExecutor;
struct AsyncStdApp;

fn tokio_runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().expect("a runtime")
}

macro_rules! app_on_tokio {
    ($app:ty, $threads:expr, $found:expr) => {
        impl App for $app {
            const FOUND: &'static str = $found;

            type Task<T: Send + 'static> = tokio::task::JoinHandle<T>;

            fn main<F: Future>(main: F) -> F::Output {
                tokio_runtime($threads).block_on(main)
            }

            fn spawn<F>(future: F) -> Self::Task<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                tokio::spawn(future)
            }

            async fn join<T: Send + 'static>(task: Self::Task<T>) -> T {
                match task.await {
                    Ok(value) => value,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }

            async fn end<T: Send + 'static>(task: Self::Task<T>) {
                task.abort();
                let _ = task.await;
            }

            async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
                tokio::time::timeout(duration, future).await.ok()
            }
        }
    };
}

app_on_tokio!(TokioApp, 2, "tokio");
app_on_tokio!(TokioOneThread, 1, "tokio-current-thread");

/// An executor that isn't smol's global one, with a thread of its own that never ends.
fn own_executor() -> &'static smol::Executor<'static> {
    static EXECUTOR: smol::Executor<'static> = smol::Executor::new();
    static START: Once = Once::new();
    START.call_once(|| {
        thread::spawn(|| smol::block_on(EXECUTOR.run(pending::<()>())));
    });
    &EXECUTOR
}

macro_rules! app_on_smol {
    ($app:ty, $spawn:expr) => {
        impl App for $app {
            const FOUND: &'static str = "smol";

            type Task<T: Send + 'static> = smol::Task<T>;

            fn main<F: Future>(main: F) -> F::Output {
                smol::block_on(main)
            }

            fn spawn<F>(future: F) -> Self::Task<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                $spawn(future)
            }

            fn join<T: Send + 'static>(task: Self::Task<T>) -> impl Future<Output = T> + Send + 'static {
                task
            }

            async fn end<T: Send + 'static>(task: Self::Task<T>) {
                task.cancel().await;
            }

            async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
                let late = async {
                    smol::Timer::after(duration).await;
                    None
                };
                smol::future::or(async { Some(future.await) }, late).await
            }
        }
    };
}

app_on_smol!(SmolApp, smol::spawn);
app_on_smol!(SmolOwnExecutor, |future| own_executor().spawn(future));

impl App for AsyncStdApp {
    const FOUND: &'static str = "async-std";

    type Task<T: Send + 'static> = async_std::task::JoinHandle<T>;

    fn main<F: Future>(main: F) -> F::Output {
        async_std::task::block_on(main)
    }

    fn spawn<F>(future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        async_std::task::spawn(future)
    }

    fn join<T: Send + 'static>(task: Self::Task<T>) -> impl Future<Output = T> + Send + 'static {
        task
    }

    async fn end<T: Send + 'static>(task: Self::Task<T>) {
        task.cancel().await;
    }

    async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
        async_std::future::timeout(duration, future).await.ok()
    }
}

macro_rules! on_every_runtime {
    ($($pattern:ident,)*) => {$(
        mod $pattern {
            #[test]
            fn tokio() {
                super::$pattern::<super::TokioApp>();
            }

            #[test]
            fn tokio_current_thread() {
                super::$pattern::<super::TokioOneThread>();
            }

            #[test]
            fn smol() {
                super::$pattern::<super::SmolApp>();
            }

            #[test]
            fn smol_with_an_executor_of_its_own() {
                super::$pattern::<super::SmolOwnExecutor>();
            }

            #[test]
            fn async_std() {
                super::$pattern::<super::AsyncStdApp>();
            }
        }
    )*};
}

on_every_runtime! {
    a_group_in_a_task_of_the_applications,
    one_function_uses_everything,
    a_body_that_may_not_be_sent,
    a_task_that_is_ended_takes_its_group_along,
    a_task_that_is_ended_while_its_child_is_in_a_poll,
    a_shield_in_a_child_outlives_the_task_around_its_group,
    a_shield_in_the_task_itself_goes_with_it_and_a_cleanup_does_not,
    a_timeout_of_the_runtimes_own_around_a_group,
    a_timeout_in_a_select,
    a_group_that_is_polled_by_the_rounds_of_a_select,
    a_token_of_the_applications_around_a_group,
    a_token_of_the_applications_asks_a_group_to_stop,
    primitives_of_others_in_children,
    primitives_of_anyscope_in_tasks_of_the_applications,
    groups_in_a_collection_of_futures,
    streams_in_a_child,
    a_panic_of_a_child_is_the_tasks,
    what_travels_with_a_group_stops_at_the_applications_spawn,
    a_task_of_the_applications_is_not_a_child,
    a_blocking_job_of_a_task_that_is_ended,
    blocking_on_a_group_inside_of_a_job,
    blocking_on_a_group_from_a_plain_thread,
    a_plain_thread_reaches_a_group_by_its_portal,
    a_group_that_is_carried_to_another_runtime,
    many_tasks_are_ended_at_once,
    a_main_that_panics,
}

/// Counts the futures that are alive by what they hold.
#[derive(Clone, Default)]
struct Census(Arc<()>);

impl Census {
    fn member(&self) -> Arc<()> {
        self.0.clone()
    }

    fn alive(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// How many have got somewhere. On tokio's semaphore: one of anyscope's refuses to be asked for more than it has.
#[derive(Clone)]
struct Count(Arc<tokio::sync::Semaphore>);

impl Count {
    fn new() -> Self {
        Self(Arc::new(tokio::sync::Semaphore::new(0)))
    }

    fn one(&self) {
        self.0.add_permits(1);
    }

    async fn reached(&self, number: u32) {
        self.0.acquire_many(number).await.expect("it is never closed").forget();
    }
}

/// Tells that it has begun, and never ends.
async fn never_ends(member: Arc<()>, begun: Count) {
    let _member = member;
    begun.one();
    pending().await
}

/// Polls a future once, with the waker of the task around.
async fn polled<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

fn said(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("")
}

fn a_group_in_a_task_of_the_applications<A: App>() {
    A::main(async {
        let task = A::spawn(task_group(async |g| {
            let first = g.spawn(async { Current::get().name() });
            let second = g.spawn(async {
                sleep(Duration::from_millis(1)).await;
                2
            });
            (Current::get().name(), first.await, second.await)
        }));
        assert_eq!(A::join(task).await, (A::FOUND, A::FOUND, 2));
    });
}

static LOCAL: TaskLocal<u32> = TaskLocal::new();

/// A function deep inside of the application, written anew.
async fn everything() -> u32 {
    let semaphore = Semaphore::new(1);
    let numbers = vec![1, 2, 3];
    let doubled = gather(numbers.iter().map(async |n| {
        let _permit = semaphore.acquire().await.expect("it is open");
        yield_now().await;
        n * 2
    }))
    .limit(2)
    .await;
    let squared = gather((1..4_u32).map(|n| async move { n * n })).parallel().await;
    let parsed = try_gather(["1", "x"].map(async |text: &str| text.parse::<u32>())).await;
    assert!(parsed.is_err());

    let failed = try_task_group(async |g| {
        g.spawn(pending::<Result<(), String>>());
        g.spawn(async { Err::<(), _>("wrong".to_owned()) });
        pending().await
    })
    .await;
    assert_eq!(Result::<(), _>::unwrap_err(failed).first(), "wrong");

    assert!(timeout(Duration::from_millis(1), sleep(HOUR)).await.is_err());
    let token = CancelToken::new();
    token.cancel_with("enough");
    assert_eq!(token.run(sleep(HOUR)).await.unwrap_err().reason().message(), Some("enough"));

    let job = LOCAL.scope(5, async { unblock(|| LOCAL.get()).await }).await;
    let saved = shield(HOUR, async {
        yield_now().await;
        1
    })
    .await;
    let cleaned = Arc::new(AtomicUsize::new(0));
    let cleaning = cleaned.clone();
    let work = with_cleanup(async { Ok::<_, String>(1) }, async move { cleaning.store(1, Ordering::SeqCst) }, HOUR);
    let work = work.await.expect("both ended well");
    let borrowed: u32 = scope(|s| {
        let numbers = &numbers;
        async move { s.spawn(async move { numbers.iter().sum() }).await }
    })
    .await;
    let first = race((pending(), async { 7 })).await;
    doubled.iter().sum::<u32>()
        + squared.iter().sum::<u32>()
        + job
        + saved
        + work
        + borrowed
        + first
        + u32::try_from(cleaned.load(Ordering::SeqCst)).expect("it is one")
}

fn one_function_uses_everything<A: App>() {
    A::main(async {
        assert_eq!(everything().await, 47);
        assert_eq!(A::join(A::spawn(everything())).await, 47);
        drained().await;
    });
}

/// A main needn't be `Send`, nor what is in the body of a group there.
fn a_body_that_may_not_be_sent<A: App>() {
    A::main(async {
        let here = Rc::new(1);
        let sum = task_group(async |g| {
            let here = here.clone();
            let child = g.spawn(async { 2 });
            yield_now().await;
            *here + child.await
        });
        assert_eq!(sum.await, 3);
    });
}

fn a_task_that_is_ended_takes_its_group_along<A: App>() {
    A::main(async {
        let (census, begun) = (Census::default(), Count::new());
        let (inside, began) = (census.clone(), begun.clone());
        let task = A::spawn(async move {
            timeout(
                HOUR,
                task_group(async |g| {
                    for _ in 0..5 {
                        let (census, begun) = (inside.clone(), began.clone());
                        g.spawn(task_group(async move |g| {
                            g.spawn(never_ends(census.member(), begun.clone()));
                            never_ends(census.member(), begun).await;
                        }));
                    }
                    pending::<()>().await;
                }),
            )
            .await
        });
        begun.reached(10).await;
        A::end(task).await;
        drained().await;
        assert_eq!(census.alive(), 0);
    });
}

/// Whoever ends the task is on a plain thread, so that it works where there is one thread for all tasks, and a child
/// blocks it.
fn a_task_that_is_ended_while_its_child_is_in_a_poll<A: App>() {
    A::main(async {
        let census = Census::default();
        let (arrived, arrival) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let member = census.member();
        let task = A::spawn(task_group(async move |g| {
            g.spawn(async move {
                let _member = member;
                arrived.send(()).expect("the test waits");
                // An error is as good: it is what lets it go on.
                let _ = released.recv();
                pending::<()>().await;
            });
            pending::<()>().await;
        }));
        let (told, ended) = futures::channel::oneshot::channel();
        let thread = thread::spawn(move || {
            arrival.recv().expect("the child begins");
            let mut end = Box::pin(A::end(task));
            let is_over = end.as_mut().now_or_never().is_some();
            drop(release);
            let _ = told.send((end, is_over));
        });
        let (end, is_over) = ended.await.expect("the thread ends it");
        if !is_over {
            end.await;
        }
        drained().await;
        assert_eq!(census.alive(), 0);
        thread.join().expect("it ends well");
    });
}

fn a_shield_in_a_child_outlives_the_task_around_its_group<A: App>() {
    A::main(async {
        let (census, begun, saved) = (Census::default(), Count::new(), Count::new());
        let release = Arc::new(Event::new());
        let (member, began, saves, released) = (census.member(), begun.clone(), saved.clone(), release.clone());
        let task = A::spawn(task_group(async move |g| {
            g.spawn(async move {
                let _member = member;
                shield(HOUR, async move {
                    began.one();
                    released.wait().await;
                    yield_now().await;
                    assert!(!is_cancelled(), "a shield hears of nothing");
                    saves.one();
                })
                .await;
                pending::<()>().await;
            });
            pending::<()>().await;
        }));
        begun.reached(1).await;
        A::end(task).await;
        assert_eq!(census.alive(), 1, "the end of the task cut a shield");
        release.set();
        drained().await;
        assert_eq!((saved.0.available_permits(), census.alive()), (1, 0));
    });
}

/// The task is the application's: what it drops, is dropped. A clean-up is handed to the runtime.
fn a_shield_in_the_task_itself_goes_with_it_and_a_cleanup_does_not<A: App>() {
    A::main(async {
        let (census, begun, cleaned) = (Census::default(), Count::new(), Count::new());
        let shielded = A::spawn(shield(HOUR, never_ends(census.member(), begun.clone())));
        let (member, began, cleans) = (census.member(), begun.clone(), cleaned.clone());
        let with_one = A::spawn(async move {
            let work = async {
                never_ends(member, began).await;
                Ok::<(), String>(())
            };
            let clean = async move {
                sleep(Duration::from_millis(1)).await;
                cleans.one();
            };
            with_cleanup(work, clean, HOUR).await
        });
        begun.reached(2).await;
        A::end(shielded).await;
        A::end(with_one).await;
        assert_eq!(census.alive(), 0);
        drained().await;
        assert_eq!(cleaned.0.available_permits(), 1);
    });
}

fn a_timeout_of_the_runtimes_own_around_a_group<A: App>() {
    A::main(async {
        let (census, begun) = (Census::default(), Count::new());
        let (member, began) = (census.member(), begun.clone());
        let late = A::timeout(
            Duration::from_millis(5),
            task_group(async move |g| {
                g.spawn(never_ends(member, began));
                // It isn't anyscope's: nobody inside can tell.
                assert_eq!(remaining(), None);
                pending::<()>().await;
            }),
        );
        assert_eq!(late.await, None);
        drained().await;
        assert_eq!(census.alive(), 0);
        let done = A::timeout(HOUR, task_group(async |g| g.spawn(async { 1 }).await));
        assert_eq!(done.await, Some(1));
    });
}

/// `tokio::select!` is a macro, and belongs to no runtime.
fn a_timeout_in_a_select<A: App>() {
    A::main(async {
        let (census, begun) = (Census::default(), Count::new());
        let group = async |limit| {
            let (census, begun) = (census.clone(), begun.clone());
            timeout(
                limit,
                task_group(async move |g| {
                    g.spawn(never_ends(census.member(), begun)).await;
                }),
            )
            .await
        };
        tokio::select! {
            // Only where it has begun, there is something that can be left behind.
            () = begun.reached(1) => {}
            _ = group(HOUR) => unreachable!("it never ends"),
        }
        drained().await;
        assert_eq!(census.alive(), 0, "the branch that lost left something");
        tokio::select! {
            () = pending() => {}
            late = group(Duration::from_millis(1)) => assert!(late.is_err()),
        }
        drained().await;
        assert_eq!(census.alive(), 0, "the timeout left something");
    });
}

/// The usual loop: the group goes on from round to round. What loses a round is dropped: a `recv` of anyscope's gives back
/// what it was handed, and a `send` of tokio's hasn't sent.
fn a_group_that_is_polled_by_the_rounds_of_a_select<A: App>() {
    A::main(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let (told, news) = channel::bounded(1);
        let mut group = pin!(task_group(async move |g| {
            let mut sum = 0_u32;
            while let Some(n) = receiver.recv().await {
                let told = told.clone();
                let child = g.spawn(async move { told.send(n * 10).await.is_ok() });
                sum += n;
                assert!(child.await);
            }
            sum
        }));
        let mut sender = Some(sender);
        let (mut next, mut heard) = (1_u32, 0);
        let sum = loop {
            let send = async {
                match &sender {
                    Some(sender) => sender.send(next).await.is_ok(),
                    None => pending().await,
                }
            };
            tokio::select! {
                sum = &mut group => break sum,
                Ok(n) = news.recv() => heard += n,
                sent = send => {
                    assert!(sent);
                    next += 1;
                    if next > 100 {
                        sender = None;
                    }
                }
            }
        };
        // What was told when the group had ended already.
        while let Ok(n) = news.recv().await {
            heard += n;
        }
        assert_eq!((sum, heard), (5050, 50_500));
    });
}

fn a_token_of_the_applications_around_a_group<A: App>() {
    A::main(async {
        let (census, begun, token) = (Census::default(), Count::new(), CancellationToken::new());
        let tracker = TaskTracker::new();
        for _ in 0..3 {
            let (member, began, token) = (census.member(), begun.clone(), token.child_token());
            let task = tracker.track_future(async move {
                let group = task_group(async move |g| {
                    g.spawn(never_ends(member, began));
                    pending::<()>().await;
                });
                assert!(token.run_until_cancelled(group).await.is_none());
            });
            drop(detached::<A, _>(task));
        }
        begun.reached(3).await;
        tracker.close();
        token.cancel();
        tracker.wait().await;
        drained().await;
        assert_eq!(census.alive(), 0);
    });
}

/// Spawns what goes on whatever happens to its handle, on each runtime.
fn detached<A: App, F: Future<Output = ()> + Send + 'static>(future: F) -> impl Sized {
    let (send, receive) = futures::channel::oneshot::channel();
    let task = A::spawn(async move {
        let task: A::Task<()> = receive.await.expect("it is sent at once");
        future.await;
        // It holds its own handle, so nobody else can drop it.
        drop(task);
    });
    assert!(send.send(task).is_ok());
}

/// Asked, and not dropped: the group is cancelled from inside, and its clean-up is awaited by the task.
fn a_token_of_the_applications_asks_a_group_to_stop<A: App>() {
    A::main(async {
        let (census, begun, saved, token) = (Census::default(), Count::new(), Count::new(), CancellationToken::new());
        let (member, began, saves, asked) = (census.member(), begun.clone(), saved.clone(), token.clone());
        let task = A::spawn(task_group(async move |g| {
            let child = g.task("worker").spawn(async move {
                let _member = member;
                shield(HOUR, async {
                    began.one();
                    yield_now().await;
                    saves.one();
                })
                .await;
                pending::<()>().await;
            });
            asked.cancelled().await;
            g.cancel_with("the application stops");
            match child.outcome().await {
                Outcome::Cancelled(reason) => reason.message().map(str::to_owned),
                other => panic!("{other:?}"),
            }
        }));
        begun.reached(1).await;
        token.cancel();
        assert_eq!(A::join(task).await.as_deref(), Some("the application stops"));
        assert_eq!((saved.0.available_permits(), census.alive()), (1, 0));
    });
}

/// Locks and channels of tokio's need no runtime, and work in children on each.
fn primitives_of_others_in_children<A: App>() {
    A::main(async {
        let total = Arc::new(tokio::sync::Mutex::new(0));
        let places = Arc::new(tokio::sync::Semaphore::new(2));
        let (send, mut receive) = tokio::sync::mpsc::channel(1);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let sum = task_group(async |g| {
            for n in 1..=10 {
                let (total, places, send) = (total.clone(), places.clone(), send.clone());
                g.spawn(async move {
                    let _place = places.acquire().await.expect("it is open");
                    *total.lock().await += n;
                    send.send(n).await.expect("somebody receives");
                });
            }
            let mut waits = stopped.clone();
            let waiting = g.spawn(async move { waits.wait_for(|stopped| *stopped).await.is_ok() });
            drop(send);
            let mut sum = 0;
            while let Some(n) = receive.recv().await {
                sum += n;
            }
            stop.send(true).expect("somebody waits");
            assert!(waiting.await);
            sum
        })
        .await;
        assert_eq!((sum, *total.lock().await, places.available_permits()), (55, 55, 2));

        // A child that is cancelled while it waits gives its place up, as a task of tokio's would.
        let held = places.acquire_many(2).await.expect("it is open");
        let waits = places.clone();
        task_group(async |g| {
            let child = g.spawn(async move { waits.acquire_owned().await.is_ok() });
            yield_now().await;
            g.cancel();
            assert!(child.outcome().await.is_cancelled());
        })
        .await;
        drop(held);
        assert_eq!(places.available_permits(), 2);
    });
}

fn primitives_of_anyscope_in_tasks_of_the_applications<A: App>() {
    A::main(async {
        let places = Arc::new(Semaphore::new(2));
        let total = Arc::new(anyscope::sync::Mutex::new(0));
        let (send, receive) = channel::bounded(1);
        let tasks: Vec<_> = (1..=10)
            .map(|n| {
                let (places, total, send) = (places.clone(), total.clone(), send.clone());
                A::spawn(async move {
                    let _place = places.acquire().await.expect("it is open");
                    *total.lock().await += n;
                    send.send(n).await.expect("somebody receives");
                })
            })
            .collect();
        drop(send);
        let mut sum = 0;
        while let Ok(n) = receive.recv().await {
            sum += n;
        }
        for task in tasks {
            A::join(task).await;
        }
        assert_eq!((sum, *total.lock().await, places.available_permits()), (55, 55, 2));

        // Whoever is ended while it waits leaves the queue to the others.
        let held = places.acquire_many(2).await.expect("it is open");
        let (first, second) = (places.clone(), places.clone());
        let ended = A::spawn(async move { first.acquire().await.is_ok() });
        let served = A::spawn(async move { second.acquire().await.is_ok() });
        while places.statistics().waiting < 2 {
            yield_now().await;
        }
        A::end(ended).await;
        drop(held);
        assert!(A::join(served).await);
        assert_eq!(places.available_permits(), 2);
    });
}

fn groups_in_a_collection_of_futures<A: App>() {
    A::main(async {
        let group = |n: u64| {
            timeout(
                HOUR,
                task_group(async move |g| {
                    let child = g.spawn(async move {
                        yield_now().await;
                        n
                    });
                    child.await + g.spawn_blocking(move || n).await
                }),
            )
        };
        let sum = (1..=20).map(group).collect::<FuturesUnordered<_>>();
        let sum = sum.fold(0, |sum, value| async move { sum + value.expect("an hour is enough") }).await;
        assert_eq!(sum, 420);
        let values: Vec<_> = stream::iter(1..=20).map(group).buffered(3).map(Result::unwrap).collect().await;
        assert_eq!(values, (1..=20).map(|n| 2 * n).collect::<Vec<_>>());

        let (census, begun) = (Census::default(), Count::new());
        let mut endless: FuturesUnordered<_> = (0..10)
            .map(|_| {
                let (member, begun) = (census.member(), begun.clone());
                task_group(async move |g| g.spawn(never_ends(member, begun)).await)
            })
            .collect();
        tokio::select! {
            () = begun.reached(10) => {}
            _ = endless.next() => unreachable!("none ends"),
        }
        drop(endless);
        drained().await;
        assert_eq!(census.alive(), 0);
    });
}

fn streams_in_a_child<A: App>() {
    A::main(async {
        let sums = task_group(async |g| {
            let ordered = g.spawn(async {
                let doubled = stream::iter(1..=10).map(|n: u32| async move {
                    yield_now().await;
                    n * 2
                });
                doubled.buffered(3).collect::<Vec<_>>().await
            });
            let unordered = g.spawn(async {
                let tasks = stream::iter(1..=10).map(|n: u32| unblock(move || n));
                tasks.buffer_unordered(3).fold(0, |sum, n| async move { sum + n }).await
            });
            let joined = g.spawn(futures::future::join_all((0..3).map(|n: u32| timeout(HOUR, async move { n }))));
            (ordered.await.len(), unordered.await, joined.await.len())
        });
        assert_eq!(sums.await, (10, 55, 3));
    });
}

fn a_panic_of_a_child_is_the_tasks<A: App>() {
    A::main(async {
        let (census, begun) = (Census::default(), Count::new());
        let (member, began) = (census.member(), begun.clone());
        let task = A::spawn(task_group(async move |g| {
            g.spawn(never_ends(member, began.clone()));
            g.spawn(async move {
                began.reached(1).await;
                panic!("a child of the application's task");
            });
            pending::<()>().await;
        }));
        let payload = AssertUnwindSafe(A::join(task)).catch_unwind().await.expect_err("its child panics");
        assert_eq!(said(&*payload), "a child of the application's task");
        assert_eq!(census.alive(), 0, "a sibling was left");
        // The runtime goes on, and so does the application.
        assert_eq!(A::join(A::spawn(task_group(async |g| g.spawn(async { 1 }).await))).await, 1);
    });
}

/// Deadlines, cancellations and task-locals go into children and jobs, and not into what the application spawns.
fn what_travels_with_a_group_stops_at_the_applications_spawn<A: App>() {
    A::main(async {
        let inside = LOCAL.scope(
            1,
            timeout(
                HOUR,
                task_group(async |g| {
                    let child = g.spawn(async { (remaining().is_some(), LOCAL.try_get().ok()) }).await;
                    let job = g.spawn_blocking(|| (remaining().is_some(), LOCAL.try_get().ok())).await;
                    let spawned = A::spawn(async { (remaining().is_some(), LOCAL.try_get().ok()) });
                    (child, job, A::join(spawned).await)
                }),
            ),
        );
        assert_eq!(inside.await, Ok(((true, Some(1)), (true, Some(1)), (false, None))));
        assert_eq!((remaining(), LOCAL.try_get().ok()), (None, None));
    });
}

/// A group doesn't wait for what the application's spawn started in a child, nor does it end it. What is to be owned is
/// spawned into the group, also from there.
fn a_task_of_the_applications_is_not_a_child<A: App>() {
    A::main(async {
        let release = Arc::new(Event::new());
        let (census, released) = (Census::default(), release.clone());
        let (member, owned) = (census.member(), census.member());
        let (stray, joined) = task_group(async |g| {
            let handle = g.handle();
            let joined = Count::new();
            let joins = joined.clone();
            let stray = g.spawn(async move {
                let stray = A::spawn(async move {
                    released.wait().await;
                    drop(member);
                    7
                });
                let child = handle.spawn(async move {
                    yield_now().await;
                    drop(owned);
                    joins.one();
                });
                drop(child.expect("the group is open"));
                stray
            });
            (stray.await, joined)
        })
        .await;
        assert_eq!((joined.0.available_permits(), census.alive()), (1, 1));
        release.set();
        assert_eq!(A::join(stray).await, 7);
        assert_eq!(census.alive(), 0);
    });
}

fn a_blocking_job_of_a_task_that_is_ended<A: App>() {
    A::main(async {
        let begun = Count::new();
        let (release, released) = mpsc::channel::<()>();
        let (census, ended) = (Census::default(), Count::new());
        let (member, began, ends) = (census.member(), begun.clone(), ended.clone());
        let task = A::spawn(async move {
            unblock(move || {
                let _member = member;
                began.one();
                // An error is as good: it is what lets it go on.
                let _ = released.recv();
                assert!(is_cancelled(), "a job is told that nobody waits for it any more");
                ends.one();
            })
            .await;
        });
        begun.reached(1).await;
        A::end(task).await;
        assert_eq!((census.alive(), ended.0.available_permits()), (1, 0), "a closure that runs can't be stopped");
        drop(release);
        drained().await;
        assert_eq!((census.alive(), ended.0.available_permits()), (0, 1));
    });
}

/// A job has the runtime of whoever asked for it around, whoever blocks on what there.
fn blocking_on_a_group_inside_of_a_job<A: App>() {
    A::main(async {
        let group = || task_group(async |g| g.spawn(async { Current::get().name() }).await);
        let by_futures = unblock(move || futures::executor::block_on(group())).await;
        let by_smol = unblock(move || smol::block_on(group())).await;
        assert_eq!((by_futures, by_smol), (A::FOUND, A::FOUND));
        let again =
            unblock(move || futures::executor::block_on(async move { unblock(move || smol::block_on(group())).await }));
        assert_eq!(again.await, A::FOUND);
    });
}

/// A plain thread has no runtime around; what is polled there has one where it was begun on one.
fn blocking_on_a_group_from_a_plain_thread<A: App>() {
    A::main(async {
        let (begun, release) = (Count::new(), Arc::new(Event::new()));
        let (began, released) = (begun.clone(), release.clone());
        let mut group = Box::pin(task_group(async move |g| {
            g.spawn(async move {
                began.one();
                released.wait().await;
            });
            let before = Current::get().name();
            begun.reached(1).await;
            let child = g.spawn(async { Current::get().name() });
            (before, child.await, Current::get().name())
        }));
        // Begun here, and then carried away.
        let _ = polled(&mut group).await;
        let (told, found) = futures::channel::oneshot::channel();
        let thread = thread::spawn(move || {
            let _ = told.send(futures::executor::block_on(group));
        });
        release.set();
        assert_eq!(found.await, Ok((A::FOUND, A::FOUND, A::FOUND)));
        thread.join().expect("it ends well");
    });
}

fn a_plain_thread_reaches_a_group_by_its_portal<A: App>() {
    A::main(async {
        let (told, heard) = futures::channel::oneshot::channel::<Portal>();
        let (tell, result) = futures::channel::oneshot::channel();
        let thread = thread::spawn(move || {
            let portal = futures::executor::block_on(heard).expect("a portal comes");
            let found = portal.call(|| async { Current::get().name() });
            let _ = tell.send(found.expect("the group is open"));
        });
        let found = task_group(async |g| {
            assert!(told.send(g.portal()).is_ok());
            result.await.expect("the thread calls")
        })
        .await;
        assert_eq!(found, A::FOUND);
        thread.join().expect("it ends well");
    });
}

/// Two runtimes in a process: a group of the one, awaited on the other, keeps its children where it was begun.
fn a_group_that_is_carried_to_another_runtime<A: App>() {
    let there = tokio_runtime(2);
    A::main(async {
        let release = Arc::new(Event::new());
        let released = release.clone();
        let mut group = Box::pin(task_group(async move |g| {
            let late = g.spawn(async move {
                released.wait().await;
                sleep(Duration::from_millis(1)).await;
                Current::get().name()
            });
            let nested = task_group(async |g| g.spawn(async { Current::get().name() }).await);
            (late.await, nested.await)
        }));
        assert!(polled(&mut group).await.is_pending());
        let awaited = there.spawn(group);
        release.set();
        assert_eq!(awaited.await.expect("it ends well"), (A::FOUND, A::FOUND));

        // And a handle of the one in a task of the other.
        let (sum, handle) = task_group(async |g| {
            let child: Task<u32> = g.spawn(async {
                yield_now().await;
                1
            });
            let handle = g.handle();
            let sum = there.spawn(async move { child.await + 1 }).await.expect("it ends well");
            (sum, handle)
        })
        .await;
        assert_eq!(sum, 2);
        assert!(handle.spawn(async {}).is_err(), "the group has ended");
    });
    there.shutdown_background();
}

fn many_tasks_are_ended_at_once<A: App>() {
    A::main(async {
        let (census, begun) = (Census::default(), Count::new());
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (census, begun) = (census.clone(), begun.clone());
                A::spawn(task_group(async move |g| {
                    for _ in 0..10 {
                        let (member, begun) = (census.member(), begun.clone());
                        g.spawn(async move {
                            let _member = member;
                            begun.one();
                            loop {
                                yield_now().await;
                            }
                        });
                    }
                    pending::<()>().await;
                }))
            })
            .collect();
        begun.reached(500).await;
        futures::future::join_all(tasks.into_iter().map(A::end)).await;
        drained().await;
        assert_eq!(census.alive(), 0);
    });
}

/// The unwinding drops the group in the main itself, and the runtime, where there is one to drop, those in its tasks.
fn a_main_that_panics<A: App>() {
    let census = Census::default();
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        A::main(async {
            let begun = Count::new();
            let (member, began) = (census.member(), begun.clone());
            let mut group = pin!(task_group(async move |g| {
                g.spawn(never_ends(member.clone(), began.clone()));
                never_ends(member, began).await;
            }));
            tokio::select! {
                biased;
                () = &mut group => unreachable!("it never ends"),
                () = begun.reached(2) => panic!("the application is wrong"),
            }
        });
    }));
    assert_eq!(said(&*ended.expect_err("it panics")), "the application is wrong");
    A::main(drained());
    assert_eq!(census.alive(), 0);
}

// What is about one runtime.

/// A task of the application's with a group in it, which has a child behind a shield, an idle child, and one that spawned
/// a group of its own.
async fn three_levels(census: Census, begun: Count) {
    task_group(async move |g| {
        g.spawn(shield(HOUR, never_ends(census.member(), begun.clone())));
        g.spawn(never_ends(census.member(), begun.clone()));
        let (member, began) = (census.member(), begun.clone());
        g.spawn(task_group(async move |g| {
            g.spawn(never_ends(member, began)).await;
        }));
        never_ends(census.member(), begun).await;
    })
    .await;
}

/// Both flavours, and each way to shut one down.
fn each_shutdown(check: impl Fn(tokio::runtime::Runtime, fn(tokio::runtime::Runtime))) {
    for threads in [1, 2] {
        check(tokio_runtime(threads), drop);
        check(tokio_runtime(threads), |runtime| runtime.shutdown_timeout(HOUR));
        check(tokio_runtime(threads), tokio::runtime::Runtime::shutdown_background);
    }
}

#[test]
fn a_runtime_that_is_dropped_ends_groups_and_shields() {
    each_shutdown(|runtime, shut_down| {
        let (census, begun) = (Census::default(), Count::new());
        let task = runtime.spawn(three_levels(census.clone(), begun.clone()));
        runtime.block_on(begun.reached(4));
        shut_down(runtime);
        let error = futures::executor::block_on(task).expect_err("it never ends by itself");
        assert!(error.is_cancelled(), "{error}");
        futures::executor::block_on(drained());
        // Without a wait for its threads, a worker may be about to drop what it has just taken leave of.
        while census.alive() > 0 {
            thread::yield_now();
        }
    });
}

/// Hundreds of groups, all of whose children are at work, and whose destructors spawn: into their group, and by the
/// runtime's own spawn.
#[test]
fn a_runtime_that_is_dropped_in_full_swing() {
    struct Spawns {
        group: GroupHandle,
        runtime: tokio::runtime::Handle,
        _member: Arc<()>,
        late: Arc<()>,
    }

    impl Drop for Spawns {
        fn drop(&mut self) {
            let (first, second) = (self.late.clone(), self.late.clone());
            let _ = self.group.spawn(async move { drop(first) });
            drop(self.runtime.spawn(async move { drop(second) }));
        }
    }

    each_shutdown(|runtime, shut_down| {
        let (census, begun) = (Census::default(), Count::new());
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (census, begun, handle) = (census.clone(), begun.clone(), runtime.handle().clone());
                runtime.spawn(task_group(async move |g| {
                    for _ in 0..5 {
                        let (group, runtime) = (g.handle(), handle.clone());
                        let spawns = Spawns { group, runtime, _member: census.member(), late: census.member() };
                        let begun = begun.clone();
                        g.spawn(async move {
                            let _spawns = spawns;
                            begun.one();
                            loop {
                                yield_now().await;
                            }
                        });
                    }
                    pending::<()>().await;
                }))
            })
            .collect();
        runtime.block_on(begun.reached(250));
        shut_down(runtime);
        for task in tasks {
            assert!(futures::executor::block_on(task).is_err_and(|error| error.is_cancelled()));
        }
        futures::executor::block_on(drained());
        while census.alive() > 0 {
            thread::yield_now();
        }
    });
}

/// A task of one runtime waits for a child on another, which goes away.
#[test]
fn a_task_waits_for_a_child_of_a_runtime_that_goes() {
    each_shutdown(|runtime, shut_down| {
        let here = tokio_runtime(2);
        let (told, child) = futures::channel::oneshot::channel();
        let begun = Count::new();
        let began = begun.clone();
        runtime.spawn(task_group(async move |g| {
            assert!(told.send(g.spawn(never_ends(Arc::new(()), began))).is_ok());
            pending::<()>().await;
        }));
        runtime.block_on(begun.reached(1));
        let child = futures::executor::block_on(child).expect("it was sent");
        let waiting = here.spawn(child.outcome());
        shut_down(runtime);
        let outcome = here.block_on(waiting).expect("it ends well");
        // Whichever went first: the runtime under the child, or the task that owned the group.
        assert!(matches!(outcome, Outcome::RuntimeGone | Outcome::Cancelled(_)), "{outcome:?}");
    });
}

/// A runtime with one thread goes on only while somebody blocks on it. A group may span several such times.
#[test]
fn a_group_that_spans_two_block_ons() {
    for threads in [1, 2] {
        let runtime = tokio_runtime(threads);
        let (begun, release) = (Count::new(), Arc::new(Event::new()));
        let (began, released) = (begun.clone(), release.clone());
        let mut group = Box::pin(task_group(async move |g| {
            let child = g.spawn(async move {
                began.one();
                released.wait().await;
                sleep(Duration::from_millis(1)).await;
                Current::get().name()
            });
            child.await
        }));
        runtime.block_on(async {
            assert!(polled(&mut group).await.is_pending());
            begun.reached(1).await;
        });
        release.set();
        assert!(runtime.block_on(group).starts_with("tokio"));
    }
}

/// What its `block_on` polls belongs to the caller, and lives on; children on a runtime that is gone tell so.
#[test]
fn a_group_that_outlives_its_runtime_is_told() {
    each_shutdown(|runtime, shut_down| {
        let (census, begun) = (Census::default(), Count::new());
        let (member, began) = (census.member(), begun.clone());
        let mut group = Box::pin(task_group(async move |g| {
            let child = g.spawn(never_ends(member, began));
            let outcome = child.outcome().await;
            (matches!(outcome, Outcome::RuntimeGone), matches!(g.spawn(async {}).outcome().await, Outcome::RuntimeGone))
        }));
        runtime.block_on(async {
            assert!(polled(&mut group).await.is_pending());
            begun.reached(1).await;
        });
        shut_down(runtime);
        assert_eq!(futures::executor::block_on(group), (true, true));
        assert_eq!(census.alive(), 0);
    });
}

/// tokio waits for closures that run when a runtime is dropped, unless it is told not to; anyscope's are among them.
#[test]
fn a_job_that_runs_while_its_runtime_goes_ends_by_itself() {
    each_shutdown(|runtime, shut_down| {
        let (begun, census) = (Count::new(), Census::default());
        let (release, released) = mpsc::channel::<()>();
        let (began, member) = (begun.clone(), census.member());
        let task = runtime.spawn(task_group(async move |g| {
            let job = g.spawn_blocking(move || {
                let _member = member;
                began.one();
                // An error is as good: it is what lets it go on.
                let _ = released.recv();
            });
            job.await;
            pending::<()>().await;
        }));
        runtime.block_on(begun.reached(1));
        let going = thread::spawn(move || shut_down(runtime));
        assert_eq!(census.alive(), 1, "a closure that runs can't be stopped");
        drop(release);
        going.join().expect("it ends well");
        let error = futures::executor::block_on(task).expect_err("its runtime is gone");
        assert!(error.is_cancelled(), "{error}");
        futures::executor::block_on(drained());
        assert_eq!(census.alive(), 0);
    });
}

/// Where nobody waits for the job, the task ends at once, and `drained` knows of the job. So it does of other tests' jobs.
#[test]
fn a_job_of_a_runtime_that_nobody_waits_for_is_waited_for_by_drained() {
    if !alone("a_job_of_a_runtime_that_nobody_waits_for_is_waited_for_by_drained") {
        return;
    }
    for threads in [1, 2] {
        let runtime = tokio_runtime(threads);
        let (begun, census) = (Count::new(), Census::default());
        let (release, released) = mpsc::channel::<()>();
        let (began, member) = (begun.clone(), census.member());
        let task = runtime.spawn(task_group(async move |g| {
            let job = g.spawn_blocking(move || {
                let _member = member;
                began.one();
                let _ = released.recv();
            });
            job.await;
        }));
        runtime.block_on(begun.reached(1));
        runtime.shutdown_background();
        let error = futures::executor::block_on(task).expect_err("its runtime is gone");
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(census.alive(), 1);
        assert!(drained().now_or_never().is_none(), "the job runs");
        drop(release);
        futures::executor::block_on(drained());
        assert_eq!(census.alive(), 0);
    }
}

/// A child in the middle of a poll is waited for by nobody there, and ends when the poll returns.
#[test]
fn a_child_that_blocks_its_thread_while_the_runtime_goes() {
    let runtime = tokio_runtime(2);
    let census = Census::default();
    let member = census.member();
    let (arrived, arrival) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let task = runtime.spawn(task_group(async move |g| {
        g.spawn(async move {
            let _member = member;
            arrived.send(()).expect("the test waits");
            let _ = released.recv();
            pending::<()>().await;
        });
        pending::<()>().await;
    }));
    arrival.recv().expect("the child begins");
    runtime.shutdown_background();
    assert_eq!(census.alive(), 1);
    drop(release);
    let error = futures::executor::block_on(task).expect_err("its runtime is gone");
    assert!(error.is_cancelled(), "{error}");
    futures::executor::block_on(drained());
    while census.alive() > 0 {
        thread::yield_now();
    }
}

#[test]
fn a_join_set_owns_groups() {
    for threads in [1, 2] {
        tokio_runtime(threads).block_on(async {
            let mut set = tokio::task::JoinSet::new();
            for n in 0..10 {
                set.spawn(task_group(async move |g| g.spawn(async move { n }).await));
            }
            let mut sum = 0;
            while let Some(value) = set.join_next().await {
                sum += value.expect("it ends well");
            }
            assert_eq!(sum, 45);

            // Once told to shut down, and once just dropped.
            for waits in [true, false] {
                let (census, begun) = (Census::default(), Count::new());
                let mut set = tokio::task::JoinSet::new();
                for _ in 0..10 {
                    set.spawn(two_levels(census.clone(), begun.clone()));
                }
                begun.reached(20).await;
                if waits {
                    set.shutdown().await;
                } else {
                    drop(set);
                    // The set's tasks are dropped by the runtime, and not by the drop of the set.
                    while census.alive() > 0 {
                        tokio::task::yield_now().await;
                    }
                }
                drained().await;
                assert_eq!(census.alive(), 0);
            }
        });
    }
}

async fn two_levels(census: Census, begun: Count) {
    task_group(async move |g| {
        g.spawn(never_ends(census.member(), begun.clone()));
        never_ends(census.member(), begun).await;
    })
    .await;
}

/// tokio's timers, sockets and spawns are there in children, which are polled on its threads.
#[test]
fn children_are_in_the_context_of_tokio() {
    for threads in [1, 2] {
        tokio_runtime(threads).block_on(task_group(async |g| {
            let slept = g.spawn(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                tokio::time::timeout(HOUR, async { 1 }).await.is_ok()
            });
            let listening = g.spawn(async { tokio::net::TcpListener::bind("127.0.0.1:0").await });
            let listener = listening.await.expect("a port");
            let address = listener.local_addr().expect("it has one");
            let connected = g.spawn(tokio::net::TcpStream::connect(address));
            assert!(listener.accept().await.is_ok());
            assert!(connected.await.is_ok() && slept.await);
            let nested = g.spawn(async { tokio::spawn(async { Current::get().name() }).await });
            assert!(nested.await.expect("it ends well").starts_with("tokio"));
        }));
    }
}

/// A task that is bound to its thread may own a group; the children are `Send`, and go where the runtime polls them.
#[test]
fn a_local_set_has_groups() {
    for threads in [1, 2] {
        let runtime = tokio_runtime(threads);
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let here = Rc::new(1);
            let inside = here.clone();
            let task = tokio::task::spawn_local(async move {
                task_group(async |g| {
                    let child = g.spawn(async {
                        yield_now().await;
                        2
                    });
                    *inside + child.await
                })
                .await
            });
            assert_eq!(task.await.expect("it ends well"), 3);
            assert_eq!(Rc::strong_count(&here), 1);

            let (census, begun) = (Census::default(), Count::new());
            let task = tokio::task::spawn_local(two_levels(census.clone(), begun.clone()));
            begun.reached(2).await;
            task.abort();
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
            drained().await;
            assert_eq!(census.alive(), 0);
        });
        // And one that is in the set when that is dropped.
        let (census, begun) = (Census::default(), Count::new());
        local.spawn_local(two_levels(census.clone(), begun.clone()));
        local.block_on(&runtime, begun.reached(2));
        drop(local);
        runtime.block_on(drained());
        assert_eq!(census.alive(), 0);
    }
}

/// `block_in_place` and a handle: a group inside of a poll of another group's child.
#[test]
fn blocking_in_place_in_a_child() {
    let found = tokio_runtime(2).block_on(task_group(async |g| {
        let child = g.spawn(async {
            let group = task_group(async |g| g.spawn(async { Current::get().name() }).await);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(group))
        });
        let sibling = g.spawn(async { 1 });
        (child.await, sibling.await)
    }));
    assert_eq!(found, ("tokio", 1));
}

/// A plain thread that has entered a runtime by its handle is on it, and waits with whatever it likes.
#[test]
fn a_plain_thread_that_enters_tokio() {
    let runtime = tokio_runtime(2);
    let handle = runtime.handle().clone();
    let group = || task_group(async |g| g.spawn(async { Current::get().name() }).await);
    let thread = thread::spawn(move || {
        let inside = handle.block_on(group());
        let _context = handle.enter();
        (inside, futures::executor::block_on(group()))
    });
    assert_eq!(thread.join().expect("it ends well"), ("tokio", "tokio"));
    // A closure of `spawn_blocking` has entered it already.
    let job = runtime.spawn_blocking(move || futures::executor::block_on(group()));
    assert_eq!(runtime.block_on(job).expect("it ends well"), "tokio");
}

/// Tests of an application that stop tokio's clock go on doing so: an hour is over at once, and a closure that runs holds
/// the time.
#[test]
fn a_clock_of_tokios_that_is_paused() {
    tokio_runtime(1).block_on(async {
        tokio::time::pause();
        let (theirs, ours) = (tokio::time::Instant::now(), anyscope::now());
        let slept = task_group(async |g| {
            let ours = g.spawn(sleep(HOUR));
            let theirs = g.spawn(tokio::time::sleep(HOUR));
            let cut = g.spawn(timeout(2 * HOUR, pending::<()>()));
            (ours.await, theirs.await, cut.await.is_err())
        });
        assert_eq!(slept.await, ((), (), true));
        assert_eq!(timeout(HOUR, unblock(|| 1)).await, Ok(1));
        let stragglers = task_group(async |g| {
            g.spawn(pending::<()>());
            g.shutdown(HOUR).await
        });
        assert_eq!(stragglers.await.len(), 1);
        assert!(theirs.elapsed() >= 3 * HOUR && theirs.elapsed() < 4 * HOUR);
        assert!(anyscope::now() - ours >= 3 * HOUR);
    });
}

/// A task-local of tokio's is its task's: it isn't there in children, and a `TaskLocal` is.
#[test]
fn a_task_local_of_tokios_stops_at_a_child() {
    tokio::task_local! {
        static THEIRS: u32;
    }
    tokio_runtime(2).block_on(THEIRS.scope(
        1,
        LOCAL.scope(2, async {
            task_group(async |g| {
                assert_eq!((THEIRS.get(), LOCAL.get()), (1, 2), "the body is in the task");
                let child = g.spawn(async { (THEIRS.try_with(|n| *n).ok(), LOCAL.try_get().ok()) });
                assert_eq!(child.await, (None, Some(2)));
            })
            .await;
            // What is gathered in the task has both.
            assert_eq!(gather((async { THEIRS.get() }, async { LOCAL.get() })).await, (1, 2));
        }),
    ));
}

/// The handle of a task of smol's is its owner, so dropping it drops the group; that of tokio and async-std isn't.
#[test]
fn a_dropped_handle_means_what_it_means_to_the_runtime() {
    smol::block_on(async {
        let (census, begun) = (Census::default(), Count::new());
        let task = smol::spawn(two_levels(census.clone(), begun.clone()));
        begun.reached(2).await;
        drop(task);
        while census.alive() > 0 {
            yield_now().await;
        }
        drained().await;
    });
    fn goes_on<A: App>() {
        A::main(async {
            let (release, ended) = (Arc::new(Event::new()), Count::new());
            let (released, ends) = (release.clone(), ended.clone());
            drop(A::spawn(task_group(async move |g| {
                g.spawn(async move {
                    released.wait().await;
                    ends.one();
                });
            })));
            release.set();
            ended.reached(1).await;
        });
    }
    goes_on::<TokioApp>();
    goes_on::<AsyncStdApp>();
}

/// An executor of the application's own that it drops takes the tasks along, and the groups in them. Their children are
/// on smol's global one, which stays, and so a shield there ends well.
#[test]
fn an_executor_of_smols_that_is_dropped_ends_its_groups() {
    let (census, begun, saved) = (Census::default(), Count::new(), Count::new());
    let release = Arc::new(Event::new());
    let executor = smol::Executor::new();
    let (inside, began, saves, released) = (census.clone(), begun.clone(), saved.clone(), release.clone());
    executor
        .spawn(task_group(async move |g| {
            g.spawn(never_ends(inside.member(), began.clone()));
            let (member, begins) = (inside.member(), began.clone());
            g.spawn(shield(HOUR, async move {
                let _member = member;
                begins.one();
                released.wait().await;
                saves.one();
            }));
            never_ends(inside.member(), began).await;
        }))
        .detach();
    smol::block_on(executor.run(begun.reached(3)));
    drop(executor);
    release.set();
    smol::block_on(drained());
    assert_eq!((census.alive(), saved.0.available_permits()), (0, 1));
}

/// A `LocalExecutor` polls what may not be sent; a group in there lives and ends with it.
#[test]
fn a_local_executor_of_smols_has_groups() {
    let (census, begun) = (Census::default(), Count::new());
    let executor = smol::LocalExecutor::new();
    let here = Rc::new(1);
    let sum = smol::block_on(executor.run(executor.spawn({
        let here = here.clone();
        async move { task_group(async |g| *here + g.spawn(async { 2 }).await).await }
    })));
    assert_eq!((sum, Rc::strong_count(&here)), (3, 1));
    executor.spawn(two_levels(census.clone(), begun.clone())).detach();
    smol::block_on(executor.run(begun.reached(2)));
    drop(executor);
    smol::block_on(drained());
    assert_eq!(census.alive(), 0);
}

/// Runs the rest of a test in a process of its own, where a choice for the whole process disturbs nobody, and what is left
/// in the whole process is the test's. Returns whether this is that process.
fn alone(test: &str) -> bool {
    const ALONE: &str = "ANYSCOPE_ADOPTION_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let tests = std::env::current_exe().expect("the path of the tests");
    let output = Command::new(tests).args([test, "--exact", "--nocapture"]).env(ALONE, "1").output();
    let output = output.expect("a process for the test");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the process ended with {}:\n{told}\n{errors}", output.status);
    assert!(told.contains("1 passed"), "the process ran another test than `{test}`:\n{told}");
    false
}

/// By `set_default`, children are on the executor that the application's tasks are on.
#[test]
fn an_executor_of_smols_can_be_chosen_for_the_children() {
    if !alone("an_executor_of_smols_can_be_chosen_for_the_children") {
        return;
    }
    let executor = Arc::new(smol::Executor::new());
    anyscope::set_default(anyscope::smol::Smol::with_executor(executor.clone()).threads(1));
    let task = executor.spawn(task_group(async |g| {
        let child = g.spawn(async { (Current::get().name(), thread::current().id()) });
        (child.await, g.spawn_blocking(|| Current::get().name()).await)
    }));
    // Nobody else runs this executor, so the children can be on this thread alone.
    let (child, job) = smol::block_on(executor.run(task));
    assert_eq!((child, job), (("smol-owned", thread::current().id()), "smol-owned"));
}

/// With feature `smol` there is always a runtime, whoever blocks.
#[test]
fn an_executor_without_a_runtime_is_on_smol() {
    assert_eq!(futures::executor::block_on(everything()), 47);
    let mut pool = futures::executor::LocalPool::new();
    assert_eq!(pool.run_until(everything()), 47);
    let group = task_group(async |g| g.spawn(async { Current::get().name() }).await);
    assert_eq!(pool.run_until(group), "smol");
    pool.run_until(drained());
}

/// Without it there is none, and each call says what to do: an application that forgot its feature, built as such.
#[test]
fn an_executor_without_a_runtime_is_told_what_to_do_without_smol() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder is around");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "anyscope-tests-bare", "--target-dir"])
        .arg(folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 6, "{told}");
    for line in &lines[..5] {
        assert!(
            line.contains("no async runtime around the call at tests/bare/main.rs") && line.contains("feature `tokio`"),
            "{line}"
        );
    }
    assert_eq!(lines[5], "what needs no runtime: [1, 2] 3");
}
