//! What `#[anyscope::test]` expands to, as far as it isn't in the expansion itself.

#[cfg(feature = "sim")]
pub use simulated::{Returned, simulate, simulate_until_a_panic};

#[cfg(feature = "sim")]
mod simulated {
    use anyscope_core::run;
    use anyscope_sim::{Explore, Sim};
    use std::env;
    use std::fmt::Debug;
    use std::future::Future;
    use std::ops::{Deref, DerefMut, Range};
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

    /// What a test returned. An error panics, inside of the run, so that it is told with its seed.
    ///
    /// The expansion doesn't know the type. Of the two methods of one name, a `Result` has its own, which says what the error
    /// is, where std would print it for each run in the search for a short one; for anything else, it is the one behind the
    /// `Deref`.
    pub struct Returned<T>(Other<T>);

    pub struct Other<T>(Option<T>);

    impl<T> Returned<T> {
        pub fn new(value: T) -> Self {
            Self(Other(Some(value)))
        }
    }

    impl<T: Termination, E: Debug> Returned<Result<T, E>> {
        #[track_caller]
        pub fn assert_success(&mut self) {
            match self.0.0.take() {
                Some(Err(error)) => panic!("the test returned an error: {error:?}"),
                Some(Ok(value)) => Other(Some(value)).assert_success(),
                None => {}
            }
        }
    }

    impl<T: Termination> Other<T> {
        #[track_caller]
        pub fn assert_success(&mut self) {
            if let Some(value) = self.0.take() {
                assert!(value.report() == ExitCode::SUCCESS, "the test returned an exit code that means a failure");
            }
        }
    }

    impl<T> Deref for Returned<T> {
        type Target = Other<T>;

        fn deref(&self) -> &Other<T> {
            &self.0
        }
    }

    impl<T> DerefMut for Returned<T> {
        fn deref_mut(&mut self) -> &mut Other<T> {
            &mut self.0
        }
    }
}
