//! N1: the same at one, and at a million at a time: children, tokens, waiters, timers.
//!
//! What is asked is that a million cost, each, what a thousand do.

use super::{semaphore, spawn, time};
use crate::case::{Case, plain};
use crate::runtimes::On;
use anyscope::CancelToken;
use tokio_util::sync::CancellationToken;

const SIZES: [usize; 6] = [1, 100, 1_000, 10_000, 100_000, 1_000_000];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(SIZES.map(|size| spawn::few(case("children", On::TokioCurrentThread, size), size)));
    cases.extend(SIZES.map(tokens));
    cases.extend(SIZES.map(|size| semaphore::waiters(case("waiters", On::Nothing, size), size)));
    cases.extend(SIZES.map(|size| time::outstanding_equal(case("timers", On::TokioCurrentThread, size), size)));
    cases
}

fn case(what: &str, on: On, size: usize) -> Case {
    let case = Case::new("N1", format!("{what}-{size}"), on, size).together();
    if size > 1_000 { case.no_dearer_than(format!("{what}-1000")) } else { case }
}

/// Children of one token, which live at the same time.
fn tokens(size: usize) -> Case {
    case("tokens", On::Nothing, size)
        .subject("anyscope", "a tree; a reason and a deadline", move || {
            plain(move || {
                let root = CancelToken::new();
                let mut children = Vec::with_capacity(size);
                children.extend((0..size).map(|_| root.child()));
                children
            })
        })
        .subject("tokio-util", "a tree; no reason, no deadline", move || {
            plain(move || {
                let root = CancellationToken::new();
                let mut children = Vec::with_capacity(size);
                children.extend((0..size).map(|_| root.child_token()));
                children
            })
        })
}
