use super::{below, join, one_in, threads};
use crate::gather::gather;
use crate::models::{Gate, Ledger, Threads, block_on, poll_once, scenario};
use crate::race::race;
use std::pin::Pin;
use std::sync::Arc;

type Boxed = Pin<Box<dyn Future<Output = usize> + Send>>;

fn behind(gates: &[Gate], ledger: &Ledger) -> Vec<Boxed> {
    let behind = |(number, gate): (usize, &Gate)| -> Boxed {
        let passed = ledger.future(gate.passed());
        Box::pin(async move {
            passed.await;
            number
        })
    };
    gates.iter().enumerate().map(behind).collect()
}

fn gates(number: usize) -> Arc<[Gate]> {
    (0..number).map(|_| Gate::new()).collect()
}

/// Sixteen futures are gathered, six at a time, while four tasks open the gates that they wait at, each all of them in
/// an order of its own. Every value comes, in its place, and nothing is polled without a wake.
#[test]
fn wakes_from_all_sides_reach_a_gather() {
    scenario(|| {
        let (gates, ledger) = (gates(16), Ledger::new());
        let opening = threads(4, {
            let gates = gates.clone();
            move |_| {
                let from = below(gates.len());
                for gate in gates[from..].iter().chain(&gates[..from]) {
                    gate.open();
                }
            }
        });
        let values = block_on(gather::<Threads, _, _>(behind(&gates, &ledger)).limit(6));
        assert_eq!(values, (0..16).collect::<Vec<_>>());
        assert_eq!(ledger.drops(), 16);
        assert!(ledger.polls() <= 2 * 16, "the first, and one for the one wake of each");
        join(opening);
    });
}

/// Twelve futures are gathered or raced, and dropped while wakes come from four tasks, polled or not: all of them are
/// gone at once.
#[test]
fn a_set_that_is_dropped_among_wakes_keeps_nothing() {
    scenario(|| {
        let (gates, ledger) = (gates(12), Ledger::new());
        let opening = threads(4, {
            let gates = gates.clone();
            move |_| {
                for _ in 0..6 {
                    gates[below(gates.len())].open();
                }
            }
        });
        let futures = behind(&gates, &ledger);
        if one_in(2) {
            let winner = block_on(race(futures));
            assert!(winner < 12);
        } else {
            let mut gather = Box::pin(gather::<Threads, _, _>(futures).into_future());
            for _ in 0..below(4) {
                if poll_once(&mut gather).is_ready() {
                    break;
                }
            }
            drop(gather);
        }
        assert_eq!(ledger.drops(), 12);
        join(opening);
    });
}
