//! The client of the upstream: one for the service, with a pool of connections that are children of the service's scope.

use crate::net::{Socket, Which};
use anyscope::hyper::{Executor, Timer};
use anyscope::{GroupHandle, remaining};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// How long a caller has, in milliseconds: from whoever asks this service, and to whom it asks.
pub(crate) const TIMEOUT: &str = "x-timeout-ms";

/// A client of the upstream. Dropped with the last request and job, it closes its connections.
pub(crate) struct Client {
    pool: Pool<Connector, Empty<Bytes>>,
    upstream: SocketAddr,
}

impl Client {
    /// Makes a client whose connections are children of `group`.
    pub(crate) fn new(which: Which, upstream: SocketAddr, group: GroupHandle) -> Self {
        let pool = Pool::builder(Executor::in_group(group))
            .timer(Timer::new())
            .pool_timer(Timer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(Connector { which, to: upstream });
        Self { pool, upstream }
    }

    /// Asks the upstream for `path`, and tells it how long the caller has.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, Failed> {
        let mut request = Request::get(format!("http://{}{path}", self.upstream));
        if let Some(remaining) = remaining() {
            request = request.header(TIMEOUT, remaining.as_millis().to_string());
        }
        let request = request.body(Empty::new()).map_err(Failed::of)?;
        let response = self.pool.request(request).await.map_err(Failed::of)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(Failed::of)?.to_bytes();
        if status == StatusCode::OK { Ok(body) } else { Err(Failed(status.to_string())) }
    }
}

/// Why the upstream gave no answer.
#[derive(Debug)]
pub(crate) struct Failed(String);

impl Failed {
    /// With what is behind the error: the outermost one of a client says little.
    fn of(error: impl Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failed {}

#[derive(Clone)]
struct Connector {
    which: Which,
    to: SocketAddr,
}

impl Service<Uri> for Connector {
    type Response = Socket;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { which, to } = *self;
        Box::pin(async move { which.connect(to).await })
    }
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
