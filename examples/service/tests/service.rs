//! The service from outside, over sockets, on each runtime: every test ends with nothing left over.

use anyscope::CancelToken;
use anyscope_service::{Config, Ready, Report, Which, serve};
use clap::Parser;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs, io, process};

macro_rules! on_each_runtime {
    ($($test:ident)*) => {
        on_each_runtime!(tokio Tokio: $($test)*);
        on_each_runtime!(tokio_current_thread TokioCurrentThread: $($test)*);
        on_each_runtime!(smol Smol: $($test)*);
        on_each_runtime!(async_std AsyncStd: $($test)*);
    };
    ($module:ident $which:ident: $($test:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test(anyscope_service::Which::$which);
                }
            )*
        }
    };
}

on_each_runtime! {
    over_the_limit_of_jobs_is_refused_at_once
    a_stop_before_it_serves_ends_it
    every_route_answers
    a_request_has_the_time_that_its_header_says
    the_deadline_goes_along_to_the_upstream
    a_fan_out_is_in_order_and_answers_in_part
    sync_handlers_wait_for_a_thread_and_get_one_when_there_are_more
    over_the_limit_is_refused_at_once
    a_client_that_leaves_ends_its_request_and_that_is_noted
    a_client_that_leaves_ends_its_sync_handler_too
    a_handler_that_panics_takes_nobody_along
    a_stream_ends_with_its_client
    a_job_outlives_its_response_and_its_client
    what_was_acknowledged_is_there_after_a_restart
    a_stop_answers_what_is_under_way_and_lets_nobody_in
    a_straggler_is_cancelled_and_named
    a_service_that_is_cancelled_leaves_nothing
    the_process_stops_when_it_is_told
    the_process_says_who_did_not_stop
}

/// Longer than any test takes.
const NEVER: &str = "600000";

fn every_route_answers(which: Which) {
    let service = Service::start(which, &[]);
    assert_eq!(service.get("/hello"), (200, "hello\n".to_owned()));
    assert!(service.get("/").1.contains("PUT  /admin/limiter"));
    let (status, hash) = service.get_json("/hash?rounds=2");
    assert_eq!((status, hash["sha256"].as_str().map(str::len)), (200, Some(64)));
    assert_eq!(service.get_json("/slow?ms=1").0, 200);
    let (status, item) = service.ask("POST /items", "", "abc");
    let item: Value = serde_json::from_str(&item).expect("JSON");
    assert_eq!((status, item["id"].as_i64()), (201, Some(1)));
    assert!(item["sha256"].as_str().is_some_and(|text| text.starts_with("ba7816bf")));
    assert_eq!(service.get_json("/items/1").1["body"], "abc");
    assert_eq!(service.get_json("/items").1["count"], 1);
    assert_eq!(service.get("/items/2").0, 404);
    assert_eq!(service.get("/items/two").0, 400);
    assert_eq!(service.get("/stream?chunks=3&every=1"), (200, "0\n1\n2\n".to_owned()));
    assert_eq!(service.get("/jobs/77").0, 404);
    assert_eq!(service.get("/nothing").0, 404);
    assert_eq!(service.ask("POST /hello", "", "").0, 404);
    assert_eq!(service.ask("POST /items", "", &"x".repeat((1 << 20) + 1)).0, 413);
    assert_eq!(service.state()["requests"]["total"], 256);
    service.stop();
}

fn a_request_has_the_time_that_its_header_says(which: Which) {
    let service = Service::start(which, &[]);
    assert_eq!(service.ask(&format!("GET /slow?ms={NEVER}"), "x-timeout-ms: 5", "").0, 504);
    // The handler reads what it has: no more than was said, or else than the service allows.
    let had = |header| {
        let (_, answer) = service.ask("GET /slow?ms=0", header, "");
        serde_json::from_str::<Value>(&answer).expect("JSON")["had_ms"].as_u64().expect("a deadline")
    };
    assert!((1..=3_000).contains(&had("x-timeout-ms: 3000")));
    assert!((1..=10_000).contains(&had("")));
    assert!((1..=10_000).contains(&had("x-timeout-ms: 99999999")));
    assert_eq!(service.ask("GET /hello", "x-timeout-ms: soon", "").0, 400);
    assert_eq!(service.state()["late"], 1);
    service.stop();
}

fn the_deadline_goes_along_to_the_upstream(which: Which) {
    let service = Service::start(which, &[]);
    let (_, answer) = service.ask("GET /fan-out?each=9000", "x-timeout-ms: 5000", "");
    let parts: Value = serde_json::from_str(&answer).expect("JSON");
    for part in parts["parts"].as_array().expect("parts") {
        let told = part["told_timeout_ms"].as_u64().expect("it was told");
        assert!(told <= 5_000, "the whole had 5 s, and a part was told {told} ms");
    }
    service.stop();
}

fn a_fan_out_is_in_order_and_answers_in_part(which: Which) {
    let service = Service::start(which, &[]);
    let (status, answer) = service.get_json("/fan-out?each=2000&limit=8&faults=1");
    assert_eq!((status, answer["missing"].as_u64()), (200, Some(3)));
    let parts = answer["parts"].as_array().expect("parts");
    assert_eq!(parts.len(), 8);
    for (n, part) in parts.iter().enumerate() {
        let fault = part["error"].as_str().unwrap_or_default();
        match n {
            2 => assert!(fault.contains("500"), "{part}"),
            3 => assert!(fault.contains("elapsed"), "{part}"),
            5 => assert!(fault.contains("closed"), "{part}"),
            _ => assert_eq!(part["part"], n.to_string(), "{part}"),
        }
    }
    service.stop();
}

fn sync_handlers_wait_for_a_thread_and_get_one_when_there_are_more(which: Which) {
    let service = Service::start(which, &[]);
    assert_eq!(service.ask("PUT /admin/limiter?total=0", "", "").0, 200);
    let waiting = service.begin("GET /hash", "");
    service.wait_until("a handler waits", |state| state["threads"]["waiting"] == 1);
    // An async handler needs no thread.
    assert_eq!(service.get("/hello").0, 200);
    assert_eq!(service.ask("PUT /admin/limiter?total=2", "", "").0, 200);
    assert_eq!(read_answer(waiting).0, 200);
    assert_eq!(service.get_json("/admin/limiter").1["total"], 2);
    assert_eq!(service.ask("PUT /admin/limiter?total=none", "", "").0, 400);
    service.stop();
}

fn over_the_limit_is_refused_at_once(which: Which) {
    let service = Service::start(which, &["--requests=2"]);
    let first = service.begin(&format!("GET /slow?ms={NEVER}"), "");
    let second = service.begin(&format!("GET /slow?ms={NEVER}"), "");
    service.wait_until("both are under way", |state| state["requests"]["borrowed"] == 2);
    let mut refused = service.begin("GET /hello", "connection: close");
    let mut answer = String::new();
    refused.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.to_lowercase().contains("\nretry-after: 1\r"), "{answer}");
    assert_eq!(service.state()["refused"], 1);
    drop((first, second));
    service.wait_until("the permits are back", |state| state["requests"]["borrowed"] == 0);
    assert_eq!(service.get("/hello").0, 200);
    service.stop();
}

fn over_the_limit_of_jobs_is_refused_at_once(which: Which) {
    let service = Service::start(which, &["--jobs=1"]);
    assert_eq!(service.ask(&format!("POST /jobs?steps={NEVER}&every=5"), "", "").0, 202);
    assert_eq!(service.ask("POST /jobs?steps=1&every=1", "", "").0, 503);
    assert_eq!(service.state()["jobs"], 1);
    service.stop();
}

fn a_stop_before_it_serves_ends_it(which: Which) {
    let database = fresh_file();
    // Somebody else has the file, for longer than anybody waits.
    let other = rusqlite::Connection::open(&database).expect("the store");
    other.execute_batch("begin exclusive").expect("locked");
    let mut config = Cli::parse_from(["service", "--listen=127.0.0.1:0"]).config;
    config.database.clone_from(&database);
    let stop = CancelToken::new();
    stop.cancel();
    let served = which.run(serve(config, stop, |_| panic!("it serves")));
    assert!(served.is_err());
}

fn a_client_that_leaves_ends_its_request_and_that_is_noted(which: Which) {
    let service = Service::start(which, &[]);
    let path = format!("GET /fan-out?delay={NEVER}&each={NEVER}");
    let client = service.begin(&path, "");
    service.wait_until("it is under way", |state| state["requests"]["borrowed"] == 1);
    drop(client);
    service.wait_until("it was ended, and noted", |state| {
        state["requests"]["borrowed"] == 0 && state["abandoned"] == 1 && state["store"]["lent"] == 0
    });
    // A client that has sent all that it will isn't told from one that has left.
    let client = service.begin(&path, "");
    service.wait_until("it is under way", |state| state["requests"]["borrowed"] == 1);
    client.shutdown(Shutdown::Write).expect("half closed");
    service.wait_until("it was ended, and noted", |state| state["abandoned"] == 2);
    let database = service.database.clone();
    service.stop_and_keep();
    assert_eq!(routes_of_the_abandoned(&database), ["GET /fan-out", "GET /fan-out"]);
}

fn a_client_that_leaves_ends_its_sync_handler_too(which: Which) {
    let service = Service::start(which, &["--timeout=1h"]);
    let client = service.begin("GET /hash?rounds=1000000000000", "");
    service.wait_until("it is on its thread", |state| state["threads"]["borrowed"] == 1);
    drop(client);
    service.wait_until("the thread is back", |state| state["threads"]["borrowed"] == 0);
    service.stop();
}

fn a_handler_that_panics_takes_nobody_along(which: Which) {
    let service = Service::start(which, &[]);
    let other = service.begin("GET /slow?ms=1000", "connection: close");
    let mut client = service.begin("GET /panic", "");
    assert_eq!(read_one(&mut client).0, 500);
    // The connection goes on, and so does the other.
    client.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    assert_eq!(read_one(&mut client), (200, "hello\n".to_owned()));
    assert_eq!(read_answer(other).0, 200);
    assert_eq!(service.state()["panicked"], 1);
    drop(client);
    service.stop();
}

fn a_stream_ends_with_its_client(which: Which) {
    let service = Service::start(which, &[]);
    for every in ["1", NEVER] {
        let mut client = service.begin(&format!("GET /stream?chunks=1000000&every={every}"), "");
        let mut some = [0; 64];
        assert_ne!(client.read(&mut some).expect("the head"), 0);
        assert_eq!(service.state()["streams"], 1);
        drop(client);
        service.wait_until("its writer has ended", |state| state["streams"] == 0 && state["requests"]["borrowed"] == 0);
    }
    service.stop();
}

fn a_job_outlives_its_response_and_its_client(which: Which) {
    let service = Service::start(which, &[]);
    let (status, job) = service.ask("POST /jobs?steps=3&every=20", "", "");
    assert_eq!(status, 202);
    let job: Value = serde_json::from_str(&job).expect("JSON");
    service.wait_until("it is done", |state| state["jobs"] == 0);
    assert_eq!(service.get_json(&format!("/jobs/{}", job["job"])).1["state"], "done");
    service.stop();
}

fn what_was_acknowledged_is_there_after_a_restart(which: Which) {
    let service = Service::start(which, &[]);
    for n in 0..20 {
        assert_eq!(service.ask("POST /items", "", &n.to_string()).0, 201);
    }
    assert_eq!(service.ask("POST /jobs?steps=1&every=1", "", "").0, 202);
    service.wait_until("the job is done", |state| state["jobs"] == 0);
    let database = service.database.clone();
    service.stop_and_keep();
    let service = Service::open(which, &[], database);
    assert_eq!(service.get_json("/items").1["count"], 20);
    assert_eq!(service.get_json("/items/20").1["body"], "19");
    assert_eq!(service.get_json("/jobs/1").1["state"], "done");
    assert!(service.ask("POST /jobs?steps=1&every=1", "", "").1.contains("2"), "a new id");
    service.stop();
}

fn a_stop_answers_what_is_under_way_and_lets_nobody_in(which: Which) {
    let service = Service::start(which, &["--grace=1m"]);
    let mut idle = service.begin("GET /hello", "");
    assert_eq!(read_one(&mut idle).0, 200);
    // Half a head.
    let mut half = TcpStream::connect(service.address).expect("a connection");
    half.write_all(b"GET /hel").expect("sent");
    let slow = service.begin("GET /slow?ms=2000", "");
    let stream = service.begin("GET /stream?chunks=1000000&every=5", "");
    assert_eq!(service.ask("POST /jobs?steps=1000000&every=5", "", "").0, 202);
    service.wait_until("all is under way", |state| {
        state["requests"]["borrowed"] == 2 && state["jobs"] == 1 && state["streams"] == 1
    });
    service.stop.cancel();
    assert_eq!(read_answer(slow).0, 200);
    assert_eq!(read_answer(stream).0, 200);
    assert_eq!(idle.read(&mut [0]).expect("the end"), 0);
    let (address, database) = (service.address, service.database.clone());
    let report = service.end();
    assert!(report.stragglers.is_empty(), "{report:?}");
    assert!(TcpStream::connect(address).is_err());
    assert!(state_of_the_job(&database).starts_with("stopped after"));
}

fn a_straggler_is_cancelled_and_named(which: Which) {
    let service = Service::start(which, &["--grace=20ms"]);
    let hanging = service.begin(&format!("GET /slow?ms={NEVER}"), "");
    assert_eq!(service.ask(&format!("POST /jobs?steps=1&every={NEVER}&stubborn=1"), "", "").0, 202);
    service.wait_until("it hangs", |state| state["requests"]["borrowed"] == 1);
    let database = service.database.clone();
    service.stop.cancel();
    let report = service.end();
    drop(hanging);
    let named = |name| report.stragglers.iter().any(|straggler| straggler.contains(name));
    assert!(named("job 1") && named("connection"), "{report:?}");
    assert_eq!(state_of_the_job(&database), "cancelled");
    assert_eq!(routes_of_the_abandoned(&database), ["GET /slow"]);
}

fn a_service_that_is_cancelled_leaves_nothing(which: Which) {
    let service = Service::start(which, &[]);
    let hanging = service.begin(&format!("GET /slow?ms={NEVER}"), "");
    assert_eq!(service.ask(&format!("POST /jobs?steps=1&every={NEVER}"), "", "").0, 202);
    service.wait_until("it hangs", |state| state["requests"]["borrowed"] == 1);
    let database = service.database.clone();
    service.all.cancel();
    assert!(service.thread.join().expect("no panic").is_none());
    drop(hanging);
    // The clean-ups are done: `run` waits for them.
    assert_eq!(state_of_the_job(&database), "cancelled");
    assert_eq!(routes_of_the_abandoned(&database), ["GET /slow"]);
}

fn the_process_stops_when_it_is_told(which: Which) {
    let (mut process, address, lines) = start_process(which, &["--grace=1m"]);
    let slow = begin(address, "GET /slow?ms=2000", "", "");
    wait_until(address, "it is under way", |state| state["requests"]["borrowed"] == 1);
    kill(&process);
    assert_eq!(read_answer(slow).0, 200);
    let said: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(process.wait().expect("it ends").code(), Some(0), "{said:?}");
    assert!(said[0].ends_with("0 tasks, 0 permits, 0 connections of the store"), "{said:?}");
}

fn the_process_says_who_did_not_stop(which: Which) {
    let (mut process, address, lines) = start_process(which, &["--grace=1ms"]);
    assert_eq!(read_answer(begin(address, &format!("POST /jobs?steps=1&every={NEVER}&stubborn=1"), "", "")).0, 202);
    kill(&process);
    let said: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(process.wait().expect("it ends").code(), Some(3), "{said:?}");
    assert!(said.iter().any(|line| line.contains("had to be cancelled: task `job 1`")), "{said:?}");
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// A service on a thread of its own.
struct Service {
    address: SocketAddr,
    database: PathBuf,
    /// Stops it.
    stop: CancelToken,
    /// Cancels it as a whole.
    all: CancelToken,
    thread: JoinHandle<Option<io::Result<Report>>>,
}

impl Service {
    fn start(which: Which, options: &[&str]) -> Self {
        Self::open(which, options, fresh_file())
    }

    fn open(which: Which, options: &[&str], database: PathBuf) -> Self {
        let fixed = ["service", "--listen=127.0.0.1:0"];
        let mut config = Cli::parse_from(fixed.iter().chain(options)).config;
        config.which = which;
        config.database.clone_from(&database);
        let (stop, all) = (CancelToken::new(), CancelToken::new());
        let (told, ready) = mpsc::channel();
        let thread = thread::spawn({
            let (stop, all) = (stop.clone(), all.clone());
            move || which.run(all.run(serve(config, stop, move |ready| told.send(ready).expect("heard")))).ok()
        });
        let Ready { address, .. } = ready.recv().expect("it serves");
        Self { address, database, stop, all, thread }
    }

    /// Waits for the end, after which nothing may be left.
    fn end(self) -> Report {
        let report = self.thread.join().expect("no panic").expect("it isn't cancelled").expect("it serves");
        assert!(report.left.is_nothing(), "left over: {}", report.left);
        report
    }

    fn stop_and_keep(self) {
        self.stop.cancel();
        let report = self.end();
        assert!(report.stragglers.is_empty(), "{report:?}");
    }

    fn stop(self) {
        let database = self.database.clone();
        self.stop_and_keep();
        fs::remove_file(database).expect("it was there");
    }

    fn begin(&self, line: &str, header: &str) -> TcpStream {
        begin(self.address, line, header, "")
    }

    fn ask(&self, line: &str, header: &str, body: &str) -> (u16, String) {
        read_answer(begin(self.address, line, &format!("connection: close\r\n{header}"), body))
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask(&format!("GET {path}"), "", "")
    }

    fn get_json(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.get(path);
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    fn state(&self) -> Value {
        self.get_json("/admin/state").1
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        wait_until(self.address, what, is_so);
    }
}

/// Sends a request, and leaves the answer to be read.
fn begin(address: SocketAddr, line: &str, header: &str, body: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("a connection");
    let header = header.trim_end();
    let end = if header.is_empty() { "" } else { "\r\n" };
    let length = body.len();
    let request = format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{header}{end}\r\n{body}");
    // One that is refused for its size may be closed on before all was sent.
    let _ = client.write_all(request.as_bytes());
    client
}

/// Reads one answer and the end of the connection, at which a body that has no length ends.
fn read_answer(client: TcpStream) -> (u16, String) {
    let mut client = client;
    read_one(&mut client)
}

/// Reads one answer of a connection that may go on.
fn read_one(client: &mut TcpStream) -> (u16, String) {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line).expect("the first line");
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {line:?}")).parse().expect("a status");
    let (mut length, mut is_chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("a length");
        }
        is_chunked |= line == "transfer-encoding: chunked";
    }
    let mut body = Vec::new();
    if is_chunked {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("the size of a chunk");
            let size = u64::from_str_radix(line.trim_end(), 16).unwrap_or_else(|_| panic!("no size: {line:?}"));
            reader.by_ref().take(size).read_to_end(&mut body).expect("a chunk");
            reader.read_line(&mut String::new()).expect("the end of a chunk");
            if size == 0 {
                break;
            }
        }
    } else {
        reader.by_ref().take(length).read_to_end(&mut body).expect("a body");
    }
    (status, String::from_utf8(body).expect("text"))
}

/// Asks for the state until it is so.
fn wait_until(address: SocketAddr, what: &str, is_so: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    loop {
        let (_, text) = read_answer(begin(address, "GET /admin/state", "connection: close", ""));
        let state = serde_json::from_str(&text).expect("JSON");
        if is_so(&state) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "never: {what}: {state}");
        thread::yield_now();
    }
}

fn fresh_file() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let file = env::temp_dir().join(format!("anyscope-service-{}-{n}.db", process::id()));
    let _ = fs::remove_file(&file);
    file
}

fn routes_of_the_abandoned(database: &PathBuf) -> Vec<String> {
    let connection = rusqlite::Connection::open(database).expect("the store");
    let mut statement = connection.prepare("select route from abandoned order by id").expect("a table");
    let routes = statement.query_map([], |row| row.get(0)).expect("rows").map(|route| route.expect("a route"));
    routes.collect()
}

fn state_of_the_job(database: &PathBuf) -> String {
    let connection = rusqlite::Connection::open(database).expect("the store");
    connection.query_row("select state from jobs", [], |row| row.get(0)).expect("a job")
}

type Lines = io::Lines<BufReader<process::ChildStdout>>;

fn start_process(which: Which, options: &[&str]) -> (Child, SocketAddr, Lines) {
    let runtime = clap::ValueEnum::to_possible_value(&which).expect("a name").get_name().to_owned();
    let mut process = Command::new(env!("CARGO_BIN_EXE_service"))
        .args(["--listen", "127.0.0.1:0", "--runtime", &runtime, "--database"])
        .arg(fresh_file())
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the service");
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let address = line.strip_prefix("listening on ").expect("an address").parse().expect("an address");
    (process, address, lines)
}

/// SIGTERM.
fn kill(process: &Child) {
    let killed = Command::new("kill").arg(process.id().to_string()).status().expect("kill");
    assert!(killed.success());
}
