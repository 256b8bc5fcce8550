//! The service as a process.

use anyscope::unblock;
use serde_json::Value;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) database: PathBuf,
    process: Child,
    output: BufReader<ChildStdout>,
}

/// How a process ended.
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) said: Vec<String>,
    pub(crate) took: Duration,
}

impl Service {
    pub(crate) async fn start(which: &str) -> Self {
        let database = env::temp_dir().join(format!("anyscope-load-{which}-{}.db", std::process::id()));
        let _ = fs::remove_file(&database);
        let mut process = Command::new(env::current_exe().expect("a path").with_file_name("service"))
            .args(["--listen", "127.0.0.1:0", "--runtime", which, "--grace", "10s", "--requests", "128", "--database"])
            .arg(&database)
            .stdout(Stdio::piped())
            .spawn()
            .expect("`service` beside this program: build both with `cargo build --release -p anyscope-service`");
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        let (line, output) = unblock(move || {
            let mut line = String::new();
            output.read_line(&mut line).expect("text");
            (line, output)
        })
        .await;
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        Self { address: address.expect("an address"), database, process, output }
    }

    /// What is in memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
    }

    /// SIGTERM.
    pub(crate) fn tell_to_stop(&self) {
        let told = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(told.expect("`kill`").success(), "it is there no more");
    }

    /// Waits for the end.
    pub(crate) async fn end(mut self) -> End {
        let begun = Instant::now();
        unblock(move || {
            let said = self.output.lines().map_while(Result::ok).collect();
            let code = self.process.wait().expect("it ends").code();
            End { code, said, took: begun.elapsed() }
        })
        .await
    }
}

/// A number in a state.
pub(crate) fn number(state: &Value, path: &str) -> u64 {
    state.pointer(path).and_then(Value::as_u64).unwrap_or(u64::MAX)
}
