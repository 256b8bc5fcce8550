//! What the lock of a group guards: its members, the queue of those that are ready, and what few groups come to have. What
//! holds of it stands at the head of `core.rs`.

use super::core::GroupCore;
use super::drive::WakeDriver;
use super::finaliser::Finaliser;
use super::orphan::Adopted;
use super::owner::Owner;
use super::peek::{Listing, Shown};
use crate::cancel::reason::Reason;
use crate::cancel::tree::Node;
use crate::context;
use crate::guard::Payload;
use crate::local::Binding;
use crate::outcome::Outcome;
use crate::sync::Arc;
use crate::task::halves::{Doom, Work};
use crate::task::seat::Seat;
use crate::task::{TaskId, TaskRef};
use crate::wait_queue::WaitQueue;
use slab::Slab;
use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Finalising,
    Abandoned,
    Ended,
}

pub(super) struct State {
    pub(super) phase: Phase,
    /// The values of task-locals for the body, and for children that are spawned from elsewhere. They go when the group ends,
    /// whoever keeps it.
    pub(super) locals: Option<Arc<Binding>>,
    pub(super) members: Slab<Entry>,
    pub(super) adopted: usize,
    /// Keys of members: a group with more than these can tell has long run out of memory.
    pub(super) ready: VecDeque<u32>,
    pub(super) started: usize,
    /// How many drivers there are, and which of them wait for work.
    pub(super) drivers: usize,
    pub(super) idle: Vec<(usize, Waker)>,
    next_driver: usize,
    /// How many members there ever were.
    pub(super) admitted: usize,
    pub(super) runtime_gone: bool,
    /// Whether the group is woken when the children are cancelled.
    pub(super) watched: bool,
    /// Why the body didn't come to its end, where it didn't.
    pub(super) cut: Option<Reason>,
    pub(super) body_over: bool,
    /// How many of the members are children.
    pub(super) children: usize,
    /// Whether the owner was dropped by a panic on its way.
    pub(super) unwound: bool,
    pub(super) owner: Option<Waker>,
    pub(super) adopter: Option<Adopted>,
    pub(super) rare: Option<Box<Rare>>,
    /// Made for the first that is to be in it.
    pub(super) shown: Option<Box<Shown>>,
    /// Where this one is among those of the group around; see `peek.rs`.
    pub(super) listing: Listing,
}

/// What few groups come to have. A small group doesn't pay for it.
#[derive(Default)]
pub(super) struct Rare {
    /// Who is held back by the limit, in the order of spawning.
    pub(super) waiting: VecDeque<(usize, TaskId)>,
    /// The services that live, in the order of spawning.
    pub(super) services: Vec<Service>,
    /// The last one runs first.
    pub(super) finalisers: Vec<Finaliser>,
    /// What the finalisers are told.
    pub(super) how: Option<Outcome<()>>,
    /// Who waits for a place, and who for the end of the last child.
    pub(super) room: WaitQueue<()>,
    pub(super) quiet: WaitQueue<()>,
    /// Who had to be cancelled by a shutdown.
    pub(super) stragglers: Vec<TaskRef>,
    pub(super) panics: Vec<(Payload, TaskRef)>,
    /// Panics of destructors that ran because something else was unwinding already: they come after its panic.
    pub(super) consequences: Vec<(Payload, TaskRef)>,
    pub(super) strangers: Strangers,
}

/// The group of what a run has detached.
#[derive(Default)]
pub(super) enum Strangers {
    #[default]
    None,
    Some(Owner),
    /// They have been ended, and there are to be no more.
    Ended,
}

pub(super) struct Entry {
    /// See invariant 2.
    pub(super) work: Option<Work>,
    /// `None` while the place is only kept.
    pub(super) id: Option<TaskId>,
    pub(super) role: Role,
    pub(super) stage: Stage,
    pub(super) started: bool,
    /// Whether it isn't simply cancelled with the group.
    pub(super) apart: bool,
    /// Whether it has a name, by which a tree is to know it also while somebody has it.
    pub(super) named: bool,
    /// What is to become of it when it is brought back.
    pub(super) doom: Option<Doom>,
    /// Whether a shutdown found it at work while somebody had it.
    pub(super) straggler: bool,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There only is a place for it.
    Kept,
    /// Held back by the limit.
    Waiting,
    Queued,
    /// Somebody polls it, or ends it; it may have been woken since.
    Out {
        woken: bool,
    },
    /// About to be ended by who said so, and by nobody else but whoever it was started for.
    Condemned,
    Idle,
}

impl Entry {
    pub(super) fn kept(role: Role) -> Self {
        Self {
            work: None,
            id: None,
            role,
            stage: Stage::Kept,
            started: false,
            apart: false,
            named: false,
            doom: None,
            straggler: false,
        }
    }

    /// Takes the work out, unless somebody has it.
    pub(super) fn take(&mut self) -> Option<Work> {
        let work = self.work.take()?;
        self.stage = Stage::Out { woken: false };
        Some(work)
    }

    /// Leaves the member to who ends it now. Where somebody has it, or it is shielded from this, that is left until it comes
    /// back, and this is false.
    pub(super) fn condemn(&mut self, doom: Doom) -> bool {
        let shielded = self.work.as_ref().is_some_and(|work| context::is_shielded_in(work.seat()));
        if self.stage == Stage::Kept {
            return false;
        }
        if self.work.is_none() || (shielded && doom == Doom::Cancelled) {
            // A runtime that is gone doesn't come back.
            if self.doom != Some(Doom::RuntimeGone) {
                self.doom = Some(doom);
            }
            return false;
        }
        self.stage = Stage::Condemned;
        true
    }
}

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Child,
    Service,
    Late,
}

pub(super) struct Service {
    pub(super) key: usize,
    pub(super) node: Arc<Node>,
    /// Whether it was told to end.
    pub(super) told: bool,
}

impl State {
    /// Of a group that has just been opened, with nobody in it.
    pub(super) fn new(locals: Option<Arc<Binding>>) -> Self {
        Self {
            phase: Phase::Open,
            locals,
            members: Slab::new(),
            adopted: 0,
            ready: VecDeque::new(),
            started: 0,
            drivers: 0,
            idle: Vec::new(),
            next_driver: 0,
            admitted: 0,
            runtime_gone: false,
            watched: false,
            cut: None,
            body_over: false,
            children: 0,
            unwound: false,
            owner: None,
            adopter: None,
            rare: None,
            shown: None,
            listing: Listing::NOWHERE,
        }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The panics so far, in order, for who goes on with them.
    pub(super) fn take_panics(&mut self) -> Vec<(Payload, TaskRef)> {
        let Some(rare) = &mut self.rare else { return Vec::new() };
        let mut panics = mem::take(&mut rare.panics);
        panics.append(&mut rare.consequences);
        panics
    }

    pub(super) fn live(&self) -> usize {
        self.members.len() + self.adopted
    }

    /// Puts a member behind those that are ready.
    #[inline]
    pub(super) fn queue(&mut self, key: usize) {
        debug_assert!(u32::try_from(key).is_ok(), "{key} is no place");
        self.ready.push_back(key as u32);
    }

    /// Queues a member that is idle or held back, and notes the wake of one that somebody has. Says whether it was queued.
    pub(super) fn rouse(&mut self, key: usize, id: Option<TaskId>) -> bool {
        let Some(entry) = self.members.get_mut(key).filter(|entry| id.is_none() || entry.id == id) else {
            return false;
        };
        match entry.stage {
            Stage::Idle | Stage::Waiting => {
                entry.stage = Stage::Queued;
                self.queue(key);
                true
            }
            Stage::Out { .. } => {
                entry.stage = Stage::Out { woken: !cfg!(bug_wake_in_a_poll_lost) };
                false
            }
            Stage::Kept | Stage::Queued | Stage::Condemned => false,
        }
    }

    /// Has a tree know a member also while somebody has it.
    #[cold]
    fn keep_in_sight(&mut self, member: &Work) {
        self.shown.get_or_insert_default().out.push(member.glance());
    }

    /// Takes the member that has been ready longest.
    #[inline]
    pub(super) fn pop(&mut self, is_told: bool) -> Option<Work> {
        loop {
            let key = self.ready.pop_front()? as usize;
            // Whatever was destroyed meanwhile left its key behind.
            let entry = self.members.get_mut(key).filter(|entry| entry.stage == Stage::Queued);
            let Some(entry) = entry else { continue };
            let is_told_of = entry.named || is_told;
            if let Some(work) = entry.take() {
                if is_told_of {
                    self.keep_in_sight(&work);
                }
                return Some(work);
            }
        }
    }

    /// Lets a driver go that found nothing ready, where nothing more will come: the group is over, or a stray without
    /// members. Says whether it goes; it is counted off then.
    ///
    /// It goes as well where there was one member, and it has ended: mostly no other comes, and a driver that waited would
    /// have to be woken only to end.
    pub(super) fn lets_driver_go(&mut self, is_stray: bool) -> bool {
        let is_through_with_one = self.drivers == 1 && self.next_driver == 1 && self.admitted == 1;
        let goes = self.phase == Phase::Ended || (self.members.is_empty() && (is_through_with_one || is_stray));
        self.drivers -= usize::from(goes);
        goes
    }

    /// How many are queued, once those that have ended are off the queue.
    pub(super) fn queued(&mut self) -> usize {
        let Self { ready, members, .. } = self;
        ready.retain(|key| members.get(*key as usize).is_some_and(|entry| entry.stage == Stage::Queued));
        ready.len()
    }

    /// Puts a member back after a poll. Hands it out again where it is to be ended.
    pub(super) fn bring_back(&mut self, work: Work) -> Option<(Work, Doom)> {
        let seat = work.seat();
        let key = seat.key();
        let again = seat.woke_itself();
        let entry = &mut self.members[key];
        match entry.doom {
            Some(Doom::RuntimeGone) => return Some((work, Doom::RuntimeGone)),
            Some(Doom::Cancelled) if !context::is_shielded_in(seat) && !cfg!(bug_doom_unread) => {
                return Some((work, Doom::Cancelled));
            }
            _ => {}
        }
        if mem::take(&mut entry.straggler) {
            self.rare().stragglers.push(seat.task());
        }
        self.is_back(seat);
        let entry = &mut self.members[key];
        let woken = again || entry.stage == Stage::Out { woken: true };
        entry.work = Some(work);
        entry.stage = if woken { Stage::Queued } else { Stage::Idle };
        if woken {
            self.queue(key);
        }
        None
    }

    /// Somebody who had a member brings it back, and has it still.
    #[inline]
    fn is_back(&mut self, member: &Seat) {
        #[cold]
        fn out_of_sight(shown: &mut Shown, member: &Seat) {
            shown.out.retain(|glance| !glance.seat().is(member));
            shown.condemned.take_if(|glance| glance.seat().is(member));
        }

        if let Some(shown) = &mut self.shown {
            out_of_sight(shown, member);
        }
    }

    /// Takes a member that has ended off the list. Says whether something may be [due](Self::due) now.
    pub(super) fn finish(&mut self, group: &GroupCore, key: usize, seat: Option<&Seat>) -> bool {
        let Some(entry) = self.members.try_remove(key) else { return false };
        if let Some(seat) = seat {
            self.is_back(seat);
        }
        match entry.role {
            Role::Child => self.children -= 1,
            Role::Service => {
                if let Some(rare) = &mut self.rare {
                    rare.services.retain(|service| service.key != key);
                }
            }
            Role::Late => {}
        }
        if entry.started {
            self.started -= 1;
            self.start_waiting(group.limit);
        }
        if let (true, Some(seat)) = (entry.straggler, seat) {
            self.rare().stragglers.push(seat.task());
        }
        let is_waited_for = |rare: &Rare| !rare.room.is_empty() || !rare.quiet.is_empty();
        !self.has_users() || self.rare.as_deref().is_some_and(is_waited_for)
    }

    /// Whether `task` is a child that lives.
    pub(super) fn has_child(&self, task: TaskId) -> bool {
        self.members.iter().any(|(_, entry)| entry.role == Role::Child && entry.id == Some(task))
    }

    /// Whether anything but services lives.
    pub(super) fn has_users(&self) -> bool {
        self.live() > self.rare.as_ref().map_or(0, |rare| rare.services.len())
    }

    /// See invariant 3.
    pub(super) fn wake_driver(&mut self, max: usize) -> WakeDriver {
        if self.ready.is_empty() {
            WakeDriver::Nobody
        } else if let Some((_, waker)) = self.idle.pop() {
            WakeDriver::Idle(waker)
        } else if self.drivers < max {
            self.drivers += 1;
            self.next_driver += 1;
            WakeDriver::Start(self.next_driver)
        } else {
            WakeDriver::Nobody
        }
    }

    pub(super) fn forget_idle(&mut self, id: usize) -> Option<Waker> {
        let index = self.idle.iter().position(|(idle, _)| *idle == id)?;
        Some(self.idle.swap_remove(index).1)
    }

    fn start_waiting(&mut self, limit: usize) {
        while self.started < limit && !cfg!(bug_place_not_handed_on) {
            let next = self.rare.as_mut().and_then(|rare| rare.waiting.pop_front());
            let Some((key, id)) = next else { return };
            // It may have been cancelled while it waited, and its place be somebody else's.
            let is_it = |entry: &&mut Entry| cfg!(bug_place_of_somebody_else) || entry.id == Some(id);
            let Some(entry) = self.members.get_mut(key).filter(is_it) else { continue };
            entry.started = true;
            self.started += 1;
            // A cancellation may have queued it already.
            if entry.stage == Stage::Waiting {
                entry.stage = Stage::Queued;
                self.queue(key);
            }
        }
    }
}
