//! What is measured: cases, and in each of them anyscope and its peers doing the same.

use crate::runtimes::On;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Does so many rounds of a subject's work, and tells how long what counts of them took.
pub(crate) type Rounds = Box<dyn FnMut(u64) -> Duration>;

/// The same work, done by each of the subjects, on one runtime.
pub(crate) struct Case {
    /// The number in the table of targets: `S1`.
    pub(crate) scenario: &'static str,
    pub(crate) name: String,
    pub(crate) runtime: On,
    /// Operations in a round.
    pub(crate) ops: usize,
    pub(crate) memory: Memory,
    pub(crate) extent: Extent,
    /// Whether it is counted: what many threads do together, or wait for, differs too much from run to run.
    pub(crate) counted: bool,
    pub(crate) targets: Targets,
    pub(crate) subjects: Vec<Subject>,
}

/// How much memory belongs to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The items of a round live at the same time: the most that lived in the first round, by their number. Memory that
    /// is kept for later counts.
    Together,
    /// The operations of a round follow each other: what each asks of the allocator.
    InTurn,
}

/// How much of the process counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, on every thread.
    Whole,
    /// What goes on inside of [`measured`], on the thread that calls it.
    Part,
}

/// One way to do the work of a case.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// What it guarantees meanwhile: who waits, who bounds, who orders.
    pub(crate) guarantees: &'static str,
    pub(crate) start: Box<dyn Fn() -> Rounds>,
}

/// What is to be reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Targets {
    pub(crate) instructions: Limit,
    pub(crate) time: Limit,
    pub(crate) allocs: Option<f64>,
    pub(crate) bytes: Option<f64>,
    /// Another case, of which an operation may take one and a half times the instructions and 1.1 times the memory.
    pub(crate) no_dearer_than: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Limit {
    /// It is only shown.
    #[default]
    None,
    /// At most so much.
    Most(f64),
    /// At most so many times what this subject takes.
    OfPeer(f64, &'static str),
    /// At most so many times what the best peer takes.
    OfBest(f64),
}

impl Limit {
    /// Returns the limit as a figure, by those of the peers.
    pub(crate) fn resolve(self, peers: &[(&str, f64)]) -> Option<f64> {
        match self {
            Limit::None => None,
            Limit::Most(most) => Some(most),
            Limit::OfPeer(times, name) => peers.iter().find(|(peer, _)| *peer == name).map(|(_, took)| times * took),
            Limit::OfBest(times) => best(peers.iter().map(|(_, took)| *took)).map(|best| times * best),
        }
    }
}

/// The least of the figures.
pub(crate) fn best(figures: impl Iterator<Item = f64>) -> Option<f64> {
    figures.min_by(f64::total_cmp)
}

impl Case {
    pub(crate) fn new(scenario: &'static str, name: impl Into<String>, runtime: On, ops: usize) -> Self {
        Self {
            scenario,
            name: name.into(),
            runtime,
            ops,
            memory: Memory::InTurn,
            extent: Extent::Whole,
            counted: true,
            targets: Targets::default(),
            subjects: Vec::new(),
        }
    }

    /// The items of a round live at the same time.
    pub(crate) fn together(mut self) -> Self {
        self.memory = Memory::Together;
        self
    }

    /// Only what goes on inside of [`measured`] counts.
    pub(crate) fn part(mut self) -> Self {
        self.extent = Extent::Part;
        self
    }

    /// It isn't counted.
    pub(crate) fn timed_only(mut self) -> Self {
        self.counted = false;
        self
    }

    /// An operation is to cost about what it does in another case of the scenario.
    pub(crate) fn no_dearer_than(mut self, case: String) -> Self {
        self.targets.no_dearer_than = Some(case);
        self
    }

    pub(crate) fn instructions(mut self, limit: Limit) -> Self {
        self.targets.instructions = limit;
        self
    }

    pub(crate) fn time(mut self, limit: Limit) -> Self {
        self.targets.time = limit;
        self
    }

    pub(crate) fn allocs(mut self, most: f64) -> Self {
        self.targets.allocs = Some(most);
        self
    }

    pub(crate) fn bytes(mut self, most: f64) -> Self {
        self.targets.bytes = Some(most);
        self
    }

    /// Adds a way to do the work.
    pub(crate) fn subject(
        mut self,
        name: &'static str,
        guarantees: &'static str,
        start: impl Fn() -> Rounds + 'static,
    ) -> Self {
        self.subjects.push(Subject { name, guarantees, start: Box::new(start) });
        self
    }

    /// The name of the case without the subject.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}/{}", self.scenario, self.name, self.runtime)
    }

    /// The name by which one subject is asked for: `S1/ready/smol/anyscope`.
    pub(crate) fn id(&self, subject: &Subject) -> String {
        format!("{}/{}", self.key(), subject.name)
    }
}

impl Subject {
    /// Whether it is anyscope's, and not a peer's.
    pub(crate) fn is_ours(&self) -> bool {
        is_ours(self.name)
    }
}

/// Whether a subject of that name is anyscope's, and not a peer's.
pub(crate) fn is_ours(subject: &str) -> bool {
    subject.starts_with("anyscope")
}

/// Runs the part of a round that counts, where it isn't the whole: `count` looks for this name.
#[inline(never)]
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let out = black_box(work());
    (out, start.elapsed())
}

/// Rounds of work that needs no runtime, or brings its own.
pub(crate) fn plain<T>(mut round: impl FnMut() -> T + 'static) -> Rounds {
    Box::new(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            black_box(round());
        }
        start.elapsed()
    })
}
