//! Models of a group's end: against its last child, against those who spawn, a panic, and what it leaves to others.

use super::fallible::try_task_group;
use super::owner::Owner;
use super::*;
use crate::guard;
use crate::models::{Gate, Ledger, Notify, Threads, block_on, model, model_bounded, poll_once, thread};
use crate::runtime::DynRuntime;
use std::future::{pending, poll_fn, ready};
use std::panic;
use std::pin::Pin;

fn open(threads: &Threads) -> Owner {
    Owner::root(DynRuntime::from(threads), Location::caller())
}

/// The group of an owner, as its body sees it.
fn group(owner: &Owner) -> TaskGroup<Threads> {
    TaskGroup::of(owner.group.clone())
}

fn open_gate(gate: &Gate) -> thread::JoinHandle<()> {
    let gate = gate.clone();
    thread::spawn(move || gate.open())
}

/// Waits for the children, whose panics go on in the model.
fn join(owner: &Owner) {
    block_on(poll_fn(|cx| owner.poll_join(cx)));
}

/// A panic that prints nothing.
fn panic_with(message: &'static str) -> ! {
    panic::resume_unwind(Box::new(message))
}

#[test]
fn the_end_of_the_last_child_wakes_the_owner() {
    model_bounded(2, || {
        let (threads, ledger) = (Threads::parallel(2), Ledger::new());
        let owner = open(&threads);
        for _ in 0..2 {
            drop(group(&owner).spawn(ledger.future(ready(()))));
        }
        join(&owner);
        assert_eq!(ledger.drops(), 2, "every child has ended, and its future is gone");
        threads.join();
        assert_eq!(Arc::strong_count(&owner.group), 1);
    });
}

#[test]
fn a_child_that_a_handle_spawns_is_waited_for_or_given_back() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let handle = group(&owner).handle();
        let spawning = thread::spawn({
            let child = ledger.future(ready(()));
            move || handle.spawn(child).is_ok()
        });
        join(&owner);
        let ended = ledger.drops();
        let was_spawned = spawning.join().unwrap();
        assert_eq!(ledger.polls(), usize::from(was_spawned));
        if was_spawned {
            assert_eq!(ended, 1, "it had a place, so the group waited for it");
        }
        threads.join();
    });
}

#[test]
fn a_child_spawned_by_the_last_child_is_waited_for() {
    model(|| {
        let (threads, ledger) = (Threads::parallel(2), Ledger::new());
        let owner = open(&threads);
        let handle = group(&owner).handle();
        let below = ledger.clone();
        drop(group(&owner).spawn(async move {
            assert!(handle.spawn(below.future(ready(()))).is_ok());
        }));
        join(&owner);
        assert_eq!((ledger.polls(), ledger.drops()), (1, 1));
        threads.join();
    });
}

#[test]
fn a_place_that_is_given_up_does_not_hold_up_the_end() {
    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let giving_up = thread::spawn({
            let group = owner.group.clone();
            move || drop(group.reserve(Role::Child))
        });
        join(&owner);
        assert!(owner.group.reserve(Role::Child).is_none());
        giving_up.join().unwrap();
    });
}

#[test]
fn a_place_that_is_filled_after_the_owner_was_dropped_ends_its_child() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let handle = group(&owner).handle();
        let spawning = thread::spawn({
            let child = ledger.future(pending::<()>());
            move || match handle.spawn(child) {
                Ok(task) => block_on(task.outcome()).is_cancelled(),
                Err(_) => true,
            }
        });
        drop(owner);
        assert!(spawning.join().unwrap());
        threads.join();
        assert_eq!(ledger.drops(), 1);
    });
}

#[test]
fn a_panic_of_a_child_stops_the_body_and_goes_on_in_the_owner() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        drop(group(&owner).spawn(ledger.future(gate.passed())));
        drop(group(&owner).spawn(async { panic_with("boom") }));
        let body = ledger.future(gate.passed());
        let panic = guard::catch(|| block_on(owner.run(body))).unwrap_err();
        assert_eq!(guard::message(&panic), "boom");
        assert_eq!(ledger.drops(), 2, "the body and the sibling are gone");
        threads.join();
    });
}

#[test]
fn a_panic_of_a_child_stops_the_body_though_a_sibling_goes_on() {
    struct NotifyOnDrop(Arc<Notify>);

    impl Drop for NotifyOnDrop {
        fn drop(&mut self) {
            self.0.notify();
        }
    }

    model_bounded(2, || {
        let threads = Threads::parallel(2);
        let owner = open(&threads);
        let stopped = Arc::new(Notify::new());
        let body = NotifyOnDrop(stopped.clone());
        // In the middle of a poll, which a cancellation doesn't cut short.
        drop(group(&owner).spawn(async move { stopped.wait() }));
        drop(group(&owner).spawn(async { panic_with("boom") }));
        let body = async move {
            let _body = body;
            pending::<()>().await;
        };
        let panic = guard::catch(|| block_on(owner.run(body))).unwrap_err();
        assert_eq!(guard::message(&panic), "boom");
        threads.join();
    });
}

#[test]
fn a_panic_of_a_child_against_the_end_of_the_body_is_not_lost() {
    model(|| {
        let (threads, gate) = (Threads::new(), Gate::new());
        let owner = open(&threads);
        drop(group(&owner).spawn(async { panic_with("boom") }));
        let opening = open_gate(&gate);
        let panic = guard::catch(|| block_on(owner.run(gate.passed()))).unwrap_err();
        assert_eq!(guard::message(&panic), "boom");
        opening.join().unwrap();
        threads.join();
    });
}

/// Who awaits a task that panics finds itself cancelled, and doesn't panic over it a second time.
#[test]
fn a_panic_of_a_child_that_the_body_awaits_goes_on_as_it_is() {
    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let task = group(&owner).spawn(async { panic_with("boom") });
        let panic = guard::catch(|| block_on(owner.run(task))).unwrap_err();
        assert_eq!(guard::message(&panic), "boom");
        threads.join();
    });
}

#[test]
fn a_panic_in_a_destructor_of_a_cancelled_child_goes_on_in_the_owner() {
    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic_with("boom");
        }
    }

    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let panics = Panics;
        let task = group(&owner).spawn(async move {
            let _panics = panics;
            pending::<()>().await;
        });
        task.cancel();
        let panic = guard::catch(|| block_on(owner.run(pending::<()>()))).unwrap_err();
        assert_eq!(guard::message(&panic), "boom");
        threads.join();
    });
}

#[test]
fn of_two_panics_at_a_time_one_goes_on_and_the_group_ends() {
    model_bounded(2, || {
        let (threads, ledger) = (Threads::parallel(2), Ledger::new());
        let owner = open(&threads);
        for message in ["one", "other"] {
            let value = ledger.value();
            drop(group(&owner).spawn(async move {
                let _value = value;
                panic_with(message)
            }));
        }
        let panic = guard::catch(|| block_on(owner.run(pending::<()>()))).unwrap_err();
        assert!(matches!(guard::message(&panic).as_str(), "one" | "other"));
        assert_eq!(ledger.drops(), 2);
        threads.join();
    });
}

#[test]
fn the_first_error_of_a_try_group_stops_the_body_and_the_siblings() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let root = open(&threads);
        let (entered, shut) = (ledger.clone(), gate.clone());
        let error = block_on(root.run(async move {
            let entered = &entered;
            let result = try_task_group::<Threads, _, (), _>(async move |g| {
                drop(g.spawn(async { Err::<(), _>("no route") }));
                let sibling = entered.future(shut.passed());
                drop(g.spawn(async move {
                    sibling.await;
                    Ok(())
                }));
                entered.future(pending::<()>()).await;
                Ok(())
            })
            .await;
            assert_eq!(entered.drops(), 2, "the body and the sibling are gone");
            result.unwrap_err().into_first()
        }));
        assert_eq!(error, Some("no route"));
        threads.join();
        drop(gate);
    });
}

/// A group inside of a body, with one child, polled once: dropping it drops a group that has started.
fn started<F>(child: F) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut group: Pin<Box<dyn Future<Output = ()> + Send>> =
        Box::pin(TaskGroup::<Threads>::builder().run(async move |g: &TaskGroup<Threads>| {
            drop(g.spawn(child));
            pending::<()>().await;
        }));
    assert!(poll_once(&mut group).is_pending());
    group
}

#[test]
fn what_a_dropped_group_leaves_running_is_waited_for_by_the_group_around() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let around = open(&threads);
        block_on(around.run(async {
            drop(started(ledger.future(gate.passed())));
        }));
        assert_eq!(ledger.drops(), 1);
        assert_eq!(around.group.state.lock().adopted, 0);
        threads.join();
    });
}

#[test]
fn what_is_adopted_and_woken_is_given_back_once() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let around = open(&threads);
        let opening = open_gate(&gate);
        block_on(around.run(async {
            drop(started(ledger.future(gate.passed())));
        }));
        assert_eq!(ledger.drops(), 1);
        assert_eq!(around.group.state.lock().adopted, 0);
        opening.join().unwrap();
        threads.join();
    });
}

#[test]
fn a_group_dropped_while_its_adopter_ends_is_counted_once() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let root = open(&threads);
        let child = ledger.future(gate.passed());
        // The inner group is made inside of the middle one, and dropped on another thread while that ends.
        let dropping = block_on(root.run(task_group::<Threads, _, _>(async move |_: &TaskGroup<Threads>| {
            let inner = started(child);
            thread::spawn(move || drop(inner))
        })));
        dropping.unwrap().join().unwrap();
        threads.join();
        assert_eq!(ledger.drops(), 1);
        drop(gate);
        assert_eq!(root.group.state.lock().adopted, 0);
        assert_eq!(Arc::strong_count(&root.group), 1, "nothing is left that counts");
    });
}

#[test]
fn a_group_that_outlives_its_adopter_is_waited_for_by_the_next() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let root = open(&threads);
        let child = ledger.future(gate.passed());
        block_on(root.run(async {
            // The group in between has ended when the inner one is dropped.
            let inner = task_group::<Threads, _, _>(async |_: &TaskGroup<Threads>| started(child)).await;
            drop(inner);
        }));
        assert_eq!(ledger.drops(), 1);
        assert_eq!(root.group.state.lock().adopted, 0);
        threads.join();
    });
}

#[test]
fn a_driver_that_parks_while_a_child_becomes_ready_polls_it() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let (one, other) = (Gate::new(), Gate::new());
        for gate in [&one, &other] {
            drop(group(&owner).spawn(ledger.future(gate.passed())));
        }
        let opening = open_gate(&one);
        other.open();
        join(&owner);
        assert_eq!(ledger.drops(), 2);
        opening.join().unwrap();
        threads.join();
        assert_eq!(owner.group.state.lock().phase, state::Phase::Ended);
    });
}

#[test]
fn two_drivers_share_the_children_and_end_with_the_group() {
    model_bounded(2, || {
        let (threads, ledger, gate) = (Threads::parallel(2), Ledger::new(), Gate::new());
        let owner = open(&threads);
        drop(group(&owner).spawn(ledger.future(gate.passed())));
        drop(group(&owner).spawn(ledger.future(ready(()))));
        gate.open();
        join(&owner);
        assert_eq!(ledger.drops(), 2);
        threads.join();
        assert_eq!(Arc::strong_count(&owner.group), 1, "the drivers are gone");
    });
}

#[test]
fn a_child_that_blocks_its_thread_holds_up_no_other() {
    model_bounded(2, || {
        let (threads, ledger) = (Threads::parallel(2), Ledger::new());
        let owner = open(&threads);
        let blocked = Arc::new(Notify::new());
        let unblocking = blocked.clone();
        // Ends at once, so that its driver may be parked, awake or on its way there when the others come.
        drop(group(&owner).spawn(ledger.future(ready(()))));
        drop(group(&owner).spawn(async move { blocked.wait() }));
        drop(group(&owner).spawn(async move { unblocking.notify() }));
        join(&owner);
        assert_eq!(ledger.drops(), 1);
        threads.join();
    });
}

#[test]
fn a_child_over_the_limit_starts_when_another_has_ended() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let root = open(&threads);
        block_on(root.run(TaskGroup::<Threads>::builder().limit(1).run(async |g: &TaskGroup<Threads>| {
            let first = g.spawn(ledger.future(ready(1)));
            let second = g.spawn(ledger.future(ready(2)));
            assert_eq!(second.await, 2);
            assert_eq!(first.await, 1);
        })));
        assert_eq!((ledger.polls(), ledger.drops()), (2, 2));
        threads.join();
    });
}

/// The place of one that was cancelled while it was held back is the next one's, and still in the queue.
#[test]
fn whoever_has_the_place_of_one_that_was_cancelled_counts_once() {
    model_bounded(1, || {
        let (threads, one, other) = (Threads::new(), Gate::new(), Gate::new());
        let root = open(&threads);
        block_on(root.run(TaskGroup::<Threads>::builder().limit(2).run(async |g: &TaskGroup<Threads>| {
            drop((g.spawn(one.passed()), g.spawn(other.passed())));
            let held_back = g.spawn(pending::<()>());
            held_back.cancel();
            assert!(held_back.outcome().await.is_cancelled());
            let next = g.spawn(ready(7));
            one.open();
            other.open();
            assert_eq!(next.await, 7);
            // Two at a time go on, or these would wait for ever.
            let gate = Gate::new();
            let opens = gate.clone();
            drop(g.spawn(gate.passed()));
            drop(g.spawn(async move { opens.open() }));
        })));
        threads.join();
    });
}

#[test]
fn a_driver_that_parked_is_handed_the_child_that_starts_late() {
    model_bounded(2, || {
        let (threads, ledger, gate) = (Threads::parallel(2), Ledger::new(), Gate::new());
        let root = open(&threads);
        block_on(root.run(TaskGroup::<Threads>::builder().limit(2).run(async |g: &TaskGroup<Threads>| {
            drop(g.spawn(ledger.future(gate.passed())));
            for _ in 0..2 {
                drop(g.spawn(ledger.future(ready(()))));
            }
            gate.open();
        })));
        assert_eq!(ledger.drops(), 3);
        threads.join();
    });
}

#[test]
fn a_dropped_group_with_a_child_over_the_limit_ends() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let root = open(&threads);
        block_on(root.run(async {
            let (one, other) = (ledger.future(ready(())), ledger.future(gate.passed()));
            let mut limited =
                Box::pin(TaskGroup::<Threads>::builder().limit(1).run(async move |g: &TaskGroup<Threads>| {
                    drop(g.spawn(one));
                    drop(g.spawn(other));
                    pending::<()>().await;
                }));
            assert!(poll_once(&mut limited).is_pending());
        }));
        assert_eq!(ledger.drops(), 2);
        assert_eq!(root.group.state.lock().adopted, 0);
        threads.join();
    });
}
