//! The laws, on async-std.

anyscope_conformance::suite!(anyscope_async_std::AsyncStd::new());
