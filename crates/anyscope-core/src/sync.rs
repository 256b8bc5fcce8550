//! The seam between the library and its models: the standard types, or loom's under `cfg(anyscope_loom)`.
//!
//! `Arc` is always std's: wakers are made from it, and loom's has no `Weak`. No structure of this crate relies on
//! the ordering of a reference count; what it guards is behind a [`Mutex`].

#[cfg(not(anyscope_loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};
    pub(crate) use std::sync::{Mutex as RawMutex, MutexGuard};
    pub(crate) use std::thread_local;
}

#[cfg(anyscope_loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize};
    pub(crate) use loom::sync::{Mutex as RawMutex, MutexGuard};
    pub(crate) use loom::thread_local;
}

pub(crate) use imp::{AtomicBool, AtomicUsize, MutexGuard, thread_local};
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::{Arc, Weak};

/// A mutex without poisoning: no code of a user runs under a lock of this crate, so nothing can panic there.
pub(crate) struct Mutex<T>(imp::RawMutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::RawMutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}
