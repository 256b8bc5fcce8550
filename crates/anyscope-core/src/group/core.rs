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
//! 2. A cell that is ready is in `ready` exactly when nobody has begun its poll since it was queued.
//! 3. While `ready` isn't empty, a driver is running, woken or being started; or the runtime is gone.
//! 4. At most `limit` children were started and haven't ended; the rest stand in `waiting`, in the order of spawning.
//! 5. What an abandoned group leaves running is counted by `adopter`, from before the drop returns until it ended.
//! 6. One finaliser at a time, and none while any other member lives.
//! 7. Whatever may make a step of the end due (an end, a cancellation, the end of the body) is followed by a look at
//!    [`State::ending`], under the same lock or a later one.
//!
//! # Lock order
//!
//! One lock, a leaf: cells, nodes, wakers, other groups and everything of a user's are touched after it is released.
//! What is to be done then is handed out as a value ([`Next`], [`Ending`], [`WakeDriver`]).

use super::drive::Driver;
use super::finaliser::Finaliser;
use super::orphan::Adopted;
use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::context;
use crate::guard::{self, Payload};
use crate::limiter::Held;
use crate::local::Binding;
use crate::observe::{self, Event, GroupId, Observer, Wait};
use crate::outcome::{Outcome, Panic};
use crate::runtime::{DynRuntime, Runtime};
use crate::sync::{Arc, Mutex};
use crate::task::cell::{Doom, Member};
use crate::task::{TaskId, TaskRef};
use crate::wait_queue::{WaitQueue, wake_all};
use slab::Slab;
use std::collections::VecDeque;
use std::mem;
use std::panic::Location;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

/// The shared part of a group.
pub(crate) struct GroupCore {
    runtime: DynRuntime,
    /// The nearest group around, which adopts what this one has to leave running.
    pub(crate) parent: Option<Arc<GroupCore>>,
    /// The body's scope: cancelled when a child fails, and with it the children.
    pub(crate) whole: Arc<Node>,
    /// The children's scope, below the body's.
    pub(crate) children: Arc<Node>,
    /// Where those wait who are to learn of a shutdown, below that of the group around; made when it is first asked for.
    pub(super) stop: Mutex<Option<Arc<Node>>>,
    /// The values of task-locals for the body, and for children that are spawned from elsewhere.
    pub(crate) locals: Option<Arc<Binding>>,
    /// What the blocking jobs around hold of limiters.
    pub(crate) held: Option<Arc<Held>>,
    /// The nearest deadline around the owner, as of its last poll.
    deadline: Mutex<Option<Instant>>,
    limit: usize,
    max_drivers: usize,
    /// Where it was opened.
    location: &'static Location<'static>,
    pub(crate) id: GroupId,
    /// Who is told what happens in it.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) phase: Phase,
    members: Slab<Entry>,
    pub(super) adopted: usize,
    ready: VecDeque<Arc<dyn Member>>,
    waiting: VecDeque<(usize, TaskId)>,
    started: usize,
    /// How many drivers there are, and which of them wait for work.
    drivers: usize,
    idle: Vec<(usize, Waker)>,
    next_driver: usize,
    runtime_gone: bool,
    /// Set by the first child that fails; the body isn't polled again.
    failed: bool,
    /// Why the body didn't come to its end, where it didn't.
    cut: Option<Reason>,
    body_over: bool,
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
}

struct Entry {
    member: Option<Arc<dyn Member>>,
    id: Option<TaskId>,
    role: Role,
    started: bool,
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
pub(super) enum Phase {
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
    Refused(Doom),
}

/// What a driver does next.
#[must_use]
pub(super) enum Next {
    Run(Arc<dyn Member>),
    /// Nothing is ready; the driver's waker is kept.
    Idle,
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
    ready: Option<WakeDriver>,
    /// Who waited for a place, or for the last user.
    wakers: Vec<Waker>,
    /// The service whose turn it is to end.
    service: Option<Arc<Node>>,
    /// The finaliser whose turn it is, and its place.
    finaliser: Option<(usize, Finaliser, Outcome<()>)>,
    /// Finalisers that nobody will run, as the runtime is gone.
    unrun: Vec<Finaliser>,
    /// Cells that were woken and needn't be polled any more; they keep the group.
    stale: VecDeque<Arc<dyn Member>>,
    /// Whether the group is over.
    over: bool,
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
        drop(self.stale);
        if self.over {
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
        if let Some(ready) = self.ready {
            ready.go(group);
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

    pub(crate) fn key(&self) -> usize {
        self.key
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Fills the place. `node` is what cancels the member.
    pub(crate) fn admit(mut self, member: Arc<dyn Member>, id: TaskId, node: &Arc<Node>) -> Admission {
        self.admitted = true;
        let admission = self.fill(member, id, node);
        if self.role == Role::Service && !cfg!(bug_place_of_a_service_not_settled) {
            // Subtle: a place counts as a user until it is known to be a service's. What became due meanwhile, the end of
            // the group or of a wait for the last user, was put off for it.
            self.group.settle();
        }
        admission
    }

    fn fill(&self, member: Arc<dyn Member>, id: TaskId, node: &Arc<Node>) -> Admission {
        let group = &self.group;
        let cancelled = group.children.is_cancelled();
        let mut state = group.state.lock();
        let state = &mut *state;
        let entry = &mut state.members[self.key];
        entry.id = Some(id);
        entry.member = Some(member.clone());
        if entry.role == Role::Service {
            state.services.push(Service { key: self.key, node: node.clone(), told: false });
        }
        if state.runtime_gone {
            Admission::Refused(Doom::RuntimeGone)
        } else if entry.role != Role::Late && (cancelled || state.phase != Phase::Open) {
            Admission::Refused(Doom::Cancelled)
        } else if entry.role != Role::Child {
            state.ready.push_back(member);
            Admission::Started(state.wake_driver(group.max_drivers))
        } else if state.started < group.limit {
            entry.started = true;
            state.started += 1;
            state.ready.push_back(member);
            Admission::Started(state.wake_driver(group.max_drivers))
        } else {
            state.waiting.push_back((self.key, id));
            Admission::Waiting
        }
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
        runtime: DynRuntime,
        around: Surroundings,
        limit: usize,
        name: Option<&str>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        let Surroundings { group: parent, scope, deadline, locals, held } = around;
        let whole = Node::below(scope.as_ref());
        let children = Node::below(Some(&whole));
        let max_drivers = runtime.parallelism().max(1);
        let observer = runtime.observer();
        let id = if observer.is_some() { GroupId::next() } else { GroupId::NONE };
        if let Some(observer) = &observer {
            observe::watch();
            let (parent, task) = (parent.as_ref().map(|parent| parent.id), context::task().map(|task| task.id()));
            observer.observe(&Event::GroupOpened { group: id, parent, task, name, location });
        }
        Arc::new(Self {
            runtime,
            parent,
            whole,
            children,
            stop: Mutex::new(None),
            locals,
            held,
            deadline: Mutex::new(deadline),
            limit,
            max_drivers,
            location,
            id,
            observer,
            state: Mutex::new(State {
                phase: Phase::Open,
                members: Slab::new(),
                adopted: 0,
                ready: VecDeque::new(),
                waiting: VecDeque::new(),
                started: 0,
                drivers: 0,
                idle: Vec::new(),
                next_driver: 0,
                runtime_gone: false,
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
            }),
        })
    }

    pub(crate) fn runtime(&self) -> &DynRuntime {
        &self.runtime
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
        let key = state.members.insert(Entry { member: None, id: None, role, started: false });
        state.children += usize::from(role == Role::Child);
        drop(state);
        Some(Reserved { group: self.clone(), key, role, admitted: false })
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
            let children = members.iter().filter(|(_, entry)| entry.role == Role::Child);
            let children = children.filter_map(|(_, entry)| entry.member.as_ref());
            stragglers.extend(children.map(|member| member.task().clone()));
        }
    }

    /// Puts a child into the ready queue.
    pub(crate) fn push(self: &Arc<Self>, member: Arc<dyn Member>) {
        let wake = {
            let mut state = self.state.lock();
            if state.runtime_gone {
                Err(member)
            } else {
                state.ready.push_back(member);
                Ok(state.wake_driver(self.max_drivers))
            }
        };
        match wake {
            Ok(wake) => wake.go(self),
            Err(member) => {
                member.destroy(Doom::RuntimeGone);
            }
        }
    }

    /// A member has ended, and its future is gone.
    pub(crate) fn ended(self: &Arc<Self>, key: usize) {
        let live = (cfg!(bug_cancellation_asked_before_the_lock) && !self.children.is_cancelled()).then(Node::root);
        let (entry, service, ending) = {
            let mut state = self.state.lock();
            let entry = state.members.remove(key);
            let service = state.services.iter().rposition(|service| service.key == key);
            let service = service.map(|index| state.services.remove(index));
            if entry.started {
                state.started -= 1;
                state.start_waiting(self.limit);
            }
            if entry.role == Role::Child {
                state.children -= 1;
            }
            let ready = state.wake_driver(self.max_drivers);
            let mut ending = state.ending(live.as_ref().unwrap_or(&self.children));
            ending.ready = Some(ready);
            if self.has_room(&state) && !cfg!(bug_room_not_told) {
                ending.wakers.extend(state.room.notify_all());
            }
            // The one that is left may be who waits.
            if state.children <= 1 {
                ending.wakers.extend(state.quiet.notify_all());
            }
            (entry, service, ending)
        };
        drop((entry, service));
        ending.go(self);
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
        let waker = cx.waker().clone();
        let (poll, unused, ending, drivers) = {
            let mut state = self.state.lock();
            state.body_over = true;
            let mut ending = state.ending(&self.children);
            if state.live() == 0 {
                state.phase = Phase::Ended;
                ending.over = true;
                ending.wakers.extend(state.room.notify_all());
                let mut panics = mem::take(&mut state.panics);
                panics.append(&mut state.consequences);
                let unused = (Some(waker), ending.owner.take(), mem::take(&mut state.ready));
                (Poll::Ready(panics), unused, ending, mem::take(&mut state.idle))
            } else {
                (Poll::Pending, (None, state.owner.replace(waker), VecDeque::new()), ending, Vec::new())
            }
        };
        drop(unused);
        ending.go(self);
        for (_, driver) in drivers {
            driver.wake();
        }
        if poll.is_pending() {
            observe::waits(|| Wait::Members(self.id));
        }
        poll
    }

    /// The owner is gone. Returns what is to be destroyed, users first, or `None` where the group had ended.
    pub(super) fn abandon(&self) -> Option<Vec<Arc<dyn Member>>> {
        let (members, owner, room) = {
            let mut state = self.state.lock();
            if !matches!(state.phase, Phase::Open | Phase::Finalising) {
                return None;
            }
            state.phase = Phase::Abandoned;
            state.unwound = thread::panicking();
            state.waiting.clear();
            let users = state.members.iter().filter(|(_, entry)| entry.role != Role::Service);
            let mut members: Vec<_> = users.filter_map(|(_, entry)| entry.member.clone()).collect();
            let services = state.services.iter().rev().map(|service| service.key);
            members.extend(services.filter_map(|key| state.members[key].member.clone()));
            (members, state.owner.take(), state.room.notify_all())
        };
        drop(owner);
        wake_all(room);
        Some(members)
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

    /// The driver `id` is being polled, whatever it was woken by.
    pub(super) fn driver_polled(&self, id: usize) {
        let stale = self.state.lock().forget_idle(id);
        drop(stale);
    }

    /// A child that is ready.
    pub(super) fn pop(&self) -> Option<Arc<dyn Member>> {
        if let Some(observer) = &self.observer {
            let ready = self.state.lock().ready.len();
            // Asked without the lock. Where the queue has become shorter since, there is nothing to choose.
            let chosen = observer.choose(ready);
            let mut state = self.state.lock();
            return if chosen < state.ready.len() { state.ready.remove(chosen) } else { state.ready.pop_front() };
        }
        self.state.lock().ready.pop_front()
    }

    /// Tells the observer, if there is one.
    pub(crate) fn tell<'a>(&self, event: impl FnOnce(GroupId) -> Event<'a>) {
        if let Some(observer) = &self.observer {
            observer.observe(&event(self.id));
        }
    }

    /// What the driver `id` is to do that found nothing ready; its waker is kept where there still is nothing.
    pub(super) fn park(&self, id: usize, waker: &Waker) -> Next {
        let kept = waker.clone();
        let (next, unused) = {
            let mut state = self.state.lock();
            let ready = if cfg!(bug_driver_parks_blindly) { None } else { state.ready.pop_front() };
            if let Some(member) = ready {
                (Next::Run(member), Some(kept))
            } else if state.phase == Phase::Ended {
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
        let (members, ready, owner, stale) = {
            let mut state = self.state.lock();
            state.drivers -= 1;
            let stale = state.forget_idle(id);
            if state.phase == Phase::Ended {
                (Vec::new(), mem::take(&mut state.ready), None, stale)
            } else {
                state.runtime_gone = true;
                state.waiting.clear();
                let members = state.members.iter().filter_map(|(_, entry)| entry.member.clone()).collect();
                (members, mem::take(&mut state.ready), state.owner.take(), stale)
            }
        };
        drop((ready, stale));
        for member in members {
            member.destroy(Doom::RuntimeGone);
        }
        self.settle();
        if let Some(Err(payload)) = owner.map(|owner| guard::catch(|| owner.wake())) {
            guard::forget(payload);
        }
    }
}

impl State {
    fn live(&self) -> usize {
        self.members.len() + self.adopted
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
            let Some(member) = entry.member.clone() else { continue };
            entry.started = true;
            self.started += 1;
            self.ready.push_back(member);
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

    /// The steps of the end that are due (invariant 7): nothing while there are users; then the services, one after the
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
            let key = self.members.insert(Entry { member: None, id: None, role: Role::Late, started: false });
            ending.finaliser = Some((key, finaliser, self.conclude()));
            return ending;
        }
        if over {
            ending.owner = self.owner.take();
        }
        if self.phase == Phase::Abandoned && over {
            self.phase = Phase::Ended;
            ending.over = true;
            ending.adopter = self.adopter.take();
            ending.drivers = mem::take(&mut self.idle);
            ending.stale = mem::take(&mut self.ready);
        }
        ending
    }
}

impl Drop for GroupCore {
    fn drop(&mut self) {
        // A chain of groups is taken apart in a loop, however deep it is.
        let mut next = self.parent.take();
        while let Some(mut group) = next.and_then(Arc::into_inner) {
            next = group.parent.take();
        }
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
