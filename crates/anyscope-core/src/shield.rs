//! [`shield`]: work that nothing outside may interrupt, for a while.
//!
//! # States
//!
//! *up*, from the first poll; then *down*, when the budget is spent, for the rest of its life; then ended. While it is up
//! it counts in every frame around (see `context.rs`), and whoever owns one of them doesn't drop what it polls.
//!
//! # Invariants
//!
//! 1. What is inside has a scope of its own, with nothing above it: a request from outside doesn't reach it while the
//!    shield is up. Once it is down, what reaches the scope around is passed on.
//! 2. A shield that ends while something outside is pending marks the frames around, and the next one begun there gives
//!    way first: two shields in a row are not one.

use crate::cancel::tree::Node;
use crate::context::{self, Deadline, Deferral, Frame, FrameSlot, Shielded};
use crate::observe;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::time::{Alarm, Due};
use crate::tree::notes::Notes;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Runs a future that no cancellation and no deadline from outside interrupts until it ends, or `budget` is spent.
///
/// For clean-up. Whatever around it is cancelled or out of time in the meantime waits for it, and strikes when it ends;
/// after the budget it strikes at once. The budget counts from the first poll, and is no timeout: where nothing is
/// pending outside, the future goes on unshielded.
///
/// A shield protects the scopes around it in the same task, and nothing else: neither siblings nor parents. Inside,
/// nothing seems cancelled; groups, timeouts and tokens that are opened inside work as ever, and
/// [`remaining`](crate::remaining) tells how long it will be left alone at least, where anything around has a deadline.
///
/// Whoever drops a future drops a shield in it: a `select!`, and a [`race`](crate::race()) its losers. A child of a group
/// can't be dropped like that: it goes on behind its shield, and the group around waits for it.
///
/// # Panics
///
/// At the first poll, outside of any runtime, where it doesn't end in that poll.
///
/// # Cancel safety
///
/// As safe as the future that it runs.
///
/// # Examples
///
/// ```
/// use anyscope::{shield, sleep, timeout};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let mut saved = false;
///     let work = async {
///         shield(Duration::from_secs(5), async {
///             sleep(Duration::from_millis(20)).await;
///             saved = true;
///         })
///         .await;
///         sleep(Duration::from_secs(60)).await;
///     };
///     assert!(timeout(Duration::from_millis(1), work).await.is_err());
///     assert!(saved);
/// });
/// ```
#[track_caller]
pub fn shield<R: Runtime, F: Future>(budget: Duration, future: F) -> Shield<F, R> {
    Shield {
        future: Some(future),
        budget: Due::After(budget),
        alarm: Alarm::new(Location::caller()),
        inside: None,
        deferral: Deferral::new(),
    }
}

pin_project! {
    /// A future behind a shield. Made by [`shield`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Shield<F, R: Runtime> {
        #[pin]
        future: Option<F>,
        budget: Due,
        #[pin]
        alarm: Alarm<R>,
        inside: Option<Inside>,
        deferral: Deferral,
    }
}

struct Inside {
    frame: FrameSlot,
    scope: Arc<Node>,
    /// `None` once it is down.
    up: Option<Shielded>,
    /// Where it is written down that it is up, until when.
    noted: Option<(Arc<Notes>, Option<Instant>)>,
}

impl Inside {
    fn new(end: Option<Instant>) -> Self {
        let scope = Node::root();
        let frame = Some(Frame { scope: Some(scope.clone()), ..Frame::default() });
        let noted = if observe::is_recording() { context::notes() } else { None };
        let noted = noted.map(|(notes, _)| (notes, end));
        if let Some((notes, end)) = &noted {
            notes.shield_up(*end);
        }
        Self { frame, scope, up: Some(Shielded::new()), noted }
    }

    /// What is inside is interrupted then at the earliest, should anything around want to; `end` is that of the budget.
    fn deadline(&self, end: Option<Instant>) -> Option<Instant> {
        let around = context::deadline();
        if self.up.is_none() {
            around
        } else if context::is_cancelled() {
            end
        } else {
            around.zip(end).map(|(around, end)| around.max(end))
        }
    }
}

impl Inside {
    fn take_down(&mut self) {
        self.up = None;
        if let Some((notes, end)) = self.noted.take() {
            notes.shield_down(end);
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.take_down();
    }
}

impl<F, R: Runtime> Shield<F, R> {
    /// Takes it down, for one who goes on with it elsewhere: those around it here don't wait for it any more.
    pub(crate) fn take_down(self: Pin<&mut Self>) {
        if let Some(inside) = self.project().inside {
            inside.take_down();
        }
    }
}

impl<F: Future, R: Runtime> Future for Shield<F, R> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        assert!(this.future.is_some(), "a shielded future was polled after it had ended");
        if this.inside.is_none() && this.deferral.defers_next_shield::<R>(cx) {
            return Poll::Pending;
        }
        let end = this.budget.fix::<R>(this.alarm.location());
        let inside = this.inside.get_or_insert_with(|| Inside::new(end));
        let deadline = inside.deadline(end);
        if let Some(frame) = &mut inside.frame {
            frame.deadline = Deadline::Exactly(deadline);
        }
        let polled = context::poll_within(&inside.frame, this.future, cx);
        if polled.is_ready() {
            if let Some(up) = inside.up.take() {
                up.end::<R>();
            }
            return polled;
        }
        let spent = end.is_some_and(|end| inside.up.is_some() && this.alarm.as_mut().poll(end, cx).is_ready());
        if spent {
            // It stays written down: what is behind it hasn't ended, and is over its budget.
            inside.up = None;
        }
        if inside.up.is_none() {
            // Whoever owns the scope around is about to drop this; until then, what is inside can know.
            if let Some(reason) = context::reason() {
                inside.scope.cancel(&reason);
            }
        }
        Poll::Pending
    }
}

impl<F, R: Runtime> fmt::Debug for Shield<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up = self.inside.as_ref().is_none_or(|inside| inside.up.is_some());
        f.debug_struct("Shield").field("up", &up).finish_non_exhaustive()
    }
}
