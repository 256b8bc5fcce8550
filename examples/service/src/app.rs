//! What lives as long as the service: opened at the start, closed last, in a scope of its own.

use crate::client::Client;
use crate::net::Which;
use crate::request;
use crate::server;
use crate::store::Store;
use crate::upstream;
use anyscope::inspect::{Inspector, Server};
use anyscope::{CancelToken, GroupHandle, Limiter, Semaphore, gather, task_group};
use clap::Args;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How to serve.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The runtime.
    #[arg(long = "runtime", value_enum, default_value = "tokio")]
    pub which: Which,
    /// Where to listen; port 0 takes one that is free.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where the service's own upstream listens, for the fan-out.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub upstream: SocketAddr,
    /// The file of the store.
    #[arg(long, default_value = "service.db")]
    pub database: PathBuf,
    /// How many connections the store has.
    #[arg(long, default_value_t = 4, value_parser = at_least_one)]
    pub store: usize,
    /// How many requests are answered at a time; what comes on top is refused at once.
    #[arg(long, default_value_t = 256)]
    pub requests: usize,
    /// How many jobs go on at a time; what comes on top is refused at once.
    #[arg(long, default_value_t = 64)]
    pub jobs: usize,
    /// How many sync handlers run at a time, at first.
    #[arg(long, default_value_t = 8)]
    pub threads: usize,
    /// How long a request may take, where it doesn't say.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s")]
    pub timeout: Duration,
    /// How long a client may take for the head of a request.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s")]
    pub head_timeout: Duration,
    /// How long what is under way has to end, after SIGTERM.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5s")]
    pub grace: Duration,
    /// Where to show the live tasks, as a page; nowhere, if it isn't said.
    #[arg(long, value_name = "ADDRESS")]
    pub inspect: Option<SocketAddr>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "a number, 1 or more".to_owned())
}

/// The service can be talked to.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its tasks are shown.
    pub inspect: Option<SocketAddr>,
}

/// How the service ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How many requests were answered.
    pub answered: u64,
    /// What had to be cancelled, because it didn't stop in time: the names, and where they were spawned.
    pub stragglers: Vec<String>,
    /// What was still held when everything had ended.
    pub left: LeftOver,
}

/// What is held. At the end of a service, all of it is to be 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LeftOver {
    /// Connections, requests, streams and jobs that are alive.
    pub tasks: usize,
    /// Permits of requests, of jobs, and of the threads for sync handlers.
    pub permits: usize,
    /// Connections of the store that are lent.
    pub lent: usize,
}

impl LeftOver {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.tasks + self.permits + self.lent == 0
    }
}

impl fmt::Display for LeftOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tasks, permits, lent } = self;
        write!(f, "{tasks} tasks, {permits} permits, {lent} connections of the store")
    }
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) store: Arc<Store>,
    pub(crate) client: Client,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) jobs: Arc<Semaphore>,
    pub(crate) threads: Limiter,
    /// Where work goes on that outlives its response, and not the service.
    pub(crate) background: GroupHandle,
    pub(crate) timeout: Duration,
    pub(crate) head_timeout: Duration,
    pub(crate) counts: Arc<Counts>,
    next_job: AtomicU64,
}

impl App {
    pub(crate) fn next_job(&self) -> u64 {
        self.next_job.fetch_add(1, Ordering::Relaxed)
    }
}

/// What the service counts, for those who look after it.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: Live,
    pub(crate) streams: Live,
    pub(crate) jobs: Live,
    pub(crate) answered: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) abandoned: AtomicU64,
}

/// How many there are of something.
#[derive(Clone, Default)]
pub(crate) struct Live(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(crate) struct Alive(Arc<AtomicUsize>);

impl Live {
    pub(crate) fn enter(&self) -> Alive {
        self.0.fetch_add(1, Ordering::Relaxed);
        Alive(self.0.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves until `stop` is cancelled and what was under way has ended, or its grace is over.
///
/// # Cancel safety
///
/// Dropping the future drops every connection and job; nothing of it goes on but the clean-up of requests that were
/// under way, and the store's.
///
/// # Errors
///
/// Where a port or the store can't be opened, or `stop` is cancelled before they are.
pub async fn serve(config: Config, stop: CancelToken, ready: impl FnOnce(Ready)) -> io::Result<Report> {
    let requests = Arc::new(Semaphore::new(config.requests));
    let jobs = Arc::new(Semaphore::new(config.jobs));
    let threads = Limiter::new(config.threads);
    let counts = Arc::new(Counts::default());
    // The lifespan. What is in it is used by all that is inside, and ends after all of it.
    let (store, stragglers) = task_group(async |life| {
        let open = async {
            let store = Store::open(&config.database, config.store).await.map_err(io::Error::other)?;
            let next_job = AtomicU64::new(store.last_job().await.map_err(io::Error::other)? + 1);
            let upstream = config.which.listen(config.upstream)?;
            let page = config.inspect.map(|at| Inspector::builder().title("service").bind(at)).transpose()?;
            io::Result::Ok((store, next_job, upstream, config.which.listen(config.listen)?, page))
        };
        // Whoever doesn't want it any more needn't wait for a store that somebody else has locked.
        let (store, next_job, upstream, listener, page) = stop.run(open).await.map_err(io::Error::other)??;
        let closing = store.clone();
        life.on_exit(async move { closing.close().await });
        let client = Client::new(config.which, upstream.address()?, life.handle());
        let inspect = page.as_ref().map(Server::address);
        if let Some(page) = page {
            // In the outermost group: it shows what doesn't end.
            life.task("inspect").spawn_service(page.serve());
        }
        life.task("upstream").spawn_service(upstream::serve(upstream));
        let stragglers = task_group(async |background| {
            let app = Arc::new(App {
                store: store.clone(),
                client,
                requests: requests.clone(),
                jobs: jobs.clone(),
                threads: threads.clone(),
                background: background.handle(),
                timeout: config.timeout,
                head_timeout: config.head_timeout,
                counts: counts.clone(),
                next_job,
            });
            task_group(async |connections| {
                ready(Ready { address: listener.address()?, inspect });
                server::accept(&app, connections, listener, &stop).await;
                // Nobody comes in any more. Both learn that it ends at the same time, and have the same grace.
                let (late, later) =
                    gather((connections.shutdown(config.grace), background.shutdown(config.grace))).await;
                io::Result::Ok(late.into_iter().chain(later).map(|task| task.to_string()).collect::<Vec<_>>())
            })
            .await
        })
        .await?;
        io::Result::Ok((store, stragglers))
    })
    .await?;
    let left = LeftOver {
        tasks: counts.connections.now() + counts.streams.now() + counts.jobs.now(),
        permits: [&requests, &jobs].map(|semaphore| semaphore.statistics().borrowed).iter().sum::<usize>()
            + threads.statistics().borrowed,
        lent: store.lent(),
    };
    Ok(Report { answered: request::count(&counts.answered), stragglers, left })
}
