//! [`Trace`]: what happened in a run, step by step.

use anyscope_core::Reason;
use anyscope_core::observe::chrome::Chrome;
use anyscope_core::observe::{MemberRole, Wait};
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io, mem};

/// How many steps are kept, so that a run which goes on for ever doesn't fill the memory.
const KEPT: usize = 1 << 20;

/// How wide a step is drawn.
const STEP: Duration = Duration::from_micros(1);

/// What happened to a task or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    GroupOpened = 0,
    GroupEnded = 1,
    Spawned = 2,
    Polled = 3,
    Pending = 4,
    Completed = 5,
    Failed = 6,
    Cancelled = 7,
    Panicked = 8,
    RuntimeGone = 9,
    Taken = 10,
    GivenBack = 11,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    at: Duration,
    kind: Kind,
    /// The number of the task or the group, by the order in which they came; 0 for the body of a run.
    subject: u64,
}

/// A task or a group, as the trace names it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) number: u64,
    pub(crate) name: Option<String>,
    pub(crate) location: &'static Location<'static>,
}

/// A group, and what it is below.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) named: Named,
    pub(crate) parent: Option<u64>,
    pub(crate) task: Option<u64>,
}

/// A task, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Spawned {
    pub(crate) named: Named,
    pub(crate) group: u64,
    pub(crate) by: Option<u64>,
    pub(crate) role: MemberRole,
}

/// What happened to a task beside the steps: it is drawn, and isn't part of the hash.
#[derive(Clone, Debug)]
struct Aside {
    /// How many steps there were before.
    step: usize,
    at: Duration,
    task: u64,
    what: Happened,
}

#[derive(Clone, Debug)]
pub(crate) enum Happened {
    /// It was woken, in the poll of a task, if any.
    Woken(Option<u64>),
    /// It came to wait for something; for a task, with its number.
    Waits(Wait, Option<u64>),
    /// Its future is about to be dropped outside of a poll.
    Ending,
    /// It asked for a cancellation, and why; nought is the body of a run.
    Cancels(Arc<str>),
}

impl Happened {
    /// Without the number of the task that asked, which is the process's.
    pub(crate) fn cancels(reason: &Reason) -> Self {
        let message = reason.message().map(|message| format!(": {message}")).unwrap_or_default();
        Self::Cancels(format!("{}{message}, at {}", reason.kind(), reason.location()).into())
    }
}

impl Aside {
    fn draw(&self, chrome: &mut Chrome) {
        match &self.what {
            Happened::Woken(by) => chrome.woken(self.task, *by),
            Happened::Waits(on, number) => chrome.waits(self.task, on, |_| *number),
            Happened::Ending => chrome.ending(self.task),
            Happened::Cancels(reason) => chrome.cancel_requested((self.task != 0).then_some(self.task), reason),
        }
    }
}

/// The trace while it is written.
#[derive(Debug)]
pub(crate) struct Log {
    start: Instant,
    records: Vec<Record>,
    asides: Vec<Aside>,
    groups: Vec<Opened>,
    tasks: Vec<Spawned>,
    steps: usize,
    hash: u64,
}

impl Log {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            records: Vec::new(),
            asides: Vec::new(),
            groups: Vec::new(),
            tasks: Vec::new(),
            steps: 0,
            hash: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(crate) fn add(&mut self, now: Instant, kind: Kind, subject: u64) {
        let at = now.saturating_duration_since(self.start);
        self.mix(kind as u64);
        self.mix(subject);
        self.mix(at.as_secs());
        self.mix(u64::from(at.subsec_nanos()));
        self.steps += 1;
        if self.records.len() < KEPT {
            self.records.push(Record { at, kind, subject });
        }
    }

    pub(crate) fn opened(&mut self, now: Instant, group: Opened) {
        self.add(now, Kind::GroupOpened, group.named.number);
        if self.steps <= KEPT {
            self.groups.push(group);
        }
    }

    pub(crate) fn spawned(&mut self, now: Instant, task: Spawned) {
        self.add(now, Kind::Spawned, task.named.number);
        self.mix(task.group);
        for byte in task.named.name.as_deref().unwrap_or_default().bytes() {
            self.mix(u64::from(byte));
        }
        if self.steps <= KEPT {
            self.tasks.push(task);
        }
    }

    /// Keeps what is no step.
    pub(crate) fn beside(&mut self, now: Instant, task: u64, what: impl FnOnce() -> Happened) {
        if self.steps < KEPT && self.asides.len() < KEPT {
            let at = now.saturating_duration_since(self.start);
            self.asides.push(Aside { step: self.steps, at, task, what: what() });
        }
    }

    /// FNV-1a, eight bytes at a time, after Fowler, Noll and Vo.
    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    pub(crate) fn trace(&self) -> Trace {
        Trace(Arc::new(Self {
            start: self.start,
            records: self.records.clone(),
            asides: self.asides.clone(),
            groups: self.groups.clone(),
            tasks: self.tasks.clone(),
            steps: self.steps,
            hash: self.hash,
        }))
    }
}

/// What happened in the runs of a simulator so far: each group, spawn, poll, end, permit, with its virtual time.
///
/// The same program with the same seed has the same trace, on any machine: places in memory and in the source, numbers
/// of the process and the time of the wall aren't part of it. The first million steps are kept; the hash is of all. Another
/// version of anyscope may poll more or less often, and has another hash then.
///
/// # Examples
///
/// ```
/// use anyscope_core::{run, task_group};
/// use anyscope_sim::Sim;
///
/// let hash = |seed| {
///     let sim = Sim::seed(seed);
///     run(sim.clone(), task_group::<Sim, _, _>(async |g| {
///         for _ in 0..5 {
///             g.spawn(anyscope_core::yield_now());
///         }
///     }));
///     sim.trace().hash()
/// };
/// assert_eq!(hash(7), hash(7));
/// assert_ne!(hash(7), hash(8));
/// ```
#[derive(Clone, Debug)]
pub struct Trace(Arc<Log>);

impl Trace {
    /// Returns a number that is the same for the same steps, and hardly for others.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.0.hash
    }

    /// Returns how many steps there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.steps
    }

    /// Returns whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.steps == 0
    }

    /// Returns the trace as JSON in the Chrome trace format, which [Perfetto](https://ui.perfetto.dev) shows: a track for
    /// each task, below its group, with its polls and what it waits for between them, and arrows from where it was spawned
    /// and woken to its next poll. What the feature `trace` of `anyscope` writes looks the same.
    ///
    /// A poll takes no virtual time. Each step is drawn a microsecond wide, after those before it, so that the order is
    /// seen; the argument `at` of a slice is its virtual time, in seconds.
    #[must_use]
    pub fn to_chrome(&self) -> String {
        let log = &*self.0;
        let mut chrome = Chrome::default();
        let mut asides = log.asides.iter().peekable();
        let (mut ts, mut groups, mut tasks) = (Duration::ZERO, log.groups.iter(), log.tasks.iter());
        for (step, record) in log.records.iter().enumerate() {
            while let Some(aside) = asides.next_if(|aside| aside.step <= step) {
                aside.draw(chrome.at(ts, Some(aside.at)));
                ts += STEP;
            }
            let (chrome, subject) = (chrome.at(ts, Some(record.at)), record.subject);
            let in_task = (subject != 0).then_some(subject);
            match record.kind {
                Kind::GroupOpened => {
                    let group = groups.find(|group| group.named.number == subject);
                    if let Some(Opened { named, parent, task }) = group {
                        chrome.group_opened(subject, *parent, *task, named.name.as_deref(), named.location);
                    }
                }
                Kind::GroupEnded => chrome.group_ended(subject),
                Kind::Spawned => {
                    if let Some(Spawned { named, group, by, role }) = tasks.find(|task| task.named.number == subject) {
                        chrome.spawned(subject, *group, *by, named.name.as_deref(), named.location, *role);
                    }
                }
                Kind::Polled => chrome.polled(subject),
                Kind::Pending => chrome.pending(subject),
                Kind::Completed => chrome.ended(subject, "completed", None),
                Kind::Failed => chrome.ended(subject, "failed", None),
                Kind::Cancelled => chrome.ended(subject, "cancelled", None),
                Kind::Panicked => chrome.ended(subject, "panicked", None),
                Kind::RuntimeGone => chrome.ended(subject, "runtime gone", None),
                Kind::Taken => chrome.noted("takes a permit", in_task, None),
                Kind::GivenBack => chrome.noted("gives a permit back", in_task, None),
            }
            ts += STEP;
        }
        chrome.at(ts, None).close();
        chrome.end();
        mem::take(chrome.text_mut())
    }

    /// Writes [`to_chrome`](Self::to_chrome) to a file.
    ///
    /// # Errors
    ///
    /// Where the file can't be written.
    pub fn write_chrome(&self, path: impl AsRef<Path>) -> io::Result<()> {
        fs::write(path, self.to_chrome())
    }
}
