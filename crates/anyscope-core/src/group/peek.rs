//! A look at a group from outside, for a tree: its members, and the groups that were opened inside of it.
//!
//! The group's lock is taken for a few members at a time, and nothing is dropped under it. So a group goes on while it is
//! looked at, and what is seen of two members needn't have been so at one moment.

use super::core::{GroupCore, Phase, Role, Stage, State};
use crate::cancel::tree::Node;
use crate::sync::Arc;
use crate::task::TaskId;
use crate::task::seat::Seat;
use crate::tree::notes::Notes;
use slab::Slab;
use std::borrow::Cow;
use std::panic::Location;
use std::sync::{Mutex, PoisonError, Weak};

/// How many members are looked at under one lock.
const AT_ONCE: usize = 256;

/// The groups that nothing is around.
static ROOTS: Mutex<Slab<Weak<GroupCore>>> = Mutex::new(Slab::new());

/// A group that was opened inside of another, and where.
pub(super) struct Below {
    group: Weak<GroupCore>,
    /// The task that its body runs in, if any.
    task: Option<TaskId>,
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
    let roots: Vec<_> = {
        let roots = ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
        roots.iter().map(|(_, group)| group.clone()).collect()
    };
    roots.iter().filter_map(Weak::upgrade).collect()
}

impl GroupCore {
    /// Puts the group where a tree finds it.
    pub(super) fn list(self: &Arc<Self>) {
        let group = Arc::downgrade(self);
        let key = match &self.parent {
            Some(parent) => parent.state.lock().below.insert(Below { group, task: self.opened_in }),
            None => ROOTS.lock().unwrap_or_else(PoisonError::into_inner).insert(group),
        };
        self.state.lock().listing = Some(key);
    }

    /// Takes it off the list, and hands out what is around it.
    pub(super) fn unlist(&mut self) -> Option<Arc<Self>> {
        let parent = self.parent.take();
        if let Some(key) = self.state.get_mut().listing.take() {
            match &parent {
                Some(parent) => {
                    let mut state = parent.state.lock();
                    let gone = state.below.remove(key);
                    if state.below.is_empty() && state.below.capacity() > 64 {
                        state.below = Slab::new();
                    }
                    drop(state);
                    drop(gone);
                }
                None => drop(ROOTS.lock().unwrap_or_else(PoisonError::into_inner).remove(key)),
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
        let (below, phase, body_over, adopted) = {
            let state = self.state.lock();
            let below: Vec<_> = state.below.iter().map(|(_, below)| (below.group.clone(), below.task)).collect();
            (below, state.phase, state.body_over, state.adopted)
        };
        let below = below.into_iter().filter_map(|(group, task)| Some((group.upgrade()?, task))).collect();
        Look { phase, body_over, adopted, members, below }
    }
}

impl State {
    fn look_at(&self, key: usize) -> Option<Member> {
        let entry = self.members.get(key)?;
        let id = entry.id?;
        let seat = match &entry.work {
            Some(work) => Some(work.seat()),
            None => self.out.iter().map(|glance| glance.seat()).find(|seat| seat.id() == id),
        };
        Some(Member { id, role: entry.role, stage: entry.stage, seen: seat.map(Seen::of) })
    }
}
