//! What is done to the service, and what is looked at.

use crate::client::{Answer, Client, Result};
use crate::process::{Service, number};
use anyscope::sync::Barrier;
use anyscope::{CancelToken, gather, sleep, task_group};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What was not as it should be.
pub(crate) type Findings = Vec<String>;

/// What came of one phase.
#[derive(Default)]
pub(crate) struct Row {
    /// Of each request that was answered, in order of length.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) took: Duration,
    pub(crate) said: String,
}

impl Row {
    fn new(mut latencies: Vec<Duration>, took: Duration, said: String) -> Self {
        latencies.sort_unstable();
        Self { latencies, took, said }
    }

    pub(crate) fn quantile(&self, of: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * of) as usize).copied().unwrap_or_default()
    }
}

/// What many clients write into.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Answer, Duration)>>>);

impl Log {
    fn add(&self, answer: Answer, begun: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((answer, begun.elapsed()));
    }

    fn take(&self) -> Vec<(Answer, Duration)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// So many clients, each on a connection of its own, ask until the time is up.
async fn clients<F>(address: SocketAddr, count: usize, time: Duration, ask: F) -> (Vec<(Answer, Duration)>, Vec<String>)
where
    F: AsyncAsk,
{
    let log = Log::default();
    // Nobody asks before all are connected.
    let start = Arc::new(Barrier::new(count));
    let failures = task_group(async |group| {
        let asking: Vec<_> = (0..count)
            .map(|_| {
                let (log, ask, start, handle) = (log.clone(), ask.clone(), start.clone(), group.handle());
                group.spawn(async move {
                    let client = Client::connect(address, &handle).await;
                    start.wait().await;
                    ask_until(Instant::now() + time, client?, &log, &ask).await
                })
            })
            .collect();
        let ended = gather(asking).await;
        ended.into_iter().filter_map(|ended| ended.err()).map(|error| error.to_string()).collect()
    })
    .await;
    (log.take(), failures)
}

async fn ask_until<F: AsyncAsk>(end: Instant, mut client: Client, log: &Log, ask: &F) -> Result<()> {
    while Instant::now() < end {
        let begun = Instant::now();
        log.add(ask.ask(&mut client).await?, begun);
    }
    Ok(())
}

/// What a client asks for.
pub(crate) trait AsyncAsk: Clone + Send + Sync + 'static {
    fn ask(&self, client: &mut Client) -> impl Future<Output = Result<Answer>> + Send;
}

#[derive(Clone)]
struct Get(String);

impl AsyncAsk for Get {
    async fn ask(&self, client: &mut Client) -> Result<Answer> {
        client.get(&self.0).await
    }
}

#[derive(Clone)]
struct Post;

impl AsyncAsk for Post {
    async fn ask(&self, client: &mut Client) -> Result<Answer> {
        client.post("/items", "an item").await
    }
}

/// One route, as fast as it goes. Every answer is to be a 200, and no part is to be there that fails.
pub(crate) async fn ask(service: &Service, path: &str, count: usize, time: Duration, findings: &mut Findings) -> Row {
    let (answers, failures) = clients(service.address, count, time, Get(path.to_owned())).await;
    findings.extend(failures.into_iter().map(|failure| format!("{path}: {failure}")));
    let wrong = answers.iter().filter(|(answer, _)| answer.status != 200).count();
    if wrong > 0 {
        findings.push(format!("{path}: {wrong} answers aren't 200"));
    }
    let mut said = String::new();
    if path.starts_with("/fan-out") {
        let faulty = if path.contains("faults") { 3 } else { 0 };
        let missing = answers.iter().map(|(answer, _)| number(&answer.json(), "/missing"));
        let (too_few, late) = missing.fold((0, 0), |(too_few, late), missing| {
            (too_few + usize::from(missing < faulty), late + missing.saturating_sub(faulty))
        });
        said = format!("{faulty} of 8 parts fail; {late} more in all came too late");
        if too_few > 0 {
            findings.push(format!("{path}: {too_few} answers have parts that can't be"));
        }
    }
    Row::new(answers.into_iter().map(|(_, latency)| latency).collect(), time, said)
}

/// Items, whose ids are kept: they have to be there at the end.
pub(crate) async fn store(
    service: &Service,
    count: usize,
    time: Duration,
    acknowledged: &mut Vec<u64>,
    findings: &mut Findings,
) -> Row {
    let (answers, failures) = clients(service.address, count, time, Post).await;
    findings.extend(failures.into_iter().map(|failure| format!("an item: {failure}")));
    keep(&answers, acknowledged);
    Row::new(answers.into_iter().map(|(_, latency)| latency).collect(), time, String::new())
}

fn keep(answers: &[(Answer, Duration)], acknowledged: &mut Vec<u64>) {
    let created = answers.iter().filter(|(answer, _)| answer.status == 201);
    acknowledged.extend(created.map(|(answer, _)| number(&answer.json(), "/id")));
}

/// More than the service takes: what is over its limit is refused at once, and told when to come again.
pub(crate) async fn overload(service: &Service, time: Duration, findings: &mut Findings) -> Row {
    let (answers, failures) = clients(service.address, 400, time, Get("/slow?ms=500".into())).await;
    findings.extend(failures.into_iter().map(|failure| format!("over the limit: {failure}")));
    let (refused, served): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(answer, _)| answer.status == 503);
    if refused.is_empty() || refused.iter().any(|(answer, _)| !answer.says_when) {
        findings.push("nobody was refused, or not told when to come again".into());
    }
    let refused = Row::new(refused.into_iter().map(|(_, latency)| latency).collect(), time, String::new());
    let said = format!(
        "{} served in 500 ms each, {} refused, half of these within {:.1?}",
        served.len(),
        refused.latencies.len(),
        refused.quantile(0.5)
    );
    Row::new(served.into_iter().map(|(_, latency)| latency).collect(), time, said)
}

/// Connections, each for one request, 256 at a time; and a thousand that just stand there.
pub(crate) async fn connects(service: &Service, count: usize, findings: &mut Findings) -> Row {
    let address = service.address;
    let begun = Instant::now();
    let ended = task_group(async |group| {
        let handle = group.handle();
        let each = (0..count).map(|_| async {
            let begun = Instant::now();
            let mut client = Client::connect(address, &handle).await?;
            let answer = client.get("/hello").await?;
            Result::Ok((answer.status == 200).then(|| begun.elapsed()))
        });
        gather(each).limit(256).await
    })
    .await;
    let took = begun.elapsed();
    let latencies: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().ok().copied().flatten()).collect();
    let failed = count - latencies.len();
    if failed > 0 {
        let why = ended.into_iter().find_map(|ended| ended.err()).map(|error| error.to_string());
        findings.push(format!("{failed} of {count} connects failed: {why:?}"));
    }
    let idle = gather((0..1_000).map(|_| TcpStream::connect(address))).limit(100).await;
    let idle = idle.into_iter().filter(|stream| stream.is_ok()).count();
    Row::new(latencies, took, format!("{failed} failed; {idle} more stood idle at once"))
}

/// Clients that behave, beside some of each kind that don't.
pub(crate) async fn torment(
    service: &Service,
    count: usize,
    time: Duration,
    acknowledged: &mut Vec<u64>,
    findings: &mut Findings,
) -> Row {
    let address = service.address;
    let before = state(service).await;
    let (answers, failures) = task_group(async |group| {
        let over = CancelToken::new();
        for _ in 0..10 {
            for fault in [Fault::Slow, Fault::HalfClosed, Fault::Killed, Fault::Reset, Fault::LeavesAStream] {
                let over = over.clone();
                group.spawn(async move {
                    while !over.is_cancelled() {
                        // What comes of it is the service's affair.
                        let _ = over.run(misbehave(address, fault)).await;
                        sleep(Duration::from_millis(5)).await;
                    }
                });
            }
        }
        let hanging = clients(address, 8, time, Get("/fan-out?faults=1&each=50".into()));
        let storing = clients(address, count / 2, time, Post);
        let (hung, stored) = gather((hanging, storing)).await;
        over.cancel();
        let failures: Vec<_> = hung.1.into_iter().chain(stored.1).collect();
        (stored.0, failures)
    })
    .await;
    findings.extend(failures.into_iter().map(|failure| format!("beside faults: {failure}")));
    keep(&answers, acknowledged);
    let after = state(service).await;
    let abandoned = number(&after, "/abandoned") - number(&before, "/abandoned");
    let refused = number(&after, "/refused") - number(&before, "/refused");
    if abandoned == 0 {
        findings.push("no request was abandoned".into());
    }
    let said = format!("{abandoned} requests abandoned by clients and cleaned up, {refused} refused");
    Row::new(answers.into_iter().map(|(_, latency)| latency).collect(), time, said)
}

#[derive(Clone, Copy)]
enum Fault {
    /// Sends a byte at a time.
    Slow,
    /// Asks, and says that it will send nothing more.
    HalfClosed,
    /// Asks, and is gone.
    Killed,
    /// Asks, and is gone without a goodbye.
    Reset,
    /// Reads a little of what has no end.
    LeavesAStream,
}

async fn misbehave(address: SocketAddr, fault: Fault) -> Result<()> {
    const ASK: &[u8] = b"GET /slow?ms=5000 HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = TcpStream::connect(address).await?;
    match fault {
        Fault::Slow => {
            for byte in ASK {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_millis(20)).await;
            }
        }
        Fault::HalfClosed => {
            stream.write_all(ASK).await?;
            stream.shutdown().await?;
            stream.read_to_end(&mut Vec::new()).await?;
        }
        Fault::Killed => {
            stream.write_all(ASK).await?;
            sleep(Duration::from_millis(5)).await;
        }
        Fault::Reset => {
            stream.write_all(b"POST /items HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nthe beginning").await?;
            sleep(Duration::from_millis(5)).await;
            stream.set_zero_linger()?;
        }
        Fault::LeavesAStream => {
            stream.write_all(b"GET /stream?chunks=1000000&every=1 HTTP/1.1\r\nhost: x\r\n\r\n").await?;
            stream.read_exact(&mut [0; 200]).await?;
        }
    }
    Ok(())
}

async fn state(service: &Service) -> serde_json::Value {
    let asked = task_group(async |group| {
        let mut client = Client::connect(service.address, &group.handle()).await?;
        client.get("/admin/state").await
    });
    asked.await.map(|answer| answer.json()).unwrap_or_default()
}

/// Waits until nothing of the clients that have gone is left.
pub(crate) async fn settle(service: &Service, findings: &mut Findings) {
    let begun = Instant::now();
    loop {
        let state = state(service).await;
        // The one that asks is there itself.
        let left: u64 = ["/requests/borrowed", "/threads/borrowed", "/store/lent", "/streams", "/jobs"]
            .iter()
            .map(|path| number(&state, path))
            .sum();
        if left == 0 && number(&state, "/connections") <= 1 {
            return;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            findings.push(format!("left over a minute later: {state}"));
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the memory of the last round is about that of the first, which filled the pools and caches.
pub(crate) fn flat(memory: &[u64], findings: &mut Findings) -> String {
    let said: Vec<_> = memory.iter().map(|kib| format!("{:.1} MiB", *kib as f64 / 1024.0)).collect();
    if let [first, .., last] = memory {
        // An allocator gives back what it pleases; a leak of these rounds would be many times this.
        if *last > first + first / 4 + 4_096 {
            findings.push(format!("the memory grew: {}", said.join(", ")));
        }
    }
    said.join(", ")
}

/// Stops the service while clients store. What was acknowledged, to the last, has to be in its file.
pub(crate) async fn stop(
    service: Service,
    count: usize,
    acknowledged: &mut Vec<u64>,
    findings: &mut Findings,
) -> String {
    let database = service.database.clone();
    let address = service.address;
    let (end, under_way) = task_group(async |group| {
        let asking = group.spawn(clients(address, count, Duration::from_secs(60), Post));
        sleep(Duration::from_millis(300)).await;
        service.tell_to_stop();
        // They fail as their connections are closed: what they were told before counts.
        gather((service.end(), asking)).await
    })
    .await;
    keep(&under_way.0, acknowledged);
    let told: BTreeSet<u64> = acknowledged.iter().copied().collect();
    if told.len() != acknowledged.len() {
        findings.push("an id was given twice".into());
    }
    let connection = rusqlite::Connection::open(&database).expect("the store");
    let mut statement = connection.prepare("select id from items").expect("its table");
    let there: BTreeSet<u64> =
        statement.query_map([], |row| row.get(0)).expect("rows").map(|id| id.expect("an id")).collect();
    let missing = told.difference(&there).count();
    if missing > 0 {
        findings.push(format!("{missing} items were acknowledged and aren't there"));
    }
    if end.code != Some(0)
        || !end.said.iter().any(|line| line.ends_with("0 tasks, 0 permits, 0 connections of the store"))
    {
        findings.push(format!("it ended with {:?}, and said {:?}", end.code, end.said));
    }
    let _ = std::fs::remove_file(&database);
    format!(
        "exit code {:?} after {:.0?}; {} items acknowledged, {missing} missing; {}",
        end.code.unwrap_or(-1),
        end.took,
        told.len(),
        end.said.join("; ")
    )
}
