use super::{Tally, join, pause, rest, threads};
use crate::group;
use crate::group::orphan::drained;
use crate::group::owner::Owner;
use crate::group::state::Role;
use crate::models::{Threads, block_on, poll_once, scenario};
use crate::runtime::DynRuntime;
use crate::task::TaskRef;
use std::panic::Location;

/// Four threads drop groups that nothing is around, with four children each, some of them in the middle of a poll, while
/// two more wait for whatever is left running by anybody. Who waits after a drop waits for all that it left.
///
/// No other scenario may leave anything to nobody: those who wait for it are known to the whole process.
#[test]
fn whatever_nobody_waits_for_is_drained() {
    scenario(|| {
        let (runtime, alive) = (Threads::parallel(2), Tally::default());
        let dropping = threads(4, {
            let runtime = runtime.clone();
            move |_| {
                let owner = Owner::root(DynRuntime::from(&runtime), Location::caller());
                let mine = Tally::default();
                for _ in 0..4 {
                    let (inside, also) = (mine.enter(), alive.enter());
                    let place = owner.group.reserve(Role::Child).unwrap();
                    drop(group::spawn(place, TaskRef::new(None, Location::caller()), async move {
                        let _inside = (inside, also);
                        for _ in 0..3 {
                            rest();
                            pause().await;
                        }
                    }));
                }
                rest();
                drop(owner);
                block_on(drained());
                assert_eq!(mine.get(), 0, "what was left before runs still");
            }
        });
        let waiting = threads(2, |_| {
            let mut leaving = drained();
            let _ = poll_once(&mut leaving);
            drop(leaving);
            block_on(drained());
        });
        join(dropping);
        join(waiting);
        runtime.join();
    });
}
