//! [`LocalKey`]: values that are a task's.

use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

/// Declares values that are a task's: `task_local! { static NAME: Type; }`. See [`LocalKey`](crate::compat::tokio::task::LocalKey).
///
/// What is spawned doesn't inherit them, as on tokio. For values that children do inherit there is
/// [`TaskLocal`](crate::TaskLocal).
#[doc(hidden)]
#[macro_export]
macro_rules! __compat_tokio_task_local {
    () => {};
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $t:ty; $($rest:tt)*) => {
        $crate::__compat_tokio_task_local!($(#[$attribute])* $vis static $name: $t);
        $crate::__compat_tokio_task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $t:ty) => {
        $(#[$attribute])*
        $vis static $name: $crate::compat::tokio::task::LocalKey<$t> = {
            ::std::thread_local! {
                static KEY: ::std::cell::RefCell<::std::option::Option<$t>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            $crate::compat::tokio::task::LocalKey { __key: KEY }
        };
    };
}

/// A value that is a task's, or a part's of one. Declared by [`task_local!`](crate::compat::tokio::task_local).
///
/// # Examples
///
/// ```
/// use anyscope::compat::tokio::{self, task_local};
///
/// task_local! {
///     static REQUEST: u32;
/// }
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let handled = REQUEST.scope(7, async { REQUEST.get() }).await;
///     assert_eq!(handled, 7);
///     assert!(REQUEST.try_get().is_err());
/// });
/// ```
pub struct LocalKey<T: 'static> {
    #[doc(hidden)]
    pub __key: thread::LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> LocalKey<T> {
    /// Runs a future with a value for this key.
    ///
    /// # Panics
    ///
    /// When it is polled inside of [`with`](Self::with) of the same key.
    ///
    /// # Cancel safety
    ///
    /// As safe as the future that it runs.
    pub fn scope<F: Future>(&'static self, value: T, f: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture { key: self, slot: Some(value), future: Some(f) }
    }

    /// Runs a closure with a value for this key.
    ///
    /// # Panics
    ///
    /// With a panic of the closure, and inside of [`with`](Self::with) of the same key.
    #[track_caller]
    pub fn sync_scope<F, R>(&'static self, value: T, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        self.inside(&mut Some(value), f)
    }

    /// Runs a closure with a reference to the value.
    ///
    /// # Panics
    ///
    /// Where there is none around.
    #[track_caller]
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("a task-local was asked for where it has no value: {error}"),
        }
    }

    /// Runs a closure with a reference to the value.
    ///
    /// # Errors
    ///
    /// [`AccessError`] where there is none around.
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        let found = self.__key.try_with(|slot| slot.try_borrow().ok().and_then(|value| value.as_ref().map(f)));
        found.ok().flatten().ok_or(AccessError(()))
    }

    /// Runs `f` with what is in `slot` as the value, and puts it back, also where `f` panics.
    #[track_caller]
    fn inside<R>(&'static self, slot: &mut Option<T>, f: impl FnOnce() -> R) -> R {
        struct Restore<'a, T: 'static> {
            key: &'static LocalKey<T>,
            slot: &'a mut Option<T>,
        }

        impl<T: 'static> Restore<'_, T> {
            /// Whether the two were exchanged. They aren't on a thread that ends, nor where somebody looks at the value.
            fn swap(&mut self) -> bool {
                let swapped = self.key.__key.try_with(|current| {
                    current.try_borrow_mut().map(|mut current| mem::swap(&mut *current, self.slot)).is_ok()
                });
                swapped.unwrap_or(false)
            }
        }

        impl<T: 'static> Drop for Restore<'_, T> {
            fn drop(&mut self) {
                self.swap();
            }
        }

        let mut restore = Restore { key: self, slot };
        if !restore.swap() {
            mem::forget(restore);
            panic!("a task-local was given a value while it was being looked at, or on a thread that ends");
        }
        f()
    }
}

impl<T: Clone + 'static> LocalKey<T> {
    /// Returns a copy of the value.
    ///
    /// # Panics
    ///
    /// Where there is none around.
    #[must_use]
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }

    /// Returns a copy of the value.
    ///
    /// # Errors
    ///
    /// [`AccessError`] where there is none around.
    pub fn try_get(&'static self) -> Result<T, AccessError> {
        self.try_with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

pin_project! {
    /// A future with a value for a task-local. Made by [`LocalKey::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct TaskLocalFuture<T: 'static, F> {
        key: &'static LocalKey<T>,
        slot: Option<T>,
        #[pin]
        future: Option<F>,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Inside, as the destructors of what it holds may ask. Where that can't be had, it is dropped all the same.
            let can = this.key.__key.try_with(|current| current.try_borrow_mut().is_ok()).unwrap_or(false);
            if can && this.future.is_some() {
                this.key.inside(this.slot, || this.future.set(None));
            }
        }
    }
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// Takes the value out. The future can't be polled afterwards, unless it asks for none.
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        self.project().slot.take()
    }
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        assert!(this.future.is_some(), "a `TaskLocalFuture` was polled after it had ended");
        let mut future = this.future.as_mut();
        this.key.inside(this.slot, || {
            let polled = future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx));
            if polled.is_ready() {
                future.set(None);
            }
            polled
        })
    }
}

impl<T: fmt::Debug + 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").field("value", &self.slot).finish_non_exhaustive()
    }
}

/// There is no value around for a task-local.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct AccessError(());

impl fmt::Debug for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessError").finish()
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task-local value not set")
    }
}

impl Error for AccessError {}
