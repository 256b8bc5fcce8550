//! A future whose waits a test is told of.

use std::future::{Future, poll_fn};
use std::pin::pin;

/// Awaits `future`, and calls `tell` in each poll in which it waits.
pub(crate) async fn told_when_it_waits<F: Future>(future: F, tell: impl Fn()) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            tell();
        }
        polled
    })
    .await
}
