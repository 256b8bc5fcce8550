//! [`cancel_everywhere`]: a program that is interrupted at each of its points, in each way that there is.

use crate::{Schedule, Sim, engine, quiet, report};
use anyscope_core::{CancelToken, run, task_group, timeout, try_task_group};
use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// How far away the deadline of a program is that is to pass it: further than any of its own.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How long after a point the deadline of a program passes that is interrupted there.
const MOMENT: Duration = Duration::from_nanos(1);

/// A way to interrupt a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// Its future is dropped.
    Drop,
    /// The scope around it is cancelled.
    Cancel,
    /// The deadline around it passes.
    Deadline,
    /// A sibling of it fails, in a try group.
    SiblingFails,
    /// A sibling of it panics.
    SiblingPanics,
    /// The runtime goes away.
    RuntimeEnds,
}

impl Fault {
    /// Every way.
    pub const ALL: [Self; 6] =
        [Self::Drop, Self::Cancel, Self::Deadline, Self::SiblingFails, Self::SiblingPanics, Self::RuntimeEnds];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "its future is dropped",
            Self::Cancel => "its scope is cancelled",
            Self::Deadline => "its deadline passes",
            Self::SiblingFails => "a sibling fails",
            Self::SiblingPanics => "a sibling panics",
            Self::RuntimeEnds => "its runtime ends",
        })
    }
}

/// Interrupts a program at each of its points, in each way, and looks whether anything is left behind.
///
/// The program is run once undisturbed, which tells how many polls there are, of itself and of every task it starts.
/// Then it is run anew for each point between two polls and each [`Fault`], interrupted there, and left to end. After
/// each run, no task may live, no group be open, no permit be missing, and of each group as many finalisers must have begun
/// as were kept, unless the runtime went away.
///
/// For oracles of your own, and what a program shares with them, see [`CancelEverywhere`].
///
/// # Panics
///
/// With the point and the fault after which something isn't as it should be. Where the undisturbed run panics.
///
/// # Examples
///
/// ```
/// use anyscope_core::{Semaphore, sleep};
/// use anyscope_sim::{Sim, cancel_everywhere};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let points = cancel_everywhere(|| async {
///     let permits = Arc::new(Semaphore::new(1));
///     let permit = permits.acquire().await.unwrap();
///     sleep::<Sim>(Duration::from_secs(1)).await;
///     drop(permit);
/// });
/// assert!(points.runs() > 12, "{points}");
/// ```
#[track_caller]
pub fn cancel_everywhere<F>(program: impl Fn() -> F) -> Points
where
    F: Future + Send + 'static,
{
    CancelEverywhere::new().run(|| (), |()| program(), |(), _| {})
}

/// How a program is interrupted everywhere. See [`cancel_everywhere`].
///
/// # Examples
///
/// ```
/// use anyscope_core::channel;
/// use anyscope_sim::{CancelEverywhere, Sim};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// // A message that was sent is received, or still in the channel: never lost.
/// CancelEverywhere::new().run(
///     || {
///         let (sender, receiver) = channel(1);
///         sender.try_send(7).unwrap();
///         (sender, Arc::new(receiver), Arc::new(AtomicUsize::new(0)))
///     },
///     |(_, receiver, received)| {
///         let (receiver, received) = (receiver.clone(), received.clone());
///         async move {
///             anyscope_core::yield_now().await;
///             received.store(receiver.recv().await.unwrap(), Ordering::SeqCst);
///         }
///     },
///     |(_, receiver, received), _| {
///         let left = receiver.try_recv().unwrap_or(0);
///         assert_eq!(left + received.load(Ordering::SeqCst), 7);
///     },
/// );
/// ```
#[derive(Clone, Debug)]
#[must_use = "it interrupts nothing before `run`"]
pub struct CancelEverywhere {
    faults: Vec<Fault>,
    schedule: Schedule,
    limit: usize,
}

impl Default for CancelEverywhere {
    fn default() -> Self {
        Self::new()
    }
}

impl CancelEverywhere {
    /// In each way, in the plain order.
    pub fn new() -> Self {
        Self { faults: Fault::ALL.to_vec(), schedule: Schedule::default(), limit: 10_000 }
    }

    /// Only in these ways.
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults = faults.into_iter().collect();
        self
    }

    /// In another order than the plain one.
    pub fn schedule(mut self, schedule: &Schedule) -> Self {
        self.schedule = schedule.clone();
        self
    }

    /// At so many points at most: 10,000, unless it is set.
    pub fn limit(mut self, points: usize) -> Self {
        self.limit = points;
        self
    }

    /// Runs the program everywhere.
    ///
    /// `setup` makes what a run and its oracles share; `check` is called after each run, with the fault, or `None` after the
    /// undisturbed one, and panics where something is wrong.
    ///
    /// # Panics
    ///
    /// See [`cancel_everywhere`].
    #[track_caller]
    pub fn run<C, F>(
        self,
        setup: impl Fn() -> C,
        program: impl Fn(&C) -> F,
        check: impl Fn(&C, Option<Fault>),
    ) -> Points
    where
        F: Future + Send + 'static,
    {
        // Undisturbed, in each of the surroundings: that is how many points there are.
        let mut runs = 0;
        let mut most = 0;
        for &fault in &self.faults {
            let sim = Sim::replay(&self.schedule).lenient();
            let shared = setup();
            let times = {
                let _quiet = quiet::hush();
                sim.shared.lock().times = Some(Vec::new());
                Harness::new(&sim, fault, program(&shared)).run(None);
                sim.shared.lock().times.take().unwrap_or_default()
            };
            self.judge(&sim, 0, None, || check(&shared, None));
            drop(shared);
            // Between the first poll and the last.
            let points = times.len().saturating_sub(1).min(self.limit);
            most = most.max(points);
            for (point, at) in (1..=points).zip(times) {
                runs += 1;
                let sim = Sim::replay(&self.schedule).lenient();
                let shared = setup();
                {
                    let _quiet = quiet::hush();
                    Harness::new(&sim, fault, program(&shared)).run(Some((point as u64, at)));
                }
                self.judge(&sim, point, Some(fault), || check(&shared, Some(fault)));
            }
        }
        assert!(runs > 0, "the program was never interrupted: it has but one poll, or no fault was asked for");
        Points { points: most, runs }
    }

    /// Looks at what is left.
    #[track_caller]
    fn judge(&self, sim: &Sim, point: usize, fault: Option<Fault>, check: impl FnOnce()) {
        let what = || match fault {
            Some(fault) => format!("after point {point}, where {fault}"),
            None => "after the undisturbed run".to_owned(),
        };
        let left = {
            let state = sim.shared.lock();
            report::leftovers(&sim.shared, &state)
        };
        if let Some(left) = left {
            panic!("{}: {left}", what());
        }
        for unbegun in sim.shared.watch.table().finalisers.values() {
            assert!(*unbegun >= 0, "{}: a finaliser has begun twice", what());
            // Where the runtime goes away, nobody is left to run them.
            assert!(fault == Some(Fault::RuntimeEnds), "{}: {unbegun} finalisers of a group have never begun", what());
        }
        if let Err(payload) = catch_unwind(AssertUnwindSafe(check)) {
            eprintln!("anyscope-sim: the check failed {}", what());
            panic::resume_unwind(payload);
        }
    }
}

/// What a program was put through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points {
    points: usize,
    runs: usize,
}

impl Points {
    /// Returns at how many points it was interrupted.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// Returns how many runs were interrupted.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points, {} interrupted runs", self.points, self.runs)
    }
}

/// What is done at a point of a run: called by the thread that has the turn, between two polls.
pub(crate) type Strike = Box<dyn FnOnce() + Send>;

/// One run, with what is to interrupt it around the program.
struct Harness<F> {
    sim: Sim,
    fault: Fault,
    program: F,
}

/// A signal for a future that waits for it.
#[derive(Clone, Default)]
struct Signal(Arc<Signalled>);

#[derive(Default)]
struct Signalled {
    given: AtomicBool,
    waiter: Mutex<Option<Waker>>,
}

impl Signal {
    fn give(&self) {
        // Ordering: SeqCst; one run has one of it.
        self.0.given.store(true, Ordering::SeqCst);
        let waiter = self.0.waiter.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let before = self.0.waiter.lock().unwrap_or_else(PoisonError::into_inner).replace(waker);
        drop(before);
        if self.0.given.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What a panic said, where it said it as a text.
fn said(payload: &Box<dyn Any + Send>) -> Option<&str> {
    payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied())
}

/// Whether a panic is the library's way to say that the runtime isn't there any more.
fn is_of_a_lost_runtime(payload: &Box<dyn Any + Send>) -> bool {
    said(payload).is_some_and(|said| said.contains("went away") || said.contains("the simulator was ended"))
}

/// The program, and whether it panicked: of several panics of a group, one goes on.
async fn witnessed<F: Future>(program: F, panicked: Arc<AtomicBool>) -> F::Output {
    struct Witness(Arc<AtomicBool>);

    impl Drop for Witness {
        fn drop(&mut self) {
            if thread::panicking() {
                // Ordering: SeqCst; one run has one of it.
                self.0.store(true, Ordering::SeqCst);
            }
        }
    }

    let _witness = Witness(panicked);
    program.await
}

/// What a sibling panics with.
struct Struck;

impl<F: Future + Send + 'static> Harness<F> {
    fn new(sim: &Sim, fault: Fault, program: F) -> Self {
        Self { sim: sim.clone(), fault, program }
    }

    /// Runs it, interrupted at a point or not at all, and whatever it leaves running.
    fn run(self, point: Option<(u64, Duration)>) {
        let Self { sim, fault, program } = self;
        let panicked = Arc::new(AtomicBool::new(false));
        let program = witnessed(program, panicked.clone());
        // A deadline that passes at the point, and not with the timers of the program.
        let deadline = point.map_or(FAR, |(_, at)| at + MOMENT);
        let signal = Signal::default();
        let token = CancelToken::<Sim>::new();
        let strike: Strike = match fault {
            Fault::Drop | Fault::SiblingFails | Fault::SiblingPanics => {
                let signal = signal.clone();
                Box::new(move || signal.give())
            }
            Fault::Cancel => {
                let token = token.clone();
                Box::new(move || {
                    token.cancel();
                })
            }
            Fault::Deadline => {
                let sim = sim.clone();
                // Where a job was set aside, the clock was the wall's for a while.
                Box::new(move || sim.advance(deadline.saturating_sub(sim.elapsed()).max(MOMENT)))
            }
            Fault::RuntimeEnds => {
                let shared = sim.shared.clone();
                Box::new(move || shared.end())
            }
        };
        if let Some((point, _)) = point {
            sim.shared.lock().strike = Some((point, strike));
        }
        // Not interrupted, those that wait for the signal are to end with the program all the same.
        let over = signal.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            run(sim.clone(), async move {
                match fault {
                    Fault::Drop => {
                        let mut program = Box::pin(program);
                        poll_fn(|cx| match signal.poll(cx) {
                            Poll::Ready(()) => Poll::Ready(()),
                            Poll::Pending => program.as_mut().poll(cx).map(drop),
                        })
                        .await;
                    }
                    Fault::Cancel => drop(token.run(program).await),
                    Fault::Deadline => drop(timeout::<Sim, _>(deadline, program).await),
                    Fault::SiblingFails => {
                        let failed = try_task_group::<Sim, _, (), Struck>(async |g| {
                            g.spawn(async move {
                                program.await;
                                over.give();
                                Ok(())
                            });
                            g.spawn(async move {
                                poll_fn(|cx| signal.poll(cx)).await;
                                Err::<(), _>(Struck)
                            });
                            Ok(())
                        });
                        drop(failed.await);
                    }
                    Fault::SiblingPanics => {
                        task_group::<Sim, _, _>(async |g| {
                            g.spawn(async move {
                                program.await;
                                over.give();
                            });
                            g.spawn(async move {
                                poll_fn(|cx| signal.poll(cx)).await;
                                panic::panic_any(Struck);
                            });
                        })
                        .await;
                    }
                    Fault::RuntimeEnds => drop(program.await),
                }
            });
        }));
        // What was left running ends as well: shields, clean-up, jobs.
        engine::run_until_idle(&sim.shared);
        // A program that looks at its deadline goes another way than undisturbed.
        let looked = fault == Fault::Deadline;
        let not_struck = point.is_some() && !looked && sim.shared.lock().strike.is_some();
        assert!(!not_struck, "the program ended before a point that it came by undisturbed: it isn't deterministic");
        if let Err(payload) = ended {
            let expected = match fault {
                // Ordering: SeqCst; the run is over.
                Fault::SiblingPanics => payload.is::<Struck>() && !panicked.load(Ordering::SeqCst),
                Fault::RuntimeEnds => point.is_some() && is_of_a_lost_runtime(&payload),
                _ => false,
            };
            if !expected {
                // What panicked was kept quiet.
                let said = said(&payload).unwrap_or("a panic of the program's own");
                match point {
                    Some((point, _)) => eprintln!("anyscope-sim: after point {point}, where {fault}: {said}"),
                    None => eprintln!("anyscope-sim: in the undisturbed run: {said}"),
                }
                panic::resume_unwind(payload);
            }
        }
    }
}

impl fmt::Debug for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("struck")
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("struck")
    }
}

impl std::error::Error for Struck {}
