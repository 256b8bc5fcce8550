//! The seam between the library and its models: the standard types, loom's under `cfg(anyscope_loom)`, or shuttle's under
//! `cfg(anyscope_shuttle)`.
//!
//! `Arc` is always std's: wakers are made from it, and loom's has no `Weak`. No structure of this crate relies on
//! the ordering of a reference count; what it guards is behind a [`Mutex`]. What depends on a count all the same,
//! whether a [`Weak`] still finds its value and whose handle was the last, goes through this module, so that a model
//! explores both ways.

#[cfg(not(any(anyscope_loom, anyscope_shuttle)))]
mod imp {
    pub(crate) use once_cell::race::OnceBox;
    pub(crate) use std::sync::OnceLock;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
    pub(crate) use std::sync::{Arc, Mutex as RawMutex, MutexGuard, Weak};
    pub(crate) use std::thread::yield_now;
    pub(crate) use std::thread_local;

    /// A place whose user says who may touch it.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Lends the place out. To look at it, or to write there, is up to `f` to justify.
        #[inline(always)]
        pub(crate) fn with_mut<U>(&self, f: impl FnOnce(*mut T) -> U) -> U {
            f(self.0.get())
        }
    }

    /// A weak handle on a value.
    pub(crate) fn downgrade<T>(handle: &Arc<T>) -> Weak<T> {
        Arc::downgrade(handle)
    }

    /// Gives up a handle, and hands out the value where it was the last.
    pub(crate) fn into_inner<T>(handle: Arc<T>) -> Option<T> {
        Arc::into_inner(handle)
    }
}

#[cfg(anyscope_loom)]
mod imp {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
    pub(crate) use loom::sync::{Mutex as RawMutex, MutexGuard};
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    /// loom's takes no `const` initialiser.
    macro_rules! without_const {
        ($($(#[$attr:meta])* static $name:ident: $type:ty = const { $init:expr };)*) => {
            ::loom::thread_local! { $($(#[$attr])* static $name: $type = $init;)* }
        };
    }
    pub(crate) use without_const as thread_local;

    loom::lazy_static! {
        static ref COUNTS: AtomicUsize = AtomicUsize::new(0);
    }

    /// A place that is filled once, by whoever comes first. loom has none, and wouldn't see what std's orders.
    pub(crate) struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        order: loom::sync::Mutex<()>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self { value: std::sync::OnceLock::new(), order: loom::sync::Mutex::new(()) }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            let _ordered = self.order.lock();
            self.value.get()
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            let _ordered = self.order.lock();
            self.value.set(value)
        }
    }

    impl<T> From<T> for OnceLock<T> {
        fn from(value: T) -> Self {
            Self { value: std::sync::OnceLock::from(value), order: loom::sync::Mutex::new(()) }
        }
    }

    impl<T> Default for OnceLock<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    /// The same, in a box.
    pub(crate) struct OnceBox<T>(OnceLock<Box<T>>);

    impl<T> OnceBox<T> {
        pub(crate) fn new() -> Self {
            Self(OnceLock::new())
        }

        pub(crate) fn get(&self) -> Option<&T> {
            self.0.get().map(|value| &**value)
        }

        pub(crate) fn set(&self, value: Box<T>) -> Result<(), Box<T>> {
            self.0.set(value)
        }
    }

    /// loom's would give the thread up until others have run, and who polls may be waiting for this one.
    pub(crate) fn yield_now() {}

    /// Tells loom that a reference count is looked at or changed here: all of them are one object to it.
    pub(crate) fn counted() {
        // Ordering: Relaxed; an interleaving, and no synchronisation that a count doesn't give.
        COUNTS.fetch_add(1, Ordering::Relaxed);
    }

    /// A weak handle.
    pub(crate) struct Weak<T>(std::sync::Weak<T>);

    impl<T> Weak<T> {
        pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
            counted();
            self.0.upgrade()
        }
    }

    impl<T> Clone for Weak<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    pub(crate) fn downgrade<T>(handle: &Arc<T>) -> Weak<T> {
        Weak(Arc::downgrade(handle))
    }

    pub(crate) fn into_inner<T>(handle: Arc<T>) -> Option<T> {
        counted();
        Arc::into_inner(handle)
    }
}

#[cfg(anyscope_shuttle)]
mod imp {
    pub(crate) use once_cell::race::OnceBox;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
    pub(crate) use shuttle::sync::{Mutex as RawMutex, MutexGuard};
    pub(crate) use shuttle::thread::yield_now;
    pub(crate) use shuttle::thread_local;
    use std::sync::Arc;
    pub(crate) use std::sync::OnceLock;

    /// shuttle watches no memory; loom does.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with_mut<U>(&self, f: impl FnOnce(*mut T) -> U) -> U {
            f(self.0.get())
        }
    }

    /// Lets others run before a reference count is looked at or changed: std's counts are no steps to shuttle.
    fn counted() {
        shuttle::thread::sleep(std::time::Duration::ZERO);
    }

    /// A weak handle.
    pub(crate) struct Weak<T>(std::sync::Weak<T>);

    impl<T> Weak<T> {
        pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
            counted();
            self.0.upgrade()
        }
    }

    impl<T> Clone for Weak<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    pub(crate) fn downgrade<T>(handle: &Arc<T>) -> Weak<T> {
        Weak(Arc::downgrade(handle))
    }

    pub(crate) fn into_inner<T>(handle: Arc<T>) -> Option<T> {
        counted();
        Arc::into_inner(handle)
    }
}

#[cfg(all(test, anyscope_loom))]
pub(crate) use imp::counted;
pub(crate) use imp::{
    AtomicBool, AtomicU8, AtomicU32, AtomicUsize, MutexGuard, OnceBox, OnceLock, UnsafeCell, Weak, downgrade,
    into_inner, thread_local, yield_now,
};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;

/// A mutex without poisoning: no code of a user runs under a lock of this crate, so nothing can panic there.
pub(crate) struct Mutex<T>(imp::RawMutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::RawMutex::new(value))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        match self.0.get_mut() {
            Ok(value) => value,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}
