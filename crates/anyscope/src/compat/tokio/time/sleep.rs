//! [`Sleep`]: waits for a time.

use super::{Duration, Instant};
use crate::{Current, Runtime};
use anyscope_core as core;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

/// Waits for `duration`, counted from this call.
///
/// Never early by the runtime's clock. One that the clock can't tell the end of lasts for decades.
///
/// # Panics
///
/// Outside of any runtime. At the first poll, where the runtime was built without timers.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// use anyscope::compat::tokio::time::{Duration, Instant, sleep};
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let before = Instant::now();
///     sleep(Duration::from_millis(2)).await;
///     assert!(before.elapsed() >= Duration::from_millis(2));
/// });
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now().later(duration))
}

/// Waits until `deadline`. See [`sleep`].
///
/// # Panics
///
/// As [`sleep`] does.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        is_polled: false,
        timer: Mutex::new(core::sleep_until(deadline.into_std())),
        runtime: Current::get(),
        pinned: PhantomPinned,
    }
}

pin_project! {
    /// A wait for a time. Made by [`sleep`] and [`sleep_until`].
    ///
    /// To be polled by reference, as in a [`select!`](crate::compat::tokio::select), it has to be pinned, by
    /// [`pin!`](crate::compat::tokio::pin) or in a box.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Sleep {
        deadline: Instant,
        // Whether it was polled with this deadline.
        is_polled: bool,
        // Never locked: it makes the timer `Sync`, which any runtime's needn't be, and tokio's is.
        timer: Mutex<core::futures::Sleep<Current>>,
        runtime: Current,
        #[pin]
        pinned: PhantomPinned,
    }
}

impl Sleep {
    /// Returns when it ends.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns whether it has ended: it was polled, and its time has come.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.is_polled && self.has_come()
    }

    /// Sets it anew, whether it has ended or not. It has to be polled afterwards.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::compat::tokio::{pin, time::{Duration, Instant, sleep}};
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let sleep = sleep(Duration::from_secs(3600));
    ///     pin!(sleep);
    ///     sleep.as_mut().reset(Instant::now());
    ///     sleep.as_mut().await;
    ///     assert!(sleep.is_elapsed());
    /// });
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        let this = self.project();
        *this.deadline = deadline;
        *this.is_polled = false;
        *this.timer = Mutex::new(core::sleep_until(deadline.into_std()));
    }

    /// Whether its time has come by the runtime's clock.
    pub(super) fn has_come(&self) -> bool {
        self.runtime.now() >= self.deadline.into_std()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        *this.is_polled = true;
        let timer = this.timer.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(timer).poll(cx)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
