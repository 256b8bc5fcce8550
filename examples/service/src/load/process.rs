//! The service as a process.

use anyscope::{gather, sleep, unblock};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the service has to stop: many times its grace, at the end of which it cancels what is left.
const NEVER: Duration = Duration::from_secs(60);

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
    pub(crate) async fn start(which: &str, inspect: Option<SocketAddr>) -> Self {
        let database = env::temp_dir().join(format!("anyscope-load-{which}-{}.db", std::process::id()));
        let _ = fs::remove_file(&database);
        let mut process = Command::new(env::current_exe().expect("a path").with_file_name("service"))
            .args(["--listen", "127.0.0.1:0", "--runtime", which, "--requests", "128"])
            // Half a head has longer than the service to stop: it mustn't be waited for.
            .args(["--grace", "10s", "--head-timeout", "60s", "--database"])
            .arg(&database)
            .args(inspect.map(|address| format!("--inspect={address}")))
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

    /// What is in memory, in KiB, where the system says.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// SIGTERM.
    pub(crate) fn tell_to_stop(&self) {
        let told = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(told.expect("`kill`").success(), "it is there no more");
    }

    /// Waits for the end. One that doesn't come is brought about, and has no code.
    pub(crate) async fn end(self) -> End {
        let Self { mut process, output, .. } = self;
        let begun = Instant::now();
        // Read meanwhile: a pipe that is full would hold the end up.
        let said = unblock(move || output.lines().map_while(Result::ok).collect());
        let ended = async {
            loop {
                if let Some(status) = process.try_wait().expect("a child") {
                    return (status.code(), begun.elapsed());
                }
                if begun.elapsed() > NEVER {
                    process.kill().expect("it is there");
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        let (said, (code, took)) = gather((said, ended)).await;
        End { code, said, took }
    }
}
