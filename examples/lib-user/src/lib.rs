#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backoff;
mod builder;
mod error;
mod fetcher;
mod transport;

pub use crate::backoff::Backoff;
pub use crate::builder::Builder;
pub use crate::error::FetchError;
pub use crate::fetcher::Fetcher;
pub use crate::transport::Transport;
