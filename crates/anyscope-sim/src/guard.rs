//! The guard by the clock on the wall: names the task whose poll doesn't return, and lets a job go on that a sleeping
//! thread holds up.
//!
//! One thread for all simulators of the process, started by the first run. It reads a counter of each, which is odd while
//! a poll is under way; so watching costs a poll two additions. A task that blocks its thread, on what a job has to do
//! first, would wait for ever where no other thread is there to give the job its turn: the guard does after two rounds.

use crate::engine::{self, Stall};
use crate::scheduler::Shared;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often the guard looks.
const ROUND: Duration = Duration::from_millis(100);

static WATCHED: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

/// Has a simulator watched, until this is dropped.
pub(crate) fn watch(shared: &Arc<Shared>) -> Watching {
    STARTED.call_once(|| {
        // Without the thread there is no guard, and everything else works.
        let _ = thread::Builder::new().name("anyscope-sim guard".into()).spawn(go_round);
    });
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(shared));
    Watching(Arc::downgrade(shared))
}

pub(crate) struct Watching(Weak<Shared>);

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = watched.iter().position(|other| other.ptr_eq(&self.0)) {
            watched.swap_remove(index);
        }
    }
}

/// A poll that was seen, and since when.
struct Seen {
    shared: Weak<Shared>,
    poll: u64,
    since: Instant,
    told: bool,
    stall: Option<Stall>,
}

fn go_round() {
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        thread::sleep(ROUND);
        let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Each seat has its simulator watched, and a stall has to last from one round to the next.
        watched.sort_by_key(|simulator| simulator.as_ptr().addr());
        watched.dedup_by(|one, other| one.ptr_eq(other));
        seen.retain(|seen| watched.iter().any(|other| other.ptr_eq(&seen.shared)));
        for simulator in watched {
            let Some(shared) = simulator.upgrade() else { continue };
            // Ordering: Relaxed; it is compared with what it was some time ago.
            let poll = shared.polls.load(Ordering::Relaxed);
            let index = seen.iter().position(|seen| seen.shared.ptr_eq(&simulator));
            let known = match index {
                Some(index) => &mut seen[index],
                None => {
                    seen.push(Seen { shared: simulator, poll, since: Instant::now(), told: false, stall: None });
                    continue;
                }
            };
            let stall = engine::stalled(&shared);
            if let Some(stall) = stall.as_ref().filter(|stall| known.stall.as_ref() == Some(stall)) {
                engine::release(&shared, stall);
            }
            known.stall = stall;
            if known.poll != poll {
                (known.poll, known.since, known.told) = (poll, Instant::now(), false);
            } else if poll % 2 == 1 && !known.told && known.since.elapsed() >= shared.settings.guard {
                known.told = true;
                let table = shared.watch.table();
                let task = table.current.map_or("the body of the run".to_owned(), |task| table.task(task));
                eprintln!("anyscope-sim: a poll of {task} hasn't returned for {:?}", shared.settings.guard);
            }
        }
    }
}
