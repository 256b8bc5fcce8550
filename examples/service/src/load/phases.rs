//! What is done to the service, and what is looked at.

use crate::client::{Client, Result};
use crate::clients::{Answered, Ask, Asked, Judged, Refusals, Until, clients};
use crate::faults;
use crate::process::Service;
use crate::state::{number, settle, state, until};
use anyscope::{CancelToken, gather, sleep, task_group};
use hyper::Method;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What was not as it should be.
pub(crate) type Findings = Vec<String>;

/// What the service acknowledged: at its end it has to be in its store.
#[derive(Default)]
pub(crate) struct Acknowledged {
    items: Vec<u64>,
    jobs: Vec<u64>,
}

/// What came of one phase.
#[derive(Default)]
pub(crate) struct Row {
    /// Of each request that was answered as it should be, in order of length.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) took: Duration,
    pub(crate) said: String,
}

impl Row {
    fn new(answers: &[Answered], took: Duration, said: String) -> Self {
        let mut latencies: Vec<_> = answers.iter().map(|answered| answered.latency).collect();
        latencies.sort_unstable();
        Self { latencies, took, said }
    }

    pub(crate) fn quantile(&self, of: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * of) as usize).copied().unwrap_or_default()
    }
}

/// The ids in the answers. An answer without one is a finding.
fn ids(served: &[Answered], path: &str, findings: &mut Findings) -> Vec<u64> {
    let ids: Vec<_> = served.iter().filter_map(|answered| number(&answered.answer.json(), path)).collect();
    if ids.len() < served.len() {
        findings.push(format!("{} answers have no {path}", served.len() - ids.len()));
    }
    ids
}

/// One route, as fast as it goes. No part of an answer is to be there that fails.
pub(crate) async fn ask(service: &Service, path: &str, count: usize, time: Duration, findings: &mut Findings) -> Row {
    let asked = clients(service.address, count, Until::Over(time), Ask::get(path)).await;
    asked.none_failed(findings);
    let Judged { served, .. } = asked.judge(Refusals::None, findings);
    let mut said = String::new();
    if path.starts_with("/fan-out") {
        let faulty = if path.contains("faults") { 3 } else { 0 };
        let missing: Vec<_> = served.iter().map(|it| number(&it.answer.json(), "/missing")).collect();
        let wrong = missing.iter().filter(|missing| missing.is_none_or(|missing| missing < faulty)).count();
        let late: u64 = missing.iter().flatten().map(|missing| missing.saturating_sub(faulty)).sum();
        said = format!("{faulty} of 8 parts fail; {late} more in all came too late");
        if wrong > 0 {
            findings.push(format!("{path}: {wrong} answers have parts that can't be, or don't say"));
        }
    }
    Row::new(&served, time, said)
}

/// Sync handlers, while the limiter of their threads gets smaller and larger, and lets nobody in for a while.
pub(crate) async fn resize(service: &Service, count: usize, time: Duration, findings: &mut Findings) -> Row {
    let over = CancelToken::new();
    let begun = Instant::now();
    let asking = clients(service.address, count, Until::Told(over.clone()), Ask::get("/hash?rounds=100"));
    let resizing = async {
        let mut findings = Findings::new();
        let mut turns = 0;
        // The last of a turn is what the service began with.
        while begun.elapsed() < time && findings.is_empty() {
            for total in [1, 16, 0, 8] {
                if let Err(error) = set_limiter(service, total).await {
                    findings.push(format!("the limiter is not resized to {total}: {error}"));
                }
                // Who is in at 0 comes out, and those who come meanwhile wait.
                let what = format!("{total} sync handlers at most");
                until(service, &what, |it| it.threads <= total && (total > 0 || it.waiting > 0), &mut findings).await;
            }
            turns += 1;
        }
        over.cancel();
        (turns, findings)
    };
    let (asked, (turns, found)) = gather((asking, resizing)).await;
    findings.extend(found);
    asked.none_failed(findings);
    let Judged { served, .. } = asked.judge(Refusals::None, findings);
    Row::new(&served, begun.elapsed(), format!("{turns} times to 1, 16, 0 and 8 threads"))
}

async fn set_limiter(service: &Service, total: u64) -> Result<()> {
    task_group(async |group| {
        let mut client = Client::connect(service.address, &group.handle()).await?;
        let answer = client.ask(Method::PUT, &format!("/admin/limiter?total={total}"), "").await?;
        if answer.status == 200 && number(&answer.json(), "/total") == Some(total) {
            Ok(())
        } else {
            Err(format!("a {}: {}", answer.status, answer.json()).into())
        }
    })
    .await
}

/// Items, whose ids are kept: they have to be there at the end.
pub(crate) async fn store(
    service: &Service,
    count: usize,
    time: Duration,
    acknowledged: &mut Acknowledged,
    findings: &mut Findings,
) -> Row {
    let asked = clients(service.address, count, Until::Over(time), Ask::item()).await;
    asked.none_failed(findings);
    let Judged { served, .. } = asked.judge(Refusals::None, findings);
    acknowledged.items.extend(ids(&served, "/id", findings));
    Row::new(&served, time, String::new())
}

/// More than the service takes: what is over its limit is refused at once, and told when to come again.
pub(crate) async fn overload(service: &Service, time: Duration, findings: &mut Findings) -> Row {
    let asked = clients(service.address, 400, Until::Over(time), Ask::get("/slow?ms=500")).await;
    asked.none_failed(findings);
    let Judged { served, refused } = asked.judge(Refusals::Limit, findings);
    let (served, refused) = (Row::new(&served, time, String::new()), Row::new(&refused, time, String::new()));
    let (of_served, of_refused) = (served.quantile(0.5), refused.quantile(0.5));
    if refused.latencies.is_empty() {
        findings.push("over the limit: nobody was refused".into());
    } else if of_refused > of_served / 2 {
        // Both were asked by the same clients at the same time. One that waits for its turn before it is refused takes
        // about as long as those who had theirs.
        findings.push(format!("over the limit: refused after {of_refused:.1?}, and served after {of_served:.1?}"));
    }
    let said = format!(
        "{} served in 500 ms each, {} refused, half of these within {of_refused:.1?}",
        served.latencies.len(),
        refused.latencies.len(),
    );
    Row { said, ..served }
}

/// Connections, each for one request, 256 at a time; and a thousand that just stand there.
pub(crate) async fn connects(service: &Service, count: usize, findings: &mut Findings) -> Row {
    const IDLE: usize = 1_000;
    let address = service.address;
    let ask = Ask::get("/hello");
    let begun = Instant::now();
    let ended = task_group(async |group| {
        let handle = group.handle();
        let each = (0..count).map(|_| async {
            let begun = Instant::now();
            let answer = ask.of(&mut Client::connect(address, &handle).await?).await?;
            Result::Ok(Answered::now(answer, begun))
        });
        gather(each).limit(256).await
    })
    .await;
    let took = begun.elapsed();
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for ended in ended {
        match ended {
            Ok(answered) => answers.push(answered),
            Err(error) => failures.push(error.to_string()),
        }
    }
    let asked = Asked { ask, answers, failures };
    asked.none_failed(findings);
    let Judged { served, .. } = asked.judge(Refusals::None, findings);
    // The kernel says that there is a connection before the service knows of it: what the service says counts, once
    // those from before are gone.
    settle(service, findings).await;
    let idle = gather((0..IDLE).map(|_| TcpStream::connect(address))).limit(100).await;
    let stand = idle.iter().filter(|stream| stream.is_ok()).count();
    if stand < IDLE {
        findings.push(format!("{} of {IDLE} idle connects failed", IDLE - stand));
    }
    let what = format!("{stand} idle connections and the one that asks");
    let counted = until(service, &what, |state| state.connections > stand as u64, findings).await;
    drop(idle);
    let counted = counted.map_or(0, |state| state.connections - 1);
    Row::new(&served, took, format!("{} failed; {counted} more stood idle at once", count - served.len()))
}

/// Clients that behave, beside some of each kind that don't.
pub(crate) async fn torment(
    service: &Service,
    count: usize,
    time: Duration,
    acknowledged: &mut Acknowledged,
    findings: &mut Findings,
) -> Row {
    let address = service.address;
    let before = state(service, findings).await;
    let (hung, started, stored) = task_group(async |group| {
        let over = CancelToken::new();
        faults::spawn(group, address, &over);
        let hanging = clients(address, 8, Until::Over(time), Ask::get("/fan-out?faults=1&each=50"));
        let starting = clients(address, 8, Until::Over(time), Ask::job(3, 5));
        let storing = clients(address, count / 2, Until::Over(time), Ask::item());
        let asked = gather((hanging, starting, storing)).await;
        over.cancel();
        asked
    })
    .await;
    for asked in [&hung, &started, &stored] {
        asked.none_failed(findings);
    }
    hung.judge(Refusals::Limit, findings);
    let started = started.judge(Refusals::Limit, findings).served;
    let stored = stored.judge(Refusals::Limit, findings).served;
    acknowledged.items.extend(ids(&stored, "/id", findings));
    acknowledged.jobs.extend(ids(&started, "/job", findings));
    // What was abandoned is cleaned up by then.
    let after = settle(service, findings).await;
    let mut said = format!("{} jobs", started.len());
    if let (Some(before), Some(after)) = (before, after) {
        let abandoned = after.abandoned - before.abandoned;
        if abandoned == 0 {
            findings.push("no request was abandoned".into());
        }
        let refused = after.refused - before.refused;
        said += &format!(", {abandoned} requests abandoned by clients and cleaned up, {refused} refused");
    }
    Row::new(&stored, time, said)
}

/// What is in memory after so many requests.
pub(crate) struct Memory {
    kib: u64,
    requests: u64,
}

/// What the service has in memory now. That it can't be read is a finding.
pub(crate) async fn memory(service: &Service, findings: &mut Findings) -> Option<Memory> {
    let state = state(service, findings).await?;
    let kib = service.memory();
    if kib.is_none() {
        findings.push("the memory of the service can't be read".into());
    }
    Some(Memory { kib: kib?, requests: state.answered + state.refused + state.abandoned })
}

/// Whether the memory of the last round is about that of the first, which filled the pools and caches.
///
/// It may have grown by a quarter and 4 MiB, and by 20 MiB at most. What is no leak, and differs from round to round,
/// doesn't depend on how many requests there were: how much of what an allocator has in its arenas it gives back (with
/// how much was alive at once, which is the quarter), how many threads of the blocking pool there are just then, and
/// how far the store's connections have filled their caches (up to 2 MiB each). The quarter has an end, because a leak
/// of the phases before makes the first round's memory as large as it pleases, and would hide that of the rounds.
///
/// A leak does depend on the requests: what would pass is as much less for each of them as there are more. With a
/// hundred thousand that is two hundred bytes, less than one task or buffer that stays. With the thousand of a short
/// run it is 20 KiB, which finds little: the tasks, permits and connections that the service counts tell more there.
pub(crate) fn flat(memory: &[Memory], findings: &mut Findings) -> String {
    let rounds: Vec<_> = memory.iter().map(|memory| format!("{:.1} MiB", memory.kib as f64 / 1024.0)).collect();
    let mut said = rounds.join(", ");
    if let [first, .., last] = memory {
        let (growth, may_be) = (last.kib.saturating_sub(first.kib), (first.kib / 4).min(16_384) + 4_096);
        let requests = last.requests - first.requests;
        let each = |kib: u64| (kib * 1024).div_ceil(requests.max(1));
        said +=
            &format!("; {} bytes for each of {requests} requests, {} would be found", each(growth), each(may_be) + 1);
        if growth > may_be {
            findings.push(format!("the memory grew: {said}"));
        }
    }
    said
}

/// Stops the service in the middle of a torment. What was acknowledged, to the last, has to be in its store: items, and
/// how jobs ended.
pub(crate) async fn stop(
    service: Service,
    count: usize,
    mut acknowledged: Acknowledged,
    findings: &mut Findings,
) -> String {
    const PATIENT: usize = 8;
    let (address, database) = (service.address, service.database.clone());
    let (asked, told, end) = task_group(async |group| {
        let over = CancelToken::new();
        let asking = |count, ask| group.spawn(clients(address, count, Until::Told(over.clone()), ask));
        // Under way when the service is stopped, and within its grace: these are answered.
        let patient: Vec<_> = (0..PATIENT)
            .map(|_| {
                let handle = group.handle();
                group.spawn(async move { Client::connect(address, &handle).await?.get("/slow?ms=3000").await })
            })
            .collect();
        let has_begun = "patient requests are under way";
        until(&service, has_begun, |state| state.requests >= PATIENT as u64, findings).await;
        faults::spawn(group, address, &over);
        let load = (
            asking(8, Ask::get("/fan-out?faults=1&each=50")),
            asking(8, Ask::job(50, 10)),
            asking(count / 2, Ask::item()),
        );
        sleep(Duration::from_millis(300)).await;
        let is_loaded = "requests, streams and jobs are under way";
        until(&service, is_loaded, |it| it.requests > PATIENT as u64 && it.streams > 0 && it.jobs > 0, findings).await;
        let told = Instant::now();
        service.tell_to_stop();
        let end = service.end().await;
        over.cancel();
        for patient in gather(patient).await {
            match patient {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => findings.push(format!("stopped: a request under way is answered by a {}", answer.status)),
                Err(error) => findings.push(format!("stopped: a request under way isn't answered: {error}")),
            }
        }
        (gather(load).await, told, end)
    })
    .await;
    // Clients fail as their connections are closed; what they were told before counts.
    let (hung, started, stored) = asked;
    let [_, started, stored] =
        [hung, started, stored].map(|asked| asked.judge(Refusals::StoppingAt(told), findings).served);
    acknowledged.items.extend(ids(&stored, "/id", findings));
    let under_way = ids(&started, "/job", findings);
    // Who had to be cancelled may be a long list.
    let said = end.said.iter().take(4).map(String::as_str).collect::<Vec<_>>().join("; ");
    if end.code != Some(0)
        || !end.said.iter().any(|line| line.ends_with("left over: 0 tasks, 0 permits, 0 connections of the store"))
    {
        findings.push(format!("it ended with {:?}, and said {said}", end.code));
    }
    let stored = match in_store(&database, &acknowledged, &under_way, findings) {
        Ok(stored) => stored,
        Err(error) => {
            findings.push(format!("the store can't be read: {error}"));
            String::new()
        }
    };
    let _ = std::fs::remove_file(&database);
    let code = end.code.map_or("none".into(), |code| code.to_string());
    format!("exit code {code} after {:.0?}; {stored}; {said}", end.took)
}

/// Looks for what was acknowledged. The jobs of `under_way` may have been stopped by the end of the service.
fn in_store(
    database: &std::path::Path,
    acknowledged: &Acknowledged,
    under_way: &[u64],
    findings: &mut Findings,
) -> rusqlite::Result<String> {
    let connection = rusqlite::Connection::open(database)?;
    let told: BTreeSet<u64> = acknowledged.items.iter().copied().collect();
    if told.len() != acknowledged.items.len() {
        findings.push("an id was given twice".into());
    }
    let mut statement = connection.prepare("select id from items")?;
    let there = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<BTreeSet<u64>>>()?;
    let missing = told.difference(&there).count();
    if missing > 0 {
        findings.push(format!("{missing} items were acknowledged and aren't there"));
    }
    let mut statement = connection.prepare("select id, state from jobs")?;
    let jobs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let jobs = jobs.collect::<rusqlite::Result<BTreeMap<u64, String>>>()?;
    let state = |job: &u64| jobs.get(job).map_or("nowhere", |state| state.as_str());
    let is_done = |job: &u64| state(job) == "done";
    let has_ended = |job: &u64| is_done(job) || state(job) == "cancelled" || state(job).starts_with("stopped after ");
    for (what, wrong) in [
        ("were accepted long before the end, and aren't done", not(&acknowledged.jobs, is_done)),
        ("were accepted, and have no end", not(under_way, has_ended)),
    ] {
        if let Some(job) = wrong.first() {
            findings.push(format!("{} jobs {what}, such as {job}: {:?}", wrong.len(), state(job)));
        }
    }
    let mut statement = connection.prepare("select count(*) from abandoned where route = ?1")?;
    let reset: u64 = statement.query_row([faults::RESET_AT_WORK], |row| row.get(0))?;
    if reset == 0 {
        findings.push("no handler was cleaned up after whose client had reset its connection".into());
    }
    let stopped = under_way.iter().filter(|job| !is_done(job)).count();
    Ok(format!(
        "{} items acknowledged, {missing} missing; {} jobs, {stopped} of them stopped",
        told.len(),
        acknowledged.jobs.len() + under_way.len()
    ))
}

fn not(jobs: &[u64], is_so: impl Fn(&u64) -> bool) -> Vec<u64> {
    jobs.iter().copied().filter(|job| !is_so(job)).collect()
}
