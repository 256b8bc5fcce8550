//! `anyscope::trace`: what a viewer makes of the file, by the rules of the format, on every runtime and where things go wrong.

#![forbid(unsafe_code)]

use anyscope::channel;
use anyscope::trace::{self, Trace};
use anyscope::{Outcome, Runtime, TaskGroup, gather, run, sleep, task_group, timeout, unblock, yield_now};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[path = "told_when_it_waits.rs"]
mod told_when_it_waits;

use told_when_it_waits::told_when_it_waits;

#[macro_use]
mod on_every_runtime;

on_every_runtime! {
    each_task_has_its_track_with_its_polls_and_waits,
    a_track_is_used_again_by_what_is_like_it,
    an_end_says_how_and_why,
    nested_groups_stand_below_their_openers,
    whatever_happens_the_file_keeps_the_rules,
    a_disk_that_is_full_disturbs_nobody,
}

/// A trace sees every group of the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A trace to a file of its own, which is read and removed.
struct Recording {
    trace: Option<Trace>,
    path: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Recording {
    fn new() -> Self {
        Self::with(trace::builder())
    }

    fn with(builder: trace::TraceBuilder) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("anyscope-trace-{}-{number}.json", std::process::id()));
        Self { trace: Some(builder.to_file(&path).unwrap()), path, _alone: alone }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// Ends the trace and reads the file.
    fn picture(mut self) -> Picture {
        self.trace.take().unwrap().finish().unwrap();
        Picture::of(&self.text())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What a viewer has read.
#[derive(Debug, Default)]
struct Picture {
    /// By process and thread.
    tracks: BTreeMap<(u64, u64), Track>,
    processes: BTreeMap<u64, (String, u64)>,
    arrows: Vec<Arrow>,
}

#[derive(Debug, Default)]
struct Track {
    label: String,
    sort: u64,
    /// With their depths.
    slices: Vec<(usize, String)>,
    instants: Vec<(String, String)>,
    /// Of the outermost slices.
    outcomes: Vec<String>,
    open: Vec<usize>,
    time: f64,
}

/// From one slice to another, by their labels.
#[derive(Debug, PartialEq)]
struct Arrow {
    what: String,
    from: (String, String),
    to: (String, String),
}

impl Track {
    /// What is open, innermost.
    fn top(&self) -> (String, String) {
        let slice = *self.open.last().expect("an arrow begins and ends in a slice");
        (short(&self.label), self.slices[slice].1.clone())
    }

    fn slices(&self) -> Vec<&str> {
        self.slices.iter().map(|(_, name)| name.as_str()).collect()
    }
}

/// A label without its place.
fn short(label: &str) -> String {
    label.split(" (").next().unwrap().to_owned()
}

impl Picture {
    /// Reads a file, and checks what the format asks for.
    fn of(text: &str) -> Self {
        let events: Vec<Value> = serde_json::from_str(text).expect("a list of JSON");
        let mut picture = Self::default();
        let mut arrows: BTreeMap<u64, (String, f64, (String, String))> = BTreeMap::new();
        let mut time = 0.0;
        for event in &events {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let (process, thread) = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
            let ts = event["ts"].as_f64().unwrap();
            assert!(ts >= time, "times run on: {event}");
            time = ts;
            let phase = text("ph");
            if phase == "M" {
                let argument = &event["args"];
                let track = picture.tracks.entry((process, thread)).or_default();
                match text("name").as_str() {
                    "thread_name" => track.label = argument["name"].as_str().unwrap().to_owned(),
                    "thread_sort_index" => track.sort = argument["sort_index"].as_u64().unwrap(),
                    "process_name" => {
                        let name = argument["name"].as_str().unwrap().to_owned();
                        assert!(picture.processes.insert(process, (name, 0)).is_none(), "a process has one name");
                    }
                    "process_sort_index" => {
                        picture.processes.get_mut(&process).unwrap().1 = argument["sort_index"].as_u64().unwrap();
                    }
                    other => panic!("what is {other}?"),
                }
                continue;
            }
            if phase == "i" && text("s") == "g" {
                continue;
            }
            assert!(picture.processes.contains_key(&process), "the group is known: {event}");
            let track = picture.tracks.get_mut(&(process, thread)).expect("the track is known");
            assert!(!track.label.is_empty(), "it has a name: {event}");
            assert!(ts >= track.time);
            track.time = ts;
            match phase.as_str() {
                "B" => {
                    track.open.push(track.slices.len());
                    track.slices.push((track.open.len() - 1, text("name")));
                }
                "E" => {
                    track.open.pop().unwrap_or_else(|| panic!("nothing is open: {event}"));
                    if let (true, Some(outcome)) = (track.open.is_empty(), event["args"]["outcome"].as_str()) {
                        track.outcomes.push(outcome.to_owned());
                    }
                }
                "i" => {
                    assert_eq!(text("s"), "t");
                    let reason = event["args"]["reason"].as_str().unwrap_or_default().to_owned();
                    track.instants.push((text("name"), reason));
                }
                "s" => {
                    let what = format!("{} {}", text("cat"), text("name"));
                    let before = arrows.insert(event["id"].as_u64().unwrap(), (what, ts, track.top()));
                    assert!(before.is_none(), "an arrow begins once: {event}");
                }
                "f" => {
                    let (what, from_ts, from) = arrows.remove(&event["id"].as_u64().unwrap()).expect("it has begun");
                    assert_eq!(what, format!("{} {}", text("cat"), text("name")), "a viewer tells arrows by these too");
                    assert!(ts >= from_ts && text("bp") == "e");
                    picture.arrows.push(Arrow { what: text("name"), from, to: track.top() });
                }
                other => panic!("what is {other}?"),
            }
        }
        assert!(arrows.is_empty(), "these lead nowhere: {arrows:?}");
        for track in picture.tracks.values() {
            assert!(track.open.is_empty(), "what begins ends: {track:?}");
        }
        let threads: BTreeSet<u64> = picture.tracks.keys().map(|(_, thread)| *thread).collect();
        assert_eq!(threads.len(), picture.tracks.len(), "a thread has one process");
        picture
    }

    fn tracks(&self, label: &str) -> Vec<&Track> {
        self.tracks.values().filter(|track| short(&track.label) == label).collect()
    }

    fn track(&self, label: &str) -> &Track {
        let tracks = self.tracks(label);
        assert_eq!(tracks.len(), 1, "{label} in {:?}", self.tracks);
        tracks[0]
    }

    fn leads(&self, what: &str, from: (&str, &str), to: (&str, &str)) -> bool {
        let owned = |(track, slice): (&str, &str)| (track.to_owned(), slice.to_owned());
        self.arrows.contains(&Arrow { what: what.to_owned(), from: owned(from), to: owned(to) })
    }
}

fn each_task_has_its_track_with_its_polls_and_waits<R: Runtime>(runtime: R) {
    let recording = Recording::new();
    run(runtime, async {
        TaskGroup::builder()
            .name("market")
            .run(async |g| {
                let (sender, receiver) = channel(1);
                let (begun, has_begun) = channel(1);
                let consumer = g.task("consumer").spawn(async move {
                    told_when_it_waits(receiver.recv(), || begun.try_send(()).unwrap()).await.unwrap()
                });
                g.task("producer").spawn(async move {
                    sleep(Duration::from_millis(1)).await;
                    has_begun.recv().await.unwrap();
                    sender.send(7).await.unwrap();
                });
                consumer.await
            })
            .await
    });
    let picture = recording.picture();
    let (producer, consumer) = (picture.track("producer"), picture.track("consumer"));
    assert!(consumer.label.contains("trace.rs:"), "{}", consumer.label);
    assert_eq!(consumer.slices(), ["consumer", "poll", "waits for a message of a channel", "poll"]);
    assert_eq!(consumer.slices.iter().map(|slice| slice.0).collect::<Vec<_>>(), [0, 1, 1, 1]);
    assert_eq!(producer.slices()[0], "producer");
    assert!(producer.slices().contains(&"waits for a timer"), "{producer:?}");
    assert_eq!(consumer.outcomes, ["completed"]);
    let group = picture.processes.values().find(|(name, _)| short(name) == "market").expect("the group has a process");
    assert!(group.0.contains("trace.rs:"), "{}", group.0);
    assert!(picture.leads("wake", ("producer", "poll"), ("consumer", "poll")), "{:?}", picture.arrows);
    for name in ["producer", "consumer"] {
        assert!(picture.leads("spawn", ("market", "market"), (name, "poll")), "{name} in {:?}", picture.arrows);
    }
}

fn a_track_is_used_again_by_what_is_like_it<R: Runtime>(runtime: R) {
    const TURNS: usize = 20;
    let recording = Recording::new();
    run(runtime, async {
        for _ in 0..TURNS {
            TaskGroup::builder()
                .name("again")
                .run(async |g| {
                    for _ in 0..TURNS {
                        g.task("one").spawn(yield_now()).await;
                    }
                    let (sender, receiver) = channel::<()>(1);
                    let waiting = (0..3).map(|_| {
                        let receiver = receiver.clone();
                        g.task("three").spawn(async move { receiver.recv().await.is_err() })
                    });
                    let waiting: Vec<_> = waiting.collect();
                    drop(sender);
                    for task in waiting {
                        assert!(task.await);
                    }
                })
                .await;
        }
    });
    let picture = recording.picture();
    let of = |name: &str| picture.tracks(name).into_iter().map(|track| track.outcomes.len()).collect::<Vec<_>>();
    let groups = picture.processes.values().filter(|(name, _)| short(name) == "again").count();
    assert_eq!(groups, 1, "{:?}", picture.processes);
    assert_eq!(of("one"), [TURNS * TURNS]);
    assert_eq!(of("three").iter().sum::<usize>(), 3 * TURNS);
    assert_eq!(of("three").len(), 3, "as many as there were at a time");
}

fn an_end_says_how_and_why<R: Runtime>(runtime: R) {
    let recording = Recording::new();
    run(runtime, async {
        task_group(async |g| {
            let (begun, has_begun) = channel(1);
            let idle = g.task("idle").spawn(async move {
                begun.try_send(()).unwrap();
                std::future::pending::<()>().await;
            });
            has_begun.recv().await.unwrap();
            idle.cancel_with("no \"need\"");
            assert!(matches!(idle.outcome().await, Outcome::Cancelled(_)));
        })
        .await;
        let failed = anyscope::try_task_group(async |g| {
            g.task("failing").spawn(async { Err::<(), _>("broken") });
            std::future::pending::<Result<(), &str>>().await
        });
        assert!(failed.await.is_err());
        // The group is dropped with an idle child in it.
        let (begun, has_begun) = channel(1);
        let dropped = task_group(async |g| {
            g.task("orphan").spawn(async move {
                begun.try_send(()).unwrap();
                std::future::pending::<()>().await;
            });
            std::future::pending::<()>().await;
        });
        anyscope::race((dropped, async { has_begun.recv().await.unwrap() })).await;
    });
    let picture = recording.picture();
    let idle = picture.track("idle");
    assert_eq!(idle.outcomes, ["cancelled"]);
    assert!(idle.instants[0].1.contains("no \"need\"") && idle.instants[0].1.contains("trace.rs:"), "{idle:?}");
    assert_eq!(picture.track("failing").outcomes, ["failed"]);
    let orphan = picture.track("orphan");
    assert_eq!((&orphan.outcomes[..], orphan.slices().last()), (&["cancelled".to_owned()][..], Some(&"drop")));
}

fn nested_groups_stand_below_their_openers<R: Runtime>(runtime: R) {
    let recording = Recording::new();
    let named = |name: &'static str| TaskGroup::builder().name(name);
    run(runtime, async move {
        named("first")
            .run(async |g| {
                let child = g.task("opener").spawn(async move {
                    let inner = named("inner").run(async |g| {
                        let (go, gone) = channel::<()>(1);
                        let leaf = g.task("leaf").spawn(async move { gone.recv().await });
                        told_when_it_waits(leaf, || go.try_send(()).unwrap()).await.unwrap();
                    });
                    inner.await;
                });
                child.await;
            })
            .await;
        named("second").run(async |g| g.spawn(yield_now()).await).await;
    });
    let picture = recording.picture();
    let mut processes: Vec<_> = picture.processes.iter().map(|(id, (name, sort))| (*sort, name, *id)).collect();
    processes.sort();
    let order: Vec<_> = processes.iter().map(|(_, name, _)| short(name)).collect();
    assert_eq!(order, ["group", "first", "inner", "second"], "the run, and what is in it, depth first");
    assert!(processes[2].1.contains(" in opener (") && processes[2].1.contains("trace.rs:"), "{}", processes[2].1);
    let inner = processes[2].2;
    let members: Vec<_> = picture.tracks.iter().filter(|((process, _), _)| *process == inner).collect();
    assert_eq!(members.iter().map(|(_, track)| short(&track.label)).collect::<Vec<_>>(), ["inner", "leaf"]);
    assert_eq!(members.iter().map(|(_, track)| track.sort).collect::<Vec<_>>(), [0, 1]);
    assert!(picture.leads("spawn", ("opener", "poll"), ("leaf", "poll")), "{:?}", picture.arrows);
    assert!(picture.leads("wake", ("leaf", "wakes who waits for it"), ("opener", "poll")), "{:?}", picture.arrows);
}

/// Everything at once: children that end in every way, names of every kind, groups that are dropped in the middle.
fn whatever_happens_the_file_keeps_the_rules<R: Runtime>(runtime: R) {
    const NAMES: [&str; 6] = ["plain", "with \"quotes\"", "back\\slash", "line\nbreak\t\u{1}", "ünï \u{1f980}", ""];
    let recording = Recording::new();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        run(runtime, async {
            let rounds = (0..30_usize).map(|round| async move {
                let name = NAMES[round % NAMES.len()];
                let work = TaskGroup::builder().name(name).limit(3).run(async move |g| {
                    for child in 0..8 {
                        g.task(format!("{name}{}", child % 3)).spawn(async move {
                            yield_now().await;
                            match child {
                                0 => sleep(Duration::from_micros(200)).await,
                                1 => assert_ne!(round % 5, 3, "meant \"so\"\n"),
                                2 => unblock(|| ()).await,
                                3 => task_group(async |g| drop(g.spawn(yield_now()))).await,
                                4 if round % 3 == 0 => std::future::pending().await,
                                _ => {}
                            }
                        });
                    }
                    yield_now().await;
                    if round % 2 == 0 {
                        g.cancel_with("half \"way\"");
                    }
                });
                let _ = timeout(Duration::from_millis(1 + round as u64 % 3), work).await;
            });
            let outcomes = gather(rounds).parallel().settled().await;
            assert_eq!(outcomes.len(), 30);
        })
    }));
    // One that panics when its group is dropped already is for whoever is around.
    if let Err(payload) = ran {
        assert!(payload.is::<String>(), "meant so");
    }
    let picture = recording.picture();
    assert!(picture.tracks.len() > 30, "{}", picture.tracks.len());
    assert!(picture.tracks.values().any(|track| track.label.starts_with("line\nbreak\t\u{1}0 (")));
}

fn a_disk_that_is_full_disturbs_nobody<R: Runtime>(runtime: R) {
    if !fs::exists("/dev/full").unwrap() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let trace = trace::to_file("/dev/full").unwrap();
    let sum = run(runtime, gather((0..2_000_u64).map(|n| async move { n })).parallel());
    assert_eq!(sum.into_iter().sum::<u64>(), 1_999_000);
    assert_eq!(trace.flush().unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(trace.finish().unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_file_that_cannot_be_made_is_told_at_once() {
    let error = trace::to_file("/nowhere/at/all.json").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn the_limit_ends_the_trace_and_not_the_program() {
    let recording = Recording::with(trace::builder().limit(20_000));
    let values = run(anyscope::smol::Smol::new(), gather((0..5_000_u64).map(|n| async move { n })).parallel());
    assert_eq!(values.len(), 5_000);
    let mut recording = recording;
    let written = recording.trace.take().unwrap().finish().unwrap();
    let text = recording.text();
    assert!(written.is_cut() && written.bytes() == text.len() as u64);
    assert!(text.contains("its limit is reached"));
    let open = Picture::of(&text).tracks.len() as u64;
    assert!(written.bytes() < 20_000 + 200 * (open + 1), "{written:?}, {open}");
}

/// What a process leaves behind that is killed.
#[test]
fn a_file_without_its_end_can_be_read() {
    let recording = Recording::new();
    run(anyscope::sim::Sim::seed(1), async {
        task_group(async |g| {
            let (begun, has_begun) = channel(1);
            g.task("alive").spawn(async move {
                begun.try_send(()).unwrap();
                std::future::pending::<()>().await;
            });
            has_begun.recv().await.unwrap();
            recording.trace.as_ref().unwrap().flush().unwrap();
            let text = recording.text();
            assert!(text.ends_with('}'), "it ends between two events");
            // As viewers do.
            let events: Vec<Value> = serde_json::from_str(&format!("{text}]")).unwrap();
            assert!(events.iter().any(|event| event["name"] == "poll"), "{events:?}");
            g.cancel();
        })
        .await;
    });
}

#[test]
fn what_goes_on_after_the_trace_is_no_part_of_it() {
    let recording = Recording::new();
    let mut recording = recording;
    run(anyscope::smol::Smol::new(), async {
        task_group(async |g| {
            let (go, gone) = channel::<()>(1);
            let task = g.task("long").spawn(async move { gone.recv().await.is_err() });
            yield_now().await;
            recording.trace.take().unwrap().finish().unwrap();
            let before = recording.text();
            drop(go);
            assert!(task.await);
            assert_eq!(recording.text(), before);
        })
        .await;
    });
    let picture = Picture::of(&recording.text());
    assert_eq!(picture.track("long").outcomes, ["none by the end of the trace"]);
}

#[test]
fn two_traces_at_once_are_two_files() {
    let recording = Recording::new();
    let path = recording.path.with_extension("second");
    let second = trace::to_file(&path).unwrap();
    run(anyscope::smol::Smol::new(), task_group(async |g| g.task("seen twice").spawn(async {}).await));
    second.finish().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    Picture::of(&text).track("seen twice");
    recording.picture().track("seen twice");
}

/// A trace ends with what unwinds.
#[test]
fn a_panic_of_the_program_leaves_a_whole_file() {
    let recording = Mutex::new(Recording::new());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut recording = recording.lock().unwrap();
        let _trace = recording.trace.take().unwrap();
        run(
            anyscope::smol::Smol::new(),
            task_group(async |g| g.task("doomed").spawn(async { panic!("as it is to be") }).await),
        );
    }));
    assert!(panicked.is_err());
    let recording = recording.lock().unwrap_or_else(PoisonError::into_inner);
    let picture = Picture::of(&recording.text());
    let doomed = picture.track("doomed");
    assert_eq!(doomed.outcomes, ["panicked"]);
    assert!(doomed.instants.iter().any(|(_, reason)| reason.contains("as it is to be")), "{doomed:?}");
}

/// The simulator's own trace keeps the same rules.
#[test]
fn the_simulators_trace_keeps_the_rules() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in 0..20 {
        let sim = anyscope::sim::Sim::seed(seed);
        run(sim.clone(), async {
            let rounds = (0..10_usize).map(|round| async move {
                let work = task_group(async move |g| {
                    for child in 0..5 {
                        g.task(format!("{child}")).spawn(async move {
                            sleep(Duration::from_millis(child)).await;
                            if child == 4 && round % 2 == 0 {
                                std::future::pending::<()>().await;
                            }
                        });
                    }
                });
                let _ = timeout(Duration::from_millis(10), work).await;
            });
            gather(rounds).parallel().limit(4).await;
        });
        let picture = Picture::of(&sim.trace().to_chrome());
        assert!(picture.arrows.len() > 50 && !picture.tracks("4").is_empty(), "seed {seed}: {picture:?}");
    }
}
