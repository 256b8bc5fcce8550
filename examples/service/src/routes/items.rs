//! What clients store.

use super::{Answer, hex, id};
use crate::app::App;
use crate::request::{Problem, json};
use anyscope::{TaskGroup, unblock};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The largest item, in bytes.
const LARGEST: usize = 1 << 20;

/// Stores the body and hashes it, both at once: two children of the request.
pub(super) async fn add(app: &Arc<App>, group: &TaskGroup, body: Incoming) -> Answer {
    let body = Limited::new(body, LARGEST).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {LARGEST} bytes"))
        } else {
            Problem::bad(error.to_string())
        }
    })?;
    let text = String::from_utf8(body.to_bytes().into()).map_err(|error| Problem::bad(error.to_string()))?;
    let digest = group.spawn({
        let (text, threads) = (text.clone(), app.threads.clone());
        async move { unblock(move || hex(&Sha256::digest(text))).limiter(&threads).await }
    });
    let stored = group.spawn({
        let store = app.store.clone();
        async move { store.add(text).await }
    });
    Ok(json(StatusCode::CREATED, &json!({ "id": stored.await?, "sha256": digest.await })))
}

pub(super) async fn count(app: &App) -> Answer {
    Ok(json(StatusCode::OK, &json!({ "count": app.store.count().await? })))
}

pub(super) async fn one(app: &App, text: &str) -> Answer {
    match app.store.item(id(text)?).await? {
        Some(body) => Ok(json(StatusCode::OK, &json!({ "body": body }))),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("no item {text}"))),
    }
}
