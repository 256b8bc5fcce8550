//! [`TaskGroup`]: it owns tasks, and ends after all of them. Its fail-fast form is in `group/fallible.rs`.

pub(crate) mod builder;
pub(crate) mod core;
pub(crate) mod drive;
mod ending;
pub(crate) mod fallible;
pub(crate) mod finaliser;
pub(crate) mod handle;
pub(crate) mod orphan;
pub(crate) mod owner;
pub(crate) mod peek;
pub(crate) mod room;
pub(crate) mod shutdown;
pub(crate) mod start;
pub(crate) mod state;
mod wreck;

use self::builder::Builder;
use self::core::{GroupCore, Reserved};
use self::finaliser::Finaliser;
use self::handle::GroupHandle;
use self::start::{Start, Started};
use self::state::Role;
use crate::blocking::{Unblock, unblock};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::observe::Event;
use crate::outcome::Outcome;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::task::cell::{self, Place, Step};
use crate::task::seat::{Birth, Seat};
use crate::task::{Task, TaskRef};
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;

/// Opens a group, runs `body` with it, and returns the body's value after every child has ended.
///
/// The children run on the runtime, in parallel where it has threads for them; their outputs are values, an `Err`
/// among them: for a group that an error ends, see [`try_task_group`](crate::try_task_group). Where a child panics, the body and the other
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

/// A group of tasks, each of which ends with a value. Made by [`task_group`].
pub struct TaskGroup<R> {
    core: Arc<GroupCore>,
    runtime: PhantomData<fn() -> R>,
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
        Builder::new()
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
        Task::new(cell::spawn_plain(&self.core, Location::caller(), future, |value, _: &Seat| Step::Value(value)))
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

    /// Starts a child that serves the others: it is cancelled when only services are left.
    ///
    /// Where there are several, the last one ends first, and each before the one that was spawned before it is cancelled:
    /// so a service can rely on those before it. A cancellation of the group doesn't reach services until their users
    /// have ended, but doesn't wait for the body; the drop of the group's future destroys idle ones at once. What the body
    /// needs to its own end belongs in a group around. Services don't count towards the limit.
    ///
    /// What a service has in hand when its users are gone is dropped with it: whoever needs it done waits for its answer, or
    /// has it done by [`on_exit`](Self::on_exit).
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{channel, task_group};
    ///
    /// let square = anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     let (ask, asked) = channel(8);
    ///     g.spawn_service(async move {
    ///         while let Ok((number, reply)) = asked.recv().await {
    ///             let reply: channel::Sender<u32> = reply;
    ///             let _ = reply.send(number * number).await;
    ///         }
    ///     });
    ///     let user = g.spawn(async move {
    ///         let (reply, answer) = channel(1);
    ///         ask.send((7_u32, reply)).await.unwrap();
    ///         answer.recv().await.unwrap()
    ///     });
    ///     user.await
    /// }));
    /// assert_eq!(square, 49);
    /// ```
    #[track_caller]
    pub fn spawn_service<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.task_as(None).spawn_service(future)
    }

    /// Starts a child and waits until it says that it is ready.
    ///
    /// `make` is given a [`Started`], by which the child hands over what its users need. Until then the child belongs to
    /// the caller: a cancellation or a drop of the caller ends it, its panic goes on in the caller, the caller's deadline
    /// holds, and a cancellation of the group waits. Afterwards it is a child like any other, and the caller's end means
    /// nothing to it. What it ends with then is a value that is dropped, an `Err` too: where that is to end the group, use
    /// [`TryTaskGroup::start`](crate::TryTaskGroup::start).
    ///
    /// # Panics
    ///
    /// Awaiting it panics where the child ends, or is cancelled, without being ready, and says how;
    /// [`outcome`](Start::outcome) tells without a panic. With the panic of a child that isn't ready yet.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future destroys a child that isn't ready yet. One that is ready goes on; the value is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::task_group;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     let port = g.start(|started| async move {
    ///         let port = 8080; // what binding a socket would give
    ///         started.ready(port);
    ///         // .. and here it serves
    ///     }).await;
    ///     assert_eq!(port, 8080);
    /// }));
    /// ```
    #[track_caller]
    pub fn start<V, F>(&self, make: impl FnOnce(Started<V>) -> F) -> Start<V>
    where
        V: Send + 'static,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.task_as(None).start(make)
    }

    /// Runs a future when the group ends: after all children and services, before whoever awaits the group goes on.
    ///
    /// Finalisers run one after the other, the last one first, however the group came to its end: also after a panic,
    /// and also when the group's future was dropped, in which case the group around waits for them. Nothing cancels them
    /// and no deadline holds for them; a [`timeout`](crate::timeout) inside does. A panic in one is a panic of the group,
    /// and stops no other. Where the runtime goes away they're dropped unrun.
    ///
    /// # Panics
    ///
    /// In a finaliser: the group takes no more of them by then.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::task_group;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let log = Arc::new(Mutex::new(Vec::new()));
    /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     for step in ["close the pool", "flush the cache"] {
    ///         let log = log.clone();
    ///         g.on_exit(async move { log.lock().unwrap().push(step) });
    ///     }
    /// }));
    /// assert_eq!(*log.lock().unwrap(), ["flush the cache", "close the pool"]);
    /// ```
    #[track_caller]
    pub fn on_exit<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.on_exit_with(move |_| future);
    }

    /// Runs what `make` gives when the group ends, and tells it how that came about. See [`on_exit`](Self::on_exit).
    ///
    /// [`Outcome::Completed`] where the body came to its end, [`Outcome::Cancelled`] where it was stopped or the group's
    /// future was dropped, [`Outcome::Panicked`] where it or a child panicked. The same for all finalisers.
    ///
    /// # Panics
    ///
    /// As [`on_exit`](Self::on_exit).
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::task_group;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     g.on_exit_with(|how| async move {
    ///         assert!(how.is_completed());
    ///     });
    /// }));
    /// ```
    #[track_caller]
    pub fn on_exit_with<F>(&self, make: impl FnOnce(Outcome<()>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        finally(&self.core, Finaliser::new(Location::caller(), make));
    }

    /// Returns a handle that can be kept and sent anywhere; it spawns as long as the group hasn't ended.
    #[must_use]
    pub fn handle(&self) -> GroupHandle<R> {
        self.core.tell(|group| Event::GroupReachable { group });
        GroupHandle::of(Self::of(self.core.clone()))
    }
}

#[track_caller]
fn finally(core: &GroupCore, finaliser: Finaliser) {
    if let Err(unwanted) = core.finally(finaliser) {
        drop(unwanted);
        panic!("a finaliser was handed to a group that has come to its end");
    }
}

/// What both kinds of group, and the handles of both, do in the same way.
macro_rules! controls {
    ([$($param:tt)*] $group:ty, |$this:ident| $core:expr) => {
        impl<$($param)*> $group {
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
                let $this = self;
                $crate::group::cancel($core, None);
            }

            /// Cancels the children, with a message for the [`Reason`](crate::Reason).
            #[track_caller]
            pub fn cancel_with(&self, message: impl Into<std::borrow::Cow<'static, str>>) {
                let $this = self;
                $crate::group::cancel($core, Some(message.into()));
            }

            /// Returns whether the children have been cancelled.
            #[must_use]
            pub fn is_cancelled(&self) -> bool {
                let $this = self;
                $core.children.is_cancelled()
            }

            /// Waits until a child would start at once; for a group with a limit, before spawning more than it takes.
            ///
            /// Reserves nothing: who spawns first has the place. In a group that has ended it doesn't wait.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost when the future is dropped.
            ///
            /// # Examples
            ///
            /// ```
            /// use anyscope::TaskGroup;
            ///
            /// anyscope::run(anyscope::smol::Smol::new(), TaskGroup::builder().limit(2).run(async |g| {
            ///     for job in 0..100 {
            ///         g.room().await; // no more than two are in memory
            ///         g.spawn(async move { job });
            ///     }
            /// }));
            /// ```
            pub fn room(&self) -> $crate::group::room::Room<'_> {
                let $this = self;
                $crate::group::room::Room::new($core)
            }
        }

        impl<$($param)*> $group {
            /// Returns a way to spawn children by key, one at a time for each.
            #[must_use]
            pub fn keyed<K>(&self) -> $crate::keyed::KeyedGroup<K, R>
            where
                K: std::hash::Hash + Eq + Clone + Send + 'static,
            {
                let $this = self;
                $crate::keyed::KeyedGroup::new($core)
            }

            /// Returns a portal, by which plain threads and tasks of other runtimes run async work in this group.
            #[must_use]
            pub fn portal(&self) -> $crate::portal::Portal<R> {
                let $this = self;
                $crate::portal::Portal::new($core)
            }
        }

        impl<$($param)*> $group
        where
            R: Runtime,
        {
            /// Ends the children in two phases: they're asked to stop, and those still at work after `grace` are
            /// cancelled. The body runs on to its result.
            ///
            /// The request is made at once: [`stopping`](crate::stopping) tells the children, present and future, and
            /// those of groups inside. Awaiting what is returned waits until every child has ended, and tells who had to
            /// be cancelled by this or another shutdown; it goes on whether it is awaited or not. A child may ask for it as
            /// well, and doesn't wait for itself; after the grace it is cancelled like the others. Services end with the last
            /// child, though the body may go on.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future changes nothing: the grace runs on.
            ///
            /// # Examples
            ///
            /// ```
            /// use anyscope::{stopping, task_group};
            /// use std::time::Duration;
            ///
            /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
            ///     g.spawn(async { stopping().await });
            ///     g.task("stubborn").spawn(std::future::pending::<()>());
            ///     let stragglers = g.shutdown(Duration::from_millis(10)).await;
            ///     assert_eq!(stragglers.iter().next().unwrap().name(), Some("stubborn"));
            /// }));
            /// ```
            #[track_caller]
            pub fn shutdown(&self, grace: std::time::Duration) -> $crate::group::shutdown::Shutdown {
                let $this = self;
                $crate::group::shutdown::shutdown::<R>($core, grace, std::panic::Location::caller())
            }
        }
    };
}
use controls;

controls!([R] TaskGroup<R>, |this| &this.core);

#[track_caller]
fn cancel(core: &Arc<GroupCore>, message: Option<Cow<'static, str>>) {
    if !core.children.is_cancelled() {
        core.children.cancel(&Reason::new(ReasonKind::Explicit, message, Location::caller()));
        core.settle();
    }
}

/// A child of a group: cancelled with the others, unless it is a service.
fn birth(place: &Place<'_>, task: TaskRef) -> Birth {
    let group = place.group();
    match place.role() {
        Role::Service => Birth::under(Node::root(), group, task),
        Role::Child | Role::Late => Birth::child(group, task),
    }
}

pub(crate) fn spawn<'a, F>(place: impl Into<Place<'a>>, task: TaskRef, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let place = place.into();
    let birth = birth(&place, task);
    Task::new(cell::spawn(place, birth, future, |value, _: &Seat| Step::Value(value)))
}

/// What is known of a child before it starts. Made by [`TaskGroup::task`].
#[must_use = "a child that isn't spawned doesn't run"]
pub struct TaskBuilder<'g, R> {
    group: &'g TaskGroup<R>,
    name: Option<Cow<'static, str>>,
}

impl<R> fmt::Debug for TaskBuilder<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<R> TaskBuilder<'_, R> {
    /// Starts the child. See [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn(Place::In(&self.group.core, Role::Child), TaskRef::new(self.name, Location::caller()), future)
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

    /// Starts a child that serves the others. See [`TaskGroup::spawn_service`].
    #[track_caller]
    pub fn spawn_service<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn(Place::In(&self.group.core, Role::Service), TaskRef::new(self.name, Location::caller()), future)
    }

    /// Starts a child and waits until it is ready. See [`TaskGroup::start`].
    ///
    /// # Panics
    ///
    /// As [`TaskGroup::start`].
    ///
    /// # Cancel safety
    ///
    /// As [`TaskGroup::start`].
    #[track_caller]
    pub fn start<V, F>(self, make: impl FnOnce(Started<V>) -> F) -> Start<V>
    where
        V: Send + 'static,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = TaskRef::new(self.name, Location::caller());
        let reserved = reserve(&self.group.core, Role::Child);
        Start::new(start::start(reserved, task, make, |_| None, |never: Infallible| match never {}))
    }
}

/// A place for a child of a group whose body is running.
#[track_caller]
fn reserve(core: &Arc<GroupCore>, role: Role) -> Reserved {
    match core.reserve(role) {
        Some(reserved) => reserved,
        // The body lends the group out, and the group outlives its body; only an unsound lifetime gets here.
        None => panic!("spawned into a group that has ended"),
    }
}

impl<R> fmt::Debug for TaskGroup<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
