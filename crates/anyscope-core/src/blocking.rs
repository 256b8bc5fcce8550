//! [`unblock`] and [`blocking`]: work that blocks a thread, on the runtime's pool, bounded.
//!
//! # States of a job
//!
//! *waiting* for its permit → *accepted* by the pool → *ended*. Until it is accepted, dropping the future drops the
//! closure unrun. Afterwards the job runs, whatever happens to the future; it holds its permit, and counts as live in
//! the group around, until it has really ended.
//!
//! # Invariants
//!
//! 1. The permit and the adoption belong to the job, not to the future: an abandoned job gives them back when it ends.
//! 2. The closure and its captures are dropped, then the permit, then the result is published, then the adoption ends.
//! 3. A future whose job was accepted shields its scopes until the result is there, unless it is to be abandoned.

use crate::cancel::tree::Node;
use crate::context::{self, Deferral, Frame, Shielded};
use crate::group::orphan::Adopted;
use crate::guard::{self, Payload};
use crate::limiter::{AcquireLimiter, Held as HeldPermit, Limiter, LimiterPermit, blocking_limiter};
use crate::observe::{self, Observer, Wait};
use crate::runtime::{Job, Runtime};
use crate::sync::{Arc, Mutex};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{self, Location};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Runs a closure that blocks on the runtime's pool for such work, and waits for its result.
///
/// At most as many run at a time as the limiter lets in: [`blocking_limiter`], whose 40 hold whatever the limit of the
/// group or the gather around, unless [another](Unblock::limiter) is given. The deadline and the scope of the caller are
/// carried into the closure, where [`remaining`](crate::remaining) and [`is_cancelled`](crate::is_cancelled) tell of
/// them; the latter also when the deadline has passed, and when the future was dropped.
///
/// A closure that runs can't be stopped. So a caller that is cancelled, or whose time is up, first waits for it, and
/// keeps its result: late but done is done. [`abandon_on_cancel`](Unblock::abandon_on_cancel) lets go of it instead.
/// So a closure that ends early says so in what it returns: half a result would pass for a whole one.
///
/// # Panics
///
/// With a panic of the closure. Where the runtime went away before the closure could run.
///
/// # Cancel safety
///
/// Before the closure has started, dropping the future drops the closure unrun. Afterwards the closure runs to its end
/// and its result is dropped; the group around, or [`run`](crate::run), waits for that.
///
/// # Examples
///
/// ```
/// let sum: u64 = anyscope::run(anyscope::smol::Smol::new(), async {
///     anyscope::unblock(|| (1..=1000).sum()).await
/// });
/// assert_eq!(sum, 500_500);
/// ```
#[track_caller]
pub fn unblock<R: Runtime, F, T>(f: F) -> Unblock<T, R>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Unblock {
        closure: Some(Box::new(f)),
        limiter: None,
        abandon: false,
        acquire: None,
        running: None,
        deferral: Deferral::new(),
        location: Location::caller(),
        runtime: PhantomData,
    }
}

/// Turns a function that blocks into one that is async, so that both kinds mix.
///
/// Each call is an [`unblock`], with what that says. Several arguments are given as a tuple, and arguments are `'static`,
/// since the call may outlive its caller.
///
/// # Examples
///
/// ```
/// let parse = anyscope::blocking(|text: &'static str| text.len());
/// assert_eq!(anyscope::run(anyscope::smol::Smol::new(), async { parse("four").await }), 4);
/// ```
#[track_caller]
pub fn blocking<R: Runtime, F, A, T>(f: F) -> impl Fn(A) -> Unblock<T, R> + Clone + Send + Sync
where
    F: Fn(A) -> T + Send + Sync + 'static,
    A: Send + 'static,
    T: Send + 'static,
{
    let f = Arc::new(f);
    let location = Location::caller();
    move |argument| {
        let f = f.clone();
        let mut call = unblock(move || f(argument));
        call.location = location;
        call
    }
}

pin_project! {
    /// A closure on the pool for blocking work. Made by [`unblock`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Unblock<T, R> {
        closure: Option<Box<dyn FnOnce() -> T + Send>>,
        limiter: Option<Limiter>,
        abandon: bool,
        #[pin]
        acquire: Option<AcquireLimiter>,
        running: Option<Running<T>>,
        deferral: Deferral,
        location: &'static Location<'static>,
        runtime: PhantomData<fn() -> R>,
    }
}

struct Running<T> {
    slot: Arc<Mutex<Slot<T>>>,
    /// The closure's, cancelled when nobody waits for it any more.
    scope: Arc<Node>,
    location: &'static Location<'static>,
    shielded: Option<Shielded>,
    /// Whether the result was delivered.
    delivered: bool,
}

/// What the job and its future share.
struct Slot<T> {
    result: Option<Ending<T>>,
    waiter: Option<Waker>,
    /// Whether nobody wants the result any more.
    abandoned: bool,
}

enum Ending<T> {
    Value(T),
    Panicked(Payload),
    RuntimeGone,
}

impl<T, R> Unblock<T, R> {
    /// Bounds it by another limiter than the [`blocking_limiter`].
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{Limiter, unblock};
    ///
    /// let disk = Limiter::new(2);
    /// let read = anyscope::run(anyscope::smol::Smol::new(), unblock(|| 1).limiter(&disk));
    /// assert_eq!(read, 1);
    /// ```
    pub fn limiter(mut self, limiter: &Limiter) -> Self {
        self.limiter = Some(limiter.clone());
        self
    }

    /// Lets a caller that is cancelled, or whose time is up, go on without waiting for the closure.
    ///
    /// The closure runs to its end all the same, keeps its permit until then, and the group around waits for it.
    pub fn abandon_on_cancel(mut self) -> Self {
        self.abandon = true;
        self
    }
}

/// What a job holds until it has ended.
struct Held {
    permit: LimiterPermit,
    adopted: Adopted,
}

/// Publishes how a job ended, also when it is dropped unrun.
struct Publish<T> {
    slot: Arc<Mutex<Slot<T>>>,
    ending: Option<Ending<T>>,
    held: Option<Held>,
    /// Who is told of what is given back, when nothing of the job's is around any more.
    observer: Option<Arc<dyn Observer>>,
}

impl<T> Drop for Publish<T> {
    fn drop(&mut self) {
        observe::on_behalf_of(self.observer.take(), || self.publish());
    }
}

impl<T> Publish<T> {
    fn publish(&mut self) {
        let ending = self.ending.take().unwrap_or(Ending::RuntimeGone);
        // The permit first: who has the result may ask for it. The adoption last: the result is part of the job.
        let adopted = self.held.take().map(|Held { permit, adopted }| {
            guard::drop_quietly(permit);
            adopted
        });
        let (unwanted, waiter) = {
            let mut slot = self.slot.lock();
            if slot.abandoned {
                (Some(ending), None)
            } else {
                slot.result = Some(ending);
                (None, slot.waiter.take())
            }
        };
        // A pool's thread is no place for a panic of somebody's destructor or waker.
        for payload in
            [guard::drop_caught(unwanted), guard::catch(|| waiter.map(Waker::wake)).err()].into_iter().flatten()
        {
            guard::forget(payload);
        }
        drop(adopted);
    }
}

impl<T: Send + 'static, R: Runtime> Future for Unblock<T, R> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.project();
        if this.running.is_none() {
            assert!(this.closure.is_some(), "a blocking job was polled after it had ended");
            if this.acquire.is_none() {
                let limiter = this.limiter.as_ref().unwrap_or_else(|| blocking_limiter());
                this.acquire.set(Some(limiter.acquire()));
            }
            let Some(acquire) = this.acquire.as_mut().as_pin_mut() else { return Poll::Pending };
            // Another job would shield its scopes anew, and so on for ever; they are to have their turn first.
            if this.deferral.defers_shield::<R>(cx) {
                return Poll::Pending;
            }
            let Poll::Ready(permit) = acquire.poll(cx) else { return Poll::Pending };
            this.acquire.set(None);
            let Some(closure) = this.closure.take() else { return Poll::Pending };
            *this.running =
                Some(start(context::locate::<R>(this.location), this.location, closure, permit, !*this.abandon));
        }
        let Some(running) = this.running else { return Poll::Pending };
        let waker = cx.waker().clone();
        let (result, unused) = {
            let mut slot = running.slot.lock();
            match slot.result.take() {
                Some(result) => (result, (Some(waker), slot.waiter.take())),
                None => {
                    #[cfg(bug_job_ended_before_the_wait)]
                    let mut slot = (drop(slot), running.slot.lock()).1;
                    let unused = slot.waiter.replace(waker);
                    drop(slot);
                    drop(unused);
                    let location = *this.location;
                    observe::waits(|| Wait::Job(location));
                    return Poll::Pending;
                }
            }
        };
        drop(unused);
        running.delivered = true;
        *this.running = None;
        match result {
            Ending::Value(value) => Poll::Ready(value),
            Ending::Panicked(payload) => panic::resume_unwind(payload),
            Ending::RuntimeGone => panic!("a blocking job was not run, because its runtime went away"),
        }
    }
}

fn start<T: Send + 'static, R: Runtime>(
    runtime: R,
    location: &'static Location<'static>,
    closure: Box<dyn FnOnce() -> T + Send>,
    permit: LimiterPermit,
    shield: bool,
) -> Running<T> {
    let mut frame = Frame::around();
    let adopted = match &frame.group {
        Some(group) => group.adopt(),
        None => Adopted::by_nobody(),
    };
    let scope = Node::below(frame.scope.as_ref());
    frame.job = true;
    frame.runtime = frame.group.is_none().then(|| runtime.clone().into_dyn());
    frame.held = Some(HeldPermit::new(&permit, frame.held.take()));
    frame.scope = Some(scope.clone());
    let slot = Arc::new(Mutex::new(Slot { result: None, waiter: None, abandoned: false }));
    let held = Held { permit, adopted };
    let mut publish = Publish { slot: slot.clone(), ending: None, held: Some(held), observer: observe::around() };
    let shielded = shield.then(Shielded::new);
    runtime.spawn_blocking(Job::new(move || {
        let frame = Some(frame);
        let ending = context::within(&frame, || guard::catch(closure));
        drop(frame);
        publish.ending = Some(match ending {
            Ok(value) => Ending::Value(value),
            Err(payload) => Ending::Panicked(payload),
        });
        drop(publish);
    }));
    Running { slot, scope, location, shielded, delivered: false }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        let left = {
            let mut slot = self.slot.lock();
            slot.abandoned = true;
            (slot.result.take(), slot.waiter.take())
        };
        self.shielded = None;
        if self.delivered {
            return;
        }
        self.scope.cancel(&context::drop_reason_or(self.location));
        drop(left);
    }
}

impl<T, R> fmt::Debug for Unblock<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unblock").field("started", &self.closure.is_none()).finish_non_exhaustive()
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
