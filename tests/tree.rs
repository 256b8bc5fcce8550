//! The tree of what lives: who is in it, where, in what state, waiting for what; also while everything around it moves.

#![forbid(unsafe_code)]

use anyscope::sync::{Event, Mutex};
use anyscope::tree::{Due, GroupKind, GroupNode, GroupState, TaskNode, TaskState, Tree, What};
use anyscope::{
    Current, Semaphore, TaskGroup, channel, gather, race, shield, sleep, task_group, timeout, tree, unblock, yield_now,
};
use std::fmt::Write as _;
use std::future::{Future, pending};
use std::panic::Location;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Set where a test runs in a process of its own, in which nobody has looked before.
const ALONE: &str = "ANYSCOPE_TESTS_ALONE";

/// A name that no other test of this process has.
fn unique(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{what} {} on {}", NEXT.fetch_add(1, Ordering::Relaxed), Current::get().name())
}

fn task<'a>(tree: &'a Tree, name: &str) -> Option<&'a TaskNode> {
    tree.tasks().find(|task| task.name() == Some(name))
}

fn group<'a>(tree: &'a Tree, name: &str) -> Option<&'a GroupNode> {
    tree.groups().find(|group| group.name() == Some(name))
}

/// Looks until the task of that name is as it should be: a poll that is under way comes to its end, a moment later.
async fn until(name: &str, mut is_so: impl FnMut(&TaskNode) -> bool) -> Tree {
    loop {
        let tree = tree();
        if task(&tree, name).is_some_and(&mut is_so) {
            return tree;
        }
        yield_now().await;
    }
}

/// The names of what is around a task, from the inside out: tasks, groups, and the place of the run.
fn around(tree: &Tree, name: &str) -> Vec<String> {
    let mut place =
        tree.nodes().iter().position(|node| matches!(node.what(), What::Task(task) if task.name() == Some(name)));
    let mut names = Vec::new();
    while let Some(node) = place.map(|place| &tree.nodes()[place]) {
        names.push(match node.what() {
            What::Task(task) => task.name().unwrap_or("a task").to_owned(),
            What::Group(group) if group.kind() == GroupKind::Run => "the run".to_owned(),
            What::Group(group) => group.name().unwrap_or("a group").to_owned(),
            other => panic!("{other:?} is new"),
        });
        place = node.parent();
    }
    names
}

#[anyscope::test]
async fn a_task_stands_below_what_it_was_spawned_in_with_its_name_and_its_place() {
    let (outer, inner, parent, child) = (unique("outer"), unique("inner"), unique("parent"), unique("child"));
    TaskGroup::builder()
        .name(outer.clone())
        .run(async |g| {
            let (inside_of, name) = (inner.clone(), child.clone());
            g.task(parent.clone()).spawn(async move {
                let inside = TaskGroup::builder().name(inside_of);
                inside.run(async |g| _ = g.task(name).spawn(sleep(HOUR))).await;
            });
            let mut tree = until(&child, |child| child.state() == TaskState::Idle).await;
            // The body that spawned it comes to its end a moment later.
            while group(&tree, &inner).unwrap().state() == GroupState::Open {
                yield_now().await;
                tree = anyscope::tree();
            }
            assert_eq!(around(&tree, &child), [&*child, &inner, &parent, &outer, "the run"]);
            let (parent, child) = (task(&tree, &parent).unwrap(), task(&tree, &child).unwrap());
            assert!(child.id() > parent.id());
            assert_eq!(group(&tree, &inner).unwrap().members(), 1);
            assert_eq!(group(&tree, &inner).unwrap().id(), child.group());
            assert_eq!(group(&tree, &inner).unwrap().state(), GroupState::Closing);
            assert_eq!(group(&tree, &outer).unwrap().state(), GroupState::Open);
            assert_eq!(child.location().map(Location::file), Some(file!()));
            assert!(child.location().unwrap().line() > parent.location().unwrap().line());
            let drawn = tree.to_string();
            let line = drawn.lines().find(|line| line.contains(child.name().unwrap())).unwrap();
            assert!(line.contains(&format!("(spawned at {})", child.location().unwrap())), "{line}");
            assert!(line.contains(": idle"), "{line}");
            g.cancel();
        })
        .await;
    let tree = tree();
    assert!(task(&tree, &child).is_none() && group(&tree, &outer).is_none(), "{tree}");
}

#[anyscope::test]
async fn a_task_that_looks_sees_itself_running() {
    let name = unique("looks");
    let looks = name.clone();
    task_group(async |g| {
        let seen = g.task(name).spawn(async move {
            let tree = tree();
            let me = task(&tree, &looks).expect("it is there");
            (me.state(), me.location().map(Location::file))
        });
        assert_eq!(seen.await, (TaskState::Running, Some(file!())));
    })
    .await;
}

#[anyscope::test]
async fn the_state_of_a_task_is_told() {
    let [idle, held_back, shielded, blocking] = ["idle", "held back", "shielded", "blocking"].map(unique);
    let (leave, stay) = mpsc::channel::<()>();
    let go = Arc::new(Event::new());
    task_group(async |g| {
        g.task(idle.clone()).spawn(sleep(HOUR));
        let held = held_back.clone();
        g.spawn(async move {
            let limited = TaskGroup::builder().limit(1).run(async |g| {
                g.spawn(sleep(HOUR));
                g.task(held).spawn(async {});
            });
            limited.await;
        });
        let event = go.clone();
        g.task(shielded.clone()).spawn(shield(HOUR, async move { event.wait().await }));
        g.task(blocking.clone()).spawn(async move {
            // Told, so that a simulator doesn't wait for what this sleeps in.
            let _outside = anyscope_core::observe::outside();
            unblock(move || _ = stay.recv()).abandon_on_cancel().await;
        });
        let is = |state: TaskState| move |task: &TaskNode| task.state() == state;
        until(&idle, is(TaskState::Idle)).await;
        until(&held_back, is(TaskState::HeldBack)).await;
        until(&shielded, is(TaskState::Shielded)).await;
        until(&blocking, is(TaskState::Blocking)).await;
        // A cancellation of the group is one of all of them; who is shielded stays.
        g.cancel_with("enough");
        let tree = until(&shielded, |task| task.reason().is_some()).await;
        let shielded = task(&tree, &shielded).unwrap();
        assert!(shielded.is_shielded());
        assert_eq!(shielded.reason().and_then(|reason| reason.message()), Some("enough"));
        assert!(matches!(shielded.shield(), Some(Due::In(left)) if left <= HOUR && left > HOUR / 2), "{shielded:?}");
        go.set();
        drop(leave);
    })
    .await;
}

/// What a task of that name waits for, in the words of the drawing, once it does.
async fn waits(name: &str) -> String {
    let tree = until(name, |task| !task.waits().is_empty() && task.polled_for().is_none()).await;
    task(&tree, name).unwrap().waits().iter().map(ToString::to_string).collect::<Vec<_>>().join(", or ")
}

#[anyscope::test]
async fn what_a_task_waits_for_is_told_and_who_holds_it() {
    tree::record();
    let [holder, permits, lock, joins, event, message, room, cancelled] =
        ["holder", "permits", "lock", "joins", "event", "message", "room", "cancelled"].map(unique);
    let (semaphore, mutex, set) = (Arc::new(Semaphore::new(3)), Arc::new(Mutex::new(())), Arc::new(Event::new()));
    let (sender, receiver) = channel::<u8>(1);
    task_group(async |g| {
        let (of_it, of_the_lock, held) = (semaphore.clone(), mutex.clone(), Arc::new(Event::new()));
        let has = held.clone();
        let holds = g.task(holder.clone()).spawn(async move {
            let _some = of_it.acquire_many(2).await;
            let _lock = of_the_lock.lock().await;
            has.set();
            pending::<()>().await;
        });
        held.wait().await;
        g.task(permits.clone()).spawn(async move { _ = semaphore.acquire_many(2).await });
        g.task(lock.clone()).spawn(async move { _ = mutex.lock().await });
        g.task(joins.clone()).spawn(async move { _ = holds.outcome().await });
        g.task(event.clone()).spawn(async move { set.wait().await });
        g.task(message.clone()).spawn(async move { _ = receiver.recv().await });
        let (full, _empty) = channel::<u8>(1);
        full.send(1).await.unwrap();
        g.task(room.clone()).spawn(async move { _ = full.send(2).await });
        g.task(cancelled.clone()).spawn(async { _ = anyscope::cancelled().await });

        assert!(waits(&permits).await.starts_with("2 of the semaphore made at tests/tree.rs:"));
        let tree = tree();
        let waiting = &task(&tree, &permits).unwrap().waits()[0];
        let holds = task(&tree, &holder).unwrap().id();
        let by: Vec<_> = waiting.holders().iter().map(|holder| (holder.task(), holder.permits())).collect();
        assert_eq!(by, [(Some(holds), 2)]);
        assert!(waiting.to_string().contains(&format!("held by task `{holder}` (spawned at ")), "{waiting}");

        let text = waits(&lock).await;
        assert!(text.starts_with("the mutex made at ") && text.contains(&format!("held by task `{holder}`")), "{text}");
        assert!(waits(&joins).await.starts_with(&format!("task `{holder}`")));
        assert_eq!(waits(&event).await, "an event");
        assert_eq!(waits(&message).await, "a message of a channel");
        assert_eq!(waits(&room).await, "room in a channel");
        assert_eq!(waits(&cancelled).await, "a cancellation");
        // What waits for something that nobody knows says so.
        let tree = until(&holder, |task| task.polled_for().is_none()).await;
        let line = tree.to_string();
        let line = line.lines().find(|line| line.contains(&format!("task `{holder}` (spawned"))).unwrap();
        assert!(line.contains("waits for something foreign"), "{line}");
        g.cancel();
        drop(sender);
    })
    .await;
}

#[anyscope::test]
async fn deadlines_and_the_kinds_of_groups_are_told() {
    let (late, child) = (unique("late"), unique("child"));
    let (name, of_it) = (late.clone(), child.clone());
    let group_in_time = timeout(HOUR, async move {
        let named = TaskGroup::builder().name(name);
        named
            .run(async |g| {
                g.task(of_it.clone()).spawn(sleep(HOUR));
                let tree = until(&of_it, |task| task.state() == TaskState::Idle).await;
                g.cancel();
                tree
            })
            .await
    });
    let tree = group_in_time.await.unwrap();
    for due in [group(&tree, &late).unwrap().deadline(), task(&tree, &child).unwrap().deadline()] {
        assert!(matches!(due, Some(Due::In(left)) if left <= HOUR && left > HOUR / 2), "{due:?}");
    }
    let detached = anyscope_core::detached::spawn::<Current, _>(sleep(HOUR));
    let tree = loop {
        yield_now().await;
        let tree = anyscope::tree();
        if tree.tasks().any(|task| task.id() == detached.id() && task.state() == TaskState::Idle) {
            break tree;
        }
    };
    let strange = tree.tasks().find(|task| task.id() == detached.id()).unwrap().group();
    let strange = tree.groups().find(|group| group.id() == strange).unwrap();
    assert_eq!((strange.kind(), strange.name()), (GroupKind::Detached, Some("detached")));
    assert_eq!(strange.runtime(), Current::get().name());
    detached.cancel();
}

#[anyscope::test]
async fn a_group_that_was_dropped_is_there_until_what_it_left_has_ended() {
    let (name, cleaner) = (unique("dropped"), unique("cleaner"));
    let (go, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (event, begins, of_it, inner) = (go.clone(), begun.clone(), cleaner.clone(), name.clone());
    task_group(async |g| {
        let dropped = async {
            let named = TaskGroup::builder().name(inner);
            named
                .run(async |g| {
                    g.task(of_it).spawn(shield(HOUR, async move {
                        begins.set();
                        event.wait().await;
                    }));
                    pending::<()>().await;
                })
                .await;
        };
        race((dropped, begun.wait())).await;
        let tree = until(&cleaner, |task| task.state() == TaskState::Shielded).await;
        assert_eq!(group(&tree, &name).unwrap().state(), GroupState::Dropped);
        let around =
            tree.nodes().iter().find(|node| matches!(node.what(), What::Group(group) if group.name() == Some(&name)));
        let around = &tree.nodes()[around.and_then(|node| node.parent()).unwrap()];
        assert!(matches!(around.what(), What::Group(group) if group.adopted() == 1), "{tree}");
        go.set();
        g.cancel();
    })
    .await;
    assert!(group(&tree(), &name).is_none());
}

/// In virtual time, ages are exact.
#[anyscope::test(runtimes(sim))]
async fn ages_polls_and_waits_are_counted_from_the_spawn() {
    tree::record();
    let (ticks, once) = (unique("ticks"), unique("once"));
    task_group(async |g| {
        g.task(ticks.clone()).spawn(async {
            loop {
                sleep(Duration::from_secs(1)).await;
            }
        });
        g.task(once.clone()).spawn(sleep(HOUR));
        sleep(Duration::from_millis(3500)).await;
        let tree = tree();
        let (ticks, once) = (task(&tree, &ticks).unwrap(), task(&tree, &once).unwrap());
        assert_eq!((ticks.age(), ticks.polls()), (Some(Duration::from_millis(3500)), Some(4)));
        assert_eq!((once.age(), once.polls()), (Some(Duration::from_millis(3500)), Some(1)));
        assert_eq!(ticks.waits()[0].duration(), Duration::from_millis(500));
        assert_eq!(once.waits()[0].duration(), Duration::from_millis(3500));
        assert!(once.is_known_from_birth() && ticks.longest_poll() == Some(Duration::ZERO));
        assert!(once.waits()[0].to_string().starts_with("a timer, in 3596.5"), "{}", once.waits()[0]);
        g.cancel();
    })
    .await;
}

#[anyscope::test]
async fn the_json_says_what_the_tree_says() {
    tree::record();
    let child = unique("a \"quoted\\name\"\n");
    task_group(async |g| {
        g.task(child.clone()).spawn(sleep(HOUR));
        let tree = until(&child, |task| task.state() == TaskState::Idle && !task.waits().is_empty()).await;
        let json: serde_json::Value = serde_json::from_str(&tree.to_json()).unwrap();
        assert_eq!(json["schema"], 1);
        let nodes = json["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), tree.nodes().len());
        for (node, told) in tree.nodes().iter().zip(nodes) {
            assert_eq!(told["parent"].as_u64(), node.parent().map(|parent| parent as u64));
        }
        let told = nodes.iter().find(|node| node["name"] == *child).unwrap();
        let child = task(&tree, &child).unwrap();
        assert_eq!(told["id"].as_u64(), Some(child.id().get()));
        assert_eq!((&told["kind"], &told["state"]), (&"task".into(), &"idle".into()));
        assert_eq!(told["location"], child.location().unwrap().to_string());
        assert_eq!(told["noted"]["waits"][0]["kind"], "time");
        assert!(told["cancelled"].is_null() && told["deadline_in_s"].is_null());
        g.cancel();
    })
    .await;
}

/// A gather polls what is ready, and nobody else: what the others wait for stands.
#[anyscope::test(runtimes(sim))]
async fn what_the_futures_of_a_gather_wait_for_is_told_until_they_have_it() {
    tree::record();
    let gathers = unique("gathers");
    let semaphore = Arc::new(Semaphore::new(0));
    task_group(async |g| {
        let (waits, ticks) = (semaphore.clone(), 3);
        g.task(gathers.clone()).spawn(async move {
            let waits =
                Box::pin(async { _ = waits.acquire().await }) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
            let sleeps = Box::pin(async move {
                for _ in 0..ticks {
                    sleep(Duration::from_secs(1)).await;
                }
            });
            gather(vec![waits, sleeps]).await;
            sleep(HOUR).await;
        });
        let told = || {
            let tree = tree();
            task(&tree, &gathers).unwrap().waits().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        sleep(Duration::from_millis(2500)).await;
        let told_in_the_middle = told();
        assert_eq!(told_in_the_middle.len(), 2, "{told_in_the_middle:?}");
        assert!(told_in_the_middle[0].starts_with("the semaphore made at"), "{told_in_the_middle:?}");
        assert_eq!(told_in_the_middle[1], "a timer, in 500.0ms");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(told().len(), 1, "the other has ended: {:?}", told());
        semaphore.add_permits(1);
        sleep(Duration::from_secs(1)).await;
        assert!(told().len() == 1 && told()[0].starts_with("a timer, in 3599."), "{:?}", told());
        g.cancel();
    })
    .await;
}

/// Permits change hands: whoever gives them back may not be who took them.
#[anyscope::test]
async fn who_holds_what_is_told_though_permits_change_hands() {
    tree::record();
    let [keeps, takes, waits_for_it] = ["keeps", "takes", "waits"].map(unique);
    let semaphore = Arc::new(Semaphore::new(2));
    task_group(async |g| {
        let (kept, held) = (semaphore.clone(), Arc::new(Event::new()));
        let has = held.clone();
        g.task(keeps.clone()).spawn(async move {
            let _permit = kept.acquire().await;
            has.set();
            pending::<()>().await;
        });
        held.wait().await;
        // Taken by one task, and given back by another that has ended since.
        let taken = g.task(takes.clone()).spawn(semaphore.clone().acquire_arc()).await.unwrap();
        g.spawn(async move { drop(taken) }).await;
        let wants = semaphore.clone();
        g.task(waits_for_it.clone()).spawn(async move { _ = wants.acquire_many(2).await });
        let told = waits(&waits_for_it).await;
        assert!(told.contains(&format!("held by task `{keeps}`")) && !told.contains(&takes), "{told}");
        g.cancel();
    })
    .await;
}

#[anyscope::test]
async fn a_reason_with_a_line_break_is_told_on_one_line() {
    let name = unique("told");
    let go = Arc::new(Event::new());
    task_group(async |g| {
        let event = go.clone();
        g.task(name.clone()).spawn(shield(HOUR, async move { event.wait().await }));
        until(&name, |task| task.state() == TaskState::Shielded).await;
        g.cancel_with("one\ntwo\u{2028}three");
        let tree = until(&name, |task| task.reason().is_some()).await;
        is_a_walk(&tree);
        go.set();
    })
    .await;
}

/// Each node comes after what it is in, one deeper, and within that one's part of the walk.
fn is_a_walk(tree: &Tree) {
    for (place, node) in tree.nodes().iter().enumerate() {
        match node.parent() {
            None => assert_eq!(node.depth(), 0),
            Some(parent) => {
                assert!(parent < place && node.depth() == tree.nodes()[parent].depth() + 1);
                assert!(tree.nodes()[parent..place].iter().skip(1).all(|between| between.depth() >= node.depth()));
            }
        }
    }
    assert_eq!(tree.to_string().lines().count(), tree.nodes().len().max(1));
    assert!(serde_json::from_str::<serde_json::Value>(&tree.to_json()).is_ok());
}

#[anyscope::test(except(sim))]
async fn whoever_looks_while_everything_moves_sees_a_tree_and_holds_nobody_up() {
    let is_over = Arc::new(AtomicBool::new(false));
    let lookers: Vec<_> = (0..2)
        .map(|_| {
            let is_over = is_over.clone();
            thread::spawn(move || {
                let mut looks = 0;
                while !is_over.load(Ordering::Relaxed) {
                    is_a_walk(&tree());
                    looks += 1;
                }
                looks
            })
        })
        .collect();
    for round in 0..60 {
        let storm = task_group(async |g| {
            for child in 0..40 {
                g.task(format!("child {child} of {round}")).spawn(async move {
                    let inside = task_group(async |g| {
                        for _ in 0..4 {
                            g.spawn(async {
                                yield_now().await;
                                sleep(Duration::from_micros(50)).await;
                            });
                        }
                        yield_now().await;
                    });
                    match child % 4 {
                        0 => inside.await,
                        1 => _ = timeout(Duration::from_micros(20), inside).await,
                        2 => race((inside, yield_now())).await,
                        _ => shield(HOUR, inside).await,
                    }
                });
            }
            if round % 3 == 0 {
                g.cancel();
            }
        });
        if round % 5 == 0 {
            let _ = timeout(Duration::from_micros(100), storm).await;
        } else {
            storm.await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for looker in lookers {
        assert!(looker.join().unwrap() > 0);
    }
}

/// Twenty thousand groups, each in a child of the one around, on a stack on which as many calls have no room.
#[test]
fn depth_costs_no_stack() {
    const DEPTH: usize = 20_000;

    fn nest(depth: usize, bottom: Arc<Event>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                bottom.set();
                return pending().await;
            }
            task_group(async |g| _ = g.spawn(nest(depth - 1, bottom))).await;
        })
    }

    anyscope::run(anyscope::smol::Smol::new(), async {
        let bottom = Arc::new(Event::new());
        task_group(async |g| {
            g.spawn(nest(DEPTH, bottom.clone()));
            bottom.wait().await;
            let look = || {
                let tree = tree();
                let deepest = tree.nodes().iter().map(|node| node.depth()).max();
                let mut drawn = String::new();
                write!(drawn, "{tree}").unwrap();
                (deepest, drawn.lines().any(|line| line.contains("[1000 deep]")), tree.to_json().len())
            };
            let looker = thread::Builder::new().stack_size(128 * 1024).spawn(look).unwrap();
            let (deepest, is_drawn, json) = looker.join().unwrap();
            assert!(deepest > Some(DEPTH) && is_drawn && json > DEPTH, "{deepest:?}");
            g.cancel();
        })
        .await;
    });
}

/// What a process sees that has never looked before: all that is always known, and of what there was no more.
#[anyscope::test]
async fn the_first_look() {
    if std::env::var_os(ALONE).is_none() {
        let runtime = Current::get().name().replace('-', "_");
        let alone = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("the_first_look::{runtime}"), "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(
            alone.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&alone.stderr)
        );
        return;
    }
    let begun = Arc::new(Event::new());
    let (tell, told) = mpsc::channel::<()>();
    TaskGroup::builder()
        .name("first")
        .run(async |g| {
            let begins = begun.clone();
            g.task("early").spawn(async move {
                begins.set();
                sleep(HOUR).await;
            });
            begun.wait().await;
            let tree = until("early", |_| true).await;
            let early = task(&tree, "early").unwrap();
            assert_eq!(around(&tree, "early"), ["early", "first", "the run"]);
            assert_eq!(early.location().map(Location::file), Some(file!()));
            assert!(!early.is_known_from_birth());
            // What is spawned from now on is known from its spawn; what was there, from its next poll.
            let late = g.task("late").spawn(sleep(Duration::from_millis(1)));
            let tree = anyscope::tree();
            assert!(task(&tree, "late").is_none_or(TaskNode::is_known_from_birth), "{tree}");
            late.await;
            g.cancel();
            drop((tell, told));
        })
        .await;
}
