//! What the fetcher makes of the upstream, in lines that are the same each time and on every runtime.

use crate::{Faulty, Page};
use anyscope::{CancelToken, Current, gather, timeout};
use fetcher::{Backoff, FetchError, Fetcher};
use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// One with every kind of fault.
const SEED: u64 = 198;
const LIMIT: usize = 4;

/// A fetcher and its upstream, to be shared by all parts of an application.
#[derive(Clone, Debug)]
pub struct Demo {
    upstream: Arc<Faulty>,
    fetcher: Fetcher<Arc<Faulty>>,
}

/// What was seen, and on which runtime.
#[derive(Clone, Debug)]
pub struct Report {
    /// The runtime that the library found around itself.
    pub runtime: &'static str,
    /// The same on every one.
    pub lines: String,
}

impl Default for Demo {
    fn default() -> Self {
        Self::new()
    }
}

impl Demo {
    /// Makes a fetcher. No runtime is needed for that.
    #[must_use]
    pub fn new() -> Self {
        let upstream = Arc::new(Faulty::new(SEED));
        let fetcher = Fetcher::builder()
            .limit(LIMIT)
            .attempts(3)
            .backoff(Backoff::exponential(Duration::from_millis(10)).at_most(Duration::from_millis(50)))
            .timeout_each(Duration::from_millis(100))
            .build(upstream.clone());
        Self { upstream, fetcher }
    }

    /// Fetches pages from the shared upstream, and shows on one of its own what the caller's time and will do.
    ///
    /// # Panics
    ///
    /// At the first poll, outside of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every request in it.
    pub async fn report(&self) -> Report {
        let runtime = Current::get().name();
        let lines = pages(&self.fetcher).await + &deadlines().await + &cancellation().await;
        Report { runtime, lines }
    }

    /// Says how many requests were under way at a time.
    #[must_use]
    pub fn peak(&self) -> String {
        format!("never more than {} requests under way\n", self.upstream.peak())
    }
}

/// Many pages, in order, with each its own end.
async fn pages(fetcher: &Fetcher<Arc<Faulty>>) -> String {
    let keys: Vec<String> =
        (1..=14).map(|n| format!("page-{n:02}")).chain(["always-busy", "always-hung"].map(str::to_owned)).collect();
    let fetched = fetcher.fetch_all(&keys).await;

    let mut lines = format!("{} pages, {LIMIT} at a time, 3 attempts each:\n", keys.len());
    let mut requests = 0;
    for (key, fetched) in keys.iter().zip(&fetched) {
        requests += fetched.as_ref().map_or_else(FetchError::attempts, |page| page.attempt);
        let _ = writeln!(lines, "  {}", one(key, fetched));
    }
    let _ = writeln!(lines, "  {requests} requests");
    lines
}

/// The two ways in which a caller's deadline ends a fetch.
async fn deadlines() -> String {
    let fetcher = patient(Arc::new(Faulty::new(SEED)));

    // It is known at once that the retry would be too late, so nobody waits for that.
    let early = timeout(Duration::from_secs(30), fetcher.fetch("always-busy")).await;
    let early = early.expect("thirty seconds are enough to see that a minute is too long");

    // Here nothing is known before the time is up, and then it's the caller's own timeout that says so.
    let late = timeout(Duration::from_millis(30), fetcher.fetch("always-hung")).await;

    format!(
        "a caller with half a minute, and a retry that is a minute away:\n  {}\n\
         a caller with no time left in the middle of an attempt:\n  {}\n",
        one("always-busy", &early),
        late.map_or_else(|elapsed| elapsed.to_string(), |fetched| one("always-hung", &fetched)),
    )
}

/// A caller that changes its mind, once three requests hang.
async fn cancellation() -> String {
    let upstream = Arc::new(Faulty::new(SEED));
    let fetcher = patient(upstream.clone());
    let token = CancelToken::new();
    let change_of_mind = async {
        upstream.hung(3).await;
        let before = upstream.under_way();
        token.cancel_with("the client went away");
        before
    };
    let (cut, before) = gather((token.run(fetcher.fetch_all(["always-hung"; 3])), change_of_mind)).await;
    let why = cut.expect_err("none of them is ever answered").into_reason();
    format!(
        "a caller that changes its mind:\n  {before} requests under way, then {}: {}\n",
        upstream.under_way(),
        why.message().unwrap_or_default(),
    )
}

/// A fetcher with more patience than its callers.
fn patient(upstream: Arc<Faulty>) -> Fetcher<Arc<Faulty>> {
    Fetcher::builder()
        .limit(LIMIT)
        .backoff(Backoff::exponential(Duration::from_secs(120)))
        .timeout_each(Duration::from_secs(3600))
        .build(upstream)
}

/// How one fetch ended, with the cause of an error.
fn one(key: &str, fetched: &Result<Page, FetchError>) -> String {
    match fetched {
        Ok(page) => format!("key {key:?}: {} bytes, {:016x}, at attempt {}", page.bytes, page.checksum, page.attempt),
        Err(error) => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
