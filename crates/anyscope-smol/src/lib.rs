//! anyscope on smol: on the global executor, or on one that the application owns.

#![forbid(unsafe_code)]

use anyscope_core::{Driver, DynRuntime, Job, Runtime, RuntimeError};
use async_executor::Executor;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;
use std::{env, thread};

/// smol as a runtime for anyscope.
///
/// [`Smol::new`] uses smol's global executor, whose threads the variable `SMOL_THREADS` counts (one, where it isn't
/// set). [`Smol::with_executor`] uses an executor of the application's.
#[derive(Clone, Debug, Default)]
pub struct Smol {
    owned: Option<Owned>,
}

#[derive(Clone, Debug)]
struct Owned {
    executor: Weak<Executor<'static>>,
    /// Keeps the executor for who holds the handle; a group's handle doesn't, since the executor keeps the group.
    keep: Option<Arc<Executor<'static>>>,
    threads: usize,
}

impl Smol {
    /// Returns smol with its global executor.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns smol with an executor that the application runs, on as many threads as it likes; while
    /// [`run`](anyscope_core::run) blocks a thread, it runs the executor there too.
    #[must_use]
    pub fn with_executor(executor: Arc<Executor<'static>>) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let owned = Owned { executor: Arc::downgrade(&executor), keep: Some(executor), threads };
        Self { owned: Some(owned) }
    }

    /// Tells how many threads run the executor that was given: at most so many children of a group are polled at a
    /// time. By default, as many as there are processors.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        if let Some(owned) = &mut self.owned {
            owned.threads = threads;
        }
        self
    }
}

impl Runtime for Smol {
    type Sleep = Sleep;

    const REMEDY: &'static str = "call this inside `run`";

    fn name(&self) -> &'static str {
        if self.owned.is_some() { "smol-owned" } else { "smol" }
    }

    fn detect() -> Option<Self> {
        // smol's executor and timers are global: they surround every thread.
        Some(Self::new())
    }

    fn into_dyn(mut self) -> DynRuntime {
        if let Some(owned) = &mut self.owned {
            owned.keep = None;
        }
        DynRuntime::new(self)
    }

    fn spawn(&self, driver: Driver) {
        match &self.owned {
            None => smol::spawn(driver).detach(),
            // An executor that is gone drops the driver, which ends the children.
            Some(owned) => {
                if let Some(executor) = owned.executor.upgrade() {
                    executor.spawn(driver).detach();
                }
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Result<Sleep, RuntimeError> {
        Ok(Sleep(async_io::Timer::at(at)))
    }

    fn spawn_blocking(&self, job: Job) {
        blocking::unblock(|| job.run()).detach();
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.owned {
            None => async_io::block_on(future),
            Some(owned) => match owned.executor.upgrade() {
                Some(executor) => async_io::block_on(executor.run(future)),
                None => panic!("the executor that this runtime was made with is gone"),
            },
        }
    }

    fn parallelism(&self) -> usize {
        match &self.owned {
            Some(owned) => owned.threads,
            None => env::var("SMOL_THREADS").ok().and_then(|threads| threads.parse().ok()).unwrap_or(1),
        }
    }
}

/// A timer of async-io's.
#[derive(Debug)]
pub struct Sleep(async_io::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl anyscope_core::Sleep for Sleep {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.set_at(at);
    }
}
