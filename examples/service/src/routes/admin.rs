//! For those who look after the service.

use super::{Answer, Query};
use crate::app::App;
use crate::body::Reply;
use crate::request::{Problem, count, json};
use anyscope::{Current, Semaphore};
use hyper::{Response, StatusCode};
use serde_json::json;

/// What is alive, what is held, and what was counted.
pub(super) fn state(app: &App) -> Response<Reply> {
    let counts = &app.counts;
    let requests = app.requests.statistics();
    let threads = app.threads.statistics();
    let state = json!({
        "runtime": Current::get().name(),
        "connections": counts.connections.now(),
        "requests": { "total": requests.total, "borrowed": requests.borrowed },
        "threads": { "total": threads.total, "borrowed": threads.borrowed, "waiting": threads.waiting },
        "store": { "lent": app.store.lent() },
        "streams": counts.streams.now(),
        "jobs": counts.jobs.now(),
        "answered": count(&counts.answered),
        "refused": count(&counts.refused),
        "late": count(&counts.late),
        "panicked": count(&counts.panicked),
        "abandoned": count(&counts.abandoned),
    });
    json(StatusCode::OK, &state)
}

/// The threads for sync handlers.
pub(super) fn limiter(app: &App) -> Response<Reply> {
    let threads = app.threads.statistics();
    let threads = json!({ "total": threads.total, "borrowed": threads.borrowed, "waiting": threads.waiting });
    json(StatusCode::OK, &threads)
}

/// So many from now on. Nobody who has one loses it; those who wait get the new ones at once.
pub(super) fn resize(app: &App, query: &Query) -> Answer {
    let total = query.number("total").and_then(|total| usize::try_from(total).ok());
    let total = total.filter(|&total| total <= Semaphore::MAX_PERMITS).ok_or_else(|| Problem::bad("total=N"))?;
    app.threads.set_total(total);
    Ok(limiter(app))
}
