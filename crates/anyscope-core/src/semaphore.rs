//! [`Semaphore`]: a number of permits, given out in the order of asking.

use crate::context;
use crate::coop;
use crate::observe::{self, Event, Observer, Resource, Wait};
use crate::sync::{Arc, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::tree::holders;
use crate::wait_queue::{Removed, WaitQueue, Wakers, wake_all};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};

/// Permits and who waits for them: shared by [`Semaphore`] and [`Limiter`](crate::Limiter).
///
/// # States
///
/// *Open*: what is available is a number in `open`, from which permits are taken and to which they are given back without
/// the lock. *Shut*: it is `available` of the state, and all goes through the lock. [`Permits::lock`] shuts it: who has the
/// lock has the number too. It is opened again with the release of the lock, unless somebody waits, it was closed, or a
/// shrink left fewer than none available.
///
/// # Invariants
///
/// 1. `total = available + held + handed over`, where `available` is negative after a shrink below what is held.
/// 2. Whoever is at the head of the queue needs more than is available: permits are handed over, in order, as soon as
///    they suffice for the head, under the lock that made them available.
/// 3. Nobody takes a permit while somebody waits, except from the head of the queue (no barging).
/// 4. Where it is open, nobody waits and it isn't closed.
/// 5. `total`, and whether it is open, change under the lock alone.
///
/// # Lock order
///
/// One lock, a leaf. Wakers are called and dropped after it is released.
///
/// # Races
///
/// A waiter that is dropped after it was handed its permits gives them back, and so to the next: nothing is lost, and
/// the order stays.
///
/// Who takes or gives back without the lock, against who shuts: each is one exchange of `open`, so either the number that
/// is taken out has seen it, or the exchange fails, and it is done under the lock. A permit that comes back is counted
/// before a waiter looks for the last time, or comes to the lock and finds the waiter: no wake-up is lost.
///
/// # Memory ordering
///
/// A permit that is given back carries along what was done with it: by Release and Acquire on `open`, where every
/// change but the opening is a read-modify-write, so that who takes the last of several permits sees what was done with
/// all; and by the lock.
pub(crate) struct Permits {
    /// One more than are available; or [`SHUT`].
    open: AtomicUsize,
    state: Mutex<State>,
    /// What they are of, and where that was made: for observers.
    kind: &'static str,
    location: &'static Location<'static>,
}

/// What [`Permits::open`] is while it is shut: less than anybody needs.
const SHUT: usize = 0;

struct State {
    total: usize,
    /// Means nothing while it is open.
    available: isize,
    shut: bool,
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

impl Drop for Permits {
    fn drop(&mut self) {
        if observe::is_recording() {
            holders::gone(&self.resource());
        }
    }
}

impl State {
    /// Whether what is available suffices for the head of the queue.
    #[inline]
    fn is_due(&mut self) -> bool {
        let available = self.available;
        self.queue.front().is_some_and(|ask| available >= signed(ask.needed))
    }

    /// Hands permits over to the head of the queue for as long as they suffice (invariant 2).
    fn hand_over(&mut self) -> Wakers {
        let mut wakers = Wakers::new();
        while self.is_due() {
            if let Some((ask, waker)) = self.queue.answer_front() {
                ask.answer = Answer::Granted;
                self.available -= signed(ask.needed);
                wakers.push(waker);
            }
        }
        if self.stuck > 0 {
            self.give_up().into_iter().for_each(|waker| wakers.push(waker));
        }
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

/// The state, shut, and opened again with the lock where it may be.
struct Shut<'a> {
    open: &'a AtomicUsize,
    state: MutexGuard<'a, State>,
}

impl Deref for Shut<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Shut<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        let state = &mut *self.state;
        let may_open = (cfg!(bug_opened_past_the_queue) || state.queue.is_empty()) && !state.closed;
        if let (true, Ok(available)) = (may_open, usize::try_from(state.available)) {
            state.shut = false;
            // Ordering: Release; who takes one sees what was done with it, also where it came back under the lock.
            let ordering = if cfg!(bug_opened_relaxed) { Ordering::Relaxed } else { Ordering::Release };
            self.open.store(available + 1, ordering);
        }
    }
}

impl Permits {
    pub(crate) fn new(total: usize, kind: &'static str, location: &'static Location<'static>) -> Self {
        Self {
            kind,
            location,
            open: AtomicUsize::new(total + 1),
            state: Mutex::new(State {
                total,
                available: 0,
                shut: false,
                closed: false,
                queue: WaitQueue::new(),
                stuck: 0,
                observer: None,
            }),
        }
    }

    /// Shuts it, for who looks at more than the total, or changes anything.
    fn lock(&self) -> Shut<'_> {
        let mut state = self.state.lock();
        if !state.shut {
            state.shut = true;
            // Ordering: Acquire; pairs with the Release in `give_open`: who is handed a permit sees what was done with it.
            let ordering = if cfg!(bug_shut_relaxed) { Ordering::Relaxed } else { Ordering::Acquire };
            let seen = cfg!(bug_shut_by_a_look).then(|| self.open.load(ordering));
            let open = self.open.swap(SHUT, ordering);
            state.available = signed(seen.unwrap_or(open) - 1);
        }
        Shut { open: &self.open, state }
    }

    /// Takes permits without the lock, where it is open and they suffice.
    #[inline]
    fn take_open(&self, needed: usize) -> bool {
        // Ordering: Relaxed; the exchange looks again.
        let mut open = self.open.load(Ordering::Relaxed);
        while open > needed {
            // Ordering: Acquire; pairs with the Release in `give_open`, or of who opened it.
            let ordering = if cfg!(bug_taken_relaxed) { Ordering::Relaxed } else { Ordering::Acquire };
            match self.open.compare_exchange_weak(open, open - needed, ordering, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => open = now,
            }
        }
        false
    }

    /// Gives permits back without the lock, where it is open.
    #[inline]
    fn give_open(&self, permits: usize) -> bool {
        // Ordering: Relaxed; the exchange looks again.
        let mut open = self.open.load(Ordering::Relaxed);
        while open != SHUT {
            // Ordering: Release; pairs with the Acquire of who takes them.
            let ordering = if cfg!(bug_given_back_relaxed) { Ordering::Relaxed } else { Ordering::Release };
            match self.open.compare_exchange_weak(open, open + permits, ordering, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => open = now,
            }
        }
        false
    }

    #[inline]
    pub(crate) fn try_acquire(&self, needed: usize) -> Result<(), TryAcquireError> {
        if !self.take_open(needed) {
            self.try_acquire_locked(needed)?;
        }
        self.taken(needed);
        Ok(())
    }

    #[cold]
    fn try_acquire_locked(&self, needed: usize) -> Result<(), TryAcquireError> {
        // Ordering: Relaxed; that there was none then is all that it tells. It was open, so not closed (invariant 4), and
        // one is never too many.
        if needed == 1 && self.open.load(Ordering::Relaxed) == SHUT + 1 {
            return Err(TryAcquireError(None));
        }
        let mut state = self.lock();
        state.check(needed).map_err(|error| TryAcquireError(Some(error)))?;
        if state.try_take(needed) { Ok(()) } else { Err(TryAcquireError(None)) }
    }

    /// Gives back what was held.
    #[inline]
    pub(crate) fn give_back(&self, permits: usize) {
        self.given_back(permits);
        self.release(permits);
    }

    /// Tells that the caller has taken some.
    #[inline]
    fn taken(&self, permits: usize) {
        if observe::is_on() {
            self.tell_taken(permits);
        }
    }

    #[cold]
    fn tell_taken(&self, permits: usize) {
        let task = context::task_id();
        if observe::is_recording() {
            holders::taken(self.resource(), task, permits);
        }
        let Some(observer) = observe::around() else { return };
        let before = self.state.lock().observer.replace(Arc::downgrade(&observer));
        drop(before);
        observer.observe(&Event::Taken { resource: self.resource(), task, permits });
    }

    /// Tells that what was taken is given back.
    #[inline]
    fn given_back(&self, permits: usize) {
        if observe::is_on() {
            self.tell_given_back(permits);
        }
    }

    #[cold]
    fn tell_given_back(&self, permits: usize) {
        let task = context::task_id();
        if observe::is_recording() {
            let held = self.statistics().borrowed.saturating_sub(permits);
            holders::given_back(self.resource(), task, permits, held);
        }
        // Where nothing is around who gives it back, whoever was told that it was taken.
        let known = || self.state.lock().observer.as_ref().and_then(Weak::upgrade);
        if let Some(observer) = observe::around_or(known) {
            observer.observe(&Event::GivenBack { resource: self.resource(), task, permits });
        }
    }

    fn resource(&self) -> Resource {
        Resource { kind: self.kind, address: std::ptr::from_ref(self).addr(), location: self.location }
    }

    #[inline]
    fn release(&self, permits: usize) {
        if !self.give_open(permits) {
            self.release_locked(permits);
        }
    }

    fn release_locked(&self, permits: usize) {
        let wakers = {
            let mut state = self.lock();
            state.available += signed(permits);
            state.hand_over()
        };
        let _locked = cfg!(bug_woken_under_the_lock).then(|| self.state.lock());
        wakers.wake();
    }

    /// Sets how many there are in all. Nobody who holds a permit loses it.
    pub(crate) fn resize(&self, total: usize) {
        let wakers = {
            let mut state = self.lock();
            state.available += signed(total) - signed(state.total);
            state.total = total;
            state.hand_over()
        };
        wake_all(wakers);
    }

    fn add(&self, permits: usize) -> bool {
        let wakers = {
            let mut state = self.lock();
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
            let mut state = self.lock();
            state.total -= permits;
            state.closed &= !cfg!(bug_forget_reopens);
            let total = state.total;
            // Who waits for more than there is now would wait for ever, and hold up everyone behind.
            let wakers = state.queue.notify_where(|ask| {
                let is_too_many = total > 0 && ask.needed > total;
                if is_too_many {
                    ask.answer = Answer::TooMany;
                }
                is_too_many
            });
            wakers.into_iter().chain(state.hand_over())
        };
        wake_all(wakers);
    }

    pub(crate) fn close(&self) {
        let wakers = {
            let mut state = self.lock();
            state.closed = true;
            state.queue.notify_all()
        };
        wake_all(wakers);
    }

    /// Somebody who waits goes. What had been handed over goes to the next.
    fn leave_queue(&self, key: usize) {
        let mut state = self.lock();
        match state.queue.remove(key) {
            // Subtle: who leaves the head unserved may have stood before one who needs less.
            Removed::Queued(_, waker) if !state.is_due() => {
                drop(state);
                drop(waker);
            }
            removed => Self::let_next_in(state, removed),
        }
    }

    #[inline(never)]
    fn let_next_in(mut state: Shut<'_>, removed: Removed<Ask>) {
        if let Removed::Notified(Ask { needed, answer: Answer::Granted, .. }) = removed {
            state.available += if cfg!(bug_permit_lost_on_drop) { 0 } else { signed(needed) };
        }
        let wakers = if cfg!(bug_next_not_let_in) { Wakers::new() } else { state.hand_over() };
        drop(state);
        drop(removed);
        wakers.wake();
    }

    /// Tells that what `holders` hold can't come back before whoever calls this gets a permit. Returns whether no permit
    /// can come back at all any more.
    ///
    /// A permit that was handed over and not seen yet is held by somebody who doesn't wait, so it counts as one that
    /// comes back.
    pub(crate) fn stick<'a>(&self, holders: impl Iterator<Item = &'a AtomicUsize>) -> bool {
        let mut state = self.lock();
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
        let mut state = self.lock();
        for waiters in holders {
            // Ordering: Relaxed; changed under the lock.
            if waiters.fetch_sub(1, Ordering::Relaxed) == 1 {
                state.stuck -= 1;
            }
        }
    }

    /// Taken under the lock without shutting: the total stays what it is, and where it is open, what is available is one
    /// read of one number.
    pub(crate) fn statistics(&self) -> Statistics {
        let state = self.state.lock();
        let available = if state.shut {
            state.available
        } else {
            // Ordering: Acquire; pairs with the Release in `give_open`: who sees that all are back sees what was done.
            signed(self.open.load(Ordering::Acquire) - 1)
        };
        Statistics {
            total: state.total,
            available: usize::try_from(available).unwrap_or(0),
            borrowed: usize::try_from(signed(state.total) - available).unwrap_or(0),
            waiting: state.queue.len(),
        }
    }
}

/// A wait for permits that its owner takes apart: the part that [`Acquire`] and others share.
pub(crate) struct Waiting {
    needed: usize,
    inside: bool,
    place: Place,
}

/// Where one who asks for permits stands.
enum Place {
    /// Not asked yet.
    Outside,
    Queued(usize),
    /// Has the permits, and gives way to others before it goes on.
    Served,
    /// Has been told.
    Through,
}

impl Waiting {
    #[inline]
    pub(crate) fn new(needed: usize) -> Self {
        Self { needed, inside: false, place: Place::Outside }
    }

    /// Waits inside of a job that holds permits itself: see [`Permits::stick`].
    pub(crate) fn inside(mut self) -> Self {
        self.inside = true;
        self
    }

    /// Takes the permits where they are to be had without waiting and without the lock; also where it has them already.
    #[inline]
    pub(crate) fn takes_at_once(&mut self, permits: &Permits) -> bool {
        if let Place::Outside = self.place {
            if permits.take_open(self.needed) {
                self.place = Place::Served;
            }
        }
        matches!(self.place, Place::Served)
    }

    #[inline]
    pub(crate) fn poll(&mut self, permits: &Permits, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        if self.takes_at_once(permits) { self.proceed(permits, cx) } else { self.poll_locked(permits, cx) }
    }

    /// Asks under the lock, for the first time or once more.
    #[inline(never)]
    fn poll_locked(&mut self, permits: &Permits, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        match self.place {
            Place::Queued(key) => self.poll_queued(key, permits, cx),
            _ => self.ask(permits, cx),
        }
    }

    /// Has the permits, without having waited. They are taken first, so that giving way costs no place in the order.
    #[inline]
    fn proceed(&mut self, permits: &Permits, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        self.place = if cfg!(bug_given_back_twice) { Place::Served } else { Place::Through };
        permits.taken(self.needed);
        Poll::Ready(Ok(()))
    }

    /// Takes the permits under the lock, for which it needn't wait, or a place in the queue.
    fn ask(&mut self, permits: &Permits, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        assert!(matches!(self.place, Place::Outside), "an acquire was polled after it had ended");
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let mut state = permits.lock();
        // Under the lock: it may have been closed just now.
        let result = if cfg!(bug_close_not_asked_again) { Ok(()) } else { state.check(self.needed) };
        if result.is_ok() && !state.try_take(self.needed) {
            let ask = Ask { needed: self.needed, inside: self.inside, answer: Answer::Closed };
            self.place = Place::Queued(state.queue.push(ask, waker));
            drop(state);
            return self.waits(permits);
        }
        drop(state);
        drop(waker);
        self.place = if result.is_ok() { Place::Served } else { Place::Through };
        result?;
        self.proceed(permits, cx)
    }

    fn poll_queued(&mut self, key: usize, permits: &Permits, cx: &Context<'_>) -> Poll<Result<(), AcquireError>> {
        let mut state = permits.lock();
        let answer = match state.queue.take_notified(key) {
            Some(ask) => ask.answer,
            None => {
                let is_up_to_date = state.queue.will_wake(key, cx.waker());
                drop(state);
                if is_up_to_date {
                    return self.waits(permits);
                }
                return self.replace_waker(key, permits, cx);
            }
        };
        drop(state);
        self.place = Place::Through;
        Poll::Ready(match answer {
            Answer::Granted => {
                permits.taken(self.needed);
                Ok(())
            }
            Answer::TooMany => Err(AcquireError::TOO_MANY),
            Answer::Stuck => Err(AcquireError::STUCK),
            Answer::Closed => Err(AcquireError::CLOSED),
        })
    }

    #[cold]
    fn replace_waker(&mut self, key: usize, permits: &Permits, cx: &Context<'_>) -> Poll<Result<(), AcquireError>> {
        // User code: cloned and dropped without the lock. Who was notified meanwhile called the waker that was there.
        let waker = cx.waker().clone();
        let (unused, is_notified) = {
            let mut state = permits.lock();
            let is_notified = state.queue.is_notified(key);
            (state.queue.update(key, waker), is_notified)
        };
        drop(unused);
        if is_notified { self.poll_queued(key, permits, cx) } else { self.waits(permits) }
    }

    #[inline]
    fn waits(&self, permits: &Permits) -> Poll<Result<(), AcquireError>> {
        if observe::is_on() {
            observe::waits(|| Wait::Permits(permits.resource(), self.needed));
        }
        Poll::Pending
    }

    #[inline]
    pub(crate) fn is_new(&self) -> bool {
        matches!(self.place, Place::Outside)
    }

    #[inline]
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.place, Place::Queued(_))
    }

    /// Leaves the queue. What had been handed over goes to the next.
    #[inline]
    pub(crate) fn leave(&mut self, permits: &Permits) {
        match self.place {
            Place::Outside | Place::Through => {}
            Place::Served => {
                self.place = Place::Through;
                permits.release(self.needed);
            }
            Place::Queued(key) => {
                self.place = Place::Through;
                permits.leave_queue(key);
            }
        }
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
    #[inline]
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
    #[inline]
    pub fn acquire_many(&self, permits: usize) -> Acquire<'_> {
        let mut waiting = Waiting::new(permits);
        if cfg!(bug_taken_before_the_first_poll) && self.permits.try_acquire(permits).is_ok() {
            waiting.place = Place::Served;
        }
        Acquire { semaphore: self, waiting }
    }

    /// Takes a permit, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] where there is none, or the semaphore is closed.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `permits` permits at once, if they are free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] where there aren't as many, never will be, or the semaphore is closed.
    #[inline]
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
    #[inline]
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
    #[inline]
    pub fn acquire_many_arc(self: &Arc<Self>, permits: usize) -> AcquireArc {
        AcquireArc { semaphore: self.clone(), waiting: Waiting::new(permits) }
    }

    /// Takes a permit that owns its semaphore, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
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
            #[inline]
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

            #[inline]
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let Self { semaphore, waiting } = &mut *self;
                waiting.poll(&semaphore.permits, cx).map_ok(|()| {
                    let keep = $keep;
                    $permit { semaphore: keep(semaphore), count: waiting.needed }
                })
            }
        }

        impl Drop for $acquire $(<$p>)? {
            #[inline]
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
