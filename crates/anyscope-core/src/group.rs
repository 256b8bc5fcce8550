//! [`TaskGroup`] and [`TryTaskGroup`]: they own tasks, and end after all of them.

pub(crate) mod core;
pub(crate) mod drive;
pub(crate) mod orphan;
pub(crate) mod owner;

use self::core::{GroupCore, Reserved};
use self::owner::Owner;
use crate::blocking::{Unblock, unblock};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::error::{Closed, Failure, GroupError};
use crate::guard;
use crate::runtime::Runtime;
use crate::sync::{Arc, Mutex};
use crate::task::cell::{Cell, Step};
use crate::task::{Task, TaskRef};
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;

/// Opens a group, runs `body` with it, and returns the body's value after every child has ended.
///
/// The children run on the runtime, in parallel where it has threads for them; their outputs are values, an `Err`
/// among them: for a group that an error ends, see [`try_task_group`]. Where a child panics, the body and the other
/// children are cancelled, and the panic goes on in the caller after all of them have ended.
///
/// # Cancel safety
///
/// Dropping the future destroys every idle child before the drop returns. A child in the middle of a poll on another
/// thread is destroyed when that poll returns; the group around, or [`run`](crate::run), waits for that.
///
/// # Panics
///
/// With a child's panic, or the body's. At the first poll, outside of any runtime.
///
/// # Examples
///
/// ```
/// use anyscope::task_group;
///
/// let (user, posts) = anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let user = g.spawn(async { "ann" });
///     let posts = g.spawn(async { vec!["hello"] });
///     (user.await, posts.await)
/// }));
/// assert_eq!((user, posts.len()), ("ann", 1));
/// ```
///
/// The group can't be carried out of its body:
///
/// ```compile_fail
/// let escaped = anyscope::task_group(async |g| g);
/// ```
#[track_caller]
pub fn task_group<R, F, T>(body: F) -> impl Future<Output = T>
where
    R: Runtime,
    F: AsyncFnOnce(&TaskGroup<R>) -> T,
{
    TaskGroup::builder().run(body)
}

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
/// As [`task_group`].
///
/// # Panics
///
/// As [`task_group`]. A panic goes before the errors, which are dropped then.
///
/// # Spawning what awaits it
///
/// A future that awaits this can be spawned where its parts can. The exception is an error type that holds a `dyn`, as
/// `Box<dyn Error + Send + Sync>` does: the compiler forgets its lifetime there and can't show that the future is `Send`.
/// A type of your own around it helps: `struct Failed(Box<dyn Error + Send + Sync>);`.
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

/// A group of tasks, each of which ends with a value. Made by [`task_group`].
pub struct TaskGroup<R> {
    core: Arc<GroupCore>,
    runtime: PhantomData<fn() -> R>,
}

/// A group of tasks that the first error ends. Made by [`try_task_group`].
pub struct TryTaskGroup<E, R> {
    core: Arc<GroupCore>,
    failures: Failures<E>,
    runtime: PhantomData<fn() -> R>,
}

/// The errors of a group, in the order in which they happened.
struct Failures<E>(Arc<Mutex<Kept<E>>>);

/// Errors that nobody has taken yet. Where a panic goes before them they are dropped while it unwinds, so that a
/// destructor of theirs may not add another.
struct Kept<E>(Vec<Failure<E>>);

impl<E> Drop for Kept<E> {
    fn drop(&mut self) {
        for failure in self.0.drain(..) {
            if let Some(payload) = guard::drop_caught(failure) {
                guard::forget(payload);
            }
        }
    }
}

impl<E> Clone for Failures<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Runtime> TaskGroup<R> {
    /// Configures a group before it is opened.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::TaskGroup;
    ///
    /// let sum = anyscope::run(anyscope::smol::Smol::new(), TaskGroup::builder().name("fetchers").limit(2).run(async |g| {
    ///     let tasks: Vec<_> = (1..=4).map(|n| g.spawn(async move { n })).collect();
    ///     let mut sum = 0;
    ///     for task in tasks {
    ///         sum += task.await;
    ///     }
    ///     sum
    /// }));
    /// assert_eq!(sum, 10);
    /// ```
    pub fn builder() -> Builder<R> {
        Builder { limit: usize::MAX, name: None, runtime: PhantomData }
    }
}

impl<R> TaskGroup<R> {
    fn of(core: Arc<GroupCore>) -> Self {
        Self { core, runtime: PhantomData }
    }

    /// Starts a child and returns its handle. The child never runs inside this call.
    ///
    /// Over the group's limit it waits until another has ended. In a group that was cancelled its future is dropped
    /// without being polled.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::task_group;
    ///
    /// let two = anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     g.spawn(async { 1 + 1 }).await
    /// }));
    /// assert_eq!(two, 2);
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.task_as(None).spawn(future)
    }

    /// Names the next child: `g.task("name").spawn(future)`.
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> TaskBuilder<'_, R> {
        self.task_as(Some(name.into()))
    }

    fn task_as(&self, name: Option<Cow<'static, str>>) -> TaskBuilder<'_, R> {
        TaskBuilder { group: self, name }
    }

    /// Starts a child that blocks a thread of the runtime's pool.
    ///
    /// The group waits for it; a closure that runs can't be stopped, but can ask
    /// [`is_cancelled`](crate::is_cancelled). See [`unblock`](crate::unblock).
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::task_group;
    ///
    /// let sum: u64 = anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     g.spawn_blocking(|| (1..=1000).sum()).await
    /// }));
    /// assert_eq!(sum, 500_500);
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, f: F) -> Task<T>
    where
        R: Runtime,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let job: Unblock<T, R> = unblock(f);
        self.spawn(job)
    }

    /// Returns a handle that can be kept and sent anywhere; it spawns as long as the group hasn't ended.
    #[must_use]
    pub fn handle(&self) -> GroupHandle<R> {
        GroupHandle { group: Self::of(self.core.clone()) }
    }

    /// Cancels the children, present and future. The body runs on to its result.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::task_group;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     let idle = g.spawn(std::future::pending::<()>());
    ///     g.cancel_with("the body has what it wants");
    ///     assert!(idle.outcome().await.is_cancelled());
    /// }));
    /// ```
    #[track_caller]
    pub fn cancel(&self) {
        cancel(&self.core, None);
    }

    /// Cancels the children, with a message for the [`Reason`].
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) {
        cancel(&self.core, Some(message.into()));
    }

    /// Returns whether the children have been cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.core.children.is_cancelled()
    }
}

#[track_caller]
fn cancel(core: &GroupCore, message: Option<Cow<'static, str>>) {
    if !core.children.is_cancelled() {
        core.children.cancel(&Reason::new(ReasonKind::Explicit, message, Location::caller()));
    }
}

fn start<F>(reserved: Reserved, task: TaskRef, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Task::new(Cell::spawn(reserved, task, Box::pin(async move { Step::Value(future.await) })))
}

fn try_start<F, T, E>(reserved: Reserved, task: TaskRef, failures: Failures<E>, future: F) -> Task<T>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let group = reserved.group().clone();
    let failing = task.clone();
    let future = async move {
        match future.await {
            Ok(value) => Step::Value(value),
            Err(error) => Step::Failed(fail(&group, &failures, error, failing)),
        }
    };
    Task::new(Cell::spawn(reserved, task, Box::pin(future)))
}

/// Keeps the error, then cancels the body and the siblings.
fn fail<E>(group: &Arc<GroupCore>, failures: &Failures<E>, error: E, task: TaskRef) -> Reason {
    let location = task.location();
    let failure = Failure::new(error, Some(task.clone()), location);
    failures.0.lock().0.push(failure);
    let reason = Reason::of_task(ReasonKind::SiblingFailed, None, task, location);
    group.fail(&reason);
    reason
}

/// What is known of a child before it starts. Made by [`TaskGroup::task`].
#[must_use = "a child that isn't spawned doesn't run"]
pub struct TaskBuilder<'g, R> {
    group: &'g TaskGroup<R>,
    name: Option<Cow<'static, str>>,
}

impl<R> TaskBuilder<'_, R> {
    /// Starts the child. See [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        start(reserve(&self.group.core), TaskRef::new(self.name, Location::caller()), future)
    }

    /// Starts a child that blocks a thread. See [`TaskGroup::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, T>(self, f: F) -> Task<T>
    where
        R: Runtime,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let job: Unblock<T, R> = unblock(f);
        self.spawn(job)
    }
}

/// A place for a child of a group whose body is running.
#[track_caller]
fn reserve(core: &Arc<GroupCore>) -> Reserved {
    match core.reserve() {
        Some(reserved) => reserved,
        // The body lends the group out, and the group outlives its body; only an unsound lifetime gets here.
        None => panic!("spawned into a group that has ended"),
    }
}

impl<E, R> TryTaskGroup<E, R>
where
    E: Send + 'static,
{
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

    /// Returns a handle that can be kept and sent anywhere; it spawns as long as the group hasn't ended.
    #[must_use]
    pub fn handle(&self) -> TryGroupHandle<E, R> {
        TryGroupHandle {
            group: Self { core: self.core.clone(), failures: self.failures.clone(), runtime: PhantomData },
        }
    }

    /// Cancels the children, present and future. The body runs on to its result.
    #[track_caller]
    pub fn cancel(&self) {
        cancel(&self.core, None);
    }

    /// Cancels the children, with a message for the [`Reason`].
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) {
        cancel(&self.core, Some(message.into()));
    }

    /// Returns whether the children have been cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.core.children.is_cancelled()
    }
}

/// What is known of a child before it starts. Made by [`TryTaskGroup::task`].
#[must_use = "a child that isn't spawned doesn't run"]
pub struct TryTaskBuilder<'g, E, R> {
    group: &'g TryTaskGroup<E, R>,
    name: Option<Cow<'static, str>>,
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
        try_start(reserve(&self.group.core), task, self.group.failures.clone(), future)
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
}

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
        match self.group.core.reserve() {
            Some(reserved) => Ok(start(reserved, TaskRef::new(None, Location::caller()), future)),
            None => Err(Closed(future)),
        }
    }

    /// Cancels the children of the group. See [`TaskGroup::cancel`].
    #[track_caller]
    pub fn cancel(&self) {
        self.group.cancel();
    }

    /// Cancels the children of the group, with a message.
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) {
        self.group.cancel_with(message);
    }

    /// Returns whether the children have been cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.group.is_cancelled()
    }
}

impl<R> Clone for GroupHandle<R> {
    fn clone(&self) -> Self {
        Self { group: TaskGroup::of(self.group.core.clone()) }
    }
}

/// Spawns into a fail-fast group from anywhere. Made by [`TryTaskGroup::handle`].
pub struct TryGroupHandle<E, R> {
    group: TryTaskGroup<E, R>,
}

impl<E: Send + 'static, R> TryGroupHandle<E, R> {
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
        match self.group.core.reserve() {
            Some(reserved) => {
                let task = TaskRef::new(None, Location::caller());
                Ok(try_start(reserved, task, self.group.failures.clone(), future))
            }
            None => Err(Closed(future)),
        }
    }

    /// Cancels the children of the group. See [`TaskGroup::cancel`].
    #[track_caller]
    pub fn cancel(&self) {
        self.group.cancel();
    }

    /// Cancels the children of the group, with a message.
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) {
        self.group.cancel_with(message);
    }

    /// Returns whether the children have been cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.group.is_cancelled()
    }
}

impl<E: Send + 'static, R> Clone for TryGroupHandle<E, R> {
    fn clone(&self) -> Self {
        self.group.handle()
    }
}

/// Settings of a group that isn't open yet. Made by [`TaskGroup::builder`].
#[must_use = "a group that isn't run does nothing"]
pub struct Builder<R> {
    limit: usize,
    name: Option<Cow<'static, str>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Builder<R> {
    /// At most this many children are in progress at a time; the others wait in the order of their spawning.
    ///
    /// # Panics
    ///
    /// Where `limit` is zero: no child would ever start.
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(limit > 0, "the limit of a group is zero: no child would ever start");
        self.limit = limit;
        self
    }

    /// Names the group, for those who look at it.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Opens the group. See [`task_group`].
    ///
    /// # Cancel safety
    ///
    /// As [`task_group`].
    ///
    /// # Panics
    ///
    /// As [`task_group`].
    #[track_caller]
    pub fn run<F, T>(self, body: F) -> impl Future<Output = T>
    where
        F: AsyncFnOnce(&TaskGroup<R>) -> T,
    {
        let location = Location::caller();
        async move {
            let owner = Owner::open::<R>(self.limit, self.name, location);
            let group = TaskGroup::of(owner.group.clone());
            match owner.run(body(&group)).await {
                Some(value) => value,
                // Only a panic stops the body of this kind of group, and it was resumed.
                None => unreachable!("the body of a group was stopped without a panic"),
            }
        }
    }

    /// Opens the fail-fast form of the group. See [`try_task_group`].
    ///
    /// # Errors
    ///
    /// As [`try_task_group`].
    ///
    /// # Cancel safety
    ///
    /// As [`task_group`].
    ///
    /// # Panics
    ///
    /// As [`task_group`].
    #[track_caller]
    pub fn try_run<F, T, E>(self, body: F) -> impl Future<Output = Result<T, GroupError<E>>>
    where
        F: AsyncFnOnce(&TryTaskGroup<E, R>) -> Result<T, E>,
        E: Send + 'static,
    {
        let location = Location::caller();
        async move {
            let owner = Owner::open::<R>(self.limit, self.name, location);
            let failures = Failures(Arc::new(Mutex::new(Kept(Vec::new()))));
            let group = TryTaskGroup { core: owner.group.clone(), failures: failures.clone(), runtime: PhantomData };
            let body = async {
                let result = body(&group).await;
                match result {
                    Ok(value) => Some(value),
                    Err(error) => {
                        failures.0.lock().0.push(Failure::new(error, None, location));
                        owner.body_failed("ended with an error");
                        None
                    }
                }
            };
            let value = owner.run(body).await.flatten();
            let failures = std::mem::take(&mut failures.0.lock().0);
            match value {
                Some(value) if failures.is_empty() => Ok(value),
                _ => Err(GroupError::new(failures)),
            }
        }
    }
}

impl<R> fmt::Debug for TaskGroup<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl<E: Send + 'static, R> fmt::Debug for TryTaskGroup<E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryTaskGroup").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
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

impl<R> fmt::Debug for Builder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("limit", &self.limit).field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
