//! The Chrome trace format, as Perfetto draws it: one writer, for the simulator and for programs that run.
//!
//! # Tracks
//!
//! The format knows two levels, a process and its threads, and draws arrows between threads alone. So a group is a process,
//! and its members are the threads of it; the first thread is the group itself. Groups stand in the order of the tree, below
//! the group of the task that opened them (see `Room`), and say in which task that was. A track is used again by what has the
//! same place, name and line of the source, once the one before has ended: the tracks are as many as there were at the
//! same time, and so is the memory that this takes.
//!
//! # Slices
//!
//! On a track, the outermost slice is the life of a task, from its spawn to its end. In it stand its polls, and between two
//! of them what the first came to wait for. An arrow leads from the slice in which a task was spawned or woken to the
//! task's next poll; where it isn't polled any more, to its end. Who waited for the end of a task is woken from a short slice
//! behind its life.
//!
//! The order of the events of a track is that of their times: whoever calls sees to it that time doesn't run backwards.

use super::{MemberRole, Wait};
use crate::task::TaskId;
use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Display, Write as _};
use std::mem;
use std::panic::Location;
use std::time::Duration;

/// From so many tracks on, the tracks of a line of the source are used again whatever the name is: a program may give each
/// of its tasks a name of its own.
const BY_NAME: usize = 10_000;

/// How many tasks that have ended are known: those on whose behalf a thread may be waking others.
const ENDED: usize = 64;

/// What happened, as a text that grows: whoever writes it down takes it away by pieces.
#[derive(Debug, Default)]
pub struct Chrome {
    text: String,
    has_begun: bool,
    ts: Duration,
    simulated: Option<Duration>,
    tracks: Vec<Track>,
    /// Tracks whose user has ended.
    free: HashMap<Site, Vec<usize>>,
    room: Room,
    groups: HashMap<u64, Group>,
    tasks: HashMap<u64, Task>,
    /// The tasks that ended last, with their tracks: their ends wake others.
    ended: VecDeque<(u64, usize)>,
    arrows: u64,
}

#[derive(Debug)]
struct Track {
    /// That of the group: its number is the process.
    group: usize,
    label: String,
    room: Room,
    /// How many tracks of members there are, where this is a group's.
    members: u64,
    /// The task that has it, or had it last.
    user: u64,
}

/// What may use a track one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Site {
    place: Option<usize>,
    is_group: bool,
    location: &'static Location<'static>,
    name: Option<Box<str>>,
}

#[derive(Debug)]
struct Group {
    track: usize,
    site: Site,
}

#[derive(Debug)]
struct Task {
    track: usize,
    site: Site,
    state: State,
    /// What led to the poll that is next: the number, and what kind it is.
    arrow: Option<(u64, &'static str)>,
    /// What the poll under way came to wait for.
    waits: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is known of what it waits for.
    Idle,
    /// A slice says what it waits for.
    Waiting,
    /// A slice is a poll, or the drop of its future.
    Running,
}

/// Indices that are left for the groups below one: integers, by which a viewer sorts. A group takes a sixteenth of what its
/// parent has left, for itself and those below, so that five levels and hundreds of siblings find room; who finds none
/// stands behind the others.
#[derive(Debug)]
struct Room {
    next: u64,
    end: u64,
}

impl Default for Room {
    fn default() -> Self {
        // What a double can hold, as JavaScript has nothing else.
        Self { next: 1, end: 1 << 53 }
    }
}

impl Room {
    /// Takes an index, and the room of those below it.
    fn take(&mut self) -> (u64, Self) {
        let size = ((self.end - self.next) / 16).max(1).min(self.end - self.next);
        let (index, end) = (self.next, self.next + size);
        self.next = end;
        (index, Self { next: end.min(index + 1), end })
    }
}

impl Chrome {
    /// What happens next happens at `ts`, since the beginning. On a simulator, `simulated` is the virtual time.
    pub fn at(&mut self, ts: Duration, simulated: Option<Duration>) -> &mut Self {
        (self.ts, self.simulated) = (ts, simulated);
        self
    }

    /// What has been written and not been taken away. It ends between two events.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same, to be taken away: what is left in it comes first in what is written next.
    pub fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// A group was opened.
    pub fn group_opened(
        &mut self,
        group: u64,
        parent: Option<u64>,
        task: Option<u64>,
        name: Option<&str>,
        location: &'static Location<'static>,
    ) {
        let parent = parent.and_then(|parent| self.groups.get(&parent)).map(|parent| parent.track);
        let opener = task.and_then(|task| self.tasks.get(&task)).map(|task| task.track);
        let place = opener.or(parent);
        let (track, site) = self.claim(place, true, name, location, |chrome, track| {
            let mut label = match name {
                Some(name) => format!("{name} ({location})"),
                None => format!("group ({location})"),
            };
            if let Some(opener) = opener {
                let _ = write!(label, " in {}", chrome.tracks[opener].label);
            }
            let above = place.map(|place| chrome.tracks[place].group);
            let room = match above {
                Some(above) => &mut chrome.tracks[above].room,
                None => &mut chrome.room,
            };
            let (index, room) = room.take();
            chrome.tracks.push(Track { group: track, label, room, members: 0, user: 0 });
            chrome.name(track, "process_name");
            chrome.sort(track, "process_sort_index", index);
            // Its place is told by the process, which stands right above.
            chrome.tracks[track].label = name.filter(|name| !name.is_empty()).unwrap_or("group").to_owned();
            chrome.name(track, "thread_name");
            chrome.sort(track, "thread_sort_index", 0);
        });
        self.event("B", track, "group");
        let _ = match name {
            Some(name) => write!(self.text, r#","name":{},"args":{{"group":{group}"#, Quoted(name)),
            None => write!(self.text, r#","name":"group {group}","args":{{"group":{group}"#),
        };
        let _ = write!(self.text, r#","opened at":{}"#, Quoted(&location));
        self.end_args();
        self.groups.insert(group, Group { track, site });
    }

    /// A group has ended.
    pub fn group_ended(&mut self, group: u64) {
        if let Some(group) = self.groups.remove(&group) {
            self.end_slice(group.track);
            self.free.entry(group.site).or_default().push(group.track);
        }
    }

    /// A task was spawned, in the poll of the task `by`, if any.
    pub fn spawned(
        &mut self,
        task: u64,
        group: u64,
        by: Option<u64>,
        name: Option<&str>,
        location: &'static Location<'static>,
        role: MemberRole,
    ) {
        let Some(group) = self.groups.get(&group).map(|group| group.track) else { return };
        let what = match role {
            MemberRole::Child => "task",
            MemberRole::Service => "service",
            MemberRole::Late => "clean-up",
        };
        let (track, site) = self.claim(Some(group), false, name, location, |chrome, track| {
            let label = format!("{} ({location})", name.unwrap_or(what));
            let group_track = &mut chrome.tracks[group];
            group_track.members += 1;
            let index = group_track.members;
            chrome.tracks.push(Track { group, label, room: Room { next: 0, end: 0 }, members: 0, user: 0 });
            chrome.name(track, "thread_name");
            chrome.sort(track, "thread_sort_index", index);
        });
        let from = by.and_then(|by| self.tasks.get(&by)).map_or(group, |by| by.track);
        self.event("B", track, "task");
        let _ = match name {
            Some(name) => write!(self.text, r#","name":{},"args":{{"task":{task}"#, Quoted(name)),
            None => write!(self.text, r#","name":"{what} {task}","args":{{"task":{task}"#),
        };
        let _ = write!(self.text, r#","role":"{what}","spawned at":{}"#, Quoted(&location));
        self.end_args();
        let arrow = self.arrow_from(from, "spawn");
        self.tracks[track].user = task;
        self.tasks.insert(task, Task { track, site, state: State::Idle, arrow: Some(arrow), waits: String::new() });
    }

    /// A task was woken, in the poll of the task `by` or by its end, if any.
    pub fn woken(&mut self, task: u64, by: Option<u64>) {
        // Of several wakes, the first is what the next poll comes from.
        let Some(woken) = self.tasks.get(&task).filter(|woken| woken.arrow.is_none()) else { return };
        let (woken, Some(by)) = (woken.track, by) else { return };
        let arrow = match self.tasks.get(&by).map(|by| by.track) {
            Some(by) if by == woken => return,
            Some(by) => self.arrow_from(by, "wake"),
            None => {
                let Some((_, by)) = self.ended.iter().rfind(|(ended, track)| {
                    // Unless another has its track by now.
                    *ended == by && self.tracks[*track].user == by
                }) else {
                    return;
                };
                // An arrow begins in a slice, and the task's own is over.
                let by = *by;
                self.event("B", by, "poll");
                self.text.push_str(r#","name":"wakes who waits for it","args":{"has":"ended""#);
                self.end_args();
                let arrow = self.arrow_from(by, "wake");
                self.end_slice(by);
                arrow
            }
        };
        if let Some(woken) = self.tasks.get_mut(&task) {
            woken.arrow = Some(arrow);
        }
    }

    /// A poll of a task begins.
    pub fn polled(&mut self, task: u64) {
        self.run(task, "poll");
    }

    /// The future of a task that isn't in a poll is about to be dropped.
    pub fn ending(&mut self, task: u64) {
        self.run(task, "drop");
    }

    fn run(&mut self, task: u64, what: &str) {
        let Some(polled) = self.tasks.get_mut(&task) else { return };
        let (track, before, arrow) =
            (polled.track, mem::replace(&mut polled.state, State::Running), polled.arrow.take());
        polled.waits.clear();
        if before != State::Idle {
            self.end_slice(track);
        }
        self.event("B", track, "poll");
        let _ = write!(self.text, r#","name":"{what}","args":{{"task":{task}"#);
        self.end_args();
        self.arrow_to(track, arrow);
    }

    /// The poll of a task that is under way comes to wait for something. `number` is that of a task, as it was given here.
    pub fn waits(&mut self, task: u64, on: &Wait, number: impl FnOnce(TaskId) -> Option<u64>) {
        if self.tasks.get(&task).is_none_or(|task| task.state != State::Running) {
            return;
        }
        let on = match on {
            Wait::Task(other) => match number(*other).map(|number| (number, self.tasks.get(&number))) {
                Some((_, Some(other))) => self.tracks[other.track].label.clone(),
                Some((number, None)) => format!("task {number}"),
                None => "a task".to_owned(),
            },
            other => other.in_words(),
        };
        if let Some(task) = self.tasks.get_mut(&task).filter(|task| !task.waits.contains(&on)) {
            task.waits.push_str(if task.waits.is_empty() { "waits for " } else { ", or " });
            task.waits.push_str(&on);
        }
    }

    /// A poll of a task has ended, and the task hasn't.
    pub fn pending(&mut self, task: u64) {
        let Some(polled) = self.tasks.get_mut(&task).filter(|task| task.state == State::Running) else { return };
        let (track, waits) = (polled.track, mem::take(&mut polled.waits));
        polled.state = if waits.is_empty() { State::Idle } else { State::Waiting };
        self.end_slice(track);
        if !waits.is_empty() {
            self.event("B", track, "wait");
            let _ = write!(self.text, r#","name":{},"args":{{"task":{task}"#, Quoted(&waits));
            self.end_args();
        }
    }

    /// A task has ended, for a reason where it didn't come to its value.
    pub fn ended(&mut self, task: u64, how: &str, reason: Option<&dyn Display>) {
        let Some(ended) = self.tasks.remove(&task) else { return };
        let track = ended.track;
        if ended.state != State::Idle {
            self.end_slice(track);
        }
        self.event("i", track, "end");
        let _ = write!(self.text, r#","s":"t","name":"{how}","args":{{"task":{task}"#);
        self.reason(reason);
        self.end_args();
        self.arrow_to(track, ended.arrow);
        self.event("E", track, "");
        let _ = write!(self.text, r#","args":{{"outcome":"{how}""#);
        self.reason(reason);
        self.end_args();
        self.free.entry(ended.site).or_default().push(track);
        if self.ended.len() == ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((task, track));
    }

    /// Somebody asked for a cancellation, in the poll of the task `by`, if any.
    pub fn cancel_requested(&mut self, by: Option<u64>, reason: &dyn Display) {
        self.noted("cancels", by, Some(reason));
    }

    /// Something happened, in the poll of the task `by`, if any, that has no time of its own.
    pub fn noted(&mut self, what: &str, by: Option<u64>, reason: Option<&dyn Display>) {
        let by = by.and_then(|by| self.tasks.get(&by)).map(|by| by.track);
        self.event("i", by.unwrap_or_default(), "note");
        let scope = if by.is_some() { 't' } else { 'g' };
        let _ = write!(self.text, r#","s":"{scope}","name":{},"args":{{"in a task":{}"#, Quoted(what), by.is_some());
        self.reason(reason);
        self.end_args();
    }

    /// Closes what is open: a slice that has no end would go on to the end of the trace, and an arrow lead nowhere.
    pub fn close(&mut self) {
        let mut tasks: Vec<_> = mem::take(&mut self.tasks).into_iter().collect();
        tasks.sort_unstable_by_key(|(task, _)| *task);
        for (_, task) in tasks {
            if task.state != State::Idle {
                self.end_slice(task.track);
            }
            self.arrow_to(task.track, task.arrow);
            self.event("E", task.track, "");
            self.text.push_str(r#","args":{"outcome":"none by the end of the trace""#);
            self.end_args();
        }
        let mut groups: Vec<_> = mem::take(&mut self.groups).into_values().map(|group| group.track).collect();
        groups.sort_unstable();
        groups.into_iter().for_each(|track| self.end_slice(track));
    }

    /// The end of the text. A viewer does without it, so a text that was cut off between two events can be looked at all the
    /// same.
    pub fn end(&mut self) {
        self.text.push_str(if self.has_begun { "\n]\n" } else { "[]\n" });
    }

    /// A track that is free, or a new one, which `make` adds and describes.
    fn claim(
        &mut self,
        place: Option<usize>,
        is_group: bool,
        name: Option<&str>,
        location: &'static Location<'static>,
        make: impl FnOnce(&mut Self, usize),
    ) -> (usize, Site) {
        let by_name = self.tracks.len() < BY_NAME;
        let site = Site { place, is_group, location, name: name.filter(|_| by_name).map(Box::from) };
        let track = self.free.get_mut(&site).and_then(Vec::pop).unwrap_or_else(|| {
            let track = self.tracks.len();
            make(self, track);
            track
        });
        (track, site)
    }

    /// An event up to its name. One that ends a slice has no category: a viewer would look for one of the same.
    fn event(&mut self, phase: &str, track: usize, category: &str) {
        self.text.push_str(if mem::replace(&mut self.has_begun, true) { ",\n" } else { "[\n" });
        // Counted from one: nought is the kernel's, to a viewer.
        let (process, thread) = (self.tracks.get(track).map_or(track, |track| track.group) + 1, track + 1);
        let (micros, rest) = (self.ts.as_micros(), self.ts.subsec_nanos() % 1_000);
        let _ = write!(self.text, r#"{{"ph":"{phase}","pid":{process},"tid":{thread},"ts":{micros}"#);
        if rest != 0 {
            let _ = write!(self.text, ".{rest:03}");
        }
        if !category.is_empty() {
            let _ = write!(self.text, r#","cat":"{category}""#);
        }
    }

    fn end_slice(&mut self, track: usize) {
        self.event("E", track, "");
        self.text.push('}');
    }

    /// The end of the arguments, and of the event.
    fn end_args(&mut self) {
        if let Some(simulated) = self.simulated {
            let _ = write!(self.text, r#","at":{}"#, simulated.as_secs_f64());
        }
        self.text.push_str("}}");
    }

    fn reason(&mut self, reason: Option<&dyn Display>) {
        if let Some(reason) = reason {
            let _ = write!(self.text, r#","reason":{}"#, Quoted(reason));
        }
    }

    fn arrow_from(&mut self, track: usize, what: &'static str) -> (u64, &'static str) {
        self.arrows += 1;
        let arrow = self.arrows;
        self.event("s", track, what);
        let _ = write!(self.text, r#","name":"{what}","id":{arrow}}}"#);
        (arrow, what)
    }

    /// To the slice that is open on `track`.
    fn arrow_to(&mut self, track: usize, arrow: Option<(u64, &'static str)>) {
        if let Some((arrow, what)) = arrow {
            self.event("f", track, what);
            let _ = write!(self.text, r#","name":"{what}","id":{arrow},"bp":"e"}}"#);
        }
    }

    fn name(&mut self, track: usize, what: &str) {
        self.event("M", track, "");
        let label = mem::take(&mut self.tracks[track].label);
        let _ = write!(self.text, r#","name":"{what}","args":{{"name":{}}}}}"#, Quoted(&label));
        self.tracks[track].label = label;
    }

    fn sort(&mut self, track: usize, what: &str, index: u64) {
        self.event("M", track, "");
        let _ = write!(self.text, r#","name":"{what}","args":{{"sort_index":{index}}}}}"#);
    }
}

/// As a string of JSON.
struct Quoted<T>(T);

impl<T: Display> Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write!(Escaped(f), "{}", self.0)?;
        f.write_char('"')
    }
}

struct Escaped<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(index) = rest.find(|character| matches!(character, '"' | '\\') || character < ' ') {
            self.0.write_str(&rest[..index])?;
            let special = rest.as_bytes()[index];
            match special {
                b'"' | b'\\' => write!(self.0, "\\{}", char::from(special))?,
                control => write!(self.0, "\\u{control:04x}")?,
            }
            rest = &rest[index + 1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_reserves_is_escaped() {
        assert_eq!(Quoted("a \"b\" \\ c\n\u{1}é").to_string(), r#""a \"b\" \\ c\u000a\u0001é""#);
        assert_eq!(Quoted("").to_string(), "\"\"");
        assert_eq!(Quoted("\t").to_string(), "\"\\u0009\"");
    }

    #[test]
    fn room_is_for_many_and_for_deep_ones_and_stays_in_order() {
        let mut room = Room::default();
        let mut before = 0;
        for _ in 0..300 {
            let (index, mut below) = room.take();
            assert!(index > before);
            before = index;
            let (child, _) = below.take();
            assert!(child > index && child < room.next, "below its parent, above its sibling");
        }
        let (mut room, mut before) = (Room::default(), 0);
        for _ in 0..10 {
            let (index, below) = room.take();
            assert!(index > before);
            (room, before) = (below, index);
        }
        let mut room = Room { next: 7, end: 8 };
        assert_eq!(room.take().0, 7);
        assert_eq!((room.take().0, room.take().0), (8, 8), "who finds none stands behind the others");
    }
}
