//! What the toy has to keep by itself: the laws see a runtime through anyscope only.

use anyscope_core::{DynRuntime, Outcome, Runtime, Sleep as _, sleep, task_group};
use anyscope_tests::toy::Toy;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A waker that tells a channel.
struct Tell(Mutex<Sender<()>>);

impl Wake for Tell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().unwrap().send(());
    }
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn the_programs_of_the_facade_run_on_it() {
    anyscope::run(Toy::new(), anyscope_tests::all());
}

#[test]
fn it_surrounds_whom_it_blocks_on_and_nobody_else() {
    assert!(Toy::detect().is_none());
    let toy = Toy::new();
    toy.block_on(async {
        // No frame of anyscope's is around here: the toy is found by its own account.
        assert!(DynRuntime::current().is_none());
        assert_eq!(task_group::<Toy, _, _>(async |g| g.spawn(async { 1 }).await).await, 1);
        Toy::new().block_on(async { sleep::<Toy>(Duration::ZERO).await });
        assert!(Toy::detect().is_some(), "an inner one took the outer away");
    });
    assert!(Toy::detect().is_none());
}

#[test]
fn children_end_when_its_last_handle_goes() {
    let toy = Toy::new();
    let clone = toy.clone();
    let (start, started) = channel();
    let mut group = Box::pin(task_group::<Toy, _, _>(async move |g| {
        let start = start.clone();
        let child = g.spawn(async move {
            start.send(()).unwrap();
            pending::<()>().await;
        });
        child.outcome().await
    }));
    let (sender, woken) = channel();
    let waker = Waker::from(Arc::new(Tell(Mutex::new(sender))));
    toy.block_on(poll_fn(|_| {
        assert!(poll(group.as_mut(), &waker).is_pending());
        Poll::Ready(())
    }));
    started.recv().unwrap();
    drop(toy);
    drop(clone);
    let outcome = loop {
        match poll(group.as_mut(), &waker) {
            Poll::Ready(outcome) => break outcome,
            Poll::Pending => woken.recv().unwrap(),
        }
    };
    assert!(matches!(outcome, Outcome::RuntimeGone), "{outcome:?}");
}

#[test]
fn whoever_waits_for_a_timer_is_told_that_its_toy_is_gone() {
    let toy = Toy::new();
    let mut timer = Box::pin(toy.sleep_until(toy.now() + HOUR).unwrap());
    let (sender, woken) = channel();
    let waker = Waker::from(Arc::new(Tell(Mutex::new(sender))));
    assert!(poll(timer.as_mut(), &waker).is_pending());
    drop(toy);
    woken.recv().unwrap();
    catch_unwind(AssertUnwindSafe(|| poll(timer.as_mut(), &waker))).expect_err("a timer of nobody's goes on");
}

#[test]
fn whoever_waits_for_a_timer_that_is_reset_waits_for_the_new_time() {
    let toy = Toy::new();
    let mut timer = Box::pin(toy.sleep_until(toy.now() + HOUR).unwrap());
    let (sender, woken) = channel();
    let waker = Waker::from(Arc::new(Tell(Mutex::new(sender))));
    assert!(poll(timer.as_mut(), &waker).is_pending());
    timer.as_mut().reset(toy.now());
    woken.recv().unwrap();
    assert!(poll(timer.as_mut(), &waker).is_ready());
}
