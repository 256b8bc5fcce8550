//! What is left to chance: every decision of a run, in order.
//!
//! A decision is "one of n", and 0 is what a plain first-in first-out runtime would do. A run is determined by its
//! program and its decisions; so it is replayed by a seed that makes them, or by a [`Schedule`] that names those that
//! weren't 0.
//!
//! The number of decisions that aren't 0 is the bound of an exhaustive search: delay-bounded scheduling, after Emmi,
//! Qadeer and Rakamarić, "Delay-bounded scheduling", POPL 2011. Seeds are drawn by SplitMix64, after Steele, Lea and
//! Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014: a few lines that never change.

use std::collections::BTreeMap;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// Which of the decisions of a run aren't the plain ones: enough to have it once more.
///
/// Its text is a list of `decision:choice`, the decisions counted from 0: `"3:1 17:2"`; the empty text is the run that
/// takes what has been ready longest, each time.
///
/// # Examples
///
/// ```
/// use anyscope_sim::{Schedule, Sim};
///
/// let schedule: Schedule = "3:1 17:2".parse()?;
/// assert_eq!(schedule.to_string(), "3:1 17:2");
/// assert_eq!(anyscope_core::run(Sim::replay(&schedule), async { 7 }), 7);
/// # Ok::<(), anyscope_sim::ParseScheduleError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    pub(crate) deviations: BTreeMap<usize, usize>,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (decision, choice)) in self.deviations.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{decision}:{choice}")?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
        let pair = |pair: &str| {
            let (decision, choice) = pair.split_once(':')?;
            let number = |text: &str| -> Result<usize, ParseIntError> { text.parse() };
            Some((number(decision).ok()?, number(choice).ok()?))
        };
        let deviations = text.split_whitespace().map(|text| pair(text).ok_or_else(|| ParseScheduleError(text.into())));
        Ok(Self { deviations: deviations.collect::<Result<_, _>>()? })
    }
}

/// The error of a text that isn't a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseScheduleError(String);

impl fmt::Display for ParseScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` isn't a decision and a choice, as in `17:2`", self.0)
    }
}

impl std::error::Error for ParseScheduleError {}

/// A decision that was made: of how many, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) of: usize,
    pub(crate) choice: usize,
}

/// Makes the decisions of a run, and keeps them.
#[derive(Debug)]
pub(crate) struct Chooser {
    source: Source,
    state: u64,
    made: Vec<Decision>,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Seed(u64),
    Schedule(Schedule),
}

impl Chooser {
    pub(crate) fn new(source: Source) -> Self {
        let state = if let Source::Seed(seed) = source { seed } else { 0 };
        Self { source, state, made: Vec::new() }
    }

    /// One of `of`, counted from 0. Where there is no choice, there is no decision.
    pub(crate) fn choose(&mut self, of: usize) -> usize {
        if of < 2 {
            return 0;
        }
        let choice = match &self.source {
            Source::Seed(_) => {
                let scale = u128::from(split_mix(&mut self.state)) * of as u128;
                (scale >> 64) as usize
            }
            // A schedule of another program, or of one that isn't deterministic, may ask for more than there is.
            Source::Schedule(schedule) => {
                schedule.deviations.get(&self.made.len()).map_or(0, |choice| (*choice).min(of - 1))
            }
        };
        self.made.push(Decision { of, choice });
        choice
    }

    /// Brings a list into an order of chance.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for length in (2..=list.len()).rev() {
            let chosen = self.choose(length);
            // 0 leaves the list as it is: the first is taken first.
            let first = list.len() - length;
            list[first..=first + chosen].rotate_right(1);
        }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn made(&self) -> &[Decision] {
        &self.made
    }

    pub(crate) fn schedule(&self) -> Schedule {
        let deviations = self.made.iter().enumerate().filter(|(_, decision)| decision.choice != 0);
        Schedule { deviations: deviations.map(|(at, decision)| (at, decision.choice)).collect() }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        // The reference implementation's first three for seed 1234567.
        let mut state = 1_234_567;
        let drawn = [(); 3].map(|()| split_mix(&mut state));
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn the_schedule_of_a_seeded_run_makes_the_same_decisions() {
        let mut seeded = Chooser::new(Source::Seed(7));
        for of in [1, 2, 3, 10, 1, 100] {
            seeded.choose(of);
        }
        let mut replayed = Chooser::new(Source::Schedule(seeded.schedule()));
        for of in [1, 2, 3, 10, 1, 100] {
            replayed.choose(of);
        }
        assert_eq!(seeded.made(), replayed.made());
        assert_eq!(seeded.made().len(), 4, "one of one is no decision");
    }

    #[test]
    fn a_shuffle_without_deviations_leaves_the_order() {
        let mut list = [1, 2, 3, 4];
        Chooser::new(Source::Schedule(Schedule::default())).shuffle(&mut list);
        assert_eq!(list, [1, 2, 3, 4]);
    }

    #[test]
    fn every_order_comes_up() {
        let mut seen = std::collections::BTreeSet::new();
        let mut chooser = Chooser::new(Source::Seed(0));
        for _ in 0..500 {
            let mut list = [1, 2, 3];
            chooser.shuffle(&mut list);
            seen.insert(list);
        }
        assert_eq!(seen.len(), 6);
    }

    #[test]
    fn a_text_that_is_no_schedule_is_refused() {
        assert!("3:1 x".parse::<Schedule>().is_err());
        assert_eq!("".parse(), Ok(Schedule::default()));
    }
}
