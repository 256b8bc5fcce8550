//! [`Start`]: a child that belongs to whoever starts it until it is ready, and to its group afterwards.
//!
//! # States
//!
//! *starting* → *ready* (it said so) or *over* (it ended before). *starting* → *given up*, when the starter is dropped.
//!
//! # Whose it is
//!
//! The child is a member of the group from the beginning, so that the group waits for it and destroys it. What cancels it
//! is a node of its own, which hangs below the starter's scope while it is starting and is moved below the group's when it
//! is ready. So a cancelled group doesn't interrupt a start, and a cancelled starter doesn't reach a child that is ready.
//!
//! # Races and who loses
//!
//! - Ready against the drop of the starter: the lock decides. Where ready comes first, the child is the group's and goes
//!   on, though nobody takes the value; else it is destroyed as the starter's.
//! - Ready against a cancellation of the group: the move finds the group cancelled, and the child is cancelled with its
//!   reason as soon as it is the group's.

use super::core::{GroupCore, Reserved};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::{Listing, Node};
use crate::context::{self, Deadline, Frame};
use crate::coop;
use crate::guard::{self, Payload};
use crate::observe::{self, Wait};
use crate::outcome::{Outcome, Panic};
use crate::sync::{Arc, Mutex};
use crate::task::TaskRef;
use crate::task::cell::{Step, destroy_in_place, spawn_detached};
use crate::task::halves::Handle;
use crate::task::seat::Birth;
use crate::wait_queue::wake_all;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Says that a child is ready. Given to the closure of [`TaskGroup::start`](crate::TaskGroup::start).
///
/// Dropping it says that the child will never be ready: a child that hasn't ended by then is cancelled.
#[must_use = "a child that is never ready can't be started"]
pub struct Started<V> {
    link: Arc<dyn Link<V>>,
}

impl<V> Started<V> {
    /// Hands `value` to whoever starts the child. From here on the child belongs to its group.
    ///
    /// Does nothing where whoever started it is gone; the child is being cancelled then.
    pub fn ready(self, value: V) {
        let unwanted = self.link.become_ready(value);
        drop(unwanted);
    }
}

impl<V> Drop for Started<V> {
    fn drop(&mut self) {
        self.link.give_up();
    }
}

impl<V> fmt::Debug for Started<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
    }
}

/// The child's side, without the type of its error.
trait Link<V>: Send + Sync {
    /// Hands the value back where nobody wants it.
    fn become_ready(&self, value: V) -> Option<V>;
    fn give_up(&self);
}

/// What the child and its starter share.
struct Shared<V, E> {
    task: TaskRef,
    group: Arc<GroupCore>,
    /// What cancels the child.
    node: Arc<Node>,
    /// The deadline around the starter.
    deadline: Option<Instant>,
    state: Mutex<State<V, E>>,
}

struct State<V, E> {
    stage: Stage<V, E>,
    /// The child's place below whatever it belongs to.
    listing: Option<Listing>,
    /// Whether the child has been polled, and whether `Started` was dropped without a word.
    begun: bool,
    given_up: bool,
    waiter: Option<Waker>,
}

enum Stage<V, E> {
    Starting,
    Ready(V),
    Over(Over<E>),
    /// The value or the end was taken, or nobody is there to take it.
    Gone,
}

/// How a child ended that never was ready.
pub(super) enum Over<E> {
    Failed(E),
    Ended(Outcome<()>),
    Panicked(Payload),
}

impl<V, E> Shared<V, E> {
    fn is_starting(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Starting)
    }

    /// Leaves *starting*, if it still is. Hands back what nobody wants.
    fn leave(&self, stage: Stage<V, E>) -> Result<(), Stage<V, E>> {
        let (listing, waiter) = {
            let mut state = self.state.lock();
            if !matches!(state.stage, Stage::Starting) {
                return Err(stage);
            }
            state.stage = stage;
            (state.listing.take(), state.waiter.take())
        };
        drop(listing);
        wake_all(waiter);
        Ok(())
    }

    fn is_given_up(&self) -> bool {
        self.state.lock().given_up
    }

    /// Cancels a child that can't be ready any more.
    fn cancel_given_up(&self) {
        if self.is_starting() {
            let message = Some("it will never be ready: `Started` was dropped".into());
            self.node.cancel(&Reason::new(ReasonKind::Explicit, message, self.task.location()));
        }
    }

    /// How a child ends whose future is being dropped.
    fn cut(&self) -> Outcome<()> {
        match self.node.reason().or_else(context::drop_reason) {
            Some(reason) => Outcome::Cancelled(reason),
            None if self.group.is_runtime_gone() => Outcome::RuntimeGone,
            None => Outcome::Cancelled(Reason::new(ReasonKind::Dropped, None, self.task.location())),
        }
    }

    /// The child ended. Hands back how, where it was ready before.
    fn end(&self, over: Over<E>) -> Result<(), Over<E>> {
        self.leave(Stage::Over(over)).map_err(|stage| match stage {
            Stage::Over(over) => over,
            _ => Over::Ended(Outcome::Completed(())),
        })
    }
}

impl<V: Send, E: Send> Link<V> for Shared<V, E> {
    fn become_ready(&self, value: V) -> Option<V> {
        match self.leave(Stage::Ready(value)) {
            Ok(()) => {
                let listing = self.group.children.list(&self.node);
                self.state.lock().listing = Some(listing);
                None
            }
            Err(Stage::Ready(value)) => Some(value),
            Err(_) => None,
        }
    }

    fn give_up(&self) {
        let begun = {
            let mut state = self.state.lock();
            state.given_up = true;
            state.begun
        };
        // Its first poll is the child's in any case: what it ends with then says more.
        if begun {
            self.cancel_given_up();
        }
    }
}

pin_project! {
    /// The child's future.
    struct Starting<F, V, E> {
        #[pin]
        future: Option<F>,
        shared: Arc<Shared<V, E>>,
    }

    impl<F, V, E> PinnedDrop for Starting<F, V, E> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Asked before the future is dropped, with which `Started` goes and gives up; told afterwards: the starter goes
            // on when the future is gone.
            let cut = this.shared.is_starting().then(|| this.shared.cut());
            let panic = guard::catch(|| this.future.set(None)).err();
            let listing = this.shared.state.lock().listing.take();
            drop(listing);
            if let Some(outcome) = cut {
                let unwanted = this.shared.end(Over::Ended(outcome));
                drop(unwanted);
            }
            guard::resume(panic);
        }
    }
}

impl<F: Future, V, E> Future for Starting<F, V, E> {
    /// The output, or the panic of a child that was ready.
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let is_starting = {
            let mut state = this.shared.state.lock();
            state.begun = true;
            matches!(state.stage, Stage::Starting)
        };
        let deadline = Deadline::Exactly(this.shared.deadline);
        let frame = is_starting.then(|| Frame { deadline, ..Frame::default() });
        match guard::catch(|| context::poll_within(&frame, this.future.as_mut(), cx)) {
            Ok(Poll::Pending) => {
                if is_starting && this.shared.is_given_up() {
                    this.shared.cancel_given_up();
                }
                Poll::Pending
            }
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Err(payload) => {
                // The starter goes on when the future is gone, as ever.
                if let Err(second) = context::within(&frame, || guard::catch(|| this.future.set(None))) {
                    guard::forget(second);
                }
                // Before it was ready, a panic is the starter's.
                match this.shared.end(Over::Panicked(payload)) {
                    Ok(()) => Poll::Ready(None),
                    Err(Over::Panicked(payload)) => panic::resume_unwind(payload),
                    Err(_) => Poll::Ready(None),
                }
            }
        }
    }
}

/// Starts a child. `sort` says whether an output is a failure, and what that means to a group whose the child is.
pub(super) fn start<V, E, F, T>(
    reserved: Reserved,
    task: TaskRef,
    make: impl FnOnce(Started<V>) -> F,
    sort: impl FnOnce(T) -> Option<E> + Send + 'static,
    fail: impl FnOnce(E) -> Reason + Send + 'static,
) -> Starter<V, E>
where
    V: Send + 'static,
    E: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let group = reserved.group().clone();
    let node = Node::root();
    let listing = context::scope().map(|scope| scope.list(&node));
    let shared = Arc::new(Shared {
        task: task.clone(),
        group: group.clone(),
        node: node.clone(),
        deadline: context::deadline(),
        state: Mutex::new(State { stage: Stage::Starting, listing, begun: false, given_up: false, waiter: None }),
    });
    let starting = Starting { future: Some(make(Started { link: shared.clone() })), shared: shared.clone() };
    let child = {
        let shared = shared.clone();
        async move {
            // Pinned here: dropping it before the end was told would tell of a cancellation.
            let mut starting = pin!(starting);
            let output = starting.as_mut().await;
            let Some(failure) = output.and_then(sort) else {
                let _ = shared.end(Over::Ended(Outcome::Completed(())));
                return Step::Value(());
            };
            match shared.end(Over::Failed(failure)) {
                Err(Over::Failed(failure)) => Step::Failed(fail(failure)),
                _ => Step::Value(()),
            }
        }
    };
    let child = spawn_detached(reserved, Birth::under(node, &group, task), child);
    Starter { shared, child, over: false }
}

/// The starter's side.
pub(super) struct Starter<V, E> {
    shared: Arc<Shared<V, E>>,
    child: Handle<Outcome<()>>,
    over: bool,
}

impl<V, E> Starter<V, E> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<V, Over<E>>> {
        assert!(!self.over, "a start was polled after it had ended");
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut state = self.shared.state.lock();
            match mem::replace(&mut state.stage, Stage::Gone) {
                Stage::Ready(value) => (Poll::Ready(Ok(value)), Some(waker)),
                Stage::Over(over) => (Poll::Ready(Err(over)), Some(waker)),
                stage => {
                    state.stage = stage;
                    (Poll::Pending, state.waiter.replace(waker))
                }
            }
        };
        drop(unused);
        self.over = poll.is_ready();
        poll
    }
}

impl<V, E> Drop for Starter<V, E> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (stage, waiter, listing) = {
            let mut state = self.shared.state.lock();
            let stage = mem::replace(&mut state.stage, Stage::Gone);
            // A child that is ready keeps its place in the group.
            let listing = if let Stage::Starting = stage { state.listing.take() } else { None };
            (stage, state.waiter.take(), listing)
        };
        drop((waiter, listing));
        // A panic that nobody saw isn't swallowed.
        if let Stage::Over(Over::Panicked(payload)) = stage {
            self.shared.group.panicked(payload, &self.shared.task);
        } else if let Stage::Starting = stage {
            destroy_in_place(self.child.seat(), &self.shared.node);
        }
    }
}

/// Waits until a child is ready. Made by [`TaskGroup::start`](crate::TaskGroup::start).
pub struct Start<V> {
    starter: Starter<V, Infallible>,
    /// Whether the awaiter was found to be cancelled too: it never resumes.
    never: bool,
}

impl<V> Start<V> {
    pub(super) fn new(starter: Starter<V, Infallible>) -> Self {
        Self { starter, never: false }
    }

    /// Waits until the child is ready, and tells without a panic where it never will be.
    ///
    /// # Errors
    ///
    /// [`NotReady`], with how the child ended.
    ///
    /// # Cancel safety
    ///
    /// As [`TaskGroup::start`](crate::TaskGroup::start).
    pub async fn outcome(mut self) -> Result<V, NotReady> {
        let task = self.starter.shared.task.clone();
        let ended = std::future::poll_fn(|cx| self.starter.poll(cx)).await;
        ended.map_err(|over| {
            let outcome = match over {
                Over::Failed(never) => match never {},
                Over::Ended(outcome) => outcome,
                Over::Panicked(payload) => {
                    let panic = Panic::new(&guard::message(&payload));
                    guard::forget(payload);
                    Outcome::Panicked(panic)
                }
            };
            NotReady { task, outcome }
        })
    }
}

/// What whoever awaits a start gets where the child never was ready.
fn not_ready<T, E>(over: Over<E>, task: &TaskRef, never: &mut bool, failed: impl FnOnce(E) -> T) -> Poll<T> {
    let outcome = match over {
        Over::Failed(error) => return Poll::Ready(failed(error)),
        Over::Panicked(payload) => panic::resume_unwind(payload),
        Over::Ended(Outcome::Cancelled(_)) if context::never_resumes() => {
            *never = true;
            return Poll::Pending;
        }
        Over::Ended(outcome) => outcome,
    };
    panic!("{}", NotReady { task: task.clone(), outcome });
}

impl<V> Future for Start<V> {
    type Output = V;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<V> {
        let Self { starter, never } = &mut *self;
        if *never {
            return Poll::Pending;
        }
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        match starter.poll(cx) {
            Poll::Pending => {
                observe::waits(|| Wait::Task(starter.shared.task.id()));
                Poll::Pending
            }
            Poll::Ready(Ok(value)) => Poll::Ready(value),
            Poll::Ready(Err(over)) => not_ready(over, &starter.shared.task, never, |never| match never {}),
        }
    }
}

impl<V> fmt::Debug for Start<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("task", &self.starter.shared.task).finish()
    }
}

/// Waits until a child is ready, or has failed. Made by [`TryTaskGroup::start`](crate::TryTaskGroup::start).
pub struct TryStart<V, E> {
    starter: Starter<V, E>,
    never: bool,
}

impl<V, E> TryStart<V, E> {
    pub(super) fn new(starter: Starter<V, E>) -> Self {
        Self { starter, never: false }
    }
}

impl<V, E> Future for TryStart<V, E> {
    type Output = Result<V, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { starter, never } = &mut *self;
        if *never {
            return Poll::Pending;
        }
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        match starter.poll(cx) {
            Poll::Pending => {
                observe::waits(|| Wait::Task(starter.shared.task.id()));
                Poll::Pending
            }
            Poll::Ready(Ok(value)) => Poll::Ready(Ok(value)),
            Poll::Ready(Err(over)) => not_ready(over, &starter.shared.task, never, Err),
        }
    }
}

impl<V, E> fmt::Debug for TryStart<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryStart").field("task", &self.starter.shared.task).finish()
    }
}

/// The error of a start whose child never was ready.
#[derive(Clone, Debug)]
pub struct NotReady {
    task: TaskRef,
    outcome: Outcome<()>,
}

impl NotReady {
    /// Returns the task.
    #[must_use]
    pub fn task(&self) -> &TaskRef {
        &self.task
    }

    /// Returns how it ended.
    #[must_use]
    pub fn outcome(&self) -> &Outcome<()> {
        &self.outcome
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was never ready: it ", self.task)?;
        match &self.outcome {
            Outcome::Completed(()) => f.write_str("ended without saying so"),
            Outcome::Cancelled(reason) => write!(f, "was cancelled: {reason}"),
            Outcome::Panicked(panic) => panic.fmt(f),
            Outcome::RuntimeGone => f.write_str("was ended because its runtime went away"),
        }
    }
}

impl Error for NotReady {}

#[cfg(all(test, anyscope_loom))]
mod loom;
