//! Random trees of everything, on every runtime: nothing hangs, nothing leaks, no permit and no outcome is lost, every
//! finaliser and every clean-up runs once.
//!
//! A seed fixes the tree, not the interleaving, so a failure names its seed but may need several runs. `STORM_SEEDS`
//! sets how many seeds are tried on each runtime, `STORM_FROM` the first; `STORM_SECONDS` goes on for so long instead.

use anyscope::async_std::AsyncStd;
use anyscope::smol::Smol;
use anyscope::tokio::Tokio;
use anyscope::{
    CancelToken, Limiter, Outcome, Portal, Runtime, Semaphore, Task, TaskGroup, TaskLocal, gather, race, scope, shield,
    task_group, timeout, try_gather, with_cleanup,
};
use std::env;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How deep in the tree a branch stands; every branch is told by its parent.
static DEPTH: TaskLocal<u32> = TaskLocal::new();

struct World {
    alive: AtomicUsize,
    semaphore: Semaphore,
    limiter: Limiter,
    token: CancelToken,
    /// Handles that nobody awaited: their outcomes have to be there when everything is over.
    handles: Mutex<Vec<Task<()>>>,
    /// Finalisers and clean-ups that were handed in, and how many have run.
    due: AtomicUsize,
    done: AtomicUsize,
    portal: Mutex<Option<Portal>>,
}

/// A finaliser or a clean-up, handed in.
struct Due(Arc<World>);

impl Due {
    fn new(world: &Arc<World>) -> Self {
        world.due.fetch_add(1, Ordering::SeqCst);
        Self(world.clone())
    }

    fn run(self) {
        self.0.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// Alive as long as the part of the tree that it belongs to.
struct Member(Arc<World>);

impl Member {
    fn of(world: &Arc<World>) -> Self {
        world.alive.fetch_add(1, Ordering::SeqCst);
        Self(world.clone())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A generator of small numbers (xorshift64*).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn split(&mut self) -> Self {
        Self::of(self.roll(u64::MAX))
    }
}

/// What the storm throws, so that a real panic isn't taken for one of its own.
struct Thrown;

type Branch = Pin<Box<dyn Future<Output = Result<(), ()>> + Send>>;

fn grow(mut dice: Dice, depth: u32, world: Arc<World>) -> Branch {
    let member = Member::of(&world);
    let branch: Branch = Box::pin(async move {
        let _member = member;
        let twigs = |dice: &mut Dice| -> Vec<Branch> {
            (0..=dice.roll(3)).map(|_| grow(dice.split(), depth - 1, world.clone())).collect()
        };
        let moment = Duration::from_micros(dice.roll(600));
        match if depth == 0 { dice.roll(8) } else { dice.roll(27) } {
            0 => {}
            1 => return Err(()),
            2 => anyscope::yield_now().await,
            3 => anyscope::sleep(moment).await,
            4 => {
                let needed = 1 + dice.roll(3) as usize;
                let _permit = world.semaphore.acquire_many(needed).await.unwrap();
                anyscope::yield_now().await;
            }
            5 => {
                let inside = world.clone();
                let job = anyscope::unblock(move || drop(Member::of(&inside))).limiter(&world.limiter);
                if dice.roll(2) == 0 { job.await } else { job.abandon_on_cancel().await }
            }
            6 => resume_unwind(Box::new(Thrown)),
            7 => world.limiter.set_total(1 + dice.roll(3) as usize),
            8 | 17 => {
                let twigs = twigs(&mut dice);
                let limit = 1 + dice.roll(3) as usize;
                let act = dice.roll(4);
                TaskGroup::builder()
                    .limit(limit)
                    .run(async |g| {
                        let tasks: Vec<_> = twigs.into_iter().map(|twig| g.spawn(twig)).collect();
                        if act == 0 {
                            g.cancel_with("the body has enough");
                        }
                        for task in tasks {
                            if act == 1 {
                                task.cancel();
                            }
                            if act != 2 {
                                let _ = task.outcome().await;
                            }
                        }
                    })
                    .await;
            }
            9 | 10 => {
                let twigs = twigs(&mut dice);
                let ended = anyscope::try_task_group(async |g| {
                    let tasks: Vec<_> = twigs.into_iter().map(|twig| g.spawn(twig)).collect();
                    for task in tasks {
                        task.await;
                    }
                    Ok(())
                })
                .await;
                return ended.map_err(drop);
            }
            11 => drop(timeout(moment, grow(dice.split(), depth - 1, world.clone())).await),
            12 => {
                let token = world.token.child();
                if dice.roll(2) == 0 {
                    let canceller = token.clone();
                    let twig = grow(dice.split(), depth - 1, world.clone());
                    task_group(async |g| {
                        let cut = g.spawn(async move { drop(token.run(twig).await) });
                        anyscope::sleep(moment).await;
                        canceller.cancel();
                        let _ = cut.outcome().await;
                    })
                    .await;
                } else {
                    drop(token.run(grow(dice.split(), depth - 1, world.clone())).await);
                }
            }
            13 => drop(gather(twigs(&mut dice)).limit(2).await),
            14 => drop(try_gather(twigs(&mut dice)).limit(2).parallel().await),
            15 => {
                let twigs = gather(twigs(&mut dice)).timeout_each(moment);
                twigs.for_each(async |_, _| anyscope::yield_now().await).await;
            }
            16 => drop(race(twigs(&mut dice)).await),
            18 => {
                let twigs = twigs(&mut dice);
                let act = dice.roll(3);
                scope(|s| async move {
                    let tasks: Vec<_> = twigs.into_iter().map(|twig| s.spawn(twig)).collect();
                    if act == 0 {
                        s.cancel();
                    }
                    for task in tasks {
                        if act == 1 {
                            task.cancel();
                        }
                        let _ = task.outcome().await;
                    }
                })
                .await;
            }
            19 | 20 => return shield(moment, grow(dice.split(), depth - 1, world.clone())).await,
            21 => {
                let due = Due::new(&world);
                let (member, act) = (Member::of(&world), dice.roll(4));
                let clean = async move {
                    let _member = member;
                    due.run();
                    match act {
                        0 => return Err(()),
                        1 => resume_unwind(Box::new(Thrown)),
                        2 => anyscope::sleep(moment).await,
                        _ => anyscope::yield_now().await,
                    }
                    Ok(())
                };
                let twig = grow(dice.split(), depth - 1, world.clone());
                return with_cleanup(twig, clean, Duration::from_micros(300)).await.map_err(drop);
            }
            22 | 23 => return ceremony(dice, depth, world.clone()).await,
            24 => {
                let portal = world.portal.lock().unwrap().clone().expect("set before the storm");
                let twig = grow(dice.split(), depth - 1, world.clone());
                return portal.enter(move || twig).await.unwrap_or(Err(()));
            }
            25 => {
                // Not awaited by anybody: the outcome has to be there all the same.
                let twigs = twigs(&mut dice);
                let inside = world.clone();
                task_group(async |g| {
                    for twig in twigs {
                        let task = g.spawn(async move {
                            let _ = twig.await;
                        });
                        inside.handles.lock().unwrap().push(task);
                    }
                })
                .await;
            }
            26 => {
                let twigs = twigs(&mut dice);
                let job = anyscope::unblock(move || {
                    anyscope::blocking_scope(|s| {
                        for twig in twigs {
                            s.spawn(twig);
                        }
                    });
                });
                // A limiter of its own: what is inside may wait for the other one.
                job.limiter(&Limiter::new(1)).await;
            }
            _ => unreachable!(),
        }
        Ok(())
    });
    Box::pin(async move {
        assert_eq!(DEPTH.try_get(), Ok(depth + 1), "a branch has its parent's surroundings");
        DEPTH.scope(depth, branch).await
    })
}

/// A group with everything that a group can have.
async fn ceremony(mut dice: Dice, depth: u32, world: Arc<World>) -> Result<(), ()> {
    let moment = Duration::from_micros(dice.roll(600));
    let twig = |dice: &mut Dice| grow(dice.split(), depth - 1, world.clone());
    let twigs: Vec<_> = (0..dice.roll(3)).map(|_| twig(&mut dice)).collect();
    let services: Vec<_> = (0..dice.roll(3)).map(|_| (Member::of(&world), dice.roll(2) == 0)).collect();
    let starting = (dice.roll(2) == 0).then(|| (twig(&mut dice), twig(&mut dice)));
    let throws = dice.roll(8) == 0;
    let end = dice.roll(4);
    let finalisers = dice.roll(3);
    anyscope::try_task_group(async move |g| {
        for _ in 0..finalisers {
            let (due, member) = (Due::new(&world), Member::of(&world));
            g.on_exit_with(move |how: Outcome<()>| async move {
                let _kept = (member, how);
                due.run();
                anyscope::yield_now().await;
                if throws {
                    resume_unwind(Box::new(Thrown));
                }
            });
        }
        for (member, forever) in services {
            g.spawn_service(async move {
                let _member = member;
                if forever {
                    std::future::pending::<()>().await;
                }
                anyscope::yield_now().await;
                Ok(())
            });
        }
        for twig in twigs {
            g.room().await;
            g.spawn(twig);
        }
        if let Some((before, after)) = starting {
            g.start(|started| async move {
                before.await?;
                started.ready(());
                after.await
            })
            .await?;
        }
        match end {
            0 => drop(g.shutdown(moment)),
            1 => drop(g.shutdown(moment).await),
            2 => g.cancel(),
            _ => {}
        }
        Ok(())
    })
    .await
    .map_err(drop)
}

/// Runs a branch to its end or to a panic of the storm's own.
async fn weather(mut branch: Branch) {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| branch.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(_)) => Poll::Ready(()),
        Err(payload) => {
            assert!(payload.is::<Thrown>(), "the storm met a panic that it had not thrown");
            Poll::Ready(())
        }
    })
    .await;
}

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn storm<R: Runtime>(runtime: impl Fn() -> R) {
    let began = Instant::now();
    let (from, seeds) = (setting("STORM_FROM").unwrap_or(0), setting("STORM_SEEDS").unwrap_or(300));
    let goes_on = |seed| match setting("STORM_SECONDS") {
        Some(seconds) => began.elapsed() < Duration::from_secs(seconds),
        None => seed < from + seeds,
    };
    let (mut seed, mut handles, mut due) = (from, 0, 0);
    let watchdog = Watchdog::start();
    while goes_on(seed) {
        watchdog.pat(seed);
        let world = blow(seed, &runtime);
        handles += world.0;
        due += world.1;
        seed += 1;
    }
    println!("{}: {} trees, {handles} outcomes, {due} finalisers and clean-ups", runtime().name(), seed - from);
}

/// Ends the process when a tree takes too long: a hang has to name its seed.
struct Watchdog(mpsc::Sender<u64>);

impl Watchdog {
    fn start() -> Self {
        let patience = Duration::from_secs(setting("STORM_PATIENCE").unwrap_or(120));
        let (pat, pats) = mpsc::channel::<u64>();
        let test = thread::current().name().unwrap_or("a storm").to_owned();
        thread::spawn(move || {
            let Ok(mut seed) = pats.recv() else { return };
            loop {
                match pats.recv_timeout(patience) {
                    Ok(next) => seed = next,
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        eprintln!("{test}: seed {seed} hung for {patience:?}");
                        std::process::abort();
                    }
                }
            }
        });
        Self(pat)
    }

    fn pat(&self, seed: u64) {
        let _ = self.0.send(seed);
    }
}

/// One tree. Returns how many outcomes were looked at, and how many finalisers and clean-ups ran.
fn blow<R: Runtime>(seed: u64, runtime: impl Fn() -> R) -> (usize, usize) {
    let world = Arc::new(World {
        alive: AtomicUsize::new(0),
        semaphore: Semaphore::new(3),
        limiter: Limiter::new(2),
        token: CancelToken::new(),
        handles: Mutex::default(),
        due: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        portal: Mutex::default(),
    });
    let mut dice = Dice::of(seed + 1);
    let branches: Vec<_> = (0..3).map(|_| grow(dice.split(), 4, world.clone())).collect();
    let cancel = dice.roll(4) == 0;
    let inside = world.clone();
    let run = || {
        let storm = task_group(async move |g| {
            *inside.portal.lock().unwrap() = Some(g.portal());
            let branches = gather(branches.into_iter().map(weather));
            gather((branches, async {
                if cancel {
                    anyscope::sleep(Duration::from_micros(300)).await;
                    inside.token.cancel();
                }
            }))
            .await;
        });
        anyscope::run(runtime(), DEPTH.scope(5, storm));
    };
    // A panic whose owner was dropped before it could be resumed there comes out here.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        assert!(payload.is::<Thrown>(), "seed {seed}: a panic that the storm had not thrown");
    }
    *world.portal.lock().unwrap() = None;
    assert_eq!(world.alive.load(Ordering::SeqCst), 0, "seed {seed}: something outlived the run");
    let permits = world.semaphore.statistics();
    assert_eq!((permits.available, permits.borrowed, permits.waiting), (3, 0, 0), "seed {seed}");
    let limit = world.limiter.statistics();
    assert_eq!((limit.available, limit.borrowed, limit.waiting), (limit.total, 0, 0), "seed {seed}");
    let (due, done) = (world.due.load(Ordering::SeqCst), world.done.load(Ordering::SeqCst));
    assert_eq!(due, done, "seed {seed}: finalisers and clean-ups that were handed in, and that ran");
    let handles = std::mem::take(&mut *world.handles.lock().unwrap());
    let outcomes = handles.len();
    for task in handles {
        let outcome = Box::pin(task.outcome()).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(outcome.is_ready(), "seed {seed}: an outcome got lost");
    }
    (outcomes, done)
}

#[test]
fn on_tokio_multi_thread() {
    storm(Tokio::new);
}

#[test]
fn on_tokio_current_thread() {
    storm(Tokio::current_thread);
}

#[test]
fn on_smol() {
    storm(Smol::new);
}

#[test]
fn on_an_executor_that_the_application_owns() {
    storm(|| Smol::with_executor(Arc::new(async_executor::Executor::new())));
}

#[test]
fn on_async_std() {
    storm(AsyncStd::new);
}
