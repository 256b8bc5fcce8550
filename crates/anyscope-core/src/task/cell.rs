//! One child of a group: how it is polled, and how it ends.
//!
//! Where it stands (new, queued, in a poll, idle) is kept by its group, under the group's lock, and not here: whoever
//! takes it out of its place among the members has the one right to it (`halves.rs`), and brings it back after the poll,
//! or ends it.
//!
//! # Invariants
//!
//! 1. One thread at most has taken a child; it brings it back, or ends it.
//! 2. A child is ended once: by the thread that took it. It drops the future, then publishes the outcome, then tells the
//!    group; so a group that has ended holds no future of a child.
//! 3. A task that was cancelled isn't polled again, unless it is shielded.
//! 4. The outcome goes to one poll of the handle; where that is gone, it is dropped by the thread that ends the child.
//!
//! # Lock order
//!
//! The group's lock, that of the task-locals and the nodes' aren't held while one of another kind is taken, nor while
//! anything of a user's runs.
//!
//! # Races and who loses
//!
//! - Poll against cancel: a cancellation marks the node, and has the group wake the child. Where a poll is under way, the
//!   child is queued again when it returns, and the next run ends it. A value that this poll returns wins.
//! - Poll against the drop of the group: the drop finds the child taken and leaves a note in its place (`doom`), which
//!   the poll's thread reads under the lock when it brings the child back.
//! - Wake against end: the wake finds no such child any more.
//! - Join against end: see `halves.rs`.

use super::halves::{Content, Doom, Handle, Order, Own, Ran, Spent, halves};
use super::seat::{Birth, Seat};
use crate::cancel::reason::Reason;
use crate::cancel::tree::Node;
use crate::context;
use crate::group::core::{Admission, GroupCore, Reserved};
use crate::group::state::Role;
use crate::guard::{self, Payload};
use crate::observe::{self, Ended, Event};
use crate::outcome::{Outcome, Panic};
use crate::sync::Arc;
use crate::wait_queue::wake_all;
use pin_project_lite::pin_project;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::task::{Poll, Waker};

/// What a child's future ends with: its value, or the failure that its group has been told of.
pub(crate) enum Step<T> {
    Value(T),
    Failed(Reason),
}

pin_project! {
    /// A future, and what its output means to the group.
    struct Child<F, M> {
        #[pin]
        future: F,
        sort: Option<M>,
    }
}

impl<F, M, T> Content for Child<F, M>
where
    F: Future + Send + 'static,
    M: FnOnce(F::Output, &Seat) -> Step<T> + Send + 'static,
    T: Send + 'static,
{
    type Outcome = Outcome<T>;

    fn run(own: Own<Self>, order: Order) -> Ran<Own<Self>> {
        match order {
            Order::Poll => poll(own),
            Order::End(Doom::Cancelled) => end_unpolled(own, End::Cancelled),
            Order::End(Doom::RuntimeGone) => end_unpolled(own, End::RuntimeGone),
        }
    }
}

/// How a child ended, for the outcome.
enum End<T> {
    Value(T),
    Failed(Reason),
    Panicked(Payload),
    Cancelled,
    RuntimeGone,
}

/// Where a child is to be a member.
pub(crate) enum Place<'a> {
    /// In a group that is known to be open.
    In(&'a Arc<GroupCore>, Role),
    /// Where a place is kept for it.
    Reserved(Reserved),
}

impl From<Reserved> for Place<'_> {
    fn from(reserved: Reserved) -> Self {
        Self::Reserved(reserved)
    }
}

impl Place<'_> {
    pub(crate) fn group(&self) -> &Arc<GroupCore> {
        match self {
            Self::In(group, _) => group,
            Self::Reserved(reserved) => reserved.group(),
        }
    }

    pub(crate) fn role(&self) -> Role {
        match self {
            Self::In(_, role) => *role,
            Self::Reserved(reserved) => reserved.role(),
        }
    }
}

/// Makes a child and hands it to its group. `sort` says what its output means.
pub(crate) fn spawn<'a, F, M, T>(place: impl Into<Place<'a>>, birth: Birth, future: F, sort: M) -> Handle<Outcome<T>>
where
    F: Future + Send + 'static,
    M: FnOnce(F::Output, &Seat) -> Step<T> + Send + 'static,
    T: Send + 'static,
{
    let place = place.into();
    let seat = birth.seat(place.group().clone());
    enter(place, seat, future, sort)
}

/// The same for a child without a name, of a group that is known to be open.
#[inline]
pub(crate) fn spawn_plain<F, M, T>(
    group: &Arc<GroupCore>,
    location: &'static Location<'static>,
    future: F,
    sort: M,
) -> Handle<Outcome<T>>
where
    F: Future + Send + 'static,
    M: FnOnce(F::Output, &Seat) -> Step<T> + Send + 'static,
    T: Send + 'static,
{
    enter(Place::In(group, Role::Child), Seat::child(group, location), future, sort)
}

#[inline]
fn enter<F, M, T>(place: Place<'_>, seat: Seat, future: F, sort: M) -> Handle<Outcome<T>>
where
    F: Future + Send + 'static,
    M: FnOnce(F::Output, &Seat) -> Step<T> + Send + 'static,
    T: Send + 'static,
{
    let (own, handle) = halves(seat, Child { future, sort: Some(sort) });
    let seat = own.seat();
    if seat.group().is_told() {
        seat.tell_spawned(place.role());
    }
    if seat.is_apart() {
        seat.watch(&own.kept_waker());
    }
    match place {
        Place::In(group, role) => admitted(handle.seat(), group.admit(role, own.erase())),
        Place::Reserved(reserved) => admitted(handle.seat(), reserved.admit(own.erase())),
    }
    handle
}

fn admitted(child: &Seat, admission: Admission) {
    let group = child.group();
    match admission {
        Admission::Started(wake) => wake.go(group),
        Admission::Waiting => {
            // Held back by the limit; a cancellation has to find it all the same, also one that came before it was there.
            group.watch();
            if child.is_cancelled() {
                group.wake_member(child);
            }
        }
        Admission::Refused(work, doom) => group.end_member(work, doom),
    }
}

/// The same for a child whose end nobody awaits. The handle is for who may have to destroy it.
#[track_caller]
pub(crate) fn spawn_detached<'a>(
    place: impl Into<Place<'a>>,
    birth: Birth,
    future: impl Future<Output = Step<()>> + Send + 'static,
) -> Handle<Outcome<()>> {
    spawn(place, birth, future, |step, _: &Seat| step)
}

/// Ends a child on behalf of whoever it was started for, who is being dropped: here and now, where it isn't being polled.
/// `node` is what cancels it.
pub(crate) fn destroy_in_place(child: &Seat, node: &Arc<Node>) {
    let reason = context::drop_reason_or(child.location());
    // Subtle: marked, but not woken yet: a driver on another thread would take what it is woken for.
    let wakers = node.mark_all(&reason);
    #[cfg(bug_child_of_a_starter_woken_before_the_drop)]
    let wakers = wakers.map(|wakers| (wake_all(wakers), Vec::new()).1);
    context::dropping(&reason, || child.group().destroy(child));
    wake_all(wakers.into_iter().flatten());
}

fn poll<F, M, T>(mut own: Own<Child<F, M>>) -> Ran<Own<Child<F, M>>>
where
    F: Future + Send + 'static,
    M: FnOnce(F::Output, &Seat) -> Step<T> + Send + 'static,
    T: Send + 'static,
{
    let seat = own.seat();
    if seat.group().is_told() {
        seat.tell_polled();
    }
    if seat.is_cancelled() && !context::is_shielded_in(seat) {
        return end(own, End::Cancelled, None);
    }
    seat.begin();
    // Kept out here: where the future's destructor panics, nothing else is to be dropped by that.
    let (mut output, mut step) = (None, None);
    let polled = own.with(|mut held, seat, cx| {
        context::inside(seat, || {
            guard::catch(|| {
                let Some(child) = held.content() else { unreachable!("a child was polled after it had ended") };
                let child = child.project();
                let Poll::Ready(ready) = child.future.poll(cx) else { return };
                output = Some(ready);
                let sort = child.sort.take();
                if cfg!(bug_told_before_the_drop) {
                    seat.leave_early();
                }
                // Where it was polled, with its surroundings, and before anybody learns of what it ended with.
                held.clear();
                step = sort.zip(output.take()).map(|(sort, output)| sort(output, seat));
            })
        })
    });
    let is_told = own.seat().group().is_told();
    if is_told {
        own.seat().tell_returned(step.is_none() && polled.is_ok());
    }
    match (step, polled) {
        // What nearly every child comes to, on a short way.
        (Some(Step::Value(value)), Ok(())) if !is_told && own.seat().is_plain() => {
            let (spent, unwanted, joiner) = own.publish(Outcome::Completed(value));
            if unwanted.is_some() || joiner.is_some() {
                hand_over(&spent, unwanted, joiner);
            }
            Ran::Ended(spent)
        }
        (None, Ok(())) => {
            let seat = own.seat();
            if seat.is_cancelled() && !context::is_shielded_in(seat) {
                return end_unpolled(own, End::Cancelled);
            }
            Ran::Pending(own)
        }
        (Some(Step::Value(value)), polled) => end(own, End::Value(value), polled.err()),
        (Some(Step::Failed(reason)), polled) => end(own, End::Failed(reason), polled.err()),
        (None, Err(payload)) => end(own, End::Panicked(payload), guard::drop_caught(output)),
    }
}

/// The same as [`end`], for a child that isn't in a poll.
fn end_unpolled<C, T>(own: Own<C>, how: End<T>) -> Ran<Own<C>>
where
    C: Content<Outcome = Outcome<T>>,
    T: Send + 'static,
{
    own.seat().group().tell(|_| Event::Ending { task: own.seat().id() });
    end(own, how, None)
}

/// Drops the future, where it is there still, and publishes the outcome; the group is told by the caller (invariant 2).
/// `panic` is that of the future's destructor.
fn end<C, T>(mut own: Own<C>, mut end: End<T>, panic: Option<Payload>) -> Ran<Own<C>>
where
    C: Content<Outcome = Outcome<T>>,
    T: Send + 'static,
{
    own.seat().unwatch();
    let reason = matches!(end, End::Cancelled).then(|| own.seat().why());
    let panic = panic.or_else(|| clear(&mut own, reason.as_ref()));
    // The values of task-locals are captures too, though others may keep the seat.
    let locals = guard::drop_caught(own.seat().take_locals());
    let (panic, also) = if panic.is_some() { (panic, locals) } else { (locals, None) };
    let mut panics = Vec::new();
    if let Some(payload) = panic {
        // A destructor that panics turns any end into a panic; a value that was there has nobody to go to.
        match mem::replace(&mut end, End::Panicked(payload)) {
            End::Panicked(first) => {
                if let End::Panicked(second) = mem::replace(&mut end, End::Panicked(first)) {
                    panics.push(second);
                }
            }
            End::Value(value) => panics.extend(guard::drop_caught(value)),
            _ => {}
        }
    }
    panics.extend(also);
    let failed = matches!(end, End::Failed(_));
    let outcome = match end {
        End::Value(value) => Outcome::Completed(value),
        End::Failed(reason) => Outcome::Cancelled(reason),
        End::Cancelled => Outcome::Cancelled(reason.unwrap_or_else(|| own.seat().why())),
        End::RuntimeGone if cfg!(bug_lost_runtime_panics) => Outcome::Panicked(Panic::new("the runtime is gone")),
        End::RuntimeGone => Outcome::RuntimeGone,
        End::Panicked(payload) => {
            let panic = Panic::new(&guard::message(&payload));
            panics.insert(0, payload);
            Outcome::Panicked(panic)
        }
    };
    own.seat().group().tell(|_| {
        let how = match &outcome {
            Outcome::Completed(_) => Ended::Completed,
            Outcome::Cancelled(_) if failed => Ended::Failed,
            Outcome::Cancelled(reason) => Ended::Cancelled(reason),
            Outcome::Panicked(panic) => Ended::Panicked(panic.message()),
            Outcome::RuntimeGone => Ended::RuntimeGone,
        };
        Event::Ended { task: own.seat().id(), how }
    });
    // Subtle: the group fails before the outcome is there, so that whoever awaits the task inside the group finds
    // itself cancelled, and doesn't panic over it a second time.
    #[cfg(bug_outcome_before_the_failure)]
    let (panics, late) = (Vec::new(), panics);
    if !panics.is_empty() {
        let task = own.seat().task();
        panics.into_iter().for_each(|payload| own.seat().group().panicked(payload, &task));
    }
    let (spent, unwanted, joiner) = own.publish(outcome);
    #[cfg(bug_outcome_before_the_failure)]
    late.into_iter().for_each(|payload| spent.seat().group().panicked(payload, &spent.seat().task()));
    hand_over(&spent, unwanted, joiner);
    Ran::Ended(spent)
}

/// Drops an outcome that nobody wants, and wakes who waits for it.
fn hand_over<T>(spent: &Spent, unwanted: Option<Outcome<T>>, joiner: Option<Waker>) {
    if let Some(Some(payload)) = unwanted.map(guard::drop_caught) {
        spent.seat().group().panicked(payload, &spent.seat().task());
    }
    let Some(joiner) = joiner else { return };
    let seat = spent.seat();
    observe::by_the_end_of(seat.id(), seat.group(), || wake_all([joiner]));
}

/// Drops the future, with its surroundings, and catches a panic of its.
fn clear<C: Content>(own: &mut Own<C>, reason: Option<&Reason>) -> Option<Payload> {
    own.with(|mut held, seat, _| {
        held.content()?;
        let mut clear = || guard::clear_caught(|| held.clear());
        context::inside(seat, || match reason {
            Some(reason) => context::dropping(reason, clear),
            None => clear(),
        })
    })
}

#[cfg(all(test, anyscope_loom))]
mod loom;
