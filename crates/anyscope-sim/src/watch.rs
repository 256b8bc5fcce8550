//! What is known of the program: its groups and tasks, what each waits for, and who holds what.
//!
//! One lock, a leaf: it is taken for a few moves at a time, and nothing is called while it is held.

use crate::engine;
use crate::scheduler::Shared;
use crate::trace::{Happened, Kind, Log, Named, Opened, Spawned};
use anyscope_core::TaskId;
use anyscope_core::observe::{Ended, Event, GroupId, MemberRole, Observer, Resource, Wait};
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What is known of the program that runs on a simulator.
pub(crate) struct Watch {
    table: Mutex<Table>,
}

/// The notes.
pub(crate) struct Table {
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    /// Who waits for what outside of any task: the body of a run.
    pub(crate) body: Vec<Wait>,
    pub(crate) resources: HashMap<usize, Held>,
    /// How many finalisers were kept that haven't begun, by their groups; less than none where one has begun twice.
    pub(crate) finalisers: BTreeMap<GroupId, isize>,
    /// Whether a handle or a portal was made.
    pub(crate) reachable: bool,
    /// The one that is being polled.
    pub(crate) current: Option<TaskId>,
    /// The one that ended last: it wakes who waited for it, with its number.
    ended: Option<(TaskId, u64)>,
    pub(crate) log: Log,
    numbers: u64,
    now: Instant,
}

pub(crate) struct Group {
    /// Counted from the beginning of the simulator.
    pub(crate) number: u64,
    pub(crate) parent: Option<GroupId>,
    pub(crate) task: Option<TaskId>,
    pub(crate) name: Option<String>,
    pub(crate) location: &'static Location<'static>,
}

pub(crate) struct Task {
    pub(crate) number: u64,
    pub(crate) group: GroupId,
    pub(crate) name: Option<String>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) role: MemberRole,
    pub(crate) polls: u64,
    /// What it came to wait for in the last poll in which it did.
    pub(crate) waits: Vec<Wait>,
    /// Whether there was a poll since in which it came to wait for nothing that is known.
    pub(crate) is_stale: bool,
}

/// A semaphore, a lock, and who has something of it.
pub(crate) struct Held {
    /// By the time at which something of it was taken first.
    pub(crate) number: u64,
    pub(crate) resource: Resource,
    pub(crate) by: Vec<(Option<TaskId>, usize)>,
}

impl Watch {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            table: Mutex::new(Table {
                groups: BTreeMap::new(),
                tasks: BTreeMap::new(),
                body: Vec::new(),
                resources: HashMap::new(),
                finalisers: BTreeMap::new(),
                reachable: false,
                current: None,
                ended: None,
                log: Log::new(start),
                numbers: 0,
                now: start,
            }),
        }
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is later now.
    pub(crate) fn set_now(&self, now: Instant) {
        self.table().now = now;
    }

    /// A seat is being polled: what its body waits for is found out anew.
    pub(crate) fn body_polled(&self) {
        self.table().body.clear();
    }
}

impl Table {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn log(&mut self, kind: Kind, task: Option<TaskId>) {
        let task = task.and_then(|task| self.tasks.get(&task)).map_or(0, |task| task.number);
        self.log.add(self.now, kind, task);
    }

    /// The number of a task that lives.
    fn known(&self, task: TaskId) -> Option<u64> {
        self.tasks.get(&task).map(|task| task.number)
    }

    fn beside(&mut self, task: TaskId, what: impl FnOnce() -> Happened) {
        if let Some(task) = self.known(task) {
            self.log.beside(self.now, task, what);
        }
    }

    fn count_finaliser(&mut self, group: GroupId, change: isize) {
        let left = self.finalisers.entry(group).or_default();
        *left += change;
        if *left == 0 {
            self.finalisers.remove(&group);
        }
    }

    fn observe(&mut self, event: &Event<'_>) {
        match *event {
            Event::GroupOpened { group, parent, task, name, location } => {
                let number = self.number();
                let name = name.map(str::to_owned);
                let named = Named { number, name: name.clone(), location };
                let above = parent.and_then(|parent| self.groups.get(&parent)).map(|parent| parent.number);
                let opener = task.and_then(|task| self.known(task));
                self.log.opened(self.now, Opened { named, parent: above, task: opener });
                self.groups.insert(group, Group { number, parent, task, name, location });
            }
            Event::GroupEnded { group } => {
                if let Some(group) = self.groups.remove(&group) {
                    self.log.add(self.now, Kind::GroupEnded, group.number);
                }
            }
            Event::GroupReachable { .. } => self.reachable = true,
            Event::Spawned { task, group, role, by } => {
                let number = self.number();
                let parent = self.groups.get(&group).map_or(0, |group| group.number);
                let (name, location) = (task.name().map(str::to_owned), task.location());
                let named = Named { number, name: name.clone(), location };
                let by = by.and_then(|by| self.known(by));
                self.log.spawned(self.now, Spawned { named, group: parent, by, role });
                let task_of =
                    Task { number, group, name, location, role, polls: 0, waits: Vec::new(), is_stale: false };
                self.tasks.insert(task.id(), task_of);
            }
            Event::Polled { task } => {
                self.current = Some(task);
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.polls += 1;
                    task.is_stale = true;
                }
                self.log(Kind::Polled, Some(task));
            }
            Event::Pending { task } => {
                self.current = None;
                self.log(Kind::Pending, Some(task));
            }
            Event::Woken { task, by } => {
                let ended = self.ended.filter(|(ended, _)| Some(*ended) == by).map(|(_, number)| number);
                let by = ended.or_else(|| by.and_then(|by| self.known(by)));
                self.beside(task, || Happened::Woken(by));
            }
            Event::CancelRequested { reason, by } => {
                let by = by.and_then(|by| self.known(by)).unwrap_or_default();
                self.log.beside(self.now, by, || Happened::cancels(reason));
            }
            Event::Ending { task } => self.beside(task, || Happened::Ending),
            Event::Ended { task, how } => {
                if self.current == Some(task) {
                    self.current = None;
                }
                let kind = match how {
                    Ended::Completed => Kind::Completed,
                    Ended::Failed => Kind::Failed,
                    Ended::Cancelled(_) => Kind::Cancelled,
                    Ended::Panicked(_) => Kind::Panicked,
                    _ => Kind::RuntimeGone,
                };
                self.log(kind, Some(task));
                self.ended = self.tasks.remove(&task).map(|ended| (task, ended.number));
            }
            Event::Waits { task, on } => {
                let waits = match task {
                    Some(task) => self.tasks.get_mut(&task).map(|task| {
                        if mem::take(&mut task.is_stale) {
                            task.waits.clear();
                        }
                        &mut task.waits
                    }),
                    None => Some(&mut self.body),
                };
                if let Some(waits) = waits.filter(|waits| !waits.contains(&on)) {
                    waits.push(on);
                }
                if let Some(task) = task {
                    let number = if let Wait::Task(other) = on { self.known(other) } else { None };
                    self.beside(task, || Happened::Waits(on, number));
                }
            }
            Event::Taken { resource, task, permits } => {
                let number = self.number();
                let new = || Held { number, resource, by: Vec::new() };
                let held = self.resources.entry(resource.address).or_insert_with(new);
                held.by.push((task, permits));
                self.log(Kind::Taken, task);
            }
            Event::GivenBack { resource, task, permits } => {
                if let Some(held) = self.resources.get_mut(&resource.address) {
                    held.give_back(task, permits);
                    if held.by.is_empty() {
                        self.resources.remove(&resource.address);
                    }
                }
                self.log(Kind::GivenBack, task);
            }
            Event::FinaliserKept { group } => self.count_finaliser(group, 1),
            Event::FinaliserBegun { group } => self.count_finaliser(group, -1),
            _ => {}
        }
    }
}

impl Held {
    /// Permits don't tell who took them: those of the one who gives them back go first, then the oldest.
    fn give_back(&mut self, task: Option<TaskId>, mut permits: usize) {
        while permits > 0 {
            let own = self.by.iter().position(|(by, _)| *by == task);
            let Some(index) = own.or((!self.by.is_empty()).then_some(0)) else { return };
            let held = self.by[index].1;
            if held > permits {
                self.by[index].1 -= permits;
                return;
            }
            permits -= held;
            self.by.remove(index);
        }
    }
}

/// A simulator as its groups see it.
pub(crate) struct Eyes(pub(crate) Arc<Shared>);

impl Observer for Eyes {
    fn observe(&self, event: &Event<'_>) {
        self.0.watch.table().observe(event);
    }

    fn choose(&self, of: usize) -> usize {
        self.0.lock().chooser.choose(of)
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn job_asks(&self) {
        engine::look(&self.0);
    }

    fn outside(&self, begins: bool) {
        self.0.outside(begins);
    }
}
