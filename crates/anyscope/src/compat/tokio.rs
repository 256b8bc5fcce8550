//! The parts of tokio by which an application structures its work, with its names and behaviour, on the runtime around the
//! caller: see [`Current`](crate::Current).
//!
//! Behind the feature `compat-tokio`. For applications that are there; new code has [`task_group`](crate::task_group),
//! whose tasks have an owner. The two mix: a task that is spawned here can open a group, and the other way round.
//!
//! A task that is [spawned](spawn) here is detached, as it is on tokio. It outlives who spawned it, and no scope, deadline or
//! cancellation around the call reaches it; a panic is its handle's. Inside of [`run`](crate::run) it ends with that at the
//! latest: when its body has ended, an idle task is dropped, and a poll or a blocking closure that is under way is waited
//! for. In an application that is on a runtime by itself, it is a task of that runtime.
//!
//! [`sync`], [`select!`], [`join!`] and [`try_join!`] are tokio's own: they need no runtime of tokio's. On the simulator,
//! write `biased;` first in a [`select!`]: without, it begins at a branch that no seed decides.
//!
//! # Examples
//!
//! ```
//! use anyscope::compat::tokio::{self, sync::mpsc, time::{sleep, Duration}};
//!
//! anyscope::run(anyscope::smol::Smol::new(), async {
//!     let (orders, mut taken) = mpsc::channel(8);
//!     let kitchen = tokio::spawn(async move {
//!         let mut dishes = Vec::new();
//!         while let Some(order) = taken.recv().await {
//!             sleep(Duration::from_millis(1)).await;
//!             dishes.push(format!("cooked {order}"));
//!         }
//!         dishes
//!     });
//!     orders.send("soup").await.unwrap();
//!     drop(orders);
//!     assert_eq!(kitchen.await.unwrap(), ["cooked soup"]);
//! });
//! ```

pub mod task;
pub mod time;

// What the attributes call, and nobody else.
#[doc(hidden)]
pub mod __private;

#[doc(no_inline)]
pub use ::tokio::sync;
pub use ::tokio::{join, pin, select, try_join};

#[doc(inline)]
pub use anyscope_macros::{compat_tokio_main as main, compat_tokio_test as test};

#[doc(inline)]
pub use crate::__compat_tokio_task_local as task_local;

pub use self::task::spawn;
#[doc(no_inline)]
pub use self::task::{AbortHandle, JoinHandle, JoinSet};
#[doc(no_inline)]
pub use super::tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
