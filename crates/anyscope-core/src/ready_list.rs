//! Which futures of a set are ready: what a gather and a race are made of.
//!
//! Every future of a [`Set`] has a waker of its own, which puts the future's slot into the set's list and wakes the
//! task around. So a wake costs what is ready, not what there is. A poll of the set works off the slots that were ready
//! when it began; what becomes ready meanwhile has woken the task and waits for the next poll, so that a future which
//! wakes itself keeps nobody from being polled.
//!
//! # Invariants
//!
//! 1. A slot is in the list, or being polled, if `queued` is set; a wake that finds it set does nothing.
//! 2. `queued` is cleared before the future is polled, so that a wake during the poll counts.
//! 3. While the list isn't empty, the task was woken since it last looked, or is looking.
//!
//! # Lock order
//!
//! The list's lock is a leaf; wakers are cloned, woken and dropped outside of it.

use crate::coop;
use crate::guard;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

/// Futures that are polled together by one task, each when it is ready.
#[allow(unreachable_pub, reason = "a sealed trait of `gather` names it")]
pub struct Set<F> {
    slots: Vec<Slot<F>>,
    free: Vec<usize>,
    list: Arc<ReadyList>,
    /// The slots being worked off; kept for its memory.
    batch: Vec<usize>,
    live: usize,
}

struct Slot<F> {
    /// The box is kept when its future has ended, for the next one.
    future: Pin<Box<Option<F>>>,
    /// What the caller knows the future by.
    index: usize,
    entry: Arc<Entry>,
    waker: Waker,
}

struct ReadyList {
    inner: Mutex<List>,
}

struct List {
    ready: Vec<usize>,
    task: Option<Waker>,
}

struct Entry {
    list: Arc<ReadyList>,
    slot: usize,
    queued: AtomicBool,
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Ordering: AcqRel; what the waking thread did before is seen by the poll that clears the flag (invariant 2).
        let publish = if cfg!(bug_queued_set_relaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
        if self.queued.swap(true, publish) {
            return;
        }
        let task = {
            let mut list = self.list.inner.lock();
            list.ready.push(self.slot);
            list.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<F: Future> Set<F> {
    pub(crate) fn new() -> Self {
        let list = Arc::new(ReadyList { inner: Mutex::new(List { ready: Vec::new(), task: None }) });
        Self { slots: Vec::new(), free: Vec::new(), list, batch: Vec::new(), live: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds a future; it is polled for the first time by the next [`poll`](Self::poll).
    pub(crate) fn add(&mut self, index: usize, future: F) {
        self.live += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot].future.set(Some(future));
                self.slots[slot].index = index;
                slot
            }
            None => {
                let slot = self.slots.len();
                let entry = Arc::new(Entry { list: self.list.clone(), slot, queued: AtomicBool::new(false) });
                let waker = Waker::from(entry.clone());
                self.slots.push(Slot { future: Box::pin(Some(future)), index, entry, waker });
                slot
            }
        };
        // Ordering: AcqRel, as in `wake`; a late wake of the slot's last future may have queued it already.
        if !self.slots[slot].entry.queued.swap(true, Ordering::AcqRel) {
            self.list.inner.lock().ready.push(slot);
        }
    }

    /// Polls what is ready, in the order in which it became so, and hands each value to `done`, which says whether to
    /// go on.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, mut done: impl FnMut(usize, F::Output) -> bool) {
        let task = cx.waker().clone();
        self.batch.clear();
        let unused = {
            let mut list = self.list.inner.lock();
            mem::swap(&mut list.ready, &mut self.batch);
            match &list.task {
                Some(kept) if cfg!(bug_first_waker_kept) || kept.will_wake(&task) => Some(task),
                _ => list.task.replace(task),
            }
        };
        drop(unused);
        let mut batch = Unpolled { batch: &mut self.batch, next: 0, list: &self.list };
        while let Some(&slot) = batch.batch.get(batch.next) {
            batch.next += 1;
            let Slot { future, index, entry, waker } = &mut self.slots[slot];
            // Ordering: Release would do for the flag alone; the swap's Acquire sees what the waker's thread did.
            let see = if cfg!(bug_queued_cleared_relaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
            if !cfg!(bug_queued_cleared_after_the_poll) {
                entry.queued.swap(false, see);
            }
            let Some(future_now) = future.as_mut().as_pin_mut() else { continue };
            let polled = coop::fresh(|| future_now.poll(&mut Context::from_waker(waker)));
            #[cfg(bug_queued_cleared_after_the_poll)]
            entry.queued.swap(false, Ordering::AcqRel);
            if let Poll::Ready(value) = polled {
                let index = *index;
                future.set(None);
                self.free.push(slot);
                self.live -= 1;
                if !done(index, value) {
                    break;
                }
            }
        }
    }
}

/// The part of a batch that a poll didn't get to, because it was stopped or a future panicked: it stays ready.
struct Unpolled<'a> {
    batch: &'a mut Vec<usize>,
    next: usize,
    list: &'a ReadyList,
}

impl Drop for Unpolled<'_> {
    fn drop(&mut self) {
        if self.next < self.batch.len() && !cfg!(bug_rest_of_a_batch_lost) {
            let task = {
                let mut list = self.list.inner.lock();
                let later = mem::take(&mut list.ready);
                list.ready.extend(self.batch.drain(self.next..));
                list.ready.extend(later);
                list.task.take()
            };
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

impl<F> Drop for Set<F> {
    fn drop(&mut self) {
        let task = if cfg!(bug_waker_kept_after_the_drop) { None } else { self.list.inner.lock().task.take() };
        drop(task);
        // Each future is dropped though another's destructor panics; the first panic goes on afterwards.
        let mut panic = None;
        for slot in self.slots.drain(..) {
            if let Some(payload) = guard::drop_caught(slot.future) {
                panic.get_or_insert(payload);
            }
        }
        guard::resume(panic);
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
