//! anyscope on async-std. Legacy: async-std is discontinued upstream (RUSTSEC-2025-0052), and this adapter is for
//! applications that are still on it.

#![forbid(unsafe_code)]

use anyscope_core::{Driver, Job, Runtime, RuntimeError};
use async_std::task;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use std::{env, thread};

/// async-std as a runtime for anyscope: its one global runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd(());

impl AsyncStd {
    /// Returns async-std's runtime, which starts its threads when it is first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether the caller is in a task of async-std's.
    #[must_use]
    pub fn is_around() -> bool {
        task::try_current().is_some()
    }
}

impl Runtime for AsyncStd {
    type Sleep = Sleep;

    const REMEDY: &'static str = "call this inside `run`, or in an async-std task";

    fn name(&self) -> &'static str {
        "async-std"
    }

    fn detect() -> Option<Self> {
        // Its executor and timers are global: they surround every thread.
        Some(Self::new())
    }

    fn spawn(&self, driver: Driver) {
        // Its handle detaches when it is dropped.
        drop(task::spawn(driver));
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Result<Sleep, RuntimeError> {
        Ok(Sleep(sleep(at)))
    }

    fn spawn_blocking(&self, job: Job) {
        drop(task::spawn_blocking(|| job.run()));
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        task::block_on(future)
    }

    fn parallelism(&self) -> usize {
        let threads = env::var("ASYNC_STD_THREAD_COUNT").ok().and_then(|threads| threads.parse().ok());
        threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }
}

/// A timer of async-std's, which has no reset of its own: it is made anew.
pub struct Sleep(Pin<Box<dyn Future<Output = ()> + Send>>);

fn sleep(at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(task::sleep(at.saturating_duration_since(Instant::now())))
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl anyscope_core::Sleep for Sleep {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0 = sleep(at);
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}
