//! Tasks that belong to nobody: for a runtime's own API to be built on, and not for programs.
//!
//! What is detached has nothing of what surrounds whoever detaches it, but for the runtime: no group, scope, deadline or
//! task-local. Nobody waits for its end, and its panic is nobody's but the handle's. A program that wants to know when its
//! work has ended opens a [`task_group`](crate::task_group).
//!
//! Inside of a [`run`](crate::run) it ends with that at the latest: when the body has ended, and everything that groups had
//! to leave running, idle tasks are destroyed, and the run waits for a poll or a job that is under way. Outside of any, it
//! is a task of the runtime's own, and ends with that.

use crate::cancel::tree::Node;
use crate::context::{self, Frame};
use crate::group::core::{GroupCore, Kind, Surroundings};
use crate::group::orphan::Adopted;
use crate::group::state::Role;
use crate::guard;
use crate::runtime::{Job, Runtime};
use crate::sync::Arc;
use crate::task::cell::{self, Place, Step};
use crate::task::seat::{Birth, Seat};
use crate::task::{Task, TaskRef};
use std::future::Future;
use std::panic::Location;

/// Starts a task that belongs to nobody. It never runs inside this call.
///
/// Its [`outcome`](Task::outcome) tells of a panic, which goes nowhere else. Where the run around has come to its end, the
/// future is dropped unpolled.
///
/// # Panics
///
/// Outside of any runtime.
///
/// # Examples
///
/// ```
/// use anyscope::{Current, sleep};
/// use anyscope_core::detached;
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let task = detached::spawn::<Current, _>(async { 1 });
///     detached::spawn::<Current, _>(async {
///         sleep(Duration::from_secs(3600)).await; // nobody waits for this
///     });
///     assert_eq!(task.outcome().await.completed(), Some(1));
/// });
/// ```
#[track_caller]
pub fn spawn<R: Runtime, F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let location = Location::caller();
    let group = strangers::<R>(location);
    let birth = Birth::detached(TaskRef::new(None, location));
    // One that has been ended refuses it, which ends it.
    let place = Place::In(&group, Role::Child);
    Task::new(cell::spawn(place, birth, future, |value, _: &Seat| Step::Value(value)))
}

/// Starts a closure that blocks on the runtime's pool, and belongs to nobody.
///
/// It is begun at once, or when the pool has a thread: no [`Limiter`](crate::Limiter) holds it back, and whoever starts it
/// needn't be polled. A panic goes nowhere. Where the run around has come to its end, the closure is dropped uncalled, as it
/// is where the runtime goes away before there is a thread.
///
/// # Panics
///
/// Outside of any runtime. Where the system refuses the pool a thread.
///
/// # Examples
///
/// ```
/// use anyscope::Current;
/// use anyscope_core::detached;
/// use std::sync::mpsc;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let (done, result) = mpsc::channel();
///     detached::spawn_blocking::<Current>(move || done.send(42).unwrap());
///     assert_eq!(result.recv(), Ok(42));
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<R: Runtime>(f: impl FnOnce() + Send + 'static) {
    /// In this order: a closure's captures go before it counts as ended.
    struct Detached<F> {
        f: F,
        adopted: Adopted,
    }

    let group = strangers::<R>(Location::caller());
    if group.is_closed() {
        return;
    }
    let detached = Detached { f, adopted: group.adopt() };
    let frame = Frame {
        root: true,
        scope: Some(Node::below(Some(&group.children))),
        group: Some(group.clone()),
        job: true,
        ..Frame::default()
    };
    group.runtime().spawn_blocking(Job::new(move || {
        let Detached { f, adopted } = detached;
        let frame = Some(frame);
        if let Err(payload) = context::within(&frame, || guard::catch(f)) {
            guard::forget(payload);
        }
        drop(frame);
        drop(adopted);
    }));
}

/// Where a task of nobody's is a member: in the run around, by itself where there is none.
fn strangers<R: Runtime>(location: &'static Location<'static>) -> Arc<GroupCore> {
    let mut around = context::group();
    while let Some(parent) = around.as_ref().and_then(|group| group.parent.clone()) {
        around = Some(parent);
    }
    match around {
        Some(run) if run.kind == Kind::Run && R::from_dyn(run.runtime()).is_some() => run.strangers(location),
        _ => {
            let runtime = context::locate_dyn::<R>(location);
            GroupCore::new(Kind::Detached, runtime, Surroundings::default(), usize::MAX, None, location)
        }
    }
}
