//! Cooperation: a loop over primitives that are always ready lets others run now and then.
//!
//! What is polled has a budget of 128 steps for each poll. A primitive that is ready takes one; once there is none left,
//! it wakes its task and waits for the next poll instead, and so does every other in the same poll. A poll of a task, or
//! of whatever of this crate is outermost, begins with a full budget, and so does each future of a gather or a race: one
//! that loops can't use up what its siblings need. A gather or a race takes a step itself for each poll, so that a loop
//! over them ends as well.
//!
//! Somebody may poll on without returning to whoever grants the budget: a `block_on` inside of a task or of a blocking job.
//! After many steps that were refused in a row the budget is full again, so that it goes on.
//!
//! A future that is polled by hand, outside of everything of this crate or with a waker that wakes nobody, isn't counted
//! and gets what is there.

use crate::context;
use crate::observe::{self, Wait};
use crate::sync::thread_local;
use std::cell::Cell;
use std::task::{Context, Poll};

const BUDGET: u32 = 128;

/// How many steps in a row are refused before it is clear that nobody returns because of it.
const REFUSALS: u32 = 256;

thread_local! {
    static BALANCE: Cell<Balance> = const { Cell::new(Balance::FULL) };
    static YIELDS: Cell<u32> = const { Cell::new(0) };
}

/// What is left of a budget, and how many steps in a row were refused.
#[derive(Clone, Copy)]
struct Balance {
    left: u32,
    refused: u32,
}

impl Balance {
    const FULL: Self = Self { left: BUDGET, refused: 0 };
}

/// Takes a step. Where there is none left, the caller has been woken already and is to return `Pending`.
#[inline]
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    if !counts(cx) {
        return Poll::Ready(());
    }
    let took = BALANCE.try_with(|balance| {
        let Balance { left, refused } = balance.get();
        if left > 0 {
            // Where nothing of this crate polls the caller, nobody looks at what is left here.
            balance.set(Balance { left: left - 1, refused });
        }
        left > 0
    });
    if took.unwrap_or(true) { Poll::Ready(()) } else { poll_refused(cx) }
}

/// There is no step left.
#[cold]
fn poll_refused(cx: &mut Context<'_>) -> Poll<()> {
    if !context::is_inside() {
        BALANCE.with(|balance| balance.set(Balance::FULL));
        return Poll::Ready(());
    }
    YIELDS.with(|count| count.set(count.get().wrapping_add(1)));
    BALANCE.with(|balance| {
        let Balance { left, refused } = balance.get();
        let refused = refused + 1;
        balance.set(if refused >= REFUSALS { Balance::FULL } else { Balance { left, refused } });
    });
    observe::waits(|| Wait::Turn);
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Tells whether the next step would have to wait, for who can't wait once it has taken something without saying so.
pub(crate) fn must_give_way(cx: &Context<'_>) -> bool {
    counts(cx) && BALANCE.try_with(Cell::get).is_ok_and(|balance| balance.left == 0) && context::is_inside()
}

/// Whether the steps of who polls with this are counted, where something of this crate polls it.
#[inline]
fn counts(cx: &Context<'_>) -> bool {
    // A waker without data stands for nobody.
    !cfg!(bug_budget_without_end) && !cx.waker().data().is_null()
}

/// Polls something with a budget of its own.
#[inline]
pub(crate) fn fresh<T>(poll: impl FnOnce() -> T) -> T {
    struct Restore(Balance);

    impl Drop for Restore {
        #[inline]
        fn drop(&mut self) {
            let _ = BALANCE.try_with(|balance| balance.set(self.0));
        }
    }

    let _restore = Restore(BALANCE.try_with(|balance| balance.replace(Balance::FULL)).unwrap_or(Balance::FULL));
    poll()
}

/// Budgets for several who are polled one after the other. What is there is restored in the end.
pub(crate) struct Budgets(Balance);

impl Budgets {
    #[inline]
    pub(crate) fn new() -> Self {
        Self(BALANCE.try_with(Cell::get).unwrap_or(Balance::FULL))
    }

    /// Begins with the next, who has a budget of its own.
    #[inline]
    pub(crate) fn next(&mut self) {
        let _ = BALANCE.try_with(|balance| balance.set(Balance::FULL));
    }
}

impl Drop for Budgets {
    #[inline]
    fn drop(&mut self) {
        let _ = BALANCE.try_with(|balance| balance.set(self.0));
    }
}

/// How often this thread forced somebody to wait: who compares two readings learns whether a future that is pending
/// only gave way.
#[inline]
pub(crate) fn forced_yields() -> u32 {
    YIELDS.try_with(Cell::get).unwrap_or(0)
}
