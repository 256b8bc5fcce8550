//! Models of a shutdown: those who ask at a time see one request, and one list of stragglers.

use super::*;
use crate::context::Frame;
use crate::group::owner::{Owner, Plan};
use crate::models::{Threads, block_on, model, model_bounded, thread};
use crate::runtime::DynRuntime;
use std::future::pending;

fn inside(group: &Arc<GroupCore>) -> Option<Frame> {
    Some(Frame { group: Some(group.clone()), ..Frame::default() })
}

#[test]
fn whoever_waits_in_a_group_inside_hears_of_a_shutdown_further_out() {
    model(|| {
        let threads = Threads::new();
        let outer = Owner::root(DynRuntime::from(&threads), Location::caller());
        let inner =
            context::within(&inside(&outer.group), || Owner::open::<Threads>(Plan::default(), Location::caller()));
        let waiting = thread::spawn({
            let group = inner.group.clone();
            move || {
                let frame = inside(&group);
                let mut stopping = stopping();
                block_on(std::future::poll_fn(|cx| context::within(&frame, || Pin::new(&mut stopping).poll(cx))));
            }
        });
        drop(shutdown::<Threads>(&outer.group, Duration::ZERO, Location::caller()));
        waiting.join().unwrap();
        assert!(inner.group.stop().is_cancelled());
        drop(inner);
        block_on(std::future::poll_fn(|cx| outer.poll_join(cx)));
        threads.join();
    });
}

#[test]
fn of_two_shutdowns_at_a_time_one_names_the_stragglers() {
    model_bounded(2, || {
        let threads = Threads::new();
        let owner = Owner::root(DynRuntime::from(&threads), Location::caller());
        let place = owner.group.reserve(Role::Child).unwrap();
        drop(crate::group::spawn(place, TaskRef::new(None, Location::caller()), pending::<()>()));
        let other = thread::spawn({
            let group = owner.group.clone();
            move || drop(shutdown::<Threads>(&group, Duration::ZERO, Location::caller()))
        });
        let stragglers = block_on(shutdown::<Threads>(&owner.group, Duration::ZERO, Location::caller()));
        assert_eq!(stragglers.len(), 1);
        other.join().unwrap();
        block_on(std::future::poll_fn(|cx| owner.poll_join(cx)));
        threads.join();
    });
}
