//! [`Limiter`]: a semaphore that can be resized while it is in use.

use crate::semaphore::{Permits, Semaphore, Statistics, Waiting};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// A bound on how much of something goes on at a time, which can be changed while it is in use.
///
/// A handle: clones are the same limiter. Growing lets those in who wait, in their order. Shrinking takes no permit
/// from anyone; the next ones wait until enough have come back. A total of zero lets nobody in until it is raised.
///
/// # Examples
///
/// ```
/// use anyscope::Limiter;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let uploads = Limiter::new(2);
///     let one = uploads.acquire().await;
///     uploads.set_total(1);
///     assert_eq!((uploads.statistics().total, uploads.statistics().available), (1, 0));
///     drop(one);
///     assert_eq!(uploads.statistics().available, 1);
/// });
/// ```
#[derive(Clone)]
pub struct Limiter(Arc<Permits>);

impl Limiter {
    /// Makes a limiter with this many permits.
    ///
    /// # Panics
    ///
    /// Where there are more than [`Semaphore::MAX_PERMITS`].
    #[must_use]
    #[track_caller]
    pub fn new(total: usize) -> Self {
        check(total);
        Self(Arc::new(Permits::new(total)))
    }

    /// Changes how many permits there are.
    ///
    /// # Panics
    ///
    /// Where there are more than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    pub fn set_total(&self, total: usize) {
        check(total);
        self.0.resize(total);
    }

    /// Waits for a permit, behind those who came before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue. A permit that had been handed over goes to the next.
    pub fn acquire(&self) -> AcquireLimiter {
        AcquireLimiter { limiter: self.clone(), waiting: Waiting::new(1) }
    }

    /// Takes a permit, if one is free and nobody waits.
    #[must_use]
    pub fn try_acquire(&self) -> Option<LimiterPermit> {
        self.0.try_acquire(1).ok()?;
        Some(LimiterPermit(self.clone()))
    }

    /// Returns how many permits there are, are borrowed, and how many wait.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.0.statistics()
    }
}

#[track_caller]
fn check(total: usize) {
    assert!(total <= Semaphore::MAX_PERMITS, "a limiter of {total}: more than `Semaphore::MAX_PERMITS`");
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

/// A permit of a limiter, given back when it is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct LimiterPermit(Limiter);

impl Drop for LimiterPermit {
    fn drop(&mut self) {
        self.0.0.release(1);
    }
}

/// Waits for a permit of a limiter. Made by [`Limiter::acquire`].
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireLimiter {
    limiter: Limiter,
    waiting: Waiting,
}

impl Future for AcquireLimiter {
    type Output = LimiterPermit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LimiterPermit> {
        let Self { limiter, waiting } = &mut *self;
        match waiting.poll(&limiter.0, cx) {
            Poll::Ready(Ok(())) => Poll::Ready(LimiterPermit(limiter.clone())),
            // It is never closed, and one permit is never too many.
            Poll::Ready(Err(error)) => unreachable!("a limiter refused a permit: {error}"),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for AcquireLimiter {
    fn drop(&mut self) {
        self.waiting.leave(&self.limiter.0);
    }
}

impl fmt::Debug for AcquireLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireLimiter").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

/// Returns the limiter that [`unblock`](crate::unblock) uses where it is given no other: one for the process, with 40
/// permits to begin with.
///
/// # Examples
///
/// ```
/// assert_eq!(anyscope::blocking_limiter().statistics().total, 40);
/// ```
#[must_use]
pub fn blocking_limiter() -> &'static Limiter {
    static LIMITER: OnceLock<Limiter> = OnceLock::new();
    LIMITER.get_or_init(|| Limiter::new(40))
}
