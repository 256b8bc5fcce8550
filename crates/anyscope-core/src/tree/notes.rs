//! What is written down of a task, or of the body of a run, once somebody has asked for it: polls, waits, shields, times.
//!
//! Each has its notes behind a lock of its own, a leaf: it is held for a few moves, and nothing is called under it. Whoever
//! polls writes; whoever draws a tree reads. Only what is [recorded](super::record) pays for any of it.

use crate::observe::Wait;
use crate::sync::Arc;
use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct Notes {
    began: Instant,
    /// Whether that is when it was spawned; else it is when the notes were begun.
    from_birth: bool,
    page: Mutex<Page>,
}

/// The part that changes.
struct Page {
    polls: u64,
    /// Since when the poll under way is, if there is one.
    polled_since: Option<Instant>,
    longest: Duration,
    /// In which poll it came to wait for something last.
    waited: u64,
    /// What it waits for: by itself, and in each of the futures that it polls each when it is ready.
    lanes: HashMap<Lane, Waits>,
    /// When the budgets of the shields that are up end, the outermost first; never, where `None`.
    shields: Vec<Option<Instant>>,
}

/// A future of a gather, a race or a scope, by its place; none is the task itself.
///
/// A task is polled as a whole, and so waits for nothing but what it came to wait for in its last poll. These aren't: what one
/// waits for stands until it is polled again, or gone.
pub(crate) type Lane = Option<NonZeroUsize>;

/// What was come to wait for in one poll, and since when.
struct Waits {
    poll: u64,
    list: Vec<(Wait, Instant)>,
}

/// How many waits are kept of a poll, and how many are told of a task.
const KEPT: usize = 32;

/// What the notes say.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) age: Duration,
    pub(super) from_birth: bool,
    pub(super) polls: u64,
    pub(super) polled_for: Option<Duration>,
    pub(super) longest: Duration,
    pub(super) now: Instant,
    pub(super) waits: Vec<(Wait, Duration)>,
    /// How many more there are.
    pub(super) more_waits: usize,
    pub(super) is_stale: bool,
    pub(super) shield_until: Option<Option<Instant>>,
}

impl Notes {
    pub(crate) fn new(now: Instant, from_birth: bool) -> Arc<Self> {
        let page = Page {
            polls: 0,
            polled_since: None,
            longest: Duration::ZERO,
            waited: 0,
            lanes: HashMap::new(),
            shields: Vec::new(),
        };
        Arc::new(Self { began: now, from_birth, page: Mutex::new(page) })
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A poll begins.
    pub(crate) fn polled(&self, now: Instant) {
        let mut page = self.page();
        page.polls += 1;
        page.polled_since = Some(now);
    }

    /// It has returned.
    pub(crate) fn returned(&self, now: Instant) {
        let mut page = self.page();
        if let Some(since) = page.polled_since.take() {
            page.longest = page.longest.max(now.saturating_duration_since(since));
        }
    }

    /// The poll under way comes to wait for something, in a lane.
    pub(crate) fn waits(&self, now: Instant, lane: Lane, on: Wait) {
        let mut page = self.page();
        let polls = page.polls;
        page.waited = polls;
        let waits = page.lanes.entry(lane).or_insert_with(|| Waits { poll: polls, list: Vec::new() });
        let mut before = Vec::new();
        if mem::replace(&mut waits.poll, polls) != polls {
            before = mem::take(&mut waits.list);
        }
        if waits.list.len() < KEPT && waits.list.iter().all(|(known, _)| *known != on) {
            let since = before.iter().find(|(known, _)| *known == on).map_or(now, |(_, since)| *since);
            waits.list.push((on, since));
        }
    }

    /// A lane is no more.
    pub(crate) fn left(&self, lane: NonZeroUsize) {
        self.page().lanes.remove(&Some(lane));
    }

    /// A shield goes up, whose budget ends then.
    pub(crate) fn shield_up(&self, until: Option<Instant>) {
        self.page().shields.push(until);
    }

    /// The shield comes down that went up with that budget.
    pub(crate) fn shield_down(&self, until: Option<Instant>) {
        let mut page = self.page();
        if let Some(index) = page.shields.iter().rposition(|shield| *shield == until) {
            page.shields.remove(index);
        }
    }

    pub(super) fn read(&self, now: Instant) -> Reading {
        let page = self.page();
        let since = |then: Instant| now.saturating_duration_since(then);
        let polled_for = page.polled_since.map(since);
        // What the task itself came to wait for earlier, it has had.
        let holds = |lane: &Lane, waits: &Waits| lane.is_some() || waits.poll == page.waited;
        let lanes = page.lanes.iter().filter(|(lane, waits)| holds(lane, waits));
        let mut waits: Vec<_> = lanes.flat_map(|(_, waits)| &waits.list).copied().collect();
        // The longest first; of the same age, in an order that is the same each time.
        waits.sort_by_cached_key(|(wait, then)| (*then, format!("{wait:?}")));
        let is_alone = page.lanes.keys().all(Option::is_none);
        Reading {
            age: since(self.began),
            from_birth: self.from_birth,
            polls: page.polls,
            polled_for,
            longest: page.longest.max(polled_for.unwrap_or_default()),
            now,
            more_waits: waits.len().saturating_sub(KEPT),
            waits: waits.into_iter().take(KEPT).map(|(wait, then)| (wait, since(then))).collect(),
            is_stale: is_alone && page.waited != page.polls,
            shield_until: page.shields.first().copied(),
        }
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").finish_non_exhaustive()
    }
}
