//! [`RwLock`]: a value that one task changes or many look at.
//!
//! # Invariants
//!
//! 1. Who reads has one permit, who writes has all of them. So there is one who writes and nobody else, or there are
//!    some who read.
//! 2. The inner lock is taken after the permits and given back before them. So it is free for whoever has them.
//!
//! The permits know the order of those who wait: see `semaphore.rs` for the races.

use super::{Guarded, Held, entering, free, guard};
use crate::semaphore::{Permits, Semaphore, Waiting};
use crate::sync::Arc;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

const ALL: usize = Semaphore::MAX_PERMITS;

/// A value that one task at a time can change, or many can look at, in the order of asking.
///
/// First in, first out: who reads doesn't overtake one who waits to write, so that writers don't starve, and those who
/// read get in together up to the next who writes. For the same reason a task that reads mustn't ask to read once more
/// before it has dropped its guard: with a writer in between, both would wait for ever.
///
/// A panic while a guard is held doesn't poison it: the next one sees the value as it was left.
///
/// # Examples
///
/// ```
/// use anyscope::sync::RwLock;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let prices = RwLock::new(vec![1, 2]);
///     {
///         let (one, other) = (prices.read().await, prices.read().await);
///         assert_eq!(one.len(), other.len());
///         assert!(prices.try_write().is_none());
///     }
///     prices.write().await.push(3);
///     assert_eq!(prices.into_inner(), [1, 2, 3]);
/// });
/// ```
pub struct RwLock<T> {
    permits: Permits,
    // Shared, so that a guard can own it.
    value: Arc<async_lock::RwLock<T>>,
}

impl<T> RwLock<T> {
    /// Makes a lock with this value, unlocked.
    #[must_use]
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self {
            permits: Permits::new(ALL, "read-write lock", Location::caller()),
            value: Arc::new(async_lock::RwLock::new(value)),
        }
    }

    /// Waits for a look at the value, together with others.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue. A lock that had been handed over goes to the next.
    pub fn read(&self) -> Read<'_, T> {
        Read::new(self)
    }

    /// Waits for the value, alone.
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Self::read). Those who read and wait behind it get in at once when it is dropped.
    pub fn write(&self) -> Write<'_, T> {
        Write::new(self)
    }

    /// Takes the lock for a look, if nobody writes and nobody waits.
    #[must_use]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.permits.try_acquire(1).ok()?;
        Some(self.enter_to_read())
    }

    /// Takes the lock for a change, if it is free and nobody waits.
    #[must_use]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.permits.try_acquire(ALL).ok()?;
        Some(self.enter_to_write())
    }

    /// Waits for a look at the value, with a guard that owns the lock, to be kept and sent anywhere.
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Self::read).
    pub fn read_arc(self: &Arc<Self>) -> ReadArc<T> {
        ReadArc::new(self.clone())
    }

    /// Waits for the value, with a guard that owns the lock, to be kept and sent anywhere.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    pub fn write_arc(self: &Arc<Self>) -> WriteArc<T> {
        WriteArc::new(self.clone())
    }

    /// Takes the lock for a look, with a guard that owns it, if nobody writes and nobody waits.
    #[must_use]
    pub fn try_read_arc(self: &Arc<Self>) -> Option<RwLockReadGuardArc<T>> {
        self.permits.try_acquire(1).ok()?;
        Some(self.enter_to_read_arc())
    }

    /// Takes the lock for a change, with a guard that owns it, if it is free and nobody waits.
    #[must_use]
    pub fn try_write_arc(self: &Arc<Self>) -> Option<RwLockWriteGuardArc<T>> {
        self.permits.try_acquire(ALL).ok()?;
        Some(self.enter_to_write_arc())
    }

    /// Returns the value for a change, without a lock: nobody else can have the lock meanwhile.
    pub fn get_mut(&mut self) -> &mut T {
        Arc::get_mut(&mut self.value).expect("a guard that shares the value shares the lock").get_mut()
    }

    /// Returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        Arc::into_inner(self.value).expect("a guard that shares the value shares the lock").into_inner()
    }

    fn enter_to_read(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { value: free(self.value.try_read()), _held: Held { lock: self, count: 1 } }
    }

    fn enter_to_write(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard { value: free(self.value.try_write()), held: Held { lock: self, count: ALL } }
    }

    fn enter_to_read_arc(self: &Arc<Self>) -> RwLockReadGuardArc<T> {
        RwLockReadGuardArc { value: free(self.value.try_read_arc()), _held: Held { lock: self.clone(), count: 1 } }
    }

    fn enter_to_write_arc(self: &Arc<Self>) -> RwLockWriteGuardArc<T> {
        RwLockWriteGuardArc { value: free(self.value.try_write_arc()), held: Held { lock: self.clone(), count: ALL } }
    }
}

impl<T> Guarded for RwLock<T> {
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Takes the lock for a look at the value, where it is free.
impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RwLock");
        match self.try_read() {
            Some(value) => lock.field("value", &*value).finish(),
            None => lock.field("value", &format_args!("<locked>")).finish(),
        }
    }
}

/// A look at the value of a [`RwLock`], which is unlocked when this is dropped.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RwLockReadGuard<'a, T> {
    // Dropped first (invariant 2).
    value: async_lock::RwLockReadGuard<'a, T>,
    _held: Held<&'a RwLock<T>>,
}

/// The value of a [`RwLock`], which is unlocked when this is dropped.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RwLockWriteGuard<'a, T> {
    // Dropped first (invariant 2).
    value: async_lock::RwLockWriteGuard<'a, T>,
    held: Held<&'a RwLock<T>>,
}

/// A look at the value of a [`RwLock`], which is unlocked when this is dropped. It owns the lock.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RwLockReadGuardArc<T> {
    // Dropped first (invariant 2).
    value: async_lock::RwLockReadGuardArc<T>,
    _held: Held<Arc<RwLock<T>>>,
}

/// The value of a [`RwLock`], which is unlocked when this is dropped. It owns the lock.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RwLockWriteGuardArc<T> {
    // Dropped first (invariant 2).
    value: async_lock::RwLockWriteGuardArc<T>,
    held: Held<Arc<RwLock<T>>>,
}

impl<'a, T> RwLockWriteGuard<'a, T> {
    /// Goes on with a look, and lets others who read in; nobody writes in between.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writing = lock.try_write().unwrap();
    /// *writing = 2;
    /// let reading = RwLockWriteGuard::downgrade(writing);
    /// assert_eq!(*reading + *lock.try_read().unwrap(), 4);
    /// ```
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let Self { value, mut held } = this;
        let value = async_lock::RwLockWriteGuard::downgrade(value);
        held.keep_one();
        RwLockReadGuard { value, _held: held }
    }
}

impl<T> RwLockWriteGuardArc<T> {
    /// Goes on with a look, and lets others who read in; nobody writes in between.
    pub fn downgrade(this: Self) -> RwLockReadGuardArc<T> {
        let Self { value, mut held } = this;
        let value = async_lock::RwLockWriteGuardArc::downgrade(value);
        held.keep_one();
        RwLockReadGuardArc { value, _held: held }
    }
}

impl<L: Deref<Target: Guarded>> Held<L> {
    /// Gives all permits back but one.
    fn keep_one(&mut self) {
        let others = self.count - 1;
        self.count = 1;
        self.lock.permits().give_back(others);
    }
}

guard!(RwLockReadGuard<'a, T>);
guard!(RwLockReadGuardArc<T>);
guard!(mut RwLockWriteGuard<'a, T>);
guard!(mut RwLockWriteGuardArc<T>);

entering!(
    /// Waits for a look at a value. Made by [`RwLock::read`].
    Read<'a, T>, &'a RwLock<T>, RwLockReadGuard<'a, T>, 1, |lock: &&'a RwLock<T>| lock.enter_to_read()
);
entering!(
    /// Waits for a value, alone. Made by [`RwLock::write`].
    Write<'a, T>, &'a RwLock<T>, RwLockWriteGuard<'a, T>, ALL, |lock: &&'a RwLock<T>| lock.enter_to_write()
);
entering!(
    /// Waits for a look at a value, with a guard that owns the lock. Made by [`RwLock::read_arc`].
    ReadArc<T>, Arc<RwLock<T>>, RwLockReadGuardArc<T>, 1, |lock: &Arc<RwLock<T>>| lock.enter_to_read_arc()
);
entering!(
    /// Waits for a value, alone, with a guard that owns the lock. Made by [`RwLock::write_arc`].
    WriteArc<T>, Arc<RwLock<T>>, RwLockWriteGuardArc<T>, ALL, |lock: &Arc<RwLock<T>>| lock.enter_to_write_arc()
);
