//! What can be around a poll, each with as much as it has to say.

use super::{Shields, deadline, group, held, locals, locate, scope, task};
use crate::cancel::reason::Reason;
use crate::cancel::tree::Node;
use crate::group::core::GroupCore;
use crate::limiter::Held;
use crate::local::Binding;
use crate::runtime::{DynRuntime, Runtime};
use crate::sync::Arc;
use crate::task::seat::Seat;
use crate::task::{TaskId, TaskRef};
use std::fmt;
use std::panic::Location;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// One scope around a poll, with anything to say. A field that is `None` is inherited from what is around.
#[derive(Clone, Default)]
pub(crate) struct Frame {
    pub(crate) root: bool,
    pub(crate) group: Option<Arc<GroupCore>>,
    pub(crate) scope: Option<Arc<Node>>,
    pub(crate) deadline: Deadline,
    pub(crate) task: Option<TaskRef>,
    pub(crate) shields: OnceLock<Arc<Shields>>,
    /// The values of task-locals, the innermost first.
    pub(crate) locals: Option<Arc<Binding>>,
    /// What the blocking jobs around hold of limiters, the innermost first.
    pub(crate) held: Option<Arc<Held>>,
    /// The runtime, where no group is around to tell.
    pub(crate) runtime: Option<DynRuntime>,
    /// Whether it is a blocking job's: nobody polls it, so that it has to look at its deadline itself.
    pub(crate) job: bool,
    /// Whether it stands around a closure, and says nothing of who polls it.
    pub(crate) closure: bool,
}

impl Frame {
    /// All that is around the caller, for what goes on elsewhere on its behalf. Shields stay where they are; the runtime is
    /// for the caller to say, where no group is around.
    pub(crate) fn around() -> Self {
        Self {
            root: true,
            group: group(),
            scope: scope(),
            deadline: Deadline::Exactly(deadline()),
            task: task(),
            locals: locals(),
            held: held(),
            ..Self::default()
        }
    }
}

/// Where an owner keeps its frame, once it has one.
pub(crate) type FrameSlot = Option<Frame>;

/// A scope that has a deadline and nothing else.
#[derive(Default)]
pub(crate) struct Limit {
    pub(crate) deadline: Deadline,
    pub(crate) shields: OnceLock<Arc<Shields>>,
}

/// A scope that a token cancels.
pub(crate) struct Under {
    pub(crate) token: Arc<Node>,
    /// Answers to the token and to the scope around, where there is one.
    pub(crate) joined: Option<Arc<Node>>,
    pub(crate) shields: OnceLock<Arc<Shields>>,
}

impl Under {
    pub(crate) fn new(token: Arc<Node>) -> Self {
        Self { token, joined: None, shields: OnceLock::new() }
    }

    /// What cancels it.
    pub(crate) fn scope(&self) -> &Arc<Node> {
        self.joined.as_ref().unwrap_or(&self.token)
    }
}

/// What is around a poll, as whoever polls lends it.
#[derive(Clone, Copy)]
pub(crate) enum Around<'a> {
    Frame(&'a Frame),
    Limit(&'a Limit),
    Under(&'a Under),
    Child(&'a Seat),
}

impl<'a> From<&'a Frame> for Around<'a> {
    fn from(frame: &'a Frame) -> Self {
        Self::Frame(frame)
    }
}

impl<'a> From<&'a Limit> for Around<'a> {
    fn from(limit: &'a Limit) -> Self {
        Self::Limit(limit)
    }
}

impl<'a> From<&'a Under> for Around<'a> {
    fn from(under: &'a Under) -> Self {
        Self::Under(under)
    }
}

impl<'a> From<&'a Seat> for Around<'a> {
    fn from(seat: &'a Seat) -> Self {
        Self::Child(seat)
    }
}

/// What something around has to say about deadlines.
pub(super) struct Stand {
    pub(super) at: Option<Instant>,
    /// Whether what is further out doesn't count.
    pub(super) is_last: bool,
}

/// What would cancel the caller.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    Node(&'a Arc<Node>),
    /// A child, which may have no node of its own.
    Child(&'a Seat),
}

impl Scope<'_> {
    pub(super) fn node(self) -> Arc<Node> {
        match self {
            Self::Node(node) => node.clone(),
            Self::Child(seat) => seat.node(),
        }
    }

    pub(super) fn is_cancelled(self) -> bool {
        match self {
            Self::Node(node) => node.is_cancelled(),
            Self::Child(seat) => seat.is_cancelled(),
        }
    }

    pub(super) fn is_cancelled_above(self) -> bool {
        match self {
            Self::Node(node) => node.is_cancelled_above(),
            Self::Child(seat) => seat.is_cancelled_above(),
        }
    }

    pub(super) fn reason(self) -> Option<Reason> {
        match self {
            Self::Node(node) => node.reason(),
            Self::Child(seat) => seat.reason(),
        }
    }
}

impl<'a> Around<'a> {
    fn frame(self) -> Option<&'a Frame> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Limit(_) | Self::Under(_) | Self::Child(_) => None,
        }
    }

    /// Whether it hides everything further out, which is another task's.
    pub(super) fn is_root(self) -> bool {
        match self {
            Self::Frame(frame) => frame.root,
            Self::Limit(_) | Self::Under(_) => false,
            Self::Child(_) => true,
        }
    }

    pub(super) fn group(self) -> Option<&'a Arc<GroupCore>> {
        match self {
            Self::Frame(frame) => frame.group.as_ref(),
            Self::Limit(_) | Self::Under(_) => None,
            Self::Child(seat) => Some(seat.group()),
        }
    }

    pub(super) fn scope(self) -> Option<Scope<'a>> {
        match self {
            Self::Frame(frame) => frame.scope.as_ref().map(Scope::Node),
            Self::Limit(_) => None,
            Self::Under(under) => Some(Scope::Node(under.scope())),
            Self::Child(seat) => Some(Scope::Child(seat)),
        }
    }

    /// What it says of a deadline. `now` is the time, where it is known; where it is read, it is left there for the next.
    pub(super) fn deadline(self, now: &mut Option<Instant>) -> Stand {
        let deadline = match self {
            Self::Frame(frame) => &frame.deadline,
            Self::Limit(limit) => &limit.deadline,
            Self::Under(under) => return Stand { at: under.token.deadline(), is_last: false },
            Self::Child(seat) => return Stand { at: seat.deadline(), is_last: true },
        };
        Stand { at: deadline.fix(now), is_last: matches!(deadline, Deadline::Exactly(_)) }
    }

    pub(super) fn task(self) -> Option<TaskRef> {
        match self {
            Self::Frame(frame) => frame.task.clone(),
            Self::Limit(_) | Self::Under(_) => None,
            Self::Child(seat) => Some(seat.task()),
        }
    }

    pub(super) fn task_id(self) -> Option<TaskId> {
        match self {
            Self::Frame(frame) => frame.task.as_ref().map(TaskRef::id),
            Self::Limit(_) | Self::Under(_) => None,
            Self::Child(seat) => Some(seat.id()),
        }
    }

    pub(super) fn shields(self) -> Option<&'a Arc<Shields>> {
        match self {
            Self::Frame(frame) => frame.shields.get(),
            Self::Limit(limit) => limit.shields.get(),
            Self::Under(under) => under.shields.get(),
            Self::Child(seat) => seat.shields(),
        }
    }

    pub(super) fn shields_or(self, make: impl FnOnce() -> Arc<Shields>) -> &'a Arc<Shields> {
        match self {
            Self::Frame(frame) => frame.shields.get_or_init(make),
            Self::Limit(limit) => limit.shields.get_or_init(make),
            Self::Under(under) => under.shields.get_or_init(make),
            Self::Child(seat) => seat.shields_or(make),
        }
    }

    pub(super) fn locals(self) -> Option<Arc<Binding>> {
        match self {
            Self::Frame(frame) => frame.locals.clone(),
            Self::Limit(_) | Self::Under(_) => None,
            Self::Child(seat) => seat.locals(),
        }
    }

    pub(super) fn held(self) -> Option<&'a Arc<Held>> {
        match self {
            Self::Frame(frame) => frame.held.as_ref(),
            Self::Limit(_) | Self::Under(_) => None,
            Self::Child(seat) => seat.held(),
        }
    }

    pub(super) fn runtime(self) -> Option<&'a DynRuntime> {
        match self.group() {
            Some(group) => Some(group.runtime()),
            None => self.frame()?.runtime.as_ref(),
        }
    }

    /// Whether it is the poll of that child.
    pub(super) fn is(self, seat: &Seat) -> bool {
        matches!(self, Self::Child(around) if around.is(seat))
    }

    pub(super) fn is_job(self) -> bool {
        self.frame().is_some_and(|frame| frame.job)
    }

    pub(super) fn is_closure(self) -> bool {
        self.frame().is_some_and(|frame| frame.closure)
    }
}

/// What a frame has to say about deadlines.
#[derive(Clone, Default)]
pub(crate) enum Deadline {
    /// Nothing: what is around it holds.
    #[default]
    Inherited,
    /// Then at the latest, or earlier where something around says so.
    By(Instant),
    /// The same, this long after somebody first asks.
    After(After),
    /// Then, whatever is around; never, where `None`.
    Exactly(Option<Instant>),
}

impl Deadline {
    /// Then at the latest, where it is known.
    pub(crate) fn by(at: Option<Instant>) -> Self {
        at.map_or(Self::Inherited, Self::By)
    }

    /// When it is, of its own account. Reads the clock where nobody has asked before.
    fn fix(&self, now: &mut Option<Instant>) -> Option<Instant> {
        match self {
            Self::After(after) => after.fix_by(|| *now.get_or_insert_with(|| (after.clock)(after.location))),
            Self::Inherited => None,
            Self::By(at) => Some(*at),
            Self::Exactly(at) => *at,
        }
    }

    /// The same for who has a clock.
    pub(crate) fn fix_by(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        match self {
            Self::Inherited => None,
            Self::By(at) => Some(*at),
            Self::After(after) => after.fix_by(now),
            Self::Exactly(at) => *at,
        }
    }
}

/// A deadline that is counted from when it is first asked for: who has no use for it doesn't read the clock.
#[derive(Clone)]
pub(crate) struct After {
    duration: Duration,
    clock: fn(&'static Location<'static>) -> Instant,
    location: &'static Location<'static>,
    fixed: OnceLock<Option<Instant>>,
}

impl After {
    /// `duration` from then on, by the clock of the runtime of type `R` around.
    pub(crate) fn new<R: Runtime>(duration: Duration, location: &'static Location<'static>) -> Self {
        Self { duration, clock: |call| locate::<R>(call).now(), location, fixed: OnceLock::new() }
    }

    /// When it is; `None` is beyond what the clock can tell.
    fn fix_by(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        *self.fixed.get_or_init(|| later(now(), self.duration))
    }
}

/// `duration` after `now`; `None` is beyond what the clock can tell.
pub(crate) fn later(now: Instant, duration: Duration) -> Option<Instant> {
    if cfg!(bug_deadline_overflows) { Some(now + duration) } else { now.checked_add(duration) }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherited => f.write_str("Inherited"),
            Self::By(at) => f.debug_tuple("By").field(at).finish(),
            Self::After(after) => f.debug_tuple("After").field(&after.duration).finish(),
            Self::Exactly(at) => f.debug_tuple("Exactly").field(at).finish(),
        }
    }
}
