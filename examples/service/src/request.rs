//! One request: its permit, its deadline, its group, and what is done when its client leaves.

use crate::app::App;
use crate::body::Reply;
use crate::client::TIMEOUT;
use crate::routes;
use anyscope::{GroupHandle, Outcome, TaskGroup, gather, timeout, with_cleanup};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long the clean-up of an abandoned request may take.
const CLEANUP: Duration = Duration::from_secs(5);

/// Answers, whatever happens: too many requests are a 503, a late one a 504, one that panics a 500.
pub(crate) async fn answer(
    app: Arc<App>,
    connection: GroupHandle,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    // Who looks after the service gets in when it is full.
    let permit = if request.uri().path().starts_with("/admin/") {
        None
    } else if let Ok(permit) = app.requests.try_acquire_arc() {
        Some(permit)
    } else {
        add(&app.counts.refused);
        return Ok(busy("too many requests"));
    };
    let answer = answer_in_time(&app, connection, request).await;
    add(&app.counts.answered);
    // Held until the last byte is sent, or the client has gone.
    Ok(match permit {
        Some(permit) => answer.map(|body| body.holding(permit)),
        None => answer,
    })
}

async fn answer_in_time(app: &Arc<App>, connection: GroupHandle, request: Request<Incoming>) -> Response<Reply> {
    let name = format!("{} {}", request.method(), request.uri().path());
    let limit = match time_limit(app, &request) {
        Ok(limit) => limit,
        Err(problem) => return problem.into(),
    };
    let is_answered = Arc::new(AtomicBool::new(false));
    let work = async {
        let group = TaskGroup::builder().name(name.clone());
        let handler = group.run(async |group| routes::route(app, group, &connection, request).await);
        // Settled: a handler that panics takes neither its connection along nor the others.
        let outcome = gather([timeout(limit, handler)]).settled().await.pop();
        is_answered.store(true, Ordering::Relaxed);
        Ok::<_, Infallible>(outcome)
    };
    // Behind a shield, and adopted by the connection's group where the client has left: so it is done before the service
    // ends.
    let clean = {
        let (app, name, is_answered) = (app.clone(), name.clone(), is_answered.clone());
        async move {
            if !is_answered.load(Ordering::Relaxed) {
                add(&app.counts.abandoned);
                if let Err(error) = app.store.note_abandoned(name).await {
                    eprintln!("an abandoned request was not noted: {error}");
                }
            }
        }
    };
    match with_cleanup(work, clean, CLEANUP).await {
        Ok(Some(Outcome::Completed(Ok(Ok(answer))))) => answer,
        Ok(Some(Outcome::Completed(Ok(Err(problem))))) => problem.into(),
        Ok(Some(Outcome::Completed(Err(_)))) => {
            add(&app.counts.late);
            Problem::new(StatusCode::GATEWAY_TIMEOUT, format!("not done within {limit:?}")).into()
        }
        Ok(Some(Outcome::Panicked(panic))) => {
            add(&app.counts.panicked);
            eprintln!("{name} panicked: {}", panic.message());
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the handler panicked").into()
        }
        Ok(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping").into(),
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into(),
    }
}

/// How long the request may take: what its header says, if that is less than what the service allows.
fn time_limit(app: &App, request: &Request<Incoming>) -> Result<Duration, Problem> {
    let Some(value) = request.headers().get(TIMEOUT) else { return Ok(app.timeout) };
    let told = value.to_str().ok().and_then(|text| text.parse().ok());
    let told = told.ok_or_else(|| Problem::bad(format!("{TIMEOUT} isn't a number of milliseconds")))?;
    Ok(Duration::from_millis(told).min(app.timeout))
}

/// The answer to what is over the limit.
pub(crate) fn busy(what: &str) -> Response<Reply> {
    let mut answer: Response<Reply> = Problem::new(StatusCode::SERVICE_UNAVAILABLE, what).into();
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

pub(crate) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn count(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Reply> {
    let mut answer = Response::new(Reply::whole(format!("{value}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    text: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl From<Problem> for Response<Reply> {
    fn from(problem: Problem) -> Self {
        json(problem.status, &json!({ "error": problem.text }))
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.text)
    }
}
