//! One child of a group: its future, its surroundings, its outcome.
//!
//! # States
//!
//! *new* (in the group's ready queue, or held back by its limit) → *polling* → *idle* → *queued* → *polling* → ..
//! → *ending* → *done*. A wake during a poll turns *polling* into *woken*, which queues the cell again after the poll.
//!
//! # Who may touch what
//!
//! Everything is behind the cell's lock, and the lock is held for a few moves at a time. The future and its frame are
//! in the cell in *new*, *idle* and *queued*; whoever turns the stage into *polling* or *ending* has taken both out,
//! and is the only one to touch them.
//!
//! # Invariants
//!
//! 1. One thread at most has taken the future; it brings it back, or ends the cell.
//! 2. The cell is ended once: by the thread that took the future. It drops the future, then publishes the outcome,
//!    then tells the group; so a group that has ended holds no future of a child.
//! 3. A cell that is woken in *idle* is in the ready queue before the wake returns. One that was woken in *polling* is
//!    there before its poll's thread goes on.
//! 4. A task whose node is cancelled isn't polled again, unless it is shielded.
//! 5. The outcome goes to one poll of the handle; after `detach` it is dropped by the thread that ends the cell.
//!
//! # Lock order
//!
//! The cell's lock, the group's and the node's are leaves: none is held while another is taken, nor while anything of
//! a user's runs.
//!
//! # Races and who loses
//!
//! - Poll against cancel: a cancellation marks the node and wakes the cell. Where the poll was under way, the wake
//!   makes it *woken*, and the next run ends it. A value that this poll returns wins.
//! - Poll against the drop of the group: the drop finds *polling* and leaves a note (`doomed`); the poll's thread reads
//!   it under the lock, before it would bring the future back.
//! - Wake against end: a wake in *ending* or *done* is nothing.
//! - Join against end: the lock decides; the joiner finds the outcome, or leaves a waker that the end takes.

use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::context::{self, Deadline, Frame, FrameSlot, Shields};
use crate::group::core::{Admission, GroupCore, Reserved, Role};
use crate::guard::{self, Payload};
use crate::limiter::Held;
use crate::local::Binding;
use crate::observe::{self, Ended, Event, MemberRole, Wait};
use crate::outcome::{Outcome, Panic};
use crate::sync::{Arc, Mutex};
use crate::task::TaskRef;
use crate::wait_queue::wake_all;
use std::borrow::Cow;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Wake, Waker};

/// What a child's future ends with: its value, or the failure that its group has been told of.
pub(crate) enum Step<T> {
    Value(T),
    Failed(Reason),
}

pub(crate) type BoxedChild<T> = Pin<Box<dyn Future<Output = Step<T>> + Send>>;

/// A child as its group sees it.
pub(crate) trait Member: Send + Sync {
    fn task(&self) -> &TaskRef;
    /// Polls the future once, if it is queued.
    fn run(self: Arc<Self>);
    /// Ends the child now, or when the poll under way has returned. Says whether there is one.
    fn destroy(self: Arc<Self>, doom: Doom) -> bool;
    /// Whether it has been destroyed.
    fn is_over(&self) -> bool;
}

/// Ends a child on behalf of whoever it was started for, who is being dropped: here and now, where it isn't being polled.
/// `node` is what cancels it.
pub(crate) fn destroy_in_place(cell: &Arc<dyn Member>, node: &Arc<Node>) {
    let reason = context::drop_reason_or(cell.task().location());
    // Subtle: marked, but not woken yet: a driver on another thread would take what it is woken for.
    let wakers = node.mark_all(&reason);
    #[cfg(bug_child_of_a_starter_woken_before_the_drop)]
    let wakers = wakers.map(|wakers| (wake_all(wakers), Vec::new()).1);
    context::dropping(&reason, || cell.clone().destroy(Doom::Cancelled));
    wake_all(wakers.into_iter().flatten());
}

/// A child as its handle sees it.
pub(crate) trait Joinable<T>: Send + Sync {
    fn task(&self) -> &TaskRef;
    fn is_finished(&self) -> bool;
    fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<Outcome<T>>;
    fn cancel(&self, message: Option<Cow<'static, str>>, location: &'static Location<'static>) -> bool;
    #[must_use]
    fn detach(&self) -> Option<Outcome<T>>;
}

/// Why a child is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    /// Its group was cancelled or dropped; a shield holds this off.
    Cancelled,
    /// Its runtime is gone, and nobody will poll it again.
    RuntimeGone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Idle,
    Queued,
    Polling,
    Woken,
    Ending,
    Done,
}

pub(crate) struct Cell<T> {
    task: TaskRef,
    group: Arc<GroupCore>,
    key: usize,
    node: Arc<Node>,
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    stage: Stage,
    work: Option<Work<T>>,
    doomed: Option<Doom>,
    outcome: Option<Outcome<T>>,
    joiner: Option<Waker>,
    /// Whether the handle is still there to take the outcome.
    handle: bool,
}

/// What the polling thread takes out of the cell.
struct Work<T> {
    future: BoxedChild<T>,
    frame: FrameSlot,
    /// The place in the queue of the node, once the child was pending.
    watch: Option<usize>,
    /// Whether the group's deadline isn't its own.
    timeless: bool,
}

/// What a child is born with, beside its future.
pub(crate) struct Birth {
    task: TaskRef,
    node: Arc<Node>,
    shields: Option<Arc<Shields>>,
    locals: Option<Arc<Binding>>,
    held: Option<Arc<Held>>,
}

impl Birth {
    /// A child that is cancelled with its group.
    pub(crate) fn child(group: &Arc<GroupCore>, task: TaskRef) -> Self {
        Self::under(Node::below(Some(&group.children)), group, task)
    }

    /// A child that is cancelled by `node`.
    pub(crate) fn under(node: Arc<Node>, group: &Arc<GroupCore>, task: TaskRef) -> Self {
        // Who spawns from inside of the group hands on what is around it; for anybody else the group's own holds.
        let locals = if context::is_within(group) { context::locals() } else { group.locals.clone() };
        Self { task, node, shields: None, locals, held: group.held.clone() }
    }

    /// What finishes for others: nothing from outside interrupts it.
    pub(crate) fn late(task: TaskRef, locals: Option<Arc<Binding>>) -> Self {
        Self { task, node: Node::root(), shields: Some(Shields::up_for_good()), locals, held: None }
    }

    /// What cancels the child.
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Has what a caller from elsewhere brings along, where it brings anything.
    pub(crate) fn bring(&mut self, locals: Option<Arc<Binding>>, held: Option<Arc<Held>>) {
        self.locals = locals.or(self.locals.take());
        self.held = held.or(self.held.take());
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

impl<T: Send + 'static> Cell<T> {
    /// Makes the cell of a child and hands it to its group.
    pub(crate) fn spawn(reserved: Reserved, birth: Birth, future: BoxedChild<T>) -> Arc<Self> {
        let group = reserved.group().clone();
        let Birth { task, node, shields, locals, held } = birth;
        let timeless = shields.is_some();
        let frame = Frame {
            root: true,
            group: Some(group.clone()),
            scope: Some(node.clone()),
            task: Some(task.clone()),
            shields: shields.map_or_else(OnceLock::new, OnceLock::from),
            locals,
            held,
            ..Frame::default()
        };
        let cell = Arc::new(Self {
            task: task.clone(),
            group: group.clone(),
            key: reserved.key(),
            node: node.clone(),
            inner: Mutex::new(Inner {
                stage: Stage::New,
                work: Some(Work { future, frame: Some(frame), watch: None, timeless }),
                doomed: None,
                outcome: None,
                joiner: None,
                handle: true,
            }),
        });
        group.tell(|id| {
            let role = match reserved.role() {
                Role::Child => MemberRole::Child,
                Role::Service => MemberRole::Service,
                Role::Late => MemberRole::Late,
            };
            Event::Spawned { task: &task, group: id, role }
        });
        match reserved.admit(cell.clone(), task.id(), &node) {
            Admission::Started(wake) => wake.go(&group),
            // Held back by the limit; a cancellation has to find it all the same.
            Admission::Waiting => cell.watch_while_held_back(),
            Admission::Refused(doom) => {
                cell.clone().destroy(doom);
            }
        }
        cell
    }

    /// The same without a handle: nobody is told how the child ended.
    pub(crate) fn spawn_detached(
        reserved: Reserved,
        birth: Birth,
        future: impl Future<Output = Step<T>> + Send + 'static,
    ) -> Arc<Self> {
        let cell = Self::spawn(reserved, birth, Box::pin(future));
        drop(cell.detach());
        cell
    }

    fn watch_while_held_back(self: &Arc<Self>) {
        let waker = Waker::from(self.clone());
        let mut key = None;
        let cancelled = self.node.poll_cancelled(&mut key, &mut Context::from_waker(&waker)).is_ready();
        match &mut self.inner.lock().work {
            Some(work) if work.watch.is_none() => work.watch = key.take(),
            // Started meanwhile, and polled: it watches for itself.
            _ => {}
        }
        self.node.leave(&mut key);
        if cancelled {
            self.wake_by_ref();
        }
    }

    fn poll_once(self: Arc<Self>) {
        let Some(mut work) = self.begin() else { return };
        self.group.tell(|_| Event::Polled { task: self.task.id() });
        if self.node.is_cancelled() && !context::is_shielded(&work.frame) {
            return self.end(work, End::Cancelled);
        }
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        let polled = {
            let Work { future, frame, timeless, .. } = &mut work;
            if let Some(frame) = frame.as_mut().filter(|_| !*timeless) {
                frame.deadline = Deadline::Exactly(self.group.deadline());
            }
            context::within(frame, || guard::catch(|| future.as_mut().poll(&mut cx)))
        };
        match polled {
            Ok(Poll::Ready(Step::Value(value))) => self.end(work, End::Value(value)),
            Ok(Poll::Ready(Step::Failed(reason))) => self.end(work, End::Failed(reason)),
            Err(payload) => self.end(work, End::Panicked(payload)),
            Ok(Poll::Pending) => {
                self.group.tell(|_| Event::Pending { task: self.task.id() });
                let cancelled = self.node.poll_cancelled(&mut work.watch, &mut cx).is_ready();
                match self.bring_back(work, cancelled) {
                    Back::Idle => {}
                    Back::Queued => self.group.push(self.clone()),
                    Back::End(work, end) => self.end(work, end),
                }
            }
        }
    }

    /// *new* or *queued* → *polling*.
    fn begin(&self) -> Option<Work<T>> {
        let mut inner = self.inner.lock();
        if !matches!(inner.stage, Stage::New | Stage::Queued) {
            return None;
        }
        inner.stage = Stage::Polling;
        inner.work.take()
    }

    /// *polling* → *idle*, or *woken* → *queued*, or either → *ending*.
    fn bring_back(&self, work: Work<T>, cancelled: bool) -> Back<T> {
        let shielded = context::is_shielded(&work.frame);
        let mut inner = self.inner.lock();
        match inner.doomed {
            Some(Doom::RuntimeGone) => {
                inner.stage = Stage::Ending;
                return Back::End(work, End::RuntimeGone);
            }
            Some(Doom::Cancelled) if !shielded && !cfg!(bug_doom_unread) => {
                inner.stage = Stage::Ending;
                return Back::End(work, End::Cancelled);
            }
            _ => {}
        }
        if cancelled && !shielded {
            inner.stage = Stage::Ending;
            return Back::End(work, End::Cancelled);
        }
        inner.work = Some(work);
        if inner.stage == Stage::Woken {
            inner.stage = Stage::Queued;
            Back::Queued
        } else {
            inner.stage = Stage::Idle;
            Back::Idle
        }
    }

    /// Drops the future, publishes the outcome, tells the group; in this order (invariant 2).
    fn end(self: &Arc<Self>, work: Work<T>, mut end: End<T>) {
        let Work { future, frame, mut watch, .. } = work;
        self.node.leave(&mut watch);
        let reason = match &end {
            // The group's where the pass hasn't come down to a child that was spawned into it.
            End::Cancelled => {
                let reason = self.node.reason().or_else(|| self.group.children.reason());
                Some(reason.unwrap_or_else(|| self.dropped()))
            }
            _ => None,
        };
        #[cfg(bug_told_before_the_drop)]
        let (future, _late) = ((), future);
        let panic = context::within(&frame, || match &reason {
            Some(reason) => context::dropping(reason, || guard::drop_caught(future)),
            None => guard::drop_caught(future),
        });
        drop(frame);

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
        let failed = matches!(end, End::Failed(_));
        let outcome = match end {
            End::Value(value) => Outcome::Completed(value),
            End::Failed(reason) => Outcome::Cancelled(reason),
            End::Cancelled => Outcome::Cancelled(reason.unwrap_or_else(|| self.dropped())),
            End::RuntimeGone if cfg!(bug_lost_runtime_panics) => Outcome::Panicked(Panic::new("the runtime is gone")),
            End::RuntimeGone => Outcome::RuntimeGone,
            End::Panicked(payload) => {
                let panic = Panic::new(&guard::message(&payload));
                panics.insert(0, payload);
                Outcome::Panicked(panic)
            }
        };
        self.group.tell(|_| {
            let how = match &outcome {
                Outcome::Completed(_) => Ended::Completed,
                Outcome::Cancelled(_) if failed => Ended::Failed,
                Outcome::Cancelled(reason) => Ended::Cancelled(reason),
                Outcome::Panicked(_) => Ended::Panicked,
                Outcome::RuntimeGone => Ended::RuntimeGone,
            };
            Event::Ended { task: self.task.id(), how }
        });
        // Subtle: the group fails before the outcome is there, so that whoever awaits the task inside the group finds
        // itself cancelled, and doesn't panic over it a second time.
        #[cfg(bug_outcome_before_the_failure)]
        let (panics, late) = (Vec::new(), panics);
        for payload in panics {
            self.group.panicked(payload, &self.task);
        }
        let (unwanted, joiner) = self.publish(outcome);
        #[cfg(bug_outcome_before_the_failure)]
        late.into_iter().for_each(|payload| self.group.panicked(payload, &self.task));
        if let Some(payload) = guard::drop_caught(unwanted) {
            self.group.panicked(payload, &self.task);
        }
        let woken = guard::catch(|| {
            if let Some(joiner) = joiner {
                joiner.wake();
            }
        });
        self.group.ended(self.key);
        if let Err(payload) = woken {
            guard::forget(payload);
        }
    }

    /// *ending* → *done*. Hands out the outcome where nobody wants it, and who waits for it otherwise.
    fn publish(&self, outcome: Outcome<T>) -> (Option<Outcome<T>>, Option<Waker>) {
        let mut inner = self.inner.lock();
        inner.stage = Stage::Done;
        if inner.handle {
            inner.outcome = Some(outcome);
            (None, inner.joiner.take())
        } else {
            (Some(outcome), None)
        }
    }

    fn dropped(&self) -> Reason {
        Reason::new(ReasonKind::Dropped, None, self.task.location())
    }
}

/// What to do with a cell after a poll that returned pending.
#[must_use]
enum Back<T> {
    Idle,
    Queued,
    End(Work<T>, End<T>),
}

impl<T: Send + 'static> Wake for Cell<T> {
    fn wake(self: Arc<Self>) {
        let queue = {
            let mut inner = self.inner.lock();
            match inner.stage {
                Stage::Idle | Stage::New => {
                    inner.stage = Stage::Queued;
                    true
                }
                Stage::Polling => {
                    inner.stage = if cfg!(bug_wake_in_a_poll_lost) { Stage::Polling } else { Stage::Woken };
                    false
                }
                Stage::Queued | Stage::Woken | Stage::Ending | Stage::Done => false,
            }
        };
        if queue {
            let group = self.group.clone();
            group.push(self);
        }
    }
}

impl<T: Send + 'static> Member for Cell<T> {
    fn task(&self) -> &TaskRef {
        &self.task
    }

    fn run(self: Arc<Self>) {
        self.poll_once();
    }

    fn is_over(&self) -> bool {
        self.is_finished()
    }

    fn destroy(self: Arc<Self>, doom: Doom) -> bool {
        let work = {
            let mut inner = self.inner.lock();
            match inner.stage {
                Stage::New | Stage::Idle | Stage::Queued => {
                    let shielded = inner.work.as_ref().is_some_and(|work| context::is_shielded(&work.frame));
                    if shielded && doom == Doom::Cancelled {
                        inner.doomed = Some(doom);
                        None
                    } else {
                        inner.stage = Stage::Ending;
                        inner.work.take()
                    }
                }
                Stage::Polling | Stage::Woken => {
                    inner.doomed = Some(doom);
                    return true;
                }
                Stage::Ending | Stage::Done => None,
            }
        };
        if let Some(work) = work {
            let end = match doom {
                Doom::Cancelled => End::Cancelled,
                Doom::RuntimeGone => End::RuntimeGone,
            };
            self.end(work, end);
        }
        false
    }
}

impl<T: Send + 'static> Joinable<T> for Cell<T> {
    fn task(&self) -> &TaskRef {
        &self.task
    }

    fn is_finished(&self) -> bool {
        self.inner.lock().stage == Stage::Done
    }

    fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<Outcome<T>> {
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let (outcome, unused) = {
            let mut inner = self.inner.lock();
            assert!(
                inner.stage != Stage::Done || inner.outcome.is_some(),
                "a task's handle was polled after it had given the outcome"
            );
            match inner.outcome.take() {
                Some(outcome) => (Poll::Ready(outcome), (Some(waker), inner.joiner.take())),
                None => {
                    #[cfg(bug_outcome_published_before_the_wait)]
                    let mut inner = (drop(inner), self.inner.lock()).1;
                    (Poll::Pending, (inner.joiner.replace(waker), None))
                }
            }
        };
        drop(unused);
        if outcome.is_pending() {
            observe::waits(|| Wait::Task(self.task.id()));
        }
        outcome
    }

    fn cancel(&self, message: Option<Cow<'static, str>>, location: &'static Location<'static>) -> bool {
        if self.node.is_cancelled() {
            return false;
        }
        if cfg!(bug_dropped_by_who_cancels) {
            let work = self.inner.lock().work.take();
            drop(work);
        }
        self.node.cancel(&Reason::new(ReasonKind::Explicit, message, location))
    }

    fn detach(&self) -> Option<Outcome<T>> {
        let (outcome, joiner) = {
            let mut inner = self.inner.lock();
            inner.handle = false;
            (inner.outcome.take(), if cfg!(bug_joiner_kept) { None } else { inner.joiner.take() })
        };
        drop(joiner);
        outcome
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
