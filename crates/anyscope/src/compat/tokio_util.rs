//! The parts of tokio-util that belong to [`compat::tokio`](super::tokio), by their paths.

/// tokio-util's own: they need no runtime.
pub mod sync {
    pub use ::tokio_util::sync::*;
}

pub mod task;
