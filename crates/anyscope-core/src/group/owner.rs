//! The owner of a group: the future that polls the body, waits for the children, and, when it is dropped, destroys them.

use super::core::GroupCore;
use super::orphan::Adopted;
use crate::cancel::reason::{Reason, ReasonKind};
use crate::context::{self, Frame, FrameSlot};
use crate::guard::{self, Payload};
use crate::runtime::{DynRuntime, Runtime};
use crate::sync::{Arc, thread_local};
use crate::task::TaskRef;
use crate::task::cell::{Doom, Member};
use std::borrow::Cow;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
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

impl Owner {
    /// Opens a group below what surrounds the caller, on the runtime of type `R`.
    pub(crate) fn open<R: Runtime>(
        limit: usize,
        name: Option<Cow<'static, str>>,
        location: &'static Location<'static>,
    ) -> Self {
        let runtime = match context::runtime() {
            Some(around) if R::from_dyn(&around).is_some() => around,
            _ => context::locate::<R>(location).into_dyn(),
        };
        let scope = context::scope();
        let group = GroupCore::new(runtime, context::group(), scope.as_ref(), context::deadline(), limit);
        Self { group, name, location, root: false }
    }

    /// Opens the group of a `run`, which has nothing around it.
    pub(crate) fn root(runtime: DynRuntime, location: &'static Location<'static>) -> Self {
        let group = GroupCore::new(runtime, None, None, None, usize::MAX);
        Self { group, name: None, location, root: true }
    }

    /// Runs the body and waits for the children. `None` where the body was stopped because a child failed.
    ///
    /// A panic of the body or of a child is resumed here, after everything has ended.
    pub(crate) async fn run<B: Future>(&self, body: B) -> Option<B::Output> {
        let mut body = pin!(Some(body));
        let mut frame = self.frame();
        let result = poll_fn(|cx| self.poll_body(body.as_mut(), &mut frame, cx)).await;
        if let Err(payload) = &result {
            self.body_failed(&format!("panicked: {}", guard::message(payload)));
        }
        let mut panics = poll_fn(|cx| self.group.poll_ended(cx)).await.into_iter();
        // The first panic in time is the one that goes on; where a child's stopped the body, it is the child's.
        let (output, first) = match result {
            Ok(output) => (output, panics.next().map(|(payload, _)| payload)),
            Err(payload) => (None, Some(payload)),
        };
        if first.is_some() {
            if let Some(payload) = guard::drop_caught(output) {
                guard::forget(payload);
            }
            for (payload, _) in panics {
                guard::forget(payload);
            }
            guard::resume(first);
            return None;
        }
        output
    }

    fn frame(&self) -> FrameSlot {
        Some(Frame {
            root: self.root,
            group: Some(self.group.clone()),
            scope: Some(self.group.whole.clone()),
            ..Frame::default()
        })
    }

    fn poll_body<B: Future>(
        &self,
        mut body: Pin<&mut Option<B>>,
        slot: &mut FrameSlot,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<B::Output>, Payload>> {
        if !self.group.has_failed() || context::is_shielded(slot) {
            if let Some(frame) = slot {
                frame.deadline = self.group.deadline;
            }
            let polled = context::within(slot, || {
                guard::catch(|| body.as_mut().as_pin_mut().map_or(Poll::Pending, |body| body.poll(cx)))
            });
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
            Some(reason) => context::within(slot, || context::dropping(&reason, drop_body)),
            None => drop_body(),
        };
        Poll::Ready(match dropped {
            Ok(()) => Ok(None),
            Err(payload) => {
                // The child's failure came first; the destructor's panic is kept behind it.
                let task = context::task().unwrap_or_else(|| TaskRef::new(None, self.location));
                self.group.panicked(payload, &task);
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
        self.group.children.cancel(&Reason::new(ReasonKind::Parent, Some(message.into()), self.location));
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(members) = self.group.abandon() else { return };
        let reason = context::drop_reason().unwrap_or_else(|| Reason::new(ReasonKind::Dropped, None, self.location));
        self.group.whole.cancel(&reason);
        Wreck { group: self.group.clone(), members, reason, held: None }.clear();
    }
}

/// A group whose owner is gone, with the children that it had.
struct Wreck {
    group: Arc<GroupCore>,
    members: Vec<Arc<dyn Member>>,
    reason: Reason,
    /// While this is put off: keeps the group around from believing that all below it has ended.
    held: Option<Adopted>,
}

thread_local! {
    /// How many wrecks are being cleared on this thread, one inside the other, and those put off.
    static CLEARING: RefCell<(usize, Vec<Wreck>)> = const { RefCell::new((0, Vec::new())) };
}

/// A child's future may hold a group whose children hold groups. Up to this depth each is cleared in place; what is
/// deeper waits for the outermost, which clears it before its own drop returns, so that depth doesn't cost stack.
const IN_PLACE: usize = 4;

impl Wreck {
    fn clear(mut self) {
        let Some(depth) = Self::enter() else { return self.destroy() };
        if depth > IN_PLACE {
            self.held = self.group.parent.as_ref().map(|parent| parent.adopt());
            CLEARING.with(|clearing| clearing.borrow_mut().1.push(self));
        } else {
            self.destroy();
            if depth == 1 {
                Self::destroy_put_off();
            }
        }
        CLEARING.with(|clearing| clearing.borrow_mut().0 -= 1);
    }

    /// Counts one more; `None` on a thread whose locals are gone already.
    fn enter() -> Option<usize> {
        CLEARING
            .try_with(|clearing| {
                let depth = &mut clearing.borrow_mut().0;
                *depth += 1;
                *depth
            })
            .ok()
    }

    fn destroy_put_off() {
        while let Some(wreck) = CLEARING.with(|clearing| clearing.borrow_mut().1.pop()) {
            wreck.destroy();
        }
    }

    fn destroy(self) {
        let Self { group, members, reason, held } = self;
        context::dropping(&reason, || {
            for member in members {
                member.destroy(Doom::Cancelled);
            }
        });
        group.hand_over();
        drop(held);
    }
}
