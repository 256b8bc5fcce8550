//! Which futures of a set are ready: what a gather and a race are made of.
//!
//! Every future of a [`Set`] has a waker of its own, which puts the future's place into the set's list and wakes the
//! task around. So a wake costs what is ready, not what there is. A poll of the set works off what was ready when it
//! began; what becomes ready meanwhile waits for the next poll, of which the task is told, so that a future which wakes
//! itself keeps nobody from being polled.
//!
//! # What is where
//!
//! Places come in chunks of 4, 16, 64 and then 256, which never move ([`Places`]). A chunk's entries lie in a block of their
//! own, which lives as long as any waker of theirs ([`Wakers`]). A place that is empty again is used again, the last
//! one first.
//!
//! What is ready stands in `ready`, in the order in which it became so, and in the list of [`Woken`], which is behind
//! it: there wakes put what they find, by an address-free number, each in front of the one before. Whoever moves the
//! list to the end of `ready` turns it round. A future that wakes itself in its own poll touches neither list nor
//! atomics: its waker finds it in `POLLED`, leaves a mark there, and the set puts it into `ready` itself.
//!
//! # Invariants
//!
//! 1. An entry is in the list of `Woken`, or stands in `ready` or `batch` marked as `WOKEN`, or is about to be put into
//!    the list by the thread that has set its `queued`, if `queued` is set; a wake that finds it set does nothing.
//! 2. `queued` is cleared before the future is polled, so that a wake during the poll counts.
//! 3. While the list isn't empty, the task was woken since it last looked, or is looking, or is about to be woken by
//!    who put the first entry in. Who polls leaves its waker before it looks at the list.
//! 4. When a poll ends with something in `ready`, it has woken its task.
//! 5. Only the owner takes something out of the list, and all of it at once.
//!
//! # Memory ordering
//!
//! What a wake's thread did before is to be seen by the poll that the wake brings about. Where it puts the entry in,
//! its Release in [`Woken::push`] pairs with the Acquire in [`take_all`]. Where it finds the entry queued, it has
//! nothing but the swap of `queued`, which pairs with the swap that clears it.
//!
//! # Lock order
//!
//! The lock of the task's waker is a leaf; wakers are cloned, woken and dropped outside of it.

#[allow(unsafe_code, reason = "pins one of many places in an allocation; a box for each takes one each")]
mod places;
#[allow(unsafe_code, reason = "wakers that are addresses in an allocation; an `Arc` for each takes one each")]
mod wakers;

use self::places::Places;
use self::wakers::{Target, Wakers};
use crate::context;
use crate::coop::Budgets;
use crate::guard;
use crate::observe;
use crate::sync::{Arc, AtomicBool, AtomicU32, Mutex, Ordering, thread_local};
use crate::tree::notes::Lane;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::future::Future;
use std::iter;
use std::mem;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};

/// A chunk has a place for each number that these bits can hold, or fewer.
const BITS: u32 = 8;

/// No place: the end of the list, or of the places that are free.
const NONE: u32 = u32::MAX;

/// Marks a place in `ready` whose entry is queued.
const WOKEN: u32 = 1 << 31;

thread_local! {
    // The address of the entry whose future is being polled by this thread, the innermost; one more, if it was woken
    // since, and zero between polls.
    static POLLED: Cell<usize> = const { Cell::new(0) };
}

/// The innermost future of a set that is being polled by this thread, if any: a number that no other has meanwhile.
pub(crate) fn lane() -> Lane {
    NonZeroUsize::new(POLLED.try_with(|polled| polled.get() & !1).unwrap_or(0))
}

/// A future of a set is gone, and with it what it waited for.
#[cold]
fn left(address: usize) {
    if let (Some((notes, _)), Some(lane)) = (context::notes(), NonZeroUsize::new(address)) {
        notes.left(lane);
    }
}

/// Futures that are polled together by one task, each when it is ready.
#[allow(unreachable_pub, reason = "a sealed trait of `gather` names it")]
pub struct Set<F> {
    chunks: Vec<Chunk<F>>,
    /// The first of the places that are free again; each knows the next.
    free: u32,
    /// How many places of the last chunk have never been used.
    unused: usize,
    /// There from the first future on.
    woken: Option<Arc<Woken>>,
    /// What is ready, in front of what is in the list.
    ready: Vec<u32>,
    /// What is being worked off; kept for its memory.
    batch: Vec<u32>,
    live: usize,
}

struct Chunk<F> {
    places: Places<Place<F>>,
    wakers: Wakers<Entry>,
}

pin_project! {
    struct Place<F> {
        #[pin]
        future: Option<F>,
        // What the caller knows the future by; the next free place, where this is one.
        index: usize,
    }
}

/// What wakers and set have in common.
struct Woken {
    /// The place that was put in last.
    head: AtomicU32,
    task: Mutex<Option<Waker>>,
}

/// What the entries of a chunk have in common.
struct Around {
    woken: Arc<Woken>,
    /// The number of the chunk's first place.
    first: u32,
}

struct Entry {
    /// The place that was put into the list before this.
    next: AtomicU32,
    queued: AtomicBool,
}

impl Entry {
    fn new() -> Self {
        Self { next: AtomicU32::new(NONE), queued: AtomicBool::new(false) }
    }
}

impl Target for Entry {
    type Shared = Around;

    #[inline]
    fn wake(&self, index: u32, around: &Around) {
        let this = ptr::from_ref(self).addr();
        let by_itself = POLLED.try_with(|polled| {
            let is_polled = polled.get() & !1 == this;
            if is_polled {
                polled.set(this | 1);
            }
            is_polled
        });
        // While a thread ends and its locals are gone, nobody is polled by it.
        if by_itself.unwrap_or(false) {
            return;
        }
        // Ordering: AcqRel; what the waking thread did before is seen by the poll that clears the flag (invariant 2).
        let publish = if cfg!(bug_queued_set_relaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
        if !self.queued.swap(true, publish) {
            around.woken.push(around.first + index, self);
        }
    }
}

impl Woken {
    fn new() -> Self {
        Self { head: AtomicU32::new(NONE), task: Mutex::new(None) }
    }

    /// Puts a place into the list, whose entry the caller has queued, and wakes the task if it is the first.
    fn push(&self, place: u32, entry: &Entry) {
        // Ordering: Relaxed; a guess.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // Ordering: Relaxed; published with the head.
            entry.next.store(head, Ordering::Relaxed);
            // Ordering: Release; with the entries behind it, to the Acquire in `take_all`. Those in between only add to
            // what this publishes.
            match self.head.compare_exchange_weak(head, place, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        if head == NONE {
            let task = self.task.lock().take();
            if let Some(task) = task {
                task.wake();
            }
        }
    }

    /// Whether there is something in the list.
    #[inline]
    fn is_any(&self) -> bool {
        // Ordering: Relaxed; who looks after a wake has the lock of `task` between (invariant 3), and sees its entry.
        self.head.load(Ordering::Relaxed) != NONE
    }

    /// Has the task woken from now on.
    fn register(&self, task: &Waker) {
        if self.task.lock().as_ref().is_some_and(|kept| cfg!(bug_first_waker_kept) || kept.will_wake(task)) {
            return;
        }
        let task = task.clone();
        let before = self.task.lock().replace(task);
        drop(before);
    }
}

impl<F> Place<F> {
    #[inline]
    fn put(self: Pin<&mut Self>, index: usize, future: F) {
        let mut this = self.project();
        *this.index = index;
        this.future.set(Some(future));
    }
}

impl<F> Chunk<F> {
    fn new<const N: usize>(woken: Arc<Woken>, first: u32) -> Self {
        Self {
            places: Places::new(N, || Place { future: None, index: NONE as usize }),
            wakers: Wakers::new::<N>(Around { woken, first }, Entry::new),
        }
    }
}

/// The chunk of a place, and where it is in there.
#[inline]
fn parts(place: u32) -> (usize, usize) {
    let place = (place & !WOKEN) as usize;
    (place >> BITS, place & ((1 << BITS) - 1))
}

/// Moves what was woken to the end of what is ready.
#[inline]
fn take_woken<F>(woken: &Woken, chunks: &[Chunk<F>], ready: &mut Vec<u32>) {
    if woken.is_any() {
        take_all(woken, chunks, ready);
    }
}

fn take_all<F>(woken: &Woken, chunks: &[Chunk<F>], ready: &mut Vec<u32>) {
    // Ordering: Acquire; pairs with the Release in `push`.
    let mut place = woken.head.swap(NONE, Ordering::Acquire);
    let before = ready.len();
    while place != NONE {
        ready.push(place | WOKEN);
        let (chunk, at) = parts(place);
        // Ordering: Relaxed; published with the head.
        place = chunks[chunk].wakers.target(at).next.load(Ordering::Relaxed);
    }
    ready[before..].reverse();
}

impl<F: Future> Set<F> {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), free: NONE, unused: 0, woken: None, ready: Vec::new(), batch: Vec::new(), live: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds a future; it is polled for the first time by the next [`poll`](Self::poll).
    pub(crate) fn add(&mut self, index: usize, future: F) {
        let mut started = index;
        self.fill(&mut iter::once(future), 1, &mut started);
    }

    /// Adds what `input` gives, at most `room` of it, and counts it in `started`, which is the index of the next. Returns
    /// whether the input has ended.
    #[inline]
    pub(crate) fn fill(&mut self, input: &mut impl Iterator<Item = F>, mut room: usize, started: &mut usize) -> bool {
        if let Some(woken) = &self.woken {
            take_woken(woken, &self.chunks, &mut self.ready);
        }
        while room > 0 {
            let Some(mut future) = input.next() else { return true };
            room -= 1;
            if self.free != NONE {
                self.reuse(*started, future);
                *started += 1;
                continue;
            }
            let first = self.next_unused();
            let (chunk, at) = parts(first);
            let places = &mut self.chunks[chunk].places;
            // As many as there are in this chunk; nobody can have woken one of them yet.
            let Self { unused, ready, live, .. } = self;
            let mut run = Run { unused, ready, live, started, first, len: 0 };
            for mut place in places.from(at) {
                place.as_mut().put(*run.started + run.len, future);
                run.len += 1;
                if room == 0 || run.len == *run.unused {
                    break;
                }
                let Some(next) = input.next() else { return true };
                (future, room) = (next, room - 1);
            }
        }
        false
    }

    /// Adds a future in a place that is free again.
    fn reuse(&mut self, index: usize, future: F) {
        let place = self.free;
        let (chunk, at) = parts(place);
        let Chunk { places, wakers } = &mut self.chunks[chunk];
        let mut free = places.get(at);
        self.free = *free.as_mut().project().index as u32;
        free.put(index, future);
        self.live += 1;
        // Ordering: Relaxed; a late wake of the place's last future brings the poll, and what it published.
        if !wakers.target(at).queued.load(Ordering::Relaxed) {
            self.ready.push(place);
        }
    }

    /// The next place that has never been used, of a new chunk where there is none left.
    #[inline]
    fn next_unused(&mut self) -> u32 {
        let chunks = self.chunks.len();
        if self.unused == 0 {
            assert!(chunks < (WOKEN >> BITS) as usize, "a gather or a race of two thousand million futures at a time");
            let woken = self.woken.get_or_insert_with(|| Arc::new(Woken::new())).clone();
            let first = (chunks as u32) << BITS;
            let (len, chunk) = match chunks {
                0 => (4, Chunk::new::<4>(woken, first)),
                1 => (16, Chunk::new::<16>(woken, first)),
                2 => (64, Chunk::new::<64>(woken, first)),
                _ => (256, Chunk::new::<256>(woken, first)),
            };
            self.chunks.push(chunk);
            self.unused = len;
            return first;
        }
        let last = &self.chunks[chunks - 1];
        (((chunks - 1) << BITS) + last.wakers.len() - self.unused) as u32
    }

    /// Polls what is ready, in the order in which it became so, and hands each value to `done`, which says whether to
    /// go on.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, mut done: impl FnMut(usize, F::Output) -> bool) {
        let Self { chunks, free, woken, ready, batch, live, .. } = self;
        let Some(woken) = woken else { return };
        woken.register(cx.waker());
        take_woken(woken, chunks, ready);
        mem::swap(ready, batch);
        let is_recording = observe::is_recording();
        let outer = POLLED.try_with(|polled| polled.replace(0)).unwrap_or(0);
        let mut pass = Pass { chunks, woken, ready, batch, next: 0, task: cx.waker(), outer, budgets: Budgets::new() };
        while let Some(&place) = pass.batch.get(pass.next) {
            let (chunk, _) = parts(place);
            let Chunk { places, wakers } = &mut pass.chunks[chunk];
            // Those that come one after the other, and are in one chunk.
            let is_behind_others = loop {
                let Some(&place) = pass.batch.get(pass.next) else { return };
                let (its_chunk, at) = parts(place);
                if its_chunk != chunk {
                    break false;
                }
                pass.next += 1;
                let (entry, waker) = wakers.lend(at);
                if place & WOKEN != 0 && !cfg!(bug_queued_cleared_after_the_poll) {
                    // Ordering: Release would do for the flag alone; the swap's Acquire sees what the waker's thread did.
                    let see = if cfg!(bug_queued_cleared_relaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
                    entry.queued.swap(false, see);
                }
                let mut filled = places.get(at).project();
                // The wake was late, and its future has ended.
                let Some(future) = filled.future.as_mut().as_pin_mut() else { continue };
                pass.budgets.next();
                let address = ptr::from_ref(entry).addr();
                let _ = POLLED.try_with(|polled| polled.set(address));
                let polled = future.poll(&mut Context::from_waker(&waker));
                let was_woken = POLLED.try_with(|polled| polled.replace(0)).is_ok_and(|polled| polled != address);
                #[cfg(bug_queued_cleared_after_the_poll)]
                entry.queued.swap(false, Ordering::AcqRel);
                if let Poll::Ready(value) = polled {
                    let index = *filled.index;
                    filled.future.set(None);
                    if is_recording {
                        left(address);
                    }
                    *filled.index = *free as usize;
                    *free = place & !WOKEN;
                    *live -= 1;
                    if !done(index, value) {
                        return;
                    }
                } else if was_woken {
                    if pass.woken.is_any() {
                        break true;
                    }
                    // Ordering: Relaxed; where another has woken it too, that one's entry brings the next poll.
                    if !entry.queued.load(Ordering::Relaxed) {
                        pass.ready.push(place & !WOKEN);
                    }
                }
            };
            if is_behind_others {
                pass.woke_itself();
            }
        }
    }
}

/// Futures that were put one after the other into places that hadn't been used, also where the input panics in between.
struct Run<'a> {
    unused: &'a mut usize,
    ready: &'a mut Vec<u32>,
    live: &'a mut usize,
    started: &'a mut usize,
    first: u32,
    len: usize,
}

impl Drop for Run<'_> {
    #[inline]
    fn drop(&mut self) {
        self.ready.extend(self.first..self.first + self.len as u32);
        *self.started += self.len;
        *self.live += self.len;
        *self.unused -= self.len;
    }
}

/// A poll of the futures of a batch. What it didn't get to, because it was stopped or a future panicked, stays ready.
struct Pass<'a, F> {
    chunks: &'a mut Vec<Chunk<F>>,
    woken: &'a Woken,
    ready: &'a mut Vec<u32>,
    batch: &'a mut Vec<u32>,
    next: usize,
    task: &'a Waker,
    /// What this thread is polling around the set.
    outer: usize,
    budgets: Budgets,
}

impl<F> Pass<'_, F> {
    /// Notes that the future that was polled last has woken itself, behind those that were woken before.
    fn woke_itself(&mut self) {
        let place = self.batch[self.next - 1] & !WOKEN;
        take_woken(self.woken, self.chunks, self.ready);
        let (chunk, at) = parts(place);
        // Ordering: Relaxed; as in `Set::poll`.
        if !self.chunks[chunk].wakers.target(at).queued.load(Ordering::Relaxed) {
            self.ready.push(place);
        }
    }
}

impl<F> Drop for Pass<'_, F> {
    fn drop(&mut self) {
        let polled = POLLED.try_with(|polled| polled.replace(self.outer)).unwrap_or(0);
        if polled & 1 != 0 {
            // Its poll panicked after that.
            self.woke_itself();
        }
        if self.next < self.batch.len() && !cfg!(bug_rest_of_a_batch_lost) {
            self.batch.drain(..self.next);
            self.batch.append(self.ready);
            mem::swap(self.batch, self.ready);
        }
        self.batch.clear();
        if !self.ready.is_empty() && !cfg!(bug_own_wake_tells_nobody) {
            self.task.wake_by_ref();
        }
    }
}

impl<F> Drop for Set<F> {
    fn drop(&mut self) {
        if let Some(woken) = &self.woken {
            let task = if cfg!(bug_waker_kept_after_the_drop) { None } else { woken.task.lock().take() };
            drop(task);
        }
        if self.live == 0 {
            return;
        }
        if observe::is_recording() {
            for wakers in self.chunks.iter().map(|chunk| &chunk.wakers) {
                (0..wakers.len()).for_each(|at| left(ptr::from_ref(wakers.lend(at).0).addr()));
            }
        }
        // Each future is dropped though another's destructor panics; the first panic goes on afterwards.
        let mut panic = None;
        let (mut chunk, mut at) = (0, 0);
        while let Err(payload) = guard::catch(|| {
            while let Some(Chunk { places, wakers }) = self.chunks.get_mut(chunk) {
                while at < wakers.len() {
                    at += 1;
                    places.get(at - 1).project().future.set(None);
                }
                (chunk, at) = (chunk + 1, 0);
            }
        }) {
            match panic {
                None => panic = Some(payload),
                Some(_) => guard::forget(payload),
            }
        }
        guard::resume(panic);
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
