//! Laws 15 to 17: when a deadline strikes, how it tightens inwards, and that nothing is early.

use crate::runtime::{Toy, always_ready};
use crate::support::{Census, Gate, caught, poll_once, start_thread, turns};
use anyscope_core::{
    CancelToken, Limiter, MissedTicks, ReasonKind, Runtime, Semaphore, Sleep as _, gather, interval, now, remaining,
    run, sleep, sleep_until, task_group, timeout, timeout_at, try_task_group, unblock, yield_now,
};
use std::future::{pending, poll_fn, ready};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::Poll;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Durations from nothing to what no clock can count.
const DURATIONS: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    HOUR,
    Duration::from_secs(100 * 365 * 24 * 3600),
    Duration::from_secs(i64::MAX as u64 / 2),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(u64::MAX / 2),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];

/// A timeout, a sleep and a tick count from their first poll, however long ago they were made.
pub fn a_relative_time_starts_at_the_first_poll<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let mut limited = Box::pin(timeout::<Toy<R>, _>(
            10 * SECOND,
            poll_fn(|_| {
                assert_eq!(remaining::<Toy<R>>(), Some(10 * SECOND), "a timeout ran before it was polled");
                Poll::<()>::Pending
            }),
        ));
        let mut slept = Box::pin(sleep::<Toy<R>>(10 * SECOND));
        let mut ticks = interval::<Toy<R>>(10 * SECOND);
        clock.advance(HOUR);
        assert!(poll_once(&mut limited).is_pending());
        assert!(poll_once(&mut slept).is_pending(), "a sleep ran before it was polled");
        assert_eq!(ticks.tick().await, now::<Toy<R>>(), "an interval ran before it was polled");

        // Polled once, it runs, whether it is polled again or not.
        drop(limited);
        let mut limited = Box::pin(timeout::<Toy<R>, _>(10 * SECOND, pending::<()>()));
        assert!(poll_once(&mut limited).is_pending());
        clock.advance(10 * SECOND);
        assert!(matches!(poll_once(&mut limited), Poll::Ready(Err(_))));
        assert!(poll_once(&mut slept).is_ready());
    });
}

/// What is ready when it is polled wins over a deadline that has passed, however long ago.
pub fn what_is_ready_wins_over_a_deadline_already_past<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime.clone());
    run(runtime, async {
        assert_eq!(timeout::<R, _>(Duration::ZERO, ready(1)).await, Ok(1));
        let past = now::<R>();
        sleep::<R>(Duration::from_millis(1)).await;
        assert_eq!(timeout_at::<R, _>(past, ready(2)).await, Ok(2));
        let nested = timeout_at::<R, _>(past, timeout_at::<R, _>(past, timeout::<R, _>(Duration::ZERO, ready(3))));
        assert_eq!(nested.await, Ok(Ok(Ok(3))));
        let permits = Semaphore::new(1);
        assert!(timeout_at::<R, _>(past, permits.acquire()).await.is_ok(), "a free permit wins too");
        let group = task_group::<R, _, _>(async |_| 4);
        assert_eq!(timeout_at::<R, _>(past, group).await, Ok(4));
    });

    let clock = toy.clone();
    run(toy, async move {
        let gate = Gate::new();
        let mut waiting = Box::pin(timeout::<Toy<R>, _>(SECOND, timeout::<Toy<R>, _>(SECOND, gate.passed())));
        assert!(poll_once(&mut waiting).is_pending());
        clock.advance(HOUR);
        gate.open();
        assert_eq!(poll_once(&mut waiting), Poll::Ready(Ok(Ok(()))), "both were due in the same poll");
    });
}

/// What ends in the very poll in which its deadline passes has ended: its value is delivered, from a child as well.
pub fn late_but_done_is_done<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let late = clock.clone();
        let value = timeout::<Toy<R>, _>(SECOND, async move {
            yield_now().await;
            late.advance(HOUR);
            1
        });
        assert_eq!(value.await, Ok(1));

        let late = clock.clone();
        let value = timeout::<Toy<R>, _>(
            SECOND,
            task_group::<Toy<R>, _, _>(async |g| {
                let child = g.spawn(async move {
                    yield_now().await;
                    late.advance(HOUR);
                    2
                });
                child.await
            }),
        );
        assert_eq!(value.await, Ok(2), "the child was done when its deadline passed");

        let late = clock.clone();
        let job = unblock::<Toy<R>, _, _>(move || {
            late.advance(HOUR);
            3
        });
        assert_eq!(timeout::<Toy<R>, _>(SECOND, job).await, Ok(3), "a job is waited for, and keeps its result");
    });
}

/// A deadline ends what would go on for ever: children and theirs, and all of it is gone when the timeout returns.
pub fn a_deadline_ends_everything_below_it<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let endless = task_group::<R, _, _>(async |g| {
            let member = census.member();
            let nested = census.clone();
            g.spawn(async move {
                let _member = member;
                task_group::<R, _, _>(async |g| {
                    for _ in 0..10 {
                        let member = nested.member();
                        g.spawn(async move {
                            pending::<()>().await;
                            drop(member);
                        });
                    }
                    sleep::<R>(Duration::MAX).await;
                })
                .await;
            });
            pending::<()>().await;
        });
        let started = now::<R>();
        let patience = Duration::from_millis(5);
        assert!(timeout::<R, _>(patience, timeout::<R, _>(HOUR, endless)).await.is_err());
        assert!(now::<R>() - started >= patience, "a deadline was early");
        // What was in the middle of a poll on another thread ends with that poll.
        crate::support::until(|| census.alive() == 0).await;
    });
}

/// A deadline inside of another can only be nearer: through timeouts, groups, children, tokens and blocking jobs.
pub fn deadlines_tighten_inwards_through_everything<R: Runtime>(runtime: R) {
    /// What is left, to the nanosecond: the clock stands.
    fn left<R: Runtime>() -> Option<u64> {
        remaining::<Toy<R>>().map(|left| left.as_secs())
    }

    fn limit<R: Runtime, F: Future>(seconds: u32, future: F) -> impl Future<Output = F::Output> {
        let limited = timeout::<Toy<R>, _>(seconds * SECOND, future);
        async { limited.await.expect("the clock stands") }
    }

    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        assert_eq!(left::<R>(), None);
        limit::<R, _>(100, async {
            assert_eq!(left::<R>(), Some(100));
            limit::<R, _>(1000, async { assert_eq!(left::<R>(), Some(100), "a timeout loosened the one around it") })
                .await;
            limit::<R, _>(10, async { assert_eq!(left::<R>(), Some(10)) }).await;
            assert_eq!(left::<R>(), Some(100), "an inner deadline outlived its timeout");

            task_group::<Toy<R>, _, _>(async |g| {
                assert_eq!(left::<R>(), Some(100));
                g.spawn(async {
                    assert_eq!(left::<R>(), Some(100));
                    limit::<R, _>(1000, async { assert_eq!(left::<R>(), Some(100)) }).await;
                    limit::<R, _>(5, async {
                        assert_eq!(left::<R>(), Some(5));
                        let job = unblock::<Toy<R>, _, _>(left::<R>);
                        assert_eq!(job.await, Some(5), "a job doesn't see its deadline");
                        let job = unblock::<Toy<R>, _, _>(left::<R>).limiter(&Limiter::new(1)).abandon_on_cancel();
                        assert_eq!(job.await, Some(5));
                        try_task_group::<Toy<R>, _, _, ()>(async |g| {
                            let child = g.spawn(async { Ok(left::<R>()) });
                            let job = g.spawn_blocking(|| Ok(left::<R>()));
                            assert_eq!((child.await, job.await), (Some(5), Some(5)));
                            Ok(())
                        })
                        .await
                        .expect("nothing fails");
                    })
                    .await;
                });
                let parallel = gather::<Toy<R>, _, _>((0..3).map(|_| async { left::<R>() })).parallel();
                assert_eq!(limit::<R, _>(7, parallel).await, [Some(7); 3]);
                let each = gather::<Toy<R>, _, _>((0..3).map(|_| async { left::<R>() })).timeout_each(8 * SECOND);
                assert_eq!(each.await, [Ok(Some(8)); 3]);
            })
            .await;

            let token = CancelToken::<Toy<R>>::new();
            let near = token.with_deadline(now::<Toy<R>>() + 50 * SECOND);
            let far = token.with_deadline(now::<Toy<R>>() + 500 * SECOND);
            let nearer = near.with_deadline(now::<Toy<R>>() + 500 * SECOND).child();
            assert_eq!(near.run(async { left::<R>() }).await.expect("it isn't due"), Some(50));
            assert_eq!(far.run(async { left::<R>() }).await.expect("it isn't due"), Some(100));
            assert_eq!(nearer.run(async { left::<R>() }).await.expect("it isn't due"), Some(50));
            let nested = near.run(async { limit::<R, _>(1, async { left::<R>() }).await });
            assert_eq!(nested.await.expect("it isn't due"), Some(1));

            clock.advance(30 * SECOND);
            assert_eq!(left::<R>(), Some(70), "what is left doesn't shrink");
        })
        .await;
        assert_eq!(left::<R>(), None);
    });
}

/// A child that comes by a handle has the deadline of its group, not that of whoever spawned it.
pub fn a_child_has_its_groups_deadline_not_its_spawners<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    run(toy, async move {
        let inside = timeout::<Toy<R>, _>(
            100 * SECOND,
            task_group::<Toy<R>, _, _>(async |g| {
                let handle = g.handle();
                let near =
                    timeout::<Toy<R>, _>(SECOND, poll_fn(|_| Poll::Ready(g.spawn(async { remaining::<Toy<R>>() }))));
                let near = near.await.expect("the clock stands");
                let (sender, receiver) = channel();
                let elsewhere = start_thread(move || {
                    sender.send(handle.spawn(async { remaining::<Toy<R>>() })).expect("the check waits");
                });
                elsewhere.join().expect("the thread ends well");
                let far = receiver.recv().expect("the thread sent it").expect("the group is open");
                (near.await, far.await)
            }),
        );
        assert_eq!(inside.await, Ok((Some(100 * SECOND), Some(100 * SECOND))));
    });
}

/// Durations from zero to `Duration::MAX` work wherever one is taken: nothing overflows, none that is long ends.
pub fn durations_of_every_size_work<R: Runtime>(runtime: R) {
    run(runtime, async {
        for duration in DURATIONS {
            let long = duration >= HOUR;
            let inside = timeout::<R, _>(duration, async { remaining::<R>() }).await.expect("it is ready");
            assert!(inside.is_none_or(|left| left <= duration), "{inside:?} are left of {duration:?}");
            let end = now::<R>().checked_add(duration);
            assert!(end.is_none() || inside.is_some(), "a deadline that the clock reaches can't be read");

            // Without a deadline that ends it, no pending future is waited for.
            let mut limited = Box::pin(timeout::<R, _>(duration, pending::<()>()));
            let mut slept = Box::pin(sleep::<R>(duration));
            if long {
                assert!(poll_once(&mut limited).is_pending(), "a timeout of {duration:?} ended");
                assert!(poll_once(&mut slept).is_pending(), "a sleep of {duration:?} ended");
                let nested = timeout::<R, _>(Duration::from_millis(1), limited);
                assert!(nested.await.is_err(), "a timeout of {duration:?} hid the one around it");
            } else {
                assert!(limited.await.is_err());
                slept.await;
            }

            let each = gather::<R, _, _>([ready(1)]).timeout_each(duration);
            assert_eq!(each.await, [Ok(1)]);
            if duration > Duration::ZERO {
                for missed in [MissedTicks::Burst, MissedTicks::Skip, MissedTicks::Delay] {
                    let mut ticks = interval::<R>(duration).missed(missed);
                    ticks.tick().await;
                    if long {
                        assert!(poll_once(&mut Box::pin(ticks.tick())).is_pending(), "{missed:?}: {duration:?} passed");
                    } else {
                        ticks.tick().await;
                    }
                }
            }
            if let Some(end) = end {
                let token = CancelToken::<R>::new().with_deadline(end);
                let mut waiting = Box::pin(token.run(pending::<()>()));
                if long {
                    assert!(poll_once(&mut waiting).is_pending());
                    assert!(!token.is_cancelled());
                } else {
                    let cut = waiting.await.expect_err("its deadline passed");
                    assert_eq!(cut.reason().kind(), ReasonKind::Deadline);
                }
            }
        }
    });
}

/// The last instant that the clock can tell is a deadline like any other.
pub fn the_last_instant_of_the_clock_works<R: Runtime>(runtime: R) {
    run(runtime, async {
        let last = last_instant(now::<R>());
        let mut limited = Box::pin(timeout_at::<R, _>(last, async {
            assert!(remaining::<R>().is_some_and(|left| left > HOUR));
            pending::<()>().await;
        }));
        let mut slept = Box::pin(sleep_until::<R>(last));
        let token = CancelToken::<R>::new().with_deadline(last);
        let mut under = Box::pin(token.run(pending::<()>()));
        let mut until = Box::pin(token.cancelled());
        for _ in 0..3 {
            assert!(poll_once(&mut limited).is_pending());
            assert!(poll_once(&mut slept).is_pending());
            assert!(poll_once(&mut under).is_pending());
            assert!(poll_once(&mut until).is_pending());
            turns(1).await;
        }
        let nested = timeout::<R, _>(Duration::from_millis(1), timeout::<R, _>(Duration::MAX, limited));
        assert!(nested.await.is_err());
    });
}

fn last_instant(mut from: Instant) -> Instant {
    let mut step = Duration::MAX;
    while step > Duration::ZERO {
        match from.checked_add(step) {
            Some(later) => from = later,
            None => step /= 2,
        }
    }
    from
}

/// A runtime's own timer bears every instant that the clock can tell: past, near and last, and being set anew.
pub fn a_timer_can_be_set_to_any_instant<R: Runtime>(runtime: R) {
    let past = runtime.now();
    run(runtime.clone(), async move {
        let century = runtime.now() + Duration::from_secs(100 * 365 * 24 * 3600);
        for at in [past, runtime.now(), century, last_instant(runtime.now())] {
            let mut timer = Box::pin(runtime.sleep_until(at).expect("the runtime has timers"));
            assert!(at < century || poll_once(&mut timer).is_pending(), "a timer was early by a century");
            timer.as_mut().reset(last_instant(runtime.now()));
            assert!(poll_once(&mut timer).is_pending());
            let soon = runtime.now() + Duration::from_millis(1);
            timer.as_mut().reset(soon);
            timer.as_mut().await;
            assert!(runtime.now() >= soon, "a timer that was set anew was early");
            timer.as_mut().reset(past);
            timer.await;
        }
    });
}

/// No sleep ends before its time by the runtime's clock: neither one of many, nor one that was polled in between.
pub fn a_sleep_is_never_early<R: Runtime>(runtime: R) {
    run(runtime, async {
        let start = now::<R>();
        let sleeps = (0..200_u32).map(|n| async move {
            let at = start + n * Duration::from_micros(137);
            sleep_until::<R>(at).await;
            assert!(now::<R>() >= at, "early by {:?}", at - now::<R>());

            let duration = (n % 7) * Duration::from_micros(501);
            let before = now::<R>();
            let mut slept = Box::pin(sleep::<R>(duration));
            // Polled for no reason, as whoever is polled beside others is.
            if poll_once(&mut slept).is_pending() {
                yield_now().await;
                slept.await;
            }
            assert!(now::<R>() - before >= duration, "a sleep of {duration:?} was early");
        });
        gather::<R, _, _>(sleeps).await;
    });
}

/// No tick is early, whatever becomes of ticks that were missed.
pub fn a_tick_is_never_early<R: Runtime>(runtime: R) {
    run(runtime, async {
        let period = Duration::from_micros(700);
        for missed in [MissedTicks::Burst, MissedTicks::Skip, MissedTicks::Delay] {
            let mut ticks = interval::<R>(period).missed(missed);
            let mut last = ticks.tick().await;
            for n in 0..20_u32 {
                if n % 5 == 0 {
                    sleep::<R>(2 * period).await;
                }
                let tick = ticks.tick().await;
                assert!(tick <= now::<R>(), "{missed:?}: a tick was early");
                assert!(tick - last >= period, "{missed:?}: two ticks were {:?} apart", tick - last);
                last = tick;
            }
        }
    });
}

/// Ticks that nobody waited for come at once, are left out, or move the schedule, as was asked.
pub fn missed_ticks_become_what_was_asked<R: Runtime>(runtime: R) {
    async fn ticks_after_a_pause<R: Runtime>(missed: MissedTicks, clock: &Toy<R>) -> Vec<u64> {
        let start = now::<Toy<R>>();
        let mut ticks = interval::<Toy<R>>(10 * SECOND).missed(missed);
        let mut seen = vec![ticks.tick().await];
        clock.advance(35 * SECOND);
        for _ in 0..5 {
            let mut tick = Box::pin(ticks.tick());
            seen.push(loop {
                match poll_once(&mut tick) {
                    Poll::Ready(tick) => break tick,
                    Poll::Pending => clock.advance(SECOND),
                }
            });
        }
        seen.into_iter().map(|tick| (tick - start).as_secs()).collect()
    }

    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        assert_eq!(ticks_after_a_pause(MissedTicks::Burst, &clock).await, [0, 10, 20, 30, 40, 50]);
        assert_eq!(ticks_after_a_pause(MissedTicks::Skip, &clock).await, [0, 10, 40, 50, 60, 70]);
        assert_eq!(ticks_after_a_pause(MissedTicks::Delay, &clock).await, [0, 10, 45, 55, 65, 75]);
    });
}

/// A timer that ends before its time, as one with a coarse grain does, is waited for anew.
pub fn a_timer_that_is_early_is_waited_for_again<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let mut slept = Box::pin(sleep::<Toy<R>>(SECOND));
        let mut limited = Box::pin(timeout::<Toy<R>, _>(SECOND, pending::<()>()));
        let token = CancelToken::<Toy<R>>::new().with_deadline(now::<Toy<R>>() + SECOND);
        let mut under = Box::pin(token.run(pending::<()>()));
        for _ in 0..3 {
            clock.be_early(2);
            assert!(poll_once(&mut slept).is_pending(), "a sleep believed a timer that was early");
            clock.be_early(2);
            assert!(poll_once(&mut limited).is_pending(), "a timeout believed a timer that was early");
            clock.be_early(2);
            assert!(poll_once(&mut under).is_pending(), "a token believed a timer that was early");
        }
        clock.advance(SECOND);
        assert!(poll_once(&mut slept).is_ready());
        assert!(matches!(poll_once(&mut limited), Poll::Ready(Err(_))));
        assert!(matches!(poll_once(&mut under), Poll::Ready(Err(_))));
    });
}

/// A loop over what is always ready ends when its time is up, though it is never idle.
pub fn an_always_ready_loop_ends_at_its_deadline<R: Runtime>(runtime: R) {
    let mut endless = Vec::new();
    run(runtime, async {
        for (name, looping) in always_ready::<R>() {
            let at = now::<R>() + Duration::from_millis(2);
            if timeout_at::<R, _>(at, looping(Box::new(|| false))).await.is_ok() {
                endless.push(name);
            }
        }
    });
    assert!(endless.is_empty(), "loops that outlived their deadline: over {endless:?}");
}

/// A timeout that was dropped, or whose future panicked, leaves no deadline behind.
pub fn a_deadline_ends_with_its_timeout<R: Runtime>(runtime: R) {
    run(runtime, async {
        let mut dropped = Box::pin(timeout::<R, _>(HOUR, pending::<()>()));
        assert!(poll_once(&mut dropped).is_pending());
        assert_eq!(remaining::<R>(), None);
        drop(dropped);
        caught(timeout::<R, _>(HOUR, async { panic!("in a timeout") })).await.expect_err("it panicked");
        assert_eq!(remaining::<R>(), None, "a panic left a deadline behind");
        assert!(timeout::<R, _>(Duration::ZERO, pending::<()>()).await.is_err());
        assert_eq!(remaining::<R>(), None);

        // A future that is carried from one timeout into another sees the one that it is polled in.
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let push = seen.clone();
        let mut carried = Box::pin(async move {
            loop {
                push.lock().unwrap().push(remaining::<R>().is_some());
                yield_now().await;
            }
        });
        poll_once(&mut Box::pin(timeout::<R, _>(HOUR, &mut carried)))
            .is_pending()
            .then_some(())
            .expect("it is endless");
        assert!(poll_once(&mut carried).is_pending());
        assert_eq!(*seen.lock().unwrap(), [true, false]);
    });
}
