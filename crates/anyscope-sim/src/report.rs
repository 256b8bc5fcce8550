//! What a run that fails says: the tree of tasks, and what each waits for.

use crate::choice::Source;
use crate::scheduler::{Shared, State};
use crate::watch::{Group, Table, Task};
use anyscope_core::TaskId;
use anyscope_core::observe::{GroupId, MemberRole, Resource, Wait};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

/// Nobody can go on, and no timer is pending.
pub(crate) fn deadlock(shared: &Shared, state: &State) -> String {
    if state.gone {
        return "the simulator was ended while something waited for it".to_owned();
    }
    let mut report = String::from("deadlock: everybody waits, no timer is pending, and nothing can wake them\n");
    report.push_str(&tree(shared, state));
    for _ in 0..state.actors.values().filter(|actor| actor.aside).count() {
        report.push_str("a thread sleeps in something that the simulator knows nothing of\n");
    }
    if shared.watch.table().reachable && !shared.settings.open {
        report.push_str(
            "a handle or a portal was made: where a thread of its own would use it, hold `Sim::outside` meanwhile\n",
        );
    }
    report.push_str(&replay(state));
    report
}

/// What the report of a livelock begins with.
pub(crate) const LIVELOCK: &str = "livelock";

/// Somebody always goes on, and no timer strikes.
pub(crate) fn livelock(shared: &Shared, state: &State) -> String {
    let mut report = format!("{LIVELOCK}: {} steps in a row, and no timer has struck\n", shared.settings.steps);
    report.push_str(&tree(shared, state));
    report.push_str(&replay(state));
    report
}

/// What is left at the end of a run, unless nothing is.
pub(crate) fn leftovers(shared: &Shared, state: &State) -> Option<String> {
    let mut left = String::new();
    {
        let table = shared.watch.table();
        for task in table.tasks.values() {
            let _ = writeln!(left, "  {}", task.describe());
        }
        for group in table.groups.values() {
            let _ = writeln!(left, "  {}", group.describe());
        }
        let mut resources: Vec<_> = table.resources.values().collect();
        resources.sort_by_key(|held| held.number);
        for held in resources {
            for (by, permits) in &held.by {
                let by = by.map_or("the body".to_owned(), |by| table.task(by));
                let _ = writeln!(left, "  {permits} of {}, taken by {by}, never returned", made(&held.resource));
            }
        }
    }
    match state.timers() {
        0 => {}
        1 => left.push_str("  1 timer that nobody waits for any more\n"),
        timers => _ = writeln!(left, "  {timers} timers that nobody waits for any more"),
    }
    (!left.is_empty()).then(|| format!("the run has ended, and left behind:\n{left}{}", replay(state)))
}

/// How to have the same run again.
pub(crate) fn replay(state: &State) -> String {
    let aside = match state.set_aside {
        0 => String::new(),
        times => format!(
            "a thread slept in something that the simulator knows nothing of, {times} times, so that the same may not happen \
             again\n"
        ),
    };
    let outside = if state.foreign_wakes == 0 {
        String::new()
    } else {
        format!(
            "something from outside woke a task {} times, so that the same may not happen again\n",
            state.foreign_wakes
        )
    };
    match state.chooser.source() {
        Source::Seed(seed) => format!("{aside}{outside}to have it again: Sim::seed({seed})"),
        Source::Schedule(schedule) if schedule.deviations.is_empty() => {
            format!("{aside}{outside}to have it again: Sim::new()")
        }
        Source::Schedule(schedule) => {
            format!("{aside}{outside}to have it again: Sim::replay(&\"{schedule}\".parse()?)")
        }
    }
}

/// The groups and tasks that live, each below the one it belongs to.
pub(crate) fn tree(shared: &Shared, state: &State) -> String {
    let table = shared.watch.table();
    let mut drawn = String::new();
    let body = if table.body.is_empty() { "something foreign".to_owned() } else { table.waits(&table.body, state.now) };
    let _ = writeln!(drawn, "the body of the run: waits for {body}");
    let mut below: BTreeMap<Option<Node>, Vec<Node>> = BTreeMap::new();
    for (id, task) in &table.tasks {
        below.entry(Some(Node::Group(task.group))).or_default().push(Node::Task(*id));
    }
    for (id, group) in &table.groups {
        below.entry(table.place(group)).or_default().push(Node::Group(*id));
    }
    let mut pending = Vec::new();
    let mut next = (None, 0);
    loop {
        let (place, depth) = next;
        pending.extend(below.remove(&place).into_iter().flatten().rev().map(|node| (node, depth)));
        let Some((node, depth)) = pending.pop() else { break };
        let _ = writeln!(drawn, "{}{}", "  ".repeat(depth), table.describe(node, state.now));
        next = (Some(node), depth + 1);
    }
    drawn
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Group(GroupId),
    Task(TaskId),
}

impl Group {
    fn describe(&self) -> String {
        match &self.name {
            Some(name) => format!("group `{name}` (opened at {})", self.location),
            None => format!("group {} (opened at {})", self.number, self.location),
        }
    }
}

impl Task {
    pub(crate) fn describe(&self) -> String {
        let what = match self.role {
            MemberRole::Service => "service",
            MemberRole::Late => "clean-up",
            _ => "task",
        };
        match &self.name {
            Some(name) => format!("{what} `{name}` (spawned at {})", self.location),
            None => format!("{what} {} (spawned at {})", self.number, self.location),
        }
    }
}

fn made(resource: &Resource) -> String {
    format!("the {} made at {}", resource.kind, resource.location)
}

impl Table {
    /// Below what a group stands: the task that its body runs in, or the group around.
    fn place(&self, group: &Group) -> Option<Node> {
        let task = group.task.filter(|task| self.tasks.contains_key(task)).map(Node::Task);
        task.or_else(|| group.parent.filter(|parent| self.groups.contains_key(parent)).map(Node::Group))
    }

    fn describe(&self, node: Node, now: Instant) -> String {
        match node {
            Node::Group(id) => self.groups.get(&id).map(Group::describe).unwrap_or_default(),
            Node::Task(id) => {
                let Some(task) = self.tasks.get(&id) else { return String::new() };
                let waits = match (task.polls, task.waits.is_empty()) {
                    (0, _) => "not begun".to_owned(),
                    (_, true) => "waits for something foreign".to_owned(),
                    _ if task.is_stale => {
                        format!("waits for something foreign, or still for {}", self.waits(&task.waits, now))
                    }
                    _ => format!("waits for {}", self.waits(&task.waits, now)),
                };
                format!("{}: {waits}", task.describe())
            }
        }
    }

    pub(crate) fn task(&self, id: TaskId) -> String {
        self.tasks.get(&id).map_or("a task that has ended".to_owned(), Task::describe)
    }

    fn waits(&self, waits: &[Wait], now: Instant) -> String {
        let waits: Vec<_> = waits.iter().map(|wait| self.wait(wait, now)).collect();
        waits.join(", or ")
    }

    fn wait(&self, wait: &Wait, now: Instant) -> String {
        match *wait {
            Wait::Permits(resource, permits) => {
                let held = self.resources.get(&resource.address);
                let by = held.into_iter().flat_map(|held| &held.by);
                let by = by.map(|(by, permits)| {
                    let by = by.map_or("the body".to_owned(), |by| self.task(by));
                    if *permits == 1 { by } else { format!("{by} ({permits})") }
                });
                let by = by.collect::<Vec<_>>().join(", ");
                let by = if by.is_empty() { "nobody".to_owned() } else { by };
                format!("{permits} of {}, held by {by}", made(&resource))
            }
            Wait::Task(task) => self.task(task),
            Wait::Members(group) => self
                .groups
                .get(&group)
                .map_or("its members".to_owned(), |group| format!("the members of {}", group.describe())),
            Wait::Cancellation => "a cancellation".to_owned(),
            Wait::Channel { sends: true, .. } => "room in a channel".to_owned(),
            Wait::Channel { sends: false, .. } => "a message of a channel".to_owned(),
            Wait::Signal(what) => what.to_owned(),
            Wait::Time(at) => format!("a timer, in {:?}", at.saturating_duration_since(now)),
            Wait::Job(location) => format!("a blocking job (begun at {location})"),
            Wait::Turn => "another turn".to_owned(),
            _ => "something".to_owned(),
        }
    }
}
