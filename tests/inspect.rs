//! The page of a running service, over real sockets: what it answers, to whom, and that it ends with its group.
//!
//! What it looks like and does in a browser is tested by `inspect/browser.rs`.

#![forbid(unsafe_code)]

use anyscope::inspect::{self, Inspector, Server};
use anyscope::sim::{Sim, cancel_everywhere};
use anyscope::tokio::Tokio;
use anyscope::{Semaphore, gather, sleep, task_group, tree, unblock};
use hyper::rt::ReadBufCursor;
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MALICE: &str = "<script>alert(\"1\")</script>";

fn bound(builder: inspect::Builder) -> (Server, SocketAddr) {
    bound_at(builder, [127, 0, 0, 1])
}

/// A loopback address that no other test has: a port that is closed stays so.
fn own(test: u8) -> [u8; 4] {
    let name = anyscope::Current::get().name();
    [127, 77, test, name.len().try_into().expect("a short name, of another length on each runtime")]
}

fn bound_at(builder: inspect::Builder, address: [u8; 4]) -> (Server, SocketAddr) {
    let server = builder.bind(SocketAddr::from((address, 0))).expect("a port");
    let address = server.address();
    (server, address)
}

/// Asks, and returns the whole answer.
fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn get(address: SocketAddr, path: &'static str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    unblock(move || ask(address, &request)).await.expect("an answer")
}

fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body
}

#[anyscope::test(except(sim), timeout = "60s")]
async fn the_page_and_the_tree_are_served() {
    task_group(async |g| {
        let (server, address) = bound(Inspector::builder().title("the shop"));
        g.task("inspect").spawn_service(server.serve());
        g.task(MALICE).spawn_service(pending::<()>());
        let page = get(address, "/").await;
        assert!(body(&page).starts_with("<!doctype html>"));
        assert!(page.contains("<title>the shop tasks</title>"));
        let tree: Value = serde_json::from_str(body(&get(address, "/tree.json").await)).expect("JSON");
        assert_eq!(tree["schema"], 1);
        let names: Vec<_> = tree["nodes"].as_array().expect("nodes").iter().map(|node| &node["name"]).collect();
        assert!(names.contains(&&Value::from(MALICE)), "{names:?}");
    })
    .await;
}

#[anyscope::test(except(sim), timeout = "60s")]
async fn one_call_serves_it() {
    // A port that was free just now, and nobody else asks for.
    let (server, address) = bound_at(Inspector::builder(), own(1));
    drop(server);
    task_group(async |g| {
        g.spawn_service(inspect::serve(address));
        while unblock(move || TcpStream::connect(address)).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(body(&get(address, "/").await).starts_with("<!doctype html>"));
    })
    .await;
}

#[anyscope::test(except(sim), timeout = "60s")]
async fn it_ends_with_its_group() {
    let (server, address) = bound_at(Inspector::builder(), own(2));
    let mut stream = task_group(async |g| {
        g.spawn_service(server.serve());
        // A connection that stays, in the middle of nothing.
        let connected = unblock(move || {
            let mut stream = TcpStream::connect(address)?;
            write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            let mut first = [0];
            stream.read_exact(&mut first)?;
            io::Result::Ok(stream)
        });
        connected.await.expect("a connection")
    })
    .await;
    // The end of the stream, and not a wait for the next request.
    let rest = unblock(move || stream.read_to_end(&mut Vec::new())).await;
    assert!(rest.is_ok() || rest.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
    let again = unblock(move || TcpStream::connect(address)).await;
    assert_eq!(again.expect_err("it is closed").kind(), io::ErrorKind::ConnectionRefused);
}

#[anyscope::test(except(sim), timeout = "60s")]
async fn many_are_served_at_once() {
    task_group(async |g| {
        let (server, address) = bound(Inspector::builder().connections(8));
        g.spawn_service(server.serve());
        let paths = (0..100).map(|number| if number % 2 == 0 { "/" } else { "/tree.json" });
        for answer in gather(paths.map(|path| get(address, path))).await {
            assert!(!body(&answer).is_empty());
        }
    })
    .await;
}

#[anyscope::test(except(sim), timeout = "60s")]
async fn one_connection_asks_again_and_again() {
    task_group(async |g| {
        let (server, address) = bound(Inspector::builder().connections(1));
        g.spawn_service(server.serve());
        let again = format!("GET /tree.json HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(20);
        let last = format!("GET /tree.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answers = unblock(move || ask(address, &(again + &last))).await.expect("answers");
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 21);
    })
    .await;
}

/// Nothing here is about how long something takes: the last client is served, or the test hangs.
#[anyscope::test(except(sim), timeout = "60s")]
async fn who_is_slow_is_cut_off_and_holds_up_nobody() {
    task_group(async |g| {
        let (server, address) = bound(Inspector::builder().connections(3).patience(Duration::from_millis(50)));
        g.spawn_service(server.serve());
        let slow = unblock(move || {
            let silent = TcpStream::connect(address)?;
            let mut halfway = TcpStream::connect(address)?;
            write!(halfway, "GET / HTTP/1.1\r\nHost: loc")?;
            let idle = TcpStream::connect(address)?;
            write!(&idle, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            io::Result::Ok([silent, halfway, idle])
        });
        let slow = slow.await.expect("connections");
        assert!(!body(&get(address, "/").await).is_empty());
        let ends = slow.map(|mut stream| unblock(move || stream.read_to_end(&mut Vec::new())));
        for end in gather(ends).await {
            assert!(end.is_ok() || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
        }
    })
    .await;
}

#[anyscope::test(except(sim), timeout = "60s")]
async fn who_never_reads_is_cut_off_too() {
    task_group(async |g| {
        let (server, address) = bound(Inspector::builder().connections(1).patience(Duration::from_millis(50)));
        g.spawn_service(server.serve());
        let greedy = unblock(move || {
            let mut stream = TcpStream::connect(address)?;
            let requests = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
            // Until it is cut off: more is asked for than the system keeps.
            while stream.write_all(requests.as_bytes()).is_ok() {}
            io::Result::Ok(stream)
        });
        let greedy = greedy.await.expect("a connection");
        assert!(!body(&get(address, "/").await).is_empty());
        drop(greedy);
    })
    .await;
}

#[anyscope::test(except(sim), timeout = "60s")]
async fn a_client_that_leaves_takes_nothing_along() {
    task_group(async |g| {
        let (server, address) = bound(Inspector::builder().connections(1));
        g.spawn_service(server.serve());
        for _ in 0..20 {
            let left = unblock(move || {
                write!(TcpStream::connect(address)?, "GET /tree.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            });
            left.await.expect("a connection");
        }
        assert!(!body(&get(address, "/tree.json").await).is_empty());
    })
    .await;
}

#[anyscope::test(except(sim), timeout = "60s")]
async fn a_name_that_was_rebound_is_refused_over_a_socket() {
    task_group(async |g| {
        let (server, address) = bound(Inspector::builder());
        g.spawn_service(server.serve());
        let asked =
            |request: &'static str| async move { unblock(move || ask(address, request)).await.expect("an answer") };
        let rebound = asked("GET /tree.json HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
        assert!(rebound.starts_with("HTTP/1.1 403 "), "{rebound}");
        let posted =
            asked("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET"), "{posted}");
        let old = asked("GET / HTTP/1.0\r\n\r\n").await;
        assert!(old.starts_with("HTTP/1.0 403 "), "{old}");
    })
    .await;
}

fn status(inspector: &Inspector, host: &str) -> StatusCode {
    inspector.respond(&Request::get("/").header("host", host).body(()).unwrap()).status()
}

#[test]
fn it_answers_for_hosts_that_it_knows_and_no_others() {
    let plain = Inspector::builder().build();
    for host in
        ["localhost", "LOCALHOST", "localhost:6670", "127.0.0.1", "127.0.0.1:80", "127.1.2.3", "[::1]", "[::1]:6670"]
    {
        assert_eq!(status(&plain, host), StatusCode::OK, "{host}");
    }
    for host in [
        "",
        ":80",
        "evil.example",
        "evil.example:6670",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2]",
        "localhost:x",
        "localhost:99999",
        "localhost:80:80",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "[::1",
        "[::1]x",
    ] {
        assert_eq!(status(&plain, host), StatusCode::FORBIDDEN, "{host}");
    }
    let named = Inspector::builder().host("ops.example.org").build();
    assert_eq!(status(&named, "ops.example.org:443"), StatusCode::OK);
    assert_eq!(status(&named, "example.org"), StatusCode::FORBIDDEN);
    let open = Inspector::builder().open_to_network().build();
    assert_eq!(status(&open, "10.0.0.1:6670"), StatusCode::OK);
    assert_eq!(status(&open, "evil.example"), StatusCode::FORBIDDEN);
}

#[test]
fn two_hosts_are_one_too_many_and_none_is_too_few() {
    let plain = Inspector::builder().build();
    let two = Request::get("/").header("host", "localhost").header("host", "localhost").body(()).unwrap();
    assert_eq!(plain.respond(&two).status(), StatusCode::FORBIDDEN);
    assert_eq!(plain.respond(&Request::get("/").body(()).unwrap()).status(), StatusCode::FORBIDDEN);
    // As over HTTP/2, and through a proxy.
    assert_eq!(plain.respond(&Request::get("http://localhost/").body(()).unwrap()).status(), StatusCode::OK);
    let differ = Request::get("http://localhost/").header("host", "evil.example").body(()).unwrap();
    assert_eq!(plain.respond(&differ).status(), StatusCode::FORBIDDEN);
}

#[test]
fn it_answers_get_alone_and_below_its_path_alone() {
    let inspector = Inspector::builder().path("/debug/tasks/").build();
    let ask = |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "localhost").body(()).unwrap();
        inspector.respond(&request)
    };
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        let refused = ask(method.clone(), "/debug/tasks");
        assert_eq!(
            (refused.status(), &refused.headers()["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"GET".parse().unwrap())
        );
    }
    for (path, kind) in [
        ("/debug/tasks", "text/html; charset=utf-8"),
        ("/debug/tasks/", "text/html; charset=utf-8"),
        ("/debug/tasks/tree.json", "application/json"),
        ("/debug/tasks/tree.json?now", "application/json"),
    ] {
        let answer = ask(Method::GET, path);
        assert_eq!(
            (answer.status(), answer.headers()["content-type"].to_str().unwrap()),
            (StatusCode::OK, kind),
            "{path}"
        );
    }
    for path in ["/", "/tree.json", "/debug/tasks2", "/debug/tasks/other", "/debug/tasks/../tasks"] {
        assert_eq!(ask(Method::GET, path).status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn every_answer_says_what_the_browser_may_do_with_it() {
    let inspector = Inspector::builder().build();
    for (path, host) in
        [("/", "localhost"), ("/tree.json", "localhost"), ("/nothing", "localhost"), ("/", "evil.example")]
    {
        let answer = inspector.respond(&Request::get(path).header("host", host).body(()).unwrap());
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers()[name], value, "{path}");
        }
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
}

#[test]
fn the_policy_names_the_script_and_the_style_that_are_there() {
    let answer = inspect::respond(&Request::get("/").header("host", "localhost").body(()).unwrap());
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    for tag in ["script", "style"] {
        let page = answer.body();
        assert_eq!(page.matches(&format!("<{tag}")).count(), 1, "one {tag}, and it is whole");
        let (_, rest) = page.split_once(&format!("<{tag}>")).expect("it begins");
        let (inside, _) = rest.split_once(&format!("</{tag}>")).expect("it ends");
        let sum = base64(&Sha256::digest(inside));
        assert!(
            policy.contains(&format!("{tag}-src 'sha256-{sum}'")),
            "the {tag} is 'sha256-{sum}': put that into page.rs"
        );
    }
    // Nothing of it is fetched from anywhere.
    assert!(!answer.body().contains("://"));
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[test]
fn a_title_is_text() {
    let inspector = Inspector::builder().title(format!("%%script%%{MALICE}&'")).build();
    let answer = inspector.respond(&Request::get("/").header("host", "localhost").body(()).unwrap());
    assert!(!answer.body().contains(MALICE));
    assert!(
        answer
            .body()
            .contains("<title>%%script%%&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39; tasks</title>")
    );
    assert_eq!(answer.body().matches("<script").count(), 1);
}

#[test]
fn it_is_on_loopback_unless_told_otherwise() {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Inspector::builder().bind(everywhere).expect_err("it isn't loopback");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert!(refused.to_string().contains("0.0.0.0:0 is no loopback address"), "{refused}");
    assert!(Inspector::builder().open_to_network().bind(everywhere).is_ok());
    let six = Inspector::builder().bind("[::1]:0".parse().unwrap());
    assert!(six.map_or_else(|error| error.kind() != io::ErrorKind::InvalidInput, |server| server.address().is_ipv6()));
}

#[test]
fn a_runtime_without_sockets_says_so() {
    let (server, _) = bound(Inspector::builder());
    let error = anyscope::run(Sim::new(), server.serve()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert!(error.to_string().contains("`Inspector::respond`"), "{error}");

    let (server, _) = bound(Inspector::builder());
    let timers_alone = ::tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = anyscope::run(Tokio::from(timers_alone), server.serve()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert!(error.to_string().contains("enable_io"), "{error}");
}

#[test]
fn all_of_it_goes_to_other_threads() {
    fn goes<T: Send + Sync + Clone>() {}
    fn is_sent<T: Send>(_: T) {}
    goes::<Inspector>();
    goes::<inspect::Builder>();
    let (server, address) = bound(Inspector::builder());
    is_sent(server.serve());
    is_sent(inspect::serve(address));
    is_sent(Inspector::builder().build().serve_connection(Memory(b"")));
}

/// A client that asks twice and leaves, without a socket.
struct Memory(&'static [u8]);

impl hyper::rt::Read for Memory {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn connections_survive_every_interruption() {
    const TWICE: &[u8] = b"GET /tree.json HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let points = cancel_everywhere(|| {
        let inspector = Inspector::builder().build();
        // Two, who want a snapshot at the same time.
        task_group(async move |g| {
            for _ in 0..2 {
                let inspector = inspector.clone();
                g.spawn(async move { inspector.serve_connection(Memory(TWICE)).await });
            }
        })
    });
    assert!(points.runs() > 0);
}

/// What `docs/tree-json.md` says, and what there is: each object has the fields of its table, and each field of a table occurs.
#[test]
fn the_page_of_the_schema_has_the_fields_there_are() {
    let text = include_str!("../docs/tree-json.md");
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut object = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            object = heading.to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let (field, _) = row.split_once('`').expect("a field");
            assert!(documented.entry(object.clone()).or_default().insert(field.to_owned()), "{field} twice");
        }
    }

    tree::record();
    let trees = anyscope::run(
        Sim::new(),
        task_group(async |g| {
            let lock = Arc::new(Semaphore::new(1));
            let held = lock.clone().acquire_arc().await;
            let other = lock.clone();
            g.task("waiter").spawn_service(async move { drop(other.acquire().await) });
            let owner = g.task("owner").spawn(task_group(async |g| drop(g.spawn(sleep(HOUR)))));
            g.spawn_service(async move { drop(owner.outcome().await) });
            let cancelled = g.spawn(anyscope::shield(HOUR, sleep(HOUR)));
            g.spawn_service(async {
                loop {
                    anyscope::yield_now().await;
                    sleep(HOUR).await;
                }
            });
            sleep(Duration::from_secs(1)).await;
            cancelled.cancel_with("enough");
            let text = tree().to_json();
            drop(held);
            g.cancel();
            text
        }),
    );
    let tree: Value = serde_json::from_str(&trees).expect("JSON");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |name: &str, object: &Value| {
        let fields = object.as_object().expect(name).keys().cloned().collect::<BTreeSet<_>>();
        found.entry(name.to_owned()).or_default().extend(fields);
    };
    add("The document", &tree);
    for node in tree["nodes"].as_array().expect("nodes") {
        add(if node.get("members").is_some() { "A group" } else { "A task" }, node);
        if !node["cancelled"].is_null() {
            add("A cancellation", &node["cancelled"]);
        }
        if node["noted"].is_null() {
            continue;
        }
        add("What was noted", &node["noted"]);
        for wait in node["noted"]["waits"].as_array().expect("waits") {
            add("A wait", wait);
            for holder in wait["held_by"].as_array().into_iter().flatten() {
                add("A holder", holder);
            }
        }
    }
    assert_eq!(documented, found);
}
