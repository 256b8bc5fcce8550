//! The routes: which there are, and the short ones.

mod admin;
mod fan_out;
mod items;
mod jobs;
mod stream;

use crate::app::App;
use crate::body::Reply;
use crate::request::{Problem, json};
use anyscope::{GroupHandle, TaskGroup, blocking, is_cancelled, remaining, sleep};
use form_urlencoded::parse;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

type Answer = Result<Response<Reply>, Problem>;

const HELP: &str = "\
GET  /hello                       an async handler
GET  /hash?rounds=N               a sync handler, on a thread of its own, of which there are so many
GET  /slow?ms=N                   takes so long; see x-timeout-ms
GET  /panic                       what a handler that panics does to the others: nothing
POST /items                       stores the body, and hashes it meanwhile
GET  /items                       how many there are
GET  /items/ID                    one
GET  /fan-out?each=MS&limit=N&delay=MS&faults=1
                                  eight calls of the upstream, in order, bounded, each with a timeout of its own
GET  /stream?chunks=N&every=MS    as it comes, until the client goes
POST /jobs?steps=N&every=MS       answers at once, and goes on
GET  /jobs/ID                     accepted, or how it ended
GET  /admin/state                 what is alive, held and counted
GET  /admin/limiter               the threads for sync handlers
PUT  /admin/limiter?total=N       so many from now on

x-timeout-ms: N                   gives the request so long, and whatever it asks others for
";

/// Answers a request. `group` ends with the request, `connection` with its client.
pub(crate) async fn route(
    app: &Arc<App>,
    group: &TaskGroup,
    connection: &GroupHandle,
    request: Request<Incoming>,
) -> Answer {
    let query = Query::of(&request);
    let path = request.uri().path().to_owned();
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, [""]) => Ok(Response::new(Reply::whole(HELP))),
        (&Method::GET, ["hello"]) => Ok(Response::new(Reply::whole("hello\n"))),
        (&Method::GET, ["hash"]) => hash(app, &query).await,
        (&Method::GET, ["slow"]) => slow(&query).await,
        (&Method::GET, ["panic"]) => panic!("as it was asked to"),
        (&Method::POST, ["items"]) => items::add(app, group, request.into_body()).await,
        (&Method::GET, ["items"]) => items::count(app).await,
        (&Method::GET, ["items", id]) => items::one(app, id).await,
        (&Method::GET, ["fan-out"]) => fan_out::fan_out(app, &query).await,
        (&Method::GET, ["stream"]) => stream::stream(app, connection, &query),
        (&Method::POST, ["jobs"]) => jobs::start(app, &query).await,
        (&Method::GET, ["jobs", id]) => jobs::state(app, id).await,
        (&Method::GET, ["admin", "state"]) => Ok(admin::state(app)),
        (&Method::GET, ["admin", "limiter"]) => Ok(admin::limiter(app)),
        (&Method::PUT, ["admin", "limiter"]) => admin::resize(app, &query),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, format!("no {} {path}", request.method()))),
    }
}

/// A sync handler: plain code that takes a thread as long as it runs.
fn hash_rounds(rounds: u64) -> Option<String> {
    let mut digest = Sha256::digest(b"anyscope");
    for _ in 0..rounds {
        // A thread can't be stopped from outside. It asks whether anybody still waits.
        if is_cancelled() {
            return None;
        }
        digest = Sha256::digest(digest);
    }
    Some(hex(&digest))
}

/// Sync handlers and async ones mix: `blocking` makes one of the other, on as many threads as the limiter has just now.
async fn hash(app: &App, query: &Query) -> Answer {
    let handler = blocking(hash_rounds);
    match handler(query.number("rounds").unwrap_or(1)).limiter(&app.threads).await {
        Some(digest) => Ok(json(StatusCode::OK, &json!({ "sha256": digest }))),
        None => Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "nobody waits any more")),
    }
}

async fn slow(query: &Query) -> Answer {
    let had = remaining();
    sleep(Duration::from_millis(query.number("ms").unwrap_or(100))).await;
    Ok(json(StatusCode::OK, &json!({ "had_ms": had.map(millis) })))
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::bad(format!("{text:?} is no id")))
}

/// What stands behind the `?`.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self(parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    /// What isn't a number counts as nothing.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}
