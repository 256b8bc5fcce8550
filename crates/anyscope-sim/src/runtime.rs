//! The simulator as a runtime.

use crate::Sim;
use crate::engine;
use crate::scheduler::{Id, Kind, Shared};
use crate::watch::Eyes;
use anyscope_core::observe::Observer;
use anyscope_core::{Driver, DynRuntime, Job, Runtime, RuntimeError};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

impl Runtime for Sim {
    type Sleep = Sleep;

    const REMEDY: &'static str = "call this inside `run`";

    fn name(&self) -> &'static str {
        "sim"
    }

    fn detect() -> Option<Self> {
        engine::around()
    }

    fn into_dyn(self) -> DynRuntime {
        DynRuntime::new(Self::inside(&self.shared))
    }

    fn spawn(&self, driver: Driver) {
        self.take_in(Kind::Driver(Some(driver)));
    }

    fn now(&self) -> Instant {
        self.shared.lock().now
    }

    fn sleep_until(&self, at: Instant) -> Result<Sleep, RuntimeError> {
        let id = self.shared.lock().id();
        Ok(Sleep { shared: self.shared.clone(), at, id })
    }

    fn spawn_blocking(&self, job: Job) {
        self.take_in(Kind::Job(Some(job), Arc::default()));
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        engine::block_on(&self.shared, future)
    }

    fn is_budget_spent(&self) -> bool {
        // Each poll of a child is a step of its own.
        true
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        Some(Arc::new(Eyes(self.shared.clone())))
    }
}

impl Sim {
    fn take_in(&self, kind: Kind) {
        let mut state = self.shared.lock();
        if state.gone {
            drop(state);
            drop(kind);
            return;
        }
        state.add(kind);
        drop(state);
        engine::tell_idle(&self.shared);
    }
}

/// A timer of the simulator's.
pub struct Sleep {
    shared: Arc<Shared>,
    at: Instant,
    id: Id,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        if state.now >= self.at {
            drop(state);
            return Poll::Ready(());
        }
        let gone = state.gone;
        // What is left over is dropped at the end, when the lock is free again.
        let _left = if gone { Some(waker) } else { state.set_timer(self.at, self.id, waker) };
        drop(state);
        assert!(!gone, "the simulator of this timer went away");
        engine::tell_idle(&self.shared);
        Poll::Pending
    }
}

impl anyscope_core::Sleep for Sleep {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.shared.lock().move_timer(self.at, at, self.id);
        engine::tell_idle(&self.shared);
        self.at = at;
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // The waker is dropped after the lock's guard.
        let _waker = self.shared.lock().clear_timer(self.at, self.id);
    }
}
