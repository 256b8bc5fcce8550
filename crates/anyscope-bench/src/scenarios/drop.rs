//! A1: what holds ten thousand children that wait is dropped, until all of their futures are gone.
//!
//! Of a set of tasks the drop only asks the runtime for it, so the rest is waited for. Where there are more threads than
//! one, the children stay where they have been polled.

use crate::case::{Case, Limit, Rounds, measured};
use crate::runtimes::On;
use crate::shape::yield_once;
use futures::stream::FuturesUnordered;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::JoinSet;

const CHILDREN: usize = 10_000;

const GROUP: &str = "all futures are gone when the drop returns, but for one in the middle of a poll";
const SET: &str = "the drop asks for it; the futures go when the runtime comes to them";
const IN_TASK: &str = "all futures are gone when the drop returns: they are in the task that drops them";

pub(crate) fn cases() -> Vec<Case> {
    vec![tasks(On::TokioCurrentThread), tasks(On::Tokio), tasks(On::SmolOneThread), in_task()]
}

fn tasks(on: On) -> Case {
    let case = Case::new("A1", "group", on, CHILDREN).together().part().time(Limit::Most(60.0));
    // Only what is on the thread that drops could be counted.
    let case = if on.is_one_thread() { case } else { case.timed_only() };
    let case = case.subject("anyscope", GROUP, move || group(on));
    match on {
        On::TokioCurrentThread | On::Tokio => case.subject("JoinSet", SET, move || join_set(on)),
        _ => case.subject("Executor::spawn", SET, move || smol_tasks(on)),
    }
}

fn in_task() -> Case {
    Case::new("A1", "gather", On::TokioCurrentThread, CHILDREN)
        .together()
        .part()
        .time(Limit::Most(10.0))
        .subject("anyscope", IN_TASK, || holding(anyscope::gather))
        .subject("join_all", IN_TASK, || holding(futures::future::join_all))
        .subject("futures-buffered", IN_TASK, || holding(futures_buffered::join_all))
        .subject("FuturesUnordered", IN_TASK, || {
            holding(|children| {
                let mut all: FuturesUnordered<_> = children.into_iter().collect();
                poll_fn(move |cx| futures::Stream::poll_next(Pin::new(&mut all), cx).map(drop))
            })
        })
}

/// Counts the children that were polled, and those that are not gone.
#[derive(Default)]
struct Counts {
    polled: AtomicUsize,
    alive: AtomicUsize,
}

struct Child {
    counts: Arc<Counts>,
    polled: bool,
}

impl Future for Child {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if !self.polled {
            self.polled = true;
            self.counts.polled.fetch_add(1, Ordering::AcqRel);
        }
        Poll::Pending
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.counts.alive.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Counts {
    fn child(self: &Arc<Self>) -> Child {
        self.alive.fetch_add(1, Ordering::AcqRel);
        Child { counts: self.clone(), polled: false }
    }

    async fn until_all_wait(&self) {
        while self.polled.load(Ordering::Acquire) < CHILDREN {
            yield_once().await;
        }
    }

    async fn until_all_are_gone(&self) {
        while self.alive.load(Ordering::Acquire) > 0 {
            yield_once().await;
        }
    }
}

/// Adds up what the drops of as many rounds take.
fn rounds(mut round: impl FnMut() -> Duration + 'static) -> Rounds {
    Box::new(move |times| (0..times).map(|_| round()).sum())
}

fn group(on: On) -> Rounds {
    let round = async || {
        let counts = Arc::new(Counts::default());
        let mut group = Box::pin(anyscope::task_group(async |g| {
            for _ in 0..CHILDREN {
                g.spawn(counts.child());
            }
            counts.until_all_wait().await;
            std::future::pending::<()>().await;
        }));
        let mut waiting = 0;
        poll_fn(|cx| {
            waiting += usize::from(counts.polled.load(Ordering::Acquire) == CHILDREN);
            // Once more, after all of them have been polled: the body has nothing to do any more.
            if waiting > 1 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            group.as_mut().poll(cx).map(|()| unreachable!("the body waits for ever"))
        })
        .await;
        let ((), took) = measured(|| drop(group));
        counts.until_all_are_gone().await;
        took
    };
    match on {
        On::TokioCurrentThread | On::Tokio => rounds(move || on.tokio().block_on(round())),
        _ => {
            let smol = anyscope::smol::Smol::with_executor(on.executor().clone()).threads(1);
            rounds(move || anyscope::run(smol.clone(), round()))
        }
    }
}

fn join_set(on: On) -> Rounds {
    rounds(move || {
        let counts = Arc::new(Counts::default());
        let set = on.tokio().block_on(async {
            let mut set = JoinSet::new();
            for _ in 0..CHILDREN {
                set.spawn(counts.child());
            }
            counts.until_all_wait().await;
            set
        });
        let drop_all = || {
            drop(set);
            on.tokio().block_on(counts.until_all_are_gone());
        };
        measured(drop_all).1
    })
}

fn smol_tasks(on: On) -> Rounds {
    let executor = on.executor();
    rounds(move || {
        let counts = Arc::new(Counts::default());
        let tasks: Vec<_> = async_io::block_on(executor.run(async {
            let tasks = (0..CHILDREN).map(|_| executor.spawn(counts.child())).collect();
            counts.until_all_wait().await;
            tasks
        }));
        let drop_all = || {
            drop(tasks);
            async_io::block_on(executor.run(counts.until_all_are_gone()));
        };
        measured(drop_all).1
    })
}

/// A future that holds the children in the task that polls it.
fn holding<F: Future>(hold: impl Fn(Vec<Child>) -> F + 'static) -> Rounds {
    rounds(move || {
        let counts = Arc::new(Counts::default());
        let _context = On::TokioCurrentThread.tokio().enter();
        let mut all = Box::pin(hold((0..CHILDREN).map(|_| counts.child()).collect()));
        // Those who poll only so many before they yield are polled again.
        let mut cx = Context::from_waker(Waker::noop());
        while counts.polled.load(Ordering::Acquire) < CHILDREN {
            assert!(all.as_mut().poll(&mut cx).is_pending(), "the children wait for ever");
        }
        let ((), took) = measured(|| drop(all));
        assert_eq!(counts.alive.load(Ordering::Acquire), 0, "all are gone");
        took
    })
}
