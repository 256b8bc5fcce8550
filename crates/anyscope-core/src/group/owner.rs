//! The owner of a group: the future that polls the body, waits for the children, and, when it is dropped, destroys them.

use super::core::{GroupCore, Kind, Surroundings};
use super::state::Strangers;
use crate::cancel::reason::{Reason, ReasonKind};
use crate::context::{self, Frame, FrameSlot};
use crate::guard::{self, Payload};
use crate::local::Binding;
use crate::observe;
use crate::runtime::{DynRuntime, Runtime};
use crate::sync::Arc;
use crate::task::TaskRef;
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Owns a group. Dropped before the group has ended, it destroys every idle child before the drop returns, and leaves
/// to an adopter what it can't destroy: a poll under way on another thread, a blocking job.
pub(crate) struct Owner {
    pub(crate) group: Arc<GroupCore>,
    name: Option<Cow<'static, str>>,
    location: &'static Location<'static>,
    /// Whether it is a `run`'s, which hides what happens to be further down on the same thread.
    root: bool,
}

/// How a group is to be opened.
pub(crate) struct Plan {
    pub(crate) limit: usize,
    pub(crate) name: Option<Cow<'static, str>>,
    /// Values of task-locals, each put in front of those around.
    pub(crate) locals: Vec<PutLocal>,
}

pub(crate) type PutLocal = Box<dyn FnOnce(Option<Arc<Binding>>) -> Arc<Binding> + Send>;

impl Default for Plan {
    fn default() -> Self {
        Self { limit: usize::MAX, name: None, locals: Vec::new() }
    }
}

impl Owner {
    /// Opens a group below what surrounds the caller, on the runtime of type `R`.
    pub(crate) fn open<R: Runtime>(plan: Plan, location: &'static Location<'static>) -> Self {
        let runtime = context::locate_dyn::<R>(location);
        let around = Surroundings {
            group: context::group(),
            scope: context::scope(),
            deadline: context::deadline(),
            locals: plan.locals.into_iter().fold(context::locals(), |around, local| Some(local(around))),
            held: context::held(),
        };
        let group = GroupCore::new(Kind::Scope, runtime, around, plan.limit, plan.name.clone(), location);
        Self { group, name: plan.name, location, root: false }
    }

    /// Opens the group of a `run`, which has nothing around it but what it blocks.
    pub(crate) fn root(runtime: DynRuntime, location: &'static Location<'static>) -> Self {
        let around = Surroundings { locals: context::locals(), held: context::held(), ..Surroundings::default() };
        let group = GroupCore::new(Kind::Run, runtime, around, usize::MAX, None, location);
        Self { group, name: None, location, root: true }
    }

    /// Opens the group of what a run has detached. Of what is around, it has the runtime, and who waits for what it leaves.
    fn of_strangers(run: &Arc<GroupCore>, location: &'static Location<'static>) -> Self {
        let around = Surroundings { group: Some(run.clone()), ..Surroundings::default() };
        let group = GroupCore::new(
            Kind::Detached,
            run.runtime().clone(),
            around,
            usize::MAX,
            Some("detached".into()),
            location,
        );
        Self { group, name: Some("detached".into()), location, root: false }
    }

    /// Runs the body and waits for the children. `None` where the body was stopped because a child failed.
    ///
    /// A panic of the body or of a child is resumed here, after everything has ended.
    pub(crate) async fn run<B: Future>(&self, body: B) -> Option<B::Output> {
        let mut body = pin!(Some(body));
        let frame = self.frame();
        let output = match poll_fn(|cx| self.poll_body(body.as_mut(), &frame, cx)).await {
            Ok(output) => output,
            Err(payload) => {
                // Kept before the children are cancelled: what they panic with then comes after it.
                let how = format!("panicked: {}", guard::message(&payload));
                self.group.body_panicked(payload, self.task());
                self.body_failed(&how);
                None
            }
        };
        let mut panics = poll_fn(|cx| self.group.poll_ended(cx)).await.into_iter();
        // The first in time is the one that goes on.
        let first = panics.next().map(|(payload, _)| payload);
        if first.is_some() {
            guard::drop_quietly(output);
            for (payload, _) in panics {
                guard::forget(payload);
            }
            guard::resume(first);
            return None;
        }
        output
    }

    /// The task that the body runs in, or one that stands for it.
    fn task(&self) -> TaskRef {
        context::task().unwrap_or_else(|| TaskRef::new(self.name.clone(), self.location))
    }

    fn frame(&self) -> FrameSlot {
        Some(Frame {
            root: self.root,
            group: Some(self.group.clone()),
            scope: Some(self.group.whole.clone()),
            locals: self.group.locals(),
            held: self.group.held.clone(),
            ..Frame::default()
        })
    }

    fn poll_body<B: Future>(
        &self,
        mut body: Pin<&mut Option<B>>,
        slot: &FrameSlot,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<B::Output>, Payload>> {
        if !self.group.has_failed() || context::is_shielded(slot) {
            if !self.root {
                // The body may be polled within other deadlines than at its first poll, and the children follow.
                self.group.set_deadline(context::deadline());
            }
            let notes = (self.root && observe::is_recording()).then(|| self.group.make_notes(false));
            if let Some(notes) = &notes {
                notes.polled(self.group.runtime().now());
            }
            let polled = context::within(slot, || {
                guard::catch(|| body.as_mut().as_pin_mut().map_or(Poll::Pending, |body| body.poll(cx)))
            });
            if let Some(notes) = notes {
                notes.returned(self.group.runtime().now());
            }
            let ended = match polled {
                Ok(Poll::Ready(output)) => Some(Ok(Some(output))),
                Err(payload) => Some(Err(payload)),
                Ok(Poll::Pending) => None,
            };
            if let Some(ended) = ended {
                let dropped = context::within(slot, || guard::catch(|| body.set(None)));
                return Poll::Ready(match (ended, dropped) {
                    (Ok(_), Err(payload)) => Err(payload),
                    (ended, _) => ended,
                });
            }
            if self.group.poll_failed(cx).is_pending() || context::is_shielded(slot) {
                return Poll::Pending;
            }
        }
        let mut drop_body = || guard::catch(|| body.set(None));
        let dropped = match self.group.whole.reason() {
            Some(reason) => {
                let dropped = context::within(slot, || context::dropping(&reason, drop_body));
                self.group.cut(reason);
                dropped
            }
            None => drop_body(),
        };
        Poll::Ready(match dropped {
            Ok(()) => Ok(None),
            Err(payload) => {
                // The child's failure came first; the destructor's panic is kept behind it.
                self.group.body_panicked(payload, self.task());
                Ok(None)
            }
        })
    }

    /// Waits for the children, without a body. Resumes the first panic among them.
    pub(crate) fn poll_join(&self, cx: &Context<'_>) -> Poll<()> {
        self.group.poll_ended(cx).map(|panics| {
            let mut panics = panics.into_iter().map(|(payload, _)| payload);
            let first = panics.next();
            panics.for_each(guard::forget);
            guard::resume(first);
        })
    }

    /// Cancels the children of a body that ended with an error.
    pub(crate) fn body_failed(&self, how: &str) {
        let message = match &self.name {
            Some(name) => format!("the body of group `{name}` {how}"),
            None => format!("the body of the group {how}"),
        };
        let reason = Reason::new(ReasonKind::Parent, Some(message.into()), self.location);
        self.group.children.cancel(&reason);
        self.group.cut(reason);
    }
}

impl GroupCore {
    /// The group of what this run has detached. Where that has been ended, one that takes nothing.
    pub(crate) fn strangers(self: &Arc<Self>, location: &'static Location<'static>) -> Arc<Self> {
        if let Strangers::Some(owner) = &self.state.lock().rare().strangers {
            return owner.group.clone();
        }
        // Made without the lock, as it is told to an observer; of two, one is dropped again.
        let owner = Owner::of_strangers(self, location);
        let group = owner.group.clone();
        let unused = {
            let mut state = self.state.lock();
            let strangers = &mut state.rare().strangers;
            match strangers {
                Strangers::None => {
                    *strangers = Strangers::Some(owner);
                    return group;
                }
                Strangers::Some(first) => (Some(first.group.clone()), owner),
                Strangers::Ended => (None, owner),
            }
        };
        let (first, unused) = unused;
        drop(unused);
        first.unwrap_or(group)
    }

    /// Destroys what this run has detached, as the drop of a group does.
    pub(super) fn end_strangers(&self) {
        let strangers = mem::replace(&mut self.state.lock().rare().strangers, Strangers::Ended);
        if let Strangers::Some(owner) = strangers {
            let message = Some("the run that it was detached in has come to its end".into());
            let reason = Reason::new(ReasonKind::Shutdown, message, self.location);
            context::dropping(&reason, || drop(owner));
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.group.kind == Kind::Run {
            self.group.end_strangers();
        }
        self.group.owner_dropped(self.location);
    }
}
