//! [`Semaphore`]: a number of permits, given out in the order of asking.

use crate::context;
use crate::coop;
use crate::observe::{self, Event, Observer, Resource, Wait};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};
use crate::wait_queue::{Removed, WaitQueue, wake_all};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};

/// Permits and who waits for them: shared by [`Semaphore`] and [`Limiter`](crate::Limiter).
///
/// # Invariants
///
/// 1. `total = available + held + handed over`, where `available` is negative after a shrink below what is held.
/// 2. Whoever is at the head of the queue needs more than is available: permits are handed over, in order, as soon as
///    they suffice for the head, under the lock that made them available.
/// 3. Nobody takes a permit while somebody waits, except from the head of the queue (no barging).
///
/// # Lock order
///
/// One lock, a leaf. Wakers are called and dropped after it is released.
///
/// # Races
///
/// A waiter that is dropped after it was handed its permits gives them back, and so to the next: nothing is lost, and
/// the order stays.
pub(crate) struct Permits {
    state: Mutex<State>,
    /// What they are of, and where that was made: for observers.
    kind: &'static str,
    location: &'static Location<'static>,
}

struct State {
    total: usize,
    available: isize,
    closed: bool,
    queue: WaitQueue<Ask>,
    /// How many of those that are held can't come back, because who holds them waits here itself.
    stuck: usize,
    /// Who was told last that some were taken.
    observer: Option<Weak<dyn Observer>>,
}

/// What one waits for.
struct Ask {
    needed: usize,
    /// Whether it waits inside of a job that holds some already.
    inside: bool,
    answer: Answer,
}

/// What one is told who is notified.
#[derive(Clone, Copy)]
enum Answer {
    /// The permits were handed over.
    Granted,
    /// There are no longer as many in all.
    TooMany,
    /// All that there are are held by those who wait.
    Stuck,
    /// The semaphore was closed: what whoever waits is told where it is nothing else.
    Closed,
}

impl State {
    /// Hands permits over to the head of the queue for as long as they suffice (invariant 2).
    fn hand_over(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(ask) = self.queue.front() {
            if self.available < signed(ask.needed) {
                break;
            }
            ask.answer = Answer::Granted;
            self.available -= signed(ask.needed);
            wakers.extend(self.queue.notify_front());
        }
        wakers.extend(self.give_up());
        wakers
    }

    /// Whether no permit can come back any more.
    fn is_stuck(&self) -> bool {
        self.stuck > 0 && signed(self.stuck) >= signed(self.total) - self.available
    }

    /// Tells those who wait inside of jobs, where nothing is left that could come back.
    fn give_up(&mut self) -> Vec<Waker> {
        if !self.is_stuck() {
            return Vec::new();
        }
        self.queue.notify_where(|ask| {
            if ask.inside {
                ask.answer = Answer::Stuck;
            }
            ask.inside
        })
    }

    fn check(&self, needed: usize) -> Result<(), AcquireError> {
        if self.closed {
            Err(AcquireError::CLOSED)
        } else if needed > Semaphore::MAX_PERMITS || (self.total > 0 && needed > self.total) {
            Err(AcquireError::TOO_MANY)
        } else {
            Ok(())
        }
    }

    fn try_take(&mut self, needed: usize) -> bool {
        let enough = (cfg!(bug_barging) || self.queue.is_empty()) && self.available >= signed(needed);
        if enough {
            self.available -= signed(needed);
        }
        enough
    }
}

/// Numbers of permits are at most `MAX_PERMITS`, which an `isize` holds.
fn signed(permits: usize) -> isize {
    isize::try_from(permits).unwrap_or(isize::MAX)
}

impl Permits {
    pub(crate) fn new(total: usize, kind: &'static str, location: &'static Location<'static>) -> Self {
        Self {
            kind,
            location,
            state: Mutex::new(State {
                total,
                available: signed(total),
                closed: false,
                queue: WaitQueue::new(),
                stuck: 0,
                observer: None,
            }),
        }
    }

    pub(crate) fn try_acquire(&self, needed: usize) -> Result<(), TryAcquireError> {
        let mut state = self.state.lock();
        state.check(needed).map_err(|error| TryAcquireError(Some(error)))?;
        if !state.try_take(needed) {
            return Err(TryAcquireError(None));
        }
        drop(state);
        self.taken(needed);
        Ok(())
    }

    /// Gives back what was held.
    pub(crate) fn give_back(&self, permits: usize) {
        self.given_back(permits);
        self.release(permits);
    }

    /// Tells that the caller has taken some.
    fn taken(&self, permits: usize) {
        let Some(observer) = observe::around() else { return };
        let before = self.state.lock().observer.replace(Arc::downgrade(&observer));
        drop(before);
        let task = context::task().map(|task| task.id());
        observer.observe(&Event::Taken { resource: self.resource(), task, permits });
    }

    /// Tells that what was taken is given back.
    fn given_back(&self, permits: usize) {
        if !observe::is_on() {
            return;
        }
        // Where nothing is around who gives it back, whoever was told that it was taken.
        let known = || self.state.lock().observer.as_ref().and_then(Weak::upgrade);
        if let Some(observer) = observe::around().or_else(known) {
            let task = context::task().map(|task| task.id());
            observer.observe(&Event::GivenBack { resource: self.resource(), task, permits });
        }
    }

    fn resource(&self) -> Resource {
        Resource { kind: self.kind, address: std::ptr::from_ref(self).addr(), location: self.location }
    }

    fn release(&self, permits: usize) {
        let wakers = {
            let mut state = self.state.lock();
            state.available += signed(permits);
            state.hand_over()
        };
        let _locked = cfg!(bug_woken_under_the_lock).then(|| self.state.lock());
        wake_all(wakers);
    }

    /// Sets how many there are in all. Nobody who holds a permit loses it.
    pub(crate) fn resize(&self, total: usize) {
        let wakers = {
            let mut state = self.state.lock();
            state.available += signed(total) - signed(state.total);
            state.total = total;
            state.hand_over()
        };
        wake_all(wakers);
    }

    fn add(&self, permits: usize) -> bool {
        let wakers = {
            let mut state = self.state.lock();
            let wrapped = cfg!(bug_sum_wraps).then(|| state.total.wrapping_add(permits));
            match wrapped.or(state.total.checked_add(permits)) {
                Some(total) if total <= Semaphore::MAX_PERMITS => {
                    state.total = total;
                    state.available += signed(permits);
                    state.hand_over()
                }
                _ => return false,
            }
        };
        wake_all(wakers);
        true
    }

    /// Takes held permits out of the world.
    fn forget(&self, permits: usize) {
        self.given_back(permits);
        let wakers = {
            let mut state = self.state.lock();
            state.total -= permits;
            state.closed &= !cfg!(bug_forget_reopens);
            let total = state.total;
            // Who waits for more than there is now would wait for ever, and hold up everyone behind.
            let mut wakers = state.queue.notify_where(|ask| {
                let is_too_many = total > 0 && ask.needed > total;
                if is_too_many {
                    ask.answer = Answer::TooMany;
                }
                is_too_many
            });
            wakers.extend(state.hand_over());
            wakers
        };
        wake_all(wakers);
    }

    pub(crate) fn close(&self) {
        let wakers = {
            let mut state = self.state.lock();
            state.closed = true;
            state.queue.notify_all()
        };
        wake_all(wakers);
    }

    /// Tells that what `holders` hold can't come back before whoever calls this gets a permit. Returns whether no permit
    /// can come back at all any more.
    ///
    /// A permit that was handed over and not seen yet is held by somebody who doesn't wait, so it counts as one that
    /// comes back.
    pub(crate) fn stick<'a>(&self, holders: impl Iterator<Item = &'a AtomicUsize>) -> bool {
        let mut state = self.state.lock();
        for waiters in holders {
            // Ordering: Relaxed; changed under the lock.
            if waiters.fetch_add(1, Ordering::Relaxed) == 0 {
                state.stuck += 1;
            }
        }
        state.is_stuck()
    }

    /// Takes back what [`stick`](Self::stick) told.
    pub(crate) fn unstick<'a>(&self, holders: impl Iterator<Item = &'a AtomicUsize>) {
        let mut state = self.state.lock();
        for waiters in holders {
            // Ordering: Relaxed; changed under the lock.
            if waiters.fetch_sub(1, Ordering::Relaxed) == 1 {
                state.stuck -= 1;
            }
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let state = self.state.lock();
        Statistics {
            total: state.total,
            available: usize::try_from(state.available).unwrap_or(0),
            borrowed: usize::try_from(signed(state.total) - state.available).unwrap_or(0),
            waiting: state.queue.len(),
        }
    }
}

/// A wait for permits that its owner takes apart: the part that [`Acquire`] and others share.
pub(crate) struct Waiting {
    needed: usize,
    inside: bool,
    place: Place,
    done: bool,
}

/// Where one who asks for permits stands.
enum Place {
    /// Not asked yet, or through.
    Outside,
    Queued(usize),
    /// Has the permits, and gives way to others before it goes on.
    Served,
}

impl Waiting {
    pub(crate) fn new(needed: usize) -> Self {
        Self { needed, inside: false, place: Place::Outside, done: false }
    }

    /// Waits inside of a job that holds permits itself: see [`Permits::stick`].
    pub(crate) fn inside(mut self) -> Self {
        self.inside = true;
        self
    }

    pub(crate) fn poll(&mut self, permits: &Permits, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        assert!(!self.done, "an acquire was polled after it had ended");
        if let Place::Outside = self.place {
            let mut state = permits.state.lock();
            let result = state.check(self.needed);
            if result.is_err() {
                self.done = true;
                return Poll::Ready(result);
            }
            if state.try_take(self.needed) {
                self.place = Place::Served;
            }
        }
        if let Place::Served = self.place {
            // The permits are taken first, so that giving way costs no place in the order.
            if coop::poll_proceed(cx).is_pending() {
                return Poll::Pending;
            }
            if !cfg!(bug_given_back_twice) {
                self.place = Place::Outside;
            }
            self.done = true;
            permits.taken(self.needed);
            return Poll::Ready(Ok(()));
        }
        let poll = self.poll_queue(permits, cx);
        self.done = poll.is_ready();
        match poll {
            Poll::Ready(Ok(())) => permits.taken(self.needed),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => observe::waits(|| Wait::Permits(permits.resource(), self.needed)),
        }
        poll
    }

    fn poll_queue(&mut self, permits: &Permits, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut state = permits.state.lock();
            match self.place {
                Place::Queued(key) if state.queue.is_notified(key) => {
                    self.place = Place::Outside;
                    let result = match state.queue.remove(key) {
                        Removed::Notified(Ask { answer: Answer::Granted, .. }) => Ok(()),
                        Removed::Notified(Ask { answer: Answer::TooMany, .. }) => Err(AcquireError::TOO_MANY),
                        Removed::Notified(Ask { answer: Answer::Stuck, .. }) => Err(AcquireError::STUCK),
                        _ => Err(AcquireError::CLOSED),
                    };
                    (Poll::Ready(result), Some(waker))
                }
                Place::Queued(key) => (Poll::Pending, Some(state.queue.update(key, waker))),
                // The lock was released in between: asked once more before queueing.
                _ => match if cfg!(bug_close_not_asked_again) { Ok(()) } else { state.check(self.needed) } {
                    Err(error) => (Poll::Ready(Err(error)), Some(waker)),
                    Ok(()) if state.try_take(self.needed) => (Poll::Ready(Ok(())), Some(waker)),
                    Ok(()) => {
                        let ask = Ask { needed: self.needed, inside: self.inside, answer: Answer::Closed };
                        self.place = Place::Queued(state.queue.push(ask, waker));
                        (Poll::Pending, None)
                    }
                },
            }
        };
        drop(unused);
        poll
    }

    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.place, Place::Queued(_))
    }

    /// Leaves the queue. What had been handed over goes to the next.
    pub(crate) fn leave(&mut self, permits: &Permits) {
        let key = match std::mem::replace(&mut self.place, Place::Outside) {
            Place::Outside => return,
            Place::Served => return permits.release(self.needed),
            Place::Queued(key) => key,
        };
        let (removed, wakers) = {
            let mut state = permits.state.lock();
            let removed = state.queue.remove(key);
            if let Removed::Notified(Ask { needed, answer: Answer::Granted, .. }) = removed {
                state.available += if cfg!(bug_permit_lost_on_drop) { 0 } else { signed(needed) };
            }
            // Subtle: also after leaving from the head unserved, since the next may need less.
            (removed, if cfg!(bug_next_not_let_in) { Vec::new() } else { state.hand_over() })
        };
        drop(removed);
        wake_all(wakers);
    }
}

/// A number of permits that many share, given out in the order of asking.
///
/// First in, first out, whatever the numbers asked for: a small request doesn't overtake a large one that waits, and
/// nobody takes a permit past those who wait. Dropping a waiter loses neither a permit nor the order.
///
/// A semaphore made with no permits is a gate: whoever asks waits until somebody [adds](Self::add_permits) some. Asking
/// any other for more than it has in all is an error at once.
///
/// # Examples
///
/// ```
/// use anyscope::{Semaphore, task_group};
/// use std::sync::Arc;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let connections = Arc::new(Semaphore::new(2));
///     for _ in 0..5 {
///         let connections = connections.clone();
///         g.spawn(async move {
///             let _permit = connections.acquire().await.unwrap();
///             // at most two tasks are here at a time
///         });
///     }
/// }));
/// ```
pub struct Semaphore {
    permits: Permits,
}

/// What a semaphore or a limiter has, and who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// How many permits there are in all.
    pub total: usize,
    /// How many anyone could take now.
    pub available: usize,
    /// How many are held, or handed over to somebody who hasn't seen them yet.
    pub borrowed: usize,
    /// How many wait.
    pub waiting: usize,
}

impl Semaphore {
    /// The largest number of permits that a semaphore can have.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    /// Makes a semaphore with `permits` permits.
    ///
    /// # Panics
    ///
    /// Where there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[must_use]
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "a semaphore of {permits} permits: more than `Semaphore::MAX_PERMITS`");
        Self { permits: Permits::new(permits, "semaphore", Location::caller()) }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] where the semaphore is closed, now or while it waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue. A permit that had been handed over goes to the next.
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for `permits` permits at once.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] where the semaphore is closed, or was never to have as many.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::Semaphore;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let memory = Semaphore::new(10);
    ///     let buffers = memory.acquire_many(8).await.unwrap();
    ///     assert_eq!(memory.statistics().available, 2);
    ///     assert!(memory.acquire_many(11).await.unwrap_err().is_too_many());
    ///     drop(buffers);
    /// });
    /// ```
    pub fn acquire_many(&self, permits: usize) -> Acquire<'_> {
        let mut waiting = Waiting::new(permits);
        if cfg!(bug_taken_before_the_first_poll) && self.permits.state.lock().try_take(permits) {
            waiting.place = Place::Served;
        }
        Acquire { semaphore: self, waiting }
    }

    /// Takes a permit, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] where there is none, or the semaphore is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `permits` permits at once, if they are free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] where there aren't as many, never will be, or the semaphore is closed.
    pub fn try_acquire_many(&self, permits: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.permits.try_acquire(permits)?;
        Ok(Permit { semaphore: self, count: permits })
    }

    /// Waits for a permit that owns its semaphore, to be kept and sent anywhere.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{Semaphore, task_group};
    /// use std::sync::Arc;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     let slots = Arc::new(Semaphore::new(4));
    ///     let permit = slots.acquire_arc().await.unwrap();
    ///     g.spawn(async move {
    ///         let _permit = permit;
    ///     });
    /// }));
    /// ```
    pub fn acquire_arc(self: &Arc<Self>) -> AcquireArc {
        self.acquire_many_arc(1)
    }

    /// Waits for `permits` permits that own their semaphore.
    ///
    /// # Errors
    ///
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_many_arc(self: &Arc<Self>, permits: usize) -> AcquireArc {
        AcquireArc { semaphore: self.clone(), waiting: Waiting::new(permits) }
    }

    /// Takes a permit that owns its semaphore, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_arc(self: &Arc<Self>) -> Result<PermitArc, TryAcquireError> {
        self.permits.try_acquire(1)?;
        Ok(PermitArc { semaphore: self.clone(), count: 1 })
    }

    /// Adds permits, for those who wait first.
    ///
    /// # Panics
    ///
    /// Where there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn add_permits(&self, permits: usize) {
        assert!(self.permits.add(permits), "added {permits} permits: more than `Semaphore::MAX_PERMITS` in all");
    }

    /// Closes the semaphore: all who wait, and all who come, get an error. Permits that are held stay good.
    ///
    /// Who was handed a permit before the close, and hasn't seen it yet, gets it.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Returns whether the semaphore is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.permits.state.lock().closed
    }

    /// Returns how many permits anyone could take now.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.statistics().available
    }

    /// Returns a snapshot of the semaphore.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.permits.statistics()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

/// Permits of a semaphore, given back when they're dropped.
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

/// Permits that own their semaphore, given back when they're dropped.
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct PermitArc {
    semaphore: Arc<Semaphore>,
    count: usize,
}

/// Waits for permits. Made by [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'a> {
    semaphore: &'a Semaphore,
    waiting: Waiting,
}

/// Waits for permits that own their semaphore. Made by [`Semaphore::acquire_arc`].
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireArc {
    semaphore: Arc<Semaphore>,
    waiting: Waiting,
}

macro_rules! permit {
    ($permit:ident $(<$p:lifetime>)?, $acquire:ident $(<$a:lifetime>)?, $keep:expr) => {
        impl $permit $(<$p>)? {
            /// Returns how many permits these are.
            #[must_use]
            pub fn count(&self) -> usize {
                self.count
            }

            /// Takes the permits out of the world: the semaphore has as many fewer from now on.
            ///
            /// Who waits for more than are left in all gets an error. A semaphore without any left is a gate.
            pub fn forget(mut self) {
                self.semaphore.permits.forget(self.count);
                self.count = 0;
            }
        }

        impl Drop for $permit $(<$p>)? {
            fn drop(&mut self) {
                if self.count > 0 && !(cfg!(bug_permit_lost_by_a_panic) && std::thread::panicking()) {
                    self.semaphore.permits.give_back(self.count);
                }
            }
        }

        impl fmt::Debug for $permit $(<$p>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($permit)).field("count", &self.count).finish_non_exhaustive()
            }
        }

        impl $(<$a>)? Future for $acquire $(<$a>)? {
            type Output = Result<$permit $(<$a>)?, AcquireError>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let Self { semaphore, waiting } = &mut *self;
                waiting.poll(&semaphore.permits, cx).map_ok(|()| {
                    let keep = $keep;
                    $permit { semaphore: keep(semaphore), count: waiting.needed }
                })
            }
        }

        impl Drop for $acquire $(<$p>)? {
            fn drop(&mut self) {
                let Self { semaphore, waiting } = self;
                waiting.leave(&semaphore.permits);
            }
        }

        impl fmt::Debug for $acquire $(<$p>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($acquire)).field("permits", &self.waiting.needed).finish_non_exhaustive()
            }
        }
    };
}

permit!(Permit<'_>, Acquire<'a>, |semaphore: &&'a Semaphore| *semaphore);
permit!(PermitArc, AcquireArc, |semaphore: &Arc<Semaphore>| semaphore.clone());

/// Why a permit couldn't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Closed,
    TooMany,
    Stuck,
}

impl AcquireError {
    pub(crate) const CLOSED: Self = Self(Kind::Closed);
    pub(crate) const TOO_MANY: Self = Self(Kind::TooMany);
    /// For limiters, which panic with it.
    pub(crate) const STUCK: Self = Self(Kind::Stuck);

    pub(crate) fn is_stuck(&self) -> bool {
        self.0 == Kind::Stuck
    }

    /// Returns whether the semaphore is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0 == Kind::Closed
    }

    /// Returns whether more was asked for than the semaphore has in all.
    #[must_use]
    pub fn is_too_many(&self) -> bool {
        self.0 == Kind::TooMany
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Closed => "the semaphore is closed",
            Kind::TooMany => "more permits were asked for than the semaphore has in all",
            Kind::Stuck => {
                "waited for a permit of a limiter inside of a blocking job that holds the last one of it, so that it would \
                 never come: give the inner work a limiter of its own, or this one more permits"
            }
        })
    }
}

impl Error for AcquireError {}

/// Why a permit couldn't be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryAcquireError(Option<AcquireError>);

impl TryAcquireError {
    /// Returns whether it would have had to wait.
    #[must_use]
    pub fn is_no_permits(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether the semaphore is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_some_and(|error| error.is_closed())
    }

    /// Returns whether more was asked for than the semaphore has in all.
    #[must_use]
    pub fn is_too_many(&self) -> bool {
        self.0.is_some_and(|error| error.is_too_many())
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("no permit is free"),
            Some(error) => error.fmt(f),
        }
    }
}

impl Error for TryAcquireError {}

#[cfg(all(test, anyscope_loom))]
mod loom;
