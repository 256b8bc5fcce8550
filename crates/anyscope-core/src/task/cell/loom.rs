//! Models of a child: its polls against wakes, requests, the drop of its owner, its handle, and the end of its runtime.

use super::Step;
use crate::cancel::reason::{Reason, ReasonKind};
use crate::context::{self, Frame};
use crate::group::core::GroupCore;
use crate::group::owner::{Owner, Plan};
use crate::group::state::Stage;
use crate::models::{Entered, Gate, Ledger, Threads, Wakes, block_on, model, model_bounded, poll_once, thread};
use crate::outcome::Outcome;
use crate::runtime::DynRuntime;
use crate::sync::Arc;
use crate::task::seat::Seat;
use crate::task::{Task, cell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A group whose owner the model plays itself.
fn open(threads: &Threads) -> Owner {
    Owner::root(DynRuntime::from(threads), Location::caller())
}

/// The same with a limit.
fn open_limited(threads: &Threads, limit: usize) -> Owner {
    let around = Frame { group: Some(open(threads).group.clone()), ..Frame::default() };
    context::within(&Some(around), || Owner::open::<Threads>(Plan { limit, ..Plan::default() }, Location::caller()))
}

/// A child, and what is alive as long as anything keeps it.
fn spawn<F>(owner: &Owner, future: F) -> (Task<F::Output>, Kept)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let sort = |value, _: &Seat| Step::Value(value);
    let handle = cell::spawn_plain(&owner.group, Location::caller(), future, sort);
    let kept = Kept(Box::new(handle.kept()));
    (Task::new(handle), kept)
}

/// Tells whether anything still keeps a child.
struct Kept(Box<dyn Fn() -> bool>);

impl Kept {
    fn is_gone(&self) -> bool {
        !(self.0)()
    }
}

/// Where a child stands.
fn stage<T>(group: &GroupCore, task: &Task<T>) -> Option<Stage> {
    group.stage(task.handle.seat().key(), task.id())
}

fn open_gate(gate: &Gate) -> thread::JoinHandle<()> {
    let gate = gate.clone();
    thread::spawn(move || gate.open())
}

/// Waits for the group's end.
fn join(owner: &Owner) {
    block_on(poll_fn(|cx| owner.poll_join(cx)));
}

fn outcome<T>(task: Task<T>) -> Outcome<T> {
    block_on(task.outcome())
}

#[test]
fn a_child_that_is_woken_is_polled_again() {
    model(|| {
        let (threads, gate) = (Threads::new(), Gate::new());
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, gate.passed());
        gate.open();
        join(&owner);
        assert!(task.is_finished(), "a group that has ended has ended its children");
        assert!(outcome(task).is_completed());
        threads.join();
        assert!(cell.is_gone());
    });
}

#[test]
fn wakes_from_two_threads_lose_none_and_queue_a_child_once() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let (one, other) = (Gate::new(), Gate::new());
        let (task, cell) = spawn(
            &owner,
            ledger.future(poll_fn({
                let (one, other) = (one.clone(), other.clone());
                move |cx| {
                    let (one, other) = (one.poll_open(cx), other.poll_open(cx));
                    if one.is_ready() && other.is_ready() { Poll::Ready(()) } else { Poll::Pending }
                }
            })),
        );
        let opening = open_gate(&one);
        other.open();
        join(&owner);
        opening.join().unwrap();
        assert!(outcome(task).is_completed());
        assert!(ledger.polls() <= 3, "a poll for each wake, and the first");
        threads.join();
        assert!(cell.is_gone());
    });
}

#[test]
fn a_child_that_wakes_itself_is_polled_again_or_cancelled() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let mut turns = 0;
        let (task, _) = spawn(
            &owner,
            ledger.future(poll_fn(move |cx| {
                turns += 1;
                if turns == 3 {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })),
        );
        task.cancel();
        let polls = ledger.polls();
        join(&owner);
        assert!(ledger.polls() <= polls + 1, "after a request only the poll under way goes on");
        assert_eq!(outcome(task).is_completed(), ledger.polls() == 3);
        assert_eq!(ledger.drops(), 1);
        threads.join();
    });
}

#[test]
fn a_child_is_cancelled_before_its_poll_or_completes() {
    model(|| {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, ledger.future(ready(7)));
        task.cancel_with("not needed");
        join(&owner);
        assert_eq!(ledger.drops(), 1);
        match outcome(task) {
            Outcome::Completed(value) => assert_eq!((value, ledger.polls()), (7, 1)),
            Outcome::Cancelled(reason) => assert_eq!((reason.message(), ledger.polls()), (Some("not needed"), 0)),
            other => panic!("neither: {other:?}"),
        }
        threads.join();
        assert!(cell.is_gone());
    });
}

#[test]
fn a_request_reaches_a_child_in_whatever_state() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (task, _) = spawn(&owner, ledger.future(gate.passed()));
        task.cancel_with("enough");
        join(&owner);
        assert!(matches!(outcome(task), Outcome::Cancelled(reason) if reason.message() == Some("enough")));
        assert!(ledger.polls() <= 1);
        assert_eq!(ledger.drops(), 1);
        threads.join();
    });
}

#[test]
fn a_request_leaves_the_drop_of_a_child_to_its_driver() {
    struct Elsewhere(thread::ThreadId);

    impl Drop for Elsewhere {
        fn drop(&mut self) {
            assert_ne!(thread::current().id(), self.0, "dropped by who asked");
        }
    }

    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let elsewhere = Elsewhere(thread::current().id());
        let (task, _) = spawn(&owner, async move {
            let _elsewhere = elsewhere;
            pending::<()>().await;
        });
        task.cancel();
        join(&owner);
        assert!(outcome(task).is_cancelled());
        threads.join();
    });
}

#[test]
fn a_request_against_a_wake_ends_a_child_once() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, ledger.future(gate.passed()));
        let opening = open_gate(&gate);
        task.cancel();
        let polls = ledger.polls();
        join(&owner);
        assert!(ledger.polls() <= polls + 1, "after a request only the poll under way goes on");
        let outcome = outcome(task);
        assert!(outcome.is_completed() || outcome.is_cancelled());
        assert_eq!(ledger.drops(), 1);
        opening.join().unwrap();
        threads.join();
        drop(gate);
        assert!(cell.is_gone());
    });
}

#[test]
fn a_child_spawned_while_the_group_is_cancelled_is_cancelled() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let cancelling = thread::spawn({
            let children = owner.group.children.clone();
            move || children.cancel(&Reason::new(ReasonKind::Explicit, Some("all".into()), Location::caller()))
        });
        let (task, _) = spawn(&owner, ledger.future(gate.passed()));
        join(&owner);
        match outcome(task) {
            Outcome::Cancelled(reason) => assert_eq!(reason.message(), Some("all"), "{reason}"),
            other => panic!("not cancelled: {other:?}"),
        }
        assert_eq!(ledger.drops(), 1);
        cancelling.join().unwrap();
        threads.join();
    });
}

#[test]
fn a_dropped_owner_destroys_what_is_idle_and_dooms_what_is_polled() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, ledger.future(gate.passed()));
        let group = owner.group.clone();
        drop(owner);
        let stage = stage(&group, &task);
        assert!(matches!(stage, None | Some(Stage::Out { .. })), "{stage:?}: nobody would end it");
        threads.join();
        assert!(task.is_finished());
        assert!(matches!(outcome(task), Outcome::Cancelled(reason) if reason.kind() == ReasonKind::Dropped));
        assert!(ledger.polls() <= 1);
        assert_eq!(ledger.drops(), 1);
        drop(gate);
        assert!(cell.is_gone());
    });
}

/// The request would wake the child for its driver, and that would be in the middle of ending it when the drop returns.
#[test]
fn a_dropped_owner_leaves_no_idle_child_to_its_driver() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, ledger.future(gate.passed()));
        // By the model, or by the driver: it may be in the middle of it.
        owner.group.poll_one();
        let is_idle = stage(&owner.group, &task) == Some(Stage::Idle);
        drop(owner);
        assert!(!is_idle || ledger.drops() == 1, "it is to be gone by now");
        threads.join();
        drop((task, gate));
        assert_eq!((cell.is_gone(), ledger.drops()), (true, 1));
    });
}

/// The request reaches the group inside before that is dropped, and would wake its child for its driver.
#[test]
fn a_dropped_owner_leaves_no_idle_child_of_a_group_inside_to_its_driver() {
    model_bounded(2, || {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let outer = open(&threads);
        let (group, scope) = (Some(outer.group.clone()), Some(outer.group.children.clone()));
        let around = Some(Frame { group, scope, ..Frame::default() });
        let inner = context::within(&around, || Owner::open::<Threads>(Plan::default(), Location::caller()));
        let within = inner.group.clone();
        let (task, _) = spawn(&inner, ledger.future(gate.passed()));
        let (holder, _) = spawn(&outer, async move {
            let _inner = inner;
            pending::<()>().await;
        });
        within.poll_one();
        outer.group.poll_one();
        let are_idle = [stage(&within, &task), stage(&outer.group, &holder)] == [Some(Stage::Idle); 2];
        drop(outer);
        assert!(!are_idle || ledger.drops() == 1, "it is to be gone by now");
        threads.join();
        drop(gate);
        assert_eq!(ledger.drops(), 1);
    });
}

#[test]
fn a_dropped_owner_against_a_wake_ends_a_child_once() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, ledger.future(gate.passed()));
        let opening = open_gate(&gate);
        drop(owner);
        opening.join().unwrap();
        threads.join();
        let outcome = outcome(task);
        assert!(outcome.is_completed() || outcome.is_cancelled());
        assert_eq!(ledger.drops(), 1);
        assert!(cell.is_gone());
    });
}

#[test]
fn who_joins_a_child_is_woken_by_its_end() {
    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, ready(7));
        assert!(matches!(outcome(task), Outcome::Completed(7)));
        join(&owner);
        threads.join();
        assert!(cell.is_gone());
    });
}

#[test]
fn who_joins_with_another_waker_is_woken_by_that() {
    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let (task, _) = spawn(&owner, ready(7));
        let stale = Wakes::new();
        let waker = Waker::from(stale.clone());
        let mut joined = task.outcome();
        let found = match Pin::new(&mut joined).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => block_on(joined),
        };
        drop(waker);
        assert!(matches!(found, Outcome::Completed(7)));
        join(&owner);
        threads.join();
        assert!(stale.count() <= 1);
        assert_eq!(Arc::strong_count(&stale), 1, "the old waker is let go");
    });
}

/// Ends at once, and leaves a waker behind that keeps the cell.
fn ended_at(gate: &Gate, value: Entered) -> impl Future<Output = Entered> + Send + use<> {
    let (gate, mut value) = (gate.clone(), Some(value));
    poll_fn(move |cx| {
        let _ = gate.poll_open(cx);
        value.take().map_or(Poll::Pending, Poll::Ready)
    })
}

#[test]
fn who_gives_up_a_join_leaves_no_waker_behind() {
    model(|| {
        let (threads, gate) = (Threads::new(), Gate::new());
        let owner = open(&threads);
        let keeper = Gate::new();
        let (mut task, cell) = spawn(&owner, {
            let (keeper, gate) = (keeper.clone(), gate.clone());
            poll_fn(move |cx| {
                let _ = keeper.poll_open(cx);
                gate.poll_open(cx)
            })
        });
        let opening = open_gate(&gate);
        let wakes = Wakes::new();
        let waker = Waker::from(wakes.clone());
        let early = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
        drop((task, waker, early));
        join(&owner);
        opening.join().unwrap();
        threads.join();
        assert!(!cell.is_gone(), "a waker keeps it");
        assert_eq!(Arc::strong_count(&wakes), 1, "though the child is still there");
        drop(keeper);
        assert!(cell.is_gone());
    });
}

#[test]
fn a_value_nobody_takes_is_dropped_once_before_the_group_ends() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, ended_at(&gate, ledger.value()));
        drop(task);
        join(&owner);
        assert_eq!(ledger.drops(), 1, "though a waker keeps the cell");
        threads.join();
        drop(gate);
        assert!(cell.is_gone());
    });
}

#[test]
fn a_value_is_kept_for_a_handle_that_comes_late() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (mut task, cell) = spawn(&owner, ended_at(&gate, ledger.value()));
        let early = poll_once(&mut task);
        join(&owner);
        assert_eq!(ledger.drops(), 0, "nothing finished is lost");
        drop(early);
        drop(task);
        assert_eq!(ledger.drops(), 1, "though a waker keeps the cell");
        threads.join();
        drop(gate);
        assert!(cell.is_gone());
    });
}

#[test]
fn a_runtime_that_goes_away_ends_a_child_that_is_being_woken() {
    model(|| {
        let (threads, ledger, gate) = (Threads::dying(1), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (task, cell) = spawn(&owner, ledger.future(gate.passed()));
        gate.open();
        join(&owner);
        assert!(matches!(outcome(task), Outcome::Completed(()) | Outcome::RuntimeGone));
        assert_eq!(ledger.drops(), 1);
        threads.join();
        assert!(cell.is_gone());
    });
}

#[test]
fn a_runtime_that_goes_away_ends_a_child_that_is_being_spawned() {
    model(|| {
        let (threads, ledger) = (Threads::dying(1), Ledger::new());
        let owner = open(&threads);
        let (first, _) = spawn(&owner, ledger.future(pending::<()>()));
        let (second, _) = spawn(&owner, ledger.future(ready(())));
        join(&owner);
        assert!(matches!(outcome(first), Outcome::RuntimeGone));
        assert!(matches!(outcome(second), Outcome::Completed(()) | Outcome::RuntimeGone));
        assert_eq!(ledger.drops(), 2);
        threads.join();
    });
}

#[test]
fn a_child_that_is_polled_while_another_driver_is_dropped_ends() {
    model(|| {
        let (threads, ledger, gate) = (Threads::dying(2), Ledger::new(), Gate::new());
        let owner = open(&threads);
        let (first, _) = spawn(&owner, ledger.future(gate.passed()));
        let (second, _) = spawn(&owner, ledger.future(gate.passed()));
        join(&owner);
        assert!(matches!(outcome(first), Outcome::RuntimeGone));
        assert!(matches!(outcome(second), Outcome::RuntimeGone));
        assert_eq!(ledger.drops(), 2);
        threads.join();
    });
}

#[test]
fn a_child_that_was_held_back_leaves_nothing_behind() {
    model(|| {
        let (threads, gate) = (Threads::new(), Gate::new());
        let owner = open_limited(&threads, 1);
        let (first, _) = spawn(&owner, ready(()));
        let (second, cell) = spawn(&owner, gate.passed());
        gate.open();
        join(&owner);
        assert!(outcome(first).is_completed() && outcome(second).is_completed());
        threads.join();
        assert!(cell.is_gone());
    });
}

#[test]
fn a_child_that_is_held_back_is_reached_by_a_request() {
    model(|| {
        let (threads, ledger, gate) = (Threads::new(), Ledger::new(), Gate::new());
        let owner = open_limited(&threads, 1);
        let (first, _) = spawn(&owner, gate.passed());
        let (second, cell) = spawn(&owner, ledger.future(pending::<()>()));
        second.cancel();
        assert!(outcome(second).is_cancelled(), "though there is no room for it");
        assert_eq!((ledger.polls(), ledger.drops()), (0, 1));
        gate.open();
        join(&owner);
        assert!(outcome(first).is_completed());
        threads.join();
        assert!(cell.is_gone());
    });
}
