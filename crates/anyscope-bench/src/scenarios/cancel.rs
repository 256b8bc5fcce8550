//! C1 to C5: asking for a cancellation, tokens, waiting for one, cancelling many, and work under a token.
//!
//! anyscope's tokens carry a reason and a deadline, which no peer's do. A flag and `AbortHandle` have no children; the
//! latter and `stop-token` can't be waited for, or asked, respectively.

use crate::case::{Case, Limit, Rounds, measured, plain};
use crate::runtimes::{On, Whose};
use crate::shape::{Ready, Shape, Signals, Yields};
use crate::slots::Slots;
use anyscope::CancelToken;
use futures::future::{AbortHandle, Abortable};
use futures_intrusive::sync::ManualResetEvent;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use stop_token::StopSource;
use stop_token::future::FutureExt as _;
use tokio_util::sync::CancellationToken;

const TURNS: usize = 1_000;

const TREE: &str = "a tree; a reason and a deadline; reaches every descendant before `cancel` returns";
const TREE_BARE: &str = "a tree; no reason, no deadline";
const FLAG: &str = "one flag: no tree, nobody can wait";
const ABORT: &str = "one future each: no tree, nobody else can wait";
const EVENT: &str = "one event: no tree";
const SHUTDOWN: &str = "one shutdown: no tree; who shuts down can wait for all to leave";
const STOP: &str = "no tree; stops when the source is dropped; can't be asked, only awaited";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [1, 8].map(ask).into();
    cases.push(children());
    cases.push(wait());
    cases.extend([1_000, 100_000].map(cancel));
    cases.extend([under::<Ready>(60.0), under::<Yields>(220.0)]);
    cases
}

/// C1.
fn ask(depth: usize) -> Case {
    /// A thousand questions.
    fn asking<T: 'static>(token: T, ask: impl Fn(&T) -> bool + 'static) -> Rounds {
        plain(move || (0..TURNS).filter(|_| ask(black_box(&token))).count())
    }
    /// As deep as that below its root, of which nobody lets go.
    fn deep<T>(root: T, depth: usize, child: impl Fn(&T) -> T) -> (T, Vec<T>) {
        let mut line = vec![root];
        for _ in 0..depth {
            line.push(child(&line[line.len() - 1]));
        }
        (line.pop().expect("a token"), line)
    }
    let case = Case::new("C1", format!("depth-{depth}"), On::Nothing, TURNS)
        .instructions(Limit::Most(14.0))
        .allocs(0.0)
        .subject("anyscope", TREE, move || {
            asking(deep(CancelToken::new(), depth, CancelToken::child), |it| it.0.is_cancelled())
        })
        .subject("tokio-util", TREE_BARE, move || {
            asking(deep(CancellationToken::new(), depth, CancellationToken::child_token), |it| it.0.is_cancelled())
        });
    if depth > 1 {
        return case;
    }
    case.subject("AtomicBool", FLAG, || asking(Arc::new(AtomicBool::new(false)), |it| it.load(Ordering::Acquire)))
        .subject("AbortHandle", ABORT, || asking(AbortHandle::new_pair(), |it| it.0.is_aborted()))
        .subject("mea", SHUTDOWN, || asking(mea::shutdown::new_pair(), |it| it.1.is_shutdown_now()))
}

/// C2: a child is made and dropped.
fn children() -> Case {
    fn making<T: 'static, C>(root: T, child: impl Fn(&T) -> C + 'static) -> Rounds {
        plain(move || {
            for _ in 0..TURNS {
                drop(black_box(child(black_box(&root))));
            }
        })
    }
    Case::new("C2", "child", On::Nothing, TURNS)
        .instructions(Limit::Most(203.0))
        .allocs(1.0)
        .subject("anyscope", TREE, || making(CancelToken::new(), CancelToken::child))
        .subject("tokio-util", TREE_BARE, || making(CancellationToken::new(), CancellationToken::child_token))
        .subject("AbortHandle", ABORT, || making((), |()| AbortHandle::new_pair()))
        .subject("stop-token", STOP, || making((), |()| StopSource::new()))
}

/// C3: a future that waits is polled once, and dropped.
fn wait() -> Case {
    /// In a place on the stack, a thousand times.
    fn waiting<F: Future + 'static>(wait: impl Fn() -> F + 'static) -> Rounds {
        plain(move || {
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..TURNS {
                assert!(pin!(wait()).poll(&mut cx).is_pending(), "nobody cancels");
            }
        })
    }
    fn kept<T>(token: T) -> &'static T {
        Box::leak(Box::new(token))
    }
    Case::new("C3", "wait", On::Nothing, TURNS)
        .instructions(Limit::Most(140.0))
        .allocs(0.0)
        .subject("anyscope", TREE, || {
            let token = kept(CancelToken::new());
            waiting(|| token.cancelled())
        })
        .subject("tokio-util", TREE_BARE, || {
            let token = kept(CancellationToken::new());
            waiting(|| token.cancelled())
        })
        .subject("futures-intrusive", EVENT, || {
            let event = kept(ManualResetEvent::new(false));
            waiting(|| event.wait())
        })
        .subject("mea", SHUTDOWN, || {
            let (_, receiver) = kept(mea::shutdown::new_pair());
            waiting(|| receiver.is_shutdown())
        })
        .subject("stop-token", STOP, || {
            let source = kept(StopSource::new());
            waiting(|| source.token())
        })
}

/// C4: children with somebody who waits on each; only the cancelling counts.
fn cancel(children: usize) -> Case {
    /// Makes the children and waits on them, which doesn't count.
    fn cancelling<T, C, F>(
        children: usize,
        root: impl Fn() -> T + 'static,
        child: impl Fn(&T) -> C + 'static,
        wait: impl Fn(C) -> F + 'static,
        cancel: impl Fn(&T) + 'static,
    ) -> Rounds
    where
        F: Future + 'static,
    {
        let mut slots = Slots::new(children);
        Box::new(move |times| {
            (0..times).fold(Duration::ZERO, |sum, _| {
                let root = root();
                slots.poll_new(|_| wait(child(&root)));
                let ((), took) = measured(|| cancel(&root));
                slots.clear();
                sum + took
            })
        })
    }
    Case::new("C4", format!("children-{children}"), On::Nothing, children)
        .together()
        .part()
        .instructions(Limit::Most(119.0))
        .subject("anyscope", TREE, move || {
            let wait = |token: CancelToken| async move { token.cancelled().await };
            cancelling(children, CancelToken::new, CancelToken::child, wait, |root| {
                root.cancel();
            })
        })
        .subject("tokio-util", TREE_BARE, move || {
            let wait = |token: CancellationToken| token.cancelled_owned();
            let cancel = CancellationToken::cancel;
            cancelling(children, CancellationToken::new, CancellationToken::child_token, wait, cancel)
        })
}

/// C5. What yields is polled again at once: no runtime is counted.
fn under<S: Shape>(instructions: f64) -> Case {
    macro_rules! turns {
        ($token:expr, |$it:ident, $work:ident| $turn:expr) => {
            move || {
                let token = Arc::new($token);
                let signals = Signals::of(0);
                On::Nothing.rounds(Whose::Peers, move || {
                    let token = token.clone();
                    async move {
                        for _ in 0..TURNS {
                            let ($it, $work) = (&*token, S::child(signals, 0));
                            black_box($turn.await.ok());
                        }
                    }
                })
            }
        };
    }
    Case::new("C5", S::NAME, On::Nothing, TURNS)
        .instructions(Limit::Most(instructions))
        .subject("anyscope", TREE, turns!(CancelToken::new(), |it, work| it.run(work)))
        .subject(
            "tokio-util",
            TREE_BARE,
            turns!(CancellationToken::new(), |it, work| async { it.run_until_cancelled(work).await.ok_or(()) }),
        )
        .subject(
            "Abortable",
            ABORT,
            turns!((), |_it, work| {
                let (_handle, registration) = AbortHandle::new_pair();
                Abortable::new(work, registration)
            }),
        )
        .subject("stop-token", STOP, turns!(StopSource::new(), |it, work| work.timeout_at(it.token())))
        .subject(
            "select",
            EVENT,
            turns!(ManualResetEvent::new(false), |it, work| async {
                match futures::future::select(work, pin!(it.wait())).await {
                    futures::future::Either::Left((out, _)) => Ok(out),
                    futures::future::Either::Right(_) => Err(()),
                }
            }),
        )
}
