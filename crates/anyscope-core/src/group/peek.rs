//! A look at a group from outside, for a tree: its members, and the groups that were opened inside of it.
//!
//! The group's lock is taken for a few members at a time, and nothing is dropped under it. So a group goes on while it is
//! looked at, and what is seen of two members needn't have been so at one moment.

use super::core::GroupCore;
use super::state::{Phase, Role, Stage, State};
use crate::cancel::tree::Node;
use crate::observe;
use crate::sync::Arc;
use crate::task::TaskId;
use crate::task::halves::Glance;
use crate::task::seat::Seat;
use crate::tree::notes::Notes;
use slab::Slab;
use std::borrow::Cow;
use std::mem;
use std::panic::Location;
use std::sync::{Mutex, PoisonError, Weak};

/// How many members are looked at under one lock.
const AT_ONCE: usize = 256;

/// The groups that nothing is around.
static ROOTS: Mutex<Slab<Weak<GroupCore>>> = Mutex::new(Slab::new());

/// What a group has for a tree, once it has anything.
#[derive(Default)]
pub(super) struct Shown {
    /// The groups inside that a tree finds here.
    below: Slab<Below>,
    /// Members that are being polled, which a tree would know too little of. Each goes while somebody has it, so that its
    /// allocation isn't freed by this.
    pub(super) out: Vec<Glance>,
    /// The member that is being destroyed by who dropped the group. It may be kept here until the next.
    pub(super) condemned: Option<Glance>,
}

/// A group that was opened inside of another, and where.
struct Below {
    group: Weak<GroupCore>,
    /// The task that its body runs in, if any.
    task: Option<TaskId>,
}

/// Where a group is on the list of the one around, or of those that nothing is around.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Listing(u32);

impl Listing {
    pub(super) const NOWHERE: Self = Self(u32::MAX);
    /// Somebody is about to put it there.
    const SOON: Self = Self(u32::MAX - 1);

    /// There are no as many groups: they would have no room in memory.
    fn at(key: usize) -> Self {
        u32::try_from(key).map_or(Self::SOON, Self)
    }

    fn key(self) -> Option<usize> {
        (self != Self::NOWHERE && self != Self::SOON).then_some(self.0 as usize)
    }
}

/// What is seen of a group.
pub(crate) struct Look {
    pub(crate) phase: Phase,
    pub(crate) body_over: bool,
    pub(crate) adopted: usize,
    pub(crate) members: Vec<Member>,
    pub(crate) below: Vec<(Arc<GroupCore>, Option<TaskId>)>,
}

/// What is seen of a member.
pub(crate) struct Member {
    pub(crate) id: TaskId,
    pub(crate) role: Role,
    pub(crate) stage: Stage,
    /// What it says of itself; of one that is being polled it may not be known.
    pub(crate) seen: Option<Seen>,
}

/// What a member says of itself.
pub(crate) struct Seen {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) is_cancelled: bool,
    pub(crate) is_shielded: bool,
    pub(crate) notes: Option<Arc<Notes>>,
}

impl Seen {
    pub(crate) fn of(seat: &Seat) -> Self {
        Self {
            name: seat.task_name(),
            location: seat.location(),
            node: seat.made_node().cloned(),
            is_cancelled: seat.is_cancelled(),
            is_shielded: crate::context::is_shielded_in(seat),
            notes: seat.notes().cloned(),
        }
    }
}

/// The groups that live, and that nothing is around.
pub(crate) fn roots() -> Vec<Arc<GroupCore>> {
    let mut found = Vec::new();
    let mut begin = 0;
    loop {
        let (some, end): (Vec<_>, _) = {
            let roots = ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
            let end = roots.capacity().min(begin + AT_ONCE);
            ((begin..end).filter_map(|key| roots.get(key).cloned()).collect(), end == roots.capacity())
        };
        found.extend(some.iter().filter_map(Weak::upgrade));
        if end {
            return found;
        }
        begin += AT_ONCE;
    }
}

impl Shown {
    fn forget(&mut self, key: usize) -> Option<Below> {
        let gone = self.below.try_remove(key);
        if self.below.is_empty() && self.below.capacity() > 64 {
            self.below = Slab::new();
        }
        gone
    }
}

impl GroupCore {
    /// Puts the group where a tree finds it, and those around it.
    pub(super) fn list(self: &Arc<Self>) {
        let mut group = self;
        loop {
            {
                let mut state = group.state.lock();
                if state.listing != Listing::NOWHERE {
                    return;
                }
                state.listing = Listing::SOON;
            }
            let listed = Arc::downgrade(group);
            let key = match &group.parent {
                Some(parent) => {
                    let mut state = parent.state.lock();
                    state.shown.get_or_insert_default().below.insert(Below { group: listed, task: group.opened_in })
                }
                None => ROOTS.lock().unwrap_or_else(PoisonError::into_inner).insert(listed),
            };
            group.state.lock().listing = Listing::at(key);
            if observe::is_recording() {
                // Whoever has just begun to record may not have found it.
                group.be_told();
            }
            match &group.parent {
                Some(parent) => group = parent,
                None => return,
            }
        }
    }

    /// Takes it off the list, and hands out what is around it.
    pub(super) fn unlist(&mut self) -> Option<Arc<Self>> {
        let parent = self.parent.take();
        let state = self.state.get_mut();
        if let Some(key) = mem::replace(&mut state.listing, Listing::NOWHERE).key() {
            match &parent {
                Some(parent) => {
                    let mut state = parent.state.lock();
                    let gone = state.shown.as_mut().and_then(|shown| shown.forget(key));
                    drop(state);
                    drop(gone);
                }
                None => {
                    let mut roots = ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
                    let gone = roots.try_remove(key);
                    if roots.is_empty() && roots.capacity() > 64 {
                        *roots = Slab::new();
                    }
                    drop(roots);
                    drop(gone);
                }
            }
        }
        parent
    }

    pub(crate) fn look(self: &Arc<Self>) -> Look {
        let mut members = Vec::new();
        let mut begin = 0;
        loop {
            let state = self.state.lock();
            let end = state.members.capacity().min(begin + AT_ONCE);
            members.extend((begin..end).filter_map(|key| state.look_at(key)));
            if end == state.members.capacity() {
                break;
            }
            drop(state);
            begin = end;
        }
        // The order of their ids is that of spawning, and places are used again.
        members.sort_by_key(|member: &Member| member.id);
        let (phase, body_over, adopted) = {
            let state = self.state.lock();
            (state.phase, state.body_over, state.adopted)
        };
        Look { phase, body_over, adopted, members, below: self.below() }
    }

    /// The groups that were opened inside, and the task that each was opened in.
    pub(crate) fn below(&self) -> Vec<(Arc<Self>, Option<TaskId>)> {
        let mut found = Vec::new();
        let mut begin = 0;
        loop {
            let (some, end): (Vec<_>, _) = {
                let state = self.state.lock();
                let Some(Shown { below, .. }) = state.shown.as_deref() else { return found };
                let end = below.capacity().min(begin + AT_ONCE);
                let some = (begin..end).filter_map(|key| below.get(key)).map(|below| (below.group.clone(), below.task));
                (some.collect(), end == below.capacity())
            };
            found.extend(some.into_iter().filter_map(|(group, task)| Some((group.upgrade()?, task))));
            if end {
                return found;
            }
            begin += AT_ONCE;
        }
    }
}

impl State {
    fn look_at(&self, key: usize) -> Option<Member> {
        let entry = self.members.get(key)?;
        let id = entry.id?;
        let seat = match &entry.work {
            Some(work) => Some(work.seat()),
            None => {
                let mut shown = self.shown.iter().flat_map(|shown| shown.out.iter().chain(&shown.condemned));
                shown.find(|glance| glance.seat().id() == id).map(Glance::seat)
            }
        };
        Some(Member { id, role: entry.role, stage: entry.stage, seen: seat.map(Seen::of) })
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
