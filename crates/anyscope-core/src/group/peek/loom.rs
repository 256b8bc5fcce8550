//! Models of a look from outside: against the end of what is looked at, and of the lists against those who put groups there.

use super::*;
use crate::group::TaskGroup;
use crate::group::core::{Kind, Surroundings};
use crate::group::owner::Owner;
use crate::models::{Ledger, Threads, block_on, model, model_bounded, thread};
use crate::runtime::DynRuntime;
use crate::time::yield_now;
use std::future::poll_fn;

fn open(threads: &Threads) -> Owner {
    Owner::root(DynRuntime::from(threads), Location::caller())
}

fn below(parent: &Arc<GroupCore>, threads: &Threads) -> Arc<GroupCore> {
    let around = Surroundings { group: Some(parent.clone()), ..Surroundings::default() };
    GroupCore::new(Kind::Scope, DynRuntime::from(threads), around, usize::MAX, None, Location::caller())
}

#[test]
fn a_look_sees_a_named_child_wherever_it_is_and_keeps_nothing_of_it() {
    model_bounded(3, || {
        let (threads, ledger) = (Threads::new(), Ledger::new());
        let owner = open(&threads);
        let child = ledger.future(yield_now());
        let handle = TaskGroup::<Threads>::of(owner.group.clone()).task("named").spawn(child);
        let id = handle.id();
        drop(handle);
        let looks = thread::spawn({
            let group = owner.group.clone();
            move || {
                for member in group.look().members {
                    assert_eq!(member.id, id);
                    // It has one whenever it is there: in its place, and in the hands of who polls it.
                    let seen = member.seen.expect("it has a name");
                    assert_eq!(seen.name.as_deref(), Some("named"));
                }
            }
        });
        block_on(poll_fn(|cx| owner.poll_join(cx)));
        assert_eq!(ledger.drops(), 1, "a look holds up no end");
        looks.join().unwrap();
        threads.join();
        assert_eq!(Arc::strong_count(&owner.group), 1, "nor does it keep a child, which would keep its group");
    });
}

#[test]
fn two_who_list_what_is_around_them_put_it_there_once() {
    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let middle = below(&owner.group, &threads);
        let inner = [below(&middle, &threads), below(&middle, &threads)];
        let [one, other] = inner.clone();
        let lists = thread::spawn(move || one.list());
        other.list();
        drop(other);
        lists.join().unwrap();
        assert_eq!(owner.group.below().len(), 1);
        assert_eq!(middle.below().len(), 2);
        drop(inner);
        assert_eq!(middle.below().len(), 0);
        drop(middle);
        assert_eq!(owner.group.below().len(), 0);
        drop(owner);
        threads.join();
    });
}

#[test]
fn a_group_that_goes_while_it_is_looked_for_is_there_or_not() {
    model(|| {
        let threads = Threads::new();
        let owner = open(&threads);
        let inner = below(&owner.group, &threads);
        inner.list();
        let goes = thread::spawn(move || drop(inner));
        let found = owner.group.below().len();
        assert!(found <= 1);
        goes.join().unwrap();
        assert_eq!(owner.group.below().len(), 0);
        drop(owner);
        threads.join();
    });
}
