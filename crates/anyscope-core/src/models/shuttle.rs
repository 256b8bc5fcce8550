//! How shuttle explores a scenario.

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::{Config, Runner};
use std::sync::PoisonError;
use std::time::Instant;

pub(crate) use shuttle::thread;

/// How many schedules of each kind, where `SHUTTLE_SCHEDULES` doesn't say.
const SCHEDULES: usize = 5_000;

/// How many threads change their priority within a schedule of PCT, and one more.
const DEPTH: usize = 3;

/// Runs a scenario with random schedules, and with as many of PCT.
///
/// A schedule that fails is printed, and run again alone with `SHUTTLE_REPLAY`.
#[allow(clippy::disallowed_methods, reason = "the time that a scenario takes is told to people")]
pub(crate) fn scenario(body: fn()) {
    if let Ok(schedule) = std::env::var("SHUTTLE_REPLAY") {
        Runner::new(ReplayScheduler::new_from_encoded(&schedule), config()).run(body);
        return;
    }
    let schedules = match std::env::var("SHUTTLE_SCHEDULES") {
        Ok(number) => number.parse().expect("SHUTTLE_SCHEDULES is a number"),
        Err(_) => SCHEDULES,
    };
    let begin = Instant::now();
    let random = Runner::new(RandomScheduler::new(schedules), config()).run(body);
    let pct = Runner::new(PctScheduler::new(DEPTH, schedules), config()).run(body);
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a scenario");
    println!("{name}: {random} random schedules and {pct} of PCT, {:.1} s", begin.elapsed().as_secs_f32());
}

fn config() -> Config {
    let mut config = Config::new();
    // Groups within groups, on the stack of one thread.
    config.stack_size = 256 * 1024;
    config
}

/// What one thread waits for and another gives: once for any number of notifications before it.
///
/// shuttle's own parking wakes up by itself now and then, which would hide a wake-up that is lost.
pub(crate) struct Notify {
    notified: Mutex<bool>,
    changed: Condvar,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self { notified: Mutex::new(false), changed: Condvar::new() }
    }

    pub(crate) fn notify(&self) {
        *self.lock() = true;
        self.changed.notify_one();
    }

    pub(crate) fn wait(&self) {
        let mut notified = self.lock();
        let is_early = *notified;
        while !*notified {
            notified = self.changed.wait(notified).unwrap_or_else(PoisonError::into_inner);
        }
        *notified = false;
        drop(notified);
        if is_early {
            // Who wakes itself gives way to others, whom PCT wouldn't let run.
            thread::yield_now();
        }
    }

    /// shuttle's threads are one thread to std, so that all of them seem to panic while one does.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.notified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
