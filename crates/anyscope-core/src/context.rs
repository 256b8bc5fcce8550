//! What surrounds a poll: runtime, group, scope, deadline, task.
//!
//! Each thread has a stack of frames (`context/stack.rs`). Whoever polls a future on behalf of a scope (a task, the body
//! of a group, a timeout, a token) lends its frame to the stack for that long: no move, no reference count. So deadlines
//! and cancellation are ambient, and a future that moves between threads takes its surroundings along.
//!
//! # Invariants
//!
//! 1. A frame is on a stack only while its owner polls, also where the poll unwinds.
//! 2. A frame with `root` set hides everything below it: it belongs to another task whose poll happens to be further
//!    down on the same thread.
//! 3. A frame says what it adds to what is around it: its own deadline, not the nearest. Who asks looks outwards.
//!
//! # Shields
//!
//! Work that nothing may interrupt (a shield, a blocking job that is waited for) counts itself in every frame up to the
//! root, and each owner of a frame asks its own before it drops what it polls. The counters are made when the first
//! shield asks for them; a frame without one costs nothing.
//!
//! A shield that ends while something outside is pending leaves a mark: the next one gives way, so that what was pending
//! strikes between the two.

use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::coop;
use crate::group::core::{GroupCore, Kind};
use crate::limiter::Held;
use crate::local::Binding;
use crate::observe;
use crate::runtime::{DynRuntime, Runtime};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, thread_local};
use crate::task::seat::Seat;
use crate::task::{TaskId, TaskRef};
use crate::tree::notes::Notes;
use crate::wait_queue::wake_all;
use std::cell::RefCell;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

mod frame;
#[allow(unsafe_code, reason = "references to frames of the stack, in a thread-local: see its head")]
mod stack;

pub(crate) use self::frame::{After, Around, Deadline, Frame, FrameSlot, Limit, Under, later};

/// The shields inside of a frame.
pub(crate) struct Shields {
    /// How many are up.
    up: AtomicUsize,
    /// Whether one ended while something outside was pending.
    spent: AtomicBool,
    /// Who doesn't begin before the last of them is down.
    waiters: Mutex<Vec<Waker>>,
}

impl Shields {
    fn new(up: usize) -> Arc<Self> {
        Arc::new(Self { up: AtomicUsize::new(up), spent: AtomicBool::new(false), waiters: Mutex::new(Vec::new()) })
    }

    /// One shield that stays up.
    pub(crate) fn up_for_good() -> Arc<Self> {
        Self::new(1)
    }

    /// Those inside of `frame`.
    fn of(around: Around<'_>) -> &Arc<Self> {
        around.shields_or(|| Self::new(0))
    }

    fn is_up(&self) -> bool {
        // Ordering: Acquire; pairs with the Release in `Shielded::drop`. Only an owner that polls the frame asks, or one
        // that holds the lock it is kept under.
        self.up.load(Ordering::Acquire) > 0
    }

    /// Has the task woken when the last shield is down.
    fn wait(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let unused = {
            let mut waiters = self.waiters.lock();
            if waiters.iter().any(|waiter| waiter.will_wake(&waker)) {
                Some(waker)
            } else {
                waiters.push(waker);
                None
            }
        };
        drop(unused);
        if !self.is_up() {
            // It went down meanwhile.
            self.wake();
        }
    }

    fn wake(&self) {
        let waiters = mem::take(&mut *self.waiters.lock());
        wake_all(waiters);
    }
}

thread_local! {
    static DROPPING: RefCell<Option<Reason>> = const { RefCell::new(None) };
}

/// Runs `f` with the frame in `slot` around it, where there is one.
pub(crate) fn within<T>(slot: &FrameSlot, f: impl FnOnce() -> T) -> T {
    match slot {
        Some(frame) => inside(frame, f),
        None => f(),
    }
}

/// Runs `f` with `around` around it.
#[inline]
pub(crate) fn inside<'a, T>(around: impl Into<Around<'a>>, f: impl FnOnce() -> T) -> T {
    let around = around.into();
    if around.is_root() || stack::is_empty() {
        stack::enter(around, || coop::fresh(f))
    } else {
        stack::enter(around, f)
    }
}

/// Polls a future with the frame in `slot` around it, and drops it there when it is ready.
pub(crate) fn poll_within<F: Future>(
    slot: &FrameSlot,
    mut future: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    within(slot, || {
        let polled = future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx));
        if polled.is_ready() {
            future.set(None);
        }
        polled
    })
}

/// The first that `look` finds, from the innermost frame outwards to the root of the task.
fn find<T>(mut look: impl FnMut(Around<'_>) -> Option<T>) -> Option<T> {
    stack::find(|around| {
        let found = look(around);
        if found.is_some() || around.is_root() { Some(found) } else { None }
    })
    .flatten()
}

/// The scope that would cancel the caller.
pub(crate) fn scope() -> Option<Arc<Node>> {
    find(|around| around.scope().map(|scope| scope.node()))
}

/// Whether there is one, and it is cancelled.
pub(crate) fn is_cancelled() -> bool {
    find(|around| around.scope().map(|scope| scope.is_cancelled())).unwrap_or(false)
}

/// The same, or one further out is, and the pass may not have arrived.
fn is_cancelled_above() -> bool {
    find(|around| around.scope().map(|scope| scope.is_cancelled_above())).unwrap_or(false)
}

/// Why it is.
pub(crate) fn reason() -> Option<Reason> {
    find(|around| around.scope().map(|scope| scope.reason())).flatten()
}

/// The nearest group around.
pub(crate) fn group() -> Option<Arc<GroupCore>> {
    find(|around| around.group().cloned())
}

/// Whether the caller is inside `group`, or in a group inside of it.
pub(crate) fn is_within(group: &Arc<GroupCore>) -> bool {
    let nearest = find(|around| {
        let nearest = around.group()?;
        Some(if Arc::ptr_eq(nearest, group) { Ok(()) } else { Err(nearest.clone()) })
    });
    match nearest {
        None => false,
        Some(Ok(())) => true,
        Some(Err(nearest)) => {
            let mut around = nearest.parent.as_ref();
            while let Some(next) = around {
                if Arc::ptr_eq(next, group) {
                    return true;
                }
                around = next.parent.as_ref();
            }
            false
        }
    }
}

/// The values of task-locals for a child of `group`: who spawns from inside of it hands on what is around; for anybody else
/// the group's own holds.
pub(crate) fn locals_for(group: &Arc<GroupCore>) -> Option<Arc<Binding>> {
    // Nearly always the body's frame is the innermost.
    let innermost = stack::innermost(|around| match around {
        Around::Frame(frame) if frame.group.as_ref().is_some_and(|nearest| Arc::ptr_eq(nearest, group)) => {
            Some(frame.locals.clone())
        }
        _ => None,
    });
    match innermost {
        Some(locals) => locals,
        None if is_within(group) => locals(),
        None => group.locals(),
    }
}

/// The values of task-locals around the caller.
pub(crate) fn locals() -> Option<Arc<Binding>> {
    find(|around| around.locals())
}

/// What the blocking jobs around the caller hold of limiters.
pub(crate) fn held() -> Option<Arc<Held>> {
    find(|around| around.held().cloned())
}

/// The task that is running.
pub(crate) fn task() -> Option<TaskRef> {
    find(|around| around.task())
}

/// The id of the task that is running.
pub(crate) fn task_id() -> Option<TaskId> {
    find(|around| around.task_id())
}

/// The notes of whoever is being polled, the task or the body of a run, and the time. Not of a blocking job, which nobody
/// polls, nor of a body that is polled by who knows whom.
pub(crate) fn notes() -> Option<(Arc<Notes>, Instant)> {
    let mut outermost = None;
    let task = find(|around| match around {
        Around::Child(seat) => Some(Some((seat.make_notes(false).clone(), seat.group().runtime().now()))),
        other if other.is_job() => Some(None),
        other => {
            outermost = other.group().cloned().or(outermost.take());
            None
        }
    });
    match task {
        Some(task) => task,
        None => {
            let run = outermost.filter(|group| group.kind == Kind::Run)?;
            Some((run.make_notes(false), run.runtime().now()))
        }
    }
}

/// Whether the caller is in the poll of that child, on the thread that polls it.
pub(crate) fn is_polled_here(child: &Seat) -> bool {
    find(|around| around.is_root().then(|| around.is(child))).unwrap_or(false)
}

/// Whether anything of this crate polls the caller.
pub(crate) fn is_inside() -> bool {
    !stack::is_empty()
}

/// Whether the caller is async code of this crate's, whose thread isn't to be blocked.
pub(crate) fn is_polled() -> bool {
    !is_in_job() && find(|around| (!around.is_closure()).then_some(())).is_some()
}

/// The nearest deadline around.
pub(crate) fn deadline() -> Option<Instant> {
    deadline_outside(0)
}

/// The nearest deadline around the frame that so many others are inside of, its own included.
fn deadline_outside(inside: usize) -> Option<Instant> {
    let (mut passed, mut nearest, mut now) = (0, None, None);
    let _: Option<()> = find(|around| {
        passed += 1;
        if passed <= inside {
            return None;
        }
        let own = around.deadline(&mut now);
        nearest = earlier(nearest, own.at);
        own.is_last.then_some(())
    });
    nearest
}

/// Fixes those around that nobody has asked for yet, as of `now`: all by one look at the clock, so that of two that last as
/// long the outer one isn't the later.
pub(crate) fn fix_deadlines(now: Instant) {
    let mut now = Some(now);
    let _: Option<()> = find(|around| around.deadline(&mut now).is_last.then_some(()));
}

/// The earlier of two deadlines, where `None` is never.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The runtime of the enclosing task.
pub(crate) fn runtime() -> Option<DynRuntime> {
    find(|around| around.runtime().cloned())
}

/// The runtime of type `R` around the caller, if there is one.
pub(crate) fn try_locate<R: Runtime>() -> Option<R> {
    find(|around| around.runtime().map(R::from_dyn)).flatten().or_else(R::detect)
}

/// The runtime of type `R` around the caller.
///
/// # Panics
///
/// Where there is none. `call` is where the user asked for what needs one, which may be far from where it is polled.
pub(crate) fn locate<R: Runtime>(call: &'static Location<'static>) -> R {
    match try_locate() {
        Some(runtime) => runtime,
        None => panic!("no async runtime around the call at {call}: {}", R::REMEDY),
    }
}

/// The same for what keeps the runtime without its type: what is around as it is, where it is one of type `R`.
pub(crate) fn locate_dyn<R: Runtime>(call: &'static Location<'static>) -> DynRuntime {
    match runtime() {
        Some(around) if R::from_dyn(&around).is_some() => around,
        _ => locate::<R>(call).into_dyn(),
    }
}

/// How things stand around the caller.
enum Standing {
    /// Nothing interrupts it.
    Quiet,
    /// A pass has marked what is above, and isn't down at the scope around yet: it will be in a moment.
    OnItsWay,
    /// The scope around is cancelled, or past its deadline, and is to have its turn before the caller.
    Interrupted,
}

fn standing<R: Runtime>() -> Standing {
    // Subtle: from above, and then here. A pass comes the other way: one that is seen above and not here may have come
    // here since, but one that is seen here is seen by the scope around too.
    let above = is_cancelled_above();
    if is_cancelled() {
        Standing::Interrupted
    } else if above {
        Standing::OnItsWay
    } else if deadline().is_some_and(|at| try_locate::<R>().is_some_and(|runtime| runtime.now() >= at)) {
        Standing::Interrupted
    } else {
        Standing::Quiet
    }
}

/// Gives way, once it is known, to a scope around that is interrupted too, so that the outermost reports.
///
/// The task is woken, and before the caller is polled again every owner around has had its turn and dropped it. Where
/// it is polled again all the same, nobody around can act: they are shielded, or block on this very code. Then it
/// reports by itself, which is no lie, and nobody hangs.
#[derive(Debug)]
pub(crate) struct Deferral {
    deferred: bool,
}

impl Deferral {
    pub(crate) const fn new() -> Self {
        Self { deferred: false }
    }

    /// The same for something that would put up a shield of its own. Where others around have one up, whoever waits for
    /// them has its turn when they end: until then, nothing new begins.
    pub(crate) fn defers_shield<R: Runtime>(&mut self, cx: &Context<'_>) -> bool {
        let up = find(|around| around.shields().filter(|shields| shields.is_up()).cloned());
        match up {
            Some(shields) if !matches!(standing::<R>(), Standing::Quiet) => {
                // Woken, should there be nobody around who can act.
                shields.wait(cx);
                true
            }
            _ => self.defers::<R>(cx),
        }
    }

    /// The same for a shield in the code of a user: it may be what a request is answered with, so it gives way only where
    /// another ended before it while something was pending.
    pub(crate) fn defers_next_shield<R: Runtime>(&mut self, cx: &Context<'_>) -> bool {
        // Ordering: Relaxed; set and read by polls of one task, one after the other.
        let spent =
            |around: Around<'_>| around.shields().filter(|shields| shields.spent.load(Ordering::Relaxed)).map(|_| ());
        find(spent).is_some() && self.defers::<R>(cx)
    }

    /// Whether to return `Pending` now.
    pub(crate) fn defers<R: Runtime>(&mut self, cx: &Context<'_>) -> bool {
        match standing::<R>() {
            Standing::Quiet => return false,
            // Only a scope that sees the request itself can have had its turn before the next poll.
            Standing::OnItsWay => {}
            Standing::Interrupted if self.deferred => return false,
            Standing::Interrupted => self.deferred = true,
        }
        cx.waker().wake_by_ref();
        true
    }
}

/// Whether the caller is in a blocking job, where no owner around can drop it.
pub(crate) fn is_in_job() -> bool {
    find(|around| around.is_job().then_some(())).is_some()
}

/// Whether a caller that awaits what was cancelled never resumes: a scope around it is cancelled too, and whoever did that
/// drops it.
pub(crate) fn never_resumes() -> bool {
    !is_in_job() && is_cancelled_above()
}

/// Tells the observer around that a blocking job asks how things stand, where the caller is one.
pub(crate) fn job_asks() {
    if let Some(observer) = observe::around().filter(|_| is_in_job()) {
        observer.job_asks();
    }
}

/// Whether the caller is a blocking job whose deadline has passed.
pub(crate) fn is_late_job() -> bool {
    let deadline = find(|around| if around.is_job() { around.deadline(&mut None).at } else { None });
    deadline.is_some_and(|at| runtime().is_some_and(|runtime| Runtime::now(&runtime) >= at))
}

/// Whether what was polled with this frame is in the middle of something that may not be interrupted.
pub(crate) fn is_shielded(slot: &FrameSlot) -> bool {
    slot.as_ref().is_some_and(is_shielded_in)
}

/// The same for what is lent to the stack by itself.
pub(crate) fn is_shielded_in<'a>(around: impl Into<Around<'a>>) -> bool {
    around.into().shields().is_some_and(|shields| shields.is_up())
}

/// Keeps every scope around from being interrupted, until it is dropped.
pub(crate) struct Shielded(Vec<Arc<Shields>>);

impl Shielded {
    pub(crate) fn new() -> Self {
        let mut around = Vec::new();
        let _: Option<()> = find(|frame| {
            around.push(Shields::of(frame).clone());
            None
        });
        for shields in &around {
            // Ordering: Relaxed; the poll that counts ends before anyone asks.
            shields.up.fetch_add(1, Ordering::Relaxed);
        }
        Self(around)
    }

    /// Ends it inside of a poll, and leaves a mark for the next with whoever is waiting to interrupt.
    pub(crate) fn end<R: Runtime>(self) {
        drop(self);
        if matches!(standing::<R>(), Standing::Quiet) {
            return;
        }
        let now = try_locate::<R>().map(|runtime| runtime.now());
        let mut further_in = 0;
        let _: Option<()> = find(|around| {
            let late = deadline_outside(further_in).zip(now).is_some_and(|(at, now)| now >= at);
            further_in += 1;
            if late || around.scope().is_some_and(|scope| scope.is_cancelled_above()) {
                // Ordering: Relaxed, as where it is read.
                Shields::of(around).spent.store(true, Ordering::Relaxed);
            }
            None
        });
    }
}

impl Drop for Shielded {
    fn drop(&mut self) {
        for shields in &self.0 {
            // Ordering: Release; what was shielded happened before.
            if shields.up.fetch_sub(1, Ordering::Release) == 1 {
                shields.wake();
            }
        }
    }
}

/// Runs `f`, which drops somebody's future, so that the groups inside learn why.
pub(crate) fn dropping<T>(reason: &Reason, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<Reason>);

    impl Drop for Restore {
        fn drop(&mut self) {
            let mut before = self.0.take();
            let _ = DROPPING.try_with(|slot| mem::swap(&mut *slot.borrow_mut(), &mut before));
        }
    }

    let before = DROPPING.try_with(|slot| slot.borrow_mut().replace(reason.clone())).ok().flatten();
    let _restore = Restore(before);
    f()
}

/// Why a future is being dropped on this thread, if its owner said so.
pub(crate) fn drop_reason() -> Option<Reason> {
    DROPPING.try_with(|slot| slot.borrow().clone()).ok().flatten()
}

/// The same, or that what was made at `location` was dropped.
pub(crate) fn drop_reason_or(location: &'static Location<'static>) -> Reason {
    drop_reason().unwrap_or_else(|| Reason::new(ReasonKind::Dropped, None, location))
}
