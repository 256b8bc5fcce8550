//! The same file, moved over.

use anyscope::compat::{tokio, tokio_util};

/// Runs each of the application's tests by the attribute, which is by its old name, and on every runtime.
#[cfg(test)]
macro_rules! tests {
    ($($test:ident,)*) => {$(
        mod $test {
            use super::tokio;

            #[tokio::test]
            async fn by_attribute() {
                super::$test().await;
            }

            #[test]
            fn tokio() {
                anyscope::run(anyscope::tokio::Tokio::new(), super::$test());
            }

            #[test]
            fn tokio_current_thread() {
                anyscope::run(anyscope::tokio::Tokio::current_thread(), super::$test());
            }

            #[test]
            fn smol() {
                anyscope::run(anyscope::smol::Smol::new(), super::$test());
            }

            #[test]
            fn async_std() {
                anyscope::run(anyscope::async_std::AsyncStd::new(), super::$test());
            }

            #[test]
            fn sim() {
                for seed in 0..8 {
                    anyscope::run(anyscope::sim::Sim::seed(seed), super::$test());
                }
            }
        }
    )*};
}

// The same file as in `original`: that is the point of it.
#[allow(dead_code, clippy::duplicate_mod, reason = "its `main` is called in one of them")]
#[path = "app.rs"]
pub(crate) mod app;
