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
