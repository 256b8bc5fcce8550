//! Ending a group in two phases: its children are asked to stop, and cancelled when their time is up.
//!
//! Each group has a node for it, below that of the group around, in a tree like that of cancellation: a request reaches
//! every group inside. The nodes are made when somebody first asks.

use super::core::GroupCore;
use super::state::Role;
use crate::cancel::reason::{Reason, ReasonKind};
use crate::cancel::tree::Node;
use crate::context;
use crate::coop;
use crate::observe::{self, Wait};
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::task::TaskRef;
use crate::task::cell::{Step, spawn_detached};
use crate::task::seat::Birth;
use crate::time::sleep;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

impl GroupCore {
    /// Where those wait who are to learn of a shutdown of this group or of any around.
    fn stop(self: &Arc<Self>) -> Arc<Node> {
        let mut without = Vec::new();
        let mut above = None;
        let mut next = Some(self);
        while let Some(group) = next {
            above = group.stop.lock().clone();
            if above.is_some() {
                break;
            }
            without.push(group);
            next = group.parent.as_ref();
        }
        let mut stop = above;
        for group in without.into_iter().rev() {
            let made = Node::below(stop.as_ref());
            let (kept, unused) = {
                let mut slot = group.stop.lock();
                match &*slot {
                    // Somebody else was faster.
                    Some(kept) => (kept.clone(), Some(made)),
                    None => {
                        *slot = Some(made.clone());
                        (made, None)
                    }
                }
            };
            drop(unused);
            stop = Some(kept);
        }
        stop.unwrap_or_else(Node::root)
    }
}

/// Starts the shutdown of a group.
pub(super) fn shutdown<R: Runtime>(
    group: &Arc<GroupCore>,
    grace: Duration,
    location: &'static Location<'static>,
) -> Shutdown {
    group.stop().cancel(&Reason::new(ReasonKind::Shutdown, None, location));
    let end = {
        let group = Arc::downgrade(group);
        move || {
            let Some(group) = group.upgrade() else { return };
            group.note_stragglers();
            let message = Some(format!("the grace of {grace:?} is over").into());
            group.children.cancel(&Reason::new(ReasonKind::Shutdown, message, location));
            group.settle();
        }
    };
    if grace.is_zero() {
        end();
    } else if let Some(place) = group.reserve(Role::Service) {
        // A service, so that the group doesn't wait for it: it ends with the last user.
        let task = TaskRef::new(Some("shutdown".into()), location);
        drop(spawn_detached(place, Birth::under(Node::root(), group, task), async move {
            sleep::<R>(grace).await;
            end();
            Step::Value(())
        }));
    }
    let own = context::task_id().is_some_and(|task| group.state.lock().has_child(task));
    Shutdown { group: group.clone(), own: usize::from(own), key: None, over: false }
}

/// Waits until every child has ended. Made by [`TaskGroup::shutdown`](crate::TaskGroup::shutdown).
///
/// The shutdown goes on whether this is awaited or not.
pub struct Shutdown {
    group: Arc<GroupCore>,
    /// Whether it is a child itself that asked, which isn't waited for.
    own: usize,
    key: Option<usize>,
    over: bool,
}

/// How the shutdown of a group went: who had to be cancelled.
#[derive(Clone, Debug)]
pub struct Stragglers(Vec<TaskRef>);

impl Stragglers {
    /// Returns whether every child stopped by itself in time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many had to be cancelled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the tasks that had to be cancelled, with their names and where they were spawned.
    pub fn iter(&self) -> std::slice::Iter<'_, TaskRef> {
        self.0.iter()
    }
}

impl IntoIterator for Stragglers {
    type Item = TaskRef;
    type IntoIter = std::vec::IntoIter<TaskRef>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Stragglers {
    type Item = &'a TaskRef;
    type IntoIter = std::slice::Iter<'a, TaskRef>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Stragglers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            [] => f.write_str("every task stopped in time"),
            tasks => {
                write!(f, "{} cancelled after the grace", count(tasks.len()))?;
                tasks.iter().try_for_each(|task| write!(f, "\n  {task}"))
            }
        }
    }
}

fn count(tasks: usize) -> String {
    if tasks == 1 { "1 task was".to_owned() } else { format!("{tasks} tasks were") }
}

impl Future for Shutdown {
    type Output = Stragglers;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Stragglers> {
        let this = &mut *self;
        assert!(!this.over, "a shutdown was polled after it had ended");
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut state = this.group.state.lock();
            if state.children > this.own {
                // Where it was notified, another child came since.
                (Poll::Pending, (state.rare().quiet.wait(&mut this.key, waker), None))
            } else {
                this.over = true;
                let rare = state.rare.as_mut();
                let (stragglers, unused) =
                    rare.map(|rare| (rare.stragglers.clone(), rare.quiet.leave(&mut this.key))).unwrap_or_default();
                (Poll::Ready(Stragglers(stragglers)), (Some(waker), unused))
            }
        };
        drop(unused);
        if poll.is_pending() {
            observe::waits(|| Wait::Members(this.group.id));
        }
        poll
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        if self.key.is_some() {
            let unused = self.group.state.lock().rare().quiet.leave(&mut self.key);
            drop(unused);
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").finish_non_exhaustive()
    }
}

/// Waits until a group around the caller is asked to stop, by its [`shutdown`](crate::TaskGroup::shutdown) or that of one
/// further out.
///
/// For work that goes on until it is told: it finishes what it has in hand and ends, before its grace is over and it is
/// cancelled. Outside of any group it waits for ever.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// use anyscope::{race, sleep, stopping, task_group};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     g.task("worker").spawn(async {
///         let mut rounds = 0;
///         while !anyscope::is_stopping() {
///             race((sleep(Duration::from_millis(1)), stopping())).await;
///             rounds += 1;
///         }
///         assert!(rounds > 0);
///     });
///     g.task("stubborn").spawn(std::future::pending::<()>());
///     sleep(Duration::from_millis(5)).await;
///     let stragglers = g.shutdown(Duration::from_millis(20)).await;
///     let names: Vec<_> = stragglers.iter().map(|task| task.name()).collect();
///     assert_eq!(names, [Some("stubborn")]);
/// }));
/// ```
pub fn stopping() -> Stopping {
    Stopping { stop: None, key: None }
}

/// Returns whether a group around the caller was asked to stop.
#[must_use]
pub fn is_stopping() -> bool {
    context::group().is_some_and(|group| group.stop().is_cancelled())
}

/// Waits until a group around is asked to stop. Made by [`stopping`].
#[must_use = "futures do nothing unless awaited"]
pub struct Stopping {
    stop: Option<Arc<Node>>,
    key: Option<usize>,
}

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.stop.is_none() {
            this.stop = context::group().map(|group| group.stop());
        }
        observe::waits(|| Wait::Signal("a shutdown of its group"));
        let Some(stop) = &this.stop else { return Poll::Pending };
        if stop.poll_cancelled(&mut this.key, cx).is_pending() {
            return Poll::Pending;
        }
        coop::poll_proceed(cx)
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.leave(&mut self.key);
        }
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping").finish_non_exhaustive()
    }
}

#[cfg(all(test, anyscope_loom))]
mod loom;
