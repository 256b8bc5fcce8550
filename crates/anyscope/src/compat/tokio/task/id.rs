//! [`Id`]: which task.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that no other task of this process has.
#[derive(Clone, Copy, Debug, Hash, Eq, PartialEq)]
pub struct Id(u64);

thread_local! {
    static CURRENT: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Returns the id of the task around the caller, which was spawned here.
///
/// # Panics
///
/// Outside of any, the future that [`run`](crate::run) or a `main` polls among that.
#[must_use]
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("no task around this call: it is for what was spawned"),
    }
}

/// Returns the id of the task around the caller, if it was spawned here.
#[must_use]
pub fn try_id() -> Option<Id> {
    CURRENT.try_with(Cell::get).ok().flatten()
}

impl Id {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Ordering: Relaxed; a counter that publishes nothing.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs `f` as this task.
    pub(super) fn enter<T>(self, f: impl FnOnce() -> T) -> T {
        struct Restore(Option<Id>);

        impl Drop for Restore {
            fn drop(&mut self) {
                let _ = CURRENT.try_with(|current| current.set(self.0));
            }
        }

        let _restore = Restore(CURRENT.try_with(|current| current.replace(Some(self))).ok().flatten());
        f()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
