//! anyscope on a simulator: a runtime for tests, on which a program has one interleaving for each seed, and no time
//! passes while everybody waits.
//!
//! - **Virtual time**: when nobody can go on, the clock jumps to the next timer. Hours pass in microseconds, and a sleep of
//!   an hour is exactly an hour by [`now`](anyscope_core::now).
//! - **One interleaving for each seed**: which of several ready tasks goes on, in which order those are woken that wait
//!   for one instant, and when a blocking job has its turn, is decided by the seed alone.
//! - **Blocking jobs** run on threads, one thing at a time: a job goes on when it is its turn, and gives others theirs
//!   whenever it asks [`is_cancelled`](anyscope_core::is_cancelled).
//! - **Deadlocks fail at once**: everybody waits and no timer is pending, so the run panics, with the tree of tasks and what
//!   each waits for.
//! - **What is left behind fails too**: a task that nobody waits for, a permit that wasn't returned.
//!
//! # Examples
//!
//! ```
//! use anyscope_core::{now, run, sleep};
//! use anyscope_sim::Sim;
//! use std::time::Duration;
//!
//! run(Sim::seed(7), async {
//!     let before = now::<Sim>();
//!     sleep::<Sim>(Duration::from_secs(3600)).await;
//!     assert_eq!(now::<Sim>() - before, Duration::from_secs(3600));
//! });
//! ```

#![forbid(unsafe_code)]

mod choice;
mod engine;
mod everywhere;
mod explore;
mod guard;
mod job;
mod quiet;
mod report;
mod runtime;
mod scheduler;
mod trace;
mod watch;

pub use anyscope_core::observe::Outside;
pub use choice::{ParseScheduleError, Schedule};
pub use everywhere::{CancelEverywhere, Fault, Points, cancel_everywhere};
pub use explore::{Explore, Explored, explore};
pub use runtime::Sleep;
pub use trace::Trace;

use self::choice::Source;
use self::scheduler::{Settings, Shared};
use anyscope_core::Runtime as _;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// A simulator: a runtime with virtual time and one interleaving for each seed. See the [crate's page](crate).
///
/// A clone is the same simulator, which goes away with the last of them. Several runs on one simulator, one after the
/// other, go on with its time and its decisions.
///
/// # Panics
///
/// A run panics on a deadlock, and where it leaves something behind. The message ends with what it takes to have the
/// same run again.
///
/// # Examples
///
/// ```
/// use anyscope_core::{Semaphore, run, task_group};
/// use anyscope_sim::Sim;
/// use std::sync::Arc;
///
/// // Each child takes one permit of two, and then wants another.
/// let greedy = std::panic::catch_unwind(|| {
///     run(Sim::seed(1), async {
///         let permits = Arc::new(Semaphore::new(2));
///         task_group::<Sim, _, _>(async |g| {
///             for name in ["left", "right"] {
///                 let permits = permits.clone();
///                 g.task(name).spawn(async move {
///                     let _one = permits.acquire().await.unwrap();
///                     anyscope_core::yield_now().await;
///                     let _two = permits.acquire().await.unwrap();
///                 });
///             }
///         })
///         .await;
///     });
/// });
/// // In some interleavings one of them is through before the other has begun.
/// if let Err(panic) = greedy {
///     let report = panic.downcast_ref::<String>().unwrap();
///     assert!(report.starts_with("deadlock"), "{report}");
///     assert!(report.contains("task `left`") && report.contains("semaphore"), "{report}");
/// }
/// ```
#[derive(Clone)]
pub struct Sim {
    shared: Arc<Shared>,
    _keep: Option<Arc<Keep>>,
}

/// Ends the simulator when the last handle goes that isn't its own.
struct Keep(Arc<Shared>);

impl Drop for Keep {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Sim {
    /// Makes a simulator that decides as a plain runtime would: what has been ready longest goes first.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Source::Schedule(Schedule::default()))
    }

    /// Makes a simulator whose decisions follow from a number.
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        Self::of(Source::Seed(seed))
    }

    /// Makes a simulator that decides as a run did whose schedule is known.
    #[must_use]
    pub fn replay(schedule: &Schedule) -> Self {
        Self::of(Source::Schedule(schedule.clone()))
    }

    fn of(source: Source) -> Self {
        Self::with(Settings::new(source))
    }

    fn with(settings: Settings) -> Self {
        let shared = Shared::new(settings);
        Self { _keep: Some(Arc::new(Keep(shared.clone()))), shared }
    }

    /// A handle that doesn't keep the simulator.
    fn inside(shared: &Arc<Shared>) -> Self {
        Self { shared: shared.clone(), _keep: None }
    }

    /// The same simulator, from its beginning, with other settings.
    fn set(&self, change: impl FnOnce(&mut Settings)) -> Self {
        {
            let state = self.shared.lock();
            let is_new = state.actors.is_empty() && state.chooser.made().is_empty() && state.outside == 0;
            assert!(is_new, "a simulator is set up before anything else is done with it");
        }
        let mut settings = self.shared.settings.clone();
        change(&mut settings);
        Self::with(settings)
    }

    /// Tells that something from outside may come at any time: a thread of the program's own, another reactor.
    ///
    /// While a task waits for something that isn't anyscope's, idle time passes with the clock on the wall, as on any
    /// other runtime, and a deadlock is told after ten seconds. For a program whose threads are few, hold
    /// [`outside`](Self::outside) while they are at work instead.
    ///
    /// A setting, for before the first run.
    #[must_use]
    pub fn open(self) -> Self {
        self.set(|settings| settings.open = true)
    }

    /// Lets a run end well that leaves tasks or permits behind.
    ///
    /// A setting, for before the first run.
    #[must_use]
    pub fn lenient(self) -> Self {
        self.set(|settings| settings.strict = false)
    }

    /// Sets how long a poll may take by the clock on the wall before its task is named on standard error: 30 s, unless it
    /// is set.
    ///
    /// A setting, for before the first run.
    #[must_use]
    pub fn guard(self, limit: Duration) -> Self {
        self.set(|settings| settings.guard = limit)
    }

    /// Sets how many times in a row somebody may go on, without a timer that strikes, before that counts as a livelock and
    /// fails the run: ten million times, unless it is set.
    ///
    /// A setting, for before the first run.
    #[must_use]
    pub fn steps(self, limit: u64) -> Self {
        self.set(|settings| settings.steps = limit)
    }

    /// Tells that something outside of the simulator is at work for it, until the guard is dropped: a thread of the
    /// program's own that is to come in by a handle, a portal, or a channel.
    ///
    /// Meanwhile idle time passes with the clock on the wall, and nothing counts as a deadlock for ten seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope_core::{run, task_group};
    /// use anyscope_sim::Sim;
    ///
    /// let sim = Sim::seed(7);
    /// let outside = sim.outside();
    /// let sum = run(sim, task_group::<Sim, _, _>(async |g| {
    ///     let portal = g.portal();
    ///     let (sender, receiver) = anyscope_core::channel(1);
    ///     let thread = std::thread::spawn(move || {
    ///         let _at_work = outside;
    ///         portal.call(move || async move { sender.send(7).await }).unwrap().unwrap();
    ///     });
    ///     let sum = receiver.recv().await.unwrap();
    ///     thread.join().unwrap();
    ///     sum
    /// }));
    /// assert_eq!(sum, 7);
    /// ```
    pub fn outside(&self) -> Outside {
        Outside::of(self.observer())
    }

    /// Moves the clock on: who waited for a time that has come is woken, as if it had passed.
    pub fn advance(&self, duration: Duration) {
        let due = self.shared.lock().advance(duration);
        due.into_iter().for_each(Waker::wake);
        self.shared.changed.notify_all();
    }

    /// Returns how much virtual time has passed since the simulator was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let state = self.shared.lock();
        state.now - state.start
    }

    /// Ends the runtime, as one that is shut down while its tasks live: they end with
    /// [`RuntimeGone`](anyscope_core::Outcome::RuntimeGone).
    pub fn end(&self) {
        self.shared.end();
    }

    /// Returns what happened so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.shared.watch.table().log.trace()
    }

    /// Returns the decisions made so far, from which [`replay`](Self::replay) makes the same run.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.shared.lock().chooser.schedule()
    }

    /// Draws the groups and tasks that live, with what each waits for.
    #[must_use]
    pub fn tree(&self) -> String {
        let state = self.shared.lock();
        report::tree(&self.shared, &state)
    }
}

impl Default for Sim {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("source", &self.shared.settings.source).finish_non_exhaustive()
    }
}
