//! A runtime for anyscope, from nothing: an executor on two threads, its timers and its blocking jobs, on the standard
//! library alone. `docs/adapter.md` walks through it; every line here stands there.
//!
//! States of a driver: ready (it waits for a thread), running (a thread has it in its hands, and whether it was woken
//! meanwhile is noted), idle (it waits for its waker). It's in one of the three maps of `State` at a time; one that
//! has ended is in none, and its waker does nothing.
//!
//! Invariants:
//!
//! 1. Once `gone` is set, the maps stay empty but for `running`: nothing is taken in any more.
//! 2. A thread that waits, waits no longer than until the earliest timer: each timer that is set wakes all threads.
//! 3. There is one lock, and no code of others runs under it: wakers are cloned before it is taken; wakers are woken,
//!    and wakers and drivers dropped, after it was released.
//!
//! Races: a wake and the end of a poll meet in `running`, and the wake wins: the driver is polled again. The end of the
//! runtime and the end of a poll meet in `gone`: the thread drops the driver that it finds no place for.

use anyscope_core::{Driver, DynRuntime, Job, Runtime, RuntimeError};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 2;
static IDS: AtomicU64 = AtomicU64::new(0);

/// The toy: a clone is the same runtime, which goes away with the last of them.
#[derive(Clone)]
pub struct Toy {
    shared: Arc<Shared>,
    _keep: Option<Arc<Keep>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    gone: bool,
    ready: VecDeque<(u64, Driver)>,
    running: HashMap<u64, bool>,
    idle: HashMap<u64, Driver>,
    timers: BTreeMap<(Instant, u64), Waker>,
}

impl Toy {
    /// Starts a toy.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it starts threads")]
    pub fn new() -> Self {
        let inside = Self { shared: Arc::default(), _keep: None };
        for _ in 0..THREADS {
            let worker = inside.clone();
            thread::spawn(move || worker.work());
        }
        Self { _keep: Some(Arc::new(Keep(inside.clone()))), ..inside }
    }

    fn inside(&self) -> Self {
        Self { shared: self.shared.clone(), _keep: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    fn work(self) {
        let _context = self.enter();
        while let Some((id, mut driver)) = self.next() {
            let waker = Waker::from(Arc::new(Bell(self.clone(), id)));
            let polled = Pin::new(&mut driver).poll(&mut Context::from_waker(&waker));
            let mut state = self.lock();
            let woken = state.running.remove(&id) == Some(true);
            if polled.is_pending() && !state.gone {
                state.idle.insert(id, driver);
            }
            // Subtle: a driver that wasn't put back is dropped at the end of the turn, when the lock is free again.
            drop(state);
            if woken {
                waker.wake();
            }
        }
    }

    fn next(&self) -> Option<(u64, Driver)> {
        let mut state = self.lock();
        while !state.gone {
            let now = Instant::now();
            let first = state.timers.keys().next().map(|(at, _)| at.saturating_duration_since(now));
            if first == Some(Duration::ZERO) {
                let due = state.timers.pop_first();
                drop(state);
                due.into_iter().for_each(|(_, waker)| waker.wake());
                state = self.lock();
            } else if let Some((id, driver)) = state.ready.pop_front() {
                state.running.insert(id, false);
                return Some((id, driver));
            } else {
                state = self.shared.changed.wait_timeout(state, first.unwrap_or(Duration::MAX)).unwrap().0;
            }
        }
        None
    }

    fn enter(&self) -> Entered {
        Entered(AROUND.replace(Some(self.inside())))
    }
}

struct Bell(Toy, u64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut state = self.0.lock();
        if let Some(driver) = state.idle.remove(&self.1) {
            state.ready.push_back((self.1, driver));
            self.0.shared.changed.notify_one();
        } else if let Some(woken) = state.running.get_mut(&self.1) {
            *woken = true;
        }
    }
}

struct Keep(Toy);

impl Drop for Keep {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.0.lock(), State { gone: true, ..State::default() });
        self.0.shared.changed.notify_all();
        drop((left.ready, left.idle));
        left.timers.into_values().for_each(Waker::wake);
    }
}

thread_local!(static AROUND: RefCell<Option<Toy>> = const { RefCell::new(None) });

struct Entered(Option<Toy>);

impl Drop for Entered {
    fn drop(&mut self) {
        AROUND.replace(self.0.take());
    }
}

impl Runtime for Toy {
    type Sleep = Sleep;

    const REMEDY: &'static str = "call this inside `run`";

    fn name(&self) -> &'static str {
        "toy"
    }

    fn detect() -> Option<Self> {
        // A thread that is ending may have no thread-locals any more.
        AROUND.try_with(|around| around.borrow().clone()).ok().flatten()
    }

    fn into_dyn(self) -> DynRuntime {
        DynRuntime::new(self.inside())
    }

    fn spawn(&self, driver: Driver) {
        // Subtle: a toy that is gone drops the driver as the parameter that it is, which is after the guard.
        let mut state = self.lock();
        if !state.gone {
            // Ordering: Relaxed; a number is all that it tells.
            state.ready.push_back((IDS.fetch_add(1, Ordering::Relaxed), driver));
            self.shared.changed.notify_one();
        }
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Result<Sleep, RuntimeError> {
        Ok(Sleep { toy: self.inside(), at, id: IDS.fetch_add(1, Ordering::Relaxed) })
    }

    fn spawn_blocking(&self, job: Job) {
        thread::spawn(|| job.run());
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _context = self.enter();
        let (wake, woken) = mpsc::sync_channel(1);
        let waker = Waker::from(Arc::new(Blocked(wake)));
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            woken.recv().expect("the waker holds the other end");
        }
    }

    fn parallelism(&self) -> usize {
        THREADS
    }
}

struct Blocked(mpsc::SyncSender<()>);

impl Wake for Blocked {
    fn wake(self: Arc<Self>) {
        // One wake is as good as many, and one that comes too late is none.
        let _ = self.0.try_send(());
    }
}

/// A timer of the toy's.
pub struct Sleep {
    toy: Toy,
    at: Instant,
    id: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut state = self.toy.lock();
        let gone = state.gone;
        // The waker that is left over is dropped at the end, when the lock is free again.
        let _left = if gone { Some(waker) } else { state.timers.insert((self.at, self.id), waker) };
        drop(state);
        assert!(!gone, "the toy of this timer went away");
        self.toy.shared.changed.notify_all();
        Poll::Pending
    }
}

impl anyscope_core::Sleep for Sleep {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        let mut state = self.toy.lock();
        let waker = state.timers.remove(&(self.at, self.id));
        state.timers.extend(waker.map(|waker| ((at, self.id), waker)));
        drop(state);
        self.toy.shared.changed.notify_all();
        self.at = at;
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // The waker is dropped after the lock's guard.
        let _waker = self.toy.lock().timers.remove(&(self.at, self.id));
    }
}
