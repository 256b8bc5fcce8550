//! What is left of a group whose owner was dropped: what can be destroyed is destroyed before the drop returns, and the
//! rest goes to an adopter.

use super::core::GroupCore;
use super::orphan::Adopted;
use super::state::{Entry, Phase, Role, Stage, State};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::context;
use crate::guard;
use crate::sync::{Arc, thread_local, yield_now};
use crate::task::TaskId;
use crate::task::halves::{Doom, Order, Ran, Work};
use crate::wait_queue::wake_all;
use std::cell::RefCell;
use std::mem;
use std::panic::Location;
use std::task::Waker;
use std::thread;

impl GroupCore {
    /// The owner, which was made at `location`, was dropped.
    pub(super) fn owner_dropped(self: &Arc<Self>, location: &'static Location<'static>) {
        let Some(members) = self.abandon() else { return };
        let reason = context::drop_reason_or(location);
        // Subtle: marked, but not woken yet. A driver on another thread would take the idle children that it is woken
        // for, and be in the middle of ending them when this drop returns.
        let wakers = self.whole.mark_all(&reason).unwrap_or_default();
        #[cfg(bug_woken_before_the_drop)]
        let wakers = (wake_all(wakers), Vec::new()).1;
        Wreck { group: self.clone(), members, wakers, reason, held: None }.clear();
    }

    /// The owner is gone. Returns what is to be destroyed, users first, and who has to be waited for a moment; or `None`
    /// where the group had ended.
    fn abandon(&self) -> Option<Members> {
        let (members, owner, room) = {
            let mut state = self.state.lock();
            if !matches!(state.phase, Phase::Open | Phase::Finalising) {
                return None;
            }
            state.phase = Phase::Abandoned;
            state.unwound = thread::panicking();
            let mut members = Members { condemned: Vec::with_capacity(state.members.len()), out: Vec::new() };
            let State { members: entries, rare, .. } = &mut *state;
            for (key, entry) in entries.iter_mut().filter(|(_, entry)| entry.role != Role::Service) {
                members.add(key, entry);
            }
            let mut room = Vec::new();
            if let Some(rare) = rare {
                rare.waiting.clear();
                for service in rare.services.iter().rev() {
                    members.add(service.key, &mut entries[service.key]);
                }
                room = rare.room.notify_all();
            }
            (members, state.owner.take(), room)
        };
        guard::drop_quietly(owner);
        wake_all(room);
        Some(members)
    }

    /// Takes a member that was condemned, unless whoever it was started for has been faster.
    pub(super) fn take_condemned(&self, key: usize, id: TaskId) -> Option<Work> {
        let (work, is_named) = {
            let mut state = self.state.lock();
            let entry = state.members.get_mut(key)?;
            let is_it = entry.id == Some(id) && entry.stage == Stage::Condemned;
            (if is_it { entry.take() } else { None }, entry.named)
        };
        if is_named || self.is_told() {
            self.show_condemned(work.as_ref());
        }
        work
    }

    /// Has a tree know a member that is being destroyed: one at a time, as whoever was there before has ended, though the
    /// group may be told of it later.
    #[cold]
    fn show_condemned(&self, member: Option<&Work>) {
        let glance = member.map(Work::glance);
        let before = mem::replace(&mut self.state.lock().shown.get_or_insert_default().condemned, glance);
        drop(before);
    }

    /// Whether the member `id` hasn't ended.
    fn has(&self, key: usize, id: TaskId) -> bool {
        self.state.lock().members.get(key).is_some_and(|entry| entry.id == Some(id))
    }

    /// After what was idle has been destroyed: the rest goes to an adopter, or the group is over.
    fn hand_over(self: &Arc<Self>, reason: &Reason) {
        let adopter = match &self.parent {
            Some(parent) if !cfg!(bug_left_to_nobody) => parent.adopt(),
            _ => Adopted::by_nobody(),
        };
        let (ending, panics) = {
            let mut state = self.state.lock();
            state.adopter = Some(adopter);
            state.cut = Some(reason.clone());
            // Before the panics go elsewhere; where there is none, nor a finaliser to be told, nobody asks.
            if state.rare.is_some() {
                state.conclude();
            }
            let panics = state.take_panics();
            (state.ending(&self.children), panics)
        };
        // The owner isn't there to resume them; whoever would have waited for it is.
        for (payload, task) in panics {
            self.panicked(payload, &task);
        }
        ending.go(self);
    }

    /// Leaves a group that never had an owner to itself: it ends with what it has.
    pub(crate) fn leave_alone(self: &Arc<Self>, location: &'static Location<'static>) {
        let nobody = self.abandon();
        drop(nobody);
        self.hand_over(&Reason::new(ReasonKind::Dropped, None, location));
    }
}

/// What has to be cleared up of a group that was dropped.
struct Members {
    /// What is to be destroyed, in this order. It stays in its place until its turn: one of them may have been started for
    /// another, whose destructor ends it earlier.
    condemned: Vec<(usize, TaskId)>,
    /// Who is in a poll, or being ended by somebody else.
    out: Vec<(usize, TaskId)>,
}

impl Members {
    fn add(&mut self, key: usize, entry: &mut Entry) {
        let is_out = matches!(entry.stage, Stage::Out { .. });
        let Some(id) = entry.id else { return };
        if entry.condemn(Doom::Cancelled) {
            self.condemned.push((key, id));
        } else if is_out {
            self.out.push((key, id));
        }
    }
}

/// A group whose owner is gone, with the children that it had.
struct Wreck {
    group: Arc<GroupCore>,
    members: Members,
    /// Who waits for the cancellation: mostly the members.
    wakers: Vec<Waker>,
    reason: Reason,
    /// While this is put off: keeps the group around from believing that all below it has ended.
    held: Option<Adopted>,
}

/// What the outermost wreck of a thread has to see to before its drop returns.
struct Clearing {
    /// Where on the stack it is being cleared.
    outermost: Option<usize>,
    /// The wrecks that were put off until it is through.
    deferred: Vec<Wreck>,
    /// Who waits for the cancellations.
    wakers: Vec<Waker>,
}

thread_local! {
    static CLEARING: RefCell<Clearing> =
        const { RefCell::new(Clearing { outermost: None, deferred: Vec::new(), wakers: Vec::new() }) };
}

/// How often a drop looks again whether the polls that were under way have returned.
///
/// A child that has just told somebody that it waits is idle to them, though its poll takes another microsecond to
/// return on its own thread. To give it that costs little; a poll that goes on is left to an adopter.
const SETTLING: usize = 100;

/// A child's future may hold a group whose children hold groups. Each is cleared in place as long as that takes no more
/// stack than this, in bytes; what is deeper waits for the outermost, which clears it before its own drop returns.
const IN_PLACE: usize = 16 * 1024;

impl Wreck {
    fn clear(mut self) {
        let here = 0_u8;
        let here = std::ptr::from_ref(&here).addr();
        match CLEARING.try_with(|clearing| *clearing.borrow_mut().outermost.get_or_insert(here)) {
            Ok(outermost) if outermost == here => {
                let _end = Outermost;
                self.destroy();
                while let Some(wreck) = CLEARING.with(|clearing| clearing.borrow_mut().deferred.pop()) {
                    wreck.destroy();
                }
            }
            Ok(outermost) if outermost.abs_diff(here) > IN_PLACE => {
                self.held = self.group.parent.as_ref().map(|parent| parent.adopt());
                CLEARING.with(|clearing| clearing.borrow_mut().deferred.push(self));
            }
            // Not deep, or on a thread whose locals are gone already.
            _ => self.destroy(),
        }
    }

    fn destroy(self) {
        let Self { group, members, wakers, reason, held } = self;
        context::dropping(&reason, || {
            let Members { condemned, out: mut polled } = members;
            let taken = condemned.into_iter().filter_map(|(key, id)| group.take_condemned(key, id));
            let ended = taken.filter_map(|work| match work.run(Order::End(Doom::Cancelled)) {
                Ran::Ended(spent) => Some(spent),
                Ran::Pending(_) => None,
            });
            let ended: Vec<_> = ended.collect();
            group.all_ended(&ended);
            drop(ended);
            for _ in 0..SETTLING {
                polled.retain(|(key, id)| group.has(*key, *id));
                if polled.is_empty() {
                    break;
                }
                yield_now();
            }
        });
        // Subtle: woken when the outermost is through. The marks reach the children of what was put off, and a driver
        // on another thread would take those that it is woken for.
        let mut wakers = Some(wakers);
        let _ = CLEARING.try_with(|clearing| clearing.borrow_mut().wakers.extend(wakers.take().into_iter().flatten()));
        wake_all(wakers.into_iter().flatten());
        group.hand_over(&reason);
        drop(held);
    }
}

/// Ends the clearing of the outermost wreck, also where something panics in it, and wakes who waits.
struct Outermost;

impl Drop for Outermost {
    fn drop(&mut self) {
        let wakers = CLEARING.try_with(|clearing| {
            let mut clearing = clearing.borrow_mut();
            clearing.outermost = None;
            mem::take(&mut clearing.wakers)
        });
        wake_all(wakers.unwrap_or_default());
    }
}
