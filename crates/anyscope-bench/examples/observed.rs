//! What it costs to be watched: children that are ready at once, spawned in a group and joined, with each of the tools of
//! `docs/observability.md` on. Each in a process of its own, as what was watched once looks twice.
//!
//! ```text
//! cargo run --release -p anyscope-bench --example observed
//! ```

#![forbid(unsafe_code)]

use anyscope::{sleep, task_group, tree, yield_now};
use std::env;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const CHILDREN: usize = 1_000;
const ROUNDS: usize = 101;
const TASKS: usize = 10_000;
const SUBJECTS: [(&str, &str); 7] = [
    ("nothing", "nothing is on"),
    ("recorded", "`tree::record()`"),
    ("trace", "`trace`, to `/dev/null`"),
    ("was-traced", "`trace`, and it is over"),
    ("tracing", "`tracing`, without a subscriber"),
    ("tracing-off", "`tracing`, a subscriber that wants none"),
    ("tracing-on", "`tracing`, a subscriber that takes all and does nothing"),
];

fn main() {
    match env::args().nth(1) {
        Some(subject) => println!("{}", measured(&subject).as_nanos()),
        None => {
            println!("| what is on | ns a child |");
            println!("|---|---:|");
            for (subject, words) in SUBJECTS {
                let this = env::current_exe().expect("this is a program");
                let output = Command::new(this).arg(subject).output().expect("it can be started");
                assert!(output.status.success(), "{subject}: {}", String::from_utf8_lossy(&output.stderr));
                println!("| {words} | {} |", String::from_utf8_lossy(&output.stdout).trim());
            }
            println!();
            println!("| of a tree of {TASKS} tasks that wait | ns a task |");
            println!("|---|---:|");
            for (words, taken) in looks() {
                println!("| {words} | {} |", taken.as_nanos());
            }
        }
    }
}

/// The medians of what a task takes in a snapshot, and in what is made of it.
fn looks() -> [(&'static str, Duration); 3] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    tree::record();
    runtime.block_on(task_group(async |g| {
        for n in 0..TASKS {
            g.task(format!("task {n}")).spawn(sleep(Duration::from_secs(3600)));
        }
        // The last of them is polled after the others.
        while tree().tasks().filter(|task| task.polls() > Some(0)).count() < TASKS {
            yield_now().await;
        }
        let median = |look: &dyn Fn()| {
            let mut rounds: Vec<Duration> = (0..ROUNDS)
                .map(|_| {
                    let begin = Instant::now();
                    look();
                    begin.elapsed()
                })
                .collect();
            rounds.sort();
            rounds[ROUNDS / 2] / TASKS as u32
        };
        let snapshot = tree();
        let looks = [
            ("the snapshot", median(&|| drop(black_box(tree())))),
            ("drawing it", median(&|| drop(black_box(snapshot.to_string())))),
            ("its JSON", median(&|| drop(black_box(snapshot.to_json())))),
        ];
        g.cancel();
        looks
    }))
}

/// The median of what a child takes.
fn measured(subject: &str) -> Duration {
    let _spans = match subject {
        "tracing" => Some(anyscope::tracing::install()),
        "tracing-off" | "tracing-on" => {
            let takes = Takes { spans: subject == "tracing-on" };
            tracing::subscriber::set_global_default(takes).expect("it is the first");
            Some(anyscope::tracing::install())
        }
        _ => None,
    };
    if subject == "recorded" {
        tree::record();
    }
    // To its end: a trace of that many events would come to its limit.
    let trace = || anyscope::trace::builder().limit(u64::MAX).to_file("/dev/null").expect("it is there");
    let _trace = (subject == "trace").then(trace);
    if subject == "was-traced" {
        drop(trace());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            runtime.block_on(task_group(async |g| {
                let tasks: Vec<_> = (0..CHILDREN).map(|n| g.spawn(async move { black_box(n) })).collect();
                for task in tasks {
                    black_box(task.await);
                }
            }));
            begin.elapsed()
        })
        .collect();
    rounds.sort();
    rounds[ROUNDS / 2] / CHILDREN as u32
}

/// A subscriber that takes everything, or no span, and does nothing with it.
struct Takes {
    spans: bool,
}

impl Subscriber for Takes {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.spans
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
