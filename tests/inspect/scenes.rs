//! What lives while the browser looks.

use crate::MALICE;
use anyscope::{CancelToken, DropGuard, GroupHandle, Semaphore, TaskGroup, shield, sleep, task_group, unblock};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A dozen tasks: what waits, what holds, what is cancelled, what is stuck. Dropping it lets go of those that block or are shielded.
pub(crate) struct Small {
    handle: GroupHandle,
    ends: Mutex<HashMap<&'static str, CancelToken>>,
    _blocked: [Sender<()>; 2],
    _shielded: DropGuard,
}

impl Small {
    pub(crate) fn open(g: &TaskGroup) -> Self {
        g.task("ticker").spawn_service(async {
            loop {
                sleep(5 * SECOND).await;
            }
        });
        g.task(MALICE).spawn(sleep(HOUR));
        let connections = Arc::new(Semaphore::new(1));
        let held = connections.clone();
        g.task("holder").spawn(async move {
            let _connection = held.acquire().await;
            task_group(async |g| {
                g.task("query").spawn(sleep(HOUR));
                g.task("cache").spawn(sleep(HOUR));
            })
            .await;
        });
        g.task("waiter").spawn(async move {
            // After the holder, whichever thread is first.
            while connections.statistics().borrowed == 0 {
                sleep(SECOND / 100).await;
            }
            drop(connections.acquire().await);
        });
        let end = CancelToken::new();
        let shielded = end.clone().drop_guard();
        let charge = async move { end.cancelled().await };
        let order = g.task("order 1").spawn(async { _ = shield(HOUR, charge).await });
        g.task("customer").spawn(async move {
            sleep(SECOND / 10).await;
            order.cancel_with("the client left");
            order.outcome().await;
        });
        let (busy, stuck) = blocked();
        let (digest, job) = blocked();
        g.task("busy").spawn(async move { stuck() });
        g.task("digest").spawn(async move { unblock(job).await });
        Self { handle: g.handle(), ends: Mutex::default(), _blocked: [busy, digest], _shielded: shielded }
    }

    /// One more, until [`end`](Self::end).
    pub(crate) fn spawn(&self, name: &'static str) {
        let end = CancelToken::new();
        self.ends.lock().unwrap().insert(name, end.clone());
        let waits = async move { end.cancelled().await };
        drop(self.handle.task(name).spawn(waits));
    }

    pub(crate) fn end(&self, name: &str) {
        self.ends.lock().unwrap().remove(name).expect("it was spawned").cancel();
    }
}

/// What blocks a thread until the other end is dropped.
fn blocked() -> (Sender<()>, impl FnOnce() + Send + 'static) {
    let (sender, receiver): (_, Receiver<()>) = channel();
    (sender, move || _ = receiver.recv())
}

/// Ten tasks in each of a thousand requests; one in ten of them goes and comes.
pub(crate) fn large(g: &TaskGroup) {
    for number in 0..1000_u32 {
        g.task(format!("request {number}")).spawn(async move {
            let parts = TaskGroup::builder().name(format!("parts of {number}"));
            parts
                .run(async |g| {
                    for part in 1..9 {
                        g.task(format!("part {part} of {number}")).spawn(sleep(HOUR + part * SECOND));
                    }
                    loop {
                        g.task(format!("part 0 of {number}")).spawn(sleep(SECOND * (1 + number % 10))).await;
                    }
                })
                .await
        });
    }
}
