//! The cancellation tree: nodes that are cancelled with everything below them.
//!
//! A [`Node`] stands for a token, a group, the children of a group, a task, or a future run under a token. It has
//! no parent, one, or two: a future run under a token answers to its token and to the scope around it.
//!
//! # States
//!
//! A node is *live*, then *cancelled*, for ever: it has a reason. Who cancels it then *sweeps* it, which is to take its
//! lists and to answer for what is in them.
//!
//! A node is *detached*, and then *attached*, for ever: in the list of each parent. A detached node has nobody below it and
//! nobody who waits for it; it learns that it is cancelled by asking its parents. A node is attached by the first who waits
//! for it, or by the first node below it, so that one that has neither costs nothing but itself. A node without parents
//! is attached from the beginning.
//!
//! # Invariants
//!
//! 1. `marked` is true if and only if `inner.reason` is set; it is set inside the lock and read outside of it.
//! 2. A node that isn't swept has in its list every node below it that is attached and not dropped. The list of one that is
//!    swept is empty: whoever swept it answers for its members.
//! 3. A detached node has empty lists, and a node that is some node's parent is attached, or was cancelled first.
//! 4. When a node is marked because of an ancestor, the ancestor was marked before, and the marking thread has seen that; so
//!    whoever sees a node marked and looks upwards sees every ancestor that it was marked for.
//! 5. A node counts as cancelled when it or a parent is marked. Whoever finds it so and asks why leaves the answer with the
//!    node, and who cancels it finds that, or asks the parents first: nobody is told two reasons.
//!
//! By 2 and 3 a request reaches every descendant, whenever it was created: the attached ones by the pass, and the others by
//! 5, as their parents are reached.
//!
//! # Lock order
//!
//! A node's lock may be held while a parent's is taken, and never the other way: so locks are taken upwards, and what is
//! above is finite and no circle. Nothing is woken or dropped while one is held. A pass over the tree holds one lock at a
//! time and keeps its own stack, so depth costs heap and not stack. The same goes for dropping a chain; and to attach a
//! node takes its parents' locks and none above those, by 3.
//!
//! # Races
//!
//! - Cancel against the attaching of a child: the parent's lock decides. Either the pass takes the child from the
//!   list, or the child finds the reason.
//! - Cancel against the drop of a child: the list is weak; a child that is gone is passed over.
//! - Two cancels: the first to give a node its reason wins there and for what is below; who comes second helps to sweep
//!   it with that reason, or finds it swept.
//!
//! # Memory ordering
//!
//! `marked` is stored with Release after the reason, under the lock, and loaded with Acquire without it: this is
//! what carries invariant 4 to a reader that takes no lock.

use super::reason::Reason;
use crate::context;
use crate::observe::{self, Event};
use crate::sync::{self, Arc, AtomicBool, Mutex, MutexGuard, Ordering, Weak};
use crate::wait_queue::{WaitQueue, wake_all};
use slab::Slab;
use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// One node of the tree.
pub(crate) struct Node {
    marked: AtomicBool,
    attached: AtomicBool,
    inner: Mutex<Inner>,
    /// Two, where a token's scope is joined with its surroundings.
    parents: [Option<Arc<Node>>; 2],
    deadline: Option<Instant>,
}

struct Inner {
    reason: Option<Reason>,
    swept: bool,
    children: Slab<Weak<Node>>,
    waiters: WaitQueue<()>,
    /// Where this node is in the list of each parent.
    keys: [Option<usize>; 2],
}

struct Link {
    parent: Arc<Node>,
    /// `None` where this node was cancelled and never listed.
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
        let [first, second] = &parents;
        if let Some(parent) = first {
            parent.attach();
        }
        if let Some(parent) = second {
            parent.attach();
        }
        let inner =
            Inner { reason: None, swept: false, children: Slab::new(), waiters: WaitQueue::new(), keys: [None, None] };
        let attached = first.is_none() && second.is_none();
        Arc::new(Self {
            marked: AtomicBool::new(false),
            attached: AtomicBool::new(attached),
            inner: Mutex::new(inner),
            parents,
            deadline,
        })
    }

    /// Sees to it that a pass from above comes here, before anybody is below.
    #[inline]
    fn attach(self: &Arc<Self>) {
        // Ordering: Acquire; pairs with the Release in `attach_locked`, so that the lists have this node.
        if !self.attached.load(Ordering::Acquire) {
            self.attach_locked(&mut self.inner.lock());
        }
    }

    fn attach_locked(self: &Arc<Self>, inner: &mut Inner) {
        // Ordering: Relaxed; written under the lock that the caller holds.
        if inner.reason.is_some() || self.attached.load(Ordering::Relaxed) {
            return;
        }
        for (parent, key) in self.parents.iter().zip(0..) {
            let Some(parent) = parent else { continue };
            let unlocked = cfg!(bug_parent_asked_without_its_lock).then(|| parent.reason_of_its_own());
            let mut above = parent.inner.lock();
            let reason = match unlocked {
                Some(before) => before,
                None => above.reason.clone(),
            };
            match reason {
                Some(reason) if !cfg!(bug_child_made_meanwhile_missed) => {
                    drop(above);
                    self.give(inner, reason);
                    return;
                }
                _ => {
                    let place = above.children.insert(sync::downgrade(self));
                    drop(above);
                    inner.keys[key] = Some(place);
                }
            }
        }
        // Ordering: Release; to the Acquire in `attach`.
        self.attached.store(true, Ordering::Release);
    }

    /// Puts a node below this one for a while, beside the parents that it was born with: until the listing is dropped.
    ///
    /// The node doesn't know of it: it is cancelled by the pass, and has nothing above to look up to.
    pub(crate) fn list(self: &Arc<Self>, child: &Arc<Self>) -> Listing {
        self.attach();
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

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        let [first, second] = &self.parents;
        let is_marked = |parent: &Option<Arc<Self>>| parent.as_ref().is_some_and(|parent| parent.is_marked());
        self.is_marked() || is_marked(first) || is_marked(second)
    }

    #[inline]
    fn is_marked(&self) -> bool {
        // Ordering: Acquire; pairs with the Release in `give`.
        self.marked.load(if cfg!(bug_cancelled_loaded_relaxed) { Ordering::Relaxed } else { Ordering::Acquire })
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        if !self.is_cancelled() {
            return None;
        }
        let mut inner = self.inner.lock();
        self.ask_parents(&mut inner);
        inner.reason.clone()
    }

    fn reason_of_its_own(&self) -> Option<Reason> {
        if self.is_marked() { self.inner.lock().reason.clone() } else { None }
    }

    /// Takes on the reason of a parent, where one has any and this node has none.
    fn ask_parents(&self, inner: &mut Inner) {
        if inner.reason.is_none() {
            if let Some(reason) = self.parents.iter().flatten().find_map(|parent| parent.reason_of_its_own()) {
                self.give(inner, reason);
            }
        }
    }

    /// Gives this node, whose lock the caller holds, its reason.
    fn give(&self, inner: &mut Inner, reason: Reason) {
        inner.reason = Some(reason);
        // Ordering: Release; publishes the marks of all ancestors to the Acquire load in `is_marked`.
        let publish = if cfg!(bug_cancelled_stored_relaxed) { Ordering::Relaxed } else { Ordering::Release };
        self.marked.store(true, publish);
    }

    /// Whether this node or any above it is cancelled, though the pass may not have arrived here yet.
    pub(crate) fn is_cancelled_above(self: &Arc<Self>) -> bool {
        let mut next = Some(self);
        let mut also = Vec::new();
        while let Some(node) = next.take().or_else(|| also.pop()) {
            if node.is_marked() {
                return true;
            }
            let [first, second] = &node.parents;
            next = first.as_ref();
            also.extend(second);
        }
        false
    }

    /// Cancels this node and all below it. Returns false where it was cancelled already.
    pub(crate) fn cancel(self: &Arc<Self>, reason: &Reason) -> bool {
        // All are marked before the first is woken, so that nobody woken finds a relative still live.
        let (is_first, wakers) = self.sweep(reason);
        if is_first {
            observe::tell(|| Event::CancelRequested { reason, by: context::task_id() });
        }
        wake_all(wakers);
        is_first
    }

    /// Marks this node and all below it, and hands out who waits for them. `None` where there was nothing left to do.
    pub(crate) fn mark_all(self: &Arc<Self>, reason: &Reason) -> Option<Vec<Waker>> {
        let (is_first, wakers) = self.sweep(reason);
        (is_first || !wakers.is_empty()).then_some(wakers)
    }

    /// Marks this node and all below it. Says whether it was live, and hands out who waits for them.
    fn sweep(self: &Arc<Self>, reason: &Reason) -> (bool, Vec<Waker>) {
        let mut wakers = Vec::new();
        let mut stack = Vec::new();
        let is_first = {
            let mut inner = self.inner.lock();
            self.ask_parents(&mut inner);
            let is_first = inner.reason.is_none();
            stack.extend(self.sweep_locked(inner, reason, &mut wakers));
            is_first
        };
        while let Some((reason, children)) = stack.last_mut() {
            match children.next_back() {
                None => {
                    stack.pop();
                }
                Some((_, child)) => {
                    if let Some(child) = child.upgrade() {
                        let below = child.sweep_locked(child.inner.lock(), reason, &mut wakers);
                        stack.extend(below);
                        Self::release(child);
                    }
                }
            }
        }
        (is_first, wakers)
    }

    /// Gives one node its reason, unless it has one, and hands out who waits for it, and its children with its reason.
    fn sweep_locked(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        reason: &Reason,
        wakers: &mut Vec<Waker>,
    ) -> Option<Below> {
        if inner.swept {
            return None;
        }
        inner.swept = true;
        if inner.reason.is_none() {
            self.give(&mut inner, reason.clone());
        }
        while let Some(waker) = inner.waiters.notify_front() {
            wakers.push(waker);
        }
        if inner.children.is_empty() {
            return None;
        }
        let children = mem::take(&mut inner.children).into_iter();
        inner.reason.clone().map(|reason| (reason, children))
    }

    /// Waits for the cancellation. `key` is the caller's place in the queue, to be given up with [`Node::leave`].
    pub(crate) fn poll_cancelled(self: &Arc<Self>, key: &mut Option<usize>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_cancelled() {
            return Poll::Ready(());
        }
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut inner = self.inner.lock();
            self.attach_locked(&mut inner);
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
        let mut next = node;
        let mut also = Vec::new();
        loop {
            let parents = sync::into_inner(next).map_or([None, None], |mut node| node.unlink());
            next = match parents {
                [Some(first), second] => {
                    also.extend(second);
                    first
                }
                [None, second] => match second.or_else(|| also.pop()) {
                    Some(next) => next,
                    None => return,
                },
            };
        }
    }

    /// Takes this node off its parents' lists and hands the parents out.
    fn unlink(&mut self) -> [Option<Arc<Self>>; 2] {
        let [first, second] = mem::take(&mut self.parents);
        let keys = mem::take(&mut self.inner.get_mut().keys);
        if let (Some(parent), Some(key)) = (&first, keys[0]) {
            parent.unlist(key);
        }
        if let (Some(parent), Some(key)) = (&second, keys[1]) {
            parent.unlist(key);
        }
        [first, second]
    }

    /// Gives up a place in the list.
    fn unlist(&self, key: usize) {
        let mut inner = self.inner.lock();
        // The list of one that was swept was taken by who did that (invariant 2).
        if !inner.swept {
            let gone = inner.children.remove(key);
            if inner.children.is_empty() && inner.children.capacity() > 64 {
                inner.children = Slab::new();
            }
            drop(inner);
            drop(gone);
        }
    }
}

/// The children of a node that was swept, and its reason.
type Below = (Reason, slab::IntoIter<Weak<Node>>);

/// A place below a node that can be given up. Made by [`Node::list`].
pub(crate) struct Listing(Option<Link>);

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(Link { parent, key }) = self.0.take() {
            if let Some(key) = key {
                parent.unlist(key);
            }
            Node::release(parent);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let [first, second] = self.unlink();
        if let Some(parent) = first {
            Self::release(parent);
        }
        if let Some(parent) = second {
            Self::release(parent);
        }
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;

#[cfg(all(test, not(anyscope_loom)))]
mod tests;
