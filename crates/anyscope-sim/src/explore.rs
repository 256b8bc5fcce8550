//! [`explore`]: one program, many interleavings; and a failure made small.

use crate::choice::{Decision, Schedule};
use crate::report::LIVELOCK;
use crate::scheduler::STEPS;
use crate::{Sim, quiet};
use anyscope_core::run;
use std::any::Any;
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many seeds are run, unless it is said otherwise.
const SEEDS: u64 = 1_000;

/// How many runs the search for a shorter schedule may take.
const SHRINKING: usize = 500;

/// The variable with what is to be run once more: `seed 7`, or a schedule.
const REPLAY: &str = "ANYSCOPE_REPLAY";

/// Runs a program with 1,000 seeds, each a simulator of its own. See [`Explore`].
///
/// # Panics
///
/// With the panic of the first run that fails, after a line on standard error that has it again.
///
/// # Examples
///
/// ```
/// use anyscope_core::{Semaphore, task_group};
/// use anyscope_sim::{Sim, explore};
/// use std::sync::Arc;
///
/// explore(|| async {
///     let permits = Arc::new(Semaphore::new(1));
///     task_group::<Sim, _, _>(async |g| {
///         for _ in 0..3 {
///             let permits = permits.clone();
///             g.spawn(async move {
///                 let _permit = permits.acquire().await.unwrap();
///                 anyscope_core::yield_now().await;
///             });
///         }
///     })
///     .await;
///     assert_eq!(permits.available_permits(), 1);
/// });
/// ```
pub fn explore<F: Future>(program: impl Fn() -> F) -> Explored {
    Explore::new().run(program)
}

/// How a program is explored: with seeds, or exhaustively within a bound.
///
/// The variable `ANYSCOPE_SEEDS` sets how many seeds are run where [`seeds`](Self::seeds) doesn't; `ANYSCOPE_REPLAY` runs
/// nothing but what it says, which is what a failure prints.
///
/// # Examples
///
/// ```
/// use anyscope_core::{task_group, yield_now};
/// use anyscope_sim::{Explore, Sim};
/// use std::collections::BTreeSet;
/// use std::sync::{Arc, Mutex};
///
/// let seen = Mutex::new(BTreeSet::new());
/// let explored = Explore::new().exhaustive(2).run(|| async {
///     let order = Arc::new(Mutex::new(Vec::new()));
///     task_group::<Sim, _, _>(async |g| {
///         for n in [1, 2, 3] {
///             let order = order.clone();
///             g.spawn(async move { order.lock().unwrap().push(n) });
///         }
///     })
///     .await;
///     seen.lock().unwrap().insert(order.lock().unwrap().clone());
/// });
/// assert!(explored.is_exhaustive());
/// assert_eq!(seen.lock().unwrap().len(), 6, "every order of three");
/// ```
#[derive(Clone, Debug)]
#[must_use = "it explores nothing before `run`"]
pub struct Explore {
    seeds: Option<Range<u64>>,
    bound: Option<usize>,
    limit: usize,
    open: bool,
    lenient: bool,
    steps: u64,
}

impl Default for Explore {
    fn default() -> Self {
        Self::new()
    }
}

impl Explore {
    /// With 1,000 seeds.
    pub fn new() -> Self {
        Self { seeds: None, bound: None, limit: 100_000, open: false, lenient: false, steps: STEPS }
    }

    /// With these seeds.
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = Some(seeds);
        self
    }

    /// With every interleaving in which at most `bound` decisions aren't the plain one: take what has been ready longest.
    /// For small programs: the number of runs grows with the power of the bound.
    pub fn exhaustive(mut self, bound: usize) -> Self {
        self.bound = Some(bound);
        self
    }

    /// Ends an exhaustive search after so many runs: 100,000, unless it is set.
    pub fn limit(mut self, runs: usize) -> Self {
        self.limit = runs;
        self
    }

    /// On simulators that are [open](Sim::open).
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// On simulators that are [lenient](Sim::lenient).
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// On simulators to which so many [steps](Sim::steps) in a row are a livelock.
    pub fn steps(mut self, limit: u64) -> Self {
        self.steps = limit;
        self
    }

    /// Runs the program. See [`explore`].
    ///
    /// # Panics
    ///
    /// With the panic of the first run that fails. Where there is no seed. Where the variables don't say what they should.
    pub fn run<F: Future>(self, program: impl Fn() -> F) -> Explored {
        if let Ok(replay) = env::var(REPLAY) {
            let seed = replay.strip_prefix("seed ").map(|seed| seed.trim().parse().expect("a seed is a number"));
            let sim = match seed {
                Some(seed) => Sim::seed(seed),
                None => Sim::replay(&replay.parse().unwrap_or_else(|error| panic!("{REPLAY}: {error}"))),
            };
            run(self.set(sim), program());
            return Explored { runs: 1, exhaustive: false };
        }
        match self.bound {
            Some(bound) => self.search(bound, &program),
            None => self.sow(&program),
        }
    }

    /// A simulator, set up as it was asked for.
    fn set(&self, sim: Sim) -> Sim {
        let sim = sim.steps(self.steps);
        let sim = if self.open { sim.open() } else { sim };
        if self.lenient { sim.lenient() } else { sim }
    }

    fn sow<F: Future>(&self, program: &impl Fn() -> F) -> Explored {
        let seeds = self.seeds.clone().unwrap_or_else(|| {
            let seeds = env::var("ANYSCOPE_SEEDS").map(|seeds| seeds.parse().expect("ANYSCOPE_SEEDS is a number"));
            0..seeds.unwrap_or(SEEDS)
        });
        assert!(!seeds.is_empty(), "a program that is explored with no seed isn't run");
        let mut runs = 0;
        for seed in seeds {
            runs += 1;
            if let Err((schedule, payload)) = attempt(&self.set(Sim::seed(seed)), program) {
                self.fail(&format!("seed {seed}"), schedule, payload, program);
            }
        }
        Explored { runs, exhaustive: false }
    }

    fn search<F: Future>(&self, bound: usize, program: &impl Fn() -> F) -> Explored {
        let mut schedule = Schedule::default();
        for run in 1..=self.limit {
            let sim = self.set(Sim::replay(&schedule));
            if let Err((schedule, payload)) = attempt(&sim, program) {
                self.fail(&format!("run {run} of an exhaustive search"), schedule, payload, program);
            }
            match next(sim.shared.lock().chooser.made(), bound) {
                Some(following) => schedule = following,
                None => return Explored { runs: run, exhaustive: true },
            }
        }
        Explored { runs: self.limit, exhaustive: false }
    }

    /// Looks for a shorter schedule that fails too, says how to have it again, and fails in the same way.
    fn fail<F: Future>(&self, how: &str, schedule: Schedule, payload: Payload, program: &impl Fn() -> F) -> ! {
        let is_livelock = payload.downcast_ref::<String>().is_some_and(|report| report.starts_with(LIVELOCK));
        if is_livelock {
            // One run of it takes seconds, and its decisions fill pages: the report has the seed.
            eprintln!("anyscope-sim: failed with {how}");
            resume_unwind(payload);
        }
        let decisions = schedule.deviations.len();
        let shortest = shrink(schedule, |schedule| attempt(&self.set(Sim::replay(schedule)), program).is_err());
        eprintln!(
            "anyscope-sim: failed with {how}; {} of its {decisions} decisions that aren't plain are enough. To have it again: \
             {REPLAY}=\"{shortest}\"",
            shortest.deviations.len()
        );
        run(self.set(Sim::replay(&shortest)), program());
        eprintln!(
            "anyscope-sim: the same decisions made no failure now, so something outside of the simulator has a part in it"
        );
        resume_unwind(payload)
    }
}

/// The schedule after the one that was made, in the order of a search in depth; `None` after the last.
fn next(made: &[Decision], bound: usize) -> Option<Schedule> {
    let mut used = made.iter().filter(|decision| decision.choice != 0).count();
    for (at, decision) in made.iter().enumerate().rev() {
        used -= usize::from(decision.choice != 0);
        if decision.choice + 1 < decision.of && used < bound {
            let before = made[..at].iter().enumerate().filter(|(_, decision)| decision.choice != 0);
            let mut deviations: BTreeMap<_, _> = before.map(|(at, decision)| (at, decision.choice)).collect();
            deviations.insert(at, decision.choice + 1);
            return Some(Schedule { deviations });
        }
    }
    None
}

type Payload = Box<dyn Any + Send>;

/// Runs the program once, without a word of how it fails.
fn attempt<F: Future>(sim: &Sim, program: &impl Fn() -> F) -> Result<(), (Schedule, Payload)> {
    let _quiet = quiet::hush();
    catch_unwind(AssertUnwindSafe(|| drop(run(sim.clone(), program())))).map_err(|payload| (sim.schedule(), payload))
}

/// Leaves out what isn't needed: first half of the decisions at a time, then fewer, down to one. After Zeller and
/// Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.
fn shrink(schedule: Schedule, fails: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut left: Vec<_> = schedule.deviations.into_iter().collect();
    let mut runs = 0;
    let mut size = left.len();
    while size > 0 {
        let mut at = 0;
        while at < left.len() && runs < SHRINKING {
            let mut fewer = left.clone();
            fewer.drain(at..left.len().min(at + size));
            runs += 1;
            if fails(&Schedule { deviations: fewer.iter().copied().collect() }) {
                left = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    Schedule { deviations: left.into_iter().collect() }
}

/// What was explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explored {
    runs: usize,
    exhaustive: bool,
}

impl Explored {
    /// Returns how many interleavings were run.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Returns whether every interleaving within the bound was run.
    #[must_use]
    pub fn is_exhaustive(&self) -> bool {
        self.exhaustive
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} interleavings{}",
            self.runs,
            if self.exhaustive { ", all that there are within the bound" } else { "" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_shrunk_to_what_is_needed() {
        let schedule: Schedule = "1:1 2:1 5:3 8:1 9:2".parse().unwrap();
        let needed = shrink(schedule, |schedule| {
            schedule.deviations.get(&5) == Some(&3) && schedule.deviations.contains_key(&9)
        });
        assert_eq!(needed.to_string(), "5:3 9:2");
    }

    #[test]
    fn a_search_comes_by_every_schedule_within_its_bound() {
        let of = [2, 3, 2];
        let mut schedule = Some(Schedule::default());
        let mut seen = Vec::new();
        while let Some(this) = schedule {
            let choice = |at: usize| this.deviations.get(&at).copied().unwrap_or(0);
            let made: Vec<_> = of.iter().enumerate().map(|(at, of)| Decision { of: *of, choice: choice(at) }).collect();
            seen.push(this.to_string());
            schedule = next(&made, 1);
        }
        assert_eq!(seen, ["", "2:1", "1:1", "1:2", "0:1"]);
    }
}
