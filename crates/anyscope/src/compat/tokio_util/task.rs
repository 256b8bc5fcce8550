//! Handles to tasks: `tokio_util::task`.

mod abort_on_drop;
pub mod task_tracker;

pub use self::abort_on_drop::{AbortOnDrop, AbortOnDropHandle};
#[doc(no_inline)]
pub use self::task_tracker::TaskTracker;
