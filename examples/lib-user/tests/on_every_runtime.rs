//! What the fetcher promises, on every runtime.
//!
//! The pattern for a library's tests: each is one `async fn` that names no runtime, and the attribute makes of it one
//! test for each runtime, so that a failure is told as `name_of_the_promise::smol`. Nothing sleeps to be sure: the transport
//! is a script, and where two things have to happen in an order, a gate holds one of them.

#![forbid(unsafe_code)]

use anyscope::{CancelToken, Elapsed, Semaphore, gather, race, task_group, timeout};
use fetcher::{Backoff, Builder, FetchError, Fetcher, Transport};
use std::error::Error;
use std::fmt;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::{self, ThreadId};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[anyscope::test]
async fn a_value_is_fetched_and_decoded() {
    let fetcher = impatient().build(Script::new());
    assert_eq!(fetcher.fetch("fine").await.unwrap(), "fine at 1");
    // As a child on the runtime's threads, too.
    let spawned = task_group(async |g| g.spawn(async move { fetcher.fetch("fine").await }).await).await;
    assert_eq!(spawned.unwrap(), "fine at 1");
}

#[anyscope::test]
async fn values_stand_in_the_order_of_their_keys() {
    // The gate opens for the first when the last has been asked for, and decoded.
    let script = Script::new();
    let fetcher = impatient().timeout_each(HOUR).limit(3).build(script.clone());
    let fetched = fetcher.fetch_all(["gated", "fine", "opens the gate"]).await;
    let values: Vec<String> = fetched.into_iter().map(Result::unwrap).collect();
    assert_eq!(values, ["gated at 1", "fine at 1", "opens the gate at 1"]);
}

#[anyscope::test]
async fn no_more_requests_than_the_limit_are_under_way_over_all_clones() {
    let script = Script::new();
    let fetcher = impatient().timeout_each(HOUR).limit(3).build(script.clone());
    let clones = [fetcher.clone(), fetcher.clone(), fetcher];
    let all = task_group(async |g| {
        let parts = clones.map(|fetcher| g.spawn(async move { fetcher.fetch_all(["gated"; 4]).await }));
        // As many as may are under way, and the rest has to wait for them.
        script.wait_for(3).await;
        script.gate.add_permits(1);
        gather(parts).await
    })
    .await;
    assert_eq!(all.into_iter().flatten().filter(Result::is_ok).count(), 12);
    assert_eq!(script.peak(), 3);
}

#[anyscope::test]
async fn no_key_is_pulled_before_there_is_room() {
    let script = Script::new();
    let fetcher = impatient().timeout_each(HOUR).limit(2).build(script.clone());
    let pulled = AtomicUsize::new(0);
    let keys = std::iter::repeat_n("hung", 100).inspect(|_| {
        pulled.fetch_add(1, Ordering::SeqCst);
    });
    let token = CancelToken::new();
    let change_of_mind = async {
        script.wait_for(2).await;
        token.cancel();
    };
    let (cut, ()) = gather((token.run(fetcher.fetch_all(keys)), change_of_mind)).await;
    assert!(cut.is_err());
    assert_eq!(pulled.into_inner(), 2);
}

#[anyscope::test]
async fn a_key_that_waits_for_its_retry_takes_no_room() {
    let fetcher = impatient().limit(1).backoff(Backoff::exponential(2 * HOUR)).build(Script::new());
    // The first has failed and waits for hours when the second is asked for.
    let first = race((fetcher.fetch("busy"), fetcher.fetch("fine"))).await;
    assert_eq!(first.unwrap(), "fine at 1");
}

#[anyscope::test]
async fn a_transient_error_is_tried_again() {
    let script = Script::new();
    let fetcher = impatient().attempts(3).build(script.clone());
    assert_eq!(fetcher.fetch("busy twice").await.unwrap(), "busy twice at 3");
    assert_eq!(script.requests(), 3);
}

#[anyscope::test]
async fn after_the_last_attempt_the_error_is_the_upstreams() {
    let script = Script::new();
    let error = impatient().attempts(4).build(script.clone()).fetch("busy").await.unwrap_err();
    assert!(error.is_upstream() && !error.is_timeout() && !error.is_deadline() && !error.is_decode(), "{error:?}");
    assert_eq!((error.key(), error.attempts(), script.requests()), ("busy", 4, 4));
    assert_eq!(source(&error), Some(&Fault::Busy));
    assert_eq!(error.to_string(), r#"key "busy": the upstream failed, after 4 attempts"#);
}

#[anyscope::test]
async fn an_error_for_good_is_not_tried_again() {
    let script = Script::new();
    let error = impatient().build(script.clone()).fetch("gone").await.unwrap_err();
    assert!(error.is_upstream(), "{error:?}");
    assert_eq!((error.attempts(), script.requests()), (1, 1));
    assert_eq!(source(&error), Some(&Fault::Gone));
}

#[anyscope::test]
async fn an_attempt_that_hangs_ends_by_its_own_time_and_is_tried_again() {
    let script = Script::new();
    let fetcher = impatient().build(script.clone());
    assert_eq!(fetcher.fetch("hung once").await.unwrap(), "hung once at 2");
    assert_eq!(script.under_way(), 0);
}

#[anyscope::test]
async fn an_error_of_an_attempt_that_hung_is_no_deadline_of_the_callers() {
    let script = Script::new();
    let fetcher = impatient().attempts(2).build(script.clone());
    let error = timeout(HOUR, fetcher.fetch("hung")).await.unwrap().unwrap_err();
    assert!(error.is_timeout() && !error.is_deadline() && !error.is_upstream(), "{error:?}");
    assert_eq!(script.requests(), 2);
    assert!(source::<Elapsed>(&error).is_some(), "{error:?}");
}

#[anyscope::test]
async fn no_retry_is_begun_that_cannot_end_in_time() {
    let script = Script::new();
    let fetcher = impatient().backoff(Backoff::exponential(2 * HOUR)).build(script.clone());
    // Were it begun, the minute would pass, and the timeout would tell.
    let error = timeout(MINUTE, fetcher.fetch("busy")).await.unwrap().unwrap_err();
    assert!(error.is_deadline() && !error.is_upstream() && !error.is_timeout(), "{error:?}");
    assert_eq!((error.attempts(), script.requests()), (1, 1));
    assert_eq!(source(&error), Some(&Fault::Busy));

    // The nearest deadline counts, also of a token, and whatever is between it and the call.
    let token = CancelToken::new().with_deadline(anyscope::now() + MINUTE);
    let error = timeout(3 * HOUR, token.run(timeout(4 * HOUR, fetcher.fetch("busy")))).await.unwrap().unwrap().unwrap();
    assert!(error.unwrap_err().is_deadline());
}

#[anyscope::test]
async fn no_attempt_is_begun_with_less_time_than_it_needs() {
    let script = Script::new();
    let fetcher = impatient().attempt_needs(HOUR).build(script.clone());
    let error = timeout(MINUTE, fetcher.fetch("fine")).await.unwrap().unwrap_err();
    assert!(error.is_deadline(), "{error:?}");
    assert_eq!((error.attempts(), script.requests()), (0, 0));
    assert!(error.source().is_none());
    assert_eq!(timeout(2 * HOUR, fetcher.fetch("fine")).await.unwrap().unwrap(), "fine at 1");
}

#[anyscope::test]
async fn a_key_that_waited_for_room_too_long_is_not_asked_for() {
    let script = Script::new();
    let fetcher = impatient().limit(1).timeout_each(HOUR).attempt_needs(MINUTE).build(script.clone());
    // There is time enough when it begins to wait, and the room is given up when there isn't any more.
    let room_is_given_up_late = async {
        let token = CancelToken::new().with_deadline(anyscope::now() + MINUTE + 2 * SHORT);
        let wait = async {
            script.wait_for(1).await;
            while anyscope::remaining().is_some_and(|left| left > MINUTE) {
                anyscope::sleep(SHORT).await;
            }
            script.gate.add_permits(1);
        };
        token.run(gather((fetcher.fetch("fine but late"), wait))).await.unwrap().0
    };
    let (held, late) = gather((fetcher.fetch("gated"), room_is_given_up_late)).await;
    assert_eq!(held.unwrap(), "gated at 1");
    let error = late.unwrap_err();
    assert!(error.is_deadline(), "{error:?}");
    assert_eq!((error.attempts(), script.requests()), (0, 1));
}

#[anyscope::test]
async fn no_attempt_is_begun_after_the_callers_deadline() {
    let script = Script::new();
    let fetcher = impatient().build(script.clone());
    let error = timeout(Duration::ZERO, fetcher.fetch("fine")).await.unwrap().unwrap_err();
    assert!(error.is_deadline(), "{error:?}");
    assert_eq!(script.requests(), 0);
}

#[anyscope::test]
async fn a_deadline_in_the_middle_of_an_attempt_is_told_by_the_caller() {
    let script = Script::new();
    for timeout_each in [HOUR, Duration::MAX] {
        let fetcher = impatient().timeout_each(timeout_each).build(script.clone());
        assert!(timeout(SHORT, fetcher.fetch("hung")).await.is_err());
        assert!(timeout(SHORT, fetcher.fetch_all(["hung", "hung"])).await.is_err());
        assert_eq!(script.under_way(), 0);
    }
    assert_eq!(script.requests(), 6, "nothing is tried again for a caller that is gone");
}

#[anyscope::test]
async fn a_cancelled_caller_leaves_no_request() {
    let script = Script::new();
    let fetcher = impatient().timeout_each(HOUR).build(script.clone());
    let token = CancelToken::new();
    let caller = token.run(fetcher.fetch_all(["hung", "fine", "hung"]));
    let change_of_mind = async {
        script.wait_for(3).await;
        token.cancel_with("enough");
    };
    let (cut, ()) = gather((caller, change_of_mind)).await;
    assert_eq!(cut.unwrap_err().reason().message(), Some("enough"));
    assert_eq!(script.under_way(), 0);
}

#[anyscope::test]
async fn a_caller_that_is_dropped_leaves_no_request_and_no_room_taken() {
    let script = Script::new();
    let fetcher = impatient().timeout_each(HOUR).limit(2).build(script.clone());
    let first = race((
        async {
            fetcher.fetch_all(["hung", "hung", "never asked for"]).await;
        },
        script.wait_for(2),
    ));
    first.await;
    assert_eq!((script.under_way(), script.requests()), (0, 2));
    let both = fetcher.fetch_all(["fine", "fine"]).await;
    assert!(both.iter().all(Result::is_ok), "{both:?}");
}

#[anyscope::test]
async fn a_body_that_cannot_be_decoded_is_not_fetched_again() {
    let script = Script::new();
    let error = impatient().build(script.clone()).fetch("corrupt").await.unwrap_err();
    assert!(error.is_decode() && !error.is_upstream(), "{error:?}");
    assert_eq!((error.attempts(), script.requests()), (1, 1));
    assert_eq!(source(&error), Some(&Fault::Corrupt));
}

#[anyscope::test]
async fn decoding_runs_on_another_thread_than_the_caller() {
    let fetcher = impatient().build(Script::new());
    let caller = thread::current().id();
    let decoder = fetcher.fetch("which thread").await.unwrap();
    assert_ne!(decoder, name(caller));
}

#[anyscope::test]
async fn a_value_that_is_being_decoded_is_not_lost_to_a_deadline() {
    let fetcher = impatient().build(Script::new());
    let late = timeout(SHORT, fetcher.fetch("decoded until nobody waits")).await;
    assert_eq!(late.expect("late but done is done").unwrap(), "decoded until nobody waits at 1");
}

#[anyscope::test]
async fn a_panic_of_the_transport_goes_on_in_the_caller() {
    let script = Script::new();
    let fetcher = impatient().limit(1).build(script.clone());
    let mut fetch = Box::pin(fetcher.fetch("panics"));
    let polled = poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| fetch.as_mut().poll(cx).is_ready())))).await;
    assert_eq!(polled.unwrap_err().downcast_ref(), Some(&"as the key says"));
    drop(fetch);
    // The room that it took is free again.
    assert_eq!(fetcher.fetch("fine").await.unwrap(), "fine at 1");
}

/// A future may be spawned where it is `Send`; this doesn't compile where one isn't.
#[test]
fn the_futures_are_send() {
    fn is_send<T: Send>(_: T) {}
    let fetcher = impatient().build(Script::new());
    let names = vec![String::from("a")];
    is_send(fetcher.fetch("a"));
    is_send(fetcher.fetch_all(["a"]));
    is_send(fetcher.fetch_all(&names));
    is_send(fetcher.fetch_all(names.iter().map(|name| format!("{name}/b"))));
    is_send(timeout(MINUTE, async { fetcher.fetch_all(&names).await.len() }));
}

/// An application keeps it in a struct that it shares and clones.
#[test]
fn the_types_are_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Fetcher<Arc<Script>>>();
    is_shared::<Builder>();
    is_shared::<FetchError>();
}

/// Hardly waits, unless a test says otherwise.
fn impatient() -> Builder {
    Fetcher::builder().attempts(3).backoff(Backoff::exponential(Duration::from_millis(1))).timeout_each(SHORT)
}

fn source<E: Error + 'static>(error: &FetchError) -> Option<&E> {
    error.source().and_then(|source| source.downcast_ref())
}

fn name(thread: ThreadId) -> String {
    format!("{thread:?}")
}

/// An upstream that does what the key says.
struct Script {
    /// Closed until somebody opens it.
    gate: Semaphore,
    /// A permit for each request that has come.
    came: Semaphore,
    requests: AtomicUsize,
    under_way: AtomicUsize,
    peak: AtomicUsize,
}

impl Script {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(0),
            came: Semaphore::new(0),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        })
    }

    /// Waits until this many requests have come.
    async fn wait_for(&self, requests: usize) {
        let mut permits = Vec::new();
        while permits.len() < requests {
            permits.push(self.came.acquire().await.unwrap());
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }
}

impl Transport for Script {
    type Body = String;
    type Value = String;
    type Error = Fault;

    async fn get(&self, key: &str, attempt: u32) -> Result<String, Fault> {
        let _request = Request::start(self);
        match (key, attempt) {
            ("busy", _) | ("busy twice", 1 | 2) => return Err(Fault::Busy),
            ("gone", _) => return Err(Fault::Gone),
            ("hung", _) | ("hung once", 1) => pending().await,
            ("gated", _) => drop(self.gate.acquire().await.unwrap()),
            ("opens the gate", _) => self.gate.add_permits(1),
            ("panics", _) => panic!("as the key says"),
            _ => {}
        }
        Ok(format!("{key} at {attempt}"))
    }

    fn decode(&self, body: String) -> Result<String, Fault> {
        match &*body {
            "corrupt at 1" => return Err(Fault::Corrupt),
            "which thread at 1" => return Ok(name(thread::current().id())),
            "decoded until nobody waits at 1" => {
                while !anyscope::is_cancelled() {
                    thread::yield_now();
                }
            }
            _ => {}
        }
        Ok(body)
    }

    fn is_transient(&self, fault: &Fault) -> bool {
        *fault == Fault::Busy
    }
}

/// A request, from when it comes in until its future is gone.
struct Request<'a>(&'a Script);

impl<'a> Request<'a> {
    fn start(script: &'a Script) -> Self {
        script.requests.fetch_add(1, Ordering::SeqCst);
        let under_way = script.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        script.peak.fetch_max(under_way, Ordering::SeqCst);
        script.came.add_permits(1);
        Self(script)
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, PartialEq)]
enum Fault {
    Busy,
    Gone,
    Corrupt,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Error for Fault {}
