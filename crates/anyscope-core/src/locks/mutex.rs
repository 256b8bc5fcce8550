//! [`Mutex`]: a value that one task at a time can reach.
//!
//! # Invariants
//!
//! 1. Whoever holds the guard, and nobody else, has the one permit, or is about to give it back.
//! 2. The inner lock is taken after the permit and given back before it. So it is free for whoever has the permit.
//!
//! The permits know the order of those who wait: see `semaphore.rs` for the races.

use super::{Guarded, Held, entering, free, guard};
use crate::semaphore::{Permits, Waiting};
use crate::sync::Arc;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A value that one task at a time can reach, in the order of asking.
///
/// First in, first out: nobody takes the lock past those who wait, and each unlock hands it to who waits longest. The
/// guard may be held across an `.await`, and be sent to other threads. Where it isn't, a mutex of the standard library is
/// faster.
///
/// A panic while the guard is held doesn't poison it: the guard is dropped, and the next one sees the value as it was
/// left.
///
/// # Examples
///
/// ```
/// use anyscope::sync::Mutex;
/// use anyscope::task_group;
/// use std::sync::Arc;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let log = Arc::new(Mutex::new(Vec::new()));
///     task_group(async |g| {
///         for number in 0..3 {
///             let log = log.clone();
///             g.spawn(async move {
///                 let mut log = log.lock().await;
///                 anyscope::yield_now().await;
///                 log.push(number);
///             });
///         }
///     })
///     .await;
///     assert_eq!(log.lock().await.len(), 3);
/// });
/// ```
pub struct Mutex<T> {
    permits: Permits,
    // Shared, so that a guard can own it.
    value: Arc<async_lock::Mutex<T>>,
}

impl<T> Mutex<T> {
    /// Makes a mutex with this value, unlocked.
    #[must_use]
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self { permits: Permits::new(1, "mutex", Location::caller()), value: Arc::new(async_lock::Mutex::new(value)) }
    }

    /// Waits for the lock.
    ///
    /// Whoever has the lock already, and waits for it again, waits for ever.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue. A lock that had been handed over goes to the next.
    pub fn lock(&self) -> Lock<'_, T> {
        Lock::new(self)
    }

    /// Takes the lock, if it is free and nobody waits.
    #[must_use]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.permits.try_acquire(1).ok()?;
        Some(self.enter())
    }

    /// Waits for the lock, with a guard that owns the mutex, to be kept and sent anywhere.
    ///
    /// # Cancel safety
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::sync::Mutex;
    /// use anyscope::task_group;
    /// use std::sync::Arc;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     let balance = Arc::new(Mutex::new(10));
    ///     let mut guard = balance.lock_arc().await;
    ///     g.spawn(async move { *guard -= 3 }).await;
    ///     assert_eq!(*balance.lock().await, 7);
    /// }));
    /// ```
    pub fn lock_arc(self: &Arc<Self>) -> LockArc<T> {
        LockArc::new(self.clone())
    }

    /// Takes the lock, with a guard that owns the mutex, if it is free and nobody waits.
    #[must_use]
    pub fn try_lock_arc(self: &Arc<Self>) -> Option<MutexGuardArc<T>> {
        self.permits.try_acquire(1).ok()?;
        Some(self.enter_arc())
    }

    /// Returns the value for a change, without a lock: nobody else can have the mutex meanwhile.
    pub fn get_mut(&mut self) -> &mut T {
        Arc::get_mut(&mut self.value).expect("a guard that shares the value shares the mutex").get_mut()
    }

    /// Returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        Arc::into_inner(self.value).expect("a guard that shares the value shares the mutex").into_inner()
    }

    fn enter(&self) -> MutexGuard<'_, T> {
        MutexGuard { value: free(self.value.try_lock()), held: Held { lock: self, count: 1 } }
    }

    fn enter_arc(self: &Arc<Self>) -> MutexGuardArc<T> {
        MutexGuardArc { value: free(self.value.try_lock_arc()), _held: Held { lock: self.clone(), count: 1 } }
    }
}

impl<T> Guarded for Mutex<T> {
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Takes the lock for a look at the value, where it is free.
impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("Mutex");
        match self.try_lock() {
            Some(value) => mutex.field("value", &*value).finish(),
            None => mutex.field("value", &format_args!("<locked>")).finish(),
        }
    }
}

/// The value of a [`Mutex`], which is unlocked when this is dropped.
#[must_use = "the mutex is unlocked as soon as the guard is dropped"]
pub struct MutexGuard<'a, T> {
    // Dropped first (invariant 2).
    value: async_lock::MutexGuard<'a, T>,
    held: Held<&'a Mutex<T>>,
}

impl<'a, T> MutexGuard<'a, T> {
    /// Returns the mutex that this is a guard of.
    #[must_use]
    pub fn source(this: &Self) -> &'a Mutex<T> {
        this.held.lock
    }
}

/// The value of a [`Mutex`], which is unlocked when this is dropped. It owns the mutex.
#[must_use = "the mutex is unlocked as soon as the guard is dropped"]
pub struct MutexGuardArc<T> {
    // Dropped first (invariant 2).
    value: async_lock::MutexGuardArc<T>,
    _held: Held<Arc<Mutex<T>>>,
}

guard!(mut MutexGuard<'a, T>);
guard!(mut MutexGuardArc<T>);

entering!(
    /// Waits for a mutex. Made by [`Mutex::lock`].
    Lock<'a, T>, &'a Mutex<T>, MutexGuard<'a, T>, 1, |lock: &&'a Mutex<T>| lock.enter()
);
entering!(
    /// Waits for a mutex, with a guard that owns it. Made by [`Mutex::lock_arc`].
    LockArc<T>, Arc<Mutex<T>>, MutexGuardArc<T>, 1, |lock: &Arc<Mutex<T>>| lock.enter_arc()
);
