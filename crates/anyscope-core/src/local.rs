//! [`TaskLocal`]: values that travel with the work, without an argument.
//!
//! The values around a poll are a list that is never changed, only put in front of: a scope adds a binding, a child and
//! a blocking job keep the list that they were started under. So a child sees what its parent had, and nothing that it
//! does reaches its parent.
//!
//! # Invariants
//!
//! 1. A list has one binding of a local at most: what a scope hides isn't kept by what is started inside of it. So a chain
//!    of children, each of which gives a local anew, keeps one value, and a list is as long as there are locals.

use crate::context::{self, Frame, FrameSlot};
use crate::sync::Arc;
use pin_project_lite::pin_project;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// One value, and those around it.
pub(crate) struct Binding {
    /// The address of the [`TaskLocal`], which is a static.
    key: usize,
    value: Arc<dyn Any + Send + Sync>,
    around: Option<Arc<Self>>,
}

impl Binding {
    pub(crate) fn new<T: Send + Sync + 'static>(
        local: &'static TaskLocal<T>,
        value: T,
        around: Option<Arc<Self>>,
    ) -> Arc<Self> {
        Self::in_front(local.key(), Arc::new(value), around)
    }

    /// Puts a value in front of a list, and takes out of it what that hides.
    fn in_front(key: usize, value: Arc<dyn Any + Send + Sync>, around: Option<Arc<Self>>) -> Arc<Self> {
        let hidden = Self::list(around.as_ref()).position(|binding| binding.key == key);
        let around = match hidden {
            None => around,
            Some(position) => {
                let nearer: Vec<_> = Self::list(around.as_ref()).take(position).collect();
                let farther = Self::list(around.as_ref()).nth(position).and_then(|hidden| hidden.around.clone());
                nearer.into_iter().rev().fold(farther, |around, nearer| {
                    Some(Arc::new(Self { key: nearer.key, value: nearer.value.clone(), around }))
                })
            }
        };
        Arc::new(Self { key, value, around })
    }

    /// The values of both lists; where both have one, that of `front`.
    pub(crate) fn over(front: Option<Arc<Self>>, back: Option<Arc<Self>>) -> Option<Arc<Self>> {
        if back.is_none() {
            return front;
        }
        let nearer: Vec<_> = Self::list(front.as_ref()).collect();
        nearer
            .into_iter()
            .rev()
            .fold(back, |around, nearer| Some(Self::in_front(nearer.key, nearer.value.clone(), around)))
    }

    /// A list, the nearest binding first.
    fn list(first: Option<&Arc<Self>>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(first, |binding| binding.around.as_ref())
    }
}

/// A value that everything started inside of a scope can read: children, blocking work, their children.
///
/// Declared as a static. [`scope`](Self::scope) gives it a value for a future and for all that the future starts; a group
/// can have one for its children, see [`Builder::local`](crate::Builder::local). What is started keeps the value, also
/// when it outlasts the scope. A scope further in hides the value for what is inside of it, and changes nothing outside:
/// a child can't change what its parent sees.
///
/// The value is shared and not copied: what has interior mutability is one thing for all who see it.
///
/// # Examples
///
/// ```
/// use anyscope::{TaskLocal, task_group, unblock};
///
/// static REQUEST: TaskLocal<u64> = TaskLocal::new();
///
/// anyscope::run(anyscope::smol::Smol::new(), REQUEST.scope(7, task_group(async |g| {
///     let child = g.spawn(async { REQUEST.get() });
///     assert_eq!(child.await, 7);
///     let below = REQUEST.scope(8, async { unblock(|| REQUEST.get()).await });
///     assert_eq!(below.await, 8);
///     assert_eq!(REQUEST.get(), 7);
/// })));
/// assert!(REQUEST.try_get().is_err());
/// ```
pub struct TaskLocal<T: 'static> {
    /// Makes the address of each static its own: a type without a size wouldn't have one.
    _place: u8,
    value: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> TaskLocal<T> {
    /// Makes one, for a `static`.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a static can't be made by `default`")]
    pub const fn new() -> Self {
        Self { _place: 0, value: PhantomData }
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Gives it a value for a future, and for everything that the future starts.
    ///
    /// # Cancel safety
    ///
    /// As safe as the future that it runs.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> WithLocal<T, F> {
        WithLocal { future: Some(future), value: Some((self, value)), frame: None }
    }

    /// Gives it a value for a closure.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::TaskLocal;
    ///
    /// static USER: TaskLocal<&str> = TaskLocal::new();
    ///
    /// let name = USER.sync_scope("ann", || USER.get());
    /// assert_eq!(name, "ann");
    /// ```
    pub fn sync_scope<U>(&'static self, value: T, f: impl FnOnce() -> U) -> U {
        let locals = Some(Binding::new(self, value, context::locals()));
        let frame = Frame { locals, closure: true, ..Frame::default() };
        context::within(&Some(frame), f)
    }

    /// Reads the value.
    ///
    /// # Panics
    ///
    /// Where it has none here.
    #[track_caller]
    pub fn with<U>(&'static self, f: impl FnOnce(&T) -> U) -> U {
        match self.find() {
            Some(value) => f(value.as_ref()),
            None => panic!("{}", AccessError(())),
        }
    }

    /// Reads the value.
    ///
    /// # Errors
    ///
    /// [`AccessError`] where it has none here.
    pub fn try_with<U>(&'static self, f: impl FnOnce(&T) -> U) -> Result<U, AccessError> {
        self.find().map(|value| f(value.as_ref())).ok_or(AccessError(()))
    }

    /// Returns a copy of the value.
    ///
    /// # Panics
    ///
    /// Where it has none here.
    #[must_use]
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Returns a copy of the value.
    ///
    /// # Errors
    ///
    /// [`AccessError`] where it has none here.
    pub fn try_get(&'static self) -> Result<T, AccessError>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }

    fn find(&'static self) -> Option<Arc<T>> {
        let locals = context::locals();
        let binding = Binding::list(locals.as_ref()).find(|binding| binding.key == self.key())?;
        binding.value.clone().downcast().ok()
    }
}

impl<T> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocal").finish_non_exhaustive()
    }
}

/// The error of a [`TaskLocal`] that was asked for its value where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task-local has no value here: nothing around gave it one")
    }
}

impl Error for AccessError {}

pin_project! {
    /// A future with a value of a task-local. Made by [`TaskLocal::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct WithLocal<T: 'static, F> {
        #[pin]
        future: Option<F>,
        // Until the first poll, which knows what is around.
        value: Option<(&'static TaskLocal<T>, T)>,
        frame: FrameSlot,
    }

    impl<T: 'static, F> PinnedDrop for WithLocal<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            context::within(this.frame, || this.future.set(None));
        }
    }
}

impl<T: Send + Sync + 'static, F: Future> Future for WithLocal<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some((local, value)) = this.value.take() {
            let locals = Some(Binding::new(local, value, context::locals()));
            *this.frame = Some(Frame { locals, ..Frame::default() });
        }
        context::poll_within(this.frame, this.future, cx)
    }
}

impl<T, F> fmt::Debug for WithLocal<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithLocal").finish_non_exhaustive()
    }
}
