//! [`GroupHandle`] and [`TryGroupHandle`]: into a group from anywhere.

use super::fallible::{TryTaskGroup, try_spawn};
use super::state::Role;
use super::{TaskGroup, controls, spawn};
use crate::error::Closed;
use crate::runtime::Runtime;
use crate::task::{Task, TaskRef};
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// Spawns into a group from anywhere. Made by [`TaskGroup::handle`].
///
/// A handle doesn't keep the group from ending; a child that holds the handle of its own group is fine.
///
/// # Examples
///
/// ```
/// use anyscope::task_group;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let handle = g.handle();
///     g.spawn(async move {
///         let sibling = handle.spawn(async { 1 }).expect("the group waits for this task");
///         assert_eq!(sibling.await, 1);
///     });
/// }));
/// ```
pub struct GroupHandle<R> {
    group: TaskGroup<R>,
}

impl<R> GroupHandle<R> {
    pub(super) fn of(group: TaskGroup<R>) -> Self {
        Self { group }
    }

    /// Starts a child. See [`TaskGroup::spawn`].
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Result<Task<F::Output>, Closed<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.plant(None, Role::Child, future)
    }

    /// Starts a child that serves the others. See [`TaskGroup::spawn_service`].
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn_service<F>(&self, future: F) -> Result<Task<F::Output>, Closed<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.plant(None, Role::Service, future)
    }

    /// Names the next child: `handle.task("name").spawn(future)`.
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> HandleTaskBuilder<'_, Self> {
        HandleTaskBuilder { handle: self, name: name.into() }
    }

    #[track_caller]
    fn plant<F>(&self, name: Option<Cow<'static, str>>, role: Role, future: F) -> Result<Task<F::Output>, Closed<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.group.core.reserve(role) {
            Some(reserved) => Ok(spawn(reserved, TaskRef::new(name, Location::caller()), future)),
            None => Err(Closed(future)),
        }
    }
}

controls!([R] GroupHandle<R>, |this| &this.group.core);

impl<R> Clone for GroupHandle<R> {
    fn clone(&self) -> Self {
        self.group.handle()
    }
}

/// Spawns into a fail-fast group from anywhere. Made by [`TryTaskGroup::handle`].
pub struct TryGroupHandle<E, R> {
    group: TryTaskGroup<E, R>,
}

impl<E: Send + 'static, R> TryGroupHandle<E, R> {
    pub(super) fn of(group: TryTaskGroup<E, R>) -> Self {
        Self { group }
    }

    /// Starts a child. See [`TryTaskGroup::spawn`].
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn<F, T>(&self, future: F) -> Result<Task<T>, Closed<F>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.plant(None, Role::Child, future)
    }

    /// Starts a child that serves the others. See [`TaskGroup::spawn_service`].
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn_service<F, T>(&self, future: F) -> Result<Task<T>, Closed<F>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.plant(None, Role::Service, future)
    }

    /// Names the next child: `handle.task("name").spawn(future)`.
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> HandleTaskBuilder<'_, Self> {
        HandleTaskBuilder { handle: self, name: name.into() }
    }

    #[track_caller]
    fn plant<F, T>(&self, name: Option<Cow<'static, str>>, role: Role, future: F) -> Result<Task<T>, Closed<F>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        match self.group.core.reserve(role) {
            Some(reserved) => {
                let task = TaskRef::new(name, Location::caller());
                Ok(try_spawn(reserved, task, self.group.failures(), future))
            }
            None => Err(Closed(future)),
        }
    }
}

controls!([E: Send + 'static, R] TryGroupHandle<E, R>, |this| &this.group.core);

impl<E: Send + 'static, R> Clone for TryGroupHandle<E, R> {
    fn clone(&self) -> Self {
        self.group.handle()
    }
}

/// What is known of a child before it is spawned through a handle. Made by [`GroupHandle::task`] and
/// [`TryGroupHandle::task`].
#[must_use = "a child that isn't spawned doesn't run"]
pub struct HandleTaskBuilder<'h, H> {
    handle: &'h H,
    name: Cow<'static, str>,
}

impl<R> HandleTaskBuilder<'_, GroupHandle<R>> {
    /// Starts the child. See [`GroupHandle::spawn`].
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> Result<Task<F::Output>, Closed<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.plant(Some(self.name), Role::Child, future)
    }

    /// Starts a child that serves the others. See [`GroupHandle::spawn_service`].
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn_service<F>(self, future: F) -> Result<Task<F::Output>, Closed<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.plant(Some(self.name), Role::Service, future)
    }
}

impl<E: Send + 'static, R> HandleTaskBuilder<'_, TryGroupHandle<E, R>> {
    /// Starts the child. See [`TryGroupHandle::spawn`].
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn<F, T>(self, future: F) -> Result<Task<T>, Closed<F>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.handle.plant(Some(self.name), Role::Child, future)
    }

    /// Starts a child that serves the others. See [`TryGroupHandle::spawn_service`].
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn_service<F, T>(self, future: F) -> Result<Task<T>, Closed<F>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.handle.plant(Some(self.name), Role::Service, future)
    }
}

impl<H> fmt::Debug for HandleTaskBuilder<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandleTaskBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for GroupHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl<E: Send + 'static, R> fmt::Debug for TryGroupHandle<E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryGroupHandle").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
