//! What a runtime may watch, and what it may choose: for one that simulates, and for tools.
//!
//! A runtime that has an [`Observer`] hands it out by [`Runtime::observer`](crate::Runtime::observer); a tool that watches
//! whatever runtime there is has one [installed](install). Each group asks once, when it is opened; what it costs the others
//! is a load and a branch where something happens.
//!
//! An observer is called on whatever thread something happens on, never while a lock of this crate is held, and in
//! the middle of what it is told of: it takes notes, and neither panics nor calls back.

use crate::cancel::reason::Reason;
use crate::group::state::Role;
use crate::sync::Arc;
use crate::task::{TaskId, TaskRef};
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

mod cause;
// For the simulator and the facade, and for nobody else: it changes as they do.
#[doc(hidden)]
pub mod chrome;
mod installed;
mod told;

pub(crate) use self::cause::{by_the_end_of, cause};
pub(crate) use self::installed::observer_of;
pub use self::installed::{Installed, install};
pub(crate) use self::told::{
    Told, around, around_or, is_on, is_recording, on_behalf_of, record, takes_turns, tell, waits,
};

/// Is told what happens in the groups of a runtime.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &Event<'_>);

    /// Returns which of `of` ready children of a group is polled next: 0 is the one that has been ready longest. Asked where
    /// the runtime's observer [takes turns](Self::takes_turns).
    fn choose(&self, of: usize) -> usize {
        let _ = of;
        0
    }

    /// Returns whether one thread at a time runs the program, by the runtime's choice: then a call that has threads of its
    /// own goes without them.
    fn takes_turns(&self) -> bool {
        false
    }

    /// A blocking job asks whether it is still wanted. The runtime may let others go on before this returns.
    fn job_asks(&self) {}

    /// Something outside of the runtime begins to work for it, or is through: a thread that is to come in by a handle.
    fn outside(&self, begins: bool) {
        let _ = begins;
    }
}

/// Something outside of a runtime that is at work for it, until this is dropped. Made by [`outside`].
#[must_use = "it counts until it is dropped"]
pub struct Outside(Option<Arc<dyn Observer>>);

/// Tells the observer of the runtime around that something outside of it is at work, until what this returns is dropped:
/// a thread of the program's own, that is to wake somebody or to come in by a handle. A simulator doesn't hold the program
/// to be stuck meanwhile. Where nobody observes, it is nothing.
pub fn outside() -> Outside {
    Outside::of(around())
}

impl Outside {
    /// The same for the runtime that `observer` is of.
    pub fn of(observer: Option<Arc<dyn Observer>>) -> Self {
        if let Some(observer) = &observer {
            observer.outside(true);
        }
        Self(observer)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(observer) = &self.0 {
            observer.outside(false);
        }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// A number that no other group of this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(NonZeroU64);

impl GroupId {
    /// Returns the number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Ordering: Relaxed; a counter that publishes nothing.
        Self(NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MAX))
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A group was opened: below another one, inside of a task, if any.
    GroupOpened {
        /// The group.
        group: GroupId,
        /// The group around it.
        parent: Option<GroupId>,
        /// The task that its body runs in.
        task: Option<TaskId>,
        /// Its name.
        name: Option<&'a str>,
        /// Where it was opened.
        location: &'static Location<'static>,
    },
    /// A group has ended.
    GroupEnded {
        /// The group.
        group: GroupId,
    },
    /// A group can be reached from elsewhere from now on: a handle or a portal was made.
    GroupReachable {
        /// The group.
        group: GroupId,
    },
    /// A task was spawned.
    Spawned {
        /// The task.
        task: &'a TaskRef,
        /// The group that it is a member of.
        group: GroupId,
        /// What it is there for.
        role: MemberRole,
        /// The task in whose poll it was spawned, if any.
        by: Option<TaskId>,
    },
    /// A task was woken: it is polled again, soon. Told before it can be.
    Woken {
        /// The task.
        task: TaskId,
        /// The task in whose poll it was woken, if any, or by whose end: itself, where it gave way.
        by: Option<TaskId>,
    },
    /// Somebody asked for a cancellation: of a task, a group, a token, and of all that is below. Told once for each request,
    /// before anybody is woken for it; what comes of it is told by the ends of the tasks.
    CancelRequested {
        /// Why, and from where.
        reason: &'a Reason,
        /// The task in whose poll it was asked for, if any.
        by: Option<TaskId>,
    },
    /// A poll of a task begins, on this thread.
    Polled {
        /// The task.
        task: TaskId,
    },
    /// A poll of a task has ended, on the thread that it began on, and the task hasn't.
    Pending {
        /// The task.
        task: TaskId,
    },
    /// The future of a task that isn't being polled is about to be dropped, on this thread: it was cancelled, or its runtime
    /// is gone. The task ends when the destructors have run.
    Ending {
        /// The task.
        task: TaskId,
    },
    /// A task has ended, and its future is gone. A poll that was under way has ended with it, on this thread.
    Ended {
        /// The task.
        task: TaskId,
        /// How it ended.
        how: Ended<'a>,
    },
    /// The poll under way comes to wait for something. It may come to wait for more, and for the same again.
    Waits {
        /// The task, unless it is the body of a group that no task is around.
        task: Option<TaskId>,
        /// For what.
        on: Wait,
    },
    /// Permits, or a lock, were taken.
    Taken {
        /// Of what.
        resource: Resource,
        /// By whom, where it was a task.
        task: Option<TaskId>,
        /// How many.
        permits: usize,
    },
    /// Permits, or a lock, were given back, or taken out of the world.
    GivenBack {
        /// Of what.
        resource: Resource,
        /// By whom, where it was a task.
        task: Option<TaskId>,
        /// How many.
        permits: usize,
    },
    /// A finaliser of a group, or a clean-up, is there to be run later.
    FinaliserKept {
        /// The group.
        group: GroupId,
    },
    /// A finaliser of a group has begun.
    FinaliserBegun {
        /// The group.
        group: GroupId,
    },
}

/// How a task ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ended<'a> {
    /// With its value.
    Completed,
    /// With an error that cancelled its group.
    Failed,
    /// It was cancelled.
    Cancelled(&'a Reason),
    /// With a panic, whose message this is.
    Panicked(&'a str),
    /// Its runtime went away.
    RuntimeGone,
}

/// What a task is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberRole {
    /// What the group is there for.
    Child,
    /// Ends when only services are left.
    Service,
    /// A finaliser, or a clean-up.
    Late,
}

impl From<Role> for MemberRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Child => Self::Child,
            Role::Service => Self::Service,
            Role::Late => Self::Late,
        }
    }
}

/// What permits are taken of, or a lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Resource {
    /// `"semaphore"`, `"limiter"`, `"mutex"`, ..
    pub kind: &'static str,
    /// Tells it from others as long as it is in use.
    pub address: usize,
    /// Where it was made.
    pub location: &'static Location<'static>,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// For permits, or a lock.
    Permits(Resource, usize),
    /// For the end of a task.
    Task(TaskId),
    /// For the members of a group.
    Members(GroupId),
    /// For a cancellation.
    Cancellation,
    /// For room in a channel, or for a message.
    Channel {
        /// Which, as long as it is in use.
        address: usize,
        /// Whether it would send.
        sends: bool,
    },
    /// For something that others bring about: `"event"`, `"barrier"`, `"room in its group"`, ..
    Signal(&'static str),
    /// For a time.
    Time(Instant),
    /// For a blocking job.
    Job(&'static Location<'static>),
    /// For another turn: it only gave way.
    Turn,
}

impl Wait {
    /// For what, as far as this alone can tell.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Wait::Permits(resource, 1) => format!("the {} made at {}", resource.kind, resource.location),
            Wait::Permits(resource, permits) => {
                format!("{permits} of the {} made at {}", resource.kind, resource.location)
            }
            Wait::Task(task) => format!("task {task}"),
            Wait::Members(_) => "the members of its group".to_owned(),
            Wait::Cancellation => "a cancellation".to_owned(),
            Wait::Channel { sends: true, .. } => "room in a channel".to_owned(),
            Wait::Channel { sends: false, .. } => "a message of a channel".to_owned(),
            Wait::Signal(what) => (*what).to_owned(),
            Wait::Time(_) => "a timer".to_owned(),
            Wait::Job(location) => format!("a blocking job (begun at {location})"),
            Wait::Turn => "another turn".to_owned(),
        }
    }
}
