//! `anyscope::tracing`: whose span what is logged in, on every runtime; and what subscribers make of it, unchanged.

#![forbid(unsafe_code)]

use anyscope::{
    Outcome, Runtime, TaskGroup, channel, gather, race, run, sleep, task_group, timeout, unblock, yield_now,
};
use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument, Level, Subscriber, info, info_span};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::{EnvFilter, Layer, fmt};

#[path = "told_when_it_waits.rs"]
mod told_when_it_waits;

use told_when_it_waits::told_when_it_waits;

#[macro_use]
mod on_every_runtime;

on_every_runtime! {
    a_task_logs_in_its_span_below_that_of_its_opener,
    a_span_of_the_programs_own_stays_in_between,
    an_end_is_recorded_with_its_reason,
    destructors_log_in_the_span_of_their_task,
    whatever_happens_each_thread_leaves_what_it_enters,
}

type Fields = BTreeMap<String, String>;

/// What a span came to.
#[derive(Clone, Debug, Default)]
struct Seen {
    span: String,
    fields: Fields,
    /// The names of what it is in, from the inside.
    scope: Vec<String>,
    entered: usize,
    exited: usize,
}

/// What an event said, and in what.
#[derive(Clone, Debug)]
struct Said {
    level: Level,
    fields: Fields,
    scope: Vec<String>,
}

/// A layer that looks.
#[derive(Clone, Default)]
struct Looks(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    open: BTreeMap<u64, Seen>,
    closed: Vec<Seen>,
    said: Vec<Said>,
    wrong: Vec<String>,
}

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

struct Read<'a>(&'a mut Fields);

impl Visit for Read<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Looks {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By the task's name, or the span's.
    fn name(&self, id: &Id) -> String {
        let notes = self.notes();
        let Some(seen) = notes.open.get(&id.into_u64()) else { return "gone".to_owned() };
        seen.fields.get("name").cloned().unwrap_or_else(|| seen.span.clone())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Looks {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut seen = Seen { span: attributes.metadata().name().to_owned(), ..Seen::default() };
        attributes.record(&mut Read(&mut seen.fields));
        let outer = context.span(id).unwrap().scope().skip(1).map(|span| self.name(&span.id()));
        seen.scope = outer.collect();
        self.notes().open.insert(id.into_u64(), seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Read(&mut self.notes().open.get_mut(&id.into_u64()).unwrap().fields));
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Read(&mut fields));
        let scope = context.event_scope(event).into_iter().flatten().map(|span| self.name(&span.id())).collect();
        self.notes().said.push(Said { level: *event.metadata().level(), fields, scope });
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
        self.notes().open.get_mut(&id.into_u64()).unwrap().entered += 1;
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let top = ENTERED.with_borrow_mut(Vec::pop);
        let mut notes = self.notes();
        if top != Some(id.into_u64()) {
            notes.wrong.push(format!("left {id:?}, where {top:?} was entered last"));
        }
        notes.open.get_mut(&id.into_u64()).unwrap().exited += 1;
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut notes = self.notes();
        let closed = notes.open.remove(&id.into_u64()).unwrap();
        notes.closed.push(closed);
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The subscriber of this process, of layers as they come, and one that looks.
struct World {
    looks: Looks,
    lines: Lines,
    exporter: InMemorySpanExporter,
    alone: Mutex<()>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (looks, lines, exporter) = (Looks::default(), Lines::default(), InMemorySpanExporter::default());
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let writer = lines.clone();
    let layers = Registry::default()
        .with(EnvFilter::new("warn,tracing=info,anyscope=debug"))
        .with(looks.clone())
        .with(fmt::layer().with_ansi(false).without_time().with_writer(move || writer.clone()))
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("tests")));
    tracing::subscriber::set_global_default(layers).unwrap();
    World { looks, lines, exporter, alone: Mutex::new(()) }
});

/// What was seen of one test.
struct Found {
    notes: Notes,
    lines: String,
    exported: Vec<SpanData>,
}

/// One test at a time: the spans of all tasks of the process go to one place.
fn watched(test: impl FnOnce()) -> Found {
    let world = &*WORLD;
    let _alone = world.alone.lock().unwrap_or_else(PoisonError::into_inner);
    *world.looks.notes() = Notes::default();
    world.lines.0.lock().unwrap().clear();
    world.exporter.reset();
    let installed = anyscope::tracing::install();
    test();
    drop(installed);
    let notes = std::mem::take(&mut *world.looks.notes());
    assert!(notes.wrong.is_empty(), "{:?}", notes.wrong);
    assert!(notes.open.is_empty(), "all are closed: {:?}", notes.open);
    for seen in &notes.closed {
        assert_eq!(seen.entered, seen.exited, "{seen:?}");
    }
    let lines = String::from_utf8(world.lines.0.lock().unwrap().clone()).unwrap();
    Found { notes, lines, exported: world.exporter.get_finished_spans().unwrap() }
}

impl Found {
    fn task(&self, name: &str) -> &Seen {
        let named = |seen: &&Seen| seen.span == "task" && seen.fields.get("name").is_some_and(|found| found == name);
        let found: Vec<_> = self.notes.closed.iter().filter(named).collect();
        assert_eq!(found.len(), 1, "{name} in {:?}", self.notes.closed);
        found[0]
    }

    fn said(&self, message: &str) -> &Said {
        let says = |said: &&Said| said.fields.get("message").is_some_and(|found| found.contains(message));
        let found: Vec<_> = self.notes.said.iter().filter(says).collect();
        assert_eq!(found.len(), 1, "{message} in {:?}", self.notes.said);
        found[0]
    }

    /// The spans that were exported, by the names of their tasks or their own: each with its parent.
    fn exported(&self) -> BTreeMap<String, (String, Status, Fields)> {
        let spans = &self.exported;
        let fields = |span: &SpanData| -> Fields {
            span.attributes.iter().map(|kv| (kv.key.to_string(), kv.value.to_string())).collect()
        };
        let name = |span: &SpanData| fields(span).get("name").cloned().unwrap_or_else(|| span.name.to_string());
        let names: HashMap<_, _> = spans.iter().map(|span| (span.span_context.span_id(), name(span))).collect();
        let row = |span: &SpanData| {
            let parent = names.get(&span.parent_span_id).cloned().unwrap_or_default();
            (name(span), (parent, span.status.clone(), fields(span)))
        };
        spans.iter().map(row).collect()
    }
}

fn a_task_logs_in_its_span_below_that_of_its_opener<R: Runtime>(runtime: R) {
    let mut line = 0;
    let found = watched(|| {
        let _request = info_span!("request").entered();
        run(runtime, async {
            let named = TaskGroup::builder().name("pool");
            named
                .run(async |g| {
                    line = line!() + 1;
                    let opener = g.task("opener").spawn(async {
                        info!("before");
                        task_group(async |g| {
                            g.task("leaf").spawn(async {
                                yield_now().await;
                                sleep(Duration::from_millis(1)).await;
                                info!("in the leaf");
                                unblock(|| ()).await;
                                info!("after the job");
                            });
                        })
                        .await;
                        info!("after");
                    });
                    g.spawn_service(async { info!("a service") });
                    opener.await;
                })
                .await;
            info!("in the body");
        });
    });
    for (message, scope) in [
        ("before", &["opener", "request"][..]),
        ("in the leaf", &["leaf", "opener", "request"]),
        ("after the job", &["leaf", "opener", "request"]),
        ("after", &["opener", "request"]),
        ("a service", &["task", "request"]),
        ("in the body", &["request"]),
    ] {
        let exact =
            found.notes.said.iter().find(|said| said.fields.get("message").is_some_and(|found| found == message));
        assert_eq!(exact.unwrap().scope, scope, "{message}");
    }
    let opener = found.task("opener");
    let field = |seen: &Seen, name: &str| seen.fields.get(name).cloned().unwrap_or_default();
    assert_eq!((field(opener, "group"), field(opener, "role")), ("pool".to_owned(), "child".to_owned()));
    assert!(field(opener, "code.file.path").ends_with("tracing.rs"), "{opener:?}");
    assert_eq!(field(opener, "code.line.number"), line.to_string());
    assert_eq!(field(opener, "outcome"), "completed");
    assert!(field(opener, "id").parse::<u64>().is_ok() && !opener.fields.contains_key("reason"), "{opener:?}");
    assert!(found.task("leaf").entered > 1);
    let service = found.notes.closed.iter().find(|seen| field(seen, "role") == "service").unwrap();
    assert!(!service.fields.contains_key("name"));

    let exported = found.exported();
    for (name, parent) in [("leaf", "opener"), ("opener", "request"), ("request", "")] {
        assert_eq!(exported.get(name).map(|span| &*span.0), Some(parent), "{name} in {exported:?}");
    }
    assert_eq!(exported["leaf"].2["outcome"], "completed");
    assert!(exported["opener"].2["code.file.path"].ends_with("tests/tracing.rs"), "{exported:?}");
    let line = found.lines.lines().find(|line| line.contains("in the leaf")).unwrap();
    assert!(line.contains("request:task{name=\"opener\" id=") && line.contains(":task{name=\"leaf\" id="), "{line}");
}

fn a_span_of_the_programs_own_stays_in_between<R: Runtime>(runtime: R) {
    let found = watched(|| {
        run(runtime, async {
            task_group(async |g| {
                g.task("above").spawn(async {
                    let handler = async {
                        yield_now().await;
                        task_group(async |g| g.task("below").spawn(async { info!("deep") }).await).await;
                    };
                    handler.instrument(info_span!("handler")).await;
                });
            })
            .await;
        });
    });
    assert_eq!(found.said("deep").scope, ["below", "handler", "above"]);
    assert_eq!(found.task("above").scope, [""; 0]);
}

fn an_end_is_recorded_with_its_reason<R: Runtime>(runtime: R) {
    let found = watched(|| {
        run(runtime, async {
            let panicked = task_group(async |g| {
                let idle = g.task("idle").spawn(pending::<()>());
                g.task("canceller").spawn(async move {
                    idle.cancel_with("not needed");
                    assert!(matches!(idle.outcome().await, Outcome::Cancelled(_)));
                });
            });
            panicked.await;
            let failed = anyscope::try_task_group(async |g| {
                g.task("failing").spawn(async { Err::<(), _>("broken") });
                pending::<Result<(), &str>>().await
            });
            assert!(failed.await.is_err());
            let doomed = gather([async {
                task_group(async |g| g.task("doomed").spawn(async { panic!("as it is to be") }).await).await;
            }]);
            assert_eq!(doomed.parallel().settled().await.len(), 1);
        });
    });
    let field = |name: &str, field: &str| found.task(name).fields.get(field).cloned().unwrap_or_default();
    assert_eq!(field("idle", "outcome"), "cancelled");
    assert!(field("idle", "reason").contains("not needed") && field("idle", "reason").contains("tracing.rs:"));
    assert_eq!(field("failing", "outcome"), "failed");
    assert_eq!((field("doomed", "outcome"), field("doomed", "reason")), ("panicked".into(), "as it is to be".into()));
    let asked = found.said("asks for a cancellation: cancelled explicitly: not needed");
    assert_eq!((asked.level, &asked.scope[..]), (Level::DEBUG, &["canceller".to_owned()][..]));
    assert!(asked.fields["code.file.path"].ends_with("tracing.rs"), "{asked:?}");
    let cancelled = found.notes.said.iter().find(|said| {
        said.scope == ["idle"] && said.fields.get("message").is_some_and(|found| found.starts_with("cancelled: "))
    });
    assert_eq!(cancelled.expect("the task's own").level, Level::DEBUG);
    let errors: Vec<_> = found.notes.said.iter().filter(|said| said.level == Level::ERROR).collect();
    let of_the_task = errors.iter().find(|said| said.scope.first().is_some_and(|name| name == "doomed"));
    assert_eq!(of_the_task.expect("the panic is told in the span").fields["error"], "panicked: as it is to be");

    let exported = found.exported();
    assert!(matches!(&exported["doomed"].1, Status::Error { description } if description.contains("as it is to be")));
    assert!(!matches!(exported["idle"].1, Status::Error { .. }), "a cancellation is no failure");
}

struct Loud(&'static str);

impl Drop for Loud {
    fn drop(&mut self) {
        info!("{} is gone", self.0);
    }
}

fn destructors_log_in_the_span_of_their_task<R: Runtime>(runtime: R) {
    let found = watched(|| {
        run(runtime, async {
            for (name, what) in [("cancelled", "the cancelled"), ("dropped", "the dropped")] {
                let (waiting, waits) = channel(1);
                let work = task_group(async |g| {
                    let task = g.task(name).spawn(async move {
                        let _loud = Loud(what);
                        told_when_it_waits(pending::<()>(), || waiting.try_send(()).unwrap()).await;
                    });
                    waits.recv().await.unwrap();
                    if name == "cancelled" {
                        task.cancel();
                    } else {
                        pending::<()>().await;
                    }
                });
                // Where it waits for ever, it is dropped in the middle of this very poll.
                let mut work = Box::pin(work);
                if name == "cancelled" {
                    work.await;
                } else {
                    race((&mut work, async { sleep(Duration::from_millis(5)).await })).await;
                    drop(work);
                    anyscope::drained().await;
                }
            }
            let refused = task_group(async |g| {
                g.cancel();
                g.task("refused").spawn({
                    let loud = Loud("the refused");
                    async move { drop(loud) }
                });
            });
            refused.await;
        });
    });
    for name in ["cancelled", "dropped", "refused"] {
        assert_eq!(found.said(&format!("the {name} is gone")).scope[0], name);
        assert_eq!(found.task(name).fields["outcome"], "cancelled");
    }
}

fn whatever_happens_each_thread_leaves_what_it_enters<R: Runtime>(runtime: R) {
    let found = watched(|| {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            run(runtime, async {
                let rounds = (0..20_usize).map(|round| async move {
                    let work = TaskGroup::builder().limit(3).run(async move |g| {
                        for child in 0..8 {
                            g.task(format!("{round}/{child}")).spawn(async move {
                                yield_now().await;
                                match child {
                                    0 => sleep(Duration::from_micros(200)).await,
                                    1 => assert_ne!(round % 5, 3, "meant so"),
                                    2 => unblock(|| ()).await,
                                    3 => task_group(async |g| drop(g.spawn(yield_now()))).await,
                                    4 if round % 3 == 0 => pending().await,
                                    5 => anyscope::blocking_scope(|s| drop(s.spawn(async { info!("scoped") }))),
                                    _ => {}
                                }
                                info!("{round}/{child} done");
                            });
                        }
                        yield_now().await;
                        if round % 2 == 0 {
                            g.cancel();
                        }
                    });
                    let _ = timeout(Duration::from_millis(1 + round as u64 % 3), work).await;
                });
                gather(rounds).parallel().settled().await;
            })
        }));
        // One that panics when its group is dropped already is for whoever is around.
        if let Err(payload) = ran {
            assert!(payload.is::<String>(), "meant so");
        }
    });
    for said in &found.notes.said {
        let by = said.fields.get("message").and_then(|message| message.strip_suffix(" done"));
        if let Some(name) = by {
            assert_eq!(said.scope.first().map(String::as_str), Some(name), "{said:?}");
        }
    }
}

#[test]
fn a_filter_that_is_not_interested_sees_no_span() {
    for (filter, spans) in [("info,anyscope=off", 0), ("warn", 0), ("info", 1), ("off", 0)] {
        let _alone = WORLD.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = Looks::default();
        let subscriber = Registry::default().with(EnvFilter::new(filter)).with(looks.clone());
        tracing::subscriber::with_default(subscriber, || {
            let _installed = anyscope::tracing::install();
            run(anyscope::sim::Sim::seed(1), task_group(async |g| g.task("seen?").spawn(yield_now()).await));
        });
        let notes = looks.notes();
        assert_eq!(notes.closed.len() + notes.open.len(), spans, "{filter}");
    }
}

/// What was spawned in a group that was opened before goes on; what comes after the end of it has no span.
#[test]
fn spans_come_for_groups_that_are_opened_meanwhile() {
    let mut notes = watched(|| {
        run(anyscope::sim::Sim::seed(1), task_group(async |g| g.task("meanwhile").spawn(yield_now()).await));
    });
    notes.task("meanwhile");
    {
        let _alone = WORLD.alone.lock().unwrap_or_else(PoisonError::into_inner);
        *WORLD.looks.notes() = Notes::default();
        run(anyscope::sim::Sim::seed(1), task_group(async |g| g.task("after").spawn(yield_now()).await));
        notes.notes = std::mem::take(&mut *WORLD.looks.notes());
    }
    assert!(notes.notes.closed.is_empty(), "{:?}", notes.notes.closed);
}

#[test]
fn two_at_once_are_two_spans_in_each_other() {
    let found = watched(|| {
        let _second = anyscope::tracing::install();
        run(anyscope::smol::Smol::new(), task_group(async |g| g.task("twice").spawn(async { info!("once") }).await));
    });
    assert_eq!(found.said("once").scope[0], "twice");
    let twice = found.notes.closed.iter().filter(|seen| seen.fields.get("name").is_some_and(|name| name == "twice"));
    assert_eq!(twice.count(), 2);
}
