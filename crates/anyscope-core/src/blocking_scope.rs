//! [`blocking_scope`]: children that borrow and run in parallel, while the calling thread waits.
//!
//! Borrowed work can't be handed to a runtime without unsafe code, as a runtime's tasks own what they use. So the children
//! are polled by threads that live as long as the call (`std::thread::scope`), each inside of the runtime's own context. Where
//! threads take turns, the calling thread polls them instead, after the body.
//!
//! # States of a child
//!
//! *queued* → *polling* → *idle* → *queued* ..; a wake during a poll turns *polling* into *woken*, which queues the child
//! again after the poll. A child that has ended leaves its place.
//!
//! # Invariants
//!
//! 1. Whoever turned a child's stage into *polling* has taken its future out of its place, and brings it back before the
//!    stage changes again. So no two poll it.
//! 2. A queued child stands in `ready` once.
//! 3. While `ready` isn't empty, a worker is awake, or was woken for each child in it.
//! 4. The call returns when the body has returned and no child is left.
//!
//! # Lock order
//!
//! The list's lock and the places' lock are leaves.

use crate::cancel::CancelToken;
use crate::cancel::reason::ReasonKind;
use crate::context::{self, Frame};
use crate::guard::{self, Payload};
use crate::observe::{self, Observer};
use crate::runtime::Runtime;
use crate::scope::{self, Boxed, ScopedTask};
use crate::sync::{Arc, Mutex};
use slab::Slab;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{self, Location};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// Opens a scope whose children may borrow and run in parallel, and blocks the calling thread until all have ended.
///
/// The children are futures, polled by threads of the call's own, as many as the runtime polls tasks on, and inside of
/// the runtime's context: timers, blocking jobs and the rest of this crate work in them. The calling thread does nothing
/// but run `body` and wait: from async code, call it inside of [`unblock`](crate::unblock). On a runtime that makes progress
/// only while this very thread polls it, as tokio's current-thread one does inside of its own tasks, a child that waits for
/// a timer or for another task hangs **for ever**. On the simulator, where one thread runs at a time, the children run on the
/// calling thread, once `body` has returned: a body that waits for one of them waits for ever.
///
/// Children have the deadline, the task-locals and the scope of the caller: where that is cancelled, or past its deadline,
/// they are dropped. The handles of children may leave the scope with the body's value, and be awaited after it.
///
/// # Panics
///
/// With a panic of the body or of a child, after all have ended: such a panic cancels the other children. Outside of any
/// runtime. Where the system has no thread for the children.
///
/// # Examples
///
/// ```
/// use anyscope::blocking_scope;
///
/// let mut halves = [vec![3, 1, 2], vec![6, 5, 4]];
/// let [left, right] = &mut halves;
/// anyscope::set_default(anyscope::smol::Smol::new());
/// blocking_scope(|s| {
///     s.spawn(async { left.sort() });
///     s.spawn(async { right.sort() });
/// });
/// assert_eq!(halves, [[1, 2, 3], [4, 5, 6]]);
/// ```
#[track_caller]
pub fn blocking_scope<'env, R, F, T>(body: F) -> T
where
    R: Runtime,
    F: FnOnce(&BlockingScope<'env, R>) -> T,
{
    let runtime = context::locate_dyn::<R>(Location::caller());
    let list = Arc::new(List {
        state: Mutex::new(State { stages: Slab::new(), ready: VecDeque::new(), idle: Vec::new(), closing: false }),
    });
    let mut children = CancelToken::new();
    if let Some(at) = context::deadline() {
        // A timeout around can't drop the children, as this call blocks whoever would poll it.
        children = children.with_deadline(at);
    }
    let scope = BlockingScope {
        shared: Arc::new(Shared {
            list: list.clone(),
            places: Mutex::new(Vec::new()),
            panic: Mutex::new(None),
            observer: observe::observer_of(&runtime.clone().into_dyn()),
        }),
        children,
    };
    let around = Frame { runtime: Some(runtime.clone()), ..Frame::around() };
    // Where threads take turns, the calling one is the only worker, once the body has returned.
    let takes_turns = scope.shared.observer.as_ref().is_some_and(|observer| observer.takes_turns());
    let ended = {
        let workers = if takes_turns { 0 } else { runtime.parallelism().max(1) };
        #[allow(clippy::disallowed_methods, reason = "threads of the call's own: see the top of this file")]
        thread::scope(|threads| {
            for id in 0..workers {
                let (runtime, scope, around) = (&runtime, &scope, &around);
                let worker = thread::Builder::new().spawn_scoped(threads, move || {
                    runtime.block_on(poll_fn(|cx| scope.poll_work(id, around, cx)));
                });
                match worker {
                    Ok(_) => {}
                    Err(error) if id == 0 => panic!("no thread for the children of a blocking scope: {error}"),
                    // Subtle: a panic would wait for ever, for the workers that there are.
                    Err(_) => break,
                }
            }
            let ended = guard::catch(|| body(&scope));
            if ended.is_err() {
                scope.children.cancel_as(ReasonKind::Parent, "the body of the blocking scope panicked");
            }
            let idle = {
                let mut state = list.state.lock();
                state.closing = true;
                state.ended()
            };
            idle.into_iter().for_each(Waker::wake);
            if takes_turns {
                runtime.block_on(poll_fn(|cx| scope.poll_work(0, &around, cx)));
            }
            ended
        })
    };
    let panic = scope.shared.panic.lock().take();
    match ended {
        Err(payload) => {
            if let Some(second) = panic {
                guard::forget(second);
            }
            panic::resume_unwind(payload)
        }
        Ok(output) => {
            if let Some(payload) = panic {
                guard::drop_quietly(output);
                panic::resume_unwind(payload);
            }
            output
        }
    }
}

/// How many children a worker polls before it lets the runtime do its own work on the thread.
const POLLS: usize = 32;

/// Spawns into a blocking scope. Given to the closure of [`blocking_scope`]; a clone is a handle on the same scope.
pub struct BlockingScope<'env, R> {
    shared: Arc<Shared<'env>>,
    children: CancelToken<R>,
}

struct Shared<'env> {
    list: Arc<List>,
    /// The children that aren't being polled, by their keys.
    places: Mutex<Vec<Option<Place<'env>>>>,
    /// The first panic of a child.
    panic: Mutex<Option<Payload>>,
    /// Chooses which child is polled next.
    observer: Option<Arc<dyn Observer>>,
}

struct Place<'env> {
    future: Boxed<'env>,
    waker: Waker,
}

/// Which children are ready; the part that wakers know of.
struct List {
    state: Mutex<State>,
}

struct State {
    stages: Slab<Stage>,
    ready: VecDeque<usize>,
    /// Workers that wait for something to do.
    idle: Vec<(usize, Waker)>,
    closing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Queued,
    Polling,
    Woken,
}

impl State {
    fn is_over(&self) -> bool {
        self.closing && self.stages.is_empty()
    }

    /// Queues a child, and hands out a worker to wake for it.
    fn queue(&mut self, key: usize) -> Option<Waker> {
        self.stages[key] = Stage::Queued;
        self.ready.push_back(key);
        self.idle.pop().map(|(_, worker)| worker)
    }

    /// The workers that are to go home, at the end.
    fn ended(&mut self) -> Vec<Waker> {
        if self.is_over() {
            mem::take(&mut self.idle).into_iter().map(|(_, worker)| worker).collect()
        } else {
            Vec::new()
        }
    }
}

/// A child's waker. One that comes late may wake whoever has the place now, for nothing.
struct Entry {
    list: Arc<List>,
    key: usize,
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let worker = {
            let mut state = self.list.state.lock();
            match state.stages.get(self.key) {
                Some(Stage::Idle) => state.queue(self.key),
                Some(Stage::Polling) => {
                    state.stages[self.key] = Stage::Woken;
                    None
                }
                Some(Stage::Queued | Stage::Woken) | None => None,
            }
        };
        if let Some(worker) = worker {
            worker.wake();
        }
    }
}

impl<'env, R: Runtime> BlockingScope<'env, R> {
    /// Starts a child, which may borrow what outlives the scope.
    ///
    /// After the scope has ended, the future is dropped unpolled: outcome [`Cancelled`](crate::Outcome::Cancelled).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> ScopedTask<F::Output, R>
    where
        F: Future + Send + 'env,
        F::Output: Send + 'env,
    {
        let (child, handle) = scope::child(&self.children, Location::caller(), future);
        let Shared { list, places, .. } = &*self.shared;
        let key = {
            let mut state = list.state.lock();
            // Nobody polls it before it has its place.
            if state.is_over() { None } else { Some(state.stages.insert(Stage::Polling)) }
        };
        if let Some(key) = key {
            let place = Place { future: child, waker: Waker::from(Arc::new(Entry { list: list.clone(), key })) };
            {
                let mut places = places.lock();
                if places.len() <= key {
                    places.resize_with(key + 1, || None);
                }
                places[key] = Some(place);
            }
            let worker = list.state.lock().queue(key);
            if let Some(worker) = worker {
                worker.wake();
            }
        }
        handle
    }

    /// Cancels the children, present and future. The body runs on to its result.
    #[track_caller]
    pub fn cancel(&self) {
        self.children.cancel();
    }

    /// Cancels the children, with a message for the [`Reason`](crate::Reason).
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) {
        self.children.cancel_with(message);
    }

    /// What one worker does. `around` is what is around the calling thread.
    fn poll_work(&self, id: usize, around: &Frame, cx: &mut Context<'_>) -> Poll<()> {
        let Shared { list, places, .. } = &*self.shared;
        for _ in 0..POLLS {
            let waker = cx.waker().clone();
            let chosen = self.shared.observer.as_ref().map_or(0, |observer| {
                let ready = list.state.lock().ready.len();
                observer.choose(ready)
            });
            let (next, unused) = {
                let mut state = list.state.lock();
                let stale = state.idle.iter().position(|(idle, _)| *idle == id);
                let stale = stale.map(|index| state.idle.swap_remove(index));
                // Another worker may have been here meanwhile.
                let chosen = chosen.min(state.ready.len().saturating_sub(1));
                if let Some(key) = state.ready.remove(chosen) {
                    state.stages[key] = Stage::Polling;
                    (Poll::Ready(Some(key)), (Some(waker), stale))
                } else if state.is_over() {
                    (Poll::Ready(None), (Some(waker), stale))
                } else {
                    state.idle.push((id, waker));
                    (Poll::Pending, (None, stale))
                }
            };
            drop(unused);
            let key = match next {
                Poll::Ready(Some(key)) => key,
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            };
            let place = places.lock()[key].take();
            if let Some(place) = place {
                self.poll_child(key, place, around);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_child(&self, key: usize, mut place: Place<'env>, around: &Frame) {
        let Shared { list, places, panic, .. } = &*self.shared;
        let frame = Some(around.clone());
        let Place { future, waker } = &mut place;
        let polled = context::within(&frame, || guard::catch(|| future.as_mut().poll(&mut Context::from_waker(waker))));
        let payload = match polled {
            Ok(Poll::Pending) => {
                places.lock()[key] = Some(place);
                let worker = {
                    let mut state = list.state.lock();
                    if state.stages[key] == Stage::Woken {
                        state.queue(key)
                    } else {
                        state.stages[key] = Stage::Idle;
                        None
                    }
                };
                if let Some(worker) = worker {
                    worker.wake();
                }
                return;
            }
            Ok(Poll::Ready(())) => None,
            Err(payload) => Some(payload),
        };
        let dropped = context::within(&frame, || guard::drop_caught(place));
        for payload in payload.into_iter().chain(dropped) {
            let unwanted = {
                let mut first = panic.lock();
                if first.is_none() { first.replace(payload) } else { Some(payload) }
            };
            if let Some(unwanted) = unwanted {
                guard::forget(unwanted);
            }
            self.children.cancel_as(ReasonKind::SiblingFailed, "a child of the blocking scope panicked");
        }
        let workers = {
            let mut state = list.state.lock();
            state.stages.remove(key);
            state.ended()
        };
        workers.into_iter().for_each(Waker::wake);
    }
}

impl<R> Clone for BlockingScope<'_, R> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), children: self.children.clone() }
    }
}

impl<R> fmt::Debug for BlockingScope<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingScope").finish_non_exhaustive()
    }
}
