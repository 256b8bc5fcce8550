//! Models of a group's last steps: services after their users, finalisers after everybody.

use super::*;
use crate::group::TaskGroup;
use crate::group::drive::Next;
use crate::group::owner::Owner;
use crate::models::{Gate, Ledger, Threads, block_on, model, model_bounded, poll_once, thread};
use std::future::{pending, poll_fn, ready};

fn open(threads: &Threads) -> Owner {
    Owner::root(DynRuntime::from(threads), Location::caller())
}

fn group(owner: &Owner) -> TaskGroup<Threads> {
    TaskGroup::of(owner.group.clone())
}

fn join(owner: &Owner) {
    block_on(poll_fn(|cx| owner.poll_join(cx)));
}

impl GroupCore {
    /// Where a member stands; `None` where it has ended.
    pub(crate) fn stage(&self, key: usize, id: TaskId) -> Option<Stage> {
        let state = self.state.lock();
        state.members.get(key).filter(|entry| entry.id == Some(id)).map(|entry| entry.stage)
    }

    /// Polls a child that is ready, as one driver more would.
    pub(crate) fn poll_one(self: &Arc<Self>) {
        let next = self.step(usize::MAX, false, None, true);
        assert!(!matches!(next, Next::Finish), "it would be counted off, and never was counted");
        if let Next::Run(work, order) = next {
            let back = Some(work.run(order));
            if let Next::Run(work, order) = self.step(usize::MAX, false, back, false) {
                drop(self.step(usize::MAX, false, Some(work.run(order)), false));
            }
        }
    }
}

#[test]
fn a_service_ends_after_the_last_user_and_before_the_owner_goes_on() {
    model_bounded(2, || {
        let (threads, users, services) = (Threads::parallel(2), Ledger::new(), Ledger::new());
        let owner = open(&threads);
        drop(group(&owner).spawn_service(services.future(pending::<()>())));
        let seen = services.clone();
        let user = users.future(ready(()));
        drop(group(&owner).spawn(async move {
            user.await;
            assert_eq!(seen.drops(), 0, "a service ended before its user");
        }));
        join(&owner);
        assert_eq!((users.drops(), services.drops()), (1, 1));
        threads.join();
    });
}

#[test]
fn a_service_that_is_spawned_while_the_group_ends_is_ended_or_given_back() {
    model(|| {
        let (threads, services) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let handle = group(&owner).handle();
        let spawning = thread::spawn({
            let service = services.future(pending::<()>());
            move || handle.spawn_service(service).is_ok()
        });
        join(&owner);
        let ended = services.drops();
        if spawning.join().unwrap() {
            assert_eq!(ended, 1, "it had a place, so the group ended it");
        }
        threads.join();
    });
}

#[test]
fn a_cancellation_ends_services_whose_users_end_meanwhile() {
    model_bounded(2, || {
        let (threads, services, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let service = group(&owner).spawn_service(services.future(pending::<()>()));
        drop(group(&owner).spawn(gate.passed()));
        let cancelling = thread::spawn({
            let handle = group(&owner).handle();
            move || handle.cancel()
        });
        gate.open();
        // The body goes on: nobody but the cancellation and the user's end can tell the service.
        assert!(block_on(service.outcome()).is_cancelled());
        cancelling.join().unwrap();
        join(&owner);
        threads.join();
    });
}

#[test]
fn finalisers_run_once_and_after_the_last_child() {
    model_bounded(2, || {
        let (threads, children, finalisers) = (Threads::parallel(2), Ledger::new(), Ledger::new());
        let owner = open(&threads);
        for _ in 0..2 {
            let (seen, finaliser) = (children.clone(), finalisers.future(ready(())));
            group(&owner).on_exit(async move {
                assert_eq!(seen.drops(), 1, "a finaliser ran before the last child had ended");
                finaliser.await;
            });
        }
        drop(group(&owner).spawn(children.future(ready(()))));
        join(&owner);
        assert_eq!((finalisers.polls(), finalisers.drops()), (2, 2));
        threads.join();
        assert_eq!(Arc::strong_count(&owner.group), 1);
    });
}

#[test]
fn the_finaliser_of_a_dropped_group_is_waited_for_by_the_group_around() {
    model_bounded(2, || {
        let (threads, finalisers) = (Threads::new(), Ledger::new());
        let outer = open(&threads);
        let around = context::Frame { group: Some(outer.group.clone()), ..Default::default() };
        let inner = context::within(&Some(around), || {
            Owner::open::<Threads>(crate::group::owner::Plan::default(), Location::caller())
        });
        group(&inner).on_exit(finalisers.future(ready(())));
        drop(group(&inner).spawn(async {}));
        drop(inner);
        join(&outer);
        assert_eq!((finalisers.polls(), finalisers.drops()), (1, 1));
        threads.join();
    });
}

#[test]
fn whoever_waits_for_room_is_woken_by_the_end_of_a_child() {
    model(|| {
        let threads = Threads::new();
        let outer = open(&threads);
        let around = context::Frame { group: Some(outer.group.clone()), ..Default::default() };
        let plan = crate::group::owner::Plan { limit: 1, ..Default::default() };
        let inner = context::within(&Some(around), || Owner::open::<Threads>(plan, Location::caller()));
        let (tasks, gate) = (group(&inner), Gate::new());
        drop(tasks.spawn(gate.passed()));
        let opening = thread::spawn({
            let gate = gate.clone();
            move || gate.open()
        });
        block_on(tasks.room());
        opening.join().unwrap();
        assert!(poll_once(&mut tasks.room()).is_ready());
        join(&inner);
        join(&outer);
        threads.join();
    });
}
