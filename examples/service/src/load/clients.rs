//! Clients that behave, and what they make of the answers.

use crate::client::{Answer, Client, Result};
use crate::phases::Findings;
use anyscope::sync::Barrier;
use anyscope::{CancelToken, gather, task_group};
use hyper::Method;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A request, and the only status that is an answer to it.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    body: &'static str,
    status: u16,
}

impl Ask {
    pub(crate) fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), body: "", status: 200 }
    }

    pub(crate) fn item() -> Self {
        Self { method: Method::POST, path: "/items".into(), body: "an item", status: 201 }
    }

    pub(crate) fn job(steps: u64, every: u64) -> Self {
        let path = format!("/jobs?steps={steps}&every={every}");
        Self { method: Method::POST, path, body: "", status: 202 }
    }

    pub(crate) async fn of(&self, client: &mut Client) -> Result<Answer> {
        client.ask(self.method.clone(), &self.path, self.body).await
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// How long clients go on.
#[derive(Clone)]
pub(crate) enum Until {
    Over(Duration),
    Told(CancelToken),
}

pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) latency: Duration,
    pub(crate) at: Instant,
}

impl Answered {
    pub(crate) fn now(answer: Answer, begun: Instant) -> Self {
        Self { answer, latency: begun.elapsed(), at: Instant::now() }
    }
}

/// Where a 503 is no finding.
#[derive(Clone, Copy)]
pub(crate) enum Refusals {
    /// There is room for all.
    None,
    /// The limit may be reached. Who is refused is told when to come again.
    Limit,
    /// As well, and from this time on the service is stopping: nobody is to come again.
    StoppingAt(Instant),
}

/// All that came of one request that was asked often.
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) answers: Vec<Answered>,
    /// Why clients gave up.
    pub(crate) failures: Vec<String>,
}

/// What is left of the answers where those that mustn't be are taken out.
pub(crate) struct Judged {
    pub(crate) served: Vec<Answered>,
    pub(crate) refused: Vec<Answered>,
}

impl Asked {
    /// Each client that got no answer at all is a finding.
    pub(crate) fn none_failed(&self, findings: &mut Findings) {
        if let Some(failure) = self.failures.first() {
            findings.push(format!("{}: {} clients failed, such as with: {failure}", self.ask, self.failures.len()));
        }
    }

    /// Sorts the answers. One that is neither what was asked for nor a refusal that may be is a finding, and so is it
    /// where nobody was served.
    pub(crate) fn judge(self, refusals: Refusals, findings: &mut Findings) -> Judged {
        let Self { ask, answers, .. } = self;
        let (served, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|it| it.answer.status == ask.status);
        let (refused, wrong): (Vec<_>, Vec<_>) = others.into_iter().partition(|it| {
            it.answer.status == 503
                && match refusals {
                    Refusals::None => false,
                    Refusals::Limit => it.answer.says_when,
                    Refusals::StoppingAt(at) => it.answer.says_when || it.at >= at,
                }
        });
        if let Some(Answered { answer, .. }) = wrong.first() {
            let when = if answer.says_when { "with" } else { "without" };
            findings.push(format!(
                "{ask}: {} of {} answers aren't a {}, such as a {} {when} Retry-After: {}",
                wrong.len(),
                served.len() + refused.len() + wrong.len(),
                ask.status,
                answer.status,
                String::from_utf8_lossy(&answer.body).trim()
            ));
        }
        if served.is_empty() {
            findings.push(format!("{ask}: nobody was served"));
        }
        Judged { served, refused }
    }
}

/// So many clients, each on a connection of its own, ask until it is time to end.
pub(crate) async fn clients(address: SocketAddr, count: usize, until: Until, ask: Ask) -> Asked {
    let log = Arc::new(Mutex::new(Vec::new()));
    // Nobody asks before all are connected.
    let start = Arc::new(Barrier::new(count));
    let failures = task_group(async |group| {
        let asking: Vec<_> = (0..count)
            .map(|_| {
                let (log, ask, until) = (log.clone(), ask.clone(), until.clone());
                let (start, handle) = (start.clone(), group.handle());
                group.spawn(async move {
                    let client = Client::connect(address, &handle).await;
                    start.wait().await;
                    ask_until(until, client?, &log, &ask).await
                })
            })
            .collect();
        let ended = gather(asking).await;
        ended.into_iter().filter_map(|ended| ended.err()).map(|error| error.to_string()).collect()
    })
    .await;
    let answers = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
    Asked { ask, answers, failures }
}

async fn ask_until(until: Until, mut client: Client, log: &Mutex<Vec<Answered>>, ask: &Ask) -> Result<()> {
    let begun = Instant::now();
    loop {
        let is_over = match &until {
            Until::Over(time) => begun.elapsed() >= *time,
            Until::Told(over) => over.is_cancelled(),
        };
        if is_over {
            return Ok(());
        }
        let begun = Instant::now();
        let answered = Answered::now(ask.of(&mut client).await?, begun);
        log.lock().unwrap_or_else(PoisonError::into_inner).push(answered);
    }
}
