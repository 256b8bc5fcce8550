//! [`tree`](tree()): the groups and tasks that live, as they are right now: what each does, what it waits for, who holds it.
//!
//! # What is known, and from when
//!
//! Which groups and tasks there are, their names, where they were opened and spawned, whether they are polled, idle,
//! shielded or cancelled, and by when they have to be through: that is always known, and costs nothing to know. Ages, polls
//! and waits have to be written down while they happen. That begins with the first call of [`tree`](tree()), or with
//! [`record`], and goes on to the end of the process; what was there before has an age of at least so much.
//!
//! Without it, a group is seen from when a child of its first had to wait, and a `run` at once.
//!
//! # What a snapshot is
//!
//! Each group is looked at for a moment, one after the other, while the program goes on: what is told of two tasks needn't
//! have been so at one time. A task may end while it is being written about. Children of a [`scope`](crate::scope()) and of
//! a gather without `.parallel()` are polled by the task that they are in, and are no tasks of their own.
//!
//! # Examples
//!
//! ```
//! use anyscope::{sim::Sim, sleep, task_group, tree};
//! use std::time::Duration;
//!
//! anyscope::run(Sim::new(), task_group(async |g| {
//!     g.task("ticker").spawn(sleep(Duration::from_secs(60)));
//!     tree::record();
//!     sleep(Duration::from_secs(1)).await;
//!     let tree = tree();
//!     let ticker = tree.tasks().find(|task| task.name() == Some("ticker")).unwrap();
//!     assert_eq!(ticker.state(), tree::TaskState::Idle);
//!     assert!(tree.to_string().contains("`ticker`"));
//!     g.cancel();
//! }));
//! ```

mod draw;
pub(crate) mod holders;
mod json;
pub(crate) mod notes;
mod walk;

use crate::cancel::reason::Reason;
use crate::observe::{self, GroupId, MemberRole, Resource, Wait};
use crate::sync::Arc;
use crate::task::{TaskId, TaskRef};
use std::borrow::Cow;
use std::panic::Location;
use std::time::Duration;

/// Returns what lives right now: see the [module](self) for what is known of it.
///
/// Called from anywhere, a plain thread too, and takes no notice of the runtime around: every run of the process is in it.
/// Nothing is stopped meanwhile; a group is held up for as long as 256 of its members take to be looked at.
///
/// The first call has more written down from then on, at a price for each poll: see [`record`].
///
/// # Examples
///
/// ```
/// use anyscope::{sim::Sim, sleep, task_group, tree};
/// use std::time::Duration;
///
/// anyscope::run(Sim::new(), task_group(async |g| {
///     g.task("ticker").spawn(sleep(Duration::from_secs(60)));
///     anyscope::yield_now().await;
///     println!("{}", tree());
///     g.cancel();
/// }));
/// ```
#[must_use]
pub fn tree() -> Tree {
    record();
    walk::walk()
}

/// Has ages, polls, waits and holders written down from now on, to the end of the process.
///
/// To be called at the start of a program that is to be looked at later: a tree knows all of a task then, from its spawn. It
/// costs two looks at the clock for each poll and one for each wait; the figures are in `docs/performance.md`.
pub fn record() {
    if observe::record() {
        walk::be_told();
    }
}

/// What lived at one time, in the order of a walk: each group and task comes after the one that it is in, and before the next
/// of those around. Made by [`tree`](tree()).
///
/// Its `Display` draws it, with a line for each; [`to_json`](Self::to_json) is for programs.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
}

/// A group or a task, and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    parent: Option<usize>,
    depth: usize,
    what: What,
}

/// What stands at a place of a tree.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum What {
    /// A group.
    Group(GroupNode),
    /// A task.
    Task(TaskNode),
}

/// A group that lives.
#[derive(Clone, Debug)]
pub struct GroupNode {
    id: GroupId,
    kind: GroupKind,
    name: Option<Cow<'static, str>>,
    location: &'static Location<'static>,
    runtime: &'static str,
    state: GroupState,
    reason: Option<Reason>,
    members: usize,
    adopted: usize,
    deadline: Option<Due>,
    noted: Option<Noted>,
}

/// A task that lives.
#[derive(Clone, Debug)]
pub struct TaskNode {
    id: TaskId,
    group: GroupId,
    name: Option<Cow<'static, str>>,
    /// Where it isn't known, the task is in a poll, and nobody asked before that began.
    location: Option<&'static Location<'static>>,
    role: MemberRole,
    state: TaskState,
    is_shielded: bool,
    reason: Option<Reason>,
    deadline: Option<Due>,
    shield: Option<Due>,
    noted: Option<Noted>,
}

/// What was written down.
#[derive(Clone, Debug)]
struct Noted {
    age: Duration,
    from_birth: bool,
    polls: u64,
    polled_for: Option<Duration>,
    longest: Duration,
    waits: Vec<Waiting>,
    more_waits: usize,
    is_stale: bool,
}

/// Whose a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupKind {
    /// That of a `run`: what its body opens is below it.
    Run,
    /// One that was opened in a body.
    Group,
    /// Of tasks that belong to nobody: see [`detached`](crate::detached).
    Detached,
}

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// Its body runs.
    Open,
    /// Its body has ended, and it waits for its members.
    Closing,
    /// Its members have ended, and its finalisers run.
    Finalising,
    /// It is cancelled, and waits for what hasn't ended yet.
    Cancelling,
    /// Its future was dropped, and something of it had to be left running.
    Dropped,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It is over the limit of its group, and hasn't begun.
    HeldBack,
    /// It was woken, and waits for its turn.
    Ready,
    /// It is being polled, or dropped.
    Running,
    /// It waits.
    Idle,
    /// It waits, and nothing from outside interrupts it.
    Shielded,
    /// It waits for a blocking job.
    Blocking,
    /// It was cancelled, and hasn't ended yet.
    Cancelling,
}

/// When something has to be through, as seen from the time of the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Due {
    /// So long from then.
    In(Duration),
    /// So long before.
    Overdue(Duration),
}

/// What something waits for.
#[derive(Clone, Debug)]
pub struct Waiting {
    wait: Wait,
    /// In words, but for who holds it.
    text: String,
    for_so_long: Duration,
    holders: Arc<[Holder]>,
}

/// Who holds something that others wait for: who took it, also where it has handed it on since. A permit doesn't tell whose it
/// was; where another gives it back, who goes on holding the rest is a guess.
#[derive(Clone, Debug)]
pub struct Holder {
    task: Option<TaskId>,
    text: String,
    permits: usize,
}

impl Tree {
    /// Returns everything, in the order of the walk: the place in it is what [`Node::parent`] tells.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Iterates over the tasks.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskNode> {
        self.nodes.iter().filter_map(|node| match &node.what {
            What::Task(task) => Some(task),
            What::Group(_) => None,
        })
    }

    /// Iterates over the groups.
    pub fn groups(&self) -> impl Iterator<Item = &GroupNode> {
        self.nodes.iter().filter_map(|node| match &node.what {
            What::Group(group) => Some(group),
            What::Task(_) => None,
        })
    }

    /// Returns the tree as JSON, on one line: `docs/tree-json.md` has the schema, whose version is the field `schema`.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::json(self)
    }
}

impl Node {
    /// Returns the place of what it is in, among [`Tree::nodes`]; nothing is around a run.
    #[must_use]
    pub fn parent(&self) -> Option<usize> {
        self.parent
    }

    /// Returns how many are around it.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns what it is.
    #[must_use]
    pub fn what(&self) -> &What {
        &self.what
    }
}

impl GroupNode {
    /// Returns the number, which no other group of this process has.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Returns whose it is.
    #[must_use]
    pub fn kind(&self) -> GroupKind {
        self.kind
    }

    /// Returns the name that it was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns where it was opened.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Returns the name of the type of its runtime.
    #[must_use]
    pub fn runtime(&self) -> &'static str {
        self.runtime
    }

    /// Returns where it stands.
    #[must_use]
    pub fn state(&self) -> GroupState {
        self.state
    }

    /// Returns why it is cancelled, where it is.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// Returns how many members live.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members
    }

    /// Returns how much it waits for that groups inside had to leave running, or that runs on the pool for it.
    #[must_use]
    pub fn adopted(&self) -> usize {
        self.adopted
    }

    /// Returns by when it has to be through.
    #[must_use]
    pub fn deadline(&self) -> Option<Due> {
        self.deadline
    }

    /// Returns what the body waits for, where no task is around it and it is known.
    #[must_use]
    pub fn waits(&self) -> &[Waiting] {
        self.noted.as_ref().map_or(&[], |noted| &noted.waits)
    }
}

impl TaskNode {
    /// Returns the number, which no other task of this process has.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns the group that it is a member of.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Returns the name that it was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns what it is called in a text: its role, its name or its number, and where it was spawned.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", draw::role(self.role), called(self.id, self.name(), self.location))
    }

    /// Returns where it was spawned. Not known of a task without a name that was being polled by the time of the first
    /// [`tree`](tree()).
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns what it is to its group.
    #[must_use]
    pub fn role(&self) -> MemberRole {
        self.role
    }

    /// Returns what it does.
    #[must_use]
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Returns whether nothing from outside interrupts it.
    #[must_use]
    pub fn is_shielded(&self) -> bool {
        self.is_shielded
    }

    /// Returns why it is cancelled, where it is.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// Returns by when it has to be through: what holds for its group. One that it set for itself, inside, isn't known.
    #[must_use]
    pub fn deadline(&self) -> Option<Due> {
        self.deadline
    }

    /// Returns when the budget of its outermost shield ends, where it is behind one that was written down. Overdue, what is behind
    /// it hasn't ended, and goes on unprotected, unless it is in a poll or a job.
    #[must_use]
    pub fn shield(&self) -> Option<Due> {
        self.shield
    }

    /// Returns its age, or how long it has been known: see [`is_known_from_birth`](Self::is_known_from_birth).
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.noted.as_ref().map(|noted| noted.age)
    }

    /// Returns whether it was written down from its spawn on. Where not, its age and its polls are at least so many.
    #[must_use]
    pub fn is_known_from_birth(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| noted.from_birth)
    }

    /// Returns how often it was polled.
    #[must_use]
    pub fn polls(&self) -> Option<u64> {
        self.noted.as_ref().map(|noted| noted.polls)
    }

    /// Returns how long the poll has taken that is under way.
    #[must_use]
    pub fn polled_for(&self) -> Option<Duration> {
        self.noted.as_ref()?.polled_for
    }

    /// Returns how long the longest of its polls took, the one under way included.
    #[must_use]
    pub fn longest_poll(&self) -> Option<Duration> {
        self.noted.as_ref().map(|noted| noted.longest)
    }

    /// Returns what it waits for, as far as it is known: none where that is something foreign.
    #[must_use]
    pub fn waits(&self) -> &[Waiting] {
        self.noted.as_ref().map_or(&[], |noted| &noted.waits)
    }

    /// Returns whether its last poll came to wait for something foreign, so that what it [waits](Self::waits) for is from
    /// one before.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| noted.is_stale)
    }
}

impl Waiting {
    /// Returns for what.
    #[must_use]
    pub fn wait(&self) -> &Wait {
        &self.wait
    }

    /// Returns for how long.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.for_so_long
    }

    /// Returns what it is of, where it is for permits or a lock.
    #[must_use]
    pub fn resource(&self) -> Option<Resource> {
        match self.wait {
            Wait::Permits(resource, _) => Some(resource),
            _ => None,
        }
    }

    /// Returns who holds it, as far as it was written down.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }
}

impl Holder {
    /// Returns the task, where it was one that took it.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        self.task
    }

    /// Returns how many permits; one, of a lock.
    #[must_use]
    pub fn permits(&self) -> usize {
        self.permits
    }
}

/// What a task is called in a text.
fn called(id: TaskId, name: Option<&str>, location: Option<&Location<'_>>) -> String {
    match (name.map(on_one_line), location) {
        (Some(name), Some(location)) => format!("`{name}` (spawned at {location})"),
        (Some(name), None) => format!("`{name}`"),
        (None, Some(location)) => format!("{id} (spawned at {location})"),
        (None, None) => id.to_string(),
    }
}

/// A text, with whatever would end its line told by an escape: names are often made of what a client has sent.
fn on_one_line(name: &str) -> Cow<'_, str> {
    let is_unsafe = |character: char| {
        // Those that break a line, and those that turn it round.
        let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        character.is_control() || turns || matches!(character, '\u{2028}' | '\u{2029}')
    };
    if name.contains(is_unsafe) { name.escape_default().to_string().into() } else { name.into() }
}

/// The task around the caller, in whose poll a tree may be drawn.
fn caller() -> Option<TaskRef> {
    crate::context::task()
}
