//! Cooperation: a loop over primitives that are always ready lets its siblings run now and then.
//!
//! A thread counts what its futures got without waiting. At the 128th it makes the one at hand wait for one turn of
//! the runtime. The count starts anew with each turn it forces, so nothing has to reset it at the start of a poll.
//! Only what is polled inside of a group, a `run`, a timeout or a token is counted: a future that is polled by hand
//! gets what is there.

use crate::context;
use crate::sync::thread_local;
use std::cell::Cell;
use std::task::{Context, Poll};

const BUDGET: u32 = 128;

thread_local! {
    static SPENT: Cell<u32> = const { Cell::new(0) };
    static YIELDS: Cell<u32> = const { Cell::new(0) };
}

/// Whether the caller may go on. Where not, it has been woken already and is to return `Pending`.
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    let Ok(spent) = SPENT.try_with(Cell::get) else { return Poll::Ready(()) };
    if !context::is_inside() {
        return Poll::Ready(());
    }
    if spent < BUDGET {
        SPENT.with(|count| count.set(spent + 1));
        return Poll::Ready(());
    }
    SPENT.with(|count| count.set(0));
    YIELDS.with(|count| count.set(count.get().wrapping_add(1)));
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// How often this thread forced somebody to wait: who compares two readings learns whether a future that is pending
/// only gave way.
pub(crate) fn forced_yields() -> u32 {
    YIELDS.try_with(Cell::get).unwrap_or(0)
}
