//! What is destroyed when, and by whom; and which of two ends is told.

use anyscope::async_std::AsyncStd;
use anyscope::sim::Sim;
use anyscope::smol::Smol;
use anyscope::tokio::Tokio;
use anyscope::{Runtime, Start, Started, channel, task_group, timeout};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn on_each<F: Future<Output = ()>>(test: impl Fn() -> F) {
    fn on<F: Future<Output = ()>>(runtime: impl Runtime, test: impl Fn() -> F) {
        anyscope::run(runtime, test());
    }
    on(Tokio::new(), &test);
    on(Tokio::current_thread(), &test);
    on(Smol::new(), &test);
    on(AsyncStd::new(), &test);
    on(Sim::new(), &test);
}

/// Runs a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A group that is dropped destroys its idle children one after the other. One that was started for another is destroyed
/// by that one's destructor, and had been taken away from it before its turn.
#[test]
fn a_child_goes_with_the_one_that_it_is_started_for_when_their_group_is_dropped() {
    on_each(|| async {
        let (is_gone, was_gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let group = task_group(async |g| {
            // In this order, so that it is the other's turn first.
            let (sender, receiver) = channel(1);
            let (started, was_gone, gone) = (is_gone.clone(), was_gone.clone(), is_gone.clone());
            g.spawn(async move {
                // Dropped last.
                let _looks = OnDrop(|| was_gone.store(gone.load(Ordering::SeqCst), Ordering::SeqCst));
                let start: Start<()> = receiver.recv().await.expect("it comes");
                start.await;
            });
            let start = g.start(|ready: Started<()>| async move {
                // Kept, and never used: it isn't ready when it ends.
                let _ready = ready;
                let _told = OnDrop(|| started.store(true, Ordering::SeqCst));
                pending::<()>().await;
            });
            assert!(sender.send(start).await.is_ok(), "somebody waits for it");
            pending::<()>().await;
        });
        timeout(Duration::from_millis(20), group).await.expect_err("it never ends");
        anyscope::drained().await;
        assert!(is_gone.load(Ordering::SeqCst), "the child that was started");
        assert!(was_gone.load(Ordering::SeqCst), "it was there when the other's last variable went");
    });
}

/// Timeouts around one another, of one length: fixed by two looks at the clock, the inner one could be the earlier.
#[test]
fn of_two_timeouts_that_last_as_long_the_outer_one_tells() {
    on_each(|| async {
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
    });
}
