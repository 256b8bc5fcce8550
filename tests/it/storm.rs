//! Random trees of everything, on every runtime: nothing hangs, nothing leaks, no permit is lost.
//!
//! A seed fixes the tree, not the interleaving, so a failure names its seed but may need several runs. `STORM_SEEDS`
//! sets how many seeds are tried on each runtime.

use anyscope::async_std::AsyncStd;
use anyscope::smol::Smol;
use anyscope::tokio::Tokio;
use anyscope::{CancelToken, Limiter, Runtime, Semaphore, TaskGroup, gather, race, task_group, timeout, try_gather};
use std::env;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

struct World {
    alive: AtomicUsize,
    semaphore: Semaphore,
    limiter: Limiter,
    token: CancelToken,
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
    Box::pin(async move {
        let _member = member;
        let twigs = |dice: &mut Dice| -> Vec<Branch> {
            (0..=dice.roll(3)).map(|_| grow(dice.split(), depth - 1, world.clone())).collect()
        };
        let moment = Duration::from_micros(dice.roll(600));
        match if depth == 0 { dice.roll(7) } else { dice.roll(17) } {
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
            7 | 8 => {
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
            _ => unreachable!(),
        }
        Ok(())
    })
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

fn storm<R: Runtime>(runtime: impl Fn() -> R) {
    let seeds = env::var("STORM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300);
    for seed in 0..seeds {
        let world = Arc::new(World {
            alive: AtomicUsize::new(0),
            semaphore: Semaphore::new(3),
            limiter: Limiter::new(2),
            token: CancelToken::new(),
        });
        let mut dice = Dice::of(seed + 1);
        let branches: Vec<_> = (0..3).map(|_| grow(dice.split(), 4, world.clone())).collect();
        let cancel = dice.roll(4) == 0;
        let inside = world.clone();
        let run = || {
            anyscope::run(runtime(), async move {
                let branches = gather(branches.into_iter().map(weather));
                gather((branches, async {
                    if cancel {
                        anyscope::sleep(Duration::from_micros(300)).await;
                        inside.token.cancel();
                    }
                }))
                .await;
            });
        };
        // A panic whose owner was dropped before it could be resumed there comes out here.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
            assert!(payload.is::<Thrown>(), "seed {seed}: a panic that the storm had not thrown");
        }
        assert_eq!(world.alive.load(Ordering::SeqCst), 0, "seed {seed}: something outlived the run");
        let permits = world.semaphore.statistics();
        assert_eq!((permits.available, permits.borrowed, permits.waiting), (3, 0, 0), "seed {seed}");
        let limit = world.limiter.statistics();
        assert_eq!((limit.available, limit.borrowed, limit.waiting), (2, 0, 0), "seed {seed}");
    }
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
