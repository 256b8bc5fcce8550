//! From the roots down: a look at each group, and a node for each that is seen.
//!
//! The way is kept on the heap, so that depth costs no stack. What is looked up while one lock is held is only kept; all that
//! takes another lock, reasons and notes among it, is read after that.

use super::notes::Reading;
use super::{
    Due, GroupKind, GroupNode, GroupState, Holder, Node, Noted, TaskNode, TaskState, Tree, Waiting, What, called,
    caller, holders,
};
use crate::cancel::reason::Reason;
use crate::group::core::{GroupCore, Kind};
use crate::group::peek::{self, Look, Member, Seen};
use crate::group::state::{Phase, Role, Stage};
use crate::observe::{GroupId, Resource, Wait};
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::task::{TaskId, TaskRef};
use std::collections::HashMap;
use std::mem;
use std::time::Instant;

/// What is still to be visited.
enum Visit {
    Group(Arc<GroupCore>),
    Task { member: Member, group: Arc<GroupCore>, below: Vec<Arc<GroupCore>> },
}

pub(super) fn walk() -> Tree {
    let mut walk = Walk { nodes: Vec::new(), readings: Vec::new(), now: None, caller: caller() };
    let mut pending: Vec<_> = peek::roots().into_iter().map(|group| (Visit::Group(group), None)).collect();
    // The oldest first.
    pending.sort_by_key(|(visit, _)| match visit {
        Visit::Group(group) => std::cmp::Reverse(group.id),
        Visit::Task { group, .. } => std::cmp::Reverse(group.id),
    });
    while let Some((visit, parent)) = pending.pop() {
        match visit {
            Visit::Group(group) => walk.group(&group, parent, &mut pending),
            Visit::Task { member, group, below } => {
                let place = walk.task(member, &group, parent);
                pending.extend(below.into_iter().rev().map(|group| (Visit::Group(group), Some(place))));
            }
        }
    }
    walk.tree()
}

/// Has it written down what happens in all groups that are there.
pub(super) fn be_told() {
    let mut pending = peek::roots();
    while let Some(group) = pending.pop() {
        group.be_told();
        pending.extend(group.below().into_iter().map(|(group, _)| group));
    }
}

struct Walk {
    nodes: Vec<Node>,
    /// What was written down of the node at a place.
    readings: Vec<(usize, Reading)>,
    /// The time on the runtime of the group that was seen last.
    now: Option<(GroupId, Instant)>,
    caller: Option<TaskRef>,
}

impl Walk {
    fn add(&mut self, parent: Option<usize>, what: What, reading: Option<Reading>) -> usize {
        let depth = parent.map_or(0, |parent| self.nodes[parent].depth + 1);
        let place = self.nodes.len();
        self.nodes.push(Node { parent, depth, what });
        self.readings.extend(reading.map(|reading| (place, reading)));
        place
    }

    /// The time for what is in `group`: one look at its clock for all of it.
    fn now(&mut self, group: &GroupCore) -> Instant {
        match self.now {
            Some((known, now)) if known == group.id => now,
            _ => {
                let now = group.runtime().now();
                self.now = Some((group.id, now));
                now
            }
        }
    }

    fn group(&mut self, group: &Arc<GroupCore>, parent: Option<usize>, pending: &mut Vec<(Visit, Option<usize>)>) {
        let Look { phase, body_over, adopted, members, below } = group.look();
        let now = group.runtime().now();
        let reason = group.children.reason();
        let state = match phase {
            Phase::Ended => {
                // Kept by somebody for a moment still.
                pending.extend(below.into_iter().map(|(group, _)| (Visit::Group(group), parent)));
                return;
            }
            Phase::Abandoned => GroupState::Dropped,
            Phase::Finalising => GroupState::Finalising,
            Phase::Open if reason.is_some() => GroupState::Cancelling,
            Phase::Open if body_over => GroupState::Closing,
            Phase::Open => GroupState::Open,
        };
        let kind = match group.kind {
            Kind::Run => GroupKind::Run,
            Kind::Scope => GroupKind::Group,
            Kind::Detached => GroupKind::Detached,
        };
        let what = What::Group(GroupNode {
            id: group.id,
            kind,
            name: group.name().cloned(),
            location: group.location(),
            runtime: Runtime::name(group.runtime()),
            state,
            reason,
            members: members.len(),
            adopted,
            deadline: group.deadline().map(|at| due(at, now)),
            noted: None,
        });
        let place = self.add(parent, what, group.notes().map(|notes| notes.read(now)));
        // What was opened in a member stands below it; the rest, and what was opened in one that has ended, below the group.
        let mut inside: HashMap<TaskId, Vec<Arc<GroupCore>>> = HashMap::new();
        let mut own = Vec::new();
        for (group, task) in below {
            match task.filter(|task| members.binary_search_by_key(task, |member| member.id).is_ok()) {
                Some(task) => inside.entry(task).or_default().push(group),
                None => own.push(group),
            }
        }
        own.sort_by_key(|group| group.id);
        pending.extend(own.into_iter().rev().map(|group| (Visit::Group(group), Some(place))));
        pending.extend(members.into_iter().rev().map(|member| {
            let mut below = inside.remove(&member.id).unwrap_or_default();
            below.sort_by_key(|group| group.id);
            (Visit::Task { member, group: group.clone(), below }, Some(place))
        }));
    }

    fn task(&mut self, member: Member, group: &GroupCore, parent: Option<usize>) -> usize {
        let now = self.now(group);
        let Member { id, role, stage, seen } = member;
        let is_late = role == Role::Late;
        let mut node = TaskNode {
            id,
            group: group.id,
            name: None,
            location: None,
            role: role.into(),
            state: TaskState::Running,
            is_shielded: is_late,
            reason: None,
            deadline: if is_late { None } else { group.deadline().map(|at| due(at, now)) },
            shield: None,
            noted: None,
        };
        let mut reading = None;
        if let Some(Seen { name, location, node: scope, is_cancelled, is_shielded, notes }) = seen {
            let why = || scope.and_then(|scope| scope.reason()).or_else(|| group.children.reason());
            node.reason = if is_cancelled { why() } else { None };
            (node.name, node.location, node.is_shielded) = (name, Some(location), is_shielded);
            reading = notes.map(|notes| notes.read(now));
        } else if let Some(caller) = self.caller.as_ref().filter(|caller| caller.id() == id) {
            (node.name, node.location) = (caller.name().map(|name| name.to_owned().into()), Some(caller.location()));
        }
        let until = reading.as_ref().and_then(|reading| reading.shield_until).flatten();
        node.shield = until.map(|at| due(at, now));
        node.state = state(stage, &node.reason, node.is_shielded, reading.as_ref());
        self.add(parent, What::Task(node), reading)
    }

    /// Puts what was written down into words, now that it is known who is who.
    fn tree(mut self) -> Tree {
        let readings = mem::take(&mut self.readings);
        let mut names = HashMap::new();
        if !readings.is_empty() {
            for node in &self.nodes {
                let (key, text) = match &node.what {
                    What::Task(task) => (Named::Task(task.id), called(task.id, task.name(), task.location)),
                    What::Group(group) => (Named::Group(group.id), group.called()),
                };
                names.insert(key, text);
            }
        }
        // Many may wait for the same.
        let mut held: HashMap<Resource, Arc<[Holder]>> = HashMap::new();
        for (place, reading) in readings {
            let Reading {
                age,
                from_birth,
                polls,
                polled_for,
                longest,
                waits,
                is_stale,
                now,
                more_waits,
                shield_until: _,
            } = reading;
            let waits = waits.into_iter().map(|(wait, for_so_long)| {
                let holders = match wait {
                    Wait::Permits(resource, _) => {
                        held.entry(resource).or_insert_with(|| holding(&resource, &names).into()).clone()
                    }
                    _ => Arc::default(),
                };
                Waiting { wait, text: words(&wait, now, &names), for_so_long, holders }
            });
            let waits = waits.collect();
            let noted = Noted { age, from_birth, polls, polled_for, longest, waits, more_waits, is_stale };
            match &mut self.nodes[place].what {
                What::Group(group) => group.noted = Some(noted),
                What::Task(task) => task.noted = Some(noted),
            }
        }
        Tree { nodes: self.nodes }
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Named {
    Task(TaskId),
    Group(GroupId),
}

fn state(stage: Stage, reason: &Option<Reason>, is_shielded: bool, reading: Option<&Reading>) -> TaskState {
    let in_a_job = || {
        reading.is_some_and(|reading| {
            !reading.is_stale && reading.waits.iter().any(|(wait, _)| matches!(wait, Wait::Job(_)))
        })
    };
    match stage {
        Stage::Out { .. } | Stage::Condemned => TaskState::Running,
        Stage::Idle if in_a_job() => TaskState::Blocking,
        Stage::Idle if is_shielded => TaskState::Shielded,
        _ if reason.is_some() && !is_shielded => TaskState::Cancelling,
        Stage::Kept | Stage::Waiting => TaskState::HeldBack,
        Stage::Queued => TaskState::Ready,
        Stage::Idle => TaskState::Idle,
    }
}

fn due(at: Instant, now: Instant) -> Due {
    match at.checked_duration_since(now) {
        Some(left) => Due::In(left),
        None => Due::Overdue(now.saturating_duration_since(at)),
    }
}

/// Who has something of a resource.
fn holding(resource: &Resource, names: &HashMap<Named, String>) -> Vec<Holder> {
    let by = holders::holders(resource).into_iter();
    by.map(|(task, permits)| {
        let text = match task {
            Some(task) => task_named(task, names),
            None => "what is no task".to_owned(),
        };
        Holder { task, text, permits }
    })
    .collect()
}

fn task_named(task: TaskId, names: &HashMap<Named, String>) -> String {
    let text = names.get(&Named::Task(task));
    text.map_or_else(|| format!("task {task}, which isn't seen here"), |text| format!("task {text}"))
}

/// For what, in words.
fn words(wait: &Wait, now: Instant, names: &HashMap<Named, String>) -> String {
    match *wait {
        Wait::Task(task) => task_named(task, names),
        Wait::Members(group) => {
            let text = names.get(&Named::Group(group));
            format!("the members of {}", text.map_or("its group", |text| text))
        }
        Wait::Time(at) => match due(at, now) {
            Due::In(left) => format!("a timer, in {left:.1?}"),
            Due::Overdue(_) => "a timer that is due".to_owned(),
        },
        _ => wait.in_words(),
    }
}
