//! A client with one connection.

use anyscope::hyper::Executor;
use anyscope::{GroupHandle, timeout};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::RETRY_AFTER;
use hyper::rt::Executor as _;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longer than any answer takes: what takes longer is lost.
const LOST: Duration = Duration::from_secs(60);

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) says_when: bool,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Client {
    /// Connects; the connection is a child of `group`, and ends with the client.
    pub(crate) async fn connect(address: SocketAddr, group: &GroupHandle) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Executor::in_group(group.clone()).execute(connection);
        Ok(Self { sender })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, "").await
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: &'static str) -> Result<Answer> {
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        let request = Request::builder().method(method).uri(path).header("host", "x").body(body)?;
        timeout(LOST, async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), says_when: head.headers.contains_key(RETRY_AFTER), body })
        })
        .await?
    }
}
