//! The attributes of anyscope. Depend on `anyscope`, which has them as `anyscope::main` and `anyscope::test` under its
//! feature `macros`, one of its defaults.

#![forbid(unsafe_code)]

mod attributes;
mod compat;
mod duration;
mod function;
mod main_fn;
mod options;
mod runtime;
mod test_fn;

use proc_macro::TokenStream;
use runtime::Enabled;

/// Makes of an `async fn main` a program that runs on a runtime, to its end and to that of everything that it started.
///
/// What is left is a `fn main` with the same name, visibility, attributes and return type, whose body is
/// `anyscope::run(runtime, ..)` with the function's future. It goes on functions of other names too.
///
/// For a runtime with settings of its own, call `anyscope::run` in a plain `fn main`. A library needs neither.
///
/// # Options
///
/// - `runtime = ".."`: the runtime, one of those whose feature of `anyscope` is enabled.
///
///   | name | runtime | feature |
///   |---|---|---|
///   | `"tokio"` | `anyscope::tokio::Tokio::new()` | `tokio` |
///   | `"tokio_current_thread"` | `anyscope::tokio::Tokio::current_thread()` | `tokio` |
///   | `"smol"` | `anyscope::smol::Smol::new()` | `smol` |
///   | `"async_std"` | `anyscope::async_std::AsyncStd::new()` | `async-std` |
///   | `"sim"` | `anyscope::sim::Sim::new()` | `sim` |
///
///   A hyphen does for an underscore. Without this option it is the one runtime that is compiled in; with `tokio`, the
///   multi-threaded one. Where there are more, that is an error, and none of them is chosen: features are united over
///   everything that is built together, so another package or a dev-dependency may enable one more, and a program isn't to
///   change its runtime without a word. A program that is built with others names its runtime. The simulator is chosen by
///   its name alone.
/// - `crate = ".."`: the path of `anyscope`, where it has another name.
///
/// # Panics
///
/// With a panic of the function.
///
/// # Errors
///
/// What the function returns is what `main` returns, so `?` works as in any `fn main`.
///
/// # Examples
///
/// ```
/// use anyscope::gather;
/// use std::num::ParseIntError;
///
/// #[anyscope::main(runtime = "smol")]
/// async fn main() -> Result<(), ParseIntError> {
///     let numbers = gather(["1", "2"].map(async |text| text.parse::<u32>())).await;
///     let mut sum = 0;
///     for number in numbers {
///         sum += number?;
///     }
///     assert_eq!(sum, 3);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    main_fn::expand(arguments.into(), item.into(), Enabled::HERE).into()
}

/// Makes of an `async fn` one test for each runtime that is compiled in.
///
/// The test `pays_once` becomes `pays_once::tokio`, `pays_once::tokio_current_thread`, `pays_once::smol`,
/// `pays_once::async_std` and `pays_once::sim`, as far as the features of `anyscope` are enabled: plain `#[test]`s in a
/// module beside the function, for any runner of tests. `cargo test pays_once::` runs all of them, `cargo test ::smol`
/// everything on smol. A library depends on `anyscope` without these features, and enables them below
/// `[dev-dependencies]`.
///
/// That module has the test's name. So a test can't have the name of a module or a type beside it: `async fn parser()` next
/// to `mod parser` is an error (E0428), and a `parser` that comes by `use super::*` is hidden.
///
/// A test has ended when its function has, and everything that it started: see `anyscope::run`. On the simulator it fails
/// as well where everybody waits for ever, and where it leaves a task or a permit behind.
///
/// The function may return a `Result`, or what else std takes from a test: an error fails. `#[should_panic]` and `#[ignore]`
/// go to the tests, `#[cfg]` to the function and to them, all other attributes to the function. A test that is
/// `#[should_panic]` returns nothing, as with std.
///
/// # Options
///
/// - `runtimes(tokio, smol)`: on these and no others. One whose feature isn't enabled is an error, and isn't left out: a test
///   that doesn't run can't fail. Where a package's own features choose, `#[cfg(feature = "smol")]` leaves out the test. A
///   hyphen does for an underscore.
/// - `except(sim)`: on all that are compiled in, but these; for what needs a real clock or a thread of its own, say. At most
///   one of `runtimes` and `except`.
/// - `seeds = 100`: on the simulator, with so many seeds, from 0 on. Without it there is one, or as many as the variable
///   `ANYSCOPE_SEEDS` says. The first seed that fails is named, and so is a short form of its order:
///   with the line `ANYSCOPE_REPLAY=".."` that is printed, the test runs that order once more. A test that is
///   `#[should_panic]` passes with the first seed that panics, and reads neither `ANYSCOPE_SEEDS` nor `ANYSCOPE_REPLAY`.
/// - `seed = 7`: on the simulator, with this one.
/// - `timeout = "5s"`: without it, a test that hangs on a real runtime hangs. With it, the test fails where it takes longer: in `ms`, `s`, `m`, `h`, or several of them, as in `"1m 30s"`. On
///   the simulator it is virtual time, for each seed. It is an `anyscope::timeout` around the function: inside,
///   `anyscope::remaining` tells of it, and what the function started is ended with it. It strikes between two polls, so it
///   doesn't end a poll that goes on, a blocking closure that runs, or a `shield` before its budget is spent. These are
///   waited for, and the test fails afterwards. One that never ends (a loop without an `await`, a lock of std's that nobody
///   gives back) is left to the limits of the runner of tests.
/// - `crate = ".."`: the path of `anyscope`, where it has another name.
///
/// `seeds` and `seed` need the feature `sim`, and say nothing about the other runtimes.
///
/// # Examples
///
/// ```rust,test_harness
/// use anyscope::{sleep, task_group, timeout};
/// use std::num::ParseIntError;
/// use std::time::Duration;
///
/// #[anyscope::test]
/// async fn children_are_joined() {
///     let sum = task_group(async |g| {
///         let (one, two) = (g.spawn(async { 1 }), g.spawn(async { 2 }));
///         one.await + two.await
///     })
///     .await;
///     assert_eq!(sum, 3);
/// }
///
/// // On each runtime within five seconds, and on the simulator in a hundred orders.
/// #[anyscope::test(timeout = "5s", seeds = 100)]
/// async fn numbers_are_read() -> Result<(), ParseIntError> {
///     let read = task_group(async |g| g.spawn(async { "7".parse::<u32>() }).await).await?;
///     assert_eq!(read, 7);
///     Ok(())
/// }
///
/// // In no time: the simulator's clock jumps.
/// #[anyscope::test(runtimes(sim))]
/// async fn a_day_is_too_long() {
///     let day = sleep(Duration::from_secs(24 * 3600));
///     assert!(timeout(Duration::from_secs(3600), day).await.is_err());
/// }
///
/// #[anyscope::test]
/// #[should_panic(expected = "no such user")]
/// async fn a_user_has_to_be_there() {
///     panic!("no such user");
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test_fn::expand(arguments.into(), item.into(), Enabled::HERE).into()
}

/// Makes of an `async fn main` with tokio's attribute a program on anyscope, through `anyscope::compat::tokio`.
///
/// It takes tokio's options: `flavor`, `worker_threads`, `crate`, which here is the path of `anyscope`. The flavor
/// is kept where the program runs on tokio; on another runtime, and in its number, the threads are the runtime's affair.
/// `start_paused = true` is an error: see the simulator.
#[proc_macro_attribute]
pub fn compat_tokio_main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    compat::main(arguments.into(), item.into()).into()
}

/// Makes of an `async fn` with tokio's attribute a test on anyscope, through `anyscope::compat::tokio`.
///
/// The options are those of [`macro@compat_tokio_main`].
#[proc_macro_attribute]
pub fn compat_tokio_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    compat::test(arguments.into(), item.into()).into()
}
