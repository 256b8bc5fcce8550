//! What a task and its handles share.
//!
//! # States
//!
//! *running* → *ended*, with a result → *taken*. The result is there after the future, or the closure, is gone. Where no
//! handle wants it any more, it is dropped by whoever ends the task.
//!
//! # Invariants
//!
//! 1. A task ends once: by its last poll, or, where its future is dropped, by the drop.
//! 2. No panic of the future's, of its destructor's or of the value's gets past here: the run around would take it for its
//!    own.
//! 3. No lock is held while code of a user runs.
//! 4. [`Control`] and the future hold each other until the future is gone.

use super::{Id, JoinError};
use anyscope_core::Task;
use pin_project_lite::pin_project;
use std::any::Any;
use std::future::Future;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

/// What is known of a task without the type of its value.
pub(super) struct Control {
    id: Id,
    /// Who runs it; `None` for a closure that blocks.
    task: OnceLock<Task<()>>,
    ended: AtomicBool,
    aborted: AtomicBool,
}

impl Control {
    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// Subtle: told after the task was started, and before anybody has a handle by which to abort it.
    pub(super) fn is_run_by(&self, task: Task<()>) {
        let unused = self.task.set(task).err();
        drop(unused);
    }

    pub(super) fn is_finished(&self) -> bool {
        // Ordering: Acquire; pairs with the Release in `Shared::end`: the future is gone.
        self.ended.load(Ordering::Acquire)
    }

    #[track_caller]
    pub(super) fn abort(&self) {
        if self.is_finished() {
            return;
        }
        // Ordering: Relaxed; it publishes nothing, and a closure that runs by now isn't stopped.
        self.aborted.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.get() {
            task.cancel_with("aborted");
        }
    }
}

/// The same, with the value.
pub(super) struct Shared<T> {
    control: Arc<Control>,
    state: Mutex<State<T>>,
}

struct State<T> {
    stage: Stage<T>,
    /// Whether there is a handle.
    wanted: bool,
    waiter: Option<Waker>,
}

enum Stage<T> {
    Running,
    Ended(Result<T, JoinError>),
    Taken,
}

impl<T> Shared<T> {
    pub(super) fn new() -> Arc<Self> {
        let control = Control {
            id: Id::next(),
            task: OnceLock::new(),
            ended: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
        };
        let state = State { stage: Stage::Running, wanted: true, waiter: None };
        Arc::new(Self { control: Arc::new(control), state: Mutex::new(state) })
    }

    pub(super) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, result: Result<T, JoinError>) {
        let (unwanted, waiter) = {
            let mut state = self.state();
            // Ordering: Release; see `is_finished`.
            self.control.ended.store(true, Ordering::Release);
            if state.wanted {
                state.stage = Stage::Ended(result);
                (None, state.waiter.take())
            } else {
                state.stage = Stage::Taken;
                (Some(result), None)
            }
        };
        drop(caught(|| drop(unwanted)));
        if let Some(waiter) = waiter {
            drop(caught(|| waiter.wake()));
        }
    }

    /// Waits for the result.
    ///
    /// # Panics
    ///
    /// Where it was taken before.
    #[track_caller]
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, JoinError>> {
        let waker = cx.waker().clone();
        let (polled, unused) = {
            let mut state = self.state();
            match mem::replace(&mut state.stage, Stage::Taken) {
                Stage::Running => {
                    state.stage = Stage::Running;
                    (Some(Poll::Pending), state.waiter.replace(waker))
                }
                Stage::Ended(result) => (Some(Poll::Ready(result)), Some(waker)),
                Stage::Taken => (None, Some(waker)),
            }
        };
        drop(unused);
        match polled {
            Some(polled) => polled,
            None => panic!("a `JoinHandle` was polled after it had given its result"),
        }
    }

    /// Has `waker` woken at the end. Says whether that has come already.
    pub(super) fn watch(&self, waker: Waker) -> bool {
        let unused = {
            let mut state = self.state();
            if !matches!(state.stage, Stage::Running) {
                return true;
            }
            state.waiter.replace(waker)
        };
        drop(unused);
        false
    }

    /// The handle is gone, and nobody wants the result.
    pub(super) fn give_up(&self) {
        let unused = {
            let mut state = self.state();
            state.wanted = false;
            let result = match mem::replace(&mut state.stage, Stage::Taken) {
                Stage::Running => {
                    state.stage = Stage::Running;
                    None
                }
                Stage::Ended(result) => Some(result),
                Stage::Taken => None,
            };
            (result, state.waiter.take())
        };
        drop(caught(|| drop(unused)));
    }
}

pin_project! {
    /// A future that is run for its handle.
    pub(super) struct Tracked<F: Future> {
        #[pin]
        future: Option<F>,
        shared: Arc<Shared<F::Output>>,
    }

    impl<F: Future> PinnedDrop for Tracked<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_none() {
                return;
            }
            let id = this.shared.control.id;
            // A destructor that panics is the task's panic.
            let why = match id.enter(|| caught(|| this.future.set(None))) {
                Ok(()) => JoinError::cancelled(id),
                Err(payload) => JoinError::panicked(id, payload),
            };
            this.shared.end(Err(why));
        }
    }
}

impl<F: Future> Tracked<F> {
    pub(super) fn new(future: F, shared: Arc<Shared<F::Output>>) -> Self {
        Self { future: Some(future), shared }
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let id = this.shared.control.id;
        let mut future = this.future.as_mut();
        let polled =
            id.enter(|| caught(|| future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx))));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(payload),
        };
        let dropped = id.enter(|| caught(|| this.future.set(None)));
        let result = match (ended, dropped) {
            (Ok(value), Ok(())) => Ok(value),
            // A destructor that panics is the task's panic, and the value has nobody to go to.
            (Ok(value), Err(payload)) => {
                drop(caught(|| drop(value)));
                Err(JoinError::panicked(id, payload))
            }
            (Err(first), _) => Err(JoinError::panicked(id, first)),
        };
        this.shared.end(result);
        Poll::Ready(())
    }
}

/// A closure that is run for its handle.
pub(super) struct Blocking<F, T> {
    f: Option<F>,
    shared: Arc<Shared<T>>,
}

impl<F: FnOnce() -> T, T> Blocking<F, T> {
    pub(super) fn new(f: F, shared: Arc<Shared<T>>) -> Self {
        Self { f: Some(f), shared }
    }

    pub(super) fn run(mut self) {
        // Ordering: Relaxed, as in `abort`.
        if self.shared.control.aborted.load(Ordering::Relaxed) {
            return;
        }
        let id = self.shared.control.id;
        if let Some(f) = self.f.take() {
            let ended = id.enter(|| caught(f));
            self.shared.end(ended.map_err(|payload| JoinError::panicked(id, payload)));
        }
    }
}

impl<F, T> Drop for Blocking<F, T> {
    fn drop(&mut self) {
        let Some(f) = self.f.take() else { return };
        let id = self.shared.control.id;
        let why = match id.enter(|| caught(|| drop(f))) {
            Ok(()) => JoinError::cancelled(id),
            Err(payload) => JoinError::panicked(id, payload),
        };
        self.shared.end(Err(why));
    }
}

/// Runs code of a user's. A payload that nobody looks at is dropped by whoever called this, and its own destructor has
/// no better place to panic.
fn caught<T>(f: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    panic::catch_unwind(AssertUnwindSafe(f))
}
