//! An HTTP service as people write it, on any runtime: see the README beside this.
//!
//! From the outside in: [`serve`] opens what lives as long as the service, and closes it last; `server` accepts, one
//! child for each connection; `request` gives each request its limit, deadline and clean-up; `routes` answer.

#![forbid(unsafe_code)]

mod app;
mod body;
mod client;
mod net;
mod request;
mod routes;
mod server;
mod store;
mod upstream;

pub use crate::app::{Config, LeftOver, Ready, Report, serve};
pub use crate::net::Which;
