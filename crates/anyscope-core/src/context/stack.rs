//! The frames around whatever runs on a thread: a list of references on the stack, and where it begins.
//!
//! The one place for them that needs no allocation and no move: whoever polls on behalf of a scope lends its frame for as
//! long as it polls. Safe code has to move each frame into a thread-local and back; with that, and a look at the clock,
//! a timeout around a ready future cost 762 instructions, and with this, and none, 190. It is to cost 30.
//!
//! # Invariants
//!
//! 1. `TOP` is null, or points to the [`Link`] of the innermost [`enter`] under way on this thread; each link points to
//!    that of the next one outwards.
//! 2. A link is taken off before the call of [`enter`] that made it returns or unwinds, and its frame is borrowed for as
//!    long as that call takes. So everything that can be reached from `TOP` lives.
//! 3. No reference to a frame leaves [`find`]: what it calls is given one for any lifetime, and so can't keep it.

use super::Around;
use crate::sync::thread_local;
use std::cell::Cell;
use std::{mem, ptr};

/// A frame that is around what runs.
struct Link {
    /// Borrowed for as long as the call of [`enter`] takes, and not for ever.
    around: Around<'static>,
    below: *const Self,
}

thread_local! {
    static TOP: Cell<*const Link> = const { Cell::new(ptr::null()) };
}

/// Runs `f` with `around` around it.
#[inline]
pub(super) fn enter<T>(around: Around<'_>, f: impl FnOnce() -> T) -> T {
    struct TakeOff(*const Link);

    impl Drop for TakeOff {
        #[inline]
        fn drop(&mut self) {
            let _ = TOP.try_with(|top| top.set(self.0));
        }
    }

    let below = TOP.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: only the lifetime changes. The link is on the list until this call is over, by invariant 2, and what it
    // refers to is borrowed until then; `find` hands it on with a lifetime that nothing can outlast.
    let around = unsafe { mem::transmute::<Around<'_>, Around<'static>>(around) };
    let link = Link { around, below };
    let _take_off = TakeOff(below);
    let _ = TOP.try_with(|top| top.set(&raw const link));
    f()
}

/// The first that `look` finds, from the innermost frame outwards, all of them.
pub(super) fn find<T>(mut look: impl FnMut(Around<'_>) -> Option<T>) -> Option<T> {
    let mut next = TOP.try_with(Cell::get).unwrap_or(ptr::null());
    while !next.is_null() {
        // SAFETY: by invariants 1 and 2 the link is one of an `enter` further out on this thread's stack, which doesn't
        // return before this does, and so is alive; nobody writes to it.
        let link = unsafe { &*next };
        if let Some(found) = look(link.around) {
            return Some(found);
        }
        next = link.below;
    }
    None
}

/// What `look` finds in the innermost frame.
#[inline]
pub(super) fn innermost<T>(look: impl FnOnce(Around<'_>) -> Option<T>) -> Option<T> {
    let mut look = Some(look);
    find(|around| Some(look.take().and_then(|look| look(around)))).flatten()
}

/// Whether nothing is around what runs.
#[inline]
pub(super) fn is_empty() -> bool {
    TOP.try_with(|top| top.get().is_null()).unwrap_or(true)
}
