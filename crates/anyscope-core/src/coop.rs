//! Cooperation: a loop over primitives that are always ready lets others run now and then.
//!
//! What is polled has a budget of 128 steps for each poll. A primitive that is ready takes one; once there is none left,
//! it wakes its task and waits for the next poll instead, and so does every other in the same poll. A poll of a task, or
//! of whatever of this crate is outermost, begins with a full budget, and so does each future of a gather or a race: one
//! that loops can't use up what its siblings need. A gather or a race takes a step itself for each poll, so that a loop
//! over them ends as well.
//!
//! A future that is polled by hand, outside of everything of this crate or with a waker that wakes nobody, isn't counted
//! and gets what is there.

use crate::context;
use crate::sync::thread_local;
use std::cell::Cell;
use std::task::{Context, Poll};

const BUDGET: u32 = 128;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(BUDGET) };
    static YIELDS: Cell<u32> = const { Cell::new(0) };
}

/// Takes a step. Where there is none left, the caller has been woken already and is to return `Pending`.
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    let Some(left) = left(cx) else { return Poll::Ready(()) };
    if left > 0 {
        LEFT.with(|budget| budget.set(left - 1));
        return Poll::Ready(());
    }
    YIELDS.with(|count| count.set(count.get().wrapping_add(1)));
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Tells whether the next step would have to wait, for who can't wait once it has taken something without saying so.
pub(crate) fn must_give_way(cx: &Context<'_>) -> bool {
    left(cx) == Some(0)
}

/// How many steps are left, where they are counted.
fn left(cx: &Context<'_>) -> Option<u32> {
    // A waker without data stands for nobody.
    if !context::is_inside() || cx.waker().data().is_null() {
        return None;
    }
    LEFT.try_with(Cell::get).ok()
}

/// Polls something with a budget of its own.
pub(crate) fn fresh<T>(poll: impl FnOnce() -> T) -> T {
    struct Restore(u32);

    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = LEFT.try_with(|budget| budget.set(self.0));
        }
    }

    let _restore = Restore(LEFT.try_with(|budget| budget.replace(BUDGET)).unwrap_or(BUDGET));
    poll()
}

/// How often this thread forced somebody to wait: who compares two readings learns whether a future that is pending
/// only gave way.
pub(crate) fn forced_yields() -> u32 {
    YIELDS.try_with(Cell::get).unwrap_or(0)
}
