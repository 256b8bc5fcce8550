//! One request that makes eight.

use super::{Answer, Query};
use crate::app::App;
use crate::request::json;
use anyscope::gather;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

const PARTS: u64 = 8;

/// Asks the upstream for eight parts, `limit` at a time, each within `each` milliseconds, and answers with what came:
/// in the order of the parts, an error where there is none. The deadline of the whole request is around them all, and
/// goes along with each.
pub(super) async fn fan_out(app: &App, query: &Query) -> Answer {
    let each = Duration::from_millis(query.number("each").unwrap_or(500));
    let limit = query.number("limit").and_then(|limit| limit.try_into().ok()).unwrap_or(4).max(1);
    let delay = query.number("delay").unwrap_or(2);
    let has_faults = query.number("faults").is_some();
    let calls = (0..PARTS).map(|part| async move {
        let fault = match part {
            2 if has_faults => "&fault=fail",
            3 if has_faults => "&fault=hang",
            5 if has_faults => "&fault=reset",
            _ => "",
        };
        app.client.get(&format!("/part/{part}?delay={delay}{fault}")).await
    });
    let answers = gather(calls).limit(limit).timeout_each(each).await;
    let parts: Vec<Value> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok(Ok(body)) => serde_json::from_slice(&body).unwrap_or_else(|error| json!({ "error": error.to_string() })),
            Ok(Err(error)) => json!({ "error": error.to_string() }),
            Err(elapsed) => json!({ "error": elapsed.to_string() }),
        })
        .collect();
    let missing = parts.iter().filter(|part| part.get("error").is_some()).count();
    Ok(json(StatusCode::OK, &json!({ "missing": missing, "parts": parts })))
}
