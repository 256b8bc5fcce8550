//! A first-in first-out queue of waiters: the one place that stores wakers of waiting futures.
//!
//! A queue is plain data and lives inside the lock of the structure that people wait for. It calls no waker and
//! drops none: it hands them out, and its owner wakes or drops them after the lock is released. (The
//! `event-listener` crate calls wakers under its own lock, which a waker that re-enters turns into a deadlock.)
//!
//! # States of an entry
//!
//! *queued* (in the list, has a waker) → *notified* (off the list, waiting to be seen by its future) → gone.
//! Its future may take it out in either state, in O(1), and is told which it was.
//!
//! # Invariants
//!
//! 1. An entry is in the list if and only if it is queued.
//! 2. Following `next` from `head` visits the queued entries in the order of their arrival and ends at `tail`.
//! 3. A key belongs to one future from `push` to `remove`; nobody else removes it.

use slab::Slab;
use std::mem;
use std::task::Waker;

const NONE: usize = usize::MAX;

/// Waiters in the order of their arrival; `D` is what each waits for.
pub(crate) struct WaitQueue<D> {
    entries: Slab<Entry<D>>,
    head: usize,
    tail: usize,
    queued: usize,
}

struct Entry<D> {
    /// `None` once notified.
    waker: Option<Waker>,
    data: D,
    prev: usize,
    next: usize,
}

/// In which state an entry was when its future took it out.
#[must_use]
pub(crate) enum Removed<D> {
    /// Nobody had notified it; the waker is the caller's to drop, outside the lock.
    Queued(D, Waker),
    /// It had been notified, and the caller answers for what it was given.
    Notified(D),
}

impl<D> WaitQueue<D> {
    pub(crate) const fn new() -> Self {
        Self { entries: Slab::new(), head: NONE, tail: NONE, queued: 0 }
    }

    /// How many wait and haven't been notified.
    pub(crate) fn len(&self) -> usize {
        self.queued
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Adds a waiter at the end.
    pub(crate) fn push(&mut self, data: D, waker: Waker) -> usize {
        let key = self.entries.insert(Entry { waker: Some(waker), data, prev: self.tail, next: NONE });
        match self.tail {
            NONE => self.head = key,
            tail => self.entries[tail].next = key,
        }
        self.tail = key;
        self.queued += 1;
        key
    }

    /// What the waiter at the head waits for.
    pub(crate) fn front(&mut self) -> Option<&mut D> {
        self.entries.get_mut(self.head).map(|entry| &mut entry.data)
    }

    /// Notifies the waiter at the head. The entry stays until its future removes it.
    pub(crate) fn notify_front(&mut self) -> Option<Waker> {
        let key = self.head;
        if key == NONE {
            return None;
        }
        self.unlink(key);
        self.entries[key].waker.take()
    }

    /// Notifies every waiter, in order.
    pub(crate) fn notify_all(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::with_capacity(self.queued);
        while let Some(waker) = self.notify_front() {
            wakers.push(waker);
        }
        wakers
    }

    pub(crate) fn is_notified(&self, key: usize) -> bool {
        self.entries[key].waker.is_none()
    }

    /// Replaces a queued entry's waker where the new one wakes something else, and returns the one not needed.
    pub(crate) fn update(&mut self, key: usize, waker: Waker) -> Waker {
        match &mut self.entries[key].waker {
            Some(stored) if !stored.will_wake(&waker) => mem::replace(stored, waker),
            _ => waker,
        }
    }

    /// Takes an entry out, in whatever state.
    pub(crate) fn remove(&mut self, key: usize) -> Removed<D> {
        if self.entries[key].waker.is_some() {
            self.unlink(key);
        }
        let entry = self.entries.remove(key);
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            // A burst of waiters shouldn't hold its memory for ever.
            self.entries = Slab::new();
        }
        match entry.waker {
            Some(waker) => Removed::Queued(entry.data, waker),
            None => Removed::Notified(entry.data),
        }
    }

    fn unlink(&mut self, key: usize) {
        let Entry { prev, next, .. } = self.entries[key];
        match prev {
            NONE => self.head = next,
            prev => self.entries[prev].next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => self.entries[next].prev = prev,
        }
        self.queued -= 1;
    }
}

/// Wakes each, though one of them panics; the first panic goes on afterwards.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut panic = None;
    for waker in wakers {
        if let Err(payload) = crate::guard::catch(|| waker.wake()) {
            panic.get_or_insert(payload);
        }
    }
    crate::guard::resume(panic);
}
