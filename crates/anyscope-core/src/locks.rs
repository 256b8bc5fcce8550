//! Locks, and what else tasks wait for each other with: all first in, first out, and all without a runtime.
//!
//! | type | lets through |
//! |---|---|
//! | [`Mutex`] | one at a time, with a value |
//! | [`RwLock`] | one who writes, or many who read |
//! | [`Condvar`] | who waits for a change of what a mutex guards |
//! | [`Event`] | everybody, once it has happened |
//! | [`Barrier`] | as many as it is for, together |
//! | [`OnceCell`] | everybody, once the value is there |
//!
//! Where nothing is awaited while a lock is held, the locks of the standard library are faster and as good.

mod barrier;
mod condvar;
mod event;
#[cfg(all(test, anyscope_loom))]
mod loom;
mod mutex;
mod once_cell;
mod rw_lock;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::Condvar;
pub use event::Event;
pub use mutex::{Mutex, MutexGuard, MutexGuardArc};
pub use once_cell::{OnceCell, SetError};
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockReadGuardArc, RwLockWriteGuard, RwLockWriteGuardArc};

/// The futures that the methods of this module return, each named after its method.
pub mod futures {
    pub use super::barrier::WaitBarrier;
    pub use super::condvar::{WaitCondvar, WaitWhile};
    pub use super::event::WaitEvent;
    pub use super::mutex::{Lock, LockArc};
    pub use super::rw_lock::{Read, ReadArc, Write, WriteArc};
}

use crate::semaphore::Permits;
use std::ops::Deref;

/// Something that is entered with permits.
trait Guarded {
    fn permits(&self) -> &Permits;
}

/// Permits that a guard gives back when it is dropped, as the last thing: a guard has it behind what it lets one reach.
struct Held<L: Deref<Target: Guarded>> {
    lock: L,
    count: usize,
}

impl<L: Deref<Target: Guarded>> Drop for Held<L> {
    fn drop(&mut self) {
        self.lock.permits().give_back(self.count);
    }
}

/// A future that waits for permits, and then makes a guard of what it waited at.
///
/// `async-lock` keeps the value, since a guard of the standard library can't go to another thread. It never makes anybody
/// wait here: who has the permits finds the way free, because guards give the value back before the permits.
macro_rules! entering {
    ($(#[$attr:meta])* $future:ident<$($a:lifetime,)? T>, $lock:ty, $guard:ty, $count:expr, $enter:expr) => {
        $(#[$attr])*
        #[must_use = "futures do nothing unless awaited"]
        pub struct $future<$($a,)? T> {
            lock: $lock,
            waiting: Waiting,
        }

        impl<$($a,)? T> $future<$($a,)? T> {
            fn new(lock: $lock) -> Self {
                Self { lock, waiting: Waiting::new($count) }
            }
        }

        impl<$($a,)? T> Future for $future<$($a,)? T> {
            type Output = $guard;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<$guard> {
                let Self { lock, waiting } = &mut *self;
                match waiting.poll(&lock.permits, cx) {
                    Poll::Ready(Ok(())) => Poll::Ready($enter(&*lock)),
                    // It is never closed, and nobody takes a permit out of the world.
                    Poll::Ready(Err(error)) => unreachable!("a lock refused to wait: {error}"),
                    Poll::Pending => Poll::Pending,
                }
            }
        }

        impl<$($a,)? T> Drop for $future<$($a,)? T> {
            fn drop(&mut self) {
                let Self { lock, waiting } = self;
                waiting.leave(&lock.permits);
            }
        }

        impl<$($a,)? T> fmt::Debug for $future<$($a,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($future)).finish_non_exhaustive()
            }
        }
    };
}

/// What is the same for all guards: a look at the value.
macro_rules! guard {
    ($guard:ident<$($a:lifetime,)? T>) => {
        impl<$($a,)? T> Deref for $guard<$($a,)? T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.value
            }
        }

        impl<$($a,)? T: fmt::Debug> fmt::Debug for $guard<$($a,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<$($a,)? T: fmt::Display> fmt::Display for $guard<$($a,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
    (mut $guard:ident<$($a:lifetime,)? T>) => {
        guard!($guard<$($a,)? T>);

        impl<$($a,)? T> DerefMut for $guard<$($a,)? T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.value
            }
        }
    };
}

use {entering, guard};

/// What `async-lock` gives to who has the permits.
#[track_caller]
fn free<G>(guard: Option<G>) -> G {
    guard.expect("whoever has the permits of a lock finds it free")
}
