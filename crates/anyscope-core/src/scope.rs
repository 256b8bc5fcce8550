//! [`scope`]: children that borrow, side by side in the current task.
//!
//! # Who holds what
//!
//! The future of the scope owns the body and the children, in a [`Set`], which polls what is ready. A [`Scope`] is a handle
//! on an inbox: what is spawned lies there until the future of the scope takes it in, in the same poll where the body or a
//! child has spawned it. The inbox is emptied and closed with the scope, so that a child which holds a handle on its own
//! scope keeps nothing.
//!
//! # Invariants
//!
//! 1. What was taken in is polled whenever the scope is, if it is ready, whatever the body does.
//! 2. The scope ends with an empty set and an empty inbox.
//! 3. Nothing of a user's runs under the inbox's lock or under a slot's.

use crate::cancel::CancelToken;
use crate::cancel::reason::{Cancelled, Reason, ReasonKind};
use crate::context::{self, Frame, FrameSlot};
use crate::coop;
use crate::guard;
use crate::observe::{self, Wait};
use crate::outcome::{Outcome, Panic};
use crate::ready_list::Set;
use crate::runtime::Runtime;
use crate::sync::{Arc, Mutex};
use crate::task::awaited;
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{self, Location};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// How often one poll takes in what was spawned meanwhile, and lets the body see who has ended, before others run.
const ROUNDS: usize = 32;

/// Opens a scope whose children may borrow from outside of it, runs `body`, and returns the body's value after every child
/// has ended.
///
/// The children run side by side in the current task, and not in parallel: for that, see
/// [`task_group`](crate::task_group), whose children own what they use, and
/// [`blocking_scope`](crate::blocking_scope), which blocks the calling thread. Where a number of futures is known from the
/// start, [`gather`](crate::gather) does.
///
/// # Cancel safety
///
/// Dropping the future drops the body and every child.
///
/// # Panics
///
/// With a panic of the body or a child, after everything else has been dropped.
///
/// # Examples
///
/// ```
/// use anyscope::scope;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let words = vec!["one".to_string(), "three".to_string()];
///     let lengths = scope(async |s| {
///         let first = s.spawn(async { words[0].len() });
///         let second = s.spawn(async { words[1].len() });
///         (first.await, second.await)
///     })
///     .await;
///     assert_eq!(lengths, (3, 5));
///     drop(words);
/// });
/// ```
pub fn scope<'env, R, F, B>(body: F) -> InScope<'env, B>
where
    R: Runtime,
    F: FnOnce(Scope<'env, R>) -> B,
    B: Future,
{
    let inbox = Arc::new(Inbox { state: Mutex::new(State { spawned: Vec::new(), closed: false, task: None }) });
    // Made before the closure is called: should it panic, what it spawned is dropped with this.
    let mut scope = InScope { body: None, output: None, set: Set::new(), inbox: inbox.clone() };
    scope.body = Some(body(Scope { inbox, children: CancelToken::new() }));
    scope
}

/// A child as its scope keeps it.
pub(crate) type Boxed<'env> = Pin<Box<dyn Future<Output = ()> + Send + 'env>>;

/// What was spawned and hasn't been taken in.
struct Inbox<'env> {
    state: Mutex<State<'env>>,
}

struct State<'env> {
    spawned: Vec<Boxed<'env>>,
    closed: bool,
    task: Option<Waker>,
}

/// Spawns into a scope. Given to the closure of [`scope`]; a clone is a handle on the same scope.
pub struct Scope<'env, R> {
    inbox: Arc<Inbox<'env>>,
    children: CancelToken<R>,
}

impl<'env, R: Runtime> Scope<'env, R> {
    /// Starts a child, which may borrow what outlives the scope.
    ///
    /// After the scope has ended, the future is dropped unpolled: outcome [`Cancelled`](Outcome::Cancelled).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> ScopedTask<F::Output, R>
    where
        F: Future + Send + 'env,
        F::Output: Send + 'env,
    {
        let (child, handle) = child(&self.children, Location::caller(), future);
        let (refused, task) = {
            let mut state = self.inbox.state.lock();
            if state.closed {
                (Some(child), None)
            } else {
                state.spawned.push(child);
                (None, state.task.take())
            }
        };
        drop(refused);
        if let Some(task) = task {
            task.wake();
        }
        handle
    }

    /// Cancels the children, present and future. The body runs on to its result.
    #[track_caller]
    pub fn cancel(&self) {
        self.children.cancel();
    }

    /// Cancels the children, with a message for the [`Reason`].
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) {
        self.children.cancel_with(message);
    }
}

impl<R> Clone for Scope<'_, R> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), children: self.children.clone() }
    }
}

impl<R> fmt::Debug for Scope<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// Makes a child of the scope whose children `scope` cancels, and its handle.
pub(crate) fn child<'env, R, F>(
    scope: &CancelToken<R>,
    location: &'static Location<'static>,
    future: F,
) -> (Boxed<'env>, ScopedTask<F::Output, R>)
where
    R: Runtime,
    F: Future + Send + 'env,
    F::Output: Send + 'env,
{
    let slot = Arc::new(Slot::new());
    let token = scope.child();
    let child = Child::new(slot.clone(), location, token.run(future));
    (Box::pin(child), ScopedTask { slot, token, location })
}

/// Where a child leaves how it ended.
struct Slot<T> {
    state: Mutex<SlotState<T>>,
}

struct SlotState<T> {
    outcome: Option<Outcome<T>>,
    finished: bool,
    waiter: Option<Waker>,
    /// Whether the handle is still there to take the outcome.
    handle: bool,
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self { state: Mutex::new(SlotState { outcome: None, finished: false, waiter: None, handle: true }) }
    }

    /// Leaves an outcome, if there isn't one yet. Whatever nobody wants is dropped here.
    fn set(&self, outcome: Outcome<T>) {
        let (unwanted, waiter) = {
            let mut state = self.state.lock();
            if state.finished {
                return;
            }
            state.finished = true;
            let unwanted = if state.handle { state.outcome.replace(outcome) } else { Some(outcome) };
            (unwanted, state.waiter.take())
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        drop(unwanted);
    }

    /// Puts an outcome back that was taken, for the next one who asks.
    fn put_back(&self, outcome: Outcome<T>) {
        let before = self.state.lock().outcome.replace(outcome);
        drop(before);
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Outcome<T>> {
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut state = self.state.lock();
            assert!(
                !state.finished || state.outcome.is_some(),
                "a task's handle was polled after it had given the outcome"
            );
            match state.outcome.take() {
                Some(outcome) => (Poll::Ready(outcome), (Some(waker), state.waiter.take())),
                None => (Poll::Pending, (state.waiter.replace(waker), None)),
            }
        };
        drop(unused);
        poll
    }
}

pin_project! {
    /// A child: runs under its token, with the task-locals of who spawned it, and leaves its outcome, also where it is
    /// dropped.
    struct Child<F, T> {
        slot: Arc<Slot<T>>,
        location: &'static Location<'static>,
        // Where it was spawned under a task-local: whoever polls it may not be.
        frame: FrameSlot,
        #[pin]
        future: Option<F>,
    }

    impl<F, T> PinnedDrop for Child<F, T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let future = &mut this.future;
            let panic = context::within(this.frame, || guard::catch(|| future.set(None))).err();
            this.slot.set(Outcome::Cancelled(context::drop_reason_or(this.location)));
            guard::resume(panic);
        }
    }
}

impl<F, T> Child<F, T>
where
    F: Future<Output = Result<T, Cancelled>>,
{
    fn new(slot: Arc<Slot<T>>, location: &'static Location<'static>, future: F) -> Self {
        let frame = context::locals().map(|locals| Frame { locals: Some(locals), ..Frame::default() });
        Self { slot, location, frame, future: Some(future) }
    }
}

impl<F, T> Future for Child<F, T>
where
    F: Future<Output = Result<T, Cancelled>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let outcome = match context::within(this.frame, || guard::catch(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(value))) => Outcome::Completed(value),
            Ok(Poll::Ready(Err(cancelled))) => Outcome::Cancelled(cancelled.into_reason()),
            Err(payload) => {
                this.slot.set(Outcome::Panicked(Panic::new(&guard::message(&payload))));
                panic::resume_unwind(payload);
            }
        };
        context::within(this.frame, || this.future.set(None));
        this.slot.set(outcome);
        Poll::Ready(())
    }
}

/// A handle to one child of a scope: a future of its value.
///
/// Dropping the handle changes nothing, but that the value is dropped too.
///
/// # Panics
///
/// Awaiting a child that was cancelled by itself, or that panicked, panics and says why; [`outcome`](Self::outcome) tells
/// without a panic. Where the awaiter is being cancelled too, it never resumes. So is polling the handle again after it
/// gave the value.
///
/// # Cancel safety
///
/// Nothing is lost by dropping a `&mut` borrow of the handle.
pub struct ScopedTask<T, R> {
    slot: Arc<Slot<T>>,
    token: CancelToken<R>,
    location: &'static Location<'static>,
}

impl<T, R> ScopedTask<T, R> {
    /// Asks the child to end. Returns whether this call was the first to.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.token.cancel()
    }

    /// Asks the child to end, with a message for the [`Reason`].
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.token.cancel_with(message)
    }

    /// Returns whether the child has ended, in whatever way.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.slot.state.lock().finished
    }

    /// Returns where the child was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Waits for the child and tells how it ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handle, and with it the value. The child itself goes on.
    pub async fn outcome(self) -> Outcome<T> {
        poll_fn(|cx| self.slot.poll(cx)).await
    }
}

impl<T, R> Future for ScopedTask<T, R> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { slot, location, .. } = &*self;
        let Poll::Ready(outcome) = slot.poll(cx) else {
            observe::waits(|| Wait::Signal("a child of its scope"));
            return Poll::Pending;
        };
        match awaited(outcome, format_args!("a child of a scope, spawned at {location}")) {
            Ok(value) => Poll::Ready(value),
            Err(outcome) => {
                slot.put_back(outcome);
                Poll::Pending
            }
        }
    }
}

impl<T, R> Drop for ScopedTask<T, R> {
    fn drop(&mut self) {
        let (unwanted, waiter) = {
            let mut state = self.slot.state.lock();
            state.handle = false;
            (state.outcome.take(), state.waiter.take())
        };
        drop((unwanted, waiter));
    }
}

impl<T, R> fmt::Debug for ScopedTask<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedTask").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

pin_project! {
    /// A body and its borrowing children. Made by [`scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct InScope<'env, B: Future> {
        #[pin]
        body: Option<B>,
        output: Option<B::Output>,
        set: Set<Boxed<'env>>,
        inbox: Arc<Inbox<'env>>,
    }

    impl<'env, B: Future> PinnedDrop for InScope<'env, B> {
        fn drop(this: Pin<&mut Self>) {
            this.end();
        }
    }
}

impl<B: Future> InScope<'_, B> {
    /// Drops the body and the children, and closes the inbox. The first panic of a destructor goes on afterwards.
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        let body = guard::catch(|| this.body.set(None)).err();
        let set = guard::drop_caught(mem::replace(this.set, Set::new()));
        let (spawned, task) = {
            let mut state = this.inbox.state.lock();
            state.closed = true;
            (mem::take(&mut state.spawned), state.task.take())
        };
        drop(task);
        let mut panic = body.or(set);
        for child in spawned {
            panic = panic.or(guard::drop_caught(child));
        }
        guard::resume(panic);
    }

    /// Polls what is ready, and takes in what that spawns. `Ready` when everything has ended.
    fn advance(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let task = cx.waker().clone();
        let unused = this.inbox.state.lock().task.replace(task);
        drop(unused);
        // The body mostly waits for a child. It goes on in the poll in which one has ended, since of scopes in scopes each
        // level would otherwise end in a poll of its own, of all the levels around it.
        let mut is_body_due = true;
        for _ in 0..ROUNDS {
            if mem::take(&mut is_body_due) {
                if let Some(body) = this.body.as_mut().as_pin_mut() {
                    if let Poll::Ready(output) = coop::fresh(|| body.poll(cx)) {
                        this.body.set(None);
                        *this.output = Some(output);
                    }
                }
            }
            let spawned = mem::take(&mut this.inbox.state.lock().spawned);
            let none_spawned = spawned.is_empty();
            for child in spawned {
                this.set.add(0, child);
            }
            this.set.poll(cx, |_, ()| {
                is_body_due = true;
                true
            });
            is_body_due &= this.body.is_some();
            if none_spawned && !is_body_due {
                let over = this.body.is_none() && this.set.len() == 0 && this.inbox.state.lock().spawned.is_empty();
                return if over { Poll::Ready(()) } else { Poll::Pending };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<B: Future> Future for InScope<'_, B> {
    type Output = B::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B::Output> {
        assert!(self.body.is_some() || self.output.is_some(), "a scope was polled after it had ended");
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        match guard::catch(|| self.as_mut().advance(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => {
                self.as_mut().end();
                match self.project().output.take() {
                    Some(output) => Poll::Ready(output),
                    None => Poll::Pending,
                }
            }
            // The others end first.
            Err(payload) => {
                let message = Some("the body or a child of the scope panicked".into());
                let reason = Reason::new(ReasonKind::SiblingFailed, message, Location::caller());
                if let Err(second) = context::dropping(&reason, || guard::catch(|| self.as_mut().end())) {
                    guard::forget(second);
                }
                panic::resume_unwind(payload);
            }
        }
    }
}

impl<B: Future> fmt::Debug for InScope<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InScope").field("children", &self.set.len()).finish_non_exhaustive()
    }
}
