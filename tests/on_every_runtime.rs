//! One test on each runtime of a function that is given one.

macro_rules! on_every_runtime {
    ($($fact:ident,)*) => {$(
        mod $fact {
            #[test]
            fn tokio() {
                super::$fact(anyscope::tokio::Tokio::new());
            }

            #[test]
            fn tokio_current_thread() {
                super::$fact(anyscope::tokio::Tokio::current_thread());
            }

            #[test]
            fn smol() {
                super::$fact(anyscope::smol::Smol::new());
            }

            #[test]
            fn async_std() {
                super::$fact(anyscope::async_std::AsyncStd::new());
            }

            #[test]
            fn sim() {
                for seed in 0..8 {
                    super::$fact(anyscope::sim::Sim::seed(seed));
                }
            }
        }
    )*};
}
