//! What surrounds a child: its place in the group, what cancels it, what travels with it. The head of its allocation, and
//! what is lent to the stack of frames while it is polled.
//!
//! Most children have no name, no nested scope and no shield: what is rare is made when it is first asked for.

use super::{TaskId, TaskRef};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::context::{self, Shields};
use crate::group::core::GroupCore;
use crate::group::state::Role;
use crate::limiter::Held;
use crate::local::Binding;
use crate::observe::{self, Event};
use crate::runtime::Runtime;
use crate::sync::{Arc, AtomicBool, AtomicU8, AtomicU32, Mutex, OnceBox, OnceLock, Ordering};
use crate::tree::notes::Notes;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::time::Instant;

/// The key of what sits nowhere. A group with as many members has long run out of memory.
const NOWHERE: u32 = u32::MAX;

pub(crate) struct Seat {
    group: Arc<GroupCore>,
    id: TaskId,
    location: &'static Location<'static>,
    rare: OnceBox<Rare>,
    /// Its place among the members; set when it is admitted, under the group's lock.
    key: AtomicU32,
    /// Of the whole allocation, and here because there is a byte left: see `halves.rs`.
    pub(super) state: AtomicU8,
    /// Whether it was woken in its own poll.
    again: AtomicBool,
    /// Whether it finishes what others began: no deadline of the group's holds, and it is shielded for good.
    late: bool,
    /// Whether it has a node that it was born with, and isn't simply cancelled with its group.
    apart: bool,
}

struct Rare {
    name: Option<Cow<'static, str>>,
    /// What cancels it, and what is below it.
    node: OnceLock<Arc<Node>>,
    /// Its place in the queue of the node that it was born with.
    watch: OnceLock<usize>,
    shields: OnceLock<Arc<Shields>>,
    /// The values of task-locals. They go when the child ends, whoever keeps its allocation.
    locals: Mutex<Option<Arc<Binding>>>,
    held: Option<Arc<Held>>,
    notes: OnceLock<Arc<Notes>>,
}

impl Default for Rare {
    fn default() -> Self {
        Self {
            name: None,
            node: OnceLock::new(),
            watch: OnceLock::new(),
            shields: OnceLock::new(),
            locals: Mutex::new(None),
            held: None,
            notes: OnceLock::new(),
        }
    }
}

/// What a child is born with, beside its future.
pub(crate) struct Birth {
    name: Option<Cow<'static, str>>,
    location: &'static Location<'static>,
    id: TaskId,
    node: Option<Arc<Node>>,
    late: bool,
    locals: Option<Arc<Binding>>,
    held: Option<Arc<Held>>,
}

impl Birth {
    /// A child that is cancelled with its group.
    pub(crate) fn child(group: &Arc<GroupCore>, task: TaskRef) -> Self {
        let TaskRef { id, name, location } = task;
        Self { name, location, id, node: None, late: false, locals: context::locals_for(group), held: None }
    }

    /// A child that is cancelled by `node`.
    pub(crate) fn under(node: Arc<Node>, group: &Arc<GroupCore>, task: TaskRef) -> Self {
        Self { node: Some(node), ..Self::child(group, task) }
    }

    /// What belongs to nobody, and has nothing of what is around whoever spawns it.
    pub(crate) fn detached(task: TaskRef) -> Self {
        let TaskRef { id, name, location } = task;
        Self { name, location, id, node: None, late: false, locals: None, held: None }
    }

    /// What finishes for others: nothing from outside interrupts it.
    pub(crate) fn late(task: TaskRef, locals: Option<Arc<Binding>>) -> Self {
        let TaskRef { id, name, location } = task;
        Self { name, location, id, node: Some(Node::root()), late: true, locals, held: None }
    }

    /// Has what a caller from elsewhere brings along, where it brings anything.
    pub(crate) fn bring(&mut self, locals: Option<Arc<Binding>>, held: Option<Arc<Held>>) {
        self.locals = locals.or(self.locals.take());
        self.held = held;
    }

    pub(crate) fn seat(self, group: Arc<GroupCore>) -> Seat {
        let Self { name, location, id, node, late, locals, held } = self;
        let apart = node.is_some();
        let rare = OnceBox::new();
        if apart || name.is_some() || held.is_some() || locals.is_some() {
            let shields = if late { OnceLock::from(Shields::up_for_good()) } else { OnceLock::new() };
            let node = node.map_or_else(OnceLock::new, OnceLock::from);
            let locals = Mutex::new(locals);
            let _ = rare.set(Box::new(Rare { name, node, shields, locals, held, ..Rare::default() }));
        }
        Seat {
            group,
            id,
            location,
            rare,
            key: AtomicU32::new(NOWHERE),
            state: AtomicU8::new(0),
            again: AtomicBool::new(false),
            late,
            apart,
        }
    }
}

impl Seat {
    /// A child with nothing of its own, that is cancelled with its group.
    #[inline]
    pub(crate) fn child(group: &Arc<GroupCore>, location: &'static Location<'static>) -> Self {
        let rare = OnceBox::new();
        if let Some(locals) = context::locals_for(group) {
            let _ = rare.set(Box::new(Rare { locals: Mutex::new(Some(locals)), ..Rare::default() }));
        }
        Self {
            group: group.clone(),
            id: TaskId::next(),
            location,
            rare,
            key: AtomicU32::new(NOWHERE),
            state: AtomicU8::new(0),
            again: AtomicBool::new(false),
            late: false,
            apart: false,
        }
    }

    pub(crate) fn group(&self) -> &Arc<GroupCore> {
        &self.group
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.rare.get()?.name.as_deref()
    }

    pub(crate) fn task_name(&self) -> Option<Cow<'static, str>> {
        self.rare.get()?.name.clone()
    }

    pub(crate) fn task(&self) -> TaskRef {
        TaskRef { id: self.id, name: self.task_name(), location: self.location }
    }

    /// Tells that there is a child.
    #[cold]
    pub(crate) fn tell_spawned(&self, role: Role) {
        if observe::is_recording() {
            self.make_notes(true);
        }
        let task = self.task();
        let by = context::task_id();
        self.group.tell(|group| Event::Spawned { task: &task, group, role: role.into(), by });
    }

    /// Tells that a poll begins.
    #[cold]
    pub(crate) fn tell_polled(&self) {
        self.group.tell(|_| Event::Polled { task: self.id });
        if observe::is_recording() {
            self.make_notes(false).polled(self.group.runtime().now());
        }
    }

    /// Tells that the poll has returned, with or without an end.
    #[cold]
    pub(crate) fn tell_returned(&self, is_pending: bool) {
        if let Some(notes) = self.notes() {
            notes.returned(self.group.runtime().now());
        }
        if is_pending {
            self.group.tell(|_| Event::Pending { task: self.id });
        }
    }

    #[cold]
    fn tell_woken(&self) {
        self.group.tell(|_| Event::Woken { task: self.id, by: observe::cause() });
    }

    pub(crate) fn notes(&self) -> Option<&Arc<Notes>> {
        self.rare.get()?.notes.get()
    }

    /// What is known of it, from now on.
    pub(crate) fn make_notes(&self, from_birth: bool) -> &Arc<Notes> {
        let notes = &self.rare().notes;
        if notes.get().is_none() {
            let _ = notes.set(Notes::new(self.group.runtime().now(), from_birth));
        }
        match notes.get() {
            Some(notes) => notes,
            None => unreachable!("they were set"),
        }
    }

    pub(crate) fn locals(&self) -> Option<Arc<Binding>> {
        self.rare.get()?.locals.lock().clone()
    }

    /// Takes away what is rare and a user's: the child has ended.
    pub(crate) fn take_locals(&self) -> Option<Arc<Binding>> {
        self.rare.get()?.locals.lock().take()
    }

    /// Whether it has nothing that not every child has.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.rare.get().is_none()
    }

    pub(crate) fn held(&self) -> Option<&Arc<Held>> {
        if self.late {
            return None;
        }
        self.rare.get().and_then(|rare| rare.held.as_ref()).or(self.group.held.as_ref())
    }

    /// The deadline around it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.late { None } else { self.group.deadline() }
    }

    pub(crate) fn is_apart(&self) -> bool {
        self.apart
    }

    pub(crate) fn key(&self) -> usize {
        // Ordering: Relaxed; it is set under the group's lock, and asked for under it by whoever may come before that.
        self.key.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn set_key(&self, key: usize) {
        // Ordering: Relaxed, as where it is read.
        self.key.store(u32::try_from(key).unwrap_or(NOWHERE), Ordering::Relaxed);
    }

    fn rare(&self) -> &Rare {
        // Made first and set afterwards: nobody waits for who makes one.
        if self.rare.get().is_none() {
            let _ = self.rare.set(Box::default());
        }
        match self.rare.get() {
            Some(rare) => rare,
            None => unreachable!("it was set"),
        }
    }

    /// What cancels it, and everything below it.
    pub(crate) fn node(&self) -> Arc<Node> {
        let rare = self.rare();
        if rare.node.get().is_none() {
            let unused = rare.node.set(Node::below(Some(&self.group.children))).err();
            drop(unused);
        }
        match rare.node.get() {
            Some(node) => node.clone(),
            None => unreachable!("it was set"),
        }
    }

    pub(crate) fn made_node(&self) -> Option<&Arc<Node>> {
        self.rare.get()?.node.get()
    }

    /// Whether it isn't to be polled again, unless it is shielded.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.made_node().is_some_and(|node| node.is_cancelled()) || (!self.apart && self.group.children.is_cancelled())
    }

    /// The same, though the pass may not have arrived here yet.
    pub(crate) fn is_cancelled_above(&self) -> bool {
        match self.made_node() {
            Some(node) => node.is_cancelled_above(),
            None => self.group.children.is_cancelled_above(),
        }
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        match self.made_node() {
            Some(node) if self.apart || node.is_cancelled() => node.reason(),
            _ => self.group.children.reason(),
        }
    }

    /// Why it ends, where it was cancelled: what its group was, where the pass hasn't come down to it.
    pub(crate) fn why(&self) -> Reason {
        let reason = self.made_node().and_then(|node| node.reason()).or_else(|| self.group.children.reason());
        reason.unwrap_or_else(|| Reason::new(ReasonKind::Dropped, None, self.location))
    }

    /// Asks it to end.
    pub(crate) fn cancel(&self, message: Option<Cow<'static, str>>, location: &'static Location<'static>) -> bool {
        if self.is_cancelled() {
            return false;
        }
        if cfg!(bug_dropped_by_who_cancels) {
            self.group.let_go(self.key(), self.id);
        }
        let first = self.node().cancel(&Reason::new(ReasonKind::Explicit, message, location));
        if first {
            self.wake();
        }
        first
    }

    pub(crate) fn shields(&self) -> Option<&Arc<Shields>> {
        self.rare.get()?.shields.get()
    }

    pub(crate) fn shields_or(&self, make: impl FnOnce() -> Arc<Shields>) -> &Arc<Shields> {
        let shields = &self.rare().shields;
        if shields.get().is_none() {
            let _ = shields.set(make());
        }
        match shields.get() {
            Some(shields) => shields,
            None => unreachable!("it was set"),
        }
    }

    /// Has the child woken when the node that it was born with is cancelled.
    pub(crate) fn watch(&self, waker: &std::task::Waker) {
        let (Some(rare), Some(node)) = (self.rare.get(), self.made_node()) else { return };
        let mut key = None;
        if node.poll_cancelled(&mut key, &mut std::task::Context::from_waker(waker)).is_ready() {
            // Whoever admits it finds it cancelled.
            return;
        }
        if let Some(key) = key {
            let _ = rare.watch.set(key);
        }
    }

    /// Takes that back.
    pub(crate) fn unwatch(&self) {
        if let (true, Some(rare)) = (self.apart, self.rare.get()) {
            if let (Some(node), Some(key)) = (rare.node.get(), rare.watch.get()) {
                node.leave(&mut Some(*key));
            }
        }
    }

    /// Has the child polled again.
    pub(crate) fn wake(&self) {
        if self.group.is_told() {
            self.tell_woken();
        }
        if context::is_polled_here(self) {
            // Ordering: Relaxed; the poll that is under way on this very thread looks when it returns.
            self.again.store(true, Ordering::Relaxed);
        } else {
            self.group.wake_member(self);
        }
    }

    /// A poll begins.
    #[inline]
    pub(crate) fn begin(&self) {
        // Ordering: Relaxed, as in `wake`.
        self.again.store(false, Ordering::Relaxed);
    }

    /// Whether it was woken in the poll that has returned, by itself.
    pub(crate) fn woke_itself(&self) -> bool {
        // Ordering: Relaxed, as in `wake`.
        self.again.load(Ordering::Relaxed)
    }

    /// Tells the group of the end before there is one: for a bug that is put in.
    pub(crate) fn leave_early(&self) {
        self.group.ended(self.key());
        self.set_key(NOWHERE as usize);
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task().fmt(f)
    }
}
