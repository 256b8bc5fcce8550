//! The cancellation tree: nodes that are cancelled with everything below them.
//!
//! A [`Node`] stands for a token, a group, the children of a group, a task, or a future run under a token. It has
//! no parent, one, or two: a future run under a token answers to its token and to the scope around it.
//!
//! # States
//!
//! A node is *live*, then *cancelled*, for ever. The reason is stored, and the list of children taken, in the same
//! critical section.
//!
//! # Invariants
//!
//! 1. `cancelled` is true if and only if `inner.reason` is set; it is set inside the lock and read outside of it.
//! 2. A live node's list holds every child that was created under it and not dropped. A cancelled node's is empty:
//!    whoever cancelled it took the list and answers for its members.
//! 3. A child created under a cancelled node is born cancelled, with that node's reason.
//! 4. When a node is marked because of an ancestor, the ancestor was marked before, by the same thread; so whoever
//!    sees a node marked and looks upwards sees every ancestor that it was marked for.
//!
//! 2 and 3 together: a request reaches every descendant, whenever it was created.
//!
//! # Lock order
//!
//! A node's lock is a leaf: nothing else is locked, woken or dropped while it is held. A pass over the tree holds
//! one lock at a time and keeps its own stack, so depth costs heap and not stack. The same goes for dropping a chain.
//!
//! # Races
//!
//! - Cancel against the creation of a child: the parent's lock decides. Either the pass takes the child from the
//!   list, or the child finds the reason.
//! - Cancel against the drop of a child: the list is weak; a child that is gone is passed over.
//! - Two cancels: the first to lock a node wins there; the pass of the other doesn't go below it.
//!
//! # Memory ordering
//!
//! `cancelled` is stored with Release after the reason, under the lock, and loaded with Acquire without it: this is
//! what carries invariant 4 to a reader that takes no lock.

use super::reason::Reason;
use crate::context;
use crate::sync::{self, Arc, AtomicBool, Mutex, Ordering, Weak};
use crate::wait_queue::{WaitQueue, wake_all};
use slab::Slab;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// One node of the tree.
pub(crate) struct Node {
    cancelled: AtomicBool,
    inner: Mutex<Inner>,
    /// The parents, each with this node's key in its list. Two, where a token's scope is joined with its surroundings.
    parents: [Option<Link>; 2],
    deadline: Option<Instant>,
}

struct Inner {
    reason: Option<Reason>,
    children: Slab<Weak<Node>>,
    waiters: WaitQueue<()>,
}

struct Link {
    parent: Arc<Node>,
    /// `None` where this node was born cancelled and never listed.
    key: Option<usize>,
}

impl Node {
    /// A node that nothing above can cancel.
    pub(crate) fn root() -> Arc<Self> {
        Self::with_parents([None, None], None)
    }

    /// A node below `parent`, if there is one.
    pub(crate) fn below(parent: Option<&Arc<Self>>) -> Arc<Self> {
        Self::with_parents([parent.cloned(), None], parent.and_then(|parent| parent.deadline))
    }

    /// A node below `parent` with a deadline of its own, should it be the earlier.
    pub(crate) fn below_with_deadline(parent: &Arc<Self>, at: Option<Instant>) -> Arc<Self> {
        Self::with_parents([Some(parent.clone()), None], context::earlier(parent.deadline, at))
    }

    /// A node that answers to two.
    pub(crate) fn joining(first: &Arc<Self>, second: &Arc<Self>) -> Arc<Self> {
        Self::with_parents([Some(first.clone()), Some(second.clone())], None)
    }

    fn with_parents(parents: [Option<Arc<Self>>; 2], deadline: Option<Instant>) -> Arc<Self> {
        let mut born = None;
        let node = sync::new_cyclic(|this: &Weak<Self>| {
            let parents = parents.map(|parent| {
                parent.map(|parent| {
                    let mut inner = parent.inner.lock();
                    let key = match &inner.reason {
                        None => Some(inner.children.insert(this.clone())),
                        Some(reason) => {
                            born.get_or_insert_with(|| reason.clone());
                            None
                        }
                    };
                    drop(inner);
                    Link { parent, key }
                })
            });
            Self {
                cancelled: AtomicBool::new(false),
                inner: Mutex::new(Inner { reason: None, children: Slab::new(), waiters: WaitQueue::new() }),
                parents,
                deadline,
            }
        });
        // Subtle: a cancel that comes between the listing and the end of `new_cyclic` finds a weak link that
        // doesn't upgrade yet, and passes it over. So every parent is asked once more; under its lock, since without
        // it either side might read what the other is about to overwrite.
        for link in node.parents.iter().flatten() {
            if link.key.is_some() && born.is_none() && !cfg!(bug_child_made_meanwhile_missed) {
                let unlocked = cfg!(bug_parent_asked_without_its_lock);
                born = if unlocked { link.parent.reason() } else { link.parent.inner.lock().reason.clone() };
            }
        }
        if let Some(reason) = born {
            node.cancel(&reason);
        }
        node
    }

    /// Puts a node below this one for a while, beside the parents that it was born with: until the listing is dropped.
    ///
    /// The node doesn't know of it: it is cancelled by the pass, and has nothing above to look up to.
    pub(crate) fn list(self: &Arc<Self>, child: &Arc<Self>) -> Listing {
        let (key, reason) = {
            let mut inner = self.inner.lock();
            match &inner.reason {
                None => (Some(inner.children.insert(sync::downgrade(child))), None),
                Some(reason) => (None, Some(reason.clone())),
            }
        };
        if let Some(reason) = reason {
            child.cancel(&reason);
        }
        Listing(Some(Link { parent: self.clone(), key }))
    }

    /// The deadline that this node inherited or was given.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        // Ordering: Acquire; pairs with the Release in `mark`.
        self.cancelled.load(if cfg!(bug_cancelled_loaded_relaxed) { Ordering::Relaxed } else { Ordering::Acquire })
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        if self.is_cancelled() { self.inner.lock().reason.clone() } else { None }
    }

    /// Whether this node or any above it is cancelled, though the pass may not have arrived here yet.
    pub(crate) fn is_cancelled_above(self: &Arc<Self>) -> bool {
        let mut stack = vec![self];
        while let Some(node) = stack.pop() {
            if node.is_cancelled() {
                return true;
            }
            stack.extend(node.parents.iter().flatten().map(|link| &link.parent));
        }
        false
    }

    /// Cancels this node and all below it. Returns false where it was cancelled already.
    pub(crate) fn cancel(self: &Arc<Self>, reason: &Reason) -> bool {
        // All are marked before the first is woken, so that nobody woken finds a relative still live.
        match self.mark_all(reason) {
            Some(wakers) => {
                wake_all(wakers);
                true
            }
            None => false,
        }
    }

    /// Marks this node and all below it, and hands out who waits for them. `None` where it was cancelled already.
    pub(crate) fn mark_all(self: &Arc<Self>, reason: &Reason) -> Option<Vec<Waker>> {
        let mut wakers = Vec::new();
        let mut stack = self.mark(reason, &mut wakers)?;
        while let Some(child) = stack.pop() {
            if let Some(child) = child.upgrade() {
                if let Some(below) = child.mark(reason, &mut wakers) {
                    stack.extend(below);
                }
                Self::release(child);
            }
        }
        Some(wakers)
    }

    /// Marks one node, and hands out its children where it was live.
    fn mark(&self, reason: &Reason, wakers: &mut Vec<Waker>) -> Option<Vec<Weak<Self>>> {
        let mut inner = self.inner.lock();
        if inner.reason.is_some() {
            return None;
        }
        inner.reason = Some(reason.clone());
        // Ordering: Release; publishes the marks of all ancestors to the Acquire load in `is_cancelled`.
        let publish = if cfg!(bug_cancelled_stored_relaxed) { Ordering::Relaxed } else { Ordering::Release };
        self.cancelled.store(true, publish);
        let children = std::mem::take(&mut inner.children);
        wakers.extend(inner.waiters.notify_all());
        Some(children.into_iter().map(|(_, child)| child).collect())
    }

    /// Waits for the cancellation. `key` is the caller's place in the queue, to be given up with [`Node::leave`].
    pub(crate) fn poll_cancelled(&self, key: &mut Option<usize>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_cancelled() {
            return Poll::Ready(());
        }
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut inner = self.inner.lock();
            if inner.reason.is_some() && !cfg!(bug_missed_before_the_wait) {
                (Poll::Ready(()), Some(waker))
            } else {
                (Poll::Pending, inner.waiters.wait(key, waker))
            }
        };
        drop(unused);
        poll
    }

    /// Gives up a place in the queue.
    pub(crate) fn leave(&self, key: &mut Option<usize>) {
        if key.is_some() {
            let unused = self.inner.lock().waiters.leave(key);
            drop(unused);
        }
    }

    /// Drops a handle on a node without recursion, however long the chain above it.
    fn release(node: Arc<Self>) {
        let mut next = Some(node);
        let mut also = Vec::new();
        while let Some(node) = next.take().or_else(|| also.pop()) {
            if let Some(mut node) = sync::into_inner(node) {
                for link in &mut node.parents {
                    if let Some(parent) = node_unlink(link) {
                        if next.is_none() {
                            next = Some(parent);
                        } else {
                            also.push(parent);
                        }
                    }
                }
            }
        }
    }
}

/// A place below a node that can be given up. Made by [`Node::list`].
pub(crate) struct Listing(Option<Link>);

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(parent) = node_unlink(&mut self.0) {
            Node::release(parent);
        }
    }
}

/// Takes a node off its parent's list and hands the parent out.
fn node_unlink(link: &mut Option<Link>) -> Option<Arc<Node>> {
    let Link { parent, key } = link.take()?;
    if let Some(key) = key {
        let mut inner = parent.inner.lock();
        // A cancelled parent's list was taken by whoever cancelled it (invariant 2).
        if inner.reason.is_none() {
            let gone = inner.children.remove(key);
            if inner.children.is_empty() && inner.children.capacity() > 64 {
                inner.children = Slab::new();
            }
            drop(inner);
            drop(gone);
        }
    }
    Some(parent)
}

impl Drop for Node {
    fn drop(&mut self) {
        for link in &mut self.parents {
            if let Some(parent) = node_unlink(link) {
                Self::release(parent);
            }
        }
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;

#[cfg(all(test, not(anyscope_loom)))]
mod tests;
