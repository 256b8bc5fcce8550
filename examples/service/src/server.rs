//! Connections: one child each, which ends with its client, or after its request when the service stops.

use crate::app::{App, Live};
use crate::net::{Listener, Socket};
use crate::request;
use anyscope::hyper::Timer;
use anyscope::{CancelToken, Outcome, TaskGroup, gather, race, sleep, stopping, task_group};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a client has, when the service stops, for the last bytes of an answer or of the head of a request: it is no
/// straggler, and the service doesn't wait for it.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Accepts until `stop` is cancelled, and closes the port then.
pub(crate) async fn accept(app: &Arc<App>, connections: &TaskGroup, listener: Listener, stop: &CancelToken) {
    loop {
        let accept = async { Some(listener.accept().await) };
        let stop = async {
            stop.cancelled().await;
            None
        };
        match race((accept, stop)).await {
            Some(Ok(socket)) => drop(connections.task("connection").spawn(connection(app.clone(), socket))),
            Some(Err(error)) => {
                // A client that left at once, or no more file descriptors: the next may do better, a little later.
                eprintln!("no connection: {error}");
                sleep(Duration::from_millis(20)).await;
            }
            None => return,
        }
    }
}

/// Serves one client. What goes wrong with it is its affair: nobody else's connection ends with it.
async fn connection(app: Arc<App>, socket: Socket) {
    let _alive = app.counts.connections.enter();
    let served = gather([serve(&app, socket)]).settled().await.pop();
    if let Some(Outcome::Panicked(panic)) = served {
        eprintln!("a connection panicked: {}", panic.message());
    }
}

/// hyper drops the future of a request whose client has gone, and with it everything that the request does. What a
/// response needs while it is sent is a child of this connection's group.
async fn serve(app: &Arc<App>, socket: Socket) {
    task_group(async |group| {
        let (handle, requests) = (group.handle(), Live::default());
        let service = service_fn(|request| {
            let (app, handle, alive) = (app.clone(), handle.clone(), requests.enter());
            async move { request::answer(app, handle, request).await.map(|answer| answer.map(|body| body.of(alive))) }
        });
        let mut http = http1::Builder::new();
        http.timer(Timer::new()).header_read_timeout(app.head_timeout);
        let mut connection = pin!(http.serve_connection(socket, service));
        let ends = async { Some(connection.as_mut().await) };
        let stops = async {
            stopping().await;
            None
        };
        let ended = match race((ends, stops)).await {
            Some(ended) => Some(ended),
            None => {
                // The request under way is answered; then the connection is closed.
                connection.as_mut().graceful_shutdown();
                let ends = async { Some(connection.await) };
                let is_idle = async {
                    while requests.now() > 0 {
                        sleep(LAST_BYTES / 10).await;
                    }
                    sleep(LAST_BYTES).await;
                    None
                };
                race((ends, is_idle)).await
            }
        };
        if ended.is_none_or(|ended| ended.is_err()) {
            group.cancel_with("the client went away");
        }
    })
    .await;
}
