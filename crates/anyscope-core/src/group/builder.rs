//! [`Builder`]: how a group is to be opened.

use super::TaskGroup;
use super::fallible::TryTaskGroup;
use super::owner::{Owner, Plan};
use crate::error::{Failure, GroupError};
use crate::local::{Binding, TaskLocal};
use crate::runtime::Runtime;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;

/// Settings of a group that isn't open yet. Made by [`TaskGroup::builder`].
#[must_use = "a group that isn't run does nothing"]
pub struct Builder<R> {
    plan: Plan,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Builder<R> {
    pub(super) fn new() -> Self {
        Self { plan: Plan::default(), runtime: PhantomData }
    }

    /// At most this many children are in progress at a time; the others wait in the order of their spawning.
    ///
    /// A child holds its place until it has ended. One that waits for another of the same group, by its handle, by
    /// [`start`](TaskGroup::start) or through a portal, needs room for both. Services don't count.
    ///
    /// # Panics
    ///
    /// Where `limit` is zero: no child would ever start.
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(limit > 0, "the limit of a group is zero: no child would ever start");
        self.plan.limit = limit;
        self
    }

    /// Names the group, for those who look at it.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.plan.name = Some(name.into());
        self
    }

    /// Gives a task-local a value for the group: its body and its children, from wherever they're spawned.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{TaskGroup, TaskLocal};
    ///
    /// static TENANT: TaskLocal<&str> = TaskLocal::new();
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), TaskGroup::builder().local(&TENANT, "acme").run(async |g| {
    ///     assert_eq!(TENANT.get(), "acme");
    ///     assert_eq!(g.spawn(async { TENANT.get() }).await, "acme");
    /// }));
    /// ```
    pub fn local<T: Send + Sync + 'static>(mut self, local: &'static TaskLocal<T>, value: T) -> Self {
        self.plan.locals.push(Box::new(move |around| Binding::new(local, value, around)));
        self
    }

    /// Opens the group. See [`task_group`](crate::task_group).
    ///
    /// # Cancel safety
    ///
    /// As [`task_group`](crate::task_group).
    ///
    /// # Panics
    ///
    /// As [`task_group`](crate::task_group).
    #[track_caller]
    pub fn run<F, T>(self, body: F) -> impl Future<Output = T>
    where
        F: AsyncFnOnce(&TaskGroup<R>) -> T,
    {
        let location = Location::caller();
        async move {
            let owner = Owner::open::<R>(self.plan, location);
            let group = TaskGroup::of(owner.group.clone());
            match owner.run(body(&group)).await {
                Some(value) => value,
                // Only a panic stops the body of this kind of group, and it was resumed.
                None => unreachable!("the body of a group was stopped without a panic"),
            }
        }
    }

    /// Opens the fail-fast form of the group. See [`try_task_group`](crate::try_task_group).
    ///
    /// # Errors
    ///
    /// As [`try_task_group`](crate::try_task_group).
    ///
    /// # Cancel safety
    ///
    /// As [`task_group`](crate::task_group).
    ///
    /// # Panics
    ///
    /// As [`task_group`](crate::task_group).
    #[track_caller]
    pub fn try_run<F, T, E>(self, body: F) -> impl Future<Output = Result<T, GroupError<E>>>
    where
        F: AsyncFnOnce(&TryTaskGroup<E, R>) -> Result<T, E>,
        E: Send + 'static,
    {
        let location = Location::caller();
        async move {
            let owner = Owner::open::<R>(self.plan, location);
            let group = TryTaskGroup::of(owner.group.clone());
            let failures = group.failures();
            let body = async {
                let result = body(&group).await;
                match result {
                    Ok(value) => Some(value),
                    Err(error) => {
                        failures.keep(Failure::new(error, None, location));
                        owner.body_failed("ended with an error");
                        None
                    }
                }
            };
            let value = owner.run(body).await.flatten();
            let failures = failures.take();
            match value {
                Some(value) if failures.is_empty() => Ok(value),
                _ => Err(GroupError::new(failures)),
            }
        }
    }
}

impl<R> fmt::Debug for Builder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limit", &self.plan.limit)
            .field("name", &self.plan.name)
            .finish_non_exhaustive()
    }
}
