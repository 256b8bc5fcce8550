//! A span of `tracing` for each task: what a task logs, it logs as this task, wherever it is polled.
//!
//! [`install`] watches every group that is opened from then on, on any runtime, until what it returns is dropped. Each task gets
//! a span that is entered around each of its polls, and around the destructors of its future, on the thread that they
//! run on. The program's own events and spans stand inside of it, and so do the spans of the groups that it opens. Where they go
//! is up to the subscriber: `tracing-subscriber`'s layers, `tracing-opentelemetry`'s and others take them as they are.
//!
//! # The spans
//!
//! A span is named `task`, and has the target `anyscope` and the level INFO: the filter `anyscope=off` turns all of them off,
//! and so does one that asks for warnings alone. Then a task costs the look at the filter.
//!
//! | field | |
//! |---|---|
//! | `name` | the task's name, if it has one |
//! | `id` | its [`TaskId`] |
//! | `role` | `child`, `service`, or `late` for a finaliser |
//! | `group` | the name of its group, or its number |
//! | `code.file.path`, `code.line.number`, `code.column.number` | where it was spawned, by OpenTelemetry's names |
//! | `outcome` | when it has ended: `completed`, `failed`, `cancelled`, `panicked`, `runtime gone` |
//! | `reason` | why, where it was cancelled or panicked |
//!
//! The parent of a span is the one that was current where the task's group was opened: the span of the task that opened it, or one
//! that this task has entered since; outside of any task, what is current there. From where a child is spawned makes no
//! difference. A group has no span of its own: nothing runs in it but its tasks, and its name is a field of theirs.
//!
//! # The events
//!
//! A request for a cancellation is an event at DEBUG in the span of whoever asks, with its reason and its place; and so is
//! the end of a task by one, in its own. They're part of what goes well: each timeout and each race is one. A panic is an event
//! at ERROR in the span of the task, with its message as `error`: `tracing-opentelemetry` marks the span as failed by it.
//! It is told there even where a group around hands it on.
//!
//! # Examples
//!
//! ```
//! use anyscope::task_group;
//!
//! let _guard = anyscope::tracing::install();
//! # #[cfg(feature = "smol")]
//! anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
//!     g.task("fetch").spawn(async {
//!         // With `tracing_subscriber::fmt()`: INFO task{name="fetch" id=1 ..}: begun
//!         tracing::info!("begun");
//!     });
//! }));
//! ```

use ::tracing::dispatcher::with_default;
use ::tracing::field::{Empty, display};
use ::tracing::{Id, Level, Span, event, level_filters::LevelFilter, span};
use anyscope_core::observe::{self, Ended, Event, GroupId, MemberRole, Observer};
use anyscope_core::{TaskId, TaskRef};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const TARGET: &str = "anyscope";

/// Has each task of a group that is opened from now on run in a span of its own, until what this returns is dropped.
///
/// A group that is open by then keeps its spans to its end. Where there are two at a time, a task has two spans.
pub fn install() -> Installed {
    Installed { _installed: observe::install(Arc::new(Spans::default())) }
}

/// Keeps the spans coming, until it is dropped. Made by [`install`].
#[must_use = "there are no spans once this is dropped"]
#[derive(Debug)]
pub struct Installed {
    _installed: observe::Installed,
}

/// No lock is held while a subscriber is called. To clone or to drop a span calls one too, so they are handed out by reference
/// count.
#[derive(Default)]
struct Spans {
    tasks: Shards<TaskId, Span>,
    groups: Shards<GroupId, Opened>,
}

/// What is known of a group.
struct Opened {
    /// Or its number.
    name: Box<str>,
    /// What its tasks are below.
    parent: Option<Arc<Span>>,
}

thread_local! {
    /// The tasks that are in a poll on this thread, each inside of the one before, with what was entered for them.
    static ENTERED: RefCell<Vec<(TaskId, Arc<Span>)>> = const { RefCell::new(Vec::new()) };
}

impl Observer for Spans {
    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::GroupOpened { group, task, name, .. } => self.opened(group, task, name),
            Event::GroupEnded { group } => drop(self.groups.remove(group)),
            Event::Spawned { task, group, role, .. } => self.spawned(task, group, role),
            Event::Polled { task } | Event::Ending { task } => self.enter(task),
            Event::Pending { task } => leave(task),
            Event::CancelRequested { reason, by } => event!(
                target: TARGET,
                parent: self.asks(by),
                Level::DEBUG,
                code.file.path = reason.location().file(),
                code.line.number = reason.location().line(),
                "asks for a cancellation: {reason}"
            ),
            Event::Ended { task, how } => self.ended(task, how),
            _ => {}
        }
    }
}

impl Spans {
    fn opened(&self, group: GroupId, task: Option<TaskId>, name: Option<&str>) {
        if LevelFilter::current() < Level::INFO {
            return;
        }
        let current = Span::current();
        let parent =
            if current.is_disabled() { task.and_then(|task| self.tasks.get(task)) } else { Some(Arc::new(current)) };
        let name = name.map_or_else(|| group.to_string(), str::to_owned).into();
        self.groups.insert(group, Opened { name, parent }.into());
    }

    fn spawned(&self, task: &TaskRef, group: GroupId, role: MemberRole) {
        if LevelFilter::current() < Level::INFO {
            return;
        }
        let opened = self.groups.get(group);
        let parent = opened.as_ref().and_then(|opened| opened.parent.as_ref());
        let make = || {
            let (parent, location) = (parent.and_then(|parent| parent.id()), task.location());
            span!(
                target: TARGET,
                parent: parent,
                Level::INFO,
                "task",
                name = task.name(),
                id = task.id().get(),
                role = role_of(role),
                group = opened.as_ref().map(|opened| &*opened.name),
                code.file.path = location.file(),
                code.line.number = location.line(),
                code.column.number = location.column(),
                outcome = Empty,
                reason = Empty,
            )
        };
        // A subscriber knows its own spans alone, and this thread may have another than the one where the group was opened.
        let span = parent.and_then(|parent| parent.with_subscriber(|(_, dispatch)| with_default(dispatch, make)));
        let span = span.unwrap_or_else(make);
        if !span.is_disabled() {
            self.tasks.insert(task.id(), Arc::new(span));
        }
    }

    fn enter(&self, task: TaskId) {
        let Some(span) = self.tasks.get(task) else { return };
        if ENTERED.try_with(|entered| entered.borrow_mut().push((task, span.clone()))).is_ok() {
            span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
        }
    }

    fn ended(&self, task: TaskId, how: Ended<'_>) {
        let Some(span) = self.tasks.get(task) else { return };
        let outcome = match how {
            Ended::Completed => "completed",
            Ended::Failed => "failed",
            Ended::Cancelled(reason) => {
                span.record("reason", display(reason));
                event!(target: TARGET, parent: &*span, Level::DEBUG, "cancelled: {reason}");
                "cancelled"
            }
            Ended::Panicked(message) => {
                span.record("reason", message);
                // Without a message: with one, `tracing-opentelemetry` wouldn't take it for the failure of the span.
                event!(target: TARGET, parent: &*span, Level::ERROR, error = %format_args!("panicked: {message}"));
                "panicked"
            }
            _ => "runtime gone",
        };
        span.record("outcome", outcome);
        leave(task);
        drop(self.tasks.remove(task));
    }

    /// The span of who asks for something.
    fn asks(&self, by: Option<TaskId>) -> Option<Id> {
        let current = Span::current().id();
        current.or_else(|| by.and_then(|by| self.tasks.get(by)).and_then(|span| span.id()))
    }
}

fn leave(task: TaskId) {
    let entered = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        if entered.last().is_some_and(|(last, _)| *last == task) { entered.pop() } else { None }
    });
    if let Some((_, span)) = entered.ok().flatten() {
        span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
    }
}

fn role_of(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Service => "service",
        MemberRole::Late => "late",
        _ => "child",
    }
}

/// A map that threads seldom wait for each other at.
struct Shards<K, V> {
    shards: [Mutex<HashMap<K, Arc<V>>>; 16],
    len: AtomicUsize,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), len: AtomicUsize::new(0) }
    }
}

impl<K: Number, V> Shards<K, V> {
    fn shard(&self, key: K) -> MutexGuard<'_, HashMap<K, Arc<V>>> {
        self.shards[(key.number() % 16) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: K) -> Option<Arc<V>> {
        // Ordering: Relaxed; whoever asks for what is there knows of it from its owner, who put it there before.
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.shard(key).get(&key).cloned()
    }

    fn insert(&self, key: K, value: Arc<V>) {
        // Ordering: Relaxed, as in `get`.
        self.len.fetch_add(1, Ordering::Relaxed);
        let before = self.shard(key).insert(key, value);
        debug_assert!(before.is_none(), "numbers aren't used twice");
    }

    /// To be dropped by the caller, when no lock is held.
    fn remove(&self, key: K) -> Option<Arc<V>> {
        // Ordering: Relaxed, as in `get`.
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let removed = self.shard(key).remove(&key);
        if removed.is_some() {
            // Ordering: Relaxed, as in `get`.
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }
}

trait Number: Copy + Eq + Hash {
    fn number(self) -> u64;
}

impl Number for TaskId {
    fn number(self) -> u64 {
        self.get()
    }
}

impl Number for GroupId {
    fn number(self) -> u64 {
        self.get()
    }
}
