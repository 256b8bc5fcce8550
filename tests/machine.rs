//! Programs made of random bytes, beside their models: see `anyscope_tests::machine`.
//!
//! `PROPTEST_CASES` sets how many of each. A program that failed is kept in `proptest-regressions`, and run first from then
//! on. The programs that the fuzzers of `fuzz` found worth keeping are run as well.

use anyscope::sim::Sim;
use anyscope_tests::machine::{channel, permits, signals, tree};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::path::Path;
use std::{fmt, fs};

fn settings(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().expect("a number"));
    let kept = FileFailurePersistence::Direct(concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/machine.txt"));
    // Half a minute for what fails to become small: a tree that hangs takes its time each time.
    ProptestConfig {
        cases,
        max_shrink_iters: 100_000,
        max_shrink_time: 30_000,
        failure_persistence: Some(Box::new(kept)),
        ..ProptestConfig::default()
    }
}

fn program<P: fmt::Debug>(bytes: usize, read: impl Fn(&[u8]) -> P) -> impl Strategy<Value = P> {
    vec(any::<u8>(), 0..bytes).prop_map(move |bytes| read(&bytes))
}

proptest! {
    #![proptest_config(settings(10_000))]

    #[test]
    fn what_has_permits_is_as_its_model(program in program(300, permits::Program::read)) {
        program.run();
    }

    #[test]
    fn a_channel_is_as_its_model(program in program(300, channel::Program::read)) {
        program.run();
    }

    #[test]
    fn signals_are_as_their_models(program in program(300, signals::Program::read)) {
        program.run();
    }
}

proptest! {
    #![proptest_config(settings(2500))]

    /// The same history whatever the order of the tasks.
    #[test]
    fn a_tree_is_as_its_model(program in program(400, tree::Program::read), seed in any::<u64>()) {
        for sim in [Sim::new(), Sim::seed(seed), Sim::seed(!seed)] {
            program.run(sim);
        }
    }
}

/// Runs what a fuzzer found worth keeping.
fn corpus(of: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(of);
    let programs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!programs.is_empty());
    programs.iter().for_each(|program| run(&fs::read(program).unwrap()));
}

#[test]
fn the_corpus_of_what_has_permits_is_as_its_model() {
    corpus("permits", |bytes| permits::Program::read(bytes).run());
}

#[test]
fn the_corpus_of_channels_is_as_its_model() {
    corpus("channel", |bytes| channel::Program::read(bytes).run());
}

#[test]
fn the_corpus_of_signals_is_as_its_models() {
    corpus("signals", |bytes| signals::Program::read(bytes).run());
}

#[test]
fn the_corpus_of_trees_is_as_its_model() {
    corpus("tree", |bytes| {
        if let Some((seed, program)) = bytes.split_first_chunk() {
            tree::Program::read(program).run(Sim::seed(u64::from_le_bytes(*seed)));
        }
    });
}
