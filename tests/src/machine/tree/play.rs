//! A program played on a runtime.

use super::history::{Deadline, End, History, Line, list, outcome};
use super::{Cleanup, Contest, Gather, Group, Heir, How, Node, Pipe, Place, Program, Rival, Time, Until, What};
use anyscope::sync::Barrier;
use anyscope::{
    CancelToken, Outcome, ReasonKind, Runtime, Semaphore, Task, TaskGroup, channel, gather, race, race_ok, remaining,
    scope, shield, sleep, task_group, timeout, try_gather, unblock, with_cleanup, yield_now,
};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Text = Result<String, String>;
type Part = Pin<Box<dyn Future<Output = Text> + Send>>;

/// What a program throws, so that no other panic is taken for it.
struct Thrown;

/// What all parts share.
struct World {
    /// The time since the beginning, by the runtime's clock.
    clock: Box<dyn Fn() -> Time + Send + Sync>,
    tokens: [CancelToken; 3],
    history: Mutex<History>,
}

pub(super) fn play(program: &Program, runtime: impl Runtime) -> History {
    let (clock, start) = (runtime.clone(), runtime.now());
    let first = CancelToken::new();
    let world = Arc::new(World {
        clock: Box::new(move || nanos(clock.now() - start)),
        tokens: [first.clone(), first.child(), CancelToken::new()],
        history: Mutex::default(),
    });
    let whole = task_group(async |g| {
        for (number, strike) in program.strikes.into_iter().enumerate() {
            let token = world.tokens[number].clone();
            g.spawn_service(async move {
                sleep(span(strike)).await;
                token.cancel_with(format!("strike {number}"));
            });
        }
        let root = part(&program.root, &world);
        g.spawn(root).await
    });
    let result = match catch_unwind(AssertUnwindSafe(|| anyscope::run(runtime, whole))) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Thrown>() => None,
        Err(payload) => resume_unwind(payload),
    };
    let mut history = std::mem::take(&mut *world.history.lock().unwrap());
    history.result = result;
    history.end = (world.clock)();
    history
}

fn span(time: Time) -> Duration {
    Duration::from_nanos(time)
}

fn nanos(duration: Duration) -> Time {
    duration.as_nanos().try_into().expect("centuries")
}

/// The line of a part that goes on. Where nobody says how it ended, it was dropped or panicked.
struct Mark {
    world: Arc<World>,
    place: Place,
    began: Time,
    deadline: Deadline,
    end: End,
}

impl Mark {
    fn new(world: &Arc<World>, place: Place) -> Self {
        Self { world: world.clone(), place, began: (world.clock)(), deadline: Deadline::Unknown, end: End::Gone }
    }

    fn with_deadline(mut self) -> Self {
        self.deadline = remaining().map_or(Deadline::None, |left| Deadline::At(self.began + nanos(left)));
        self
    }

    fn end(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let (ended, end) = ((self.world.clock)(), self.end.clone());
        let line = Line { began: self.began, deadline: self.deadline, ended, end };
        let before = self.world.history.lock().unwrap().lines.insert(self.place, line);
        assert_eq!(before, None, "part {} began twice", self.place);
    }
}

fn part(node: &Node, world: &Arc<World>) -> Part {
    let (place, pause) = (node.place, span(node.pause));
    let (what, world) = (what(node, world), world.clone());
    Box::pin(async move {
        sleep(pause).await;
        let mark = Mark::new(&world, place).with_deadline();
        let result = what.await;
        mark.end(End::of(&result));
        result
    })
}

fn parts(nodes: &[Node], world: &Arc<World>) -> Vec<Part> {
    nodes.iter().map(|node| part(node, world)).collect()
}

fn what(node: &Node, world: &Arc<World>) -> Part {
    let place = node.place;
    match &node.what {
        What::Value => Box::pin(async move { Ok(place.to_string()) }),
        What::Error => Box::pin(async move { Err(place.to_string()) }),
        What::Panic => Box::pin(async move { resume_unwind(Box::new(Thrown)) }),
        What::Job => Box::pin(async move { Ok(unblock(move || place.to_string()).await) }),
        What::Yield(times) => {
            let times = *times;
            Box::pin(async move {
                for _ in 0..times {
                    yield_now().await;
                }
                Ok(place.to_string())
            })
        }
        What::Sequence(nodes) => {
            let parts = parts(nodes, world);
            Box::pin(async move {
                let mut results = Vec::new();
                for part in parts {
                    results.push(part.await?);
                }
                Ok(list(&results))
            })
        }
        What::Group(group) => self::group(place, group, world),
        What::Gather(gather) => gathering(gather, world),
        What::Timeout(after, node) => {
            let (after, part) = (span(*after), part(node, world));
            Box::pin(async move { timeout(after, part).await.unwrap_or_else(|_| Err(format!("{place}:late"))) })
        }
        What::Token { token, pause, node } => {
            let (token, pause, part) = (world.tokens[*token].clone(), pause.map(span), part(node, world));
            Box::pin(async move {
                let result = token.run(part).await.unwrap_or_else(|cut| {
                    assert_eq!(cut.reason().kind(), ReasonKind::Explicit);
                    Err(cut.reason().message().unwrap_or("no message").to_owned())
                });
                if let Some(pause) = pause {
                    sleep(pause).await;
                }
                result
            })
        }
        What::Shield { budget, node } => Box::pin(shield(span(*budget), part(node, world))),
        What::Cleanup(cleanup) => clean(cleanup, world),
        What::Start { ready, node } => {
            let (ready, part) = (span(*ready), part(node, world));
            Box::pin(async move {
                let start = async |g: &TaskGroup| {
                    g.start(|started| async move {
                        sleep(ready).await;
                        started.ready(place.to_string());
                        drop(part.await);
                    })
                    .await
                };
                Ok(task_group(start).await)
            })
        }
        What::Contest(contest) => self::contest(contest, world),
        What::Heirs(heirs) => self::heirs(heirs, world),
        What::Meeting(comes) => meeting(comes),
        What::Pipe(pipe) => self::pipe(pipe, world),
    }
}

/// The body of a group. Both kinds have the same methods, and no trait for them: what differs is what is spawned for a
/// child, and what a service would end with.
macro_rules! body {
    ($g:ident, $place:ident, $group:ident, $world:ident, $children:ident, $child:expr, $service:expr) => {{
        for (place, lasts) in $group.finalisers {
            let world = $world.clone();
            $g.on_exit(async move {
                let mark = Mark::new(&world, place);
                sleep(lasts).await;
                mark.end(End::Value(String::new()));
            });
        }
        if let Some(place) = $group.service {
            let world = $world.clone();
            $g.spawn_service(async move {
                let _mark = Mark::new(&world, place);
                pending::<()>().await;
                $service
            });
        }
        let tasks: Vec<Task<String>> = $children.into_iter().map(|child| $g.spawn($child(child))).collect();
        if let Some((after, which)) = $group.act {
            sleep(after).await;
            let message = format!("the body of {}", $place);
            match which {
                None => $g.cancel_with(message),
                Some(which) => drop(tasks[which].cancel_with(message)),
            }
        }
        if !$group.looks {
            return Ok(String::new());
        }
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(match task.outcome().await {
                Outcome::Completed(value) => value,
                Outcome::Cancelled(reason) => {
                    assert_eq!(reason.kind(), ReasonKind::Explicit);
                    reason.message().unwrap_or("no message").to_owned()
                }
                other => format!("{other:?}"),
            });
        }
        Ok(list(&outcomes))
    }};
}

/// A group without its children, to be moved into its future.
struct Shape {
    act: Option<(Duration, Option<usize>)>,
    looks: bool,
    service: Option<Place>,
    finalisers: Vec<(Place, Duration)>,
}

fn group(place: Place, group: &Group, world: &Arc<World>) -> Part {
    let children = parts(&group.children, world);
    let shape = Shape {
        act: group.act.map(|(after, which)| (span(after), which)),
        looks: group.looks,
        service: group.service,
        finalisers: group.finalisers.iter().map(|finaliser| (finaliser.place, span(finaliser.lasts))).collect(),
    };
    let (fails, limit, world) = (group.fails, group.limit, world.clone());
    Box::pin(async move {
        let builder = TaskGroup::builder().limit(limit);
        if fails {
            let ended = builder.try_run(async |g| body!(g, place, shape, world, children, |child: Part| child, Ok(())));
            ended.await.map_err(|errors| list(&errors.errors().cloned().collect::<Vec<String>>()))
        } else {
            let as_value = |child: Part| async move { outcome(&child.await) };
            builder.run(async |g| body!(g, place, shape, world, children, as_value, ())).await
        }
    })
}

fn gathering(gathered: &Gather, world: &Arc<World>) -> Part {
    let items = parts(&gathered.items, world);
    let (limit, parallel) = (gathered.limit, gathered.how == How::Parallel);
    let texts = |results: Vec<Text>| Ok(list(&results.iter().map(outcome).collect::<Vec<_>>()));
    match gathered.until {
        Until::All if gathered.how == How::InScope => Box::pin(scope(move |s| async move {
            let children: Vec<_> = items.into_iter().map(|item| s.spawn(item)).collect();
            let mut results = Vec::new();
            for child in children {
                results.push(child.await);
            }
            texts(results)
        })),
        Until::All => Box::pin(async move {
            let items = gather(items).limit(limit);
            texts(if parallel { items.parallel().await } else { items.await })
        }),
        Until::Settled => Box::pin(async move {
            let items = gather(items).limit(limit);
            let settled = if parallel { items.parallel().settled().await } else { items.settled().await };
            let told = settled.into_iter().map(|outcome| match outcome {
                Outcome::Completed(result) => result,
                Outcome::Panicked(_) => Err("panic".to_owned()),
                other => Err(format!("{other:?}")),
            });
            texts(told.collect())
        }),
        Until::Error => Box::pin(async move {
            let items = try_gather(items).limit(limit);
            if parallel { items.parallel().await } else { items.await }.map(|values| list(&values))
        }),
        Until::First => Box::pin(race(items)),
        Until::FirstValue => Box::pin(async move { race_ok(items).await.map_err(|errors| list(&errors)) }),
    }
}

fn clean(cleanup: &Cleanup, world: &Arc<World>) -> Part {
    let work = part(&cleanup.work, world);
    let (place, lasts, budget, fails) = (cleanup.clean, span(cleanup.lasts), span(cleanup.budget), cleanup.fails);
    let world = world.clone();
    Box::pin(async move {
        let clean = async move {
            let mark = Mark::new(&world, place);
            sleep(lasts).await;
            mark.end(End::Value(String::new()));
            if fails { Err("clean") } else { Ok(()) }
        };
        with_cleanup(work, clean, budget).await.map_err(|error| {
            let clean = error.cleanup().map(|error| (*error).to_owned());
            let late = error.is_cleanup_elapsed().then(|| "late".to_owned());
            let both: Vec<String> = [error.work().cloned(), clean.or(late)].into_iter().flatten().collect();
            list(&both)
        })
    })
}

fn contest(contest: &Contest, world: &Arc<World>) -> Part {
    let semaphore = Arc::new(Semaphore::new(contest.permits));
    let rivals = contest.rivals.iter().map(|rival| {
        let Rival { place, comes, needs, holds, patience } = *rival;
        let (semaphore, world) = (semaphore.clone(), world.clone());
        async move {
            sleep(span(comes)).await;
            let acquire = semaphore.acquire_many(needs);
            let permit = match patience {
                Some(patience) => timeout(span(patience), acquire).await.map_err(|_| format!("{place}:late"))?,
                None => acquire.await,
            };
            let mark = Mark::new(&world, place);
            sleep(span(holds)).await;
            drop(permit);
            mark.end(End::Value(String::new()));
            Ok(place.to_string())
        }
    });
    let rivals: Vec<_> = rivals.collect();
    let parallel = contest.parallel;
    let (permits, semaphore) = (contest.permits, semaphore.clone());
    Box::pin(async move {
        let rivals = gather(rivals);
        let results: Vec<Text> = if parallel { rivals.parallel().await } else { rivals.await };
        assert_eq!(semaphore.available_permits(), permits, "a permit is lost");
        Ok(list(&results.iter().map(outcome).collect::<Vec<_>>()))
    })
}

fn heirs(heirs: &[Heir], world: &Arc<World>) -> Part {
    let heirs = heirs.iter().map(|heir| {
        let Heir { place, gap, key, lasts, shielded } = *heir;
        let world = world.clone();
        let stays = async move {
            let mark = Mark::new(&world, place);
            if shielded {
                shield(Duration::MAX, sleep(span(lasts))).await;
            } else {
                sleep(span(lasts)).await;
            }
            mark.end(End::Value(String::new()));
        };
        (span(gap), key, stays)
    });
    let heirs: Vec<_> = heirs.collect();
    Box::pin(async move {
        task_group(async |g| {
            let keyed = g.keyed();
            for (gap, key, stays) in heirs {
                sleep(gap).await;
                drop(keyed.spawn(key, stays));
            }
        })
        .await;
        Ok(String::new())
    })
}

fn meeting(comes: &[Time]) -> Part {
    let barrier = Arc::new(Barrier::new(comes.len()));
    let all = comes.iter().map(|after| {
        let (after, barrier) = (span(*after), barrier.clone());
        async move {
            sleep(after).await;
            barrier.wait().await.is_leader()
        }
    });
    let all: Vec<_> = all.collect();
    Box::pin(async move {
        let leaders = gather(all).await;
        Ok(format!("{leaders:?}"))
    })
}

fn pipe(pipe: &Pipe, world: &Arc<World>) -> Part {
    let (sender, receiver) = channel(pipe.capacity);
    let (sends, receives) = (pipe.sends.clone(), pipe.receives.clone());
    let (here, there) = (world.clone(), world.clone());
    let sending = async move {
        let mut told = Vec::new();
        for (number, rest) in sends.into_iter().enumerate() {
            sleep(span(rest)).await;
            let sent = sender.send(number).await.is_ok();
            told.push(format!("{number}{}{}", if sent { '>' } else { '|' }, (here.clock)()));
            if !sent {
                break;
            }
        }
        told
    };
    let receiving = async move {
        let mut told = Vec::new();
        for rest in receives {
            sleep(span(rest)).await;
            let received = receiver.recv().await;
            let now = (there.clock)();
            let Ok(number) = received else {
                told.push(format!("|{now}"));
                break;
            };
            told.push(format!("{number}<{now}"));
        }
        told
    };
    Box::pin(async move {
        let (sent, received) = gather((sending, receiving)).await;
        Ok(list(&[list(&sent), list(&received)]))
    })
}
