//! What is true of tokio, and has to be of `anyscope::compat` on every runtime.
//!
//! The facts are in `compat/facts.rs`, which is here twice: with tokio's own crates, and with what takes their place. So a
//! difference shows as a fact that fails in one of the two. What only the second has to keep is in `compat/swapped.rs`.

/// Runs each fact on tokio itself.
mod on_tokio {
    use ::{tokio, tokio_util};

    macro_rules! facts {
        ($($fact:ident,)* @not_simulated $($slow:ident,)*) => {
            facts!($($fact,)* $($slow,)*);
        };
        ($($fact:ident,)*) => {$(
            mod $fact {
                #[test]
                fn multi_thread() {
                    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
                    runtime.unwrap().block_on(super::$fact());
                }

                #[test]
                fn current_thread() {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                    runtime.unwrap().block_on(super::$fact());
                }
            }
        )*};
    }

    include!("compat/facts.rs");
}

/// Runs each fact on every runtime.
mod swapped {
    use anyscope::compat::{tokio, tokio_util};

    macro_rules! facts {
        ($($fact:ident,)* @not_simulated $($slow:ident,)*) => {
            $(
                mod $fact {
                    facts!(@on $fact);

                    #[test]
                    fn sim() {
                        for seed in 0..8 {
                            anyscope::run(anyscope::sim::Sim::seed(seed), super::$fact());
                        }
                    }
                }
            )*
            $(
                mod $slow {
                    facts!(@on $slow);
                }
            )*
        };
        (@on $fact:ident) => {
            #[test]
            fn tokio() {
                anyscope::run(anyscope::tokio::Tokio::new(), super::$fact());
            }

            #[test]
            fn tokio_current_thread() {
                anyscope::run(anyscope::tokio::Tokio::current_thread(), super::$fact());
            }

            #[test]
            fn smol() {
                anyscope::run(anyscope::smol::Smol::new(), super::$fact());
            }

            #[test]
            fn async_std() {
                anyscope::run(anyscope::async_std::AsyncStd::new(), super::$fact());
            }
        };
    }

    include!("compat/facts.rs");
}

#[macro_use]
mod on_every_runtime;

#[path = "compat/swapped.rs"]
mod only_swapped;
