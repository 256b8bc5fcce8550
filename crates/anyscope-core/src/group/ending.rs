//! The steps of a group's end: what is due, decided under its lock, and what is done about it when that is released.

use super::core::{GroupCore, Reserved};
use super::finaliser::Finaliser;
use super::orphan::Adopted;
use super::state::{Entry, Phase, Rare, Role, State};
use crate::cancel::tree::Node;
use crate::guard;
use crate::local::Binding;
use crate::observe::Event;
use crate::outcome::{Outcome, Panic};
use crate::sync::Arc;
use crate::wait_queue::wake_all;
use std::mem;
use std::task::Waker;

/// What is left to do when something of a group has ended; done after its lock is released.
#[must_use]
#[derive(Default)]
pub(super) struct Ending {
    pub(super) owner: Option<Waker>,
    /// Who waited for a place, or for the last user.
    pub(super) wakers: Vec<Waker>,
    /// Whether the group is over.
    pub(super) over: bool,
    /// What it held of a user's then.
    pub(super) locals: Option<Arc<Binding>>,
    rest: Option<Box<Rest>>,
}

/// What few ends consist of.
#[derive(Default)]
struct Rest {
    drivers: Vec<(usize, Waker)>,
    adopter: Option<Adopted>,
    /// The service whose turn it is to end.
    service: Option<Arc<Node>>,
    /// The finaliser whose turn it is, and its place.
    finaliser: Option<(usize, Finaliser, Outcome<()>)>,
    /// Finalisers that nobody will run, as the runtime is gone.
    unrun: Vec<Finaliser>,
}

impl Ending {
    pub(super) fn go(self, group: &Arc<GroupCore>) {
        let adopter = self.tell(group);
        // The end of one group may be what the one around it waited for, and so on outwards: a loop, however many.
        let mut next = adopter.and_then(Adopted::release);
        while let Some((group, ending)) = next {
            next = ending.tell(&group).and_then(Adopted::release);
        }
    }

    fn tell(self, group: &Arc<GroupCore>) -> Option<Adopted> {
        let Self { owner, wakers, over, locals, mut rest } = self;
        if over {
            if let Some(locals) = locals {
                guard::drop_quietly(locals);
            }
            group.tell(|group| Event::GroupEnded { group });
        }
        if let Some(rest) = &mut rest {
            rest.unrun.drain(..).for_each(guard::drop_quietly);
        }
        if !wakers.is_empty() {
            wake_all(wakers);
        }
        let adopter = rest.and_then(|rest| rest.tell(group));
        if owner.is_some() {
            wake_all(owner);
        }
        adopter
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }
}

impl Rest {
    fn tell(self, group: &Arc<GroupCore>) -> Option<Adopted> {
        if let Some(service) = self.service {
            service.cancel(&group.why_services_end());
        }
        if let Some((key, finaliser, how)) = self.finaliser {
            group.tell(|group| Event::FinaliserBegun { group });
            finaliser.start(Reserved::kept(group.clone(), key, Role::Late), how);
        }
        for (_, driver) in self.drivers {
            driver.wake();
        }
        self.adopter
    }
}

impl State {
    /// What is left to do after a member has ended.
    pub(super) fn due(&mut self, group: &GroupCore, early: Option<Arc<Node>>) -> Ending {
        let mut ending = self.ending(early.as_ref().unwrap_or(&group.children));
        let (has_room, is_quiet) = (group.has_room(self), self.children <= 1);
        if let Some(rare) = &mut self.rare {
            if has_room && !cfg!(bug_room_not_told) {
                ending.wakers.extend(rare.room.notify_all());
            }
            // The one that is left may be who waits.
            if is_quiet {
                ending.wakers.extend(rare.quiet.notify_all());
            }
        }
        ending
    }

    /// What the finalisers are told of how the group came to its end; the same for all of them.
    pub(super) fn conclude(&mut self) -> Outcome<()> {
        let cut = self.cut.clone();
        let Rare { how, panics, consequences, .. } = self.rare();
        how.get_or_insert_with(|| match (panics.first().or(consequences.first()), cut) {
            (Some((payload, _)), _) => Outcome::Panicked(Panic::new(&guard::message(payload))),
            (None, Some(reason)) => Outcome::Cancelled(reason),
            (None, None) => Outcome::Completed(()),
        })
        .clone()
    }

    /// The steps of the end that are due (invariant 8): nothing while there are users; then the services, one after the
    /// other; then, when the body is over, the finalisers, one after the other; then the end.
    ///
    /// Subtle: whether `children` are cancelled is asked here, under the lock. Asked before, a cancellation could come in
    /// between, look for itself while there still is a user, and leave it to one who doesn't know of it.
    pub(super) fn ending(&mut self, children: &Node) -> Ending {
        let mut ending = Ending::default();
        if self.has_users() || self.phase == Phase::Ended {
            return ending;
        }
        if self.phase == Phase::Abandoned && self.adopter.is_none() {
            // Whoever dropped the group is destroying what it has, and nobody else is to take a service out of its hands.
            return ending;
        }
        let winding_down = self.body_over || self.phase != Phase::Open || children.is_cancelled();
        match self.rare.as_mut().and_then(|rare| rare.services.last_mut()) {
            Some(service) if winding_down && !service.told => {
                service.told = true;
                ending.rest().service = Some(service.node.clone());
                return ending;
            }
            Some(_) => return ending,
            None => {}
        }
        let over = match self.phase {
            Phase::Open | Phase::Finalising => self.body_over,
            Phase::Abandoned => self.adopter.is_some(),
            Phase::Ended => false,
        };
        let finalisers = self.rare.as_mut().filter(|_| over).map(|rare| &mut rare.finalisers);
        let next = match finalisers {
            Some(finalisers) if self.runtime_gone => {
                ending.rest().unrun = mem::take(finalisers);
                None
            }
            Some(finalisers) => finalisers.pop(),
            None => None,
        };
        if let Some(finaliser) = next {
            if self.phase == Phase::Open {
                self.phase = Phase::Finalising;
            }
            let key = self.members.insert(Entry::kept(Role::Late));
            ending.rest().finaliser = Some((key, finaliser, self.conclude()));
            return ending;
        }
        if over {
            ending.owner = self.owner.take();
        }
        if self.phase == Phase::Abandoned && over {
            self.phase = Phase::Ended;
            ending.over = true;
            ending.locals = self.locals.take();
            let rest = ending.rest();
            rest.adopter = self.adopter.take();
            rest.drivers = mem::take(&mut self.idle);
        }
        ending
    }
}
