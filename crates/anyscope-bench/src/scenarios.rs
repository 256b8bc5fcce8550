//! The scenarios of the table of targets. Each module is a few of them, and says what is equal and what isn't.

mod blocking;
mod cancel;
mod drop;
mod gather;
pub(crate) mod mix;
mod scale;
mod semaphore;
mod spawn;
mod time;

use crate::case::Case;

/// Every case, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    [
        spawn::cases(),
        gather::cases(),
        semaphore::cases(),
        cancel::cases(),
        time::cases(),
        drop::cases(),
        blocking::cases(),
        mix::cases(),
        scale::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The cases of one scenario, or all.
pub(crate) fn of(scenario: Option<&str>) -> Vec<Case> {
    let mut cases = all();
    cases.retain(|case| scenario.is_none_or(|wanted| case.scenario.eq_ignore_ascii_case(wanted)));
    cases
}
