//! What is written down of a task, or of the body of a run, once somebody has asked for it: polls, waits, shields, times.
//!
//! Each has its notes behind a lock of its own, a leaf: it is held for a few moves, and nothing is called under it. Whoever
//! polls writes; whoever draws a tree reads. Only what is [recorded](super::record) pays for any of it.

use crate::observe::Wait;
use crate::sync::Arc;
use std::fmt;
use std::mem;
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
    /// What it came to wait for in the last poll in which it did, and since when.
    waits: Vec<(Wait, Instant)>,
    /// Whether there was a poll since in which it came to wait for nothing that is known.
    is_stale: bool,
    /// When the budgets of the shields that are up end, the outermost first; never, where `None`.
    shields: Vec<Option<Instant>>,
}

/// What the notes say.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) age: Duration,
    pub(super) from_birth: bool,
    pub(super) polls: u64,
    pub(super) polled_for: Option<Duration>,
    pub(super) longest: Duration,
    pub(super) waits: Vec<(Wait, Duration)>,
    pub(super) is_stale: bool,
    pub(super) shield_until: Option<Option<Instant>>,
}

impl Notes {
    pub(crate) fn new(now: Instant, from_birth: bool) -> Arc<Self> {
        let page = Page {
            polls: 0,
            polled_since: None,
            longest: Duration::ZERO,
            waits: Vec::new(),
            is_stale: false,
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
        page.is_stale = true;
    }

    /// It has returned.
    pub(crate) fn returned(&self, now: Instant) {
        let mut page = self.page();
        if let Some(since) = page.polled_since.take() {
            page.longest = page.longest.max(now.saturating_duration_since(since));
        }
    }

    /// The poll under way comes to wait for something.
    pub(crate) fn waits(&self, now: Instant, on: Wait) {
        let mut page = self.page();
        let before = if mem::take(&mut page.is_stale) { mem::take(&mut page.waits) } else { Vec::new() };
        if page.waits.iter().all(|(known, _)| *known != on) {
            let since = before.iter().find(|(known, _)| *known == on).map_or(now, |(_, since)| *since);
            page.waits.push((on, since));
        }
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
        Reading {
            age: since(self.began),
            from_birth: self.from_birth,
            polls: page.polls,
            polled_for,
            longest: page.longest.max(polled_for.unwrap_or_default()),
            waits: page.waits.iter().map(|(wait, then)| (*wait, since(*then))).collect(),
            is_stale: page.is_stale,
            shield_until: page.shields.first().copied(),
        }
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").finish_non_exhaustive()
    }
}
