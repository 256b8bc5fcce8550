//! [`Portal`]: from a plain thread, or from another runtime, into a group.
//!
//! # States of a call
//!
//! *new* → *waiting* → *ended*, with a value, a panic, a reason, or the news that the runtime is gone. The first poll makes
//! the call a child of the group: so what is around the caller is what is around the await. What cancels the call hangs
//! below the group and below the caller: whichever goes first.
//!
//! # Invariants
//!
//! 1. The end is told after the child's future is gone, also where the future is dropped.
//! 2. A panic of the call goes to the caller, and not to the group. Where nobody waits any more, it is the group's.

use crate::cancel::reason::Reason;
use crate::cancel::tree::Node;
use crate::context::{self, Deadline, Frame, FrameSlot};
use crate::coop;
use crate::error::Closed;
use crate::group::core::GroupCore;
use crate::group::state::Role;
use crate::guard::{self, Payload};
use crate::local::Binding;
use crate::observe::{self, Event, Wait};
use crate::outcome::Outcome;
use crate::runtime::Runtime as _;
use crate::sync::{Arc, Mutex};
use crate::task::cell::{Step, destroy_in_place, spawn_detached};
use crate::task::halves::Handle;
use crate::task::seat::Birth;
use crate::task::{Task, TaskRef};
use crate::wait_queue::wake_all;
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::panic::{self, Location};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Runs async work in a group, called from a plain thread or from a task of another runtime. Made by
/// [`TaskGroup::portal`](crate::TaskGroup::portal).
///
/// A handle: it can be cloned and sent anywhere, and doesn't keep the group from ending. What it runs is a child of the
/// group, on the group's runtime, with the caller's deadline and task-locals. Cancellation goes both ways: the end of the
/// group ends the call, and so does the end of the caller's scope.
///
/// # Examples
///
/// A thread that isn't of any runtime:
///
/// ```
/// use anyscope::{sleep, task_group, unblock};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let portal = g.portal();
///     let answer = unblock(move || {
///         std::thread::spawn(move || {
///             portal.call(|| async {
///                 sleep(Duration::from_millis(1)).await;
///                 42
///             })
///         })
///         .join()
///         .unwrap()
///     });
///     assert_eq!(answer.await.unwrap(), 42);
/// }));
/// ```
pub struct Portal<R> {
    group: Arc<GroupCore>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Portal<R> {
    pub(crate) fn new(group: &Arc<GroupCore>) -> Self {
        group.tell(|group| Event::GroupReachable { group });
        Self { group: group.clone(), runtime: PhantomData }
    }

    /// Runs an async function in the group, and blocks the calling thread until it has ended.
    ///
    /// `f` is called on the group's runtime: `portal.call(fetch)`, `portal.call(move || fetch(id))`.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the group has ended, the call was cancelled, or the runtime went away.
    ///
    /// # Panics
    ///
    /// With a panic of the function. Inside of async code of this crate, whose thread it would block:
    /// [`enter`](Self::enter) is for that.
    #[track_caller]
    pub fn call<F, A, T>(&self, f: F) -> Result<T, CallError>
    where
        F: FnOnce() -> A + Send + 'static,
        A: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        assert!(
            !context::is_polled(),
            "`Portal::call` inside of async code would block its thread: await `Portal::enter` instead"
        );
        wait(self.enter(f))
    }

    /// Runs an async function in the group, and waits for it: from a task of another runtime, or of the same.
    ///
    /// Nothing begins before the first poll. For what is to go on by itself, there is [`spawn`](Self::spawn).
    ///
    /// # Errors
    ///
    /// [`CallError`] where the group has ended, the call was cancelled, or the runtime went away.
    ///
    /// # Panics
    ///
    /// With a panic of the function.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future destroys the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{run, smol::Smol, task_group, unblock};
    ///
    /// run(Smol::new(), task_group(async |g| {
    ///     let portal = g.portal();
    ///     // A runtime of its own, on a thread of its own; it might as well be tokio.
    ///     let there = unblock(move || {
    ///         run(Smol::new(), async move { portal.enter(|| async { "hello" }).await })
    ///     });
    ///     assert_eq!(there.await.unwrap(), "hello");
    /// }));
    /// ```
    #[track_caller]
    pub fn enter<F, A, T>(&self, f: F) -> Call<T>
    where
        F: FnOnce() -> A + Send + 'static,
        A: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (group, location) = (self.group.clone(), Location::caller());
        Call { begin: Some(Box::new(move || begin(&group, location, f))), running: None }
    }

    /// Starts a child of the group, and returns its handle. See [`TaskGroup::spawn`](crate::TaskGroup::spawn).
    ///
    /// # Errors
    ///
    /// [`Closed`], with the future, once the group has ended.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Result<Task<F::Output>, Closed<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.group.reserve(Role::Child) {
            Some(reserved) => Ok(crate::group::spawn(reserved, TaskRef::new(None, Location::caller()), future)),
            None => Err(Closed(future)),
        }
    }
}

impl<R> Clone for Portal<R> {
    fn clone(&self) -> Self {
        Self::new(&self.group)
    }
}

impl<R> fmt::Debug for Portal<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal").finish_non_exhaustive()
    }
}

/// Makes a call a child of the group.
fn begin<F, A, T>(group: &Arc<GroupCore>, location: &'static Location<'static>, f: F) -> Running<T>
where
    F: FnOnce() -> A + Send + 'static,
    A: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let shared = Arc::new(Shared { state: Mutex::new(State { end: None, ended: false, wanted: true, waiter: None }) });
    let Some(reserved) = group.reserve(Role::Child) else {
        shared.state.lock().end = Some(End::Closed);
        return Running { shared, child: None, over: false };
    };
    let node = match context::scope() {
        Some(scope) => Node::joining(&group.children, &scope),
        None => Node::below(Some(&group.children)),
    };
    let mut birth = Birth::under(node.clone(), group, TaskRef::new(Some("call".into()), location));
    // A caller inside of the group has the group's values around, but for what it has hidden.
    let locals = if context::is_within(group) { None } else { Binding::over(context::locals(), group.locals()) };
    birth.bring(locals, context::held());
    let called = Called {
        future: Some(async move { f().await }),
        frame: None,
        deadline: context::deadline(),
        shared: shared.clone(),
        group: group.clone(),
        location,
    };
    let handle = spawn_detached(reserved, birth, called);
    Running { shared, child: Some(InGroup { group: group.clone(), handle, node }), over: false }
}

/// Parks the calling thread until a future has ended.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    if context::is_in_job() && observe::takes_turns() {
        if let Some(runtime) = context::runtime() {
            // The others have their turns meanwhile.
            return runtime.block_on(future);
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// What a call and its caller share.
struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    end: Option<End<T>>,
    ended: bool,
    /// Whether somebody waits for the end.
    wanted: bool,
    waiter: Option<Waker>,
}

enum End<T> {
    Value(T),
    Panicked(Payload),
    Cancelled(Reason),
    RuntimeGone,
    Closed,
}

impl<T> Shared<T> {
    /// Tells the end, once. Hands back what nobody wants.
    fn end(&self, end: End<T>) -> Option<End<T>> {
        let waiter = {
            let mut state = self.state.lock();
            if mem::replace(&mut state.ended, true) || !state.wanted {
                return Some(end);
            }
            state.end = Some(end);
            state.waiter.take()
        };
        wake_all(waiter);
        None
    }
}

pin_project! {
    /// The call, as a child of its group.
    struct Called<F, T> {
        #[pin]
        future: Option<F>,
        frame: FrameSlot,
        deadline: Option<Instant>,
        shared: Arc<Shared<T>>,
        group: Arc<GroupCore>,
        location: &'static Location<'static>,
    }

    impl<F, T> PinnedDrop for Called<F, T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let panic = guard::catch(|| this.future.set(None)).err();
            let end = if this.group.is_runtime_gone() {
                End::RuntimeGone
            } else {
                End::Cancelled(context::drop_reason_or(this.location))
            };
            let unwanted = this.shared.end(end);
            drop(unwanted);
            guard::resume(panic);
        }
    }
}

impl<F: Future> Future for Called<F, F::Output> {
    type Output = Step<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Step<()>> {
        let mut this = self.project();
        let frame = this.frame.get_or_insert_with(Frame::default);
        frame.deadline = Deadline::by(*this.deadline);
        let end = match guard::catch(|| context::poll_within(this.frame, this.future.as_mut(), cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => End::Value(value),
            Err(payload) => {
                if let Err(payload) = guard::catch(|| this.future.set(None)) {
                    guard::forget(payload);
                }
                End::Panicked(payload)
            }
        };
        match this.shared.end(end) {
            Some(End::Panicked(payload)) => panic::resume_unwind(payload),
            unwanted => drop(unwanted),
        }
        Poll::Ready(Step::Value(()))
    }
}

/// Waits for a call into a group. Made by [`Portal::enter`].
#[must_use = "futures do nothing unless awaited"]
pub struct Call<T> {
    begin: Option<Box<dyn FnOnce() -> Running<T> + Send>>,
    running: Option<Running<T>>,
}

struct Running<T> {
    shared: Arc<Shared<T>>,
    child: Option<InGroup>,
    over: bool,
}

struct InGroup {
    group: Arc<GroupCore>,
    handle: Handle<Outcome<()>>,
    node: Arc<Node>,
}

impl<T> Future for Call<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some(begin) = self.begin.take() {
            self.running = Some(begin());
        }
        let Some(running) = self.running.as_mut().filter(|running| !running.over) else {
            panic!("a call was polled after it had ended");
        };
        let waker = cx.waker().clone();
        let (end, unused) = {
            let mut state = running.shared.state.lock();
            match state.end.take() {
                Some(end) => (Some(end), Some(waker)),
                None => (None, state.waiter.replace(waker)),
            }
        };
        drop(unused);
        let Some(end) = end else {
            observe::waits(|| Wait::Signal("a call into another group"));
            return Poll::Pending;
        };
        running.over = true;
        Poll::Ready(match end {
            End::Value(value) => Ok(value),
            End::Panicked(payload) => panic::resume_unwind(payload),
            End::Cancelled(reason) => Err(CallError(Kind::Cancelled(reason))),
            End::RuntimeGone => Err(CallError(Kind::RuntimeGone)),
            End::Closed => Err(CallError(Kind::Closed)),
        })
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (end, waiter) = {
            let mut state = self.shared.state.lock();
            state.wanted = false;
            (state.end.take(), state.waiter.take())
        };
        drop(waiter);
        let child = self.child.take();
        if let (Some(InGroup { handle, node, .. }), None) = (&child, &end) {
            destroy_in_place(handle.seat(), node);
        }
        // A panic that nobody saw isn't swallowed.
        if let Some(End::Panicked(payload)) = end {
            if let Some(child) = child {
                child.group.panicked(payload, &child.handle.seat().task());
            }
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// Why a call into a group has no value.
#[derive(Clone, Debug)]
pub struct CallError(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Closed,
    Cancelled(Reason),
    RuntimeGone,
}

impl CallError {
    /// Returns whether the group had ended before the call.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0, Kind::Closed)
    }

    /// Returns whether the call was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, Kind::Cancelled(_))
    }

    /// Returns whether the group's runtime went away.
    #[must_use]
    pub fn is_runtime_gone(&self) -> bool {
        matches!(self.0, Kind::RuntimeGone)
    }

    /// Returns why the call was cancelled, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match &self.0 {
            Kind::Cancelled(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Closed => f.write_str("the group has ended"),
            Kind::Cancelled(reason) => write!(f, "the call was cancelled: {reason}"),
            Kind::RuntimeGone => f.write_str("the runtime of the group went away"),
        }
    }
}

impl Error for CallError {}
