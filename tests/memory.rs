//! Faults that need an allocator of their own: memory that is refused, and memory that has to come back.
//!
//! Each part runs in a process of its own, on every runtime, with nothing beside it that allocates. Without the harness
//! of the tests for the same reason. `MEMORY_CHILDREN` sets how many children, waiters and tokens there are.

use anyscope_async_std::AsyncStd;
use anyscope_core::{
    CancelToken, Limiter, Runtime, Semaphore, gather, is_cancelled, run, task_group, timeout, unblock, yield_now,
};
use anyscope_sim::Sim;
use anyscope_smol::Smol;
use anyscope_tests::toy::Toy;
use anyscope_tokio::Tokio;
use cap::Cap;
use std::alloc::System;
use std::env;
use std::future::{Future, pending};
use std::io::{self, Write};
use std::panic;
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const PART: &str = "ANYSCOPE_MEMORY";
const HUNG: i32 = 99;

/// A part, its runtimes, and how many steps of it there are.
type Part = (&'static str, [(&'static str, fn(usize)); 6], usize);

macro_rules! on_each {
    ($function:ident) => {
        [
            ("tokio", (|step| $function(Tokio::new(), step)) as fn(usize)),
            ("tokio-current-thread", |step| $function(Tokio::current_thread(), step)),
            ("smol", |step| $function(Smol::new(), step)),
            ("async-std", |step| $function(AsyncStd::new(), step)),
            ("toy", |step| $function(Toy::new(), step)),
            ("sim", |step| $function(Sim::new().open().lenient(), step)),
        ]
    };
}

fn main() {
    let parts: [Part; 3] = [
        ("memory that is refused aborts, or is none of ours", on_each!(refused), 24),
        ("memory comes back after each round", on_each!(comes_back), 1),
        ("what needn't wait allocates nothing", on_each!(allocates_nothing), 1),
    ];
    if let Ok(told) = env::var(PART) {
        // std's own hook allocates under a lock that its report of refused memory takes too: a process would hang there.
        panic::set_hook(Box::new(|panic| drop(writeln!(io::stderr(), "{panic}"))));
        thread::spawn(|| {
            thread::sleep(Duration::from_secs(300));
            std::process::exit(HUNG);
        });
        let mut words = told.split('/');
        let mut word = || words.next().expect("a part, a runtime, and a step");
        let (part, on, step) = (word(), word(), word());
        let (_, runtimes, _) = parts.into_iter().find(|(name, ..)| *name == part).expect("a part");
        let (_, body) = runtimes.into_iter().find(|(name, _)| *name == on).expect("a runtime");
        return body(step.parse().expect("a number"));
    }
    for (part, runtimes, steps) in parts {
        for (on, _) in runtimes {
            let (mut well, mut aborted) = (0, 0);
            for step in 0..steps {
                let Output { status, stderr, .. } = Command::new(env::current_exe().expect("the path of the tests"))
                    .env(PART, format!("{part}/{on}/{step}"))
                    .output()
                    .expect("a process for the part");
                let errors = String::from_utf8_lossy(&stderr);
                // Of what a lack of memory may do, an abort says what it was; a panic is a runtime's that got no thread.
                let lacks = status.code().is_none_or(|code| code == 101) && steps > 1;
                let told = ["memory allocation", "panicked", "out of memory"].iter().any(|text| errors.contains(text));
                if status.success() {
                    well += 1;
                } else {
                    assert!(lacks && told, "{part}, step {step} on {on}, ended with {status}:\n{errors}");
                    aborted += 1;
                }
            }
            println!("{part}, on {on}: {well} ended well, {aborted} didn't");
            assert!(well > 0, "{part}, on {on}: nothing ended well");
            assert!(steps == 1 || aborted > 0, "{part}, on {on}: no memory was refused");
        }
    }
}

/// A little of everything that allocates.
async fn program<R: Runtime>() {
    let semaphore = Arc::new(Semaphore::new(2));
    let sum: usize = task_group::<R, _, _>(async |g| {
        for _ in 0..20 {
            let semaphore = semaphore.clone();
            g.spawn(async move { drop(semaphore.acquire().await) });
        }
        let _ = timeout::<R, _>(Duration::ZERO, pending::<()>()).await;
        gather::<R, _, _>((0..10).map(|n| async move { n })).limit(3).await.into_iter().sum()
    })
    .await;
    assert_eq!(sum + unblock::<R, _, _>(|| 1).limiter(&Limiter::new(1)).await, 46);
}

/// Lets the program have so much more memory, and no more.
fn refused<R: Runtime>(runtime: R, step: usize) {
    run(runtime, async {
        program::<R>().await;
        // The last steps are for a program that has all that it needs.
        let more = if step < 20 { step * step * 40 } else { 1 << (step + 4) };
        MEMORY.set_limit(MEMORY.allocated() + more).expect("more than there is");
        program::<R>().await;
        MEMORY.set_limit(usize::MAX).expect("any number");
    });
}

/// Children, waiters and tokens by the thousands, ten times over: the last rounds take no more than the first.
fn comes_back<R: Runtime>(runtime: R, _: usize) {
    // The simulator keeps the schedule and the trace of all that happened.
    let keeps_a_trace = runtime.name() == "sim";
    let many: usize = env::var("MEMORY_CHILDREN").map_or(5_000, |many| many.parse().expect("a number"));
    run(runtime, async {
        let mut after = Vec::new();
        let before = MEMORY.allocated();
        let mut most = 0;
        for round in 0..10 {
            task_group::<R, _, _>(async |g| {
                for _ in 0..many {
                    g.spawn(yield_now());
                }
                most = most.max(MEMORY.allocated());
            })
            .await;
            task_group::<R, _, _>(async |g| {
                for _ in 0..many {
                    g.spawn(pending::<()>());
                }
                yield_now().await;
                g.cancel();
            })
            .await;

            let semaphore = Semaphore::new(0);
            let mut waiters: Vec<_> = (0..many).map(|_| semaphore.acquire_many(1)).collect();
            for waiter in &mut waiters {
                // It may give way before it queues.
                for _ in 0..2 {
                    let poll = Pin::new(&mut *waiter).poll(&mut Context::from_waker(Waker::noop()));
                    assert!(poll.is_pending());
                }
            }
            assert_eq!(semaphore.statistics().waiting, many);
            // Out of the middle, from the front, and the rest when it's closed.
            drop(waiters.split_off(many / 2));
            drop(waiters.drain(..many / 4));
            semaphore.close();
            drop(waiters);

            let token = CancelToken::<R>::new();
            let wide: Vec<_> = (0..many).map(|_| token.child()).collect();
            assert!(token.cancel() && wide.iter().all(CancelToken::is_cancelled));
            drop(wide);
            let mut deep = vec![CancelToken::<R>::new()];
            for level in 0..many {
                deep.push(deep[level].child());
            }
            assert!(deep[0].cancel() && deep[many].is_cancelled());
            drop((token, deep));
            after.push(MEMORY.allocated());
            println!("round {round}: {} of {most}", MEMORY.allocated() - before);
        }
        // What a runtime keeps for the next time, it has after the first rounds.
        let kept = after[9].saturating_sub(after[2]);
        assert!(
            keeps_a_trace || kept <= most / 20,
            "{kept} bytes more after round 10 than after round 3, of {most}: {after:?}"
        );
    });
}

/// Permits that are there, tokens that are asked, and timeouts around what is ready take no memory.
fn allocates_nothing<R: Runtime>(runtime: R, _: usize) {
    // The simulator is told of each permit, and keeps it.
    if runtime.name() == "sim" {
        return;
    }
    run(runtime, async {
        let (semaphore, shared) = (Semaphore::new(2), Arc::new(Semaphore::new(2)));
        let limiter = Limiter::new(1);
        let token = CancelToken::<R>::new();
        let child = token.child();
        let mut least = usize::MAX;
        // The threads of a runtime may allocate at the same time: in one of the rounds they don't.
        for _ in 0..100 {
            let before = MEMORY.total_allocated();
            for _ in 0..10 {
                drop(semaphore.acquire().await.expect("it is open"));
                drop(semaphore.acquire_many(2).await.expect("it is open"));
                drop(semaphore.try_acquire().expect("it is free"));
                drop(shared.acquire_arc().await.expect("it is open"));
                drop(limiter.acquire().await);
                assert!(!child.is_cancelled() && !is_cancelled());
                assert_eq!(timeout::<R, _>(Duration::from_secs(1), async { 7 }).await, Ok(7));
            }
            least = least.min(MEMORY.total_allocated() - before);
        }
        assert_eq!(least, 0, "bytes");
    });
}
