//! What anyscope asks of a runtime.

use crate::context;
use crate::group::drive::Driver;
use crate::observe::Observer;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

/// A runtime that anyscope can run on.
///
/// Small on purpose: groups, cancellation, timeouts and everything else live in this crate and mean the same on
/// each runtime. An implementation is a cheap handle; a clone is the same runtime.
///
/// What each method promises is in its docs, and checked by the `anyscope-conformance` crate.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A timer of this runtime.
    type Sleep: Sleep + 'static;

    /// What a caller should do who has no runtime of this type around: the end of a panic's message.
    const REMEDY: &'static str;

    /// Returns the name of the runtime and its flavour, for people: `"tokio"`, `"tokio-current-thread"`.
    fn name(&self) -> &'static str;

    /// Returns the runtime of this type that surrounds the caller by its own account: without asking anyscope.
    fn detect() -> Option<Self>;

    /// Returns the runtime as this type, if it is of this type.
    fn from_dyn(runtime: &DynRuntime) -> Option<Self> {
        runtime.downcast_ref::<Self>().cloned()
    }

    /// Returns the runtime without its type, as a group keeps it.
    ///
    /// A handle that keeps its runtime alive has to give one here that doesn't: the runtime keeps drivers, drivers keep
    /// their group, and the group keeps this.
    fn into_dyn(self) -> DynRuntime {
        DynRuntime::new(self)
    }

    /// Runs a driver to its end, on a task of its own, whatever happens to the caller.
    ///
    /// Promises: returns at once and never polls the driver inside the call; works from any thread, and outside of
    /// the runtime's own context; drops the driver, unfinished, only when the runtime goes away.
    fn spawn(&self, driver: Driver);

    /// Returns the time by this runtime's clock, which never goes back.
    fn now(&self) -> Instant;

    /// Makes a timer that ends at `at`.
    ///
    /// Promises: the timer is never early by [`now`](Self::now) of the same runtime; it works when polled from any
    /// thread; `at` may be past, and may be a century ahead. One whose runtime has gone away may panic when it is polled.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] where the runtime was built without timers. The message says how to build it with them.
    fn sleep_until(&self, at: Instant) -> Result<Self::Sleep, RuntimeError>;

    /// Runs a job on the runtime's pool for blocking work.
    ///
    /// Promises: returns at once; a job once accepted runs, though nobody waits for it, unless the runtime goes away
    /// before a thread was free for it, which drops the job. Where the system refuses a thread and no other will be
    /// free, this panics, with the job dropped; whoever asked for it has the panic, and its permit is back.
    fn spawn_blocking(&self, job: Job);

    /// Runs a future on the calling thread until it ends, with the runtime's own context around it.
    ///
    /// # Panics
    ///
    /// Where the runtime can't block the calling thread, tokio's inside of another of its own tasks for one.
    fn block_on<F: Future>(&self, future: F) -> F::Output;

    /// Returns how many tasks the runtime polls at a time: at most this many drivers are started for a group.
    fn parallelism(&self) -> usize {
        1
    }

    /// Returns whether the task being polled has used up what the runtime grants it for one poll.
    ///
    /// A driver asks between two children, and gives way to the runtime where it has. A runtime without such a
    /// budget leaves this alone.
    fn is_budget_spent(&self) -> bool {
        false
    }

    /// Returns who is told what happens in the groups of this runtime, if anybody is. Asked once for each group.
    fn observer(&self) -> Option<Arc<dyn Observer>> {
        None
    }
}

/// A timer of a runtime: ends once its time has come, and can be set anew.
pub trait Sleep: Future<Output = ()> + Send {
    /// Sets the timer to end at `at`, whether it has ended or not. Whoever does so polls it afterwards: it needn't keep
    /// the waker that it has.
    fn reset(self: Pin<&mut Self>, at: Instant);
}

impl Sleep for Pin<Box<dyn Sleep>> {
    fn reset(self: Pin<&mut Self>, at: Instant) {
        self.get_mut().as_mut().reset(at);
    }
}

/// One piece of blocking work, handed to a runtime's pool.
///
/// A job that is dropped without being run tells whoever waits for it that the runtime is gone.
#[must_use = "a job that isn't run is lost"]
pub struct Job(Box<dyn FnOnce() + Send>);

impl Job {
    pub(crate) fn new(job: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(job))
    }

    /// Runs the job. Doesn't panic: a panic of the work goes to whoever waits for it.
    pub fn run(self) {
        (self.0)();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// Why a runtime couldn't do what it was asked.
#[derive(Debug, Clone)]
pub struct RuntimeError {
    message: &'static str,
}

impl RuntimeError {
    /// Makes an error from what went wrong and what to do about it.
    #[must_use]
    pub const fn new(message: &'static str) -> Self {
        Self { message }
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for RuntimeError {}

/// Any runtime, without its type.
///
/// The object-safe form of [`Runtime`]: what a group keeps, and what runtimes that an application brings along are
/// called through. It costs a virtual call where a driver is started or a timer made.
#[derive(Clone)]
pub struct DynRuntime(Arc<dyn Erased>);

impl DynRuntime {
    /// Forgets the type of a runtime.
    pub fn new<R: Runtime>(runtime: R) -> Self {
        Self(Arc::new(runtime))
    }

    /// Returns the runtime of the anyscope task around the caller.
    #[must_use]
    pub fn current() -> Option<Self> {
        context::runtime()
    }

    /// Returns the runtime, if it is of type `R`.
    #[must_use]
    pub fn downcast_ref<R: Runtime>(&self) -> Option<&R> {
        self.0.as_any().downcast_ref()
    }
}

impl fmt::Debug for DynRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynRuntime").field(&Runtime::name(self)).finish()
    }
}

impl Runtime for DynRuntime {
    type Sleep = Pin<Box<dyn Sleep>>;

    const REMEDY: &'static str = "call this inside `run`";

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn detect() -> Option<Self> {
        None
    }

    fn from_dyn(runtime: &DynRuntime) -> Option<Self> {
        Some(runtime.clone())
    }

    fn into_dyn(self) -> DynRuntime {
        self.0.to_dyn()
    }

    fn spawn(&self, driver: Driver) {
        self.0.spawn(driver);
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, at: Instant) -> Result<Self::Sleep, RuntimeError> {
        self.0.sleep_until(at)
    }

    fn spawn_blocking(&self, job: Job) {
        self.0.spawn_blocking(job);
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let mut output = None;
        let erased = async { output = Some(future.as_mut().await) };
        self.0.block_on(std::pin::pin!(erased));
        match output {
            Some(output) => output,
            None => unreachable!("a runtime's `block_on` returned before its future had ended"),
        }
    }

    fn parallelism(&self) -> usize {
        self.0.parallelism()
    }

    fn is_budget_spent(&self) -> bool {
        self.0.is_budget_spent()
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.0.observer()
    }
}

/// [`Runtime`], object-safe.
trait Erased: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn to_dyn(&self) -> DynRuntime;
    fn name(&self) -> &'static str;
    fn spawn(&self, driver: Driver);
    fn now(&self) -> Instant;
    fn sleep_until(&self, at: Instant) -> Result<Pin<Box<dyn Sleep>>, RuntimeError>;
    fn spawn_blocking(&self, job: Job);
    fn block_on(&self, future: Pin<&mut dyn Future<Output = ()>>);
    fn parallelism(&self) -> usize;
    fn is_budget_spent(&self) -> bool;
    fn observer(&self) -> Option<Arc<dyn Observer>>;
}

impl<R: Runtime> Erased for R {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn to_dyn(&self) -> DynRuntime {
        self.clone().into_dyn()
    }

    fn name(&self) -> &'static str {
        Runtime::name(self)
    }

    fn spawn(&self, driver: Driver) {
        Runtime::spawn(self, driver);
    }

    fn now(&self) -> Instant {
        Runtime::now(self)
    }

    fn sleep_until(&self, at: Instant) -> Result<Pin<Box<dyn Sleep>>, RuntimeError> {
        Ok(Box::pin(Runtime::sleep_until(self, at)?))
    }

    fn spawn_blocking(&self, job: Job) {
        Runtime::spawn_blocking(self, job);
    }

    fn block_on(&self, future: Pin<&mut dyn Future<Output = ()>>) {
        Runtime::block_on(self, future);
    }

    fn parallelism(&self) -> usize {
        Runtime::parallelism(self)
    }

    fn is_budget_spent(&self) -> bool {
        Runtime::is_budget_spent(self)
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        Runtime::observer(self)
    }
}

/// Makes a timer.
///
/// # Panics
///
/// Where the runtime has none, with what to do about it.
pub(crate) fn timer<R: Runtime>(runtime: &R, at: Instant) -> R::Sleep {
    match runtime.sleep_until(at) {
        Ok(sleep) => sleep,
        Err(error) => panic!("{} has no timers: {error}", runtime.name()),
    }
}
