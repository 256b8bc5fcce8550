//! [`TryTaskGroup`]: a group that the first error ends.

use super::core::GroupCore;
use super::finaliser::Finaliser;
use super::handle::TryGroupHandle;
use super::start::{self, Started, TryStart};
use super::state::Role;
use super::{TaskGroup, birth, controls, finally, reserve};
use crate::blocking::{Unblock, unblock};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::context;
use crate::error::{Failure, GroupError};
use crate::guard;
use crate::observe::Event;
use crate::outcome::Outcome;
use crate::runtime::Runtime;
use crate::sync::{Arc, Mutex};
use crate::task::cell::{self, Place, Step};
use crate::task::seat::Seat;
use crate::task::{Task, TaskRef};
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;

/// Opens a group that the first error ends, runs `body` with it, and returns the body's value after every child has
/// ended.
///
/// The first `Err`, of a child or of the body, cancels the children and the body.
///
/// # Errors
///
/// [`GroupError`], with the error that came first and all that came after it, each with its task.
///
/// # Cancel safety
///
/// As [`task_group`](crate::task_group).
///
/// # Panics
///
/// As [`task_group`](crate::task_group). A panic goes before the errors, which are dropped then.
///
/// # Spawning what awaits it
///
/// A future that awaits this can be spawned where its parts can. The exception is an error type with a lifetime in it, as
/// `&'static str` and `Box<dyn Error + Send + Sync>` have: the compiler forgets it there, and can't show that the future is
/// `Send`. A type of your own around it helps: `struct Failed(Box<dyn Error + Send + Sync>);`.
///
/// # Examples
///
/// ```
/// use anyscope::try_task_group;
///
/// let parse = |text: &'static str| async move { text.parse::<i32>() };
/// let total = anyscope::run(anyscope::smol::Smol::new(), try_task_group(async |g| {
///     let one = g.spawn(parse("1"));
///     let two = g.spawn(parse("2"));
///     Ok(one.await + two.await)
/// }));
/// assert_eq!(total.unwrap(), 3);
/// ```
#[track_caller]
pub fn try_task_group<R, F, T, E>(body: F) -> impl Future<Output = Result<T, GroupError<E>>>
where
    R: Runtime,
    F: AsyncFnOnce(&TryTaskGroup<E, R>) -> Result<T, E>,
    E: Send + 'static,
{
    TaskGroup::builder().try_run(body)
}

/// A group of tasks that the first error ends. Made by [`try_task_group`].
pub struct TryTaskGroup<E, R> {
    pub(super) core: Arc<GroupCore>,
    failures: Failures<E>,
    runtime: PhantomData<fn() -> R>,
}

/// The errors of a group, in the order in which they happened.
pub(super) struct Failures<E>(Arc<Mutex<Kept<E>>>);

/// Errors that nobody has taken yet. Where a panic goes before them they are dropped while it unwinds, so that a
/// destructor of theirs may not add another.
struct Kept<E>(Vec<Failure<E>>);

impl<E> Drop for Kept<E> {
    fn drop(&mut self) {
        self.0.drain(..).for_each(guard::drop_quietly);
    }
}

impl<E> Failures<E> {
    pub(super) fn keep(&self, failure: Failure<E>) {
        self.0.lock().0.push(failure);
    }

    pub(super) fn take(&self) -> Vec<Failure<E>> {
        std::mem::take(&mut self.0.lock().0)
    }
}

impl<E> Clone for Failures<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Send + 'static, R> TryTaskGroup<E, R> {
    pub(super) fn of(core: Arc<GroupCore>) -> Self {
        Self { core, failures: Failures(Arc::new(Mutex::new(Kept(Vec::new())))), runtime: PhantomData }
    }

    pub(super) fn failures(&self) -> Failures<E> {
        self.failures.clone()
    }

    /// Starts a child and returns the handle of its `Ok` value. An `Err` cancels the group.
    ///
    /// See [`TaskGroup::spawn`] for the rest.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::try_task_group;
    ///
    /// let result = anyscope::run(anyscope::smol::Smol::new(), try_task_group(async |g| {
    ///     let sibling = g.spawn(std::future::pending::<Result<(), &str>>());
    ///     g.spawn(async { Err::<(), _>("no route") });
    ///     sibling.await;
    ///     unreachable!("the error ended the body");
    /// }));
    /// assert_eq!(result.map(|()| 0).unwrap_err().into_first(), "no route");
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(&self, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.task_as(None).spawn(future)
    }

    /// Names the next child: `g.task("name").spawn(future)`.
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> TryTaskBuilder<'_, E, R> {
        self.task_as(Some(name.into()))
    }

    fn task_as(&self, name: Option<Cow<'static, str>>) -> TryTaskBuilder<'_, E, R> {
        TryTaskBuilder { group: self, name }
    }

    /// Starts a child that blocks a thread of the runtime's pool. See [`TaskGroup::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, f: F) -> Task<T>
    where
        R: Runtime,
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        let job: Unblock<Result<T, E>, R> = unblock(f);
        self.spawn(job)
    }

    /// Starts a child that serves the others: it is cancelled when only services are left. An `Err` cancels the group.
    ///
    /// See [`TaskGroup::spawn_service`].
    #[track_caller]
    pub fn spawn_service<F, T>(&self, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.task_as(None).spawn_service(future)
    }

    /// Starts a child and waits until it says that it is ready.
    ///
    /// An `Err` of a child that isn't ready yet is the caller's, and doesn't end the group; afterwards it does. See
    /// [`TaskGroup::start`] for the rest.
    ///
    /// # Errors
    ///
    /// The child's, where it failed before it was ready.
    ///
    /// # Panics
    ///
    /// As [`TaskGroup::start`].
    ///
    /// # Cancel safety
    ///
    /// As [`TaskGroup::start`].
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{Started, try_task_group};
    ///
    /// let result = anyscope::run(anyscope::smol::Smol::new(), try_task_group(async |g| {
    ///     let first = g.start(|_started: Started<u16>| async { Err::<(), _>("port in use") }).await;
    ///     assert_eq!(first, Err("port in use"));
    ///     g.start(|started| async move {
    ///         started.ready(8081);
    ///         Ok(())
    ///     }).await
    /// }));
    /// assert_eq!(result.unwrap(), 8081);
    /// ```
    #[track_caller]
    pub fn start<V, F, T>(&self, make: impl FnOnce(Started<V>) -> F) -> TryStart<V, E>
    where
        V: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.task_as(None).start(make)
    }

    /// Runs a future when the group ends. See [`TaskGroup::on_exit`].
    ///
    /// Its output is `()` or a `Result<(), E>`, whose error stands in the [`GroupError`] behind those that came before.
    ///
    /// # Panics
    ///
    /// As [`TaskGroup::on_exit`].
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::try_task_group;
    ///
    /// let failed = anyscope::run(anyscope::smol::Smol::new(), try_task_group(async |g| {
    ///     g.on_exit(async { Err("the file is still there") });
    ///     g.spawn(async { Err::<(), _>("no disk") });
    ///     Ok(())
    /// })).unwrap_err();
    /// assert_eq!(failed.errors().collect::<Vec<_>>(), [&"no disk", &"the file is still there"]);
    /// ```
    #[track_caller]
    pub fn on_exit<F>(&self, future: F)
    where
        F: Future + Send + 'static,
        F::Output: Finished<E>,
    {
        self.on_exit_with(move |_| future);
    }

    /// Runs what `make` gives when the group ends, and tells it how that came about. See [`TaskGroup::on_exit_with`].
    ///
    /// # Panics
    ///
    /// As [`TaskGroup::on_exit`].
    #[track_caller]
    pub fn on_exit_with<F>(&self, make: impl FnOnce(Outcome<()>) -> F + Send + 'static)
    where
        F: Future + Send + 'static,
        F::Output: Finished<E>,
    {
        let location = Location::caller();
        let (group, failures) = (Arc::downgrade(&self.core), self.failures.clone());
        let make = move |how| {
            let future = make(how);
            async move {
                let Some(error) = future.await.into_error() else { return };
                let (Some(task), Some(group)) = (context::task(), group.upgrade()) else { return };
                fail(&group, &failures, error, task);
            }
        };
        finally(&self.core, Finaliser::new(location, make));
    }

    /// Returns a handle that can be kept and sent anywhere; it spawns as long as the group hasn't ended.
    #[must_use]
    pub fn handle(&self) -> TryGroupHandle<E, R> {
        let group = Self { core: self.core.clone(), failures: self.failures.clone(), runtime: PhantomData };
        self.core.tell(|group| Event::GroupReachable { group });
        TryGroupHandle::of(group)
    }
}

controls!([E: Send + 'static, R] TryTaskGroup<E, R>, |this| &this.core);

/// What a finaliser ends with: nothing, or a `Result`.
pub trait Finished<E> {
    #[doc(hidden)]
    fn into_error(self) -> Option<E>;
}

impl<E> Finished<E> for () {
    fn into_error(self) -> Option<E> {
        None
    }
}

impl<E> Finished<E> for Result<(), E> {
    fn into_error(self) -> Option<E> {
        self.err()
    }
}

/// What is known of a child before it starts. Made by [`TryTaskGroup::task`].
#[must_use = "a child that isn't spawned doesn't run"]
pub struct TryTaskBuilder<'g, E, R> {
    group: &'g TryTaskGroup<E, R>,
    name: Option<Cow<'static, str>>,
}

impl<E, R> fmt::Debug for TryTaskBuilder<'_, E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryTaskBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<E: Send + 'static, R> TryTaskBuilder<'_, E, R> {
    /// Starts the child. See [`TryTaskGroup::spawn`].
    #[track_caller]
    pub fn spawn<F, T>(self, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        let task = TaskRef::new(self.name, Location::caller());
        try_spawn(Place::In(&self.group.core, Role::Child), task, self.group.failures.clone(), future)
    }

    /// Starts a child that blocks a thread. See [`TaskGroup::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, T>(self, f: F) -> Task<T>
    where
        R: Runtime,
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        let job: Unblock<Result<T, E>, R> = unblock(f);
        self.spawn(job)
    }

    /// Starts a child that serves the others. See [`TryTaskGroup::spawn_service`].
    #[track_caller]
    pub fn spawn_service<F, T>(self, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        let task = TaskRef::new(self.name, Location::caller());
        try_spawn(Place::In(&self.group.core, Role::Service), task, self.group.failures.clone(), future)
    }

    /// Starts a child and waits until it is ready. See [`TryTaskGroup::start`].
    ///
    /// # Errors
    ///
    /// As [`TryTaskGroup::start`].
    ///
    /// # Panics
    ///
    /// As [`TaskGroup::start`].
    ///
    /// # Cancel safety
    ///
    /// As [`TaskGroup::start`].
    #[track_caller]
    pub fn start<V, F, T>(self, make: impl FnOnce(Started<V>) -> F) -> TryStart<V, E>
    where
        V: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        let task = TaskRef::new(self.name, Location::caller());
        let reserved = reserve(&self.group.core, Role::Child);
        let (group, failures, failing) = (reserved.group().clone(), self.group.failures.clone(), task.clone());
        let failed = move |error| fail(&group, &failures, error, failing);
        TryStart::new(start::start(reserved, task, make, Result::err, failed))
    }
}

/// Keeps the error, then cancels the body and the siblings.
fn fail<E>(group: &Arc<GroupCore>, failures: &Failures<E>, error: E, task: TaskRef) -> Reason {
    let location = task.location();
    let failure = Failure::new(error, Some(task.clone()), location);
    failures.keep(failure);
    let reason = Reason::of_task(ReasonKind::SiblingFailed, None, task, location);
    group.fail(&reason);
    reason
}

pub(super) fn try_spawn<'a, F, T, E>(
    place: impl Into<Place<'a>>,
    task: TaskRef,
    failures: Failures<E>,
    future: F,
) -> Task<T>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let place = place.into();
    let birth = birth(&place, task);
    Task::new(cell::spawn(place, birth, future, move |result: Result<T, E>, seat: &Seat| match result {
        Ok(value) => Step::Value(value),
        Err(error) => Step::Failed(fail(seat.group(), &failures, error, seat.task())),
    }))
}

impl<E: Send + 'static, R> fmt::Debug for TryTaskGroup<E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryTaskGroup").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
