//! What the service says of itself.

use crate::client::{Answer, Client, Result};
use crate::phases::Findings;
use crate::process::Service;
use anyscope::{sleep, task_group};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long the service has to come to a state. It takes milliseconds; what isn't there by then never will be.
const NEVER: Duration = Duration::from_secs(60);

/// What is alive and held, and what was counted so far.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    pub(crate) threads: u64,
    pub(crate) waiting: u64,
    pub(crate) lent: u64,
    pub(crate) streams: u64,
    pub(crate) jobs: u64,
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) abandoned: u64,
}

impl State {
    fn of(answer: &Answer) -> Result<Self> {
        let json = answer.json();
        let number = |path| number(&json, path).ok_or_else(|| format!("no {path} in a {}: {json}", answer.status));
        Ok(Self {
            connections: number("/connections")?,
            requests: number("/requests/borrowed")?,
            threads: number("/threads/borrowed")?,
            waiting: number("/threads/waiting")?,
            lent: number("/store/lent")?,
            streams: number("/streams")?,
            jobs: number("/jobs")?,
            answered: number("/answered")?,
            refused: number("/refused")?,
            abandoned: number("/abandoned")?,
        })
    }

    fn is_settled(&self) -> bool {
        // The one that asks is there itself.
        self.requests + self.threads + self.waiting + self.lent + self.streams + self.jobs == 0 && self.connections <= 1
    }
}

/// A number in an answer.
pub(crate) fn number(json: &Value, path: &str) -> Option<u64> {
    json.pointer(path).and_then(Value::as_u64)
}

async fn ask(service: &Service) -> Result<State> {
    task_group(async |group| {
        let mut client = Client::connect(service.address, &group.handle()).await?;
        State::of(&client.get("/admin/state").await?)
    })
    .await
}

/// The state. One that can't be read is a finding.
pub(crate) async fn state(service: &Service, findings: &mut Findings) -> Option<State> {
    match ask(service).await {
        Ok(state) => Some(state),
        Err(error) => {
            findings.push(format!("the state can't be read: {error}"));
            None
        }
    }
}

/// Waits until the state is so, and says which it is. That it never is so is a finding.
pub(crate) async fn until(
    service: &Service,
    what: &str,
    is_so: impl Fn(&State) -> bool,
    findings: &mut Findings,
) -> Option<State> {
    let begun = Instant::now();
    loop {
        let state = state(service, findings).await?;
        if is_so(&state) {
            return Some(state);
        }
        if begun.elapsed() > NEVER {
            findings.push(format!("not within a minute: {what}: {state:?}"));
            return None;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until nothing of the clients that have gone is left.
pub(crate) async fn settle(service: &Service, findings: &mut Findings) -> Option<State> {
    until(service, "nothing is left over", State::is_settled, findings).await
}
