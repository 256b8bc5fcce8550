//! Panics that are expected aren't printed.

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static QUIET: Cell<u32> = const { Cell::new(0) };
}

/// Keeps the panics of this thread from being printed, until it is dropped.
pub(crate) struct Hushed;

/// The first call puts a hook in front of the process's panic hook, which asks the thread that panics.
pub(crate) fn hush() -> Hushed {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !is_quiet() {
                before(info);
            }
        }));
    });
    QUIET.with(|quiet| quiet.set(quiet.get() + 1));
    Hushed
}

/// Whether the panics of this thread aren't printed now.
pub(crate) fn is_quiet() -> bool {
    QUIET.try_with(Cell::get).unwrap_or(0) > 0
}

impl Drop for Hushed {
    fn drop(&mut self) {
        QUIET.with(|quiet| quiet.set(quiet.get() - 1));
    }
}
