//! One allocation for a child, and the two who have a right to what is in it: first whoever works on it, then whoever
//! takes the outcome.
//!
//! In one place because a second allocation for the future is a third of what a child may cost; unsafe because the
//! future is polled in that place, by one thread at a time, without a lock of its own: who may touch it is passed on as
//! a value. What is done with it is in `cell.rs`, and safe.
//!
//! # Who may touch what
//!
//! The head is shared. The content, which is the future and then the outcome, belongs to one at a time:
//!
//! 1. There is one [`Own`] for a [`Both`] at most, in one form or the other ([`Work`] is the same without its type). As
//!    long as there is, and it hasn't published, nobody else touches the content.
//! 2. There is one [`Handle`] at most. It touches the content only after it has found [`DONE`] set; and it was set by the
//!    `Own`, which gave up its right by it.
//! 3. Where the handle had set [`GONE`] before, the `Own` keeps its right, and takes the outcome back.
//! 4. A content never moves before it has been dropped in its place: a `Both` is made inside of its `Arc`, and what is in
//!    it leaves it by [`Held::clear`] or by its own drop. The outcome, which isn't pinned, may move.
//! 5. The joiner's waker is the handle's to touch while [`JOINED`] isn't set; and once it has taken that bit back and
//!    found no `DONE`. It is the publisher's from when that found both.
//!
//! # Races and who loses
//!
//! - Publish against the drop of the handle: both write the state with a read-modify-write, and the second one has the
//!   outcome.
//! - Publish against a join: the joiner leaves its waker, and then sets `JOINED`; where it finds `DONE` then, the publisher
//!   hasn't seen the waker, and it is taken back, with the outcome. Else the publisher finds `JOINED` and takes the waker.
//!
//! # Memory ordering
//!
//! The state, which is in the seat, is changed with `AcqRel`, so that the outcome happens before whoever finds `DONE`, and
//! what the handle did before the publisher that finds `GONE` or `JOINED`. The content's way from one driver to the next
//! goes through the group's lock.

use super::seat::Seat;
use crate::sync::{Arc, Ordering, UnsafeCell};
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

/// The outcome is there.
const DONE: u8 = 1;
/// The handle is gone.
const GONE: u8 = 2;
/// A waker was left.
const JOINED: u8 = 4;

/// What a child consists of, and what is done with it.
pub(crate) trait Content: Send + Sized + 'static {
    /// What comes of it.
    type Outcome: Send + 'static;

    /// Polls it, or ends it. Hands the right back where there is more to come.
    fn run(own: Own<Self>, order: Order) -> Ran<Own<Self>>;
}

/// What is to be done with a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Poll,
    End(Doom),
}

/// Why a child is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    /// Its group was cancelled or dropped; a shield holds this off.
    Cancelled,
    /// Its runtime is gone, and nobody will poll it again.
    RuntimeGone,
}

/// Where a child stands after it was run.
#[must_use]
pub(crate) enum Ran<W> {
    Pending(W),
    /// It has ended, and its future is gone. The group is to be told.
    Ended(Spent),
}

/// A child that has ended.
pub(crate) struct Spent(Arc<dyn Erased>);

impl Spent {
    pub(crate) fn seat(&self) -> &Seat {
        self.0.seat()
    }
}

struct Both<C: Content> {
    seat: Seat,
    joiner: UnsafeCell<Option<Waker>>,
    value: UnsafeCell<Value<C>>,
}

enum Value<C: Content> {
    Content(C),
    Outcome(C::Outcome),
    Empty,
}

// SAFETY: the head, with the state, is `Sync`. The value is touched by one thread at a time, by invariants 1 to 3, and so is
// sent from one to the next; what is in it is `Send`.
unsafe impl<C: Content> Sync for Both<C> {}
// SAFETY: everything in it is `Send`; the cell is asked for on its own account because loom's isn't.
unsafe impl<C: Content> Send for Both<C> {}

/// What the two above rely on.
const _: fn() = || {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Seat>();
    is_send_and_sync::<Waker>();
};

impl<C: Content> Wake for Both<C> {
    fn wake(self: Arc<Self>) {
        self.seat.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.seat.wake();
    }
}

/// Makes a child, and hands out both rights.
pub(crate) fn halves<C: Content>(seat: Seat, content: C) -> (Own<C>, Handle<C::Outcome>) {
    let both = Arc::new(Both { seat, joiner: UnsafeCell::new(None), value: UnsafeCell::new(Value::Content(content)) });
    (Own(both.clone()), Handle { both: Some(both) })
}

/// The right to work on a child.
pub(crate) struct Own<C: Content>(Arc<Both<C>>);

impl<C: Content> Own<C> {
    pub(crate) fn seat(&self) -> &Seat {
        &self.0.seat
    }

    /// Has `f` work on the content, in its place.
    #[inline]
    pub(crate) fn with<T>(&mut self, f: impl FnOnce(Held<'_, C>, &Seat, &mut Context<'_>) -> T) -> T {
        let waker = self.waker();
        self.0.value.with_mut(|value| {
            // SAFETY: by invariant 1 nobody else touches the value while `self`, which has published nothing, is borrowed.
            let value = unsafe { &mut *value };
            f(Held(value), &self.0.seat, &mut Context::from_waker(&waker))
        })
    }

    /// A waker to be kept.
    pub(crate) fn kept_waker(&self) -> Waker {
        Waker::from(self.0.clone())
    }

    /// A waker for a poll, without a count of its own.
    fn waker(&self) -> Lent<'_> {
        // SAFETY: the pointer comes from an `Arc` that outlives what is returned, which borrows it. The count that this
        // handle would stand for is never given back, as it was never taken.
        let both = unsafe { Arc::from_raw(Arc::as_ptr(&self.0)) };
        Lent { waker: ManuallyDrop::new(Waker::from(both)), lender: PhantomData }
    }

    /// Hands the outcome over, and who waits for it. Hands it back where nobody does any more.
    pub(crate) fn publish(self, outcome: C::Outcome) -> (Spent, Option<C::Outcome>, Option<Waker>) {
        self.0.value.with_mut(|value| {
            // SAFETY: as in `with`. A content that is still there is dropped in its place.
            unsafe { *value = Value::Outcome(outcome) }
        });
        // Ordering: AcqRel; see the head.
        let before = self.0.seat.state.fetch_or(DONE, Ordering::AcqRel);
        let (mut unwanted, mut joiner) = (None, None);
        if before & GONE != 0 {
            // SAFETY: by invariant 3 the right to the value is still here.
            unwanted = unsafe { self.0.take() };
        } else if before & JOINED != 0 {
            // SAFETY: both bits were found, so that by invariant 5 it is this thread's.
            joiner = unsafe { self.0.take_joiner() };
        }
        (Spent(self.0), unwanted, joiner)
    }

    /// Forgets the type.
    pub(crate) fn erase(self) -> Work {
        Work(self.0)
    }
}

/// The content of a child, held by whoever works on it.
pub(crate) struct Held<'a, C: Content>(&'a mut Value<C>);

impl<C: Content> Held<'_, C> {
    /// The content in its place. `None` where it was dropped.
    #[inline]
    pub(crate) fn content(&mut self) -> Option<Pin<&mut C>> {
        match self.0 {
            // SAFETY: by invariant 4 it doesn't move until it is dropped.
            Value::Content(content) => Some(unsafe { Pin::new_unchecked(content) }),
            Value::Outcome(_) | Value::Empty => None,
        }
    }

    /// Drops the content in its place. Where its destructor panics, it is gone all the same.
    #[inline]
    pub(crate) fn clear(&mut self) {
        *self.0 = Value::Empty;
    }
}

/// A waker that is borrowed.
struct Lent<'a> {
    waker: ManuallyDrop<Waker>,
    lender: PhantomData<&'a ()>,
}

impl Deref for Lent<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        let Self { waker, lender: PhantomData } = self;
        waker
    }
}

impl<C: Content> Both<C> {
    /// Takes the joiner's waker out.
    ///
    /// # Safety
    ///
    /// It is the caller's, by invariant 5.
    unsafe fn take_joiner(&self) -> Option<Waker> {
        // SAFETY: the caller's promise.
        self.joiner.with_mut(|joiner| unsafe { &mut *joiner }.take())
    }

    /// Takes the outcome out.
    ///
    /// # Safety
    ///
    /// The caller has the right to the value, and it holds no content any more.
    unsafe fn take(&self) -> Option<C::Outcome> {
        self.value.with_mut(|value| {
            // SAFETY: the caller's promise.
            match mem::replace(unsafe { &mut *value }, Value::Empty) {
                Value::Outcome(outcome) => Some(outcome),
                Value::Content(_) | Value::Empty => None,
            }
        })
    }
}

/// The right to work on a child of whatever type.
pub(crate) struct Work(Arc<dyn Erased>);

impl Work {
    pub(crate) fn seat(&self) -> &Seat {
        self.0.seat()
    }

    /// A look at it, for who has to do without the work.
    pub(crate) fn glance(&self) -> Glance {
        Glance(self.0.clone())
    }

    /// Polls the child, or ends it.
    pub(crate) fn run(self, order: Order) -> Ran<Self> {
        // SAFETY: this is the one right, by invariant 1, and is used up.
        unsafe { self.0.run(order) }
    }
}

/// The head of a child, and no right to anything in it.
pub(crate) struct Glance(Arc<dyn Erased>);

impl Glance {
    pub(crate) fn seat(&self) -> &Seat {
        self.0.seat()
    }
}

trait Erased: Send + Sync {
    fn seat(&self) -> &Seat;

    /// # Safety
    ///
    /// The caller has the right to work on it, and gives it away.
    unsafe fn run(self: Arc<Self>, order: Order) -> Ran<Work>;
}

impl<C: Content> Erased for Both<C> {
    fn seat(&self) -> &Seat {
        &self.seat
    }

    unsafe fn run(self: Arc<Self>, order: Order) -> Ran<Work> {
        match C::run(Own(self), order) {
            Ran::Pending(own) => Ran::Pending(own.erase()),
            Ran::Ended(spent) => Ran::Ended(spent),
        }
    }
}

/// The right to a child's outcome.
pub(crate) struct Handle<O> {
    /// `None` once it is given up.
    both: Option<Arc<dyn Joined<O>>>,
}

impl<O> Handle<O> {
    fn both(&self) -> &dyn Joined<O> {
        match &self.both {
            Some(both) => &**both,
            None => unreachable!("a handle is used after it was given up"),
        }
    }

    pub(crate) fn seat(&self) -> &Seat {
        self.both().seat()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.both().is_done()
    }

    /// Tells whether anything keeps the allocation, this handle included, without keeping it.
    #[cfg(all(test, anyscope_loom))]
    pub(crate) fn kept(&self) -> impl Fn() -> bool + use<O>
    where
        O: 'static,
    {
        let both = self.both.as_ref().map(Arc::downgrade);
        move || both.as_ref().is_some_and(|both| both.strong_count() > 0)
    }

    /// Puts an outcome back that was taken, for the next one who asks.
    pub(crate) fn put_back(&mut self, outcome: O) {
        // SAFETY: this is the one handle, by invariant 2, and it is borrowed alone.
        unsafe { self.both().put_back(outcome) }
    }

    /// Takes the outcome, or leaves the waker for it.
    ///
    /// # Panics
    ///
    /// Where it was taken before.
    pub(crate) fn poll_outcome(&mut self, cx: &Context<'_>) -> Poll<O> {
        // SAFETY: this is the one handle, by invariant 2, and it is borrowed alone.
        unsafe { self.both().poll_outcome(cx) }
    }

    fn give_up(&mut self) -> Option<O> {
        // SAFETY: as above; it is used up.
        self.both.take().and_then(|both| unsafe { both.give_up() })
    }
}

impl<O> Drop for Handle<O> {
    fn drop(&mut self) {
        // A value of the user's, whose destructor runs here, outside of every lock.
        drop(self.give_up());
    }
}

trait Joined<O>: Send + Sync {
    fn seat(&self) -> &Seat;

    fn is_done(&self) -> bool;

    /// # Safety
    ///
    /// The caller is the one handle, and no other call of it is under way.
    unsafe fn put_back(&self, outcome: O);

    /// # Safety
    ///
    /// The caller is the one handle, and no other call of it is under way.
    unsafe fn poll_outcome(&self, cx: &Context<'_>) -> Poll<O>;

    /// # Safety
    ///
    /// The caller is the one handle, and doesn't use it again.
    unsafe fn give_up(&self) -> Option<O>;
}

impl<C: Content> Both<C> {
    /// Leaves a waker for who waits. Says whether the outcome came before it.
    ///
    /// # Safety
    ///
    /// The caller is the one handle.
    unsafe fn leave(&self, waker: Waker) -> bool {
        // Ordering: AcqRel, here and below; see the head.
        let found = self.seat.state.fetch_and(!JOINED, Ordering::AcqRel);
        if found & DONE != 0 {
            return true;
        }
        let stale = self.joiner.with_mut(|joiner| {
            // SAFETY: `JOINED` is off, and `DONE` wasn't set by then: the handle's, by invariant 5.
            unsafe { &mut *joiner }.replace(waker)
        });
        #[cfg(bug_outcome_published_before_the_wait)]
        let late = !DONE;
        #[cfg(not(bug_outcome_published_before_the_wait))]
        let late = !0;
        let found = self.seat.state.fetch_or(JOINED, Ordering::AcqRel) & late;
        drop(stale);
        if found & DONE == 0 {
            return false;
        }
        // SAFETY: `DONE` came while `JOINED` was off: the publisher looked at no waker.
        let unused = unsafe { self.take_joiner() };
        drop(unused);
        true
    }
}

impl<C: Content> Joined<C::Outcome> for Both<C> {
    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn is_done(&self) -> bool {
        // Ordering: Acquire; the outcome, and that the future is gone, happened before.
        self.seat.state.load(Ordering::Acquire) & DONE != 0
    }

    unsafe fn put_back(&self, outcome: C::Outcome) {
        assert!(self.is_done(), "an outcome comes back before there was one");
        self.value.with_mut(|value| {
            // SAFETY: `DONE` was found, so that by invariant 2 the right is the handle's, which the caller is. No content is
            // there any more.
            unsafe { *value = Value::Outcome(outcome) }
        });
    }

    unsafe fn poll_outcome(&self, cx: &Context<'_>) -> Poll<C::Outcome> {
        // SAFETY: the caller is the one handle.
        if !self.is_done() && !unsafe { self.leave(cx.waker().clone()) } {
            return Poll::Pending;
        }
        // SAFETY: `DONE` was found, so that by invariant 2 the right is the handle's, which the caller is.
        match unsafe { self.take() } {
            Some(outcome) => Poll::Ready(outcome),
            None => panic!("a task's handle was polled after it had given the outcome"),
        }
    }

    unsafe fn give_up(&self) -> Option<C::Outcome> {
        // Ordering: AcqRel; see the head. An outcome that is there already needs no word.
        let mut found = self.seat.state.load(Ordering::Acquire);
        if found & DONE == 0 {
            found = self.seat.state.fetch_or(GONE, Ordering::AcqRel);
        }
        if found & (DONE | JOINED) == JOINED && !cfg!(bug_joiner_kept) {
            // A publisher that comes from now on finds `GONE` and looks at no waker.
            // SAFETY: the handle's, by invariant 5, which the caller is; `DONE` wasn't there when `GONE` was set.
            let joiner = unsafe { self.take_joiner() };
            drop(joiner);
        }
        // SAFETY: where `DONE` was found first, the right is the handle's, by invariants 2 and 3.
        if found & DONE != 0 { unsafe { self.take() } } else { None }
    }
}
