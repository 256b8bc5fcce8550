//! Who goes on next, and what time it is.
//!
//! # Actors
//!
//! A *driver* polls the children of a group. A *seat* is a thread that blocks on a future, and polls it and the drivers. A
//! *job* is blocking work, on a thread of its own.
//!
//! # States of an actor
//!
//! *idle* (it waits for its waker) → *ready* → *running* → *idle*, or *woken* (running, and ready again afterwards), or
//! gone. A job is *ready* until it begins; it is *ready* again whenever it asked how things stand. A thread that
//! has the turn, and sleeps in something that the simulator knows nothing of, is set *aside*: the turn is free again.
//!
//! # The turn
//!
//! One thread at a time has the turn, and does what is to be done: it asks [`State::next`] who goes on, polls it where
//! it is a driver or its own seat, and hands the turn on where it is another's thread. All others wait at the condition
//! variable. So a program without threads of its own has one interleaving for each row of decisions.
//!
//! # Invariants
//!
//! 1. An actor is in `ready`, or in `asking`, exactly when its stage is *ready*. Who is taken from there runs next.
//! 2. A thread runs a task's code only while it has the turn; but for threads that were set aside.
//! 3. Time goes on only when nobody is ready: to the next timer, or, as long as something is at work outside, with the
//!    clock on the wall.
//! 4. Once `gone` is set, nothing is taken in any more, and nobody waits.
//!
//! # Lock order
//!
//! The lock of the state, then that of the [`Watch`]. Wakers and drivers are called and dropped after they were released.

use crate::choice::{Chooser, Source};
use crate::everywhere::Strike;
use crate::job::Thread;
use crate::watch::Watch;
use anyscope_core::{Driver, Job};
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// A number that no other actor or timer of the simulator has.
pub(crate) type Id = u64;

/// How much later it is, by the clock of the simulator, when a job has asked whether it is still wanted for the n-th
/// time in a row, and nothing else happened meanwhile: n times this.
const LOOK: Duration = Duration::from_micros(1);

/// How many polls in a row take no time. After that each takes a microsecond, so that a loop which waits for nothing but
/// the clock comes to its end; and from the millionth on another one for each thousand, so that it does before it counts
/// as a livelock.
const TIRELESS: u32 = 1_000;
const TIRED: u32 = 1_000_000;
const POLL: Duration = Duration::from_micros(1);

/// How many steps in a row without a timer are a livelock, unless it is set.
pub(crate) const STEPS: u64 = 10_000_000;

/// What all handles to a simulator share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told when the turn is free, or has gone to another thread.
    pub(crate) changed: Condvar,
    pub(crate) watch: Arc<Watch>,
    /// How many polls have begun and ended: odd while one is under way.
    pub(crate) polls: AtomicU64,
    pub(crate) settings: Settings,
}

/// How a simulator was asked to behave.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) source: Source,
    /// Whether something from outside may come at any time.
    pub(crate) open: bool,
    /// Whether what is left at the end of a run fails it.
    pub(crate) strict: bool,
    pub(crate) guard: Duration,
    /// How many steps in a row, without a timer that strikes, are a livelock.
    pub(crate) steps: u64,
}

impl Settings {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, open: false, strict: true, guard: Duration::from_secs(30), steps: STEPS }
    }
}

pub(crate) struct State {
    watch: Arc<Watch>,
    pub(crate) gone: bool,
    /// Why every run on this simulator fails.
    pub(crate) failure: Option<Arc<str>>,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) chooser: Chooser,
    pub(crate) actors: BTreeMap<Id, Actor>,
    /// The one that has been ready longest comes first.
    ready: VecDeque<Id>,
    /// The jobs that have asked whether they are still wanted, and when, by `progress`: there is nothing new to tell them
    /// before anything has happened.
    asking: VecDeque<(Id, u64)>,
    timers: BTreeMap<(Instant, Id), Waker>,
    /// Which seat or job has the turn.
    pub(crate) turn: Option<Id>,
    /// How often the turn was handed over.
    pub(crate) turns: u64,
    /// How often a thread was set aside.
    pub(crate) set_aside: u64,
    /// Whom the next one with the turn is to see to, chosen by the last one.
    chosen: Option<Id>,
    next_id: Id,
    /// How many threads were set aside, and how much else outside is at work.
    pub(crate) outside: usize,
    /// How often something from outside woke an actor.
    pub(crate) foreign_wakes: u64,
    /// How many times an actor was given its turn.
    pub(crate) steps: u64,
    /// At which of them a timer struck last.
    struck_at: u64,
    /// How many steps later there is a livelock.
    steps_allowed: u64,
    /// How late each of them was, where somebody wants to know.
    pub(crate) times: Option<Vec<Duration>>,
    /// What is to be done once so many were.
    pub(crate) strike: Option<(u64, Strike)>,
    /// How often anything happened but a job's asking.
    progress: u64,
    /// How many times in a row nothing else happened.
    looks: u32,
    /// How many polls there were since time last went on by itself.
    busy: u32,
    /// Up to when the time of the wall was counted, since nobody was ready any more.
    idle: Option<Instant>,
}

pub(crate) struct Actor {
    pub(crate) stage: Stage,
    pub(crate) kind: Kind,
    /// Whether its thread has the turn no more, though it goes on: it sleeps in something that the simulator knows nothing
    /// of.
    pub(crate) aside: bool,
    /// Whether its thread is in the program's code, and not in the simulator's.
    pub(crate) at_work: bool,
}

pub(crate) enum Kind {
    /// There while nobody polls it.
    Driver(Option<Driver>),
    Seat(Arc<Thread>),
    /// There until it begins, with what is known of its thread after that.
    Job(Option<Job>, Arc<Thread>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Idle,
    Ready,
    Running,
    Woken,
}

/// What happens next.
pub(crate) enum Next {
    /// This one goes on. Its stage is *running*.
    Actor(Id),
    /// Something is to be done before anybody goes on; those that it wakes go first. See [`State::struck`].
    Strike(Strike),
    /// Time has come for these.
    Fire(Vec<Waker>),
    /// Nobody can go on, and something outside is at work: until then, by the clock on the wall.
    Wait(Option<Duration>),
    /// Nobody can go on, ever.
    Deadlock,
    /// Somebody always goes on, and nothing comes of it.
    Livelock,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let start = Instant::now();
        let watch = Arc::new(Watch::new(start));
        Arc::new(Self {
            state: Mutex::new(State {
                watch: watch.clone(),
                gone: false,
                failure: None,
                start,
                now: start,
                chooser: Chooser::new(settings.source.clone()),
                actors: BTreeMap::new(),
                ready: VecDeque::new(),
                asking: VecDeque::new(),
                timers: BTreeMap::new(),
                turn: None,
                turns: 0,
                set_aside: 0,
                chosen: None,
                next_id: 0,
                outside: 0,
                foreign_wakes: 0,
                steps: 0,
                struck_at: 0,
                steps_allowed: settings.steps,
                times: None,
                strike: None,
                progress: 0,
                looks: 0,
                busy: 0,
                idle: None,
            }),
            changed: Condvar::new(),
            watch,
            polls: AtomicU64::new(0),
            settings,
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn waker(self: &Arc<Self>, id: Id) -> Waker {
        Waker::from(Arc::new(Bell { shared: self.clone(), id }))
    }

    /// Something outside begins to work, or is through.
    pub(crate) fn outside(&self, begins: bool) {
        {
            let mut state = self.lock();
            state.outside = if begins { state.outside + 1 } else { state.outside - 1 };
        }
        self.changed.notify_all();
    }

    /// Ends the runtime: drops what it was to poll, and wakes who waits for its timers.
    pub(crate) fn end(&self) {
        let (drivers, jobs, timers) = {
            let mut state = self.lock();
            state.gone = true;
            // Nobody is to conclude anything before what ends has ended.
            state.outside += 1;
            state.asking.clear();
            let mut drivers = Vec::new();
            let mut jobs = Vec::new();
            let mut going_on = 0;
            state.actors.retain(|_, actor| match &mut actor.kind {
                Kind::Driver(driver) => {
                    drivers.extend(driver.take());
                    false
                }
                Kind::Job(job, _) => {
                    let unrun = job.is_some();
                    jobs.extend(job.take());
                    if !unrun && actor.stage == Stage::Ready {
                        // Its thread asks no more, and goes on to its end.
                        (actor.stage, actor.aside) = (Stage::Running, true);
                        going_on += 1;
                    }
                    !unrun
                }
                Kind::Seat(_) => true,
            });
            state.outside += going_on;
            let State { ready, actors, .. } = &mut *state;
            ready.retain(|id| actors.get(id).is_some_and(|actor| actor.stage == Stage::Ready));
            let seats: Vec<_> = state.actors.keys().copied().collect();
            for seat in seats {
                state.wake(seat);
            }
            (drivers, jobs, mem::take(&mut state.timers))
        };
        self.changed.notify_all();
        drop((drivers, jobs));
        timers.into_values().for_each(Waker::wake);
        self.outside(false);
    }
}

impl State {
    pub(crate) fn id(&mut self) -> Id {
        self.next_id += 1;
        self.next_id
    }

    /// Takes in an actor that is ready.
    pub(crate) fn add(&mut self, kind: Kind) -> Id {
        let id = self.id();
        self.actors.insert(id, Actor { stage: Stage::Ready, kind, aside: false, at_work: false });
        self.ready.push_back(id);
        id
    }

    /// Takes an actor out. What is in it is the caller's to drop, after the lock.
    #[must_use]
    pub(crate) fn remove(&mut self, id: Id) -> Option<Actor> {
        self.back(id);
        let actor = self.actors.remove(&id)?;
        if actor.stage == Stage::Ready {
            self.ready.retain(|ready| *ready != id);
            self.asking.retain(|(asking, _)| *asking != id);
        }
        Some(actor)
    }

    /// Has an actor polled, now or again. Returns whether there is anything new to do.
    pub(crate) fn wake(&mut self, id: Id) -> bool {
        let Some(actor) = self.actors.get_mut(&id) else { return false };
        match actor.stage {
            Stage::Idle => {
                actor.stage = Stage::Ready;
                self.ready.push_back(id);
                true
            }
            Stage::Running => {
                actor.stage = Stage::Woken;
                false
            }
            Stage::Ready | Stage::Woken => false,
        }
    }

    /// The poll of an actor has returned, and it isn't through.
    pub(crate) fn settle(&mut self, id: Id) {
        let Some(actor) = self.actors.get_mut(&id) else { return };
        if mem::replace(&mut actor.stage, Stage::Idle) == Stage::Woken {
            self.wake(id);
        }
    }

    /// A job asks whether it is still wanted: it goes on when it is its turn again.
    pub(crate) fn look(&mut self, id: Id) {
        self.back(id);
        let Some(actor) = self.actors.get_mut(&id) else { return };
        actor.stage = Stage::Ready;
        self.asking.push_back((id, self.progress));
    }

    /// Takes an actor out of the queue that its caller runs at once.
    pub(crate) fn unqueue(&mut self, id: Id) {
        self.ready.retain(|ready| *ready != id);
        self.asking.retain(|(asking, _)| *asking != id);
        self.run(id);
    }

    /// The thread that has the turn sleeps in something else: the others go on without it.
    pub(crate) fn set_aside(&mut self, id: Id) {
        if let Some(actor) = self.actors.get_mut(&id) {
            actor.aside = true;
            self.outside += 1;
            self.set_aside += 1;
        }
        self.turn = None;
    }

    /// A thread is back that may have been set aside.
    pub(crate) fn back(&mut self, id: Id) {
        if let Some(actor) = self.actors.get_mut(&id).filter(|actor| actor.aside) {
            actor.aside = false;
            self.outside -= 1;
        }
    }

    pub(crate) fn set_timer(&mut self, at: Instant, id: Id, waker: Waker) -> Option<Waker> {
        self.timers.insert((at, id), waker)
    }

    pub(crate) fn move_timer(&mut self, from: Instant, to: Instant, id: Id) {
        if let Some(waker) = self.timers.remove(&(from, id)) {
            self.timers.insert((to, id), waker);
        }
    }

    pub(crate) fn clear_timer(&mut self, at: Instant, id: Id) -> Option<Waker> {
        self.timers.remove(&(at, id))
    }

    /// How many timers are pending.
    pub(crate) fn timers(&self) -> usize {
        self.timers.len()
    }

    /// The decision that all others follow from.
    pub(crate) fn next(&mut self, foreign: bool) -> Next {
        if let Some(id) = self.chosen.take().filter(|id| self.actors.contains_key(id)) {
            return Next::Actor(id);
        }
        if let Some((_, strike)) = self.strike.take_if(|(at, _)| *at <= self.steps) {
            return Next::Strike(strike);
        }
        if self.outside > 0 || foreign {
            // Whatever they wait for may be on its way.
            self.struck_at = self.steps;
        } else if self.steps - self.struck_at >= self.steps_allowed {
            return Next::Livelock;
        }
        while let Some((id, _)) = self.asking.front().filter(|(_, asked_at)| *asked_at != self.progress).copied() {
            self.asking.pop_front();
            self.ready.push_back(id);
        }
        if !self.ready.is_empty() {
            self.busy = self.busy.saturating_add(1);
            if self.busy > TIRELESS {
                self.set_now(self.now + POLL * (1 + self.busy.saturating_sub(TIRED) / 1_000));
                if let Some(at) = self.first_timer().filter(|at| *at <= self.now) {
                    return self.fire(at);
                }
            }
            let index = self.chooser.choose(self.ready.len());
            if let Some(id) = self.ready.remove(index) {
                self.happened();
                return self.run(id);
            }
        }
        if !self.asking.is_empty() && (self.outside > 0 || foreign) {
            self.pass();
            if let Some(at) = self.first_timer().filter(|at| *at <= self.now) {
                return self.jump(at);
            }
            if let Some((id, _)) = self.asking.pop_front() {
                return self.run(id);
            }
        }
        if !self.asking.is_empty() {
            // Time passes for somebody who does nothing but ask.
            self.looks = self.looks.saturating_add(1);
            let until = self.now + LOOK * self.looks;
            if self.first_timer().is_none_or(|at| at > until) {
                if let Some((id, _)) = self.asking.pop_front() {
                    self.set_now(until);
                    return self.run(id);
                }
            }
        }
        match self.first_timer() {
            Some(at) if (self.outside == 0 && !foreign) || at <= self.now => self.jump(at),
            Some(at) => Next::Wait(Some(at - self.now)),
            None if self.outside > 0 || foreign => Next::Wait(None),
            None => Next::Deadlock,
        }
    }

    fn run(&mut self, id: Id) -> Next {
        self.steps += 1;
        if let Some(times) = &mut self.times {
            times.push(self.now - self.start);
        }
        if let Some(actor) = self.actors.get_mut(&id) {
            actor.stage = Stage::Running;
        }
        Next::Actor(id)
    }

    /// How many are ready, to be handed to [`struck`](Self::struck).
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// What was to be done is done: whoever is ready since goes first.
    pub(crate) fn struck(&mut self, before: usize) {
        let woken = self.ready.len().saturating_sub(before);
        self.ready.rotate_right(woken);
    }

    /// Something happened that a job may be waiting for.
    pub(crate) fn happened(&mut self) {
        self.idle = None;
        self.progress += 1;
        self.looks = 0;
    }

    /// A failure has been told, or is about to be: what comes after is another run.
    pub(crate) fn fail(&mut self, report: Option<Arc<str>>) {
        self.failure = report;
        self.struck_at = self.steps;
    }

    /// Leaves what was chosen to the next one with the turn.
    pub(crate) fn leave(&mut self, id: Id) {
        self.chosen = Some(id);
    }

    /// It is `at`, or later: time goes on by itself.
    fn jump(&mut self, at: Instant) -> Next {
        self.set_now(self.now.max(at));
        self.busy = 0;
        self.fire(at)
    }

    /// Those who waited for `at`, in an order of chance.
    fn fire(&mut self, at: Instant) -> Next {
        self.happened();
        self.struck_at = self.steps;
        let mut due = self.take_due(at);
        self.chooser.shuffle(&mut due);
        Next::Fire(due)
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.watch.set_now(now);
    }

    /// Lets the time of the wall pass that nobody has counted yet, up to the next timer.
    pub(crate) fn pass(&mut self) {
        let wall = Instant::now();
        let until = self.now + self.idle.replace(wall).map_or(Duration::ZERO, |counted| wall - counted);
        self.set_now(self.now.max(self.first_timer().map_or(until, |first| until.min(first))));
    }

    /// Moves the clock, and hands out who waited for a time that has come.
    pub(crate) fn advance(&mut self, duration: Duration) -> Vec<Waker> {
        self.set_now(self.now.checked_add(duration).unwrap_or(self.now));
        self.happened();
        self.struck_at = self.steps;
        self.take_due(self.now)
    }

    /// The first job that could go on.
    fn ready_job(&self) -> Option<Id> {
        let could = |(id, actor): &(&Id, &Actor)| {
            matches!(actor.kind, Kind::Job(..)) && (actor.stage == Stage::Ready || self.chosen == Some(**id))
        };
        let queued = self.ready.iter().chain(self.asking.iter().map(|(id, _)| id));
        self.chosen
            .iter()
            .chain(queued)
            .filter_map(|id| Some((id, self.actors.get(id)?)))
            .find(could)
            .map(|(id, _)| *id)
    }

    pub(crate) fn has_ready_job(&self) -> bool {
        self.ready_job().is_some()
    }

    /// A job that could go on, whoever's turn it would be: it runs next.
    pub(crate) fn take_ready_job(&mut self) -> Option<Id> {
        let id = self.ready_job()?;
        if self.chosen.take_if(|chosen| *chosen == id).is_none() {
            self.unqueue(id);
        }
        Some(id)
    }

    /// Who waits for a time up to `at`, the earliest first.
    fn take_due(&mut self, at: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(timer) = self.timers.first_entry().filter(|timer| timer.key().0 <= at) {
            due.push(timer.remove());
        }
        due
    }

    fn first_timer(&self) -> Option<Instant> {
        self.timers.keys().next().map(|(at, _)| *at)
    }
}

/// What wakes an actor.
struct Bell {
    shared: Arc<Shared>,
    id: Id,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let part = crate::engine::part_in(&self.shared);
        let mut state = self.shared.lock();
        let inside = part.is_some_and(|part| state.turn == Some(part));
        if !inside {
            state.foreign_wakes += 1;
        }
        let woke = state.wake(self.id);
        drop(state);
        if woke && !inside {
            // The thread with the turn looks for itself what is ready.
            self.shared.changed.notify_all();
        }
    }
}
