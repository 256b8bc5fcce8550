//! [`Watchdog`]: says what is stuck, while it is.
//!
//! It looks at the [tree](crate::tree()) once in a while, and reports each of these once, as soon as it has lasted for longer
//! than it may:
//!
//! - a poll of a task: it keeps a thread of the runtime from everybody else. One that has ended by the time of the look is
//!   reported too, if the task hasn't.
//! - a shield whose budget is spent: what is behind it hasn't ended, and goes on unprotected, or in a poll or a job that
//!   doesn't return.
//! - a task that was cancelled and hasn't ended: it is in a poll that doesn't return, or a destructor, or its runtime starves it.
//! - a wait for permits of a semaphore, a limiter, a lock: with who holds them.
//!
//! It looks at tasks, and not at the body of a `run`, nor at that of a group that is outside of any task.
//!
//! Opt-in, and for an application: it has ages and waits [recorded](crate::tree::record).

use crate::tree::{self, Due, TaskNode, Tree, tree};
use crate::{TaskId, interval, now};
use anyscope_core::observe::Resource;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Looks at the tree, and says what has lasted too long: see the [module](self).
///
/// [`run`](Self::run) looks from a task, by the runtime's clock. On a simulator it keeps virtual time going, as any interval
/// does, so that a deadlock isn't told: leave it out there but for what tests the watchdog. It can't look while all threads of its runtime are stuck, and reports what it missed after that. [`start`](Self::start)
/// looks from a thread of its own, and sees that too.
///
/// # Examples
///
/// ```
/// use anyscope::sim::Sim;
/// use anyscope::watchdog::Watchdog;
/// use anyscope::{Semaphore, sleep, task_group};
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// let reports = Arc::new(Mutex::new(Vec::new()));
/// anyscope::run(Sim::new(), task_group(async |g| {
///     let reports = reports.clone();
///     g.spawn_service(async move {
///         let mut watchdog = Watchdog::new().longest_wait(Duration::from_secs(5));
///         watchdog.run(|finding| reports.lock().unwrap().push(finding.to_string())).await
///     });
///     let database = Arc::new(Semaphore::new(1));
///     for name in ["long", "waits"] {
///         let database = database.clone();
///         g.task(name).spawn(async move {
///             let _connection = database.acquire().await;
///             sleep(Duration::from_secs(10)).await;
///         });
///     }
/// }));
/// let reports = reports.lock().unwrap();
/// assert!(reports[0].contains("`waits`") && reports[0].contains("held by task `long`"), "{}", reports[0]);
/// ```
#[derive(Debug)]
pub struct Watchdog {
    period: Duration,
    longest_poll: Duration,
    over_budget: Duration,
    longest_end: Duration,
    longest_wait: Duration,
    memory: Memory,
}

/// What was reported, and since when something is that has no time of its own.
#[derive(Debug, Default)]
struct Memory {
    /// The polls of a task that were reported: the number of the last, and the longest.
    polls: HashMap<TaskId, (u64, Duration)>,
    over_budget: HashSet<TaskId>,
    cancelled: HashMap<TaskId, Cancelled>,
    exhausted: HashSet<Resource>,
}

#[derive(Debug)]
struct Cancelled {
    since: Instant,
    is_reported: bool,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self::new()
    }
}

impl Watchdog {
    /// Makes one that looks once a second, and allows a poll 100 ms, a shield as much beyond its budget, a cancelled task
    /// 10 s, and a wait for permits 10 s.
    #[must_use]
    pub fn new() -> Self {
        tree::record();
        Self {
            period: Duration::from_secs(1),
            longest_poll: Duration::from_millis(100),
            over_budget: Duration::from_millis(100),
            longest_end: Duration::from_secs(10),
            longest_wait: Duration::from_secs(10),
            memory: Memory::default(),
        }
    }

    /// Sets how often it looks.
    ///
    /// # Panics
    ///
    /// Where it is zero.
    #[must_use]
    pub fn period(mut self, period: Duration) -> Self {
        assert!(!period.is_zero(), "a watchdog can't look all the time: its period is zero");
        self.period = period;
        self
    }

    /// Sets how long a poll may take.
    #[must_use]
    pub fn longest_poll(mut self, duration: Duration) -> Self {
        self.longest_poll = duration;
        self
    }

    /// Sets how long what is behind a shield may go on after its budget is spent.
    #[must_use]
    pub fn over_budget(mut self, duration: Duration) -> Self {
        self.over_budget = duration;
        self
    }

    /// Sets how long a task may live after the watchdog has found it cancelled, and not shielded.
    #[must_use]
    pub fn longest_end(mut self, duration: Duration) -> Self {
        self.longest_end = duration;
        self
    }

    /// Sets how long a task may wait for permits of a semaphore or a limiter, or for a lock.
    #[must_use]
    pub fn longest_wait(mut self, duration: Duration) -> Self {
        self.longest_wait = duration;
        self
    }

    /// Looks once a period, by the clock of the runtime around, and hands over what it finds. Never ends: for
    /// [`spawn_service`](anyscope_core::TaskGroup::spawn_service), which ends it when nothing else is left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it between two looks; what was reported isn't again, should it be called anew.
    ///
    /// # Examples
    ///
    /// See [`Watchdog`].
    pub async fn run(&mut self, mut report: impl FnMut(Finding)) -> ! {
        let mut looks = interval(self.period);
        loop {
            looks.tick().await;
            self.look(now()).into_iter().for_each(&mut report);
        }
    }

    /// Looks from a thread of its own, until what this returns is dropped. `report` is called there.
    ///
    /// # Errors
    ///
    /// Where the system refuses a thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::watchdog::Watchdog;
    ///
    /// let watching = Watchdog::new().start(|finding| eprintln!("{finding}"))?;
    /// anyscope::run(anyscope::smol::Smol::new(), async { /* the program */ });
    /// drop(watching);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn start(mut self, mut report: impl FnMut(Finding) + Send + 'static) -> io::Result<Watching> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("anyscope-watchdog".to_owned()).spawn(move || {
            while stopped.recv_timeout(self.period) == Err(RecvTimeoutError::Timeout) {
                self.look(Instant::now()).into_iter().for_each(&mut report);
            }
        })?;
        Ok(Watching { stop: Some(stop), thread: Some(thread) })
    }

    /// Looks once, and returns what has become too long since the last look, the longest first. `now` is the time, for what the
    /// tree has none of.
    pub fn look(&mut self, now: Instant) -> Vec<Finding> {
        self.judge(&tree(), now)
    }

    fn judge(&mut self, tree: &Tree, now: Instant) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut living = HashSet::new();
        let mut waiting: HashMap<Resource, Vec<(&TaskNode, Duration, String)>> = HashMap::new();
        for task in tree.tasks() {
            living.insert(task.id());
            findings.extend(self.poll(task));
            findings.extend(self.shield(task));
            findings.extend(self.end(task, now));
            for wait in task.waits().iter().filter(|wait| !task.is_stale() && wait.duration() > self.longest_wait) {
                if let Some(resource) = wait.resource() {
                    waiting.entry(resource).or_default().push((task, wait.duration(), wait.to_string()));
                }
            }
        }
        findings.extend(self.exhausted(waiting));
        let Memory { polls, over_budget, cancelled, .. } = &mut self.memory;
        polls.retain(|task, _| living.contains(task));
        over_budget.retain(|task| living.contains(task));
        cancelled.retain(|task, _| living.contains(task));
        findings.sort_by_key(|finding: &Finding| Reverse(finding.duration));
        findings
    }

    /// One that is longer than those that were reported.
    fn poll(&mut self, task: &TaskNode) -> Option<Finding> {
        let longest = task.longest_poll().filter(|longest| *longest > self.longest_poll)?;
        let is_under_way = task.polled_for() == Some(longest);
        let number = task.polls().unwrap_or(0);
        // One that is under way is longer at each look, and so may have been by its end.
        let known = self.memory.polls.get(&task.id());
        if known.is_some_and(|&(known, told)| number == known || (longest <= told && !is_under_way)) {
            return None;
        }
        self.memory.polls.insert(task.id(), (number, longest));
        let what = if is_under_way { "is in a poll that has taken" } else { "had a poll that took" };
        Some(Finding::of(FindingKind::LongPoll, task, longest, format!("{what} {longest:.1?}")))
    }

    fn shield(&mut self, task: &TaskNode) -> Option<Finding> {
        match task.shield() {
            Some(Due::Overdue(over)) if over > self.over_budget => {
                let text = format!("is {over:.1?} over the budget of its shield");
                let is_news = self.memory.over_budget.insert(task.id());
                is_news.then(|| Finding::of(FindingKind::OverBudget, task, over, text))
            }
            _ => {
                self.memory.over_budget.remove(&task.id());
                None
            }
        }
    }

    fn end(&mut self, task: &TaskNode, now: Instant) -> Option<Finding> {
        let Some(reason) = task.reason().filter(|_| !task.is_shielded()) else {
            self.memory.cancelled.remove(&task.id());
            return None;
        };
        let new = Cancelled { since: now, is_reported: false };
        let cancelled = self.memory.cancelled.entry(task.id()).or_insert(new);
        let lasts = now.saturating_duration_since(cancelled.since);
        if lasts <= self.longest_end || std::mem::replace(&mut cancelled.is_reported, true) {
            return None;
        }
        let text = format!("was {reason}, and is {} {lasts:.1?} later", task.state());
        Some(Finding::of(FindingKind::IgnoresCancellation, task, lasts, text))
    }

    /// One report for all who wait for the same, until nobody has waited for it so long.
    fn exhausted(&mut self, waiting: HashMap<Resource, Vec<(&TaskNode, Duration, String)>>) -> Vec<Finding> {
        let reported = &mut self.memory.exhausted;
        reported.retain(|resource| waiting.contains_key(resource));
        let mut findings = Vec::new();
        for (resource, mut tasks) in waiting {
            tasks.sort_by_key(|(_, lasts, _)| Reverse(*lasts));
            if let (true, Some((task, lasts, wait))) = (reported.insert(resource), tasks.first()) {
                let others = match tasks.len() - 1 {
                    0 => String::new(),
                    1 => ", and so does 1 other".to_owned(),
                    others => format!(", and so do {others} others"),
                };
                let text = format!("has waited for {lasts:.1?} for {wait}{others}");
                findings.push(Finding::of(FindingKind::Exhausted, task, *lasts, text));
            }
        }
        findings
    }
}

/// Something that has lasted too long.
///
/// Its `Display` names the task, with where it was spawned, and says what of it.
#[derive(Clone, Debug)]
pub struct Finding {
    kind: FindingKind,
    task: TaskNode,
    duration: Duration,
    text: String,
}

/// What has lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A poll.
    LongPoll,
    /// A shield, after its budget was spent.
    OverBudget,
    /// A task, after it was cancelled.
    IgnoresCancellation,
    /// A wait for permits or a lock.
    Exhausted,
}

impl Finding {
    fn of(kind: FindingKind, task: &TaskNode, duration: Duration, text: String) -> Self {
        Self { kind, task: task.clone(), duration, text }
    }

    /// Returns what of it has lasted too long.
    #[must_use]
    pub fn kind(&self) -> FindingKind {
        self.kind
    }

    /// Returns the task, as it was found; of several that wait for the same, the one that has waited longest.
    #[must_use]
    pub fn task(&self) -> &TaskNode {
        &self.task
    }

    /// Returns how long it has lasted.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.task.label(), self.text)
    }
}

/// Keeps the thread of a watchdog, until it is dropped. Made by [`Watchdog::start`].
///
/// The drop waits for a look that is under way.
#[must_use = "nobody watches once this is dropped"]
#[derive(Debug)]
pub struct Watching {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the report was told by then. Where the report itself drops this, there is nothing to wait for.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
