//! [`Trace`]: what happened in a run, step by step.

use std::fmt::Write as _;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

/// How many steps are kept, so that a run which goes on for ever doesn't fill the memory.
const KEPT: usize = 1 << 20;

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

/// A task, as the trace names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    number: u64,
    name: Option<String>,
    location: &'static Location<'static>,
}

/// The trace while it is written.
#[derive(Debug)]
pub(crate) struct Log {
    start: Instant,
    records: Vec<Record>,
    tasks: Vec<Named>,
    steps: usize,
    hash: u64,
}

impl Log {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, records: Vec::new(), tasks: Vec::new(), steps: 0, hash: 0xcbf2_9ce4_8422_2325 }
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

    pub(crate) fn spawned(
        &mut self,
        now: Instant,
        number: u64,
        group: u64,
        name: Option<&str>,
        location: &'static Location<'static>,
    ) {
        self.add(now, Kind::Spawned, number);
        self.mix(group);
        for byte in name.unwrap_or_default().bytes() {
            self.mix(u64::from(byte));
        }
        if self.records.len() < KEPT {
            self.tasks.push(Named { number, name: name.map(str::to_owned), location });
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
    /// each task, with a slice for each of its polls, and an arrow from the poll that spawned it to its first.
    ///
    /// A poll takes no virtual time. Each step is drawn a microsecond wide, after those before it, so that the order is
    /// seen; the argument `at` of a slice is its virtual time, in seconds.
    #[must_use]
    pub fn to_chrome(&self) -> String {
        let mut events = Chrome::default();
        events.name(0, "the body of the run");
        for task in &self.0.tasks {
            let label = match &task.name {
                Some(name) => format!("{name} ({})", task.location),
                None => format!("task {} ({})", task.number, task.location),
            };
            events.name(task.number, &label);
        }
        let mut running = 0;
        let mut unborn = std::collections::BTreeSet::new();
        for (step, record) in self.0.records.iter().enumerate() {
            match record.kind {
                Kind::Spawned => {
                    events.arrow("s", step, running, record.subject);
                    unborn.insert(record.subject);
                }
                Kind::Polled => {
                    events.slice("B", step, record);
                    if unborn.remove(&record.subject) {
                        events.arrow("f", step, record.subject, record.subject);
                    }
                    running = record.subject;
                }
                Kind::Pending => {
                    events.slice("E", step, record);
                    running = 0;
                }
                Kind::Completed | Kind::Failed | Kind::Cancelled | Kind::Panicked | Kind::RuntimeGone => {
                    if running == record.subject {
                        events.slice("E", step, record);
                        running = 0;
                    }
                    events.instant(step, record);
                }
                Kind::Taken | Kind::GivenBack => events.instant(step, record),
                Kind::GroupOpened | Kind::GroupEnded => {}
            }
        }
        events.end()
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

/// Events of the Chrome trace format.
#[derive(Default)]
struct Chrome(String);

impl Chrome {
    fn event(&mut self, event: &str) {
        self.0.push_str(if self.0.is_empty() { "{\"traceEvents\":[\n" } else { ",\n" });
        self.0.push_str(event);
    }

    fn name(&mut self, track: u64, name: &str) {
        let name = quoted(name);
        self.event(&format!(r#"{{"ph":"M","pid":1,"tid":{track},"name":"thread_name","args":{{"name":{name}}}}}"#));
        self.event(&format!(
            r#"{{"ph":"M","pid":1,"tid":{track},"name":"thread_sort_index","args":{{"sort_index":{track}}}}}"#
        ));
    }

    fn slice(&mut self, phase: &str, step: usize, record: &Record) {
        let (track, at) = (record.subject, record.at.as_secs_f64());
        self.event(&format!(
            r#"{{"ph":"{phase}","pid":1,"tid":{track},"ts":{step},"name":"poll","args":{{"at":{at}}}}}"#
        ));
    }

    fn instant(&mut self, step: usize, record: &Record) {
        let (track, at, kind) = (record.subject, record.at.as_secs_f64(), record.kind);
        self.event(&format!(
            r#"{{"ph":"i","s":"t","pid":1,"tid":{track},"ts":{step},"name":"{kind:?}","args":{{"at":{at}}}}}"#
        ));
    }

    fn arrow(&mut self, phase: &str, step: usize, track: u64, id: u64) {
        let bind = if phase == "f" { r#","bp":"e""# } else { "" };
        self.event(&format!(
            r#"{{"ph":"{phase}","pid":1,"tid":{track},"ts":{step},"id":{id},"name":"spawn","cat":"spawn"{bind}}}"#
        ));
    }

    fn end(mut self) -> String {
        self.0.push_str("\n]}\n");
        self.0
    }
}

/// A text as a string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
