//! What every group is made of: its members, the queue of those that are ready, and its end.
//!
//! # Members
//!
//! *Children* are what a group is there for. *Services* serve them, and are cancelled when only services are left, the
//! last one first, each when the one after it has ended. *Late* members finish what others began: finalisers, clean-up;
//! they're shielded for all of their life. Whatever isn't a service is a *user*.
//!
//! # States
//!
//! *open* → *finalising*, once the body and every member have ended and there are finalisers → *ended*, after the last of
//! them; or, where there are none, at once. From *open* and *finalising* → *abandoned*, when the owner's future is
//! dropped, → *ended*, once what had to be left running has ended. Only an open group takes children and services; late
//! members are taken until the end.
//!
//! # Invariants
//!
//! 1. `live` counts the members that haven't ended and what was adopted. A group ends only at zero.
//! 2. Each member has a place, with a [`Stage`]. Its work, the one right to poll it or to end it, is in the place in
//!    *waiting*, *idle*, *queued* and *condemned*; in *out* somebody has taken it, and brings it back or ends it.
//! 3. A queued member's key is in `ready`. (So may be keys of members that have ended since; they're passed over.) While
//!    `ready` isn't empty, a driver is running, woken or being started; or the runtime is gone.
//! 4. At most `limit` children were started and haven't ended; the rest stand in `waiting`, in the order of spawning.
//! 5. What an abandoned group leaves running is counted by `adopter`, from before the drop returns until it ended.
//! 6. One finaliser at a time, and none while any other member lives.
//! 7. Nothing of a member's is registered with what cancels the group: the group itself is, from the first time that one is
//!    idle or held back, and queues them all.
//! 8. Whatever may make a step of the end due (an end, a cancellation, the end of the body) is followed by a look at
//!    [`State::ending`], under the same lock or a later one.
//!
//! # Lock order
//!
//! Each lock is a leaf: nodes, wakers, other groups and everything of a user's are touched after it is released.
//! What is to be done then is handed out as a value ([`Next`], [`Ending`], [`WakeDriver`]).

use super::drive::Driver;
use super::finaliser::Finaliser;
use super::orphan::Adopted;
use super::owner::Owner;
use super::peek::{Listing, Shown};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::context;
use crate::guard::{self, Payload};
use crate::limiter::Held;
use crate::local::Binding;
use crate::observe::{self, Event, GroupId, Observer, Told, Wait};
use crate::outcome::{Outcome, Panic};
use crate::runtime::{DynRuntime, Runtime};
use crate::sync::{Arc, Mutex, OnceBox, Weak, downgrade};
use crate::task::halves::{Doom, Order, Ran, Spent, Work};
use crate::task::seat::Seat;
use crate::task::{TaskId, TaskRef};
use crate::tree::notes::Notes;
use crate::wait_queue::{WaitQueue, wake_all};
use slab::Slab;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::mem;
use std::panic::Location;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;

/// The shared part of a group.
pub(crate) struct GroupCore {
    pub(crate) kind: Kind,
    runtime: DynRuntime,
    /// The nearest group around, which adopts what this one has to leave running.
    pub(crate) parent: Option<Arc<GroupCore>>,
    /// The body's scope: cancelled when a child fails, and with it the children.
    pub(crate) whole: Arc<Node>,
    /// The children's scope, below the body's.
    pub(crate) children: Arc<Node>,
    /// Where those wait who are to learn of a shutdown, below that of the group around; made when it is first asked for.
    pub(super) stop: Mutex<Option<Arc<Node>>>,
    /// What the blocking jobs around hold of limiters.
    pub(crate) held: Option<Arc<Held>>,
    /// The nearest deadline around the owner, as of its last poll.
    deadline: Mutex<Option<Instant>>,
    limit: usize,
    max_drivers: usize,
    /// Where it was opened.
    pub(super) location: &'static Location<'static>,
    pub(crate) id: GroupId,
    /// In a box, as few have one.
    name: Option<Box<Cow<'static, str>>>,
    /// The task that the body runs in, where that is a member of the parent's.
    pub(super) opened_in: Option<TaskId>,
    /// What is known of the body, where nothing is around it.
    notes: OnceBox<Arc<Notes>>,
    /// Who is told what happens in it.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Whether anybody is told what happens in it: the observer, or whoever draws a tree.
    told: Told,
    /// Whether the observer chooses whose turn it is.
    takes_turns: bool,
    pub(super) state: Mutex<State>,
}

/// Whose the members of a group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The body's that opened it.
    Scope,
    /// The same, of the body of a `run`: there is nothing around it.
    Run,
    /// Nobody's: see `detached.rs`. Its parent is a run, or it is a stray.
    Detached,
}

/// The group of what a run has detached.
pub(super) enum Strangers {
    None,
    Some(Owner),
    /// They have been ended, and there are to be no more.
    Ended,
}

pub(super) struct State {
    pub(super) phase: Phase,
    /// The values of task-locals for the body, and for children that are spawned from elsewhere. They go when the group ends,
    /// whoever keeps it.
    locals: Option<Arc<Binding>>,
    pub(super) members: Slab<Entry>,
    pub(super) adopted: usize,
    ready: VecDeque<usize>,
    waiting: VecDeque<(usize, TaskId)>,
    started: usize,
    /// How many drivers there are, and which of them wait for work.
    drivers: usize,
    idle: Vec<(usize, Waker)>,
    next_driver: usize,
    /// How many members there ever were.
    admitted: usize,
    runtime_gone: bool,
    /// Whether the group is woken when the children are cancelled.
    watched: bool,
    /// Set by the first child that fails; the body isn't polled again.
    failed: bool,
    /// Why the body didn't come to its end, where it didn't.
    cut: Option<Reason>,
    pub(super) body_over: bool,
    /// How many of the members are children.
    pub(super) children: usize,
    /// The services that live, in the order of spawning.
    services: Vec<Service>,
    /// The last one runs first.
    finalisers: Vec<Finaliser>,
    /// What the finalisers are told.
    how: Option<Outcome<()>>,
    /// Who waits for a place, and who for the end of the last child.
    pub(super) room: WaitQueue<()>,
    pub(super) quiet: WaitQueue<()>,
    /// Who had to be cancelled by a shutdown.
    pub(super) stragglers: Vec<TaskRef>,
    panics: Vec<(Payload, TaskRef)>,
    /// Whether the owner was dropped by a panic on its way.
    unwound: bool,
    /// Panics of destructors that ran because something else was unwinding already: they come after its panic.
    consequences: Vec<(Payload, TaskRef)>,
    owner: Option<Waker>,
    adopter: Option<Adopted>,
    pub(super) strangers: Strangers,
    /// Made for the first that is to be in it.
    pub(super) shown: Option<Box<Shown>>,
    /// Where this one is among those of the group around; see `peek.rs`.
    pub(super) listing: Listing,
}

pub(super) struct Entry {
    /// See invariant 2.
    pub(super) work: Option<Work>,
    /// `None` while the place is only kept.
    pub(super) id: Option<TaskId>,
    pub(super) role: Role,
    pub(super) stage: Stage,
    started: bool,
    /// Whether it isn't simply cancelled with the group.
    apart: bool,
    /// Whether it has a name, by which a tree is to know it also while somebody has it.
    named: bool,
    /// What is to become of it when it is brought back.
    doom: Option<Doom>,
    /// Whether a shutdown found it at work while somebody had it.
    straggler: bool,
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
    fn kept(role: Role) -> Self {
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
    fn take(&mut self) -> Option<Work> {
        let work = self.work.take()?;
        self.stage = Stage::Out { woken: false };
        Some(work)
    }
}

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Child,
    Service,
    Late,
}

struct Service {
    key: usize,
    node: Arc<Node>,
    /// Whether it was told to end.
    told: bool,
}

/// What surrounds a group.
#[derive(Default)]
pub(crate) struct Surroundings {
    pub(crate) group: Option<Arc<GroupCore>>,
    pub(crate) scope: Option<Arc<Node>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) locals: Option<Arc<Binding>>,
    pub(crate) held: Option<Arc<Held>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Finalising,
    Abandoned,
    Ended,
}

/// What becomes of a new child.
#[must_use]
pub(crate) enum Admission {
    /// It is in the ready queue.
    Started(WakeDriver),
    /// It is over the limit, and starts when another has ended.
    Waiting,
    /// It is not to be polled at all.
    Refused(Work, Doom),
}

/// What a driver does next.
#[must_use]
pub(super) enum Next {
    Run(Work, Order),
    /// Nothing is ready; the driver's waker is kept.
    Idle,
    /// Nothing is ready, or nothing more was asked for.
    Nothing,
    /// The group is over.
    Finish,
}

/// Who sees to it that the ready queue is worked off.
#[must_use]
pub(crate) enum WakeDriver {
    /// Those that run already.
    Nobody,
    /// One that waits for work.
    Idle(Waker),
    /// A new one.
    Start(usize),
}

impl WakeDriver {
    pub(crate) fn go(self, group: &Arc<GroupCore>) {
        match self {
            Self::Nobody => {}
            Self::Idle(waker) => waker.wake(),
            Self::Start(id) => group.runtime.spawn(Driver::new(group.clone(), id)),
        }
    }
}

/// What is left to do when something of a group has ended; done after its lock is released.
#[must_use]
#[derive(Default)]
pub(super) struct Ending {
    owner: Option<Waker>,
    drivers: Vec<(usize, Waker)>,
    adopter: Option<Adopted>,
    /// Who waited for a place, or for the last user.
    wakers: Vec<Waker>,
    /// The service whose turn it is to end.
    service: Option<Arc<Node>>,
    /// The finaliser whose turn it is, and its place.
    finaliser: Option<(usize, Finaliser, Outcome<()>)>,
    /// Finalisers that nobody will run, as the runtime is gone.
    unrun: Vec<Finaliser>,
    /// Whether the group is over.
    over: bool,
    /// What it held of a user's then.
    locals: Option<Arc<Binding>>,
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
        if self.over {
            if let Some(Some(payload)) = self.locals.map(guard::drop_caught) {
                guard::forget(payload);
            }
            group.tell(|group| Event::GroupEnded { group });
        }
        for finaliser in self.unrun {
            if let Some(payload) = guard::drop_caught(finaliser) {
                guard::forget(payload);
            }
        }
        wake_all(self.wakers);
        if let Some(service) = self.service {
            service.cancel(&group.why_services_end());
        }
        if let Some((key, finaliser, how)) = self.finaliser {
            group.tell(|group| Event::FinaliserBegun { group });
            finaliser.start(Reserved { group: group.clone(), key, role: Role::Late, admitted: false }, how);
        }
        for (_, driver) in self.drivers {
            driver.wake();
        }
        if let Some(owner) = self.owner {
            // The owner's waker is a user's, and may panic; the rest has to be done all the same.
            if let Err(payload) = guard::catch(|| owner.wake()) {
                guard::forget(payload);
            }
        }
        self.adopter
    }
}

/// A place for a child in a group that is open: the group can't end until it is admitted or given up.
pub(crate) struct Reserved {
    group: Arc<GroupCore>,
    key: usize,
    role: Role,
    admitted: bool,
}

impl Reserved {
    pub(crate) fn group(&self) -> &Arc<GroupCore> {
        &self.group
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Fills the place.
    pub(crate) fn admit(mut self, work: Work) -> Admission {
        self.admitted = true;
        self.group.fill(Some(self.key), self.role, work)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.admitted {
            self.group.ended(self.key);
        }
    }
}

impl GroupCore {
    pub(crate) fn new(
        kind: Kind,
        runtime: DynRuntime,
        around: Surroundings,
        limit: usize,
        name: Option<Cow<'static, str>>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        let Surroundings { group: parent, scope, deadline, locals, held } = around;
        let whole = Node::below(scope.as_ref());
        let children = Node::below(Some(&whole));
        // A stray has one member, or hardly more.
        let is_stray = kind == Kind::Detached && parent.is_none();
        let max_drivers = if is_stray { 1 } else { runtime.parallelism().max(1) };
        let observer = observe::observer_of(&runtime);
        let told = Told::new(observer.is_some());
        let takes_turns = observer.as_ref().is_some_and(|observer| observer.takes_turns());
        let id = GroupId::next();
        let opened_in = context::task_id();
        if let Some(observer) = &observer {
            let (parent, name) = (parent.as_ref().map(|parent| parent.id), name.as_deref());
            observer.observe(&Event::GroupOpened { group: id, parent, task: opened_in, name, location });
        }
        let group = Arc::new(Self {
            kind,
            runtime,
            parent,
            whole,
            children,
            stop: Mutex::new(None),
            held,
            deadline: Mutex::new(deadline),
            limit,
            max_drivers,
            location,
            id,
            name: name.map(Box::new),
            opened_in,
            notes: OnceBox::new(),
            observer,
            told,
            takes_turns,
            state: Mutex::new(State {
                phase: Phase::Open,
                locals,
                members: Slab::new(),
                adopted: 0,
                ready: VecDeque::new(),
                waiting: VecDeque::new(),
                started: 0,
                drivers: 0,
                idle: Vec::new(),
                next_driver: 0,
                admitted: 0,
                runtime_gone: false,
                watched: false,
                failed: false,
                cut: None,
                body_over: false,
                children: 0,
                services: Vec::new(),
                finalisers: Vec::new(),
                how: None,
                room: WaitQueue::new(),
                quiet: WaitQueue::new(),
                stragglers: Vec::new(),
                panics: Vec::new(),
                unwound: false,
                consequences: Vec::new(),
                owner: None,
                adopter: None,
                strangers: Strangers::None,
                shown: None,
                listing: Listing::NOWHERE,
            }),
        });
        if kind == Kind::Run || observe::is_recording() {
            group.list();
        }
        if kind == Kind::Run && observe::is_recording() {
            group.make_notes(true);
        }
        group
    }

    pub(crate) fn name(&self) -> Option<&Cow<'static, str>> {
        self.name.as_deref()
    }

    pub(crate) fn locals(&self) -> Option<Arc<Binding>> {
        self.state.lock().locals.clone()
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn notes(&self) -> Option<&Arc<Notes>> {
        self.notes.get()
    }

    /// What is known of the body, from now on.
    pub(crate) fn make_notes(&self, from_birth: bool) -> Arc<Notes> {
        if self.notes.get().is_none() {
            let _ = self.notes.set(Box::new(Notes::new(self.runtime.now(), from_birth)));
        }
        match self.notes.get() {
            Some(notes) => notes.clone(),
            None => unreachable!("they were set"),
        }
    }

    pub(crate) fn runtime(&self) -> &DynRuntime {
        &self.runtime
    }

    /// Whether it belongs to nobody, and neither does what is around it: there is no end that it could wait with.
    pub(crate) fn is_stray(&self) -> bool {
        self.kind == Kind::Detached && self.parent.is_none()
    }

    /// Whether it takes no more children.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().phase != Phase::Open
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock()
    }

    pub(super) fn set_deadline(&self, at: Option<Instant>) {
        *self.deadline.lock() = at;
    }

    /// A place for a member, unless the group takes no more of its kind.
    pub(crate) fn reserve(self: &Arc<Self>, role: Role) -> Option<Reserved> {
        let mut state = self.state.lock();
        let takes = match role {
            Role::Child | Role::Service => state.phase == Phase::Open,
            Role::Late => state.phase != Phase::Ended,
        };
        if !takes {
            return None;
        }
        let key = state.members.insert(Entry::kept(role));
        state.children += usize::from(role == Role::Child);
        drop(state);
        Some(Reserved { group: self.clone(), key, role, admitted: false })
    }

    /// Takes a member into a group that is open, or dropped meanwhile.
    pub(crate) fn admit(self: &Arc<Self>, role: Role, work: Work) -> Admission {
        if role != Role::Child || self.children.is_cancelled() {
            return self.fill(None, role, work);
        }
        // What nearly every child comes by, on a short way.
        let mut state = self.state.lock();
        if state.phase != Phase::Open || state.runtime_gone || state.started >= self.limit {
            drop(state);
            return self.fill(None, role, work);
        }
        let seat = work.seat();
        let (id, apart, named) = (seat.id(), seat.is_apart(), seat.name().is_some());
        let vacant = state.members.vacant_entry();
        let key = vacant.key();
        work.seat().set_key(key);
        vacant.insert(Entry {
            work: Some(work),
            id: Some(id),
            stage: Stage::Queued,
            started: true,
            apart,
            named,
            ..Entry::kept(Role::Child)
        });
        state.admitted += 1;
        state.children += 1;
        state.started += 1;
        state.ready.push_back(key);
        Admission::Started(state.wake_driver(self.max_drivers))
    }

    fn fill(self: &Arc<Self>, place: Option<usize>, role: Role, work: Work) -> Admission {
        let seat = work.seat();
        let service = (role == Role::Service).then(|| seat.node());
        let cancelled = self.children.is_cancelled();
        let admission = {
            let mut state = self.state.lock();
            let state = &mut *state;
            state.admitted += 1;
            let key = place.unwrap_or_else(|| {
                state.children += usize::from(role == Role::Child);
                state.members.insert(Entry::kept(role))
            });
            seat.set_key(key);
            let entry = &mut state.members[key];
            entry.id = Some(seat.id());
            entry.apart = seat.is_apart();
            entry.named = seat.name().is_some();
            if let Some(node) = service {
                state.services.push(Service { key, node, told: false });
            }
            if state.runtime_gone {
                entry.stage = Stage::Out { woken: false };
                Admission::Refused(work, Doom::RuntimeGone)
            } else if role != Role::Late && (cancelled || state.phase != Phase::Open) {
                entry.stage = Stage::Out { woken: false };
                Admission::Refused(work, Doom::Cancelled)
            } else if role == Role::Child && state.started >= self.limit {
                let id = seat.id();
                entry.work = Some(work);
                entry.stage = Stage::Waiting;
                state.waiting.push_back((key, id));
                Admission::Waiting
            } else {
                entry.work = Some(work);
                entry.stage = Stage::Queued;
                entry.started = role == Role::Child;
                state.started += usize::from(role == Role::Child);
                state.ready.push_back(key);
                Admission::Started(state.wake_driver(self.max_drivers))
            }
        };
        if role == Role::Service && !cfg!(bug_place_of_a_service_not_settled) {
            // Subtle: a place counts as a user until it is known to be a service's. What became due meanwhile, the end of
            // the group or of a wait for the last user, was put off for it.
            self.settle();
        }
        admission
    }

    /// Ends a member that was taken out of its place, and tells the group.
    pub(crate) fn end_member(self: &Arc<Self>, work: Work, doom: Doom) {
        if let Ran::Ended(spent) = work.run(Order::End(doom)) {
            self.all_ended(&[spent]);
        }
    }

    /// Keeps a finaliser for the end. Gives it back where the group runs finalisers already.
    pub(super) fn finally(&self, finaliser: Finaliser) -> Result<(), Finaliser> {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            // Where the runtime is gone already, it is dropped unrun with the others.
            state.finalisers.push(finaliser);
            drop(state);
            self.tell(|group| Event::FinaliserKept { group });
            Ok(())
        } else {
            drop(state);
            Err(finaliser)
        }
    }

    /// Takes the steps of the end that are due: after something other than an end of a member.
    pub(crate) fn settle(self: &Arc<Self>) {
        let ending = self.state.lock().ending(&self.children);
        ending.go(self);
    }

    /// Why the services end: what the children were cancelled for, or because nobody needs them any more.
    fn why_services_end(&self) -> Reason {
        self.children.reason().unwrap_or_else(|| {
            let message = Some("only services are left".into());
            Reason::new(ReasonKind::Shutdown, message, self.location)
        })
    }

    /// Whether a child would start at once; where not, whoever asks is woken when it may have changed.
    pub(super) fn has_room(&self, state: &State) -> bool {
        state.phase != Phase::Open || (state.started < self.limit && state.waiting.is_empty())
    }

    /// Notes the children that live as stragglers of a shutdown, unless they have been cancelled already.
    pub(super) fn note_stragglers(&self) {
        if self.children.is_cancelled() {
            return;
        }
        let mut state = self.state.lock();
        let State { members, stragglers, .. } = &mut *state;
        // Of two shutdowns whose time is up at once, the first names them.
        if cfg!(bug_stragglers_named_twice) || stragglers.is_empty() {
            for (_, entry) in members.iter_mut().filter(|(_, entry)| entry.role == Role::Child) {
                match &entry.work {
                    Some(work) => stragglers.push(work.seat().task()),
                    // Named by whoever has it, when it comes back.
                    None => entry.straggler = entry.stage != Stage::Kept,
                }
            }
        }
    }

    /// Somebody woke a member.
    pub(crate) fn wake_member(self: &Arc<Self>, member: &Seat) {
        let wake = {
            let mut state = self.state.lock();
            // Subtle: its place is asked for under the lock. A wake that comes before it has one is for who admits it, and
            // finds it cancelled: nobody else wakes it by then.
            if state.rouse(member.key(), Some(member.id())) {
                state.wake_driver(self.max_drivers)
            } else {
                WakeDriver::Nobody
            }
        };
        wake.go(self);
    }

    /// Sees to it that a cancellation of the children reaches those that are idle or held back.
    pub(crate) fn watch(self: &Arc<Self>) {
        if mem::replace(&mut self.state.lock().watched, true) {
            return;
        }
        // Here and not when it is opened: most groups never come to have a member that waits.
        self.list();
        let waker = Waker::from(Arc::new(Watcher(downgrade(self))));
        if self.children.poll_cancelled(&mut None, &mut Context::from_waker(&waker)).is_ready() {
            self.rouse_all();
        }
    }

    /// Queues all members that are cancelled with the group.
    fn rouse_all(self: &Arc<Self>) {
        let wakes: Vec<_> = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let simple = state.members.iter().filter(|(_, entry)| !entry.apart && entry.stage != Stage::Kept);
            let keys: Vec<_> = simple.map(|(key, _)| key).collect();
            let roused = keys.into_iter().filter(|key| state.rouse(*key, None)).count();
            (0..roused.min(self.max_drivers)).map(|_| state.wake_driver(self.max_drivers)).collect()
        };
        wakes.into_iter().for_each(|wake| wake.go(self));
    }

    /// Drops what is there to run a member, as nobody but its driver is to.
    pub(crate) fn let_go(&self, key: usize, id: TaskId) {
        let work = {
            let mut state = self.state.lock();
            state.members.get_mut(key).filter(|entry| entry.id == Some(id)).and_then(|entry| entry.work.take())
        };
        drop(work);
    }

    /// Ends a member on behalf of whoever it was started for: here and now, where nobody has it and it isn't shielded;
    /// else when it comes back.
    pub(crate) fn destroy(self: &Arc<Self>, member: &Seat) {
        let work = {
            let mut state = self.state.lock();
            let entry = state.members.get_mut(member.key()).filter(|entry| entry.id == Some(member.id()));
            entry.and_then(|entry| if entry.condemn(Doom::Cancelled) { entry.take() } else { None })
        };
        if let Some(work) = work {
            self.end_member(work, Doom::Cancelled);
        }
    }

    /// A member has ended that nothing is known of but its place.
    pub(crate) fn ended(self: &Arc<Self>, key: usize) {
        self.finished(|state| state.finish(self, key, None));
    }

    /// The body was stopped, or ended with an error.
    pub(super) fn cut(&self, reason: Reason) {
        let unused = self.state.lock().cut.replace(reason);
        drop(unused);
    }

    /// The body panicked: its payload is kept among those of the children, in the order in which they came.
    pub(super) fn body_panicked(&self, payload: Payload, task: TaskRef) {
        self.state.lock().panics.push((payload, task));
    }

    /// A child, or a destructor of its, panicked: the body and the siblings are cancelled.
    pub(crate) fn panicked(self: &Arc<Self>, payload: Payload, task: &TaskRef) {
        let mut group = self;
        let mut is_consequence = thread::panicking();
        {
            let mut state = loop {
                if group.kind == Kind::Detached {
                    // Whoever has the handle is told; nobody else has to do with it.
                    return guard::forget(payload);
                }
                let state = group.state.lock();
                if matches!(state.phase, Phase::Open | Phase::Finalising) {
                    break state;
                }
                // Subtle: a child that ends on another thread isn't unwinding, and may be faster than what unwinds.
                is_consequence |= state.unwound;
                drop(state);
                // Nobody awaits this group any more: whoever adopted it has to know.
                match &group.parent {
                    Some(parent) => group = parent,
                    None => return guard::forget(payload),
                }
            };
            let panics = if is_consequence { &mut state.consequences } else { &mut state.panics };
            panics.push((payload, task.clone()));
        }
        let message = Some("a task panicked".into());
        group.fail(&Reason::of_task(ReasonKind::SiblingFailed, message, task.clone(), task.location()));
    }

    /// Cancels the body and the children, because one of them failed.
    pub(crate) fn fail(self: &Arc<Self>, reason: &Reason) {
        self.whole.cancel(reason);
        let owner = {
            let mut state = self.state.lock();
            state.failed = true;
            if state.cut.is_none() {
                state.cut = Some(reason.clone());
            }
            state.owner.take()
        };
        if let Some(Err(payload)) = owner.map(|owner| guard::catch(|| owner.wake())) {
            guard::forget(payload);
        }
        self.settle();
    }

    /// Whether a child has failed; where none has, the owner's waker is kept for it.
    pub(crate) fn poll_failed(&self, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut state = self.state.lock();
            if state.failed { (Poll::Ready(()), Some(waker)) } else { (Poll::Pending, state.owner.replace(waker)) }
        };
        drop(unused);
        poll
    }

    /// Whether nobody polls the children any more. The owner is woken when that comes about.
    pub(crate) fn is_runtime_gone(&self) -> bool {
        self.state.lock().runtime_gone
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().failed
    }

    /// Waits for the members after the body has ended, and ends the group. Hands out the panics, in order.
    pub(super) fn poll_ended(self: &Arc<Self>, cx: &Context<'_>) -> Poll<Vec<(Payload, TaskRef)>> {
        if self.kind == Kind::Run && self.state.lock().live() == 0 {
            // What is left of them is counted here, and waited for below.
            self.end_strangers();
        }
        let waker = cx.waker().clone();
        let (poll, unused, ending, drivers) = {
            let mut state = self.state.lock();
            state.body_over = true;
            let mut ending = state.ending(&self.children);
            if state.live() == 0 {
                state.phase = Phase::Ended;
                ending.over = true;
                ending.locals = state.locals.take();
                ending.wakers.extend(state.room.notify_all());
                let mut panics = mem::take(&mut state.panics);
                panics.append(&mut state.consequences);
                let unused = (Some(waker), ending.owner.take());
                (Poll::Ready(panics), unused, ending, mem::take(&mut state.idle))
            } else {
                (Poll::Pending, (None, state.owner.replace(waker)), ending, Vec::new())
            }
        };
        drop(unused);
        ending.go(self);
        for (_, driver) in drivers {
            driver.wake();
        }
        if poll.is_pending() {
            observe::waits(|| Wait::Members(self.id));
            if self.kind == Kind::Run && observe::is_recording() {
                // Nothing is around it any more that would tell.
                let now = self.runtime.now();
                let notes = self.make_notes(false);
                notes.polled(now);
                notes.waits(now, None, Wait::Members(self.id));
                notes.returned(now);
            }
        }
        poll
    }

    /// The owner is gone. Returns what is to be destroyed, users first, and who has to be waited for a moment; or `None`
    /// where the group had ended.
    pub(super) fn abandon(&self) -> Option<Members> {
        let (members, owner, room) = {
            let mut state = self.state.lock();
            if !matches!(state.phase, Phase::Open | Phase::Finalising) {
                return None;
            }
            state.phase = Phase::Abandoned;
            state.unwound = thread::panicking();
            state.waiting.clear();
            let mut members = Members { condemned: Vec::with_capacity(state.members.len()), out: Vec::new() };
            let State { members: entries, services, .. } = &mut *state;
            for (key, entry) in entries.iter_mut().filter(|(_, entry)| entry.role != Role::Service) {
                members.add(key, entry);
            }
            for service in services.iter().rev() {
                members.add(service.key, &mut entries[service.key]);
            }
            (members, state.owner.take(), state.room.notify_all())
        };
        if let Some(payload) = guard::drop_caught(owner) {
            guard::forget(payload);
        }
        wake_all(room);
        Some(members)
    }

    /// A node that is as live as the children were before the lock was taken: for a bug that is put in.
    fn asked_early(&self) -> Option<Arc<Node>> {
        (cfg!(bug_cancellation_asked_before_the_lock) && !self.children.is_cancelled()).then(Node::root)
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

    /// Several members have ended, and their futures are gone.
    pub(super) fn all_ended(self: &Arc<Self>, spent: &[Spent]) {
        let tell = || {
            self.finished(|state| {
                let finish = |spent: &Spent| state.finish(self, spent.seat().key(), Some(spent.seat()));
                spent.iter().map(finish).fold(false, |is_due, also| is_due | also)
            });
        };
        match spent.last() {
            Some(last) => observe::by_the_end_of(last.seat().id(), self, tell),
            None => tell(),
        }
    }

    /// Has `finish` take members off the list, and does what is due then.
    fn finished(self: &Arc<Self>, finish: impl FnOnce(&mut State) -> bool) {
        let early = self.asked_early();
        let (wake, ending) = {
            let mut state = self.state.lock();
            let ending = if finish(&mut state) { Some(state.due(self, early)) } else { None };
            (state.wake_driver(self.max_drivers), ending)
        };
        wake.go(self);
        if let Some(ending) = ending {
            ending.go(self);
        }
    }

    /// Whether the member `id` hasn't ended.
    pub(super) fn has(&self, key: usize, id: TaskId) -> bool {
        self.state.lock().members.get(key).is_some_and(|entry| entry.id == Some(id))
    }

    /// After what was idle has been destroyed: the rest goes to an adopter, or the group is over.
    pub(super) fn hand_over(self: &Arc<Self>, reason: &Reason) {
        let adopter = match &self.parent {
            Some(parent) if !cfg!(bug_left_to_nobody) => parent.adopt(),
            _ => Adopted::by_nobody(),
        };
        let (ending, panics) = {
            let mut state = self.state.lock();
            state.adopter = Some(adopter);
            state.cut = Some(reason.clone());
            // Before the panics go elsewhere.
            state.conclude();
            let mut panics = mem::take(&mut state.panics);
            panics.append(&mut state.consequences);
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

    /// Something that was adopted has ended.
    pub(super) fn adopted_ended(&self) -> Ending {
        let mut state = self.state.lock();
        state.adopted -= 1;
        state.ending(&self.children)
    }

    /// One step of the driver `id`, under one lock: what it had is brought back, and it is told what to do next. `begins`
    /// where it is being polled anew, whatever it was woken by; `more` where it would take another child.
    pub(super) fn step(self: &Arc<Self>, id: usize, begins: bool, back: Option<Ran<Work>>, more: bool) -> Next {
        let (stale, spent);
        let early = self.asked_early();
        let mut state = self.state.lock();
        if begins {
            stale = state.forget_idle(id);
            if let Some(stale) = stale {
                drop(state);
                drop(stale);
                state = self.state.lock();
            }
        }
        match back {
            Some(Ran::Pending(work)) => {
                if let Some((work, doom)) = state.bring_back(work) {
                    return Next::Run(work, Order::End(doom));
                }
                if !state.watched {
                    drop(state);
                    self.watch();
                    state = self.state.lock();
                }
            }
            Some(Ran::Ended(ended)) => {
                // Dropped after the lock is released.
                spent = ended;
                if state.finish(self, spent.seat().key(), Some(spent.seat())) {
                    let ending = state.due(self, early);
                    drop(state);
                    observe::by_the_end_of(spent.seat().id(), self, || ending.go(self));
                    state = self.state.lock();
                }
            }
            None => {}
        }
        if !more {
            return Next::Nothing;
        }
        if self.takes_turns {
            drop(state);
            return self.pop_chosen();
        }
        // What was queued by a poll, and not by a wake, has woken nobody yet.
        if state.ready.len() > 1 && (state.drivers < self.max_drivers || !state.idle.is_empty()) {
            let wake = state.wake_driver(self.max_drivers);
            drop(state);
            wake.go(self);
            state = self.state.lock();
        }
        state.pop(self.is_told()).map_or(Next::Nothing, |work| Next::Run(work, Order::Poll))
    }

    fn pop_chosen(&self) -> Next {
        let ready = self.state.lock().queued();
        // Asked without the lock. Where the queue has become shorter since, there is nothing to choose.
        let chosen = self.observer.as_ref().map_or(0, |observer| observer.choose(ready));
        let mut state = self.state.lock();
        if chosen < state.queued() {
            if let Some(key) = state.ready.remove(chosen) {
                state.ready.push_front(key);
            }
        }
        state.pop(self.is_told()).map_or(Next::Nothing, |work| Next::Run(work, Order::Poll))
    }

    /// Whether what happens in it is told to anybody, or written down.
    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.told.is_told()
    }

    /// Has it written down from now on what happens in it.
    pub(crate) fn be_told(&self) {
        self.told.be_told();
    }

    /// Tells the observer, if there is one.
    #[inline]
    pub(crate) fn tell<'a>(&self, event: impl FnOnce(GroupId) -> Event<'a>) {
        if self.is_told() {
            if let Some(observer) = &self.observer {
                observer.observe(&event(self.id));
            }
        }
    }

    /// What the driver `id` is to do that found nothing ready; its waker is kept where there still is nothing.
    pub(super) fn park(&self, id: usize, waker: &Waker) -> Next {
        let kept = waker.clone();
        let (next, unused) = {
            let mut state = self.state.lock();
            let ready = if cfg!(bug_driver_parks_blindly) { None } else { state.pop(self.is_told()) };
            if let Some(work) = ready {
                (Next::Run(work, Order::Poll), Some(kept))
            } else if state.phase == Phase::Ended
                || (state.drivers == 1 && state.is_through_with_one())
                || (self.is_stray() && state.members.is_empty())
            {
                state.drivers -= 1;
                (Next::Finish, Some(kept))
            } else {
                state.idle.push((id, kept));
                (Next::Idle, None)
            }
        };
        drop(unused);
        next
    }

    /// A driver was dropped before the group's end: nobody polls the children any more.
    pub(super) fn driver_dropped(self: &Arc<Self>, id: usize) {
        let (members, owner, stale) = {
            let mut state = self.state.lock();
            state.drivers -= 1;
            let stale = state.forget_idle(id);
            if state.phase == Phase::Ended {
                (Vec::new(), None, stale)
            } else {
                state.runtime_gone = true;
                state.waiting.clear();
                state.ready.clear();
                let members = state.members.iter_mut();
                let condemned: Vec<_> = members
                    .filter_map(|(key, entry)| {
                        let id = entry.id?;
                        entry.condemn(Doom::RuntimeGone).then_some((key, id))
                    })
                    .collect();
                (condemned, state.owner.take(), stale)
            }
        };
        if let Some(payload) = guard::drop_caught(stale) {
            guard::forget(payload);
        }
        for (key, id) in members {
            if let Some(work) = self.take_condemned(key, id) {
                self.end_member(work, Doom::RuntimeGone);
            }
        }
        self.settle();
        if let Some(Err(payload)) = owner.map(|owner| guard::catch(|| owner.wake())) {
            guard::forget(payload);
        }
    }
}

/// What has to be cleared up of a group that was dropped.
pub(super) struct Members {
    /// What is to be destroyed, in this order. It stays in its place until its turn: one of them may have been started for
    /// another, whose destructor ends it earlier.
    pub(super) condemned: Vec<(usize, TaskId)>,
    /// Who is in a poll, or being ended by somebody else.
    pub(super) out: Vec<(usize, TaskId)>,
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

impl Entry {
    /// Leaves the member to who ends it now. Where somebody has it, or it is shielded from this, that is left until it comes
    /// back, and this is false.
    fn condemn(&mut self, doom: Doom) -> bool {
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

/// What has the group woken when its children are cancelled.
struct Watcher(Weak<GroupCore>);

impl Wake for Watcher {
    fn wake(self: Arc<Self>) {
        if let Some(group) = self.0.upgrade() {
            group.rouse_all();
        }
    }
}

impl State {
    fn live(&self) -> usize {
        self.members.len() + self.adopted
    }

    /// Queues a member that is idle or held back, and notes the wake of one that somebody has. Says whether it was queued.
    fn rouse(&mut self, key: usize, id: Option<TaskId>) -> bool {
        let Some(entry) = self.members.get_mut(key).filter(|entry| id.is_none() || entry.id == id) else {
            return false;
        };
        match entry.stage {
            Stage::Idle | Stage::Waiting => {
                entry.stage = Stage::Queued;
                self.ready.push_back(key);
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
    fn pop(&mut self, is_told: bool) -> Option<Work> {
        loop {
            let key = self.ready.pop_front()?;
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

    /// Whether there was one member, and it has ended. Mostly no other comes, and a driver that waited would have to be woken
    /// only to end.
    fn is_through_with_one(&self) -> bool {
        self.next_driver == 1 && self.members.is_empty() && self.admitted == 1
    }

    /// How many are queued, once those that have ended are off the queue.
    fn queued(&mut self) -> usize {
        let Self { ready, members, .. } = self;
        ready.retain(|key| members.get(*key).is_some_and(|entry| entry.stage == Stage::Queued));
        ready.len()
    }

    /// Puts a member back after a poll. Hands it out again where it is to be ended.
    fn bring_back(&mut self, work: Work) -> Option<(Work, Doom)> {
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
            self.stragglers.push(seat.task());
        }
        self.is_back(seat);
        let entry = &mut self.members[key];
        let woken = again || entry.stage == Stage::Out { woken: true };
        entry.work = Some(work);
        entry.stage = if woken { Stage::Queued } else { Stage::Idle };
        if woken {
            self.ready.push_back(key);
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
    fn finish(&mut self, group: &GroupCore, key: usize, seat: Option<&Seat>) -> bool {
        let Some(entry) = self.members.try_remove(key) else { return false };
        if let Some(seat) = seat {
            self.is_back(seat);
        }
        match entry.role {
            Role::Child => self.children -= 1,
            Role::Service => self.services.retain(|service| service.key != key),
            Role::Late => {}
        }
        if entry.started {
            self.started -= 1;
            self.start_waiting(group.limit);
        }
        if let (true, Some(seat)) = (entry.straggler, seat) {
            self.stragglers.push(seat.task());
        }
        !self.has_users() || !self.room.is_empty() || !self.quiet.is_empty()
    }

    /// What is left to do after a member has ended.
    fn due(&mut self, group: &GroupCore, early: Option<Arc<Node>>) -> Ending {
        let mut ending = self.ending(early.as_ref().unwrap_or(&group.children));
        if group.has_room(self) && !cfg!(bug_room_not_told) {
            ending.wakers.extend(self.room.notify_all());
        }
        // The one that is left may be who waits.
        if self.children <= 1 {
            ending.wakers.extend(self.quiet.notify_all());
        }
        ending
    }

    /// Whether `task` is a child that lives.
    pub(super) fn has_child(&self, task: TaskId) -> bool {
        self.members.iter().any(|(_, entry)| entry.role == Role::Child && entry.id == Some(task))
    }

    /// Whether anything but services lives.
    fn has_users(&self) -> bool {
        self.live() > self.services.len()
    }

    /// See invariant 3.
    fn wake_driver(&mut self, max: usize) -> WakeDriver {
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

    fn forget_idle(&mut self, id: usize) -> Option<Waker> {
        let index = self.idle.iter().position(|(idle, _)| *idle == id)?;
        Some(self.idle.swap_remove(index).1)
    }

    fn start_waiting(&mut self, limit: usize) {
        while self.started < limit && !cfg!(bug_place_not_handed_on) {
            let Some((key, id)) = self.waiting.pop_front() else { return };
            // It may have been cancelled while it waited, and its place be somebody else's.
            let is_it = |entry: &&mut Entry| cfg!(bug_place_of_somebody_else) || entry.id == Some(id);
            let Some(entry) = self.members.get_mut(key).filter(is_it) else { continue };
            entry.started = true;
            self.started += 1;
            // A cancellation may have queued it already.
            if entry.stage == Stage::Waiting {
                entry.stage = Stage::Queued;
                self.ready.push_back(key);
            }
        }
    }

    /// What the finalisers are told of how the group came to its end; the same for all of them.
    fn conclude(&mut self) -> Outcome<()> {
        let Self { how, panics, consequences, cut, .. } = self;
        how.get_or_insert_with(|| match (panics.first().or(consequences.first()), cut) {
            (Some((payload, _)), _) => Outcome::Panicked(Panic::new(&guard::message(payload))),
            (None, Some(reason)) => Outcome::Cancelled(reason.clone()),
            (None, None) => Outcome::Completed(()),
        })
        .clone()
    }

    /// The steps of the end that are due (invariant 8): nothing while there are users; then the services, one after the
    /// other; then, when the body is over, the finalisers, one after the other; then the end.
    ///
    /// Subtle: whether `children` are cancelled is asked here, under the lock. Asked before, a cancellation could come in
    /// between, look for itself while there still is a user, and leave it to one who doesn't know of it.
    fn ending(&mut self, children: &Node) -> Ending {
        let mut ending = Ending::default();
        if self.has_users() || self.phase == Phase::Ended {
            return ending;
        }
        if self.phase == Phase::Abandoned && self.adopter.is_none() {
            // Whoever dropped the group is destroying what it has, and nobody else is to take a service out of its hands.
            return ending;
        }
        let winding_down = self.body_over || self.phase != Phase::Open || children.is_cancelled();
        match self.services.last_mut() {
            Some(service) if winding_down && !service.told => {
                service.told = true;
                ending.service = Some(service.node.clone());
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
        if over && self.runtime_gone {
            ending.unrun = mem::take(&mut self.finalisers);
        }
        if let Some(finaliser) = over.then(|| self.finalisers.pop()).flatten() {
            if self.phase == Phase::Open {
                self.phase = Phase::Finalising;
            }
            let key = self.members.insert(Entry::kept(Role::Late));
            ending.finaliser = Some((key, finaliser, self.conclude()));
            return ending;
        }
        if over {
            ending.owner = self.owner.take();
        }
        if self.phase == Phase::Abandoned && over {
            self.phase = Phase::Ended;
            ending.over = true;
            ending.locals = self.locals.take();
            ending.adopter = self.adopter.take();
            ending.drivers = mem::take(&mut self.idle);
        }
        ending
    }
}

impl Drop for GroupCore {
    fn drop(&mut self) {
        // A chain of groups is taken apart in a loop, however deep it is.
        let mut next = self.unlist();
        while let Some(mut group) = next.and_then(Arc::into_inner) {
            next = group.unlist();
        }
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
