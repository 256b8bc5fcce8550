//! What [hyper](https://docs.rs/hyper/1) asks of a runtime: see [`Executor`] and [`Timer`].
//!
//! Both work on the runtime around, whichever it is. The third thing that hyper asks for is a socket, and that is of the
//! runtime: [`hyper_util::rt::TokioIo`](https://docs.rs/hyper-util/0.1/hyper_util/rt/struct.TokioIo.html) makes a
//! connection of one of tokio's, and
//! [`smol_hyper::rt::FuturesIo`](https://docs.rs/smol-hyper/0.1/smol_hyper/rt/struct.FuturesIo.html) of one of smol's or
//! async-std's. The example `service` has all three behind one function, and whatever else a server wants.
//!
//! A server over HTTP/1 needs no [`Executor`], only a [`Timer`] for its timeouts; hyper's features are `http1` and `server`:
//!
//! ```no_run
//! use anyscope::hyper::Timer;
//! use anyscope::{gather, task_group};
//! use hyper::body::Incoming;
//! use hyper::server::conn::http1;
//! use hyper::service::service_fn;
//! use hyper::{Request, Response};
//! use smol_hyper::rt::FuturesIo;
//! use std::convert::Infallible;
//!
//! // When a client leaves, hyper drops this future, and with it the groups and clean-ups in it have their turn.
//! async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
//!     Ok(Response::new("hello\n".to_owned()))
//! }
//!
//! anyscope::run(anyscope::smol::Smol::new(), task_group(async |connections| {
//!     let listener = smol::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     loop {
//!         let (stream, _) = listener.accept().await?;
//!         connections.spawn(async {
//!             let mut server = http1::Builder::new();
//!             let connection = server.timer(Timer::new()).serve_connection(FuturesIo::new(stream), service_fn(hello));
//!             // A panic of a child ends its group. Settled, it is this connection's alone.
//!             gather([connection]).settled().await
//!         });
//!     }
//!     # #[allow(unreachable_code)]
//!     std::io::Result::Ok(())
//! }))?;
//! # std::io::Result::Ok(())
//! ```

use crate::{Current, GroupHandle, Runtime, Sleep, sleep_until};
use anyscope_core::detached;
use hyper::rt;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use sync_wrapper::SyncWrapper;

/// Runs what hyper spawns: the streams of an HTTP/2 connection, the connections of a client.
///
/// [`in_group`](Self::in_group) makes them children of a group. So a connection lives as long as the group that it was given
/// to, and not longer: the group waits for it, and its cancellation ends it. Choose the group by who may use the connection.
/// For a server that is the connection's own group; for a client with a pool the group around all that use the client, which
/// drops the client when it is done: the connections end, and the group after them. A panic of a handler in there is one of a
/// child: it ends the group, and goes on in whoever owns that; see [`settled`](anyscope_core::Gather::settled), which keeps
/// it. What is handed over after the group has ended is dropped, as by an executor that
/// was shut down. A group with a limit is no place for connections: one over the limit would wait for its turn, and who
/// asks over it for the connection.
///
/// [`new`](Self::new) asks for no group, as the executors of other crates: its tasks belong to nobody, nobody waits for
/// them, and inside of [`run`](crate::run) they end with that at the latest.
///
/// # Examples
///
/// ```
/// use anyscope::hyper::Executor;
/// use anyscope::task_group;
/// use hyper::rt::Executor as _;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let executor = Executor::in_group(g.handle());
///     executor.execute(async { println!("a connection") });
/// })); // returns when the connection has ended
/// ```
#[derive(Clone, Debug, Default)]
pub struct Executor {
    group: Option<GroupHandle>,
}

impl Executor {
    /// Makes an executor whose tasks belong to nobody. It may be made anywhere, and is used inside of a runtime.
    #[must_use]
    pub fn new() -> Self {
        Self { group: None }
    }

    /// Makes an executor whose tasks are children of `group`.
    #[must_use]
    pub fn in_group(group: GroupHandle) -> Self {
        Self { group: Some(group) }
    }
}

impl<F> rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        match &self.group {
            // A group that has ended gives the future back. hyper has no place for it: here it is dropped.
            Some(group) => drop(group.spawn(future)),
            None => drop(detached::spawn::<Current, _>(future)),
        }
    }
}

/// Timers of the runtime around, for hyper's timeouts.
///
/// On the simulator they go by its virtual clock. Outside of any runtime the time is the system's, and a timer panics when it
/// is awaited.
///
/// # Examples
///
/// ```
/// use anyscope::hyper::Timer;
/// use hyper::server::conn::http1;
/// use std::time::Duration;
///
/// let mut server = http1::Builder::new();
/// server.timer(Timer::new()).header_read_timeout(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer(());

impl Timer {
    /// Makes a source of timers. It may be made anywhere; its timers are used inside of a runtime.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Alarm { sleep: SyncWrapper::new(crate::sleep(duration)) })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Alarm { sleep: SyncWrapper::new(sleep_until(deadline)) })
    }

    fn now(&self) -> Instant {
        // hyper-util asks in destructors, which may run anywhere.
        Current::try_current().map_or_else(|_| Instant::now(), |runtime| runtime.now())
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Alarm>() {
            // In place: hyper does this once a request.
            Some(alarm) => alarm.project().sleep.set(SyncWrapper::new(sleep_until(deadline))),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

pin_project! {
    struct Alarm {
        // hyper wants `Sync`, which no trait of ours asks of a runtime's timers.
        #[pin]
        sleep: SyncWrapper<Sleep>,
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.get_pin_mut().poll(cx)
    }
}

impl rt::Sleep for Alarm {}
