//! What `#[anyscope::test]` expands to, as far as it isn't in the expansion itself.

#[cfg(feature = "sim")]
pub use simulated::{AssertSuccess, Returned, simulate, simulate_until_a_panic};

#[cfg(feature = "sim")]
mod simulated {
    use anyscope_core::run;
    use anyscope_sim::{Explore, Sim};
    use std::env;
    use std::fmt::Debug;
    use std::future::Future;
    use std::ops::Range;
    use std::process::{ExitCode, Termination};

    /// The seeds of a test that says nothing of them.
    const ONE: Range<u64> = 0..1;

    /// Runs a test with each seed; says which one it was that failed, and how to have it again.
    pub fn simulate<F: Future>(seeds: Option<Range<u64>>, program: impl Fn() -> F) {
        let explore = Explore::new();
        let explore = match seeds {
            Some(seeds) => explore.seeds(seeds),
            // It reads the variable itself.
            None if env::var_os("ANYSCOPE_SEEDS").is_some() => explore,
            None => explore.seeds(ONE),
        };
        explore.run(program);
    }

    /// Runs a test with one seed after the other, until one panics. What has to panic isn't made smaller.
    pub fn simulate_until_a_panic<F: Future>(seeds: Option<Range<u64>>, program: impl Fn() -> F) {
        for seed in seeds.unwrap_or(ONE) {
            run(Sim::seed(seed), program());
        }
    }

    /// What a test returned. An error panics, inside of the run, so that it is told with the seed and that of one seed
    /// isn't lost in those of others.
    pub struct Returned<T>(pub T);

    impl<T: Termination, E: Debug> Returned<Result<T, E>> {
        /// Goes before the one of the trait, which would print an error for each run in the search for a short one.
        #[track_caller]
        pub fn assert_success(self) {
            match self.0 {
                Ok(value) => Returned(value).assert_success_of_any(),
                Err(error) => panic!("the test returned an error: {error:?}"),
            }
        }
    }

    impl<T: Termination> Returned<T> {
        #[track_caller]
        fn assert_success_of_any(self) {
            assert!(self.0.report() == ExitCode::SUCCESS, "the test returned an exit code that means a failure");
        }
    }

    /// For what isn't a `Result`.
    pub trait AssertSuccess {
        fn assert_success(self);
    }

    impl<T: Termination> AssertSuccess for Returned<T> {
        #[track_caller]
        fn assert_success(self) {
            self.assert_success_of_any();
        }
    }
}
