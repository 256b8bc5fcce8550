//! A tree, drawn with a line for each.

use super::{
    Due, GroupKind, GroupNode, GroupState, Holder, Noted, TaskNode, TaskState, Tree, Waiting, What, on_one_line,
};
use crate::observe::MemberRole;
use std::fmt;
use std::time::Duration;

/// Deeper than this, what is around is told by a number, and not by lines.
const LINES: usize = 40;

/// How many of those who hold the same are drawn.
const HOLDERS: usize = 8;

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes.is_empty() {
            return f.write_str("nothing lives\n");
        }
        // Whether another comes after the one at this depth, below the same: known from behind.
        let mut is_last = vec![false; self.nodes.len()];
        let mut open: Vec<bool> = Vec::new();
        for (place, node) in self.nodes.iter().enumerate().rev() {
            open.resize(node.depth + 1, false);
            is_last[place] = !std::mem::replace(&mut open[node.depth], true);
        }
        let mut lines = String::new();
        // For each depth below the lines that are drawn, how long what is drawn before it is.
        let mut lengths: Vec<usize> = Vec::new();
        for (node, is_last) in self.nodes.iter().zip(is_last) {
            if node.depth == 0 {
                lines.clear();
                lengths.clear();
            } else if node.depth <= LINES {
                lengths.truncate(node.depth - 1);
                lines.truncate(lengths.last().copied().unwrap_or(0));
                write!(f, "{lines}{}", if is_last { "└─ " } else { "├─ " })?;
                lines.push_str(if is_last { "   " } else { "│  " });
                lengths.push(lines.len());
            } else {
                write!(f, "{lines}[{} deep] ", node.depth)?;
            }
            match &node.what {
                What::Group(group) => writeln!(f, "{group}")?,
                What::Task(task) => writeln!(f, "{task}")?,
            }
        }
        Ok(())
    }
}

impl GroupNode {
    pub(super) fn called(&self) -> String {
        let kind = match self.kind {
            GroupKind::Run => return format!("the run at {} on {}", self.location, self.runtime),
            GroupKind::Group | GroupKind::Detached => "group",
        };
        match self.name.as_deref().map(on_one_line) {
            Some(name) => format!("{kind} `{name}` (opened at {})", self.location),
            None => format!("{kind} {} (opened at {})", self.id, self.location),
        }
    }
}

impl fmt::Display for GroupNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = if self.members == 1 { "1 member" } else { &format!("{} members", self.members) };
        write!(f, "{}: {}, {members}", self.called(), self.state)?;
        if self.adopted > 0 {
            write!(f, ", waits for {} that was left running", self.adopted)?;
        }
        if let Some(due) = self.deadline {
            write!(f, ", deadline {due}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ", {}", on_one_line(&reason.to_string()))?;
        }
        if let Some(noted) = &self.noted {
            let is = if noted.polled_for.is_some() { "is " } else { "" };
            write!(f, "; the body {is}{noted}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TaskNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label(), self.state)?;
        if self.is_shielded && self.state != TaskState::Shielded && self.role != MemberRole::Late {
            f.write_str(", shielded")?;
        }
        match self.shield {
            Some(Due::In(left)) => write!(f, " for another {left:.1?}")?,
            Some(Due::Overdue(over)) => write!(f, ", its shield {over:.1?} over its budget")?,
            None => {}
        }
        if let Some(reason) = &self.reason {
            write!(f, ", {}", on_one_line(&reason.to_string()))?;
        }
        if let Some(due) = self.deadline {
            write!(f, ", deadline {due}")?;
        }
        if let Some(noted) = &self.noted {
            write!(f, ", {noted}")?;
        }
        Ok(())
    }
}

pub(super) fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Child => "task",
        MemberRole::Service => "service",
        MemberRole::Late => "clean-up",
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.polled_for, self.polls, self.waits.is_empty()) {
            // In virtual time a poll takes none.
            (Some(Duration::ZERO), _, _) => f.write_str("in a poll")?,
            (Some(for_so_long), _, _) => write!(f, "in a poll for {for_so_long:.1?}")?,
            (None, 0, true) => f.write_str("not polled yet")?,
            (None, _, true) => f.write_str("waits for something foreign")?,
            (None, _, false) if self.is_stale => f.write_str("waits for something foreign, or still for ")?,
            (None, _, false) => f.write_str("waits for ")?,
        }
        if self.polled_for.is_none() {
            for (index, waiting) in self.waits.iter().enumerate() {
                write!(f, "{}{waiting}", if index == 0 { "" } else { ", or " })?;
            }
            if self.more_waits > 0 {
                write!(f, ", or {} more", self.more_waits)?;
            }
        }
        let polls = if self.polls == 1 { "poll" } else { "polls" };
        let least = if self.from_birth { "" } else { "at least " };
        write!(f, "; {} {polls}, {least}{:.1?} old", self.polls, self.age)
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        for (index, holder) in self.holders.iter().take(HOLDERS).enumerate() {
            write!(f, "{}{holder}", if index == 0 { ", held by " } else { ", " })?;
        }
        match self.holders.len().saturating_sub(HOLDERS) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.permits > 1 { write!(f, " ({})", self.permits) } else { Ok(()) }
    }
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(left) => write!(f, "in {left:.1?}"),
            Self::Overdue(over) => write!(f, "over by {over:.1?}"),
        }
    }
}

impl GroupState {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Finalising => "finalising",
            Self::Cancelling => "cancelling",
            Self::Dropped => "dropped",
        }
    }
}

impl TaskState {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::HeldBack => "held back",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Shielded => "shielded",
            Self::Blocking => "in a blocking job",
            Self::Cancelling => "cancelling",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
