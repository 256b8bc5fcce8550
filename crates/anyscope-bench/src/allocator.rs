//! The system's allocator, with a count of what is asked of it.
//!
//! The crates that do this count at all times, with several atomics an allocation, which would be in the instructions
//! and atomics that are counted beside. Here the count is off but for the runs that want it: a load and a branch.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// Ordering: Relaxed throughout; the figures are read by the thread that has waited for the work to end.
static ON: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// What has been asked of the allocator since the count was turned on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
    /// Bytes that live now, beyond those that did when the count was turned on.
    pub(crate) live: i64,
    /// The most there have been of `live` since [`forget_peak`].
    pub(crate) peak: i64,
}

/// Counts from now on.
pub(crate) fn turn_on() {
    ON.store(true, Ordering::Relaxed);
}

pub(crate) fn asked() -> Asked {
    Asked {
        calls: CALLS.load(Ordering::Relaxed),
        bytes: BYTES.load(Ordering::Relaxed),
        live: LIVE.load(Ordering::Relaxed),
        peak: PEAK.load(Ordering::Relaxed),
    }
}

pub(crate) fn forget_peak() {
    PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Notes a call that changed how much lives by `bytes`.
fn note(calls: u64, bytes: i64) {
    if ON.load(Ordering::Relaxed) {
        CALLS.fetch_add(calls, Ordering::Relaxed);
        BYTES.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
        let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(live, Ordering::Relaxed);
    }
}

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: each method is the system's own of that name, called with what it was given.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, size(layout));
        // SAFETY: the caller keeps the contract of the same method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, size(layout));
        // SAFETY: the caller keeps the contract of the same method.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(0, -size(layout));
        // SAFETY: the caller keeps the contract of the same method.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, to: usize) -> *mut u8 {
        note(1, i64::try_from(to).unwrap_or(i64::MAX) - size(layout));
        // SAFETY: the caller keeps the contract of the same method.
        unsafe { System.realloc(at, layout, to) }
    }
}
