//! A job server: a pool of workers behind a queue, results over oneshots, retries with backoff, CPU work on the pool for
//! blocking, a state that others watch, and a stop with a grace period.
//!
//! Written for tokio. It takes its crates from the module around, where an application would have them in its `Cargo.toml`.

use super::{tokio, tokio_util};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How the server works.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) queue: usize,
    pub(crate) attempts: u32,
    pub(crate) backoff: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) report_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 3,
            queue: 16,
            attempts: 3,
            backoff: Duration::from_millis(2),
            attempt_timeout: Duration::from_secs(5),
            report_every: Duration::from_secs(1),
        }
    }
}

/// Why an attempt failed, in the words of whoever was asked.
type Fault = &'static str;
type Attempt = Pin<Box<dyn Future<Output = Result<Vec<u8>, Fault>> + Send>>;

/// What is to be done: some bytes are fetched, which may fail, and then digested.
pub(crate) struct Job {
    name: String,
    fetch: Arc<dyn Fn(u32) -> Attempt + Send + Sync>,
}

impl Job {
    /// A job that fetches by `fetch`, which is given the number of the attempt.
    pub(crate) fn new<F>(name: impl Into<String>, fetch: impl Fn(u32) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<u8>, Fault>> + Send + 'static,
    {
        Self { name: name.into(), fetch: Arc::new(move |attempt| Box::pin(fetch(attempt))) }
    }
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) digest: u64,
    pub(crate) attempts: u32,
}

/// Why nothing came of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobError {
    GaveUp {
        attempts: u32,
        last: Fault,
    },
    Panicked,
    /// It was running when the grace period ended.
    Aborted,
    /// It was in the queue when the server stopped, or came later.
    Rejected,
}

/// What the server is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    Draining,
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) running: usize,
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) reports: usize,
}

/// How a stop went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) aborted: usize,
    pub(crate) rejected: usize,
}

type Reply = oneshot::Sender<Result<Done, JobError>>;

/// A running server.
pub(crate) struct Server {
    jobs: mpsc::Sender<(Job, Reply)>,
    state: watch::Receiver<State>,
    stop: CancellationToken,
    /// When the grace period is over.
    kill: CancellationToken,
    tasks: TaskTracker,
    dispatcher: task::JoinHandle<Stopped>,
}

impl Server {
    pub(crate) fn start(config: Config) -> Self {
        let (jobs, queue) = mpsc::channel(config.queue);
        let (publish, state) =
            watch::channel(State { phase: Phase::Serving, running: 0, done: 0, failed: 0, reports: 0 });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (kill, publish) = (CancellationToken::new(), Arc::new(publish));
        tasks.spawn(report(config.report_every, publish.clone(), stop.clone()));
        let dispatcher = Dispatcher { config, queue, publish, running: JoinSet::new(), aborted: 0 };
        let dispatcher = tasks.spawn(dispatcher.run(stop.clone(), kill.clone()));
        Self { jobs, state, stop, kill, tasks, dispatcher }
    }

    /// Hands a job in, and returns where its result will be. Waits while the queue is full.
    pub(crate) async fn submit(&self, job: Job) -> impl Future<Output = Result<Done, JobError>> + Send + use<> {
        let (reply, result) = oneshot::channel();
        // A queue that is closed drops the reply, as a job does that is aborted in the middle.
        let accepted = self.jobs.send((job, reply)).await.is_ok();
        async move { result.await.unwrap_or(Err(if accepted { JobError::Aborted } else { JobError::Rejected })) }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Stops taking jobs, gives those that run until `grace` is over, and aborts the rest.
    pub(crate) async fn stop(mut self, grace: Duration) -> Stopped {
        self.stop.cancel();
        let ended = match timeout(grace, &mut self.dispatcher).await {
            Ok(ended) => ended,
            Err(_) => {
                self.kill.cancel();
                self.dispatcher.await
            }
        };
        self.tasks.close();
        self.tasks.wait().await;
        ended.expect("the dispatcher doesn't panic")
    }
}

struct Dispatcher {
    config: Config,
    queue: mpsc::Receiver<(Job, Reply)>,
    publish: Arc<watch::Sender<State>>,
    /// Whether each came to something.
    running: JoinSet<bool>,
    aborted: usize,
}

impl Dispatcher {
    async fn run(mut self, stop: CancellationToken, kill: CancellationToken) -> Stopped {
        loop {
            let has_room = self.running.len() < self.config.workers;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.running.join_next() => self.count(ended),
                Some((job, reply)) = self.queue.recv(), if has_room => {
                    self.running.spawn(work(job, reply, self.config.clone()));
                    self.publish.send_modify(|state| state.running += 1);
                }
            }
        }
        self.publish.send_modify(|state| state.phase = Phase::Draining);
        let rejected = self.reject();
        let mut is_killed = false;
        loop {
            tokio::select! {
                ended = self.running.join_next() => match ended {
                    Some(ended) => self.count(ended),
                    None => break,
                },
                () = kill.cancelled(), if !is_killed => {
                    is_killed = true;
                    self.running.abort_all();
                }
            }
        }
        self.publish.send_modify(|state| state.phase = Phase::Stopped);
        let State { done, failed, .. } = *self.publish.borrow();
        Stopped { done, failed, aborted: self.aborted, rejected }
    }

    fn count(&mut self, ended: Result<bool, JoinError>) {
        let is_aborted = ended.as_ref().is_err_and(JoinError::is_cancelled);
        let is_done = ended.unwrap_or(false);
        self.aborted += usize::from(is_aborted);
        self.publish.send_modify(|state| {
            state.running -= 1;
            state.done += usize::from(is_done);
            state.failed += usize::from(!is_done && !is_aborted);
        });
    }

    /// Answers those that are in the queue still.
    fn reject(&mut self) -> usize {
        self.queue.close();
        let mut rejected = 0;
        while let Ok((_, reply)) = self.queue.try_recv() {
            let _ = reply.send(Err(JobError::Rejected));
            rejected += 1;
        }
        rejected
    }
}

/// One job, in a task of its own inside of the worker's: its panic is a result like others.
async fn work(job: Job, reply: Reply, config: Config) -> bool {
    let result = match AbortOnDropHandle::new(tokio::spawn(attempts(job, config))).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => Err(JobError::Panicked),
        Err(_) => Err(JobError::Aborted),
    };
    let is_done = result.is_ok();
    let _ = reply.send(result);
    is_done
}

async fn attempts(job: Job, config: Config) -> Result<Done, JobError> {
    let (mut backoff, mut last) = (config.backoff, "never tried");
    for attempt in 1..=config.attempts {
        if attempt > 1 {
            sleep(backoff).await;
            backoff *= 2;
        }
        match timeout(config.attempt_timeout, (job.fetch)(attempt)).await {
            Ok(Ok(bytes)) => {
                let digest = task::spawn_blocking(move || digest(&bytes)).await.expect("a digest doesn't panic");
                return Ok(Done { digest, attempts: attempt });
            }
            Ok(Err(fault)) => last = fault,
            Err(_) => last = "too slow",
        }
    }
    Err(JobError::GaveUp { attempts: config.attempts, last })
}

/// What takes a processor's time: FNV-1a, over and over.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    (0..1000).fold(0xcbf2_9ce4_8422_2325, |digest: u64, _| {
        bytes.iter().fold(digest, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    })
}

/// Counts a report at each tick, the first one at once.
async fn report(every: Duration, publish: Arc<watch::Sender<State>>, stop: CancellationToken) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => publish.send_modify(|state| state.reports += 1),
        }
    }
}

/// The application, as it was on tokio.
#[tokio::main]
pub(crate) async fn main() {
    demo().await;
}

/// A day in the life of the server: jobs of all kinds, and a stop while one of them would never end.
pub(crate) async fn demo() {
    let server = Server::start(Config { attempt_timeout: Duration::from_millis(200), ..Config::default() });
    let mut seen = server.watch();
    seen.wait_for(|state| state.reports > 0).await.expect("the server runs");
    println!("serving");

    let jobs = [
        Job::new("plain", |_| async { Ok(b"plain".to_vec()) }),
        Job::new("flaky", |attempt| async move { if attempt < 3 { Err("busy") } else { Ok(b"flaky".to_vec()) } }),
        Job::new("hopeless", |_| async { Err("not found") }),
        Job::new("stuck once", |attempt| async move {
            if attempt == 1 {
                std::future::pending::<()>().await;
            }
            Ok(b"stuck once".to_vec())
        }),
        Job::new("buggy", |_| async { panic!("a bug in a job") }),
        Job::new("last", |_| async { Ok(vec![7; 4096]) }),
    ];
    let mut results = Vec::new();
    for job in jobs {
        let name = job.name.clone();
        results.push((name, server.submit(job).await));
    }
    for (name, result) in results {
        match result.await {
            Ok(Done { digest, attempts }) => println!("{name:10}  {digest:016x}  attempts: {attempts}"),
            Err(error) => println!("{name:10}  {error:?}"),
        }
    }

    let (begun, begins) = oneshot::channel();
    let begun = Mutex::new(Some(begun));
    let endless = Job::new("endless", move |_| {
        let begun = begun.lock().unwrap().take();
        async move {
            let _ = begun.map(|begun| begun.send(()));
            sleep(Duration::from_secs(3600)).await;
            Ok(Vec::new())
        }
    });
    let endless = server.submit(endless).await;
    begins.await.expect("it was begun");
    println!("stopping, with 20 ms of grace");
    let stopped = server.stop(Duration::from_millis(20)).await;
    println!("{:10}  {:?}", "endless", endless.await.unwrap_err());
    println!("{:?}: {stopped:?}", seen.borrow_and_update().phase);
}

#[cfg(test)]
mod tests {
    use super::{tokio, *};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::sync::Semaphore;

    tests! {
        each_job_has_its_result,
        a_job_that_fails_is_tried_again,
        a_job_that_goes_on_failing_is_given_up,
        an_attempt_that_hangs_is_cut_short,
        a_job_that_panics_is_alone_in_it,
        no_more_jobs_run_than_there_are_workers,
        a_full_queue_makes_the_caller_wait,
        a_stop_waits_for_what_runs_and_rejects_the_queue,
        a_stop_aborts_what_outlasts_the_grace,
        the_reporter_ticks_until_the_stop,
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn plain(bytes: &'static [u8]) -> Job {
        Job::new("plain", move |_| async move { Ok(bytes.to_vec()) })
    }

    /// A job that tells when it has begun, and ends when it is let through.
    fn gated(begun: &Arc<Semaphore>, gate: &Arc<Semaphore>) -> Job {
        let (begun, gate) = (begun.clone(), gate.clone());
        Job::new("gated", move |_| {
            let (begun, gate) = (begun.clone(), gate.clone());
            async move {
                begun.add_permits(1);
                gate.acquire().await.unwrap().forget();
                Ok(Vec::new())
            }
        })
    }

    fn gates() -> (Arc<Semaphore>, Arc<Semaphore>) {
        (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)))
    }

    async fn each_job_has_its_result() {
        let server = Server::start(Config::default());
        let mut results = Vec::new();
        for bytes in [b"a", b"b", b"c", b"d", b"e"] {
            results.push((bytes, server.submit(plain(bytes)).await));
        }
        for (bytes, result) in results {
            assert_eq!(result.await, Ok(Done { digest: digest(bytes), attempts: 1 }));
        }
        let stopped = server.stop(HOUR).await;
        assert_eq!(stopped, Stopped { done: 5, failed: 0, aborted: 0, rejected: 0 });
    }

    async fn a_job_that_fails_is_tried_again() {
        let server = Server::start(Config::default());
        let flaky = Job::new("flaky", |attempt| async move { if attempt < 3 { Err("busy") } else { Ok(Vec::new()) } });
        assert_eq!(server.submit(flaky).await.await.unwrap().attempts, 3);
        server.stop(HOUR).await;
    }

    async fn a_job_that_goes_on_failing_is_given_up() {
        let server = Server::start(Config { attempts: 2, ..Config::default() });
        let hopeless = Job::new("hopeless", |_| async { Err("not found") });
        let given_up = JobError::GaveUp { attempts: 2, last: "not found" };
        assert_eq!(server.submit(hopeless).await.await, Err(given_up));
        assert_eq!(server.stop(HOUR).await.failed, 1);
    }

    async fn an_attempt_that_hangs_is_cut_short() {
        let config = Config { attempts: 2, attempt_timeout: Duration::from_millis(1), ..Config::default() };
        let server = Server::start(config);
        let stuck = Job::new("stuck", |_| std::future::pending());
        let given_up = JobError::GaveUp { attempts: 2, last: "too slow" };
        assert_eq!(server.submit(stuck).await.await, Err(given_up));
        server.stop(HOUR).await;
    }

    async fn a_job_that_panics_is_alone_in_it() {
        let server = Server::start(Config { workers: 1, ..Config::default() });
        let buggy = server.submit(Job::new("buggy", |_| async { panic!("a bug in a job") })).await;
        let next = server.submit(plain(b"next")).await;
        assert_eq!(buggy.await, Err(JobError::Panicked));
        assert!(next.await.is_ok());
        let stopped = server.stop(HOUR).await;
        assert_eq!(stopped, Stopped { done: 1, failed: 1, aborted: 0, rejected: 0 });
    }

    async fn no_more_jobs_run_than_there_are_workers() {
        let server = Server::start(Config { workers: 2, ..Config::default() });
        let running = Arc::new(AtomicUsize::new(0));
        let mut results = Vec::new();
        for _ in 0..8 {
            let running = running.clone();
            let job = Job::new("counted", move |_| {
                let running = running.clone();
                async move {
                    assert!(running.fetch_add(1, SeqCst) < 2, "a third one runs");
                    task::yield_now().await;
                    running.fetch_sub(1, SeqCst);
                    Ok(Vec::new())
                }
            });
            results.push(server.submit(job).await);
        }
        for result in results {
            assert!(result.await.is_ok());
        }
        server.stop(HOUR).await;
    }

    async fn a_full_queue_makes_the_caller_wait() {
        let server = Server::start(Config { workers: 1, queue: 1, ..Config::default() });
        let (begun, gate) = gates();
        let running = server.submit(gated(&begun, &gate)).await;
        begun.acquire().await.unwrap().forget();
        let queued = server.submit(gated(&begun, &gate)).await;
        tokio::select! {
            biased;
            _ = server.submit(plain(b"third")) => panic!("there is no room"),
            () = task::yield_now() => {}
        }
        gate.add_permits(2);
        assert!(running.await.is_ok() && queued.await.is_ok());
        assert!(server.submit(plain(b"third")).await.await.is_ok());
        server.stop(HOUR).await;
    }

    async fn a_stop_waits_for_what_runs_and_rejects_the_queue() {
        let server = Server::start(Config { workers: 1, ..Config::default() });
        let (begun, gate) = gates();
        let mut seen = server.watch();
        let running = server.submit(gated(&begun, &gate)).await;
        begun.acquire().await.unwrap().forget();
        let queued = server.submit(plain(b"queued")).await;
        let stops = tokio::spawn(server.stop(HOUR));
        assert_eq!(queued.await, Err(JobError::Rejected));
        seen.wait_for(|state| state.phase == Phase::Draining).await.unwrap();
        assert!(!stops.is_finished());
        gate.add_permits(1);
        assert!(running.await.is_ok());
        assert_eq!(stops.await.unwrap(), Stopped { done: 1, failed: 0, aborted: 0, rejected: 1 });
        assert_eq!(seen.borrow().phase, Phase::Stopped);
    }

    async fn a_stop_aborts_what_outlasts_the_grace() {
        let server = Server::start(Config { workers: 1, attempt_timeout: HOUR, ..Config::default() });
        let (begun, gate) = gates();
        let endless = server.submit(gated(&begun, &gate)).await;
        begun.acquire().await.unwrap().forget();
        let stopped = server.stop(Duration::from_millis(1)).await;
        assert_eq!(stopped, Stopped { done: 0, failed: 0, aborted: 1, rejected: 0 });
        assert_eq!(endless.await, Err(JobError::Aborted));
    }

    async fn the_reporter_ticks_until_the_stop() {
        let server = Server::start(Config { report_every: Duration::from_millis(1), ..Config::default() });
        let mut seen = server.watch();
        seen.wait_for(|state| state.reports >= 3).await.unwrap();
        server.stop(HOUR).await;
        // All that could change it is gone.
        assert!(seen.wait_for(|state| state.reports == usize::MAX).await.is_err());
    }
}
