//! What is destroyed when, and by whom; and which of two ends is told.

use anyscope::{Start, Started, channel, drained, race, sleep, task_group, timeout};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Runs a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A group that is dropped destroys its idle children one after the other. One that was started for another is destroyed
/// by that one's destructor, and had been taken away from it before its turn.
#[anyscope::test]
async fn a_child_goes_with_the_one_that_it_is_started_for_when_their_group_is_dropped() {
    let flags: [Arc<AtomicBool>; 4] = Default::default();
    let [has_begun, is_waited_for, is_gone, was_gone] = &flags;
    let group = task_group(async |g| {
        // In this order, so that it is the other's turn first.
        let (sender, receiver) = channel(1);
        let (waits, gone, saw) = (is_waited_for.clone(), is_gone.clone(), was_gone.clone());
        g.spawn(async move {
            // Dropped last.
            let _looks = OnDrop(|| saw.store(gone.load(SeqCst), SeqCst));
            let start: Start<()> = receiver.recv().await.expect("it comes");
            waits.store(true, SeqCst);
            start.await;
        });
        let (begun, gone) = (has_begun.clone(), is_gone.clone());
        let start = g.start(|ready: Started<()>| async move {
            // Kept, and never used: it isn't ready when it ends.
            let _ready = ready;
            let _told = OnDrop(|| gone.store(true, SeqCst));
            begun.store(true, SeqCst);
            pending::<()>().await;
        });
        assert!(sender.send(start).await.is_ok(), "somebody waits for it");
        pending::<()>().await;
    });
    let both_are_there = async {
        while !(has_begun.load(SeqCst) && is_waited_for.load(SeqCst)) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    race((group, both_are_there)).await;
    drained().await;
    assert!(is_gone.load(SeqCst), "the child that was started");
    assert!(was_gone.load(SeqCst), "it was there when the other's last variable went");
}

/// Timeouts around one another, of one length: fixed by two looks at the clock, the inner one could be the earlier.
#[anyscope::test]
async fn of_two_timeouts_that_last_as_long_the_outer_one_tells() {
    let length = Duration::from_millis(40);
    let mut inner = pin!(timeout(length, pending::<()>()));
    let mut is_first = true;
    let between = poll_fn(|cx| {
        let polled = inner.as_mut().poll(cx);
        // Time goes by between the two looks, if they are two.
        let begun = Instant::now();
        while is_first && begun.elapsed() < length / 2 {}
        is_first = false;
        polled
    });
    assert!(timeout(length, between).await.is_err(), "the inner one told");
}
