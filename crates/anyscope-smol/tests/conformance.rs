//! The laws, on smol's global executor and on one of the application's own.

mod global {
    anyscope_conformance::suite!(anyscope_smol::Smol::new());
}

mod owned {
    use async_executor::Executor;
    use std::sync::Arc;

    anyscope_conformance::suite!(anyscope_smol::Smol::with_executor(Arc::new(Executor::new())).threads(1));
}
