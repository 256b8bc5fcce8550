//! The pages of the project's `docs` folder, and the front page, so that their examples are compiled and run.

#[doc = include_str!("../docs/adapter.md")]
pub mod adapter {}
// Its applications are on tokio, and on smol.
#[cfg(any(not(doctest), all(feature = "tokio", feature = "smol")))]
#[doc = include_str!("../docs/adoption.md")]
pub mod adoption {}
#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}
// It is about a feature.
#[cfg(any(not(doctest), all(feature = "compat-tokio", feature = "smol")))]
#[doc = include_str!("../docs/compat.md")]
pub mod compat {}
#[doc = include_str!("../docs/design.md")]
pub mod design {}
#[cfg(any(not(doctest), all(feature = "macros", feature = "tokio")))]
#[doc = include_str!("../docs/errors.md")]
pub mod errors {}
#[doc = include_str!("../docs/glossary.md")]
pub mod glossary {}
// It is about a feature.
#[cfg(any(not(doctest), all(feature = "inspect", feature = "smol")))]
#[doc = include_str!("../docs/inspect.md")]
pub mod inspect {}
#[doc = include_str!("../docs/laws.md")]
pub mod laws {}
// Its tests are for every runtime, and the simulator.
#[cfg(any(
    not(doctest),
    all(feature = "macros", feature = "tokio", feature = "smol", feature = "async-std", feature = "sim")
))]
#[doc = include_str!("../docs/library.md")]
pub mod library {}
#[doc = include_str!("../docs/migration.md")]
pub mod migration {
    // Their programs are on the runtimes that they are about.
    #[cfg(any(not(doctest), feature = "tokio"))]
    #[doc = include_str!("../docs/migration/anyio.md")]
    pub mod anyio {}
    #[cfg(any(not(doctest), all(feature = "async-std", feature = "smol")))]
    #[doc = include_str!("../docs/migration/async-std.md")]
    pub mod async_std {}
    #[cfg(any(not(doctest), feature = "tokio"))]
    #[doc = include_str!("../docs/migration/futures.md")]
    pub mod futures {}
    #[cfg(any(not(doctest), feature = "tokio"))]
    #[doc = include_str!("../docs/migration/tokio.md")]
    pub mod tokio {}
}
// It is about several features, and prints by a subscriber.
#[cfg(any(
    not(doctest),
    all(feature = "trace", feature = "tracing", feature = "dump", feature = "smol", feature = "sim")
))]
#[doc = include_str!("../docs/observability.md")]
pub mod observability {}
#[doc = include_str!("../docs/performance.md")]
pub mod performance {}
#[doc = include_str!("../docs/reliability.md")]
pub mod reliability {}
// Its tests are on the simulator.
#[cfg(any(not(doctest), all(feature = "macros", feature = "sim")))]
#[doc = include_str!("../docs/simulator.md")]
pub mod simulator {}
#[doc = include_str!("../docs/sync.md")]
pub mod sync {}
#[doc = include_str!("../docs/tree-json.md")]
pub mod tree_json {}

#[cfg(all(doctest, feature = "macros", feature = "tokio", feature = "sim"))]
#[doc = include_str!("../README.md")]
mod readme {}
