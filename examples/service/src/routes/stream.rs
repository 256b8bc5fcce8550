//! A response that is written while it is read.

use super::{Answer, Query};
use crate::app::App;
use crate::body::Reply;
use crate::request::Problem;
use anyscope::{CancelToken, GroupHandle, interval, race, stopping};
use http_body_util::channel::{SendError, Sender};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use std::time::Duration;

/// Starts the writer, a child of the connection. It ends with its last chunk, with its client, or with the service.
pub(super) fn stream(app: &App, connection: &GroupHandle, query: &Query) -> Answer {
    let chunks = query.number("chunks").unwrap_or(10);
    let every = Duration::from_millis(query.number("every").unwrap_or(100).max(1));
    let client = CancelToken::new();
    let (sender, body) = Reply::stream(client.clone().drop_guard());
    let alive = app.counts.streams.enter();
    let writer = async move {
        let _alive = alive;
        let stop = async {
            stopping().await;
            Ok(())
        };
        // An error, either one, is a client that has gone: there is nobody to tell.
        let _ = client.run(race((write(sender, chunks, every), stop))).await;
    };
    match connection.spawn(writer) {
        Ok(_) => Ok(Response::new(body)),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the connection is closing")),
    }
}

async fn write(mut sender: Sender<Bytes>, chunks: u64, every: Duration) -> Result<(), SendError> {
    let mut ticks = interval(every);
    for chunk in 0..chunks {
        ticks.tick().await;
        sender.send_data(format!("{chunk}\n").into()).await?;
    }
    Ok(())
}
