//! The runtimes, each with the same number of threads for anyscope and for its peers.

use crate::case::Rounds;
use async_executor::{Executor, StaticExecutor};
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// What a process has to have in its environment for async-std to have as many threads as the others.
pub(crate) const ASYNC_STD_THREADS: (&str, &str) = ("ASYNC_STD_THREAD_COUNT", "2");

/// Where a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum On {
    /// On no runtime: the work is polled in a loop, or isn't asynchronous.
    Nothing,
    TokioCurrentThread,
    /// tokio with two workers; the work is a task on one of them.
    Tokio,
    /// An executor of smol's that this thread runs, and nobody else.
    SmolOneThread,
    /// An executor of smol's that this thread and another run.
    Smol,
    /// async-std's runtime, with two threads; the work is on this thread.
    AsyncStd,
}

/// Whose work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Peers,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            On::Nothing => "none",
            On::TokioCurrentThread => "tokio-current-thread",
            On::Tokio => "tokio",
            On::SmolOneThread => "smol-one-thread",
            On::Smol => "smol",
            On::AsyncStd => "async-std",
        })
    }
}

static CURRENT_THREAD: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

static MULTI_THREAD: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
});

static ONE_THREAD: LazyLock<Arc<Executor<'static>>> = LazyLock::new(Arc::default);

static TWO_THREADS: LazyLock<Arc<Executor<'static>>> = LazyLock::new(|| {
    let executor = Arc::new(Executor::new());
    let other = executor.clone();
    thread::spawn(move || async_io::block_on(other.run(pending::<()>())));
    executor
});

/// The static executor of smol's, which keeps no list of its tasks, on two threads.
pub(crate) static STATIC: StaticExecutor = StaticExecutor::new();

static STATIC_THREAD: LazyLock<()> = LazyLock::new(|| {
    thread::spawn(|| async_io::block_on(STATIC.run(pending::<()>())));
});

impl On {
    /// All that run tasks.
    pub(crate) const ALL: [On; 5] = [On::TokioCurrentThread, On::Tokio, On::SmolOneThread, On::Smol, On::AsyncStd];

    /// Whether there is one thread, so that counts are the same each time.
    pub(crate) fn is_one_thread(self) -> bool {
        matches!(self, On::Nothing | On::TokioCurrentThread | On::SmolOneThread)
    }

    /// The executor, where it is one of smol's.
    pub(crate) fn executor(self) -> &'static Arc<Executor<'static>> {
        match self {
            On::SmolOneThread => &ONE_THREAD,
            _ => &TWO_THREADS,
        }
    }

    /// The tokio runtime, where it is one.
    pub(crate) fn tokio(self) -> &'static tokio::runtime::Runtime {
        match self {
            On::TokioCurrentThread => &CURRENT_THREAD,
            _ => &MULTI_THREAD,
        }
    }

    /// Starts the runtime, and its threads: what that allocates isn't a subject's.
    fn warm_up(self) {
        match self {
            On::Nothing => {}
            On::TokioCurrentThread | On::Tokio => self.tokio().block_on(self.tokio().spawn(async {})).expect("it ends"),
            On::SmolOneThread | On::Smol => {
                let executor = self.executor();
                async_io::block_on(executor.run(executor.spawn(async {})));
            }
            On::AsyncStd => async_std::task::block_on(async_std::task::spawn(async {})),
        }
    }

    /// Rounds of asynchronous work. An application on tokio calls anyscope from its own tasks, others by `run`.
    pub(crate) fn rounds<W, F>(self, whose: Whose, round: W) -> Rounds
    where
        W: Fn() -> F + Clone + Send + 'static,
        F: Future<Output: Send> + Send + 'static,
    {
        self.drive(whose, Box::new(move |times| Box::pin(repeat(round.clone(), times))))
    }

    /// The type of the work is left out here: a copy of each runtime for every subject would take minutes to compile.
    fn drive(self, whose: Whose, rounds: Box<dyn Fn(u64) -> Repeat>) -> Rounds {
        self.warm_up();
        match self {
            On::Nothing => Box::new(move |times| poll_to_the_end(rounds(times))),
            On::TokioCurrentThread => Box::new(move |times| self.tokio().block_on(rounds(times))),
            On::Tokio => Box::new(move |times| {
                let task = self.tokio().spawn(rounds(times));
                self.tokio().block_on(task).expect("the rounds end")
            }),
            On::SmolOneThread | On::Smol => {
                let threads = if self == On::Smol { 2 } else { 1 };
                let executor = self.executor();
                match whose {
                    Whose::Ours => {
                        let smol = anyscope::smol::Smol::with_executor(executor.clone()).threads(threads);
                        Box::new(move |times| anyscope::run(smol.clone(), rounds(times)))
                    }
                    Whose::Peers => Box::new(move |times| async_io::block_on(executor.run(rounds(times)))),
                }
            }
            On::AsyncStd => match whose {
                Whose::Ours => {
                    let runtime = anyscope::async_std::AsyncStd::new();
                    Box::new(move |times| anyscope::run(runtime, rounds(times)))
                }
                Whose::Peers => Box::new(move |times| async_std::task::block_on(rounds(times))),
            },
        }
    }
}

/// So many rounds of some work, and how long they took.
type Repeat = Pin<Box<dyn Future<Output = Duration> + Send>>;

/// Rounds on smol's static executor.
pub(crate) fn on_static<W, F>(round: W) -> Rounds
where
    W: Fn() -> F + Clone + Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    LazyLock::force(&STATIC_THREAD);
    Box::new(move |times| async_io::block_on(STATIC.run(repeat(round.clone(), times))))
}

/// Polls in a loop: a future that yields is polled again at once.
fn poll_to_the_end<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(out) = future.as_mut().poll(&mut cx) {
            return out;
        }
    }
}

/// The same inside of a task, whose runtime hears nothing of it: what is counted is the future, and not the runtime.
/// The cooperative budget, which is for a whole poll of the task, has no end meanwhile.
pub(crate) async fn unscheduled<F: Future>(future: F) -> F::Output {
    let mut future = pin!(tokio::task::unconstrained(future));
    poll_fn(|_| Poll::Ready(poll_to_the_end(future.as_mut()))).await
}

async fn repeat<F: Future>(round: impl Fn() -> F, times: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        black_box(round().await);
    }
    start.elapsed()
}
