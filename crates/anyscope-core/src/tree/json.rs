//! A tree as JSON: the schema is in `docs/tree-json.md`.

use super::{Due, GroupKind, GroupNode, Noted, TaskNode, Tree, Waiting, What, draw};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::observe::Wait;
use std::fmt::{Display, Write as _};
use std::panic::Location;
use std::time::Duration;

/// The version of the schema: a field that is new leaves it, one that changes or goes doesn't.
const SCHEMA: u32 = 1;

pub(super) fn json(tree: &Tree) -> String {
    let mut nodes = List::new();
    for node in &tree.nodes {
        let mut object = Object::new();
        object.number("parent", node.parent);
        match &node.what {
            What::Group(group) => group_into(&mut object, group),
            What::Task(task) => task_into(&mut object, task),
        }
        nodes.push(&object.end());
    }
    let mut object = Object::new();
    object.number("schema", Some(SCHEMA));
    object.raw("nodes", &nodes.end());
    object.end()
}

fn group_into(object: &mut Object, group: &GroupNode) {
    object.text(
        "kind",
        match group.kind {
            GroupKind::Run => "run",
            GroupKind::Group => "group",
            GroupKind::Detached => "detached",
        },
    );
    object.number("id", Some(group.id));
    object.optional("name", group.name());
    object.text("location", &group.location.to_string());
    object.text("runtime", group.runtime);
    object.text("state", group.state.word());
    object.reason(group.reason.as_ref());
    object.number("members", Some(group.members));
    object.number("adopted", Some(group.adopted));
    object.due("deadline_in_s", group.deadline);
    object.noted(group.noted.as_ref());
}

fn task_into(object: &mut Object, task: &TaskNode) {
    object.text("kind", draw::role(task.role));
    object.number("id", Some(task.id));
    object.optional("name", task.name());
    object.place("location", task.location);
    object.text("state", task.state.word());
    object.raw("shielded", if task.is_shielded { "true" } else { "false" });
    object.due("shield_in_s", task.shield);
    object.reason(task.reason.as_ref());
    object.due("deadline_in_s", task.deadline);
    object.noted(task.noted.as_ref());
}

fn waiting(waiting: &Waiting) -> String {
    let mut holders = List::new();
    for holder in &*waiting.holders {
        let mut object = Object::new();
        object.number("task", holder.task);
        object.number("permits", Some(holder.permits));
        holders.push(&object.end());
    }
    let kind = match waiting.wait {
        Wait::Permits(resource, _) => resource.kind,
        Wait::Task(_) => "task",
        Wait::Members(_) => "members",
        Wait::Cancellation => "cancellation",
        Wait::Channel { .. } => "channel",
        Wait::Signal(_) => "signal",
        Wait::Time(_) => "time",
        Wait::Job(_) => "job",
        Wait::Turn => "turn",
    };
    let mut object = Object::new();
    object.text("kind", kind);
    object.text("text", &waiting.text);
    object.seconds("for_s", Some(waiting.for_so_long));
    match waiting.wait {
        Wait::Task(task) => object.number("task", Some(task)),
        Wait::Members(group) => object.number("group", Some(group)),
        Wait::Permits(..) => object.raw("held_by", &holders.end()),
        _ => {}
    }
    object.end()
}

/// An object that is being written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn raw(&mut self, key: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{key}\":{value}");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &quoted(value));
    }

    fn optional(&mut self, key: &str, value: Option<&str>) {
        self.raw(key, &value.map_or_else(|| "null".to_owned(), quoted));
    }

    fn place(&mut self, key: &str, value: Option<&Location<'_>>) {
        self.optional(key, value.map(|location| location.to_string()).as_deref());
    }

    fn number(&mut self, key: &str, value: Option<impl Display>) {
        self.raw(key, &value.map_or_else(|| "null".to_owned(), |value| value.to_string()));
    }

    fn seconds(&mut self, key: &str, value: Option<Duration>) {
        self.number(key, value.map(|value| format!("{:.6}", value.as_secs_f64())));
    }

    /// Less than nothing, where it is over.
    fn due(&mut self, key: &str, due: Option<Due>) {
        let seconds = due.map(|due| match due {
            Due::In(left) => left.as_secs_f64(),
            Due::Overdue(over) => -over.as_secs_f64(),
        });
        self.number(key, seconds.map(|seconds| format!("{seconds:.6}")));
    }

    fn reason(&mut self, reason: Option<&Reason>) {
        let Some(reason) = reason else { return self.raw("cancelled", "null") };
        let kind = match reason.kind() {
            ReasonKind::Explicit => "explicit",
            ReasonKind::Deadline => "deadline",
            ReasonKind::SiblingFailed => "sibling failed",
            ReasonKind::Parent => "parent",
            ReasonKind::Shutdown => "shutdown",
            ReasonKind::Dropped => "dropped",
        };
        let mut object = Self::new();
        object.text("kind", kind);
        object.optional("message", reason.message());
        object.number("task", reason.task().map(|task| task.id()));
        object.text("location", &reason.location().to_string());
        self.raw("cancelled", &object.end());
    }

    fn noted(&mut self, noted: Option<&Noted>) {
        let Some(noted) = noted else { return self.raw("noted", "null") };
        let mut waits = List::new();
        for wait in &noted.waits {
            waits.push(&waiting(wait));
        }
        let mut object = Self::new();
        object.seconds("age_s", Some(noted.age));
        object.raw("from_birth", if noted.from_birth { "true" } else { "false" });
        object.number("polls", Some(noted.polls));
        object.seconds("polled_for_s", noted.polled_for);
        object.seconds("longest_poll_s", Some(noted.longest));
        let is_foreign = noted.polls > 0 && noted.polled_for.is_none() && (noted.is_stale || noted.waits.is_empty());
        object.raw("foreign", if is_foreign { "true" } else { "false" });
        object.raw("waits", &waits.end());
        self.raw("noted", &object.end());
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A list that is being written.
struct List(String);

impl List {
    fn new() -> Self {
        Self("[".to_owned())
    }

    fn push(&mut self, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(value);
    }

    fn end(mut self) -> String {
        self.0.push(']');
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
