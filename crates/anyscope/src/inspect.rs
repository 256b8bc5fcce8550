//! A page for a running service: its live task tree in a browser, as it changes.
//!
//! Each group and task that lives has a line: what it is called, what it does, what it waits for and who holds that, how old
//! it is, how often it was polled, where it was spawned. What is cancelled and what is stuck is marked, a search finds the
//! rest, and a click opens all that is known of a task. It is one document, by hand, that loads nothing from anywhere.
//!
//! [`serve`] is all that most services need: a service in one of their groups, which ends with it.
//!
//! ```no_run
//! use anyscope::{inspect, task_group};
//!
//! # async fn work() {}
//! anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
//!     // http://127.0.0.1:6670, for as long as the group has other work.
//!     g.task("inspect").spawn_service(inspect::serve("127.0.0.1:6670".parse().unwrap()));
//!     g.spawn(work());
//! }));
//! ```
//!
//! [`Inspector::builder`] has the settings: a port that the system picks, what counts as stuck, a title, a path. A service
//! that has a server and knows its users mounts the page there, by [`Inspector::respond`].
//!
//! # On which runtime
//!
//! [`Server::serve`] uses the sockets of the runtime around: tokio's on tokio, and those of the reactor that smol and
//! async-std have anyway on these. No second reactor is started, nor a thread. On any other runtime it is an error, and the
//! page is served by [`Inspector::serve_connection`] or [`Inspector::respond`]. The snapshots are made on the runtime's pool
//! for blocking work, one at a time, so that no task waits for them.
//!
//! # Who can see it
//!
//! The page shows names, source lines, messages of cancellations and what waits for what. It shows no data, and can't change
//! anything; yet a name may be the path of a request, so think of it as of a log. There is no password. So:
//!
//! - It listens on a loopback address alone, unless [`Builder::open_to_network`] says otherwise. All users of the machine can
//!   see it there. From elsewhere, use a tunnel: `ssh -L 6670:127.0.0.1:6670 host`.
//! - It answers only where the request is for a host that it knows: `localhost`, a loopback address, and what
//!   [`Builder::host`] adds. So a page from the internet can't reach it by a name that suddenly is 127.0.0.1.
//! - It answers only `GET`, and no other site may read or frame what it says.
//! - Names are text in the page, never markup: its policy forbids the browser every script and style but its own two, and
//!   every way by which text becomes markup.
//! - So many connections are served at a time ([`Builder::connections`]), and a client that is slow is cut off
//!   ([`Builder::patience`]).

mod net;
mod page;
mod patience;

use crate::hyper::Timer;
use crate::{Limiter, Outcome, Semaphore, gather, sleep, tree, unblock};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Serves the page at an address, which has to be a loopback one, with the settings that [`Inspector::builder`] begins with.
///
/// It never ends by itself but by an error: spawn it as a service of a group. Have [`tree::record`] called first in the
/// program, for the page to know all from the beginning.
///
/// # Cancel safety
///
/// Dropping the future closes the port and every connection.
///
/// # Errors
///
/// As [`Builder::bind`] and [`Server::serve`].
///
/// # Examples
///
/// ```
/// use anyscope::{inspect, task_group};
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     g.task("inspect").spawn_service(inspect::serve("127.0.0.1:0".parse().unwrap()));
/// })); // ends at once: there is nothing left but the page
/// ```
pub async fn serve(at: SocketAddr) -> io::Result<Infallible> {
    Inspector::builder().bind(at)?.serve().await
}

/// Answers a request for the page or its data, with the settings that [`Inspector::builder`] begins with.
///
/// For a server of one's own: see [`Inspector::respond`].
///
/// # Examples
///
/// ```
/// use anyscope::inspect;
///
/// let request = hyper::Request::get("/tree.json").header("host", "localhost").body(()).unwrap();
/// assert!(inspect::respond(&request).body().starts_with("{\"schema\":1,"));
/// ```
pub fn respond<B>(request: &Request<B>) -> Response<String> {
    static PLAIN: OnceLock<Inspector> = OnceLock::new();
    PLAIN.get_or_init(|| Inspector::builder().build()).respond(request)
}

/// The page, and who may see it. A clone is the same.
///
/// # Examples
///
/// Beside the routes of one's own server, behind whatever asks there who it is:
///
/// ```
/// use anyscope::inspect::Inspector;
/// use hyper::{Request, StatusCode};
///
/// let inspector = Inspector::builder().path("/debug/tasks").host("ops.example.org").build();
/// let request = Request::get("/debug/tasks").header("host", "ops.example.org").body(()).unwrap();
/// let response = inspector.respond(&request);
/// assert_eq!(response.status(), StatusCode::OK);
/// assert!(response.body().starts_with("<!doctype html>"));
/// ```
#[derive(Clone, Debug)]
pub struct Inspector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    page: String,
    path: String,
    hosts: Vec<String>,
    is_open: bool,
    patience: Duration,
    connections: Arc<Semaphore>,
    /// One snapshot at a time, whoever asks.
    snapshots: Limiter,
}

/// What is asked for, where it may be.
enum Asked {
    Page,
    Tree,
    /// It may not, or isn't there.
    Refused(StatusCode, &'static str),
}

impl Inspector {
    /// Returns the settings, to be changed.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Answers a request for the page or its data.
    ///
    /// The snapshot is made here and now: at 10,000 tasks, some ten milliseconds. Within a runtime call this by
    /// [`unblock`](crate::unblock()), or accept that.
    ///
    /// What isn't below [`Builder::path`] is a 404, what isn't a `GET` a 405, and what is for a host that isn't known a
    /// 403; see the [module](self) for who can see it.
    pub fn respond<B>(&self, request: &Request<B>) -> Response<String> {
        match self.asked(request) {
            Asked::Tree => json(tree().to_json()),
            other => self.plain(&other),
        }
    }

    /// Serves one connection, of whichever listener: a Unix socket, or one of a runtime that isn't known here.
    ///
    /// It ends with its client, or when the client is slow: see [`Builder::patience`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    ///
    /// # Errors
    ///
    /// What went wrong with the client. It is nobody else's affair.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::inspect::Inspector;
    /// use anyscope::task_group;
    /// use smol::io::{AsyncReadExt, AsyncWriteExt};
    /// use smol_hyper::rt::FuturesIo;
    ///
    /// # #[cfg(unix)]
    /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     let inspector = Inspector::builder().build();
    ///     let (mut client, stream) = smol::net::unix::UnixStream::pair()?;
    ///     g.spawn_service(async move { inspector.serve_connection(FuturesIo::new(stream)).await });
    ///     client.write_all(b"GET /tree.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    ///     let mut answer = String::new();
    ///     client.read_to_string(&mut answer).await?;
    ///     assert!(answer.starts_with("HTTP/1.1 200 OK"));
    ///     std::io::Result::Ok(())
    /// }))?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn serve_connection(&self, stream: impl Read + Write + Unpin) -> hyper::Result<()> {
        let service = service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(match self.asked(&request) {
                Asked::Tree => json(unblock(|| tree().to_json()).limiter(&self.0.snapshots).await),
                other => self.plain(&other),
            })
        });
        let mut server = http1::Builder::new();
        server.timer(Timer::new()).header_read_timeout(self.0.patience);
        server.serve_connection(patience::Patient::new(stream, self.0.patience), service).await
    }

    fn asked<B>(&self, request: &Request<B>) -> Asked {
        if !self.is_for_us(request) {
            return Asked::Refused(StatusCode::FORBIDDEN, "this page isn't for that host: see `Builder::host`\n");
        }
        if request.method() != Method::GET {
            return Asked::Refused(StatusCode::METHOD_NOT_ALLOWED, "there is nothing here but to GET\n");
        }
        match request.uri().path().strip_prefix(&*self.0.path) {
            Some("" | "/") => Asked::Page,
            Some("/tree.json") => Asked::Tree,
            _ => Asked::Refused(StatusCode::NOT_FOUND, "there is nothing here\n"),
        }
    }

    /// Against rebinding: a name that somebody else owns may become our address, but the browser goes on saying the name.
    fn is_for_us<B>(&self, request: &Request<B>) -> bool {
        let mut said = request.headers().get_all(header::HOST).iter();
        let host = match (said.next(), said.next(), request.uri().authority()) {
            (Some(host), None, None) => host.to_str().ok(),
            // Over HTTP/2 it is a part of the address.
            (None, None, Some(authority)) => Some(authority.as_str()),
            (Some(host), None, Some(authority)) => host.to_str().ok().filter(|host| *host == authority.as_str()),
            _ => None,
        };
        host.and_then(without_port).is_some_and(|host| self.knows(host))
    }

    fn knows(&self, host: &str) -> bool {
        let address = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'));
        match address.and_then(|address| address.parse::<IpAddr>().ok()) {
            // No one owns an address as one owns a name.
            Some(address) if address.is_loopback() || self.0.is_open => true,
            _ => std::iter::once("localhost")
                .chain(self.0.hosts.iter().map(|host| &**host))
                .any(|known| known.eq_ignore_ascii_case(host)),
        }
    }

    /// What needs no snapshot.
    fn plain(&self, asked: &Asked) -> Response<String> {
        match asked {
            Asked::Page => answer(StatusCode::OK, "text/html; charset=utf-8", self.0.page.clone()),
            Asked::Tree => json(String::new()),
            Asked::Refused(status, why) => {
                let mut response = answer(*status, "text/plain; charset=utf-8", (*why).to_owned());
                if *status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
                }
                response
            }
        }
    }
}

/// `host:port` or `host`, where an address with colons stands in brackets.
fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.rfind(']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    (port.is_empty() || is_port(port)).then_some(name)
}

fn json(tree: String) -> Response<String> {
    answer(StatusCode::OK, "application/json", tree)
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        // No other site may have it as a script or a picture, and none that opens it in a window may touch that.
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Settings of the page. Made by [`Inspector::builder`].
///
/// # Examples
///
/// ```
/// use anyscope::inspect::Inspector;
/// use anyscope::task_group;
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let page = Inspector::builder().title("shop").longest_poll(Duration::from_millis(200));
///     let server = page.bind("127.0.0.1:0".parse().unwrap())?;
///     println!("look at http://{}", server.address());
///     g.task("inspect").spawn_service(server.serve());
///     // .. and the work.
///     std::io::Result::Ok(())
/// }))?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    title: String,
    path: String,
    hosts: Vec<String>,
    is_open: bool,
    connections: usize,
    patience: Duration,
    stuck: page::Stuck,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            title: "anyscope".to_owned(),
            path: String::new(),
            hosts: Vec::new(),
            is_open: false,
            connections: 64,
            patience: Duration::from_secs(10),
            stuck: page::Stuck {
                in_poll: Duration::from_secs(1),
                ready: Duration::from_secs(2),
                cancelling: Duration::from_secs(10),
            },
        }
    }
}

impl Builder {
    /// Sets what the page is called: the service's name, to tell several apart.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the path below which a server of one's own has it, as in `/debug/tasks`. Without it, that is the root.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into().trim_end_matches('/').to_owned();
        self
    }

    /// Adds a name by which requests may ask for it, beside `localhost` and the loopback addresses: without a port.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Lets it be bound to an address that isn't a loopback one, and be asked for by any address: everybody who reaches the
    /// machine can see it then. Names have to be [added](Self::host) still.
    #[must_use]
    pub fn open_to_network(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Sets how many connections are served at a time: 64, where it isn't called. More of them wait their turn in the
    /// system's queue.
    ///
    /// # Panics
    ///
    /// Where it is none.
    #[must_use]
    #[track_caller]
    pub fn connections(mut self, connections: usize) -> Self {
        assert!(connections > 0, "a page for no connection at all");
        self.connections = connections;
        self
    }

    /// Sets how long a client may be silent before its next request, and how long it may leave untaken what is sent to it:
    /// ten seconds, where it isn't called. After that its connection is closed.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how long a poll may take: one that has taken longer marks its task as stuck. A second, where it isn't called.
    #[must_use]
    pub fn longest_poll(mut self, after: Duration) -> Self {
        self.stuck.in_poll = after;
        self
    }

    /// Sets how long a task may be woken and not be polled, before it is marked as stuck: two seconds, where it isn't called.
    #[must_use]
    pub fn longest_ready(mut self, after: Duration) -> Self {
        self.stuck.ready = after;
        self
    }

    /// Sets how long a task may live that is cancelled, and not shielded, before it is marked as stuck: ten seconds, where it
    /// isn't called.
    #[must_use]
    pub fn longest_end(mut self, after: Duration) -> Self {
        self.stuck.cancelling = after;
        self
    }

    /// Makes the page, for a server of one's own, and has what it shows [written down](tree::record) from now on.
    #[must_use]
    pub fn build(self) -> Inspector {
        tree::record();
        Inspector(Arc::new(Inner {
            page: page::page(&self.title, &self.stuck),
            path: self.path,
            hosts: self.hosts,
            is_open: self.is_open,
            patience: self.patience,
            connections: Arc::new(Semaphore::new(self.connections)),
            snapshots: Limiter::new(1),
        }))
    }

    /// Opens a port for it, and has what it shows [written down](tree::record) from now on. Port 0 takes one that is free.
    ///
    /// # Errors
    ///
    /// Where the port can't be had, or isn't one of a loopback address: see [`open_to_network`](Self::open_to_network).
    pub fn bind(self, at: SocketAddr) -> io::Result<Server> {
        if !(at.ip().is_loopback() || self.is_open) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{at} is no loopback address: `Builder::open_to_network` shows the page to everybody"),
            ));
        }
        let port = TcpListener::bind(at)?;
        Ok(Server { address: port.local_addr()?, port, inspector: self.build() })
    }
}

/// The page behind a port of its own. Made by [`Builder::bind`].
#[derive(Debug)]
pub struct Server {
    port: TcpListener,
    address: SocketAddr,
    inspector: Inspector,
}

impl Server {
    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is dropped: spawn it as a service of a group.
    ///
    /// Its connections are children of a group inside, named `inspect`, and end with it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the port and every connection.
    ///
    /// # Errors
    ///
    /// Where the runtime around has no sockets that are known here, or there is none. What goes wrong with a client is no
    /// error of the server.
    pub async fn serve(self) -> io::Result<Infallible> {
        let Self { port, inspector, .. } = self;
        let listener = net::Listener::new(port)?;
        let group = crate::TaskGroup::builder().name("inspect");
        let serving = group.run(async |connections| {
            loop {
                // A place first: who doesn't get one waits in the system's queue, and costs nothing here.
                let Ok(place) = inspector.0.connections.acquire_arc().await else { unreachable!("it is never closed") };
                match listener.accept().await {
                    Ok(stream) => {
                        let inspector = inspector.clone();
                        connections.task("connection").spawn(async move {
                            let _place = place;
                            // A panic is of this connection alone: a page to look at a service doesn't end it.
                            let served = gather([inspector.serve_connection(stream)]).settled().await.pop();
                            if let Some(Outcome::Panicked(panic)) = served {
                                eprintln!("the page of anyscope panicked: {}", panic.message());
                            }
                        });
                    }
                    // A client that left at once, or no more file descriptors: the next may do better, a little later.
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        });
        serving.await
    }
}
