//! The laws, on both flavours of tokio.

mod multi_thread {
    anyscope_conformance::suite!(anyscope_tokio::Tokio::new());
}

mod current_thread {
    anyscope_conformance::suite!(anyscope_tokio::Tokio::current_thread());
}
