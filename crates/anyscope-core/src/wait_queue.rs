//! A first-in first-out queue of waiters: the one queue of waiting futures.
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
//! 4. An entry that nobody has is empty, and in the list that begins at `free`. So whoever waits takes no allocation once
//!    as many have waited before.

use crate::guard;
use std::mem;
use std::task::Waker;

const NONE: usize = usize::MAX;

/// Waiters in the order of their arrival; `D` is what each waits for.
pub(crate) struct WaitQueue<D> {
    entries: Vec<Entry<D>>,
    free: usize,
    /// How many entries somebody has.
    used: usize,
    head: usize,
    tail: usize,
    queued: usize,
}

struct Entry<D> {
    /// `None` once notified.
    waker: Option<Waker>,
    /// `None` where nobody has the entry.
    data: Option<D>,
    prev: usize,
    next: usize,
}

impl<D> Default for WaitQueue<D> {
    fn default() -> Self {
        Self::new()
    }
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
        Self { entries: Vec::new(), free: NONE, used: 0, head: NONE, tail: NONE, queued: 0 }
    }

    /// How many wait and haven't been notified.
    pub(crate) fn len(&self) -> usize {
        self.queued
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Adds a waiter at the end.
    #[inline]
    pub(crate) fn push(&mut self, data: D, waker: Waker) -> usize {
        let entry = Entry { waker: Some(waker), data: Some(data), prev: self.tail, next: NONE };
        let key = match self.entries.get_mut(self.free) {
            Some(free) => mem::replace(&mut self.free, mem::replace(free, entry).next),
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        match self.entries.get_mut(self.tail) {
            Some(tail) => tail.next = key,
            None => self.head = key,
        }
        self.tail = key;
        self.used += 1;
        self.queued += 1;
        key
    }

    /// What the waiter at the head waits for.
    pub(crate) fn front(&mut self) -> Option<&mut D> {
        self.entries.get_mut(self.head)?.data.as_mut()
    }

    /// Notifies the waiter at the head. The entry stays until its future removes it.
    pub(crate) fn notify_front(&mut self) -> Option<Waker> {
        self.answer_front().map(|(_, waker)| waker)
    }

    /// The same, with what it waits for, to be told something.
    #[inline]
    pub(crate) fn answer_front(&mut self) -> Option<(&mut D, Waker)> {
        let Entry { waker, prev, next, .. } = self.entries.get_mut(self.head)?;
        let (waker, prev, next, key) = (waker.take()?, *prev, *next, self.head);
        self.unlink(prev, next);
        Some((self.entries[key].data.as_mut()?, waker))
    }

    /// Notifies those that `is_it` is true of, in order.
    pub(crate) fn notify_where(&mut self, mut is_it: impl FnMut(&mut D) -> bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let mut key = self.head;
        while key != NONE {
            let Entry { waker, data, prev, next } = &mut self.entries[key];
            let (prev, next) = (*prev, *next);
            if data.as_mut().is_some_and(&mut is_it) {
                wakers.extend(waker.take());
                self.unlink(prev, next);
            }
            key = next;
        }
        wakers
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

    /// Whether a queued entry's waker wakes what `waker` does.
    pub(crate) fn will_wake(&self, key: usize, waker: &Waker) -> bool {
        self.entries[key].waker.as_ref().is_some_and(|stored| stored.will_wake(waker))
    }

    /// Replaces a queued entry's waker where the new one wakes something else, and returns the one not needed.
    pub(crate) fn update(&mut self, key: usize, waker: Waker) -> Waker {
        match &mut self.entries[key].waker {
            Some(stored) if !cfg!(bug_stale_waker_kept) && !stored.will_wake(&waker) => mem::replace(stored, waker),
            _ => waker,
        }
    }

    /// Takes an entry out where it was notified.
    #[inline]
    pub(crate) fn take_notified(&mut self, key: usize) -> Option<D> {
        if !self.is_notified(key) {
            return None;
        }
        let data = self.entries[key].data.take();
        self.free_entry(key);
        data
    }

    /// Takes an entry out, in whatever state.
    #[inline]
    pub(crate) fn remove(&mut self, key: usize) -> Removed<D> {
        let Entry { waker, data, prev, next } = &mut self.entries[key];
        let (waker, data, prev, next) = (waker.take(), data.take(), *prev, *next);
        if waker.is_some() {
            self.unlink(prev, next);
        }
        self.free_entry(key);
        let data = data.expect("an entry is removed by whoever has its key");
        match waker {
            Some(waker) => Removed::Queued(data, waker),
            None => Removed::Notified(data),
        }
    }

    /// Nobody has this entry any more.
    #[inline]
    fn free_entry(&mut self, key: usize) {
        self.entries[key].next = mem::replace(&mut self.free, key);
        self.used -= 1;
        if self.used == 0 && self.entries.capacity() > 64 {
            // A burst of waiters shouldn't hold its memory for ever.
            self.entries = Vec::new();
            self.free = NONE;
        }
    }

    /// Takes out of the list what has these neighbours.
    #[inline]
    fn unlink(&mut self, prev: usize, next: usize) {
        match self.entries.get_mut(prev) {
            Some(prev) => prev.next = next,
            None => self.head = next,
        }
        match self.entries.get_mut(next) {
            Some(next) => next.prev = prev,
            None => self.tail = prev,
        }
        self.queued -= 1;
    }
}

impl WaitQueue<()> {
    /// Waits at `place`, or at the end: for the first time, or because what the caller was notified of isn't so any more.
    ///
    /// Hands out the waker that isn't needed, for the caller to drop outside the lock.
    #[must_use]
    pub(crate) fn wait(&mut self, place: &mut Option<usize>, waker: Waker) -> Option<Waker> {
        match *place {
            Some(key) if !self.is_notified(key) => Some(self.update(key, waker)),
            _ => {
                let unused = self.leave(place);
                *place = Some(self.push((), waker));
                unused
            }
        }
    }

    /// Gives up a place, if there is one. The waker is the caller's to drop, outside the lock.
    #[must_use]
    pub(crate) fn leave(&mut self, place: &mut Option<usize>) -> Option<Waker> {
        match self.remove(place.take()?) {
            Removed::Queued((), waker) => Some(waker),
            Removed::Notified(()) => None,
        }
    }
}

/// Wakers that are called after the lock is released, in order. The first takes no allocation.
pub(crate) struct Wakers {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakers {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    pub(crate) fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.rest.push(waker);
        }
    }

    /// Wakes each, if there are any: see [`wake_all`].
    pub(crate) fn wake(self) {
        if self.first.is_some() {
            wake_all(self);
        }
    }
}

impl IntoIterator for Wakers {
    type Item = Waker;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Waker>, std::vec::IntoIter<Waker>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

/// Wakes each. A waker that panics has told so by the panic hook, and ends there: it is no fault of whoever happens to
/// wake it, and the others have to be woken all the same.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut wakers = wakers.into_iter();
    // One that panics is off the iterator already.
    while let Err(payload) = guard::catch(|| wakers.by_ref().for_each(Waker::wake)) {
        guard::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::<Wakes>::default();
        (wakes.clone(), Waker::from(wakes))
    }

    /// A queue of so many, each with its number, and their keys.
    fn queue(waiters: u32) -> (WaitQueue<u32>, Vec<usize>) {
        let mut queue = WaitQueue::new();
        let keys = (0..waiters).map(|number| queue.push(number, waker().1)).collect();
        (queue, keys)
    }

    /// Notifies all that are left, and gives their numbers in the order in which they stood.
    fn order(queue: &mut WaitQueue<u32>) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some(&mut number) = queue.front() {
            assert!(queue.notify_front().is_some());
            numbers.push(number);
        }
        assert!(queue.is_empty() && queue.notify_front().is_none());
        numbers
    }

    #[test]
    fn waiters_are_notified_in_the_order_of_their_arrival() {
        let mut queue = WaitQueue::new();
        let (wakes, keys): (Vec<_>, Vec<_>) = (0..3)
            .map(|number| {
                let (wakes, waker) = waker();
                (wakes, queue.push(number, waker))
            })
            .unzip();
        for (index, key) in keys.iter().enumerate() {
            assert!(!queue.is_notified(*key));
            queue.notify_front().unwrap().wake();
            assert!(queue.is_notified(*key));
            let woken: usize = wakes.iter().map(|wakes| wakes.0.load(Ordering::Relaxed)).sum();
            assert_eq!((woken, wakes[index].0.load(Ordering::Relaxed)), (index + 1, 1));
        }
    }

    #[test]
    fn one_that_leaves_from_anywhere_leaves_the_others_in_order() {
        for (leaving, left) in [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])] {
            let (mut queue, keys) = queue(3);
            assert!(matches!(queue.remove(keys[leaving]), Removed::Queued(number, _) if number as usize == leaving));
            assert_eq!(queue.len(), 2);
            assert_eq!(order(&mut queue), left);
        }
    }

    #[test]
    fn the_only_one_may_leave_and_others_come_after() {
        let (mut queue, keys) = queue(1);
        assert!(matches!(queue.remove(keys[0]), Removed::Queued(0, _)));
        assert!(queue.is_empty() && queue.front().is_none() && queue.notify_front().is_none());
        let _ = (queue.push(7, waker().1), queue.push(8, waker().1));
        assert_eq!(order(&mut queue), [7, 8]);
    }

    #[test]
    fn one_that_was_notified_is_told_so_when_it_leaves() {
        let (mut queue, keys) = queue(2);
        *queue.front().unwrap() = 10;
        assert!(queue.notify_front().is_some());
        assert_eq!(queue.len(), 1);
        assert!(matches!(queue.remove(keys[0]), Removed::Notified(10)));
        assert!(matches!(queue.remove(keys[1]), Removed::Queued(1, _)));
    }

    #[test]
    fn one_that_was_notified_stands_in_nobodys_way() {
        let (mut queue, keys) = queue(3);
        assert!(queue.notify_front().is_some());
        assert_eq!(queue.front(), Some(&mut 1));
        assert!(matches!(queue.remove(keys[0]), Removed::Notified(0)));
        assert_eq!(order(&mut queue), [1, 2]);
    }

    #[test]
    fn a_waker_is_replaced_only_by_one_that_wakes_something_else() {
        let mut queue = WaitQueue::new();
        let (old, waker_of_old) = waker();
        let (new, waker_of_new) = waker();
        let key = queue.push((), waker_of_old.clone());
        assert!(queue.update(key, waker_of_old).will_wake(&Waker::from(old.clone())));
        assert!(queue.update(key, waker_of_new).will_wake(&Waker::from(old.clone())), "the old one is handed out");
        queue.notify_front().unwrap().wake();
        assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
        assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 1));
    }

    #[test]
    fn a_waker_for_one_that_was_notified_is_handed_back() {
        let (mut queue, keys) = queue(1);
        assert!(queue.notify_front().is_some());
        let (wakes, waker) = waker();
        drop(queue.update(keys[0], waker));
        assert_eq!(Arc::strong_count(&wakes), 1);
        assert!(queue.is_notified(keys[0]), "an update doesn't queue it again");
    }

    #[test]
    fn one_that_waits_on_keeps_its_place_and_one_that_was_notified_comes_after_the_others() {
        let mut queue = WaitQueue::new();
        let (wakes, waker_of_first) = waker();
        let (mut first, mut second) = (None, None);
        assert!(queue.wait(&mut first, waker_of_first.clone()).is_none());
        assert!(queue.wait(&mut second, waker().1).is_none());
        let unused = queue.wait(&mut first, waker_of_first.clone());
        assert!(unused.is_some_and(|unused| unused.will_wake(&waker_of_first)));
        assert_eq!(queue.len(), 2, "nobody stands in it twice");

        assert!(queue.notify_front().is_some_and(|waker| waker.will_wake(&waker_of_first)), "it was the first still");
        assert!(queue.wait(&mut first, waker_of_first.clone()).is_none());
        assert_eq!(queue.len(), 2);
        assert!(queue.leave(&mut second).is_some());
        assert!(queue.notify_front().is_some_and(|waker| waker.will_wake(&waker_of_first)));
        assert!(queue.leave(&mut first).is_none(), "it was notified, and has no waker to give back");
        assert!(queue.leave(&mut first).is_none() && first.is_none() && queue.used == 0);
        drop(waker_of_first);
        assert_eq!(Arc::strong_count(&wakes), 1);
    }

    #[test]
    fn all_are_notified_in_order_and_stay_until_they_leave() {
        let (mut queue, keys) = queue(3);
        assert!(matches!(queue.remove(keys[1]), Removed::Queued(1, _)));
        assert_eq!(queue.notify_all().len(), 2);
        assert!(queue.is_empty() && queue.notify_all().is_empty());
        assert!(matches!(queue.remove(keys[0]), Removed::Notified(0)));
        assert!(matches!(queue.remove(keys[2]), Removed::Notified(2)));
    }

    #[test]
    fn a_burst_of_waiters_does_not_hold_its_memory() {
        let (mut queue, keys) = queue(1_000);
        for key in keys {
            drop(queue.remove(key));
        }
        assert!(queue.entries.capacity() <= 64);
        let _ = queue.push(1, waker().1);
        assert_eq!(order(&mut queue), [1]);
    }

    #[test]
    fn every_waker_is_called_though_one_of_them_panics() {
        struct Panics;

        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                std::panic::resume_unwind(Box::new("waker"));
            }
        }

        let (wakes, last) = waker();
        let wakers = [Waker::from(Arc::new(Panics)), Waker::from(Arc::new(Panics)), last];
        wake_all(wakers);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }

    /// Marsaglia's xorshift: numbers that are the same on each run.
    struct Xorshift(u64);

    impl Xorshift {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % bound
        }
    }

    /// One step after the other against a queue that is plainly right.
    #[test]
    fn it_does_what_a_plain_queue_does() {
        for seed in 1..=200 {
            let mut random = Xorshift(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
            let mut queue = WaitQueue::new();
            let mut plain = VecDeque::new();
            let (mut queued, mut notified) = (Vec::new(), Vec::new());
            for number in 0..300_u32 {
                match random.below(8) {
                    0..=2 => {
                        queued.push((queue.push(number, waker().1), number));
                        plain.push_back(number);
                    }
                    3 | 4 => {
                        assert_eq!(queue.front().copied(), plain.front().copied());
                        assert_eq!(queue.notify_front().is_some(), !plain.is_empty());
                        if let Some(number) = plain.pop_front() {
                            let index = queued.iter().position(|(_, queued)| *queued == number).unwrap();
                            notified.push(queued.swap_remove(index));
                        }
                    }
                    5 if !queued.is_empty() => {
                        let (key, number) = queued.swap_remove(random.below(queued.len()));
                        assert!(matches!(queue.remove(key), Removed::Queued(removed, _) if removed == number));
                        plain.retain(|queued| *queued != number);
                    }
                    6 if !notified.is_empty() => {
                        let (key, number) = notified.swap_remove(random.below(notified.len()));
                        assert!(matches!(queue.remove(key), Removed::Notified(removed) if removed == number));
                    }
                    7 if random.below(20) == 0 => {
                        assert_eq!(queue.notify_all().len(), plain.len());
                        plain.clear();
                        notified.append(&mut queued);
                    }
                    _ => {}
                }
                assert_eq!((queue.len(), queue.is_empty()), (plain.len(), plain.is_empty()), "seed {seed}");
                assert!(queued.iter().all(|(key, _)| !queue.is_notified(*key)));
                assert!(notified.iter().all(|(key, _)| queue.is_notified(*key)));
            }
            assert_eq!(order(&mut queue), Vec::from(plain), "seed {seed}");
        }
    }
}
