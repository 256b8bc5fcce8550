//! Time by the clock of the runtime around the caller: `tokio::time`.
//!
//! A timer's time begins when it is made, and not when it is first polled: that is tokio's way, and not that of
//! [`anyscope::sleep`](crate::sleep). Nor is a [`timeout`] here told to what is inside, as one of
//! [`anyscope`](crate::timeout())'s is: [`remaining`](crate::remaining) doesn't know of it, and a [`shield`](crate::shield)
//! inside doesn't hold it off.

pub mod error;
mod instant;
mod interval;
mod sleep;
mod timeout;

pub use self::instant::Instant;
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::timeout::{Timeout, timeout, timeout_at};
#[doc(no_inline)]
pub use std::time::Duration;
