//! Models of a start: ready against a starter that goes away, against a group that is cancelled, against giving up.

use super::*;
use crate::group::TaskGroup;
use crate::group::owner::Owner;
use crate::models::{Gate, Ledger, Threads, block_on, model, poll_once, thread};
use crate::runtime::DynRuntime;
use std::future::{pending, poll_fn};
use std::panic::Location;

fn open(threads: &Threads) -> Owner {
    Owner::root(DynRuntime::from(threads), Location::caller())
}

fn group(owner: &Owner) -> TaskGroup<Threads> {
    TaskGroup::of(owner.group.clone())
}

fn join(owner: &Owner) {
    block_on(poll_fn(|cx| owner.poll_join(cx)));
}

#[test]
fn a_child_that_is_ready_when_its_starter_goes_is_the_groups_and_any_other_is_gone() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (value, rest) = (ledger.value(), ledger.future(gate.passed()));
        let start = group(&owner).start(|started| async move {
            started.ready(value);
            rest.await;
        });
        drop(start);
        // Where it is ready, it goes on until it is let through; else it needs nothing more.
        gate.open();
        join(&owner);
        assert_eq!(ledger.drops(), 2, "the value and the rest are gone with the group");
        threads.join();
    });
}

/// The request would wake the child for a driver, and that would be in the middle of ending it when the drop returns.
#[test]
fn a_starter_that_goes_leaves_no_idle_child_to_a_driver() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let here = thread::current().id();
        let (idle, seen) = (Arc::new(Mutex::new(false)), ledger.value());
        let rest = poll_fn({
            let idle = idle.clone();
            move |_| {
                let _keeps = &seen;
                *idle.lock() = thread::current().id() == here;
                Poll::<()>::Pending
            }
        });
        let start = group(&owner).start(|started: Started<()>| async move {
            rest.await;
            drop(started);
        });
        // By the model, or by the driver: it may be in the middle of it.
        owner.group.poll_one();
        drop(start);
        assert!(!*idle.lock() || ledger.drops() == 1, "it is to be gone by now");
        join(&owner);
        assert_eq!(ledger.drops(), 1);
        threads.join();
    });
}

#[test]
fn a_cancelled_group_strikes_when_the_child_is_ready_and_loses_no_value() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let rest = ledger.future(pending::<()>());
        let start = group(&owner).start(|started| async move {
            started.ready(7);
            rest.await;
        });
        let cancelling = thread::spawn({
            let handle = group(&owner).handle();
            move || handle.cancel()
        });
        assert_eq!(block_on(start), 7);
        cancelling.join().unwrap();
        join(&owner);
        assert_eq!(ledger.drops(), 1, "the group's cancellation reached a child that was started");
        threads.join();
    });
}

#[test]
fn a_readiness_that_is_given_up_elsewhere_ends_the_child() {
    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let (hand, slot) = (Arc::new(Mutex::new(None)), Gate::new());
        let start = group(&owner).start(|started: Started<()>| {
            *hand.lock() = Some(started);
            slot.passed()
        });
        let giving_up = thread::spawn({
            let hand = hand.clone();
            move || {
                let started = hand.lock().take();
                drop(started);
            }
        });
        let mut ended = Box::pin(start.outcome());
        let outcome = match poll_once(&mut ended) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => block_on(ended),
        };
        assert!(outcome.unwrap_err().outcome().is_cancelled());
        giving_up.join().unwrap();
        join(&owner);
        threads.join();
    });
}
