//! What the models and the scenarios share: how one is explored, how its threads wait, and a runtime made of threads, which
//! are loom's or shuttle's.
//!
//! A [`Ledger`] is in modelled atomics, so that a model which looks into it sees every order of what is entered there;
//! each access reads and writes, and so finds the latest entry without ordering anything else.

use crate::group::drive::Driver;
use crate::runtime::{DynRuntime, Job, Runtime, RuntimeError, Sleep};
use crate::sync::{Arc, AtomicUsize as ModelledUsize, Mutex};
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

#[cfg(anyscope_loom)]
mod loom;
#[cfg(anyscope_shuttle)]
mod shuttle;

#[cfg(anyscope_loom)]
pub(crate) use self::loom::{Notify, model, model_bounded, thread};
#[cfg(anyscope_shuttle)]
pub(crate) use self::shuttle::{Notify, scenario, thread};

/// Polls a future to its end on the calling thread. A wake-up that is lost is a deadlock, which is reported.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Signal(Notify);

    impl Wake for Signal {
        fn wake(self: Arc<Self>) {
            self.0.notify();
        }
    }

    let signal = Arc::new(Signal(Notify::new()));
    let waker = Waker::from(signal.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        signal.0.wait();
    }
}

/// Polls a future once, for a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that counts how often it was called, and of which one can tell whether it is still kept somewhere.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What one thread opens and a future of another waits for: one future, the last that was polled.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new((false, None))))
    }

    pub(crate) fn open(&self) {
        let waker = {
            let mut gate = self.0.lock();
            gate.0 = true;
            gate.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        let stale = {
            let mut gate = self.0.lock();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.replace(cx.waker().clone())
        };
        drop(stale);
        Poll::Pending
    }

    /// Waits until the gate is open.
    pub(crate) fn passed(&self) -> impl Future<Output = ()> + Send + Unpin + use<> {
        let gate = self.clone();
        poll_fn(move |cx| gate.poll_open(cx))
    }
}

/// What happened to a future or a value.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Counts>);

struct Counts {
    polls: ModelledUsize,
    drops: ModelledUsize,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Counts { polls: ModelledUsize::new(0), drops: ModelledUsize::new(0) }))
    }

    pub(crate) fn polls(&self) -> usize {
        self.0.polls.fetch_add(0, Ordering::Relaxed)
    }

    pub(crate) fn drops(&self) -> usize {
        self.0.drops.fetch_add(0, Ordering::Relaxed)
    }

    /// A value whose drop is entered.
    pub(crate) fn value(&self) -> Entered {
        Entered(self.clone())
    }

    /// A future whose polls and drop are entered.
    pub(crate) fn future<F: Future + Unpin>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let entered = self.value();
        let mut future = future;
        poll_fn(move |cx| {
            entered.0.0.polls.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut future).poll(cx)
        })
    }
}

/// Enters its drop in a [`Ledger`].
pub(crate) struct Entered(Ledger);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// A runtime on which every driver has a thread of its own.
///
/// loom allows five threads in a model, the model's own among them.
#[derive(Clone)]
pub(crate) struct Threads(Arc<Pool>);

struct Pool {
    parallelism: usize,
    /// Whether the first driver is dropped after one poll, as by a runtime that goes away.
    dying: bool,
    started: AtomicUsize,
    running: StdMutex<Vec<thread::JoinHandle<()>>>,
}

impl Threads {
    /// A runtime that polls one driver of a group at a time.
    pub(crate) fn new() -> Self {
        Self::with(1, false)
    }

    pub(crate) fn parallel(parallelism: usize) -> Self {
        Self::with(parallelism, false)
    }

    /// A runtime that goes away: it drops the first driver after one poll. The others are to find that out.
    pub(crate) fn dying(parallelism: usize) -> Self {
        Self::with(parallelism, true)
    }

    fn with(parallelism: usize, dying: bool) -> Self {
        Self(Arc::new(Pool { parallelism, dying, started: AtomicUsize::new(0), running: StdMutex::default() }))
    }

    /// Waits for all drivers: none of them keeps anything any more.
    pub(crate) fn join(&self) {
        loop {
            let running = mem::take(&mut *self.0.running.lock().unwrap());
            if running.is_empty() {
                return;
            }
            for driver in running {
                driver.join().unwrap();
            }
        }
    }
}

impl Runtime for Threads {
    type Sleep = Never;

    const REMEDY: &'static str = "call this inside of a model";

    fn name(&self) -> &'static str {
        "threads"
    }

    fn detect() -> Option<Self> {
        None
    }

    fn spawn(&self, driver: Driver) {
        let dying = self.0.dying && self.0.started.fetch_add(1, Ordering::Relaxed) == 0;
        let thread = thread::spawn(move || {
            if dying {
                let mut driver = driver;
                let _ = poll_once(&mut driver);
            } else {
                block_on(driver);
            }
        });
        self.0.running.lock().unwrap().push(thread);
    }

    fn now(&self) -> Instant {
        unreachable!("no model has a deadline")
    }

    fn sleep_until(&self, _: Instant) -> Result<Never, RuntimeError> {
        Err(RuntimeError::new("a model has no time"))
    }

    fn spawn_blocking(&self, job: Job) {
        let thread = thread::spawn(move || job.run());
        self.0.running.lock().unwrap().push(thread);
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on(future)
    }

    fn parallelism(&self) -> usize {
        self.0.parallelism
    }
}

impl From<&Threads> for DynRuntime {
    fn from(threads: &Threads) -> Self {
        threads.clone().into_dyn()
    }
}

/// The timer of a runtime without time.
pub(crate) struct Never;

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Never {
    fn reset(self: Pin<&mut Self>, _: Instant) {}
}
