//! The threads: those that block on a future, and those of blocking jobs. Who of them has the turn does what
//! [`State::next`] says.

use crate::job::{GLANCE, Glances, Thread};
use crate::report;
use crate::scheduler::{Actor, Id, Kind, Next, Shared, Stage, State};
use crate::{Sim, guard, quiet};
use anyscope_core::{Driver, Job};
use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How long something from outside is waited for, where nothing else can happen any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a thread waits at a time where nothing tells it to go on.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How many polls are granted to what is left at the end of a run, to end as well.
const LAST_POLLS: usize = 10_000;

thread_local! {
    /// The simulators around this thread, the innermost last, and as which seat or job.
    static AROUND: RefCell<Vec<(Sim, Id)>> = const { RefCell::new(Vec::new()) };
}

/// The simulator around the calling thread.
pub(crate) fn around() -> Option<Sim> {
    AROUND.try_with(|around| around.borrow().last().map(|(sim, _)| sim.clone())).ok().flatten()
}

/// As whom the calling thread takes part in a simulator.
pub(crate) fn part_in(shared: &Shared) -> Option<Id> {
    let part = |around: &RefCell<Vec<(Sim, Id)>>| {
        let around = around.borrow();
        around.iter().rev().find(|(sim, _)| ptr::eq(&*sim.shared, shared)).map(|(_, id)| *id)
    };
    AROUND.try_with(part).ok().flatten()
}

/// Whether a seat is the calling thread's own, further out: it can be polled when those inside of it are through.
fn is_below(shared: &Shared, id: Id) -> bool {
    AROUND.with_borrow(|around| around.iter().any(|(sim, part)| ptr::eq(&*sim.shared, shared) && *part == id))
}

/// Tells whoever waits that there is something new, unless the caller has the turn: then it looks for itself.
pub(crate) fn tell_idle(shared: &Shared) {
    let has_the_turn = part_in(shared).is_some_and(|id| shared.lock().turn == Some(id));
    if !has_the_turn {
        shared.changed.notify_all();
    }
}

/// Puts a simulator around the calling thread, until it is dropped.
struct Around;

impl Around {
    fn enter(shared: &Arc<Shared>, id: Id) -> Self {
        AROUND.with_borrow_mut(|around| around.push((Sim::inside(shared), id)));
        Self
    }
}

impl Drop for Around {
    fn drop(&mut self) {
        let left = AROUND.with_borrow_mut(Vec::pop);
        drop(left);
    }
}

/// What a thread that blocks does when it has the turn.
enum Act {
    PollSelf,
    Drive(Id, Driver),
    /// Nobody can go on, ever.
    Idle,
    /// Somebody always goes on, and nothing comes of it.
    Busy,
    Fail(Arc<str>),
}

/// Blocks the calling thread until the future has ended, and runs whatever is to run meanwhile.
pub(crate) fn block_on<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let was_aside = come_back(shared);
    let output = block(shared, future);
    if was_aside {
        // The job that had been set aside is one of those who have their turns again.
        look(shared);
    }
    output
}

/// A job that was set aside is back in the simulator. Returns whether the caller is one.
fn come_back(shared: &Arc<Shared>) -> bool {
    let Some(part) = part_in(shared) else { return false };
    let mut state = shared.lock();
    let is_aside = state.actors.get(&part).is_some_and(|actor| actor.aside && matches!(actor.kind, Kind::Job(..)));
    if is_aside {
        state.back(part);
    }
    is_aside
}

fn block<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let mut seat = Seat::take(shared);
    let _guard = guard::watch(shared);
    let waker = shared.waker(seat.id);
    let mut future = pin!(future);
    loop {
        match seat.next() {
            Act::PollSelf => {
                shared.watch.body_polled();
                let polled = counted(shared, || future.as_mut().poll(&mut Context::from_waker(&waker)));
                match polled {
                    Poll::Ready(output) => {
                        seat.end_of_run();
                        return output;
                    }
                    Poll::Pending => shared.lock().settle(seat.id),
                }
            }
            Act::Drive(id, driver) => drive(shared, id, driver),
            Act::Idle => seat.fail(report::deadlock),
            Act::Busy => seat.fail(report::livelock),
            Act::Fail(report) => panic!("{report}"),
        }
    }
}

/// Runs what is there, without a future to wait for, until nobody can go on.
pub(crate) fn run_until_idle(shared: &Arc<Shared>) {
    let mut seat = Seat::take(shared);
    let _guard = guard::watch(shared);
    loop {
        match seat.next() {
            Act::PollSelf => shared.lock().settle(seat.id),
            Act::Drive(id, driver) => drive(shared, id, driver),
            Act::Idle | Act::Busy | Act::Fail(_) => return,
        }
    }
}

fn drive(shared: &Arc<Shared>, id: Id, mut driver: Driver) {
    let waker = shared.waker(id);
    let polled = counted(shared, || Pin::new(&mut driver).poll(&mut Context::from_waker(&waker)));
    let left = {
        let mut state = shared.lock();
        match (polled, state.actors.get_mut(&id).map(|actor| &mut actor.kind)) {
            (Poll::Pending, Some(Kind::Driver(place))) => {
                *place = Some(driver);
                state.settle(id);
                (None, None)
            }
            // It has ended, or the runtime has.
            _ => (Some(driver), state.remove(id)),
        }
    };
    drop(left);
}

/// Polls something, and lets the guard see that it does.
fn counted<T>(shared: &Shared, poll: impl FnOnce() -> T) -> T {
    struct End<'a>(&'a Shared, u64);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            // Ordering: Relaxed; the guard looks twice, seconds apart.
            self.0.polls.fetch_add(self.1, Ordering::Relaxed);
        }
    }

    // A poll within another, of a run in a task, leaves the number odd.
    // Ordering: Relaxed; as above, and only who has the turn counts.
    let step = 1 + shared.polls.load(Ordering::Relaxed) % 2;
    shared.polls.fetch_add(step, Ordering::Relaxed);
    let _end = End(shared, step);
    poll()
}

/// A thread that blocks on a future.
struct Seat {
    shared: Arc<Shared>,
    id: Id,
    /// Who of this thread had the turn before.
    outer: Option<Id>,
    _around: Around,
}

impl Seat {
    fn take(shared: &Arc<Shared>) -> Self {
        let part = part_in(shared);
        let thread = Thread::current();
        let mut state = shared.lock();
        let id = state.add(Kind::Seat(thread));
        let outer = part.filter(|part| state.turn == Some(*part));
        if outer.is_some() {
            state.turn = Some(id);
        }
        drop(state);
        shared.changed.notify_all();
        Self { shared: shared.clone(), id, outer, _around: Around::enter(shared, id) }
    }

    /// Waits for the turn, and finds out what to do with it.
    fn next(&mut self) -> Act {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        state.back(self.id);
        state.at_work(self.id, false);
        let mut glances = (0, Glances::default());
        let mut waited = None;
        loop {
            if let Some(report) = &state.failure {
                return Act::Fail(report.clone());
            }
            match state.turn {
                Some(turn) if turn == self.id => {}
                Some(turn) => {
                    state = await_turn(&shared, state, turn, &mut glances);
                    continue;
                }
                None => state.turn = Some(self.id),
            }
            if state.actors.get(&self.id).is_some_and(|seat| seat.stage == Stage::Running) {
                state.at_work(self.id, true);
                return Act::PollSelf;
            }
            let next = state.next(shared.settings.open);
            if !matches!(next, Next::Wait(_)) {
                waited = None;
            }
            match next {
                Next::Actor(id) if id == self.id => {
                    state.at_work(id, true);
                    return Act::PollSelf;
                }
                Next::Actor(id) => match state.actors.get_mut(&id).map(|actor| &mut actor.kind) {
                    Some(Kind::Driver(driver)) => {
                        if let Some(driver) = driver.take() {
                            state.at_work(self.id, true);
                            return Act::Drive(id, driver);
                        }
                    }
                    // It stays running, and polls itself then.
                    Some(Kind::Seat(_)) if is_below(&shared, id) => {}
                    Some(Kind::Seat(_)) => {
                        state.hand_to(id);
                        shared.changed.notify_all();
                    }
                    Some(Kind::Job(..)) => {
                        let begins = state.hand_to_job(id);
                        shared.changed.notify_all();
                        if let Some((job, thread)) = begins {
                            drop(state);
                            begin_job(&shared, id, job, thread);
                            state = shared.lock();
                        }
                    }
                    None => {}
                },
                Next::Strike(strike) => {
                    let before = state.ready();
                    drop(state);
                    strike();
                    state = shared.lock();
                    state.struck(before);
                }
                Next::Fire(wakers) => {
                    drop(state);
                    wakers.into_iter().for_each(Waker::wake);
                    state = shared.lock();
                }
                Next::Wait(limit) => {
                    let began = Instant::now();
                    let since = *waited.get_or_insert(began);
                    // A thread that is known to be at something will be through with it some day.
                    let is_aside = state.actors.values().any(|actor| actor.aside);
                    let patience = if is_aside { Duration::MAX } else { PATIENCE };
                    let limit = limit.unwrap_or(patience.saturating_sub(began - since));
                    if limit.is_zero() {
                        return Act::Idle;
                    }
                    // Whoever comes meanwhile may take it.
                    state.turn = None;
                    state.pass();
                    let limit = limit.min(HEARTBEAT);
                    state = shared.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0;
                    state.pass();
                }
                Next::Deadlock => return Act::Idle,
                Next::Livelock => return Act::Busy,
            }
        }
    }

    /// Nothing comes of it any more: this and every other run on the simulator fails.
    fn fail(&self, report: fn(&Shared, &State) -> String) {
        let mut state = self.shared.lock();
        let report = report(&self.shared, &state);
        state.fail(Some(report.into()));
        drop(state);
        self.shared.changed.notify_all();
    }

    /// The future has ended: so has everything that it began, or the run fails.
    fn end_of_run(&mut self) {
        let shared = self.shared.clone();
        if self.outer.is_some() || thread::panicking() {
            return;
        }
        for _ in 0..LAST_POLLS {
            let mut state = shared.lock();
            let Some((id, driver)) = (state.seats() == 1).then(|| state.take_ready_driver()).flatten() else { break };
            drop(state);
            drive(&shared, id, driver);
        }
        if shared.settings.strict {
            let state = shared.lock();
            if let Some(report) = (state.seats() == 1).then(|| report::leftovers(&shared, &state)).flatten() {
                drop(state);
                panic!("{report}");
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let left = {
            let mut state = self.shared.lock();
            if state.turn == Some(self.id) {
                state.turn = self.outer;
            }
            // What is around it on this thread has the turn no more than it had.
            let aside = state.actors.get(&self.id).is_some_and(|seat| seat.aside);
            if let Some(outer) = self.outer.filter(|_| aside) {
                if let Some(actor) = state.actors.get_mut(&outer).filter(|outer| !outer.aside) {
                    actor.aside = true;
                    state.outside += 1;
                }
            }
            let left = state.remove(self.id);
            // A failure has been told to whoever is there; the next run begins anew.
            if state.seats() == 0 {
                state.fail(None);
            }
            left
        };
        drop(left);
        self.shared.changed.notify_all();
    }
}

/// Waits while another has the turn. Where that sleeps in something else, the turn is free again.
fn await_turn<'a>(
    shared: &'a Shared,
    mut state: MutexGuard<'a, State>,
    turn: Id,
    (watched, glances): &mut (u64, Glances),
) -> MutexGuard<'a, State> {
    let thread = match state.actors.get(&turn).map(|actor| &actor.kind) {
        Some(Kind::Job(_, thread) | Kind::Seat(thread)) => thread.clone(),
        _ => return shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
    };
    let turns = state.turns;
    if *watched != turns {
        (*watched, *glances) = (turns, Glances::default());
    }
    let (held, wait) = shared.changed.wait_timeout(state, GLANCE).unwrap_or_else(PoisonError::into_inner);
    state = held;
    let is_at_work = |state: &State| {
        state.turn == Some(turn) && state.turns == turns && state.actors.get(&turn).is_some_and(|actor| actor.at_work)
    };
    if wait.timed_out() && is_at_work(&state) {
        // Without the lock: a thread that waits for it would seem to be asleep.
        drop(state);
        let is_asleep = glances.glance(&thread);
        state = shared.lock();
        if is_asleep && is_at_work(&state) {
            state.set_aside(turn);
        }
    }
    state
}

/// Who could go on, while nobody takes the turn or its thread sleeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stall {
    turn: Option<Id>,
    turns: u64,
    steps: u64,
}

/// Whether a job is held up: it could go on, but the thread that has the turn sleeps in something that the simulator
/// knows nothing of, and no other thread is there to see it.
pub(crate) fn stalled(shared: &Shared) -> Option<Stall> {
    let (stall, thread) = {
        let state = shared.lock();
        if !state.has_ready_job() {
            return None;
        }
        let turn = state.turn.and_then(|turn| state.actors.get(&turn));
        let thread = match turn.map(|actor| (&actor.kind, actor.at_work)) {
            Some((Kind::Seat(thread) | Kind::Job(_, thread), true)) => Some(thread.clone()),
            Some(_) => return None,
            None => None,
        };
        (state.stall(), thread)
    };
    // Without the lock: a thread that waits for it would seem to be asleep.
    let is_asleep = thread.is_none_or(|thread| thread.is_asleep() == Some(true));
    is_asleep.then_some(stall)
}

/// Lets a job go on that has been held up for a while: it may have what the sleeping thread waits for.
pub(crate) fn release(shared: &Arc<Shared>, stall: &Stall) {
    let begins = {
        let mut state = shared.lock();
        if state.stall() != *stall || state.gone {
            return;
        }
        match stall.turn {
            Some(turn) => state.set_aside(turn),
            // Somebody who is to take it may only be slow.
            None => state.set_aside += 1,
        }
        let Some(id) = state.take_ready_job() else { return };
        state.hand_to_job(id).map(|(job, thread)| (id, job, thread))
    };
    shared.changed.notify_all();
    if let Some((id, job, thread)) = begins {
        begin_job(shared, id, job, thread);
    }
}

/// Starts a job on a thread of its own. It has the turn.
fn begin_job(shared: &Arc<Shared>, id: Id, job: Job, thread: Arc<Thread>) {
    let (inner, quiet) = (shared.clone(), quiet::is_quiet());
    let spawned = thread::Builder::new().name("anyscope-sim job".into()).spawn(move || {
        thread.begin();
        inner.lock().at_work(id, true);
        let _quiet = quiet.then(quiet::hush);
        let _end = EndOfJob { shared: inner.clone(), id };
        let _around = Around::enter(&inner, id);
        job.run();
    });
    if spawned.is_err() {
        // The closure was dropped, and with it the job, which told its caller.
        let left = {
            let mut state = shared.lock();
            state.turn = None;
            state.remove(id)
        };
        drop(left);
    }
}

struct EndOfJob {
    shared: Arc<Shared>,
    id: Id,
}

impl Drop for EndOfJob {
    fn drop(&mut self) {
        let left = {
            let mut state = self.shared.lock();
            if state.turn == Some(self.id) {
                state.turn = None;
            }
            state.remove(self.id)
        };
        drop(left);
        self.shared.changed.notify_all();
    }
}

/// A blocking job asks whether it is still wanted: the others have their turn first.
pub(crate) fn look(shared: &Arc<Shared>) {
    let Some(id) = part_in(shared) else { return };
    let mut state = shared.lock();
    let is_job = matches!(state.actors.get(&id).map(|actor| &actor.kind), Some(Kind::Job(..)));
    if !is_job || state.gone || state.failure.is_some() {
        return;
    }
    let was_outside = state.turn != Some(id);
    state.at_work(id, false);
    state.look(id);
    if was_outside {
        shared.changed.notify_all();
    } else {
        state.turn = None;
    }
    loop {
        if state.gone || state.failure.is_some() {
            return;
        }
        match state.turn {
            Some(turn) if turn == id => {
                state.at_work(id, true);
                return;
            }
            None if !was_outside => {
                // Often nobody else is there to go on, and this thread needn't even stop.
                match state.next(false) {
                    Next::Actor(next) if next == id => {
                        state.hand_to(id);
                        state.at_work(id, true);
                        return;
                    }
                    Next::Actor(next) => {
                        state.leave(next);
                        shared.changed.notify_all();
                    }
                    Next::Fire(wakers) => {
                        state.turn = Some(id);
                        drop(state);
                        wakers.into_iter().for_each(Waker::wake);
                        state = shared.lock();
                        if state.turn == Some(id) {
                            state.turn = None;
                        }
                        continue;
                    }
                    Next::Strike(strike) => {
                        // Done by a thread that blocks.
                        state.strike = Some((0, strike));
                        shared.changed.notify_all();
                    }
                    Next::Wait(_) | Next::Deadlock | Next::Livelock => shared.changed.notify_all(),
                }
            }
            _ => {}
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

impl State {
    /// The thread of an actor is in the program's code from now on, or in the simulator's.
    fn at_work(&mut self, id: Id, at_work: bool) {
        if let Some(actor) = self.actors.get_mut(&id) {
            actor.at_work = at_work;
        }
    }

    /// How many threads block on a future.
    fn seats(&self) -> usize {
        self.actors.values().filter(|actor| matches!(actor.kind, Kind::Seat(_))).count()
    }

    fn hand_to(&mut self, id: Id) {
        self.turn = Some(id);
        self.turns += 1;
    }

    /// Hands the turn to a job, and hands it out with its thread where it is to begin.
    fn hand_to_job(&mut self, id: Id) -> Option<(Job, Arc<Thread>)> {
        self.hand_to(id);
        match self.actors.get_mut(&id).map(|actor| &mut actor.kind) {
            Some(Kind::Job(job, thread)) => job.take().map(|job| (job, thread.clone())),
            _ => None,
        }
    }

    /// How things stand, where nobody goes on.
    fn stall(&self) -> Stall {
        Stall { turn: self.turn, turns: self.turns, steps: self.steps }
    }

    /// A driver that is ready, whoever's turn it would be.
    fn take_ready_driver(&mut self) -> Option<(Id, Driver)> {
        let ready = |actor: &mut Actor| match &mut actor.kind {
            Kind::Driver(driver) if actor.stage == Stage::Ready => driver.take(),
            _ => None,
        };
        let (id, driver) = self.actors.iter_mut().find_map(|(id, actor)| Some((*id, ready(actor)?)))?;
        self.unqueue(id);
        Some((id, driver))
    }
}
