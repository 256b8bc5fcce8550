//! anyscope on tokio: on a runtime that is there, or on one that it builds.

#![forbid(unsafe_code)]

use anyscope_core::{Driver, DynRuntime, Job, Runtime, RuntimeError};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, RuntimeFlavor};

/// tokio as a runtime for anyscope.
///
/// [`Tokio::new`] and [`Tokio::current_thread`] build a runtime when it is first needed; [`Tokio::from_handle`] and
/// [`Tokio::current`] use one that is there; `Tokio::from(runtime)` takes one over. A clone is the same runtime; the last one shuts a built runtime down.
#[derive(Clone, Debug)]
pub struct Tokio(Source);

#[derive(Clone, Debug)]
enum Source {
    Given(Handle),
    Built(Arc<Built>),
}

#[derive(Debug)]
struct Built {
    current_thread: bool,
    runtime: OnceLock<tokio::runtime::Runtime>,
}

impl Tokio {
    /// Returns tokio with worker threads, as many as there are processors. Starts them when it is first needed.
    #[must_use]
    pub fn new() -> Self {
        Self::build(false)
    }

    /// Returns tokio on the thread that calls [`run`](anyscope_core::run), and nowhere else.
    #[must_use]
    pub fn current_thread() -> Self {
        Self::build(true)
    }

    fn build(current_thread: bool) -> Self {
        Self(Source::Built(Arc::new(Built { current_thread, runtime: OnceLock::new() })))
    }

    /// Returns the runtime behind a handle. It has to be built with `enable_time`, or `enable_all`, for timeouts.
    ///
    /// A current-thread runtime makes progress only while somebody blocks on the runtime itself, which can't be done by
    /// its handle: [`run`](anyscope_core::run) on this would wait for ever for somebody else to do so. Give the runtime
    /// away instead (`Tokio::from(runtime)`), or call `runtime.block_on(..)` and use anyscope inside.
    #[must_use]
    pub fn from_handle(handle: Handle) -> Self {
        Self(Source::Given(handle))
    }

    /// Returns the runtime around the caller, if there is one.
    #[must_use]
    pub fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self::from_handle)
    }

    /// Returns the handle of the runtime.
    ///
    /// # Panics
    ///
    /// Where a runtime has to be built first, and the system refuses it threads or a reactor.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        match &self.0 {
            Source::Given(handle) => handle,
            Source::Built(built) => built.get().handle(),
        }
    }

    fn is_current_thread(&self) -> bool {
        match &self.0 {
            Source::Given(handle) => handle.runtime_flavor() == RuntimeFlavor::CurrentThread,
            Source::Built(built) => built.current_thread,
        }
    }
}

/// Takes over a runtime that the application has built.
impl From<tokio::runtime::Runtime> for Tokio {
    fn from(runtime: tokio::runtime::Runtime) -> Self {
        let current_thread = runtime.handle().runtime_flavor() == RuntimeFlavor::CurrentThread;
        Self(Source::Built(Arc::new(Built { current_thread, runtime: OnceLock::from(runtime) })))
    }
}

impl Default for Tokio {
    fn default() -> Self {
        Self::new()
    }
}

impl Built {
    fn get(&self) -> &tokio::runtime::Runtime {
        self.runtime.get_or_init(|| {
            let mut builder =
                if self.current_thread { Builder::new_current_thread() } else { Builder::new_multi_thread() };
            match builder.enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => panic!("no tokio runtime could be built: {error}"),
            }
        })
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which tokio forbids inside of an async context.
        if let Some(runtime) = self.runtime.take().filter(|_| Handle::try_current().is_ok()) {
            runtime.shutdown_background();
        }
    }
}

impl Runtime for Tokio {
    type Sleep = Sleep;

    const REMEDY: &'static str = "call this inside `run`, or on a tokio runtime";

    fn name(&self) -> &'static str {
        if self.is_current_thread() { "tokio-current-thread" } else { "tokio" }
    }

    fn detect() -> Option<Self> {
        Self::current()
    }

    fn into_dyn(self) -> DynRuntime {
        DynRuntime::new(Self::from_handle(self.handle().clone()))
    }

    fn spawn(&self, driver: Driver) {
        self.handle().spawn(driver);
    }

    fn now(&self) -> Instant {
        let _context = self.handle().enter();
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, at: Instant) -> Result<Sleep, RuntimeError> {
        let _context = self.handle().enter();
        // tokio has no question for this, and panics where its timers are off.
        let sleep = catch_unwind(|| tokio::time::sleep_until(within_reach(at))).map_err(|_| {
            RuntimeError::new(
                "the tokio runtime was built without `enable_time` or `enable_all`; call one on its `Builder`",
            )
        })?;
        Ok(Sleep(Box::pin(sleep)))
    }

    fn spawn_blocking(&self, job: Job) {
        let shared = Arc::new(Mutex::new(Some(job)));
        let queued = shared.clone();
        let spawned = catch_unwind(AssertUnwindSafe(|| {
            self.handle().spawn_blocking(move || {
                // Taken first, and then run, so that the lock is free meanwhile.
                let job = taken(&queued);
                if let Some(job) = job {
                    job.run();
                }
            })
        }));
        // Where the system has no thread, tokio panics, and leaves what it was given in its queue: there the job would
        // keep its permit, and run after all when there is a thread. Where it is at work already, it was accepted.
        if let Err(refusal) = spawned {
            if let Some(job) = taken(&shared) {
                drop(job);
                resume_unwind(refusal);
            }
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Source::Given(handle) => handle.block_on(future),
            Source::Built(built) => built.get().block_on(future),
        }
    }

    fn parallelism(&self) -> usize {
        self.handle().metrics().num_workers()
    }

    fn is_budget_spent(&self) -> bool {
        !tokio::task::coop::has_budget_remaining()
    }
}

fn taken(job: &Mutex<Option<Job>>) -> Option<Job> {
    job.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A timer of tokio's.
#[derive(Debug)]
pub struct Sleep(Pin<Box<tokio::time::Sleep>>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(_) => panic!("the tokio runtime of this timer went away"),
        }
    }
}

impl anyscope_core::Sleep for Sleep {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.as_mut().reset(within_reach(at));
    }
}

/// tokio's timers add to the time that they are given, and panic at the end of what the clock can tell. Whoever waits
/// for more than a century looks at the clock again by then.
fn within_reach(at: Instant) -> tokio::time::Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    // A moment of the past. What is within a century of it takes no look at the clock.
    static PAST: LazyLock<Instant> = LazyLock::new(Instant::now);
    let is_near = at < *PAST + CENTURY;
    let at = tokio::time::Instant::from_std(at);
    if is_near { at } else { at.min(tokio::time::Instant::now() + CENTURY) }
}
