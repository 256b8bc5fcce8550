//! The pages of the project's `docs` folder, and the front page, so that their examples are compiled and run.

#[doc = include_str!("../docs/adapter.md")]
pub mod adapter {}
#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}
#[doc = include_str!("../docs/design.md")]
pub mod design {}
#[doc = include_str!("../docs/glossary.md")]
pub mod glossary {}
#[doc = include_str!("../docs/laws.md")]
pub mod laws {}

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
mod readme {}
