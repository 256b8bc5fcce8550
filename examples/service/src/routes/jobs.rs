//! Work that outlives its response, and not the service.

use super::{Answer, Query, id};
use crate::app::App;
use crate::request::{Problem, busy, json};
use crate::store::Store;
use anyscope::channel::Sender;
use anyscope::{Outcome, channel, gather, is_stopping, shield, sleep, with_cleanup};
use hyper::StatusCode;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the last note of a job may take.
const LAST: Duration = Duration::from_secs(2);

/// Notes the job, starts it among the service's own children, and answers when it has begun: from then on it says how it
/// ended, whatever happens.
pub(super) async fn start(app: &Arc<App>, query: &Query) -> Answer {
    let steps = query.number("steps").unwrap_or(10);
    let every = Duration::from_millis(query.number("every").unwrap_or(100));
    // For those who want to see a straggler.
    let is_stubborn = query.number("stubborn").is_some();
    let Ok(permit) = app.jobs.try_acquire_arc() else {
        return Ok(busy("too many jobs"));
    };
    let job = app.next_job();
    app.store.set_job(job, "accepted".into()).await?;
    let (store, alive) = (app.store.clone(), app.counts.jobs.enter());
    let (begun, begins) = channel(1);
    let work = async move {
        let _held = (alive, permit);
        // One that panics takes nobody along.
        let run = run(&store, job, begun, steps, every, is_stubborn);
        if let Some(Outcome::Panicked(panic)) = gather([run]).settled().await.pop() {
            eprintln!("job {job} panicked: {}", panic.message());
        }
    };
    let spawned = app.background.task(format!("job {job}")).spawn(work);
    // A service that ends meanwhile lets no child begin: its future is dropped, and the channel's end with it.
    if spawned.is_ok() && begins.recv().await.is_ok() {
        return Ok(json(StatusCode::ACCEPTED, &json!({ "job": job })));
    }
    note(&app.store, job, "refused".to_owned()).await;
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping"))
}

/// Does its steps. When the service stops, it ends after the one under way; where it is too slow for that, it is
/// cancelled, and still says so.
async fn run(store: &Arc<Store>, job: u64, begun: Sender<()>, steps: u64, every: Duration, is_stubborn: bool) {
    let is_over = Arc::new(AtomicBool::new(false));
    let work = async {
        // Its clean-up is certain from here on. Who asked may be gone by now.
        let _ = begun.try_send(());
        let mut done = 0;
        while done < steps && (is_stubborn || !is_stopping()) {
            sleep(every).await;
            done += 1;
        }
        let state = if done == steps { "done".to_owned() } else { format!("stopped after {done} of {steps}") };
        shield(LAST, note(store, job, state)).await;
        is_over.store(true, Ordering::Relaxed);
        Ok::<_, Infallible>(())
    };
    let clean = {
        let (store, is_over) = (store.clone(), is_over.clone());
        async move {
            if !is_over.load(Ordering::Relaxed) {
                note(&store, job, "cancelled".to_owned()).await;
            }
        }
    };
    let _ = with_cleanup(work, clean, LAST).await;
}

async fn note(store: &Arc<Store>, job: u64, state: String) {
    if let Err(error) = store.set_job(job, state).await {
        eprintln!("job {job} has no note of its end: {error}");
    }
}

pub(super) async fn state(app: &App, text: &str) -> Answer {
    match app.store.job(id(text)?).await? {
        Some(state) => Ok(json(StatusCode::OK, &json!({ "state": state }))),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("no job {text}"))),
    }
}
