//! What every group is made of: its states and what holds of them, how members come in, how they are woken, and who is
//! told of failures. What its lock guards is in `state.rs`, the steps of its end in `ending.rs`.
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
//! What is to be done then is handed out as a value ([`Next`](super::drive::Next), [`Ending`], [`WakeDriver`]).

use super::drive::WakeDriver;
use super::ending::Ending;
use super::finaliser::Finaliser;
use super::state::{Entry, Phase, Rare, Role, Service, Stage, State};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::context;
use crate::guard::{self, Payload};
use crate::limiter::Held;
use crate::local::Binding;
use crate::observe::{self, Event, GroupId, Observer, Told, Wait};
use crate::runtime::{DynRuntime, Runtime};
use crate::sync::{Arc, AtomicBool, Mutex, OnceBox, Ordering, Weak, downgrade};
use crate::task::halves::{Doom, Order, Ran, Spent, Work};
use crate::task::seat::Seat;
use crate::task::{TaskId, TaskRef};
use crate::tree::notes::Notes;
use crate::wait_queue::wake_all;
use std::borrow::Cow;
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
    /// The nearest deadline around the owner, as of its last poll. By itself, as members ask for it while others wait for the
    /// state.
    deadline: Mutex<Option<Instant>>,
    /// Set by the first child that fails; the body isn't polled again. Changed with the lock of the state.
    failed: AtomicBool,
    pub(super) limit: usize,
    pub(super) max_drivers: usize,
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
    pub(super) takes_turns: bool,
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

/// What surrounds a group.
#[derive(Default)]
pub(crate) struct Surroundings {
    pub(crate) group: Option<Arc<GroupCore>>,
    pub(crate) scope: Option<Arc<Node>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) locals: Option<Arc<Binding>>,
    pub(crate) held: Option<Arc<Held>>,
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

/// A place for a child in a group that is open: the group can't end until it is admitted or given up.
pub(crate) struct Reserved {
    group: Arc<GroupCore>,
    key: usize,
    role: Role,
    admitted: bool,
}

impl Reserved {
    /// A place that is kept already.
    pub(super) fn kept(group: Arc<GroupCore>, key: usize, role: Role) -> Self {
        Self { group, key, role, admitted: false }
    }

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
            failed: AtomicBool::new(false),
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
            state: Mutex::new(State::new(locals)),
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
        Some(Reserved::kept(self.clone(), key, role))
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
        state.queue(key);
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
            if let Some(node) = service {
                state.rare().services.push(Service { key, node, told: false });
            }
            let entry = &mut state.members[key];
            entry.id = Some(seat.id());
            entry.apart = seat.is_apart();
            entry.named = seat.name().is_some();
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
                state.rare().waiting.push_back((key, id));
                Admission::Waiting
            } else {
                entry.work = Some(work);
                entry.stage = Stage::Queued;
                entry.started = role == Role::Child;
                state.started += usize::from(role == Role::Child);
                state.queue(key);
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
            state.rare().finalisers.push(finaliser);
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
    pub(super) fn why_services_end(&self) -> Reason {
        self.children.reason().unwrap_or_else(|| {
            let message = Some("only services are left".into());
            Reason::new(ReasonKind::Shutdown, message, self.location)
        })
    }

    /// Whether a child would start at once; where not, whoever asks is woken when it may have changed.
    pub(super) fn has_room(&self, state: &State) -> bool {
        let is_held_back = || state.rare.as_ref().is_some_and(|rare| !rare.waiting.is_empty());
        state.phase != Phase::Open || (state.started < self.limit && !is_held_back())
    }

    /// Notes the children that live as stragglers of a shutdown, unless they have been cancelled already.
    pub(super) fn note_stragglers(&self) {
        if self.children.is_cancelled() {
            return;
        }
        let mut state = self.state.lock();
        let State { members, rare, .. } = &mut *state;
        let stragglers = &mut rare.get_or_insert_default().stragglers;
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
        self.state.lock().rare().panics.push((payload, task));
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
            let Rare { panics, consequences, .. } = state.rare();
            let panics = if is_consequence { consequences } else { panics };
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
            // Ordering: Release; why it has was told before, and is to be seen by the Acquire in `has_failed`.
            self.failed.store(true, Ordering::Release);
            if state.cut.is_none() {
                state.cut = Some(reason.clone());
            }
            state.owner.take()
        };
        wake_all(owner);
        self.settle();
    }

    /// Whether a child has failed; where none has, the owner's waker is kept for it.
    pub(crate) fn poll_failed(&self, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut state = self.state.lock();
            if self.has_failed() { (Poll::Ready(()), Some(waker)) } else { (Poll::Pending, state.owner.replace(waker)) }
        };
        drop(unused);
        poll
    }

    /// Whether nobody polls the children any more. The owner is woken when that comes about.
    pub(crate) fn is_runtime_gone(&self) -> bool {
        self.state.lock().runtime_gone
    }

    pub(super) fn set_deadline(&self, at: Option<Instant>) {
        *self.deadline.lock() = at;
    }

    pub(super) fn has_failed(&self) -> bool {
        // Ordering: Acquire; pairs with the Release in `fail`.
        self.failed.load(Ordering::Acquire)
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
                ending.wakers.extend(state.rare.iter_mut().flat_map(|rare| rare.room.notify_all()));
                let panics = state.take_panics();
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

    /// A node that is as live as the children were before the lock was taken: for a bug that is put in.
    pub(super) fn asked_early(&self) -> Option<Arc<Node>> {
        (cfg!(bug_cancellation_asked_before_the_lock) && !self.children.is_cancelled()).then(Node::root)
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

    /// Something that was adopted has ended.
    pub(super) fn adopted_ended(&self) -> Ending {
        let mut state = self.state.lock();
        state.adopted -= 1;
        state.ending(&self.children)
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
