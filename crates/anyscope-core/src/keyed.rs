//! [`KeyedGroup`]: children of a group by key, one at a time for each.
//!
//! # Invariants
//!
//! 1. A key has one tenant at most: the child that was spawned last under it, until that has ended.
//! 2. A tenant begins after everyone who had the key before it has ended, also where one of those was replaced before it
//!    began itself: each waits for all that the one before it waited for.
//! 3. A tenant leaves the map only by its own end, and never removes another.

use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::error::Closed;
use crate::group::core::{GroupCore, Role};
use crate::guard;
use crate::locks::Event;
use crate::sync::{Arc, Mutex};
use crate::task::cell::{Birth, Cell, Step};
use crate::task::{Task, TaskRef};
use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;

/// Children of a group that are known by a key: a connection for each user, a watcher for each file. Made by
/// [`TaskGroup::keyed`](crate::TaskGroup::keyed).
///
/// A key has one child at a time. To spawn another under it replaces the one that is there: that is cancelled, and the new
/// one begins when it has ended. A key is free again when its child has ended, in whatever way.
///
/// A handle: clones are the same keys, and don't keep the group from ending. `Hash` and `Eq` of the keys must not use it.
///
/// # Examples
///
/// ```
/// use anyscope::task_group;
/// use std::future::pending;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let sessions = g.keyed();
///     let first = sessions.spawn("ann", pending::<u32>()).unwrap();
///     let second = sessions.spawn("ann", async { 2 }).unwrap();
///     assert!(first.outcome().await.is_cancelled());
///     assert_eq!(second.await, 2);
///
///     sessions.spawn("bob", pending::<()>()).unwrap();
///     assert_eq!(sessions.keys(), ["bob"]);
///     assert!(sessions.cancel("bob"));
///     sessions.vacant("bob").await;
///     assert!(sessions.is_empty());
/// }));
/// ```
pub struct KeyedGroup<K, R> {
    group: Arc<GroupCore>,
    tenants: Arc<Tenants<K>>,
    runtime: PhantomData<fn() -> R>,
}

struct Tenants<K>(Mutex<HashMap<K, Tenant>>);

/// Whoever has a key.
struct Tenant {
    task: TaskRef,
    node: Arc<Node>,
    /// Set when it has ended, and what it waits for itself.
    over: Arc<Event>,
    before: Vec<Arc<Event>>,
}

impl<K, R> KeyedGroup<K, R>
where
    K: Hash + Eq + Clone + Send + 'static,
{
    pub(crate) fn new(group: &Arc<GroupCore>) -> Self {
        Self { group: group.clone(), tenants: Arc::new(Tenants(Mutex::new(HashMap::new()))), runtime: PhantomData }
    }

    /// Starts a child under a key. One that has the key is cancelled, and the new one begins when it has ended.
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn<F>(&self, key: K, future: F) -> Result<Task<F::Output>, Closed<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.settle(key, future, true).map_err(|refused| match refused {
            TrySpawnError::Closed(future) | TrySpawnError::Occupied(future) => Closed(future),
        })
    }

    /// Starts a child under a key that nobody has.
    ///
    /// # Errors
    ///
    /// [`TrySpawnError`], with the future, where somebody has the key, or the group has ended.
    #[track_caller]
    pub fn try_spawn<F>(&self, key: K, future: F) -> Result<Task<F::Output>, TrySpawnError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.settle(key, future, false)
    }

    #[track_caller]
    fn settle<F>(&self, key: K, future: F, replace: bool) -> Result<Task<F::Output>, TrySpawnError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let location = Location::caller();
        let Some(reserved) = self.group.reserve(Role::Child) else { return Err(TrySpawnError::Closed(future)) };
        let task = TaskRef::new(None, location);
        let birth = Birth::child(reserved.group(), task.clone());
        let over = Arc::new(Event::new());
        let mut tenant =
            Tenant { task: task.clone(), node: birth.node().clone(), over: over.clone(), before: Vec::new() };
        let (before, replaced) = {
            let mut tenants = self.tenants.0.lock();
            let replaced = tenants.remove_entry(&key);
            if let Some((key, sitting)) = replaced {
                if !replace {
                    tenants.insert(key, sitting);
                    drop(tenants);
                    return Err(TrySpawnError::Occupied(future));
                }
                tenant.before.extend(sitting.before.iter().filter(|before| !before.is_set()).cloned());
                tenant.before.push(sitting.over.clone());
                let before = tenant.before.clone();
                tenants.insert(key.clone(), tenant);
                (before, Some((key, sitting)))
            } else {
                tenants.insert(key.clone(), tenant);
                (Vec::new(), None)
            }
        };
        if let Some((_, sitting)) = replaced {
            let message = Some("another was spawned under its key".into());
            sitting.node.cancel(&Reason::new(ReasonKind::Explicit, message, location));
        }
        let leave = Leave { key: Some(key), task, over, tenants: self.tenants.clone() };
        let child = async move {
            let _leave = leave;
            for before in before {
                before.wait().await;
            }
            Step::Value(future.await)
        };
        Ok(Task::new(Cell::spawn(reserved, birth, Box::pin(child))))
    }
}

impl<K: Hash + Eq, R> KeyedGroup<K, R> {
    /// Returns which task has the key.
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<TaskRef>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.tenants.0.lock().get(key).map(|tenant| tenant.task.clone())
    }

    /// Returns whether somebody has the key.
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.tenants.0.lock().contains_key(key)
    }

    /// Cancels the child under a key. Returns whether there was one that hadn't been cancelled.
    ///
    /// The key is free when the child has ended: see [`vacant`](Self::vacant).
    #[track_caller]
    pub fn cancel<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.cancel_explicitly(key, None)
    }

    /// Cancels the child under a key, with a message for the [`Reason`].
    #[track_caller]
    pub fn cancel_with<Q>(&self, key: &Q, message: impl Into<Cow<'static, str>>) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.cancel_explicitly(key, Some(message.into()))
    }

    #[track_caller]
    fn cancel_explicitly<Q>(&self, key: &Q, message: Option<Cow<'static, str>>) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let node = self.tenants.0.lock().get(key).map(|tenant| tenant.node.clone());
        node.is_some_and(|node| node.cancel(&Reason::new(ReasonKind::Explicit, message, Location::caller())))
    }

    /// Waits until nobody has the key: the child that has it now has ended, and so has any that came in its place.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn vacant<Q>(&self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        loop {
            let over = self.tenants.0.lock().get(key).map(|tenant| tenant.over.clone());
            match over {
                Some(over) => over.wait().await,
                None => return,
            }
        }
    }

    /// Returns how many keys are taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tenants.0.lock().len()
    }

    /// Returns whether no key is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the keys that are taken, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        self.tenants.0.lock().keys().cloned().collect()
    }
}

/// Leaves the key when the child has ended, however that came about.
struct Leave<K: Hash + Eq> {
    key: Option<K>,
    task: TaskRef,
    over: Arc<Event>,
    tenants: Arc<Tenants<K>>,
}

impl<K: Hash + Eq> Drop for Leave<K> {
    fn drop(&mut self) {
        let left = self.key.take().map(|key| {
            let mut tenants = self.tenants.0.lock();
            let is_mine = tenants.get(&key).is_some_and(|tenant| tenant.task.id() == self.task.id());
            let left = if is_mine { tenants.remove_entry(&key) } else { None };
            drop(tenants);
            (key, left)
        });
        self.over.set();
        // The keys are the user's.
        if let Some(payload) = guard::drop_caught(left) {
            guard::resume(Some(payload));
        }
    }
}

impl<K, R> Clone for KeyedGroup<K, R> {
    fn clone(&self) -> Self {
        Self { group: self.group.clone(), tenants: self.tenants.clone(), runtime: PhantomData }
    }
}

impl<K, R> fmt::Debug for KeyedGroup<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedGroup").field("len", &self.tenants.0.lock().len()).finish_non_exhaustive()
    }
}

/// Why a child wasn't started under a key, with its future.
///
/// Exhaustive: there is nothing else that could be in the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySpawnError<F> {
    /// Somebody has the key.
    Occupied(F),
    /// The group has ended.
    Closed(F),
}

impl<F> TrySpawnError<F> {
    /// Returns what could not be spawned.
    pub fn into_inner(self) -> F {
        match self {
            Self::Occupied(future) | Self::Closed(future) => future,
        }
    }

    /// Returns whether somebody has the key.
    #[must_use]
    pub fn is_occupied(&self) -> bool {
        matches!(self, Self::Occupied(_))
    }
}

impl<F> fmt::Debug for TrySpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Occupied(_) => "Occupied(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<F> fmt::Display for TrySpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Occupied(_) => "the key has a child that hasn't ended",
            Self::Closed(_) => "the group has ended",
        })
    }
}

impl<F> Error for TrySpawnError<F> {}
