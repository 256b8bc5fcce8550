//! A thread that has the turn, as seen by the others: whether it works, or sleeps in something that the simulator knows
//! nothing of.

use std::cell::OnceCell;
use std::fs;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How often a thread that has the turn is looked at by those who wait for it.
pub(crate) const GLANCE: Duration = Duration::from_micros(500);

/// How many times in a row a thread has to be found asleep.
const GLANCES: u32 = 3;

/// How many times in all: a thread that works for so long, and gives nobody a turn, may well wait for somebody.
const ALL_GLANCES: u32 = 20_000;

/// How many times, where the system doesn't tell.
const BLIND_GLANCES: u32 = 2_000;

thread_local! {
    /// Where the system tells about this thread; `None` where it doesn't.
    static STATUS: OnceCell<Option<Arc<str>>> = const { OnceCell::new() };
}

/// What is known of a thread that may have the turn.
#[derive(Debug, Default)]
pub(crate) struct Thread {
    /// Unset before the thread has begun.
    status: OnceLock<Option<Arc<str>>>,
}

impl Thread {
    /// What is known of the calling thread.
    pub(crate) fn current() -> Arc<Self> {
        let thread = Self::default();
        thread.begin();
        Arc::new(thread)
    }

    /// The calling thread is the one.
    pub(crate) fn begin(&self) {
        let find = || {
            let link = fs::read_link("/proc/thread-self").ok()?;
            Some(format!("/proc/{}/stat", link.display()).into())
        };
        let status = STATUS.try_with(|status| status.get_or_init(find).clone()).ok().flatten();
        let _ = self.status.set(status);
    }

    /// Whether it is known to be asleep; `None` where the system doesn't tell.
    pub(crate) fn is_asleep(&self) -> Option<bool> {
        let Some(status) = self.status.get() else { return Some(false) };
        let text = fs::read_to_string(&**status.as_ref()?).ok()?;
        // The state comes after the name, which is in brackets and may hold any.
        let state = text.rsplit_once(") ")?.1.chars().next()?;
        Some(state == 'S')
    }
}

/// Counts the glances at one thread.
#[derive(Debug, Default)]
pub(crate) struct Glances {
    asleep: u32,
    blind: u32,
    all: u32,
}

impl Glances {
    /// Looks once more. Returns whether the others are to go on without it.
    pub(crate) fn glance(&mut self, thread: &Thread) -> bool {
        self.all += 1;
        match thread.is_asleep() {
            Some(true) => self.asleep += 1,
            Some(false) => self.asleep = 0,
            None => self.blind += 1,
        }
        self.asleep >= GLANCES || self.blind >= BLIND_GLANCES || self.all >= ALL_GLANCES
    }
}
