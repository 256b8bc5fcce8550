//! [`Timeout`]: a future that has until then.

use super::error::Elapsed;
use super::{Duration, Instant, Sleep, sleep_until};
use pin_project_lite::pin_project;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs a future for at most `duration`, counted from this call.
///
/// A future that is ready wins over a time that is up. Of two that are up at once, the inner one tells.
///
/// # Errors
///
/// [`Elapsed`]. The future is dropped with what this returns, which an `.await` does at once.
///
/// # Panics
///
/// Outside of any runtime. At the first poll, where the runtime was built without timers.
///
/// # Cancel safety
///
/// As safe as the future that it runs.
///
/// # Examples
///
/// ```
/// use anyscope::compat::tokio::time::{Duration, timeout};
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     assert_eq!(timeout(Duration::MAX, async { 1 }).await, Ok(1));
///     assert!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
/// });
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    timeout_at(Instant::now().later(duration), future)
}

/// Runs a future until `deadline` at the latest. See [`timeout`].
///
/// # Errors
///
/// As [`timeout`].
///
/// # Panics
///
/// As [`timeout`] does.
///
/// # Cancel safety
///
/// As safe as the future that it runs.
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { value: future.into_future(), delay: sleep_until(deadline) }
}

pin_project! {
    /// A future with a time limit. Made by [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<T> {
        #[pin]
        value: T,
        #[pin]
        delay: Sleep,
    }
}

impl<T> Timeout<T> {
    /// Returns the future inside.
    pub fn get_ref(&self) -> &T {
        &self.value
    }

    /// Returns the future inside.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Returns the future inside, without the limit.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: Future> Future for Timeout<T> {
    type Output = Result<T::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(value) = this.value.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        // Asked apart from the timer: what is inside may have used up what the timer needs of the task's budget, and would
        // at every poll.
        if this.delay.has_come() || this.delay.poll(cx).is_ready() {
            return Poll::Ready(Err(Elapsed(())));
        }
        Poll::Pending
    }
}
