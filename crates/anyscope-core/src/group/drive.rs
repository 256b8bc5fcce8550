//! Who polls the children: a few tasks of the runtime, which share a group's queue.
//!
//! A child costs the runtime nothing: it is queued, and a driver polls it. The first child that is ready starts
//! a driver; more are started while all are busy, up to the runtime's parallelism. A driver takes one child at a time,
//! so that one child which blocks its thread holds up none that are ready already, and gives way to the runtime after a number of
//! polls of its own, or when the runtime's budget for this poll is spent.

use super::core::GroupCore;
use super::state::Phase;
use crate::guard;
use crate::observe;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::task::halves::{Doom, Order, Ran, Work};
use crate::wait_queue::wake_all;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// How many children a driver polls before it lets the runtime's other tasks run.
const POLLS: usize = 32;

/// A future that polls the children of a group, handed to [`Runtime::spawn`].
///
/// It ends by itself with its group, or, where that has had one child only, with it. Dropping it earlier ends the children: it is what a runtime does that goes away.
#[must_use = "a driver that isn't run ends the children of its group"]
pub struct Driver {
    group: Arc<GroupCore>,
    id: usize,
    finished: bool,
}

impl Driver {
    pub(super) fn new(group: Arc<GroupCore>, id: usize) -> Self {
        Self { group, id, finished: false }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (mut polls, mut begins, mut back) = (0, true, None);
        loop {
            let more = polls < POLLS && (polls == 0 || !self.group.runtime().is_budget_spent());
            let mut next = self.group.step(self.id, mem::replace(&mut begins, false), back.take(), more);
            if matches!(next, Next::Nothing) {
                if !more {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                next = self.group.park(self.id, cx.waker());
            }
            match next {
                Next::Run(work, order) => {
                    polls += 1;
                    back = Some(work.run(order));
                }
                Next::Idle | Next::Nothing => return Poll::Pending,
                Next::Finish => {
                    self.finished = true;
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.finished {
            self.group.driver_dropped(self.id);
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a driver does next.
#[must_use]
pub(super) enum Next {
    Run(Work, Order),
    /// Nothing is ready; the driver's waker is kept.
    Idle,
    /// Nothing is ready, or nothing more was asked for.
    Nothing,
    /// Nothing more will come: the driver was counted off.
    Finish,
}

/// Who sees to it that the ready queue is worked off.
#[must_use]
pub(crate) enum WakeDriver {
    /// Those that run already.
    Nobody,
    /// One that waits for work.
    Idle(Waker),
    /// A new one.
    Start(usize),
}

impl WakeDriver {
    pub(crate) fn go(self, group: &Arc<GroupCore>) {
        match self {
            Self::Nobody => {}
            Self::Idle(waker) => waker.wake(),
            Self::Start(id) => group.runtime().spawn(Driver::new(group.clone(), id)),
        }
    }
}

impl GroupCore {
    /// One step of the driver `id`, under one lock: what it had is brought back, and it is told what to do next. `begins`
    /// where it is being polled anew, whatever it was woken by; `more` where it would take another child.
    pub(super) fn step(self: &Arc<Self>, id: usize, begins: bool, back: Option<Ran<Work>>, more: bool) -> Next {
        let (stale, spent);
        let early = self.asked_early();
        let mut state = self.state.lock();
        if begins {
            stale = state.forget_idle(id);
            if let Some(stale) = stale {
                drop(state);
                drop(stale);
                state = self.state.lock();
            }
        }
        match back {
            Some(Ran::Pending(work)) => {
                if let Some((work, doom)) = state.bring_back(work) {
                    return Next::Run(work, Order::End(doom));
                }
                if !state.watched {
                    drop(state);
                    self.watch();
                    state = self.state.lock();
                }
            }
            Some(Ran::Ended(ended)) => {
                // Dropped after the lock is released.
                spent = ended;
                if state.finish(self, spent.seat().key(), Some(spent.seat())) {
                    let ending = state.due(self, early);
                    drop(state);
                    observe::by_the_end_of(spent.seat().id(), self, || ending.go(self));
                    state = self.state.lock();
                }
            }
            None => {}
        }
        if !more {
            return Next::Nothing;
        }
        if self.takes_turns {
            drop(state);
            return self.pop_chosen();
        }
        // What was queued by a poll, and not by a wake, has woken nobody yet.
        if state.ready.len() > 1 && (state.drivers < self.max_drivers || !state.idle.is_empty()) {
            let wake = state.wake_driver(self.max_drivers);
            drop(state);
            wake.go(self);
            state = self.state.lock();
        }
        match state.pop(self.is_told()) {
            Some(work) => Next::Run(work, Order::Poll),
            None => {
                if state.lets_driver_go(self.is_stray()) {
                    Next::Finish
                } else {
                    Next::Nothing
                }
            }
        }
    }

    fn pop_chosen(&self) -> Next {
        let ready = self.state.lock().queued();
        // Asked without the lock. Where the queue has become shorter since, there is nothing to choose.
        let chosen = self.observer.as_ref().map_or(0, |observer| observer.choose(ready));
        let mut state = self.state.lock();
        if chosen < state.queued() {
            if let Some(key) = state.ready.remove(chosen) {
                state.ready.push_front(key);
            }
        }
        state.pop(self.is_told()).map_or(Next::Nothing, |work| Next::Run(work, Order::Poll))
    }

    /// What the driver `id` is to do that found nothing ready; its waker is kept where there still is nothing.
    fn park(&self, id: usize, waker: &Waker) -> Next {
        let kept = waker.clone();
        let (next, unused) = {
            let mut state = self.state.lock();
            let ready = if cfg!(bug_driver_parks_blindly) { None } else { state.pop(self.is_told()) };
            if let Some(work) = ready {
                (Next::Run(work, Order::Poll), Some(kept))
            } else if state.lets_driver_go(self.is_stray()) {
                (Next::Finish, Some(kept))
            } else {
                state.idle.push((id, kept));
                (Next::Idle, None)
            }
        };
        drop(unused);
        next
    }

    /// A driver was dropped before the group's end: nobody polls the children any more.
    fn driver_dropped(self: &Arc<Self>, id: usize) {
        let (members, owner, stale) = {
            let mut state = self.state.lock();
            state.drivers -= 1;
            let stale = state.forget_idle(id);
            if state.phase == Phase::Ended {
                (Vec::new(), None, stale)
            } else {
                state.runtime_gone = true;
                if let Some(rare) = &mut state.rare {
                    rare.waiting.clear();
                }
                state.ready.clear();
                let members = state.members.iter_mut();
                let condemned: Vec<_> = members
                    .filter_map(|(key, entry)| {
                        let id = entry.id?;
                        entry.condemn(Doom::RuntimeGone).then_some((key, id))
                    })
                    .collect();
                (condemned, state.owner.take(), stale)
            }
        };
        guard::drop_quietly(stale);
        for (key, id) in members {
            if let Some(work) = self.take_condemned(key, id) {
                self.end_member(work, Doom::RuntimeGone);
            }
        }
        self.settle();
        wake_all(owner);
    }
}
