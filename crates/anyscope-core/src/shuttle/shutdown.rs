use super::{Tally, pause, rest, threads};
use crate::group::shutdown::stopping;
use crate::group::{TaskGroup, task_group};
use crate::models::{Gate, Threads, scenario};
use crate::run::run;
use std::time::Duration;

/// Twelve children hear of a shutdown without grace, in groups of their own or not, or don't listen, while another
/// thread spawns more and a third asks for the same: when it is told, all are gone, and the stragglers are of them.
#[test]
fn a_shutdown_ends_all_and_names_the_stragglers() {
    scenario(|| {
        let (runtime, alive, gate) = (Threads::parallel(3), Tally::default(), Gate::new());
        let others = run(
            runtime.clone(),
            task_group(async |g: &TaskGroup<Threads>| {
                for number in 0..12 {
                    let (inside, passed) = (alive.enter(), gate.passed());
                    drop(g.spawn(async move {
                        let _inside = inside;
                        match number % 3 {
                            0 => stopping().await,
                            1 => task_group(async |_: &TaskGroup<Threads>| stopping().await).await,
                            _ => passed.await,
                        }
                    }));
                }
                pause().await;
                let handle = g.handle();
                let others = threads(2, move |number| {
                    rest();
                    if number == 0 {
                        drop(handle.spawn(stopping()));
                    } else {
                        drop(handle.shutdown(Duration::ZERO));
                    }
                });
                let stragglers = g.shutdown(Duration::ZERO).await;
                assert_eq!(alive.get(), 0);
                assert!((4..=13).contains(&stragglers.len()), "none that never stop is forgotten: {stragglers}");
                others
            }),
        );
        super::join(others);
        runtime.join();
    });
}
