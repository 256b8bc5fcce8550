//! The other service: it plays the one that requests fan out to, with delays and faults as its callers ask for.

use crate::client::TIMEOUT;
use crate::net::{Listener, Socket};
use crate::routes::Query;
use anyscope::{hyper::Timer, sleep, task_group};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use std::future::pending;
use std::io;
use std::time::Duration;

/// Serves until it is dropped.
pub(crate) async fn serve(listener: Listener) {
    task_group(async |connections| {
        loop {
            match listener.accept().await {
                Ok(socket) => drop(connections.task("upstream connection").spawn(connection(socket))),
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

async fn connection(socket: Socket) {
    // It ends with an error where the client left, or where it is to look as if this had crashed.
    let _ = http1::Builder::new().timer(Timer::new()).serve_connection(socket, service_fn(part)).await;
}

/// `/part/N?delay=MS&fault=hang|fail|reset`
async fn part(request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let query = Query::of(&request);
    sleep(Duration::from_millis(query.number("delay").unwrap_or(0))).await;
    let mut answer = Response::new(Full::default());
    match query.text("fault").as_deref() {
        Some("hang") => pending().await,
        Some("reset") => return Err(io::ErrorKind::ConnectionReset.into()),
        Some("fail") => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        _ => {
            let part = request.uri().path().rsplit('/').next();
            let told = request.headers().get(TIMEOUT).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            *answer.body_mut() = json!({ "part": part, "told_timeout_ms": told }).to_string().into();
        }
    }
    Ok(answer)
}
