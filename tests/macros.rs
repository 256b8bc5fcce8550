//! The attributes, as users write them; and what the tests that they make say of themselves, in processes of their own.

#![deny(warnings, clippy::pedantic)]
#![forbid(unsafe_code)]

use anyscope::Current;
use std::process::{Command, Output};

/// Set where a test that is to fail runs as one that another has started. Without it such a test passes.
const FAILING: &str = "ANYSCOPE_TESTS_FAILING";

const RUNTIMES: [(&str, &str); 5] = [
    ("tokio", "tokio"),
    ("tokio_current_thread", "tokio-current-thread"),
    ("smol", "smol"),
    ("async_std", "async-std"),
    ("sim", "sim"),
];

/// Runs tests of this file, by the whole name of one or the beginning of several, in a process of their own.
fn test(arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for variable in ["ANYSCOPE_SEEDS", "ANYSCOPE_REPLAY", "RUST_BACKTRACE", "RUST_TEST_THREADS"] {
        command.env_remove(variable);
    }
    let Output { status, stdout, stderr } =
        command.args(arguments).envs(variables.iter().copied()).output().expect("this is a program");
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

fn passes(name: &str) -> String {
    let (passed, said) = test(&["--exact", name, "--nocapture"], &[]);
    assert!(passed && said.contains("1 passed"), "{name}: {said}");
    said
}

fn fails(name: &str) -> String {
    let (passed, said) = test(&["--exact", name, "--nocapture"], &[(FAILING, "1")]);
    assert!(!passed && said.contains("1 failed"), "{name}: {said}");
    said
}

fn is_to_fail() -> bool {
    std::env::var_os(FAILING).is_some()
}

/// The name of the runtime around.
#[anyscope::test]
async fn says_where_it_runs() {
    println!("on {}.", Current::get().name());
}

#[test]
fn each_test_runs_on_the_runtime_that_it_is_named_after() {
    for (test, runtime) in RUNTIMES {
        let said = passes(&format!("says_where_it_runs::{test}"));
        assert!(said.contains(&format!("on {runtime}.")), "{said}");
    }
}

mod chosen {
    use super::*;

    #[anyscope::test(runtimes(smol, tokio_current_thread))]
    async fn on_two() {}

    #[anyscope::test(except(sim, smol))]
    async fn on_all_but_two() {}

    #[anyscope::test]
    #[cfg(any())]
    async fn nowhere() {
        this_is_not_compiled();
    }

    #[anyscope::test(runtimes(sim))]
    #[cfg_attr(all(), ignore = "for a reason", allow(non_snake_case))]
    #[cfg_attr(any(), should_panic)]
    async fn ignored_And_odd() {
        unreachable!("this is ignored");
    }

    #[anyscope::test(runtimes(sim))]
    #[expect(unused_variables)]
    async fn r#match() {
        let unused = 1;
    }

    #[test]
    fn a_test_is_made_for_what_was_asked_and_nothing_else() {
        let (_, listed) = test(&["--list", "chosen::"], &[]);
        let made = listed
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .filter(|name| name.matches("::").count() == 2);
        let mut listed: Vec<&str> = made.collect();
        listed.sort_unstable();
        let expected = [
            "chosen::ignored_And_odd::sim",
            "chosen::on_all_but_two::async_std",
            "chosen::on_all_but_two::tokio",
            "chosen::on_all_but_two::tokio_current_thread",
            "chosen::on_two::smol",
            "chosen::on_two::tokio_current_thread",
            "chosen::r#match::sim",
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn a_test_that_is_ignored_says_why() {
        let (passed, said) = test(&["--exact", "chosen::ignored_And_odd::sim"], &[]);
        assert!(passed && said.contains("ignored, for a reason") && said.contains("1 ignored"), "{said}");
    }
}

/// Tests that are written by a macro: what it was given comes in brackets that nobody sees.
mod written {
    macro_rules! test {
        ($name:ident, $returned:ty, $body:block) => {
            #[anyscope::test(timeout = "1m")]
            async fn $name() -> $returned $body
        };
    }

    test!(by_a_macro, Result<(), std::fmt::Error>, {
        anyscope::yield_now().await;
        Ok(())
    });

    test!(that_returns_nothing, (), {
        anyscope::yield_now().await;
    });
}

mod outcomes {
    use super::*;
    use std::num::ParseIntError;
    use std::process::ExitCode;

    #[anyscope::test]
    async fn an_error_fails() -> Result<(), ParseIntError> {
        let text = if is_to_fail() { "seven" } else { "7" };
        assert_eq!(text.parse::<u32>()?, 7);
        Ok(())
    }

    #[anyscope::test]
    async fn an_exit_code_fails() -> ExitCode {
        if is_to_fail() { ExitCode::from(3) } else { ExitCode::SUCCESS }
    }

    #[anyscope::test]
    async fn an_exit_code_in_a_result_fails() -> Result<ExitCode, ParseIntError> {
        Ok(if is_to_fail() { ExitCode::from(3) } else { ExitCode::SUCCESS })
    }

    #[anyscope::test]
    #[should_panic(expected = "as it has to")]
    async fn a_panic_that_is_wanted_passes() {
        anyscope::yield_now().await;
        assert!(is_to_fail(), "as it has to");
    }

    #[anyscope::test(runtimes(sim), seeds = 40)]
    #[should_panic(expected = "in some order")]
    async fn a_panic_with_one_of_the_seeds_is_enough() {
        println!("a run");
        assert!(seeds::is_other_order().await, "in some order");
    }

    #[test]
    fn a_test_fails_by_what_it_returns() {
        for (runtime, _) in RUNTIMES {
            passes(&format!("outcomes::an_error_fails::{runtime}"));
            let said = fails(&format!("outcomes::an_error_fails::{runtime}"));
            assert!(said.contains("ParseIntError { kind: InvalidDigit }"), "{said}");
            for name in ["an_exit_code_fails", "an_exit_code_in_a_result_fails"] {
                passes(&format!("outcomes::{name}::{runtime}"));
                fails(&format!("outcomes::{name}::{runtime}"));
            }
        }
    }

    #[test]
    fn a_panic_is_expected_where_it_was_said() {
        for (runtime, _) in RUNTIMES {
            passes(&format!("outcomes::a_panic_that_is_wanted_passes::{runtime}"));
            let said = fails(&format!("outcomes::a_panic_that_is_wanted_passes::{runtime}"));
            assert!(said.contains("test did not panic as expected"), "{said}");
        }
        let runs = passes("outcomes::a_panic_with_one_of_the_seeds_is_enough::sim").matches("a run\n").count();
        assert!((2..40).contains(&runs), "{runs} runs: the first seed doesn't panic, and what does is the last one");
    }
}

mod seeds {
    use super::*;
    use anyscope::sim::Sim;
    use anyscope::{Runtime as _, task_group, yield_now};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Whether the later of two children came first.
    pub(super) async fn is_other_order() -> bool {
        let turn = Arc::new(AtomicU32::new(0));
        task_group(async |g| {
            let [first, second] = [(); 2].map(|()| {
                let turn = turn.clone();
                g.spawn(async move {
                    yield_now().await;
                    turn.fetch_add(1, Ordering::SeqCst)
                })
            });
            first.await > second.await
        })
        .await
    }

    #[anyscope::test(runtimes(sim))]
    async fn unsaid() {
        println!("a run with {:?}", Sim::detect().unwrap());
    }

    #[anyscope::test(seeds = 12, runtimes(sim))]
    async fn twelve() {
        println!("a run with {:?}", Sim::detect().unwrap());
    }

    #[anyscope::test(seed = 9, runtimes(sim))]
    async fn the_ninth() {
        println!("a run with {:?}", Sim::detect().unwrap());
    }

    #[anyscope::test(seeds = 40)]
    async fn depends_on_the_order() {
        assert!(!is_to_fail() || !is_other_order().await, "the order was another");
    }

    #[anyscope::test(seeds = 40, runtimes(sim))]
    async fn returns_an_error_in_some_order() -> Result<(), &'static str> {
        if is_to_fail() && is_other_order().await { Err("the order was another") } else { Ok(()) }
    }

    fn runs(said: &str) -> Vec<&str> {
        said.lines().filter(|line| line.starts_with("a run with")).collect()
    }

    #[test]
    fn a_test_runs_with_as_many_seeds_as_it_says() {
        let said = passes("seeds::twelve::sim");
        let mut twelve = runs(&said);
        assert_eq!(twelve.len(), 12, "{said}");
        twelve.dedup();
        assert_eq!(twelve.len(), 12, "each with its own: {said}");

        let said = passes("seeds::the_ninth::sim");
        assert_eq!(runs(&said), ["a run with Sim { source: Seed(9), .. }"]);
    }

    #[test]
    fn a_test_that_says_nothing_of_seeds_runs_with_one_or_as_many_as_the_variable_says() {
        assert_eq!(runs(&passes("seeds::unsaid::sim")).len(), 1);
        let with_three = |name| test(&["--exact", name, "--nocapture"], &[("ANYSCOPE_SEEDS", "3")]).1;
        assert_eq!(runs(&with_three("seeds::unsaid::sim")).len(), 3);
        assert_eq!(runs(&with_three("seeds::twelve::sim")).len(), 12);
    }

    #[test]
    fn a_seed_that_fails_is_named_and_can_be_had_again() {
        for name in ["seeds::depends_on_the_order::sim", "seeds::returns_an_error_in_some_order::sim"] {
            let said = fails(name);
            assert!(
                said.contains("anyscope-sim: failed with seed ") && said.contains("the order was another"),
                "{said}"
            );
            // The order that is searched for is known by its panic, and not by what each attempt prints.
            assert_eq!(said.matches("the order was another").count(), 1, "{said}");
            let (_, rest) = said.split_once("ANYSCOPE_REPLAY=\"").expect("it says how to have it again");
            let (replay, _) = rest.split_once('"').unwrap();
            let variables = [(FAILING, "1"), ("ANYSCOPE_REPLAY", replay)];
            let (passed, said) = test(&["--exact", name, "--nocapture"], &variables);
            assert!(!passed && said.contains("the order was another") && !said.contains("failed with seed"), "{said}");
        }
    }
}

mod timeouts {
    use super::*;
    use anyscope::{is_cancelled, now, remaining, sleep, unblock};
    use std::future::pending;
    use std::time::Duration;

    #[anyscope::test(timeout = "20ms")]
    #[should_panic(expected = "the test `what_hangs_fails` took longer than 20ms")]
    async fn what_hangs_fails() {
        pending::<()>().await;
    }

    /// The closure ends when the time is over, and its value is kept: to `timeout`, this has ended well. On the simulator
    /// it would end in that very instant, and so not too late.
    #[anyscope::test(timeout = "20ms", except(sim))]
    #[should_panic(expected = "the test `what_ends_too_late_fails` took longer than 20ms")]
    async fn what_ends_too_late_fails() {
        let job = unblock(|| {
            while !is_cancelled() {
                std::thread::yield_now();
            }
        });
        job.await;
    }

    #[anyscope::test(timeout = "1m 30s")]
    async fn what_ends_in_time_passes() -> Result<(), ()> {
        let left = remaining().ok_or(())?;
        assert!(left > Duration::ZERO && left <= Duration::from_secs(90));
        Ok(())
    }

    #[anyscope::test(timeout = "24h", seeds = 2, runtimes(sim))]
    async fn on_the_simulator_it_is_virtual_time() {
        let begun = now();
        sleep(Duration::from_secs(23 * 3600)).await;
        assert_eq!(now() - begun, Duration::from_secs(23 * 3600));
    }

    #[test]
    fn a_timeout_is_told_with_the_line_that_it_is_on() {
        let line =
            include_str!("macros.rs").lines().position(|line| line.contains("test(timeout = \"20ms\")]")).unwrap();
        for (runtime, _) in RUNTIMES {
            let said = passes(&format!("timeouts::what_hangs_fails::{runtime}"));
            assert!(said.contains(&format!("macros.rs:{}:", line + 1)), "{said}");
        }
    }
}

mod programs {
    use anyscope::Current;
    use std::error::Error;
    use std::num::ParseIntError;

    /// Says where it runs, and what it has read.
    #[anyscope::main(runtime = "tokio")]
    pub(super) async fn on_tokio(/* nothing */) -> Result<(&'static str, u32), ParseIntError> {
        let read = "7".parse()?;
        Ok((Current::get().name(), read))
    }

    #[anyscope::main(runtime = "tokio-current-thread")]
    async fn on_one_thread() -> Result<&'static str, Box<dyn Error>> {
        "7".parse::<u32>()?;
        Ok(Current::get().name())
    }

    #[anyscope::main(runtime = "smol")]
    async fn on_smol() -> impl std::fmt::Display {
        Current::get().name()
    }

    #[anyscope::main(runtime = "async-std")]
    async fn on_async_std() -> &'static str {
        Current::get().name()
    }

    #[anyscope::main(runtime = "sim")]
    async fn on_sim() -> &'static str {
        Current::get().name()
    }

    #[anyscope::main(runtime = "smol", crate = "crate::renamed")]
    async fn by_another_name() {}

    #[test]
    fn a_program_runs_where_it_says_and_returns_what_it_says() {
        assert_eq!(on_tokio(), Ok(("tokio", 7)));
        assert_eq!(on_one_thread().unwrap(), "tokio-current-thread");
        assert_eq!(on_smol().to_string(), "smol");
        assert_eq!(on_async_std(), "async-std");
        assert_eq!(on_sim(), "sim");
        by_another_name();
    }
}

mod renamed {
    pub(crate) use anyscope::*;

    #[anyscope::test(crate = "crate::renamed", timeout = "1h", seeds = 2)]
    async fn by_a_path() -> Result<(), ()> {
        Ok(())
    }

    mod within {
        use super::super::renamed;

        #[anyscope::test(crate = "renamed", timeout = "1h", seeds = 2)]
        async fn by_a_path_from_here() -> Result<(), ()> {
            Ok(())
        }
    }
}

/// The attributes of the compatibility layer, on a stand-in for it.
mod compat {
    use anyscope_macros::{compat_tokio_main, compat_tokio_test};
    use std::num::ParseIntError;

    mod stand_in {
        pub(super) mod compat {
            pub(crate) mod tokio {
                pub(crate) mod __private {
                    pub(crate) fn on_many_threads<F: Future>(future: F) -> F::Output {
                        anyscope::run(anyscope::smol::Smol::new(), future)
                    }

                    pub(crate) fn on_one_thread<F: Future>(future: F) -> F::Output {
                        anyscope::run(anyscope::sim::Sim::new(), future)
                    }
                }
            }
        }
    }

    #[compat_tokio_main(crate = "stand_in")]
    async fn main() -> Result<&'static str, ParseIntError> {
        "7".parse::<u32>()?;
        Ok(anyscope::Current::get().name())
    }

    #[compat_tokio_main(flavor = "multi_thread", worker_threads = 2, crate = "stand_in")]
    async fn with_arguments<T: Send>(given: T, mut count: u32) -> (T, u32) {
        count += 1;
        (given, count)
    }

    #[compat_tokio_test(flavor = "current_thread", start_paused = false, crate = "stand_in")]
    async fn a_test_of_tokios_runs() -> Result<(), ParseIntError> {
        assert_eq!(anyscope::Current::get().name(), "sim");
        "7".parse::<u32>().map(drop)
    }

    #[compat_tokio_test(flavor = "multi_thread", crate = "stand_in")]
    async fn a_test_of_tokios_may_have_many_threads() {
        assert_eq!(anyscope::Current::get().name(), "smol");
    }

    #[compat_tokio_main(flavor = "current_thread", crate = "stand_in")]
    async fn on_one_thread() -> &'static str {
        anyscope::Current::get().name()
    }

    #[compat_tokio_test(crate = "stand_in")]
    #[should_panic(expected = "wanted")]
    async fn a_test_of_tokios_may_have_to_panic() {
        panic!("wanted");
    }

    #[test]
    fn a_program_of_tokios_runs() {
        assert_eq!(main(), Ok("smol"));
        assert_eq!(on_one_thread(), "sim");
        assert_eq!(with_arguments("a", 1), ("a", 2));
    }
}

/// As the runtimes write their own names.
#[anyscope::test(runtimes(tokio-current-thread, async-std))]
async fn hyphens_do_for_underscores() {
    assert!(["tokio-current-thread", "async-std"].contains(&Current::get().name()));
}
