//! The programs of the design's page, on every runtime, and inside the runtimes' own tasks.

use anyscope::async_std::AsyncStd;
use anyscope::smol::Smol;
use anyscope::tokio::Tokio;
use std::sync::Arc;

#[test]
fn on_tokio_multi_thread() {
    anyscope::run(Tokio::new(), anyscope_tests::all());
}

#[test]
fn on_tokio_current_thread() {
    anyscope::run(Tokio::current_thread(), anyscope_tests::all());
}

#[test]
fn on_smol() {
    anyscope::run(Smol::new(), anyscope_tests::all());
}

#[test]
fn on_an_executor_that_the_application_owns() {
    let executor = Arc::new(async_executor::Executor::new());
    anyscope::run(Smol::with_executor(executor), anyscope_tests::all());
}

#[test]
fn on_async_std() {
    anyscope::run(AsyncStd::new(), anyscope_tests::all());
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_of_a_tokio_task() {
    tokio::spawn(anyscope_tests::all()).await.unwrap();
}

#[tokio::test]
async fn inside_of_a_tokio_current_thread_task() {
    tokio::spawn(anyscope_tests::all()).await.unwrap();
}

#[test]
fn inside_of_a_smol_task() {
    smol::block_on(smol::spawn(anyscope_tests::all()));
}

#[test]
fn inside_of_an_async_std_task() {
    async_std::task::block_on(async_std::task::spawn(anyscope_tests::all()));
}

/// A program of 200 KB, on the 2 MiB that a thread has. Moved from frame to frame of a debug build, it overflowed.
#[test]
fn a_big_program_fits_on_a_small_stack() {
    fn on(runtime: impl anyscope::Runtime) {
        let small = std::thread::Builder::new().stack_size(2 << 20);
        let program = || async {
            let mut big = [0_u8; 200 << 10];
            anyscope::yield_now().await;
            big[100] = 1;
            big.iter().map(|byte| u32::from(*byte)).sum::<u32>()
        };
        let ran = small.spawn(move || anyscope::run(runtime, program())).unwrap();
        assert_eq!(ran.join().unwrap(), 1);
    }
    on(Tokio::new());
    on(Tokio::current_thread());
    on(Smol::new());
    on(AsyncStd::new());
    on(anyscope::sim::Sim::new());
}
