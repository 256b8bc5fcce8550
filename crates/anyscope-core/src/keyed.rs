//! [`KeyedGroup`]: children of a group by key, one at a time for each.
//!
//! # Invariants
//!
//! 1. The children of a key stand in the order of their spawning until they have ended; the last one has the key, the
//!    others were cancelled for it.
//! 2. The first one has its turn: a child begins when all that stood before it have ended.
//! 3. A key is free when nobody stands for it any more.

use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::error::Closed;
use crate::group::core::GroupCore;
use crate::group::state::Role;
use crate::guard;
use crate::locks::Event;
use crate::sync::{Arc, Mutex};
use crate::task::cell::{self, Step};
use crate::task::seat::{Birth, Seat};
use crate::task::{Task, TaskId, TaskRef};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::pin;

/// Children of a group that are known by a key: a connection for each user, a watcher for each file. Made by
/// [`TaskGroup::keyed`](crate::TaskGroup::keyed).
///
/// A key has one child at a time. To spawn another under it replaces the one that is there: that is cancelled, and the new
/// one begins when it has ended. A key is free again when its child has ended, in whatever way.
///
/// A handle: clones are the same keys, and don't keep the group from ending. `Hash`, `Eq` and `Clone` of the keys must not
/// use it. A child that waits for the one that it replaces has its place under the group's limit already. In a fail-fast
/// group an `Err` of these children is a value, and ends nothing.
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
    keys: Arc<Keys<K>>,
    runtime: PhantomData<fn() -> R>,
}

type Keys<K> = Mutex<HashMap<K, Tenants>>;

/// Those who stand for a key, the last of whom has it.
struct Tenants {
    /// Which task took the key: the one that was spawned first has the smallest number.
    taken: TaskId,
    standing: VecDeque<Tenant>,
    /// Set when nobody stands any more.
    vacant: Arc<Event>,
}

struct Tenant {
    task: TaskRef,
    node: Arc<Node>,
    /// Set when all before it have ended.
    turn: Arc<Event>,
}

impl<K, R> KeyedGroup<K, R>
where
    K: Hash + Eq + Clone + Send + 'static,
{
    pub(crate) fn new(group: &Arc<GroupCore>) -> Self {
        Self { group: group.clone(), keys: Arc::new(Mutex::new(HashMap::new())), runtime: PhantomData }
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
        let node = Node::below(Some(&self.group.children));
        let birth = Birth::under(node.clone(), &self.group, task.clone());
        let turn = Arc::new(Event::new());
        let id = task.id();
        let tenant = Tenant { task: task.clone(), node, turn: turn.clone() };
        // A copy to know the key by at the end, made before the lock.
        let own = key.clone();
        let replaced = {
            let mut keys = self.keys.lock();
            let tenants = keys.entry(key).or_insert_with(|| Tenants::new(id));
            if !replace && !tenants.standing.is_empty() {
                drop(keys);
                return Err(TrySpawnError::Occupied(future));
            }
            let replaced = tenants.standing.back().map(|last| last.node.clone());
            tenants.standing.push_back(tenant);
            replaced
        };
        match replaced {
            Some(node) => {
                let message = Some("another was spawned under its key".into());
                node.cancel(&Reason::new(ReasonKind::Explicit, message, location));
            }
            None => drop(turn.set()),
        }
        let leave = Leave { key: Some(own), task, keys: self.keys.clone() };
        Ok(Task::new(cell::spawn(reserved, birth, stay(Stay { future, turn, leave }), |step, _: &Seat| step)))
    }
}

impl Tenants {
    fn new(taken: TaskId) -> Self {
        Self { taken, standing: VecDeque::new(), vacant: Arc::new(Event::new()) }
    }
}

/// A child, and the way out: the future goes first, however far it came.
struct Stay<F, K: Hash + Eq> {
    future: F,
    turn: Arc<Event>,
    leave: Leave<K>,
}

async fn stay<F: Future, K: Hash + Eq>(stay: Stay<F, K>) -> Step<F::Output> {
    let Stay { future, turn, leave } = stay;
    let _leave = leave;
    let future = pin!(future);
    turn.wait().await;
    Step::Value(future.await)
}

impl<K: Hash + Eq, R> KeyedGroup<K, R> {
    /// Returns which task has the key.
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<TaskRef>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.keys.lock().get(key).and_then(|tenants| tenants.standing.back().map(|last| last.task.clone()))
    }

    /// Returns whether somebody has the key.
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.keys.lock().contains_key(key)
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
        let node = self.keys.lock().get(key).and_then(|tenants| tenants.standing.back().map(|last| last.node.clone()));
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
            let vacant = self.keys.lock().get(key).map(|tenants| tenants.vacant.clone());
            match vacant {
                Some(vacant) => vacant.wait().await,
                None => return,
            }
        }
    }

    /// Returns how many keys are taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.lock().len()
    }

    /// Returns whether no key is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the keys that are taken, the one whose first task was spawned first at the front.
    #[must_use]
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        let mut keys: Vec<_> = {
            let keys = self.keys.lock();
            keys.iter().map(|(key, tenants)| (tenants.taken, key.clone())).collect()
        };
        keys.sort_by_key(|(taken, _)| *taken);
        keys.into_iter().map(|(_, key)| key).collect()
    }
}

/// Leaves the key when the child has ended, however that came about.
struct Leave<K: Hash + Eq> {
    key: Option<K>,
    task: TaskRef,
    keys: Arc<Keys<K>>,
}

impl<K: Hash + Eq> Drop for Leave<K> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let (turn, left) = {
            let mut keys = self.keys.lock();
            let Some(tenants) = keys.get_mut(&key) else { return };
            let place = tenants.standing.iter().position(|tenant| tenant.task.id() == self.task.id());
            let gone = place.and_then(|place| tenants.standing.remove(place));
            // Who stands first now has its turn; who had it already is told again, for nothing.
            let turn = tenants.standing.front().map(|first| first.turn.clone());
            let left = if turn.is_none() { keys.remove_entry(&key) } else { None };
            (turn, (gone, left))
        };
        if let Some(turn) = turn {
            turn.set();
        }
        if let (_, Some((_, tenants))) = &left {
            tenants.vacant.set();
        }
        // The keys are the user's, and may panic.
        guard::resume(guard::drop_caught((left, key)));
    }
}

impl<K, R> Clone for KeyedGroup<K, R> {
    fn clone(&self) -> Self {
        Self { group: self.group.clone(), keys: self.keys.clone(), runtime: PhantomData }
    }
}

impl<K, R> fmt::Debug for KeyedGroup<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedGroup").field("len", &self.keys.lock().len()).finish_non_exhaustive()
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
