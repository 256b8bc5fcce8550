//! Laws 10, 11, 15, 16, 18, 19, 21 to 23 and 26, of gathers that don't wait for everything, or go on past panics.

use crate::runtime::Toy;
use crate::support::{
    Bomb, Census, Gate, Member, Passed, caught, poll_once, polled, said, surviving, turns, until, while_polling,
};
use anyscope_core::{
    CancelToken, Elapsed, Outcome, Reason, ReasonKind, Runtime, Task, gather, now, remaining, run, task_group, timeout,
    try_gather, unblock, yield_now,
};
use std::cell::Cell;
use std::future::{Future, Ready, pending, poll_fn, ready};
use std::iter;
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What a gather comes to in the current task and on the runtime: two values, from the same expressions.
macro_rules! both {
    ($gathered:expr, |$way:ident| $end:expr) => {
        [
            {
                let $way = $gathered;
                $end.await
            },
            {
                let $way = $gathered.parallel();
                $end.await
            },
        ]
    };
}

/// The two futures of [`both`], before they are polled.
macro_rules! boxed {
    ($gathered:expr, |$way:ident| $end:expr) => {{
        let in_task = {
            let $way = $gathered;
            boxed($end)
        };
        let on_runtime = {
            let $way = $gathered.parallel();
            boxed($end)
        };
        [in_task, on_runtime]
    }};
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

fn boxed<'a, F: Future + 'a>(future: F) -> Boxed<'a, F::Output> {
    Box::pin(future)
}

/// Lets futures end in an order of its own, each after the gather has taken the one before.
#[derive(Clone)]
struct Line(Arc<(Vec<Gate>, Vec<usize>)>);

impl Line {
    /// Of so many futures, those that end, in this order; the others never do.
    fn new(count: usize, order: &[usize]) -> Self {
        let gates: Vec<Gate> = (0..count).map(|_| Gate::new()).collect();
        gates[order[0]].open();
        Self(Arc::new((gates, order.to_vec())))
    }

    fn passed(&self, index: usize) -> Passed {
        self.0.0[index].passed()
    }

    /// So many have been taken: the next may go.
    fn taken(&self, count: usize) {
        if let Some(&next) = self.0.1.get(count) {
            self.0.0[next].open();
        }
    }

    /// Futures that end as the line says: those in `failing` with their index as an error, the others as a value.
    fn results(
        self,
        failing: &'static [usize],
        census: Census,
    ) -> impl Iterator<Item = impl Future<Output = Result<usize, usize>> + Send + 'static> {
        let line = self;
        (0..line.0.0.len()).map(move |index| {
            let (passed, member) = (line.passed(index), census.member());
            async move {
                passed.await;
                drop(member);
                if failing.contains(&index) { Err(index) } else { Ok(index) }
            }
        })
    }
}

/// Gathers what ends in the order of a line, both ways.
macro_rules! in_line {
    ($runtime:ty, $line:expr, $failing:expr, $census:expr, |$way:ident| $end:expr) => {{
        let line = || {
            let line = $line;
            let taken = line.clone();
            let futures = line.results($failing, $census.clone());
            gather::<$runtime, _, _>(futures).on_progress(move |progress| taken.taken(progress.finished))
        };
        both!(line(), |$way| $end)
    }};
}

/// The first `Ok` in time wins, wherever it stands in the input; the rest is stopped, and nothing more is pulled.
pub fn the_first_success_stops_the_rest<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        for won in in_line!(R, Line::new(6, &[5, 3, 2]), &[5], census, |all| all.first_ok()) {
            assert_eq!((won, census.alive()), (Ok(3), 0));
        }

        let pulled = Cell::new(0);
        let one_by_one = || {
            (0..10).map(|n| {
                pulled.set(pulled.get() + 1);
                ready(if n == 4 { Ok(n) } else { Err(()) })
            })
        };
        for won in both!(gather::<R, _, _>(one_by_one()).limit(1), |all| all.first_ok()) {
            assert_eq!(won, Ok(4));
        }
        assert_eq!(pulled.get(), 10, "pulled though one had won");

        // One that goes on for ever takes its place of the limit, and no more.
        let stuck = || {
            (0..50).map(|n| async move {
                if n == 0 {
                    pending().await
                } else if n == 40 {
                    Ok(n)
                } else {
                    Err(())
                }
            })
        };
        for won in both!(gather::<R, _, _>(stuck()).limit(2), |all| all.first_ok()) {
            assert_eq!(won, Ok(40));
        }
    });
}

/// What was stopped on the runtime has ended when the gather returns, also where nothing may interrupt it.
pub fn what_is_not_needed_any_more_is_joined<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let (begun, go, won) = (Gate::new(), Gate::new(), Gate::new());
        let (release, released) = channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let futures = (0..2).map(|n| {
            let (begun, go, member, released) = (begun.clone(), go.passed(), census.member(), released.clone());
            async move {
                if n == 0 {
                    let job = move || {
                        begun.open();
                        let _ = released.lock().unwrap().recv();
                        drop(member);
                    };
                    unblock::<R, _, _>(job).await;
                    return Err(n);
                }
                go.await;
                drop(member);
                Ok(n)
            }
        });
        let opener = won.clone();
        let first = gather::<R, _, _>(futures).parallel().on_progress(move |_| opener.open()).first_ok();
        let mut first = Box::pin(first);
        while_polling(&mut first, begun.passed()).await;
        go.open();
        while_polling(&mut first, won.passed()).await;
        while_polling(&mut first, pin!(turns(10))).await;
        assert_eq!(census.alive(), 1, "the winner's is still there, or the job's isn't");
        drop(release);
        assert_eq!(first.await, Ok(1));
        assert_eq!(census.alive(), 0);
    });
}

/// Where nobody succeeds, every error is kept, and stands where its future did.
pub fn where_nobody_succeeds_every_error_is_kept_in_order<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        for failed in in_line!(R, Line::new(4, &[2, 0, 3, 1]), &[0, 1, 2, 3], census, |all| all.first_ok()) {
            assert_eq!(failed, Err(vec![0, 1, 2, 3]));
        }
        let none = iter::empty::<Ready<Result<u8, char>>>;
        for failed in both!(gather::<R, _, _>(none()), |all| all.first_ok()) {
            assert_eq!(failed, Err(vec![]));
        }
    });
}

/// Being late is an error among the others, and stops nobody else.
pub fn being_late_is_an_error_among_the_others<R: Runtime>(runtime: R) {
    #[derive(Debug, PartialEq, Eq)]
    enum Wrong {
        Late,
        Other,
    }

    impl From<Elapsed> for Wrong {
        fn from(_: Elapsed) -> Self {
            Self::Late
        }
    }

    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let futures = |last: Result<u8, Wrong>| {
            let mut last = Some(last);
            let clock = clock.clone();
            (0..3_u8).map(move |n| {
                let (clock, last) = (clock.clone(), if n == 2 { last.take() } else { None });
                async move {
                    match (n, last) {
                        (0, _) => Err(Wrong::Other),
                        (_, Some(last)) => last,
                        _ => {
                            yield_now().await;
                            clock.advance(20 * SECOND);
                            pending().await
                        }
                    }
                }
            })
        };
        let all = |last| try_gather::<Toy<R>, _, _>(futures(last)).timeout_each(10 * SECOND).limit(1);
        for ended in both!(all(Ok(7)), |all| all.first_ok()) {
            assert_eq!(ended, Ok(7));
        }
        for ended in both!(all(Err(Wrong::Other)), |all| all.first_ok()) {
            assert_eq!(ended, Err(vec![Wrong::Other, Wrong::Late, Wrong::Other]));
        }
        for ended in both!(all(Ok(7)), |all| all.quorum(2)) {
            assert_eq!(ended.unwrap_err().into_errors(), [Wrong::Other, Wrong::Late]);
        }
    });
}

/// A quorum's values are the first in time, and stand in the order of the input; the rest is stopped.
pub fn a_quorum_is_the_first_in_time_in_the_order_of_the_input<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        for reached in in_line!(R, Line::new(6, &[4, 1, 3, 0, 2, 5]), &[1], census, |all| all.quorum(3)) {
            assert_eq!((reached.unwrap(), census.alive()), (vec![0, 3, 4], 0));
        }
        for reached in in_line!(R, Line::new(3, &[1, 2, 0]), &[], census, |all| all.quorum(3)) {
            assert_eq!(reached.unwrap(), [0, 1, 2], "all of them are a quorum too");
        }
    });
}

/// A quorum fails as soon as it is out of reach, with every error so far in the order of the input; what can't help any
/// more is stopped. Where the length isn't known, that is at the end.
pub fn a_quorum_out_of_reach_fails_at_once<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        // Two of five never end: that it fails at all shows that it doesn't wait for them.
        for failed in in_line!(R, Line::new(5, &[3, 0, 1]), &[1, 3], census, |all| all.quorum(4)) {
            let failed = failed.unwrap_err();
            assert_eq!((failed.needed(), failed.succeeded(), census.alive()), (4, 1, 0));
            assert_eq!(failed.errors().collect::<Vec<_>>(), [(1, &1), (3, &3)]);
            assert_eq!(
                failed.to_string(),
                "1 of the 4 that a quorum needs succeeded, and 2 failed\n  [1]: 1\n  [3]: 3"
            );
        }

        let pulled = Cell::new(0);
        let failing = |n: usize| {
            pulled.set(pulled.get() + 1);
            ready(Err::<(), _>(n))
        };
        for (needed, tried) in [(10, 1), (8, 3), (1, 10)] {
            for failed in both!(gather::<R, _, _>((0..10).map(failing)).limit(1), |all| all.quorum(needed)) {
                assert_eq!(failed.unwrap_err().into_errors(), (0..tried).collect::<Vec<_>>());
            }
        }
        assert_eq!(pulled.replace(0), 2 * (1 + 3 + 10), "pulled what couldn't help");

        // At most six is known, though not how many.
        let at_most = || (0..6).filter(|n| n % 2 == 0).map(failing);
        for failed in both!(gather::<R, _, _>(at_most()).limit(1), |all| all.quorum(4)) {
            assert_eq!(failed.unwrap_err().into_errors(), [0, 2]);
        }
        let unknown = || {
            let mut left = 0..4;
            iter::from_fn(move || left.next()).map(failing)
        };
        for failed in both!(gather::<R, _, _>(unknown()).limit(1), |all| all.quorum(4)) {
            assert_eq!(failed.unwrap_err().into_errors(), [0, 1, 2, 3]);
        }
    });
}

/// A quorum of nothing is reached, and one of more than there are has failed, before anything is pulled.
pub fn a_quorum_of_none_or_of_too_many_is_told_at_once<R: Runtime>(runtime: R) {
    run(runtime, async {
        let untouched = || (0..3).map(|_| -> Ready<Result<u8, char>> { panic!("pulled for nothing") });
        for reached in both!(gather::<R, _, _>(untouched()), |all| all.quorum(0)) {
            assert_eq!(reached, Ok(vec![]));
        }
        for needed in [4, usize::MAX] {
            for failed in both!(gather::<R, _, _>(untouched()), |all| all.quorum(needed)) {
                let failed = failed.unwrap_err();
                assert_eq!((failed.needed(), failed.succeeded(), failed.errors().len()), (needed, 0, 0));
            }
        }
        assert!(poll_once(&mut gather::<R, _, _>(untouched()).parallel().quorum(0)).is_ready(), "not at once");
        assert!(poll_once(&mut gather::<R, _, _>(untouched()).parallel().quorum(4)).is_ready(), "not at once");

        let none = iter::empty::<Ready<Result<u8, char>>>;
        assert_eq!(gather::<R, _, _>(none()).quorum(0).await, Ok(vec![]));
        assert_eq!(gather::<R, _, _>(none()).quorum(1).await.unwrap_err().needed(), 1);
        // Where nobody knows that there is nothing, it turns out at the end.
        let nobody_knows = || iter::from_fn(|| None::<Ready<Result<u8, char>>>);
        assert_eq!(gather::<R, _, _>(nobody_knows()).quorum(1).await.unwrap_err().needed(), 1);
        // An input without an end knows that there are enough.
        let endless = iter::repeat_with(|| ready(Ok::<_, char>(1)));
        assert_eq!(gather::<R, _, _>(endless).limit(2).quorum(3).await, Ok(vec![1, 1, 1]));
    });
}

/// The first value in time that fits ends the gather; those that don't fit are dropped as they come.
pub fn the_first_value_that_fits_ends_the_gather<R: Runtime>(runtime: R) {
    run(runtime, async {
        let census = Census::new();
        let odd = |index: usize, value: &Result<usize, usize>| {
            assert_eq!(*value, Ok(index), "a value came with another's place");
            index % 2 == 1
        };
        for found in in_line!(R, Line::new(6, &[4, 2, 3, 1]), &[], census, |all| all.until(odd)) {
            assert_eq!((found, census.alive()), (Some(Ok(3)), 0));
        }

        let members = || (0..20).map(|n| ready((n, census.member())));
        let alone = |_: usize, value: &(i32, Member)| {
            // This one, and what is ready beside it: of those before it, nothing is left.
            assert!(census.alive() <= 2, "{} values were kept", census.alive());
            value.0 == 50
        };
        for found in both!(gather::<R, _, _>(members()).limit(2), |all| all.until(alone)) {
            assert!(found.is_none());
        }

        let results =
            |error_at: usize| (0..6_usize).map(move |n| ready(if n == error_at { Err("wrong") } else { Ok(n) }));
        for found in both!(try_gather::<R, _, _>(results(4)).limit(1), |all| all.until(|_, n| *n == 2)) {
            assert_eq!(found, Ok(Some(2)));
        }
        for found in both!(try_gather::<R, _, _>(results(1)).limit(1), |all| all.until(|_, n| *n == 2)) {
            assert_eq!(found, Err("wrong"));
        }
        for found in both!(try_gather::<R, _, _>(results(9)).limit(1), |all| all.until(|_, n| *n == 9)) {
            assert_eq!(found, Ok(None));
        }
    });
}

/// Where all are settled, the panic of one is its outcome: the others go on, and everything stands in its place.
pub fn a_panic_stops_no_other_where_all_are_settled<R: Runtime>(runtime: R) {
    surviving(|| {
        run(runtime, async {
            // The last two wait until the four that panic have been taken.
            let futures = |four: Gate| {
                (0..7_usize).map(move |n| {
                    let four = four.passed();
                    async move {
                        let _bomb = (n == 3).then(|| Bomb("a destructor"));
                        match n {
                            1 => panic!("at once"),
                            2 => {
                                yield_now().await;
                                panic!("later: {n}")
                            }
                            4 => panic_any(Bomb("a payload")),
                            5 | 6 => four.await,
                            _ => {}
                        }
                        n
                    }
                })
            };
            let told = |outcome: Outcome<usize>| match outcome {
                Outcome::Completed(n) => Ok(n),
                Outcome::Panicked(panic) => Err(panic.message().to_owned()),
                other => panic!("{other:?}"),
            };
            let settling = || {
                let four = Gate::new();
                let opener = four.clone();
                let open = move |taken: anyscope_core::Progress| {
                    if taken.finished == 5 {
                        opener.open();
                    }
                };
                gather::<R, _, _>(futures(four)).on_progress(open)
            };
            let panicked = |text: &str| Err(text.to_owned());
            for outcomes in both!(settling(), |all| all.settled()) {
                let outcomes: Vec<_> = outcomes.into_iter().map(told).collect();
                let [zero, one, two, three, four, five, six] = &outcomes[..] else { panic!("{outcomes:?}") };
                assert_eq!([zero, five, six], [&Ok(0), &Ok(5), &Ok(6)]);
                assert_eq!([one, two, three], [&panicked("at once"), &panicked("later: 2"), &panicked("a destructor")]);
                assert!(four.is_err());
            }

            // What a future has captured is dropped after it has ended.
            let explosive = || {
                (0..2).map(|n| {
                    let bomb = (n == 0).then(|| Bomb("a capture"));
                    poll_fn(move |_| {
                        let _captured = &bomb;
                        Poll::Ready(n)
                    })
                })
            };
            for outcomes in both!(gather::<R, _, _>(explosive()), |all| all.settled()) {
                assert_eq!(outcomes.into_iter().map(told).collect::<Vec<_>>(), [panicked("a capture"), Ok(1)]);
            }

            // It goes together with the other ends, and an `Err` is a value.
            for found in both!(settling(), |all| all.settled().until(|index, one| index > 1 && one.is_panicked())) {
                assert!(told(found.expect("three more panic")).is_err());
            }
            for settled in both!(settling(), |all| all.settled().within(Duration::MAX)) {
                assert_eq!(settled.into_values().into_iter().filter(Outcome::is_panicked).count(), 4);
            }
            let failing = || [Ok(1), Err("wrong"), Ok(3)].map(ready);
            for outcomes in both!(try_gather::<R, _, _>(failing()), |all| all.settled()) {
                let values: Vec<_> = outcomes.into_iter().filter_map(Outcome::completed).collect();
                assert_eq!(values, failing().map(Ready::into_inner));
            }
        });
    });
}

/// A panic that isn't settled goes on in the owner, with its payload, after all others have ended; so does a panic of
/// what decides.
pub fn a_panic_goes_on_whatever_the_gather_waits_for<R: Runtime>(runtime: R) {
    surviving(|| {
        let toy = Toy::new(runtime);
        run(toy, async {
            let census = Census::new();
            let panicking = || {
                let census = census.clone();
                gather::<Toy<R>, _, _>((0..5_usize).map(move |n| {
                    let member = census.member();
                    async move {
                        let _member = member;
                        turns(n).await;
                        assert_ne!(n, 3, "the third");
                        if n > 3 { pending().await } else { Err::<(), _>(n) }
                    }
                }))
            };
            let ends = [
                both!(panicking(), |all| async { caught(all.first_ok()).await.map(drop) }),
                both!(panicking(), |all| async { caught(all.quorum(1)).await.map(drop) }),
                both!(panicking(), |all| async { caught(all.until(|_, _| false)).await.map(drop) }),
                both!(panicking(), |all| async { caught(all.within(SECOND)).await.map(drop) }),
            ];
            for payload in ends.into_iter().flatten() {
                let payload = payload.expect_err("one panics");
                assert!(said(&payload).contains("the third"), "{:?}", said(&payload));
            }
            assert_eq!(census.alive(), 0);

            let idle = || {
                let census = census.clone();
                gather::<Toy<R>, _, _>((0..5_usize).map(move |n| {
                    let member = census.member();
                    async move {
                        if n != 2 {
                            pending::<()>().await;
                        }
                        drop(member);
                    }
                }))
            };
            let deciding = |_: usize, _: &()| -> bool { panic!("can't decide") };
            for payload in both!(idle(), |all| async { caught(all.until(deciding)).await.map(drop) }) {
                assert_eq!(said(&payload.expect_err("it panics")), "can't decide");
            }
            assert_eq!(census.alive(), 0);
        });
    });
}

/// At its deadline a gather gives what has ended, in its place, and says how much is missing; the rest is stopped, and
/// nothing more is pulled.
pub fn a_deadline_gives_what_has_ended<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let (census, pulled) = (Census::new(), Cell::new(0));
        // With room for two: the even ones end, and the first two odd ones keep their places. The time is up when the
        // second has been taken.
        let gathered = || {
            let ticking = clock.clone();
            let futures = (0..6_usize).map(|n| {
                pulled.set(pulled.get() + 1);
                let member = census.member();
                async move {
                    if n == 0 {
                        assert_eq!(remaining::<Toy<R>>(), Some(10 * SECOND), "the deadline can't be read, or ran");
                    }
                    if n % 2 == 1 {
                        pending::<()>().await;
                    }
                    drop(member);
                    n
                }
            });
            gather::<Toy<R>, _, _>(futures).limit(2).on_progress(move |progress| {
                if progress.finished == 2 {
                    ticking.advance(10 * SECOND);
                }
            })
        };
        for within in boxed!(gathered(), |all| all.within(10 * SECOND)) {
            // A relative deadline counts from the first poll.
            clock.advance(20 * SECOND);
            let partial = within.await;
            assert_eq!((partial.len(), partial.missing(), partial.is_complete()), (2, Some(4), false));
            assert_eq!(partial.iter().collect::<Vec<_>>(), [(0, &0), (2, &2)]);
            assert_eq!(partial.complete().unwrap_err().into_iter().collect::<Vec<_>>(), [(0, 0), (2, 2)]);
            assert_eq!((census.alive(), pulled.replace(0)), (0, 4), "not stopped, or pulled too many");
        }
        for partial in both!(gathered(), |all| all.by(now::<Toy<R>>() + 10 * SECOND)) {
            assert_eq!(partial.into_values(), [0, 2]);
        }

        // An input that doesn't know its length can't say how much is missing.
        let unknown = || iter::from_fn(|| Some(pending::<u8>()));
        let partial = gather::<Toy<R>, _, _>(unknown()).limit(3).within(Duration::ZERO).await;
        assert_eq!((partial.is_empty(), partial.missing(), partial.is_complete()), (true, None, false));

        // An error is first in time, or it isn't.
        let failing = || (0..3).map(|n| async move { if n == 1 { Err(n) } else { Ok(n) } });
        for failed in both!(try_gather::<Toy<R>, _, _>(failing()), |all| all.within(SECOND)) {
            assert_eq!(failed, Err(1));
        }
        let partial = try_gather::<Toy<R>, _, _>(failing()).by(now::<Toy<R>>()).await;
        assert_eq!(partial, Err(1));
    });
}

/// What is ready wins over a deadline already past, and what is late but done is done; a time of every size works.
pub fn what_is_ready_wins_over_the_deadline_of_a_gather<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let start = now::<Toy<R>>();
        clock.advance(SECOND);
        assert_eq!(gather::<Toy<R>, _, _>((0..9).map(ready)).limit(1).within(Duration::ZERO).await.len(), 9);
        assert_eq!(gather::<Toy<R>, _, _>((0..9).map(ready)).by(start).await.complete().unwrap().len(), 9);
        let none = iter::empty::<Ready<u8>>;
        for nothing in both!(gather::<Toy<R>, _, _>(none()), |all| all.within(Duration::ZERO)) {
            assert_eq!((nothing.is_complete(), nothing.missing()), (true, Some(0)));
        }
        for all in both!(gather::<Toy<R>, _, _>((0..9).map(ready)), |all| all.within(Duration::MAX)) {
            assert_eq!(all.complete().unwrap().len(), 9);
        }

        // They end, and the time is up, before the gather looks again.
        let gate = Gate::new();
        let three = || {
            let gate = gate.clone();
            gather::<Toy<R>, _, _>((0..3).map(move |n| {
                let passed = gate.passed();
                async move {
                    if n == 1 {
                        pending::<()>().await;
                    }
                    passed.await;
                    n
                }
            }))
        };
        let mut all = boxed!(three(), |all| all.within(SECOND));
        for within in &mut all {
            assert!(polled(within).await.is_pending());
        }
        until(|| gate.waiting() == 4).await;
        gate.open();
        turns(10).await;
        clock.advance(2 * SECOND);
        for within in all {
            assert_eq!(within.await.into_values(), [0, 2]);
        }

        // It takes longer than it may, in one poll.
        let late = |n: u8| {
            let clock = clock.clone();
            async move {
                clock.advance(5 * SECOND);
                n
            }
        };
        assert_eq!(gather::<Toy<R>, _, _>((0..3).map(late)).within(SECOND).await.complete().unwrap(), [0, 1, 2]);
    });
}

/// What can't be interrupted at the deadline is waited for, and what it comes to counts; nothing more is pulled.
pub fn a_value_that_comes_while_the_gather_is_stopped_counts<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        for parallel in [false, true] {
            let (begun, later, pulled) = (Gate::new(), Gate::new(), Cell::new(0));
            let (release, released) = channel::<()>();
            let released = Arc::new(Mutex::new(released));
            let futures = (0..4).map(|n| {
                pulled.set(pulled.get() + 1);
                let (begun, later, released) = (begun.clone(), later.passed(), released.clone());
                async move {
                    if n == 0 {
                        later.await;
                        return n;
                    }
                    let job = move || {
                        begun.open();
                        let _ = released.lock().unwrap().recv();
                        n
                    };
                    unblock::<Toy<R>, _, _>(job).await
                }
            });
            let all = gather::<Toy<R>, _, _>(futures).limit(2);
            let mut within = if parallel { boxed(all.parallel().within(SECOND)) } else { boxed(all.within(SECOND)) };
            while_polling(&mut within, begun.passed()).await;
            clock.advance(2 * SECOND);
            while_polling(&mut within, pin!(turns(10))).await;
            // In the task, it goes on beside the job; on the runtime it has been cancelled.
            later.open();
            while_polling(&mut within, pin!(turns(10))).await;
            drop(release);
            let values = within.await.into_values();
            assert_eq!(values, if parallel { vec![1] } else { vec![0, 1] });
            assert_eq!(pulled.get(), 2, "pulled though the time was up");
        }
    });
}

/// A scope around that is cancelled or past its deadline reports, and not the gather, whose deadline it bounds.
pub fn a_scope_around_reports_before_the_deadline_of_a_gather<R: Runtime>(runtime: R) {
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let census = Census::new();
        let idle = || {
            let census = census.clone();
            gather::<Toy<R>, _, _>((0..3).map(move |n| {
                let member = census.member();
                async move {
                    assert_eq!(remaining::<Toy<R>>(), Some(SECOND), "the nearer of the two");
                    pending::<()>().await;
                    drop(member);
                    n
                }
            }))
        };
        // The outer one's time is up at once with the inner's, or alone; or the inner one's is alone.
        for (outer, inner, passing, is_outer) in [(1, 1, 1, true), (1, 2, 3, true), (1, 9, 1, true), (9, 1, 1, false)] {
            let all = boxed!(idle(), |all| timeout::<Toy<R>, _>(outer * SECOND, all.within(inner * SECOND)));
            for mut limited in all {
                assert!(polled(&mut limited).await.is_pending());
                turns(5).await;
                clock.advance(passing * SECOND);
                let ended = limited.await;
                assert_eq!(ended.is_err(), is_outer, "{outer} s around {inner} s");
                assert!(ended.is_err() || ended.is_ok_and(|partial| partial.missing() == Some(3)));
                assert_eq!(census.alive(), 0);
            }
        }
        let token = CancelToken::<Toy<R>>::new();
        let mut all = boxed!(idle(), |all| token.run(all.within(SECOND)));
        for limited in &mut all {
            assert!(polled(limited).await.is_pending());
        }
        turns(5).await;
        clock.advance(SECOND);
        token.cancel();
        for limited in all {
            assert!(limited.await.is_err(), "the cancelled scope is further out");
        }
        assert_eq!(census.alive(), 0);
    });
}

/// What is stopped learns why: of the deadline with its line, of a sibling's failure, or that it isn't needed.
pub fn what_is_stopped_is_told_why<R: Runtime>(runtime: R) {
    /// The first ends, like this, when the second has handed out a task of its own; the second never ends.
    fn telling<R: Runtime>(
        first: Result<(), ()>,
        tasks: Sender<Task<()>>,
    ) -> impl Iterator<Item = impl Future<Output = Result<(), ()>> + Send + 'static> {
        let begun = Gate::new();
        (0..2).map(move |n| {
            let (begun, tasks) = (begun.clone(), tasks.clone());
            async move {
                if n == 0 {
                    begun.passed().await;
                    return first;
                }
                task_group::<R, _, _>(async move |g| {
                    let _ = tasks.send(g.spawn(pending()));
                    begun.open();
                    pending().await
                })
                .await
            }
        })
    }

    async fn reason(tasks: &Receiver<Task<()>>) -> Reason {
        match tasks.try_recv().expect("it was handed out").outcome().await {
            Outcome::Cancelled(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async move {
        let (send, tasks) = channel();
        let all = |first| gather::<Toy<R>, _, _>(telling::<Toy<R>>(first, send.clone()));
        for won in boxed!(all(Ok(())), |all| all.first_ok()) {
            assert_eq!(won.await, Ok(()));
            let reason = reason(&tasks).await;
            assert_eq!(reason.kind(), ReasonKind::Dropped);
            assert_eq!(reason.message(), Some("the gather has what it waited for"));
        }
        for failed in boxed!(all(Err(())), |all| all.quorum(2)) {
            assert_eq!(failed.await.unwrap_err().errors().len(), 1);
            assert_eq!(reason(&tasks).await.kind(), ReasonKind::SiblingFailed);
        }
        let line = line!() + 1;
        for mut within in boxed!(all(Ok(())), |all| all.within(SECOND)) {
            while_polling(&mut within, pin!(turns(10))).await;
            clock.advance(SECOND);
            assert_eq!(within.await.into_values(), [Ok(())]);
            let reason = reason(&tasks).await;
            assert_eq!(reason.kind(), ReasonKind::Deadline);
            assert_eq!((reason.location().line(), reason.location().file()), (line, file!()));
        }
    });
}

/// A wake costs what is ready, whatever the gather waits for.
pub fn a_gather_that_waits_for_enough_polls_only_what_is_ready<R: Runtime>(runtime: R) {
    const IDLE: usize = 500;

    run(runtime, async {
        let polls = AtomicUsize::new(0);
        let all = || {
            (0..=IDLE).map(|n| {
                let polls = &polls;
                async move {
                    if n == IDLE {
                        turns(IDLE).await;
                        return Ok(n);
                    }
                    poll_fn(|_| {
                        polls.fetch_add(1, Ordering::SeqCst);
                        Poll::Pending
                    })
                    .await
                }
            })
        };
        assert_eq!(gather::<R, _, _>(all()).first_ok().await, Ok::<_, Vec<()>>(IDLE));
        assert_eq!(polls.swap(0, Ordering::SeqCst), IDLE, "the first `Ok`");
        assert_eq!(gather::<R, _, _>(all()).quorum(1).await.unwrap(), [IDLE]);
        assert_eq!(polls.swap(0, Ordering::SeqCst), IDLE, "a quorum");
        let found = gather::<R, _, _>(all()).settled().until(|_, outcome| outcome.is_completed()).await;
        assert_eq!(found.and_then(Outcome::completed), Some(Ok(IDLE)));
        assert_eq!(polls.swap(0, Ordering::SeqCst), IDLE, "until a value fits");
        // With a deadline, what is busy ends it by its error.
        let failing = all().map(|one| async { one.await.map_or(Ok::<(), usize>(()), Err) });
        assert_eq!(try_gather::<R, _, _>(failing).within(Duration::MAX).await, Err(IDLE));
        assert_eq!(polls.swap(0, Ordering::SeqCst), IDLE, "by a deadline");
    });
}

/// The limit holds whatever the gather waits for, and who is stuck takes one place of it.
pub fn the_limit_holds_whatever_the_gather_waits_for<R: Runtime>(runtime: R) {
    /// One is stuck. The others fail, but for the last two.
    fn many(
        census: Census,
        most: Arc<AtomicUsize>,
    ) -> impl Iterator<Item = impl Future<Output = Result<usize, usize>> + Send + 'static> {
        (0..60_usize).map(move |n| {
            let member = census.member();
            most.fetch_max(census.alive(), Ordering::SeqCst);
            async move {
                if n == 0 {
                    pending::<()>().await;
                }
                turns(n % 4).await;
                drop(member);
                if n < 58 { Err(n) } else { Ok(n) }
            }
        })
    }

    let (census, most) = (Census::new(), Arc::new(AtomicUsize::new(0)));
    run(runtime.clone(), async {
        let all = || gather::<R, _, _>(many(census.clone(), most.clone())).limit(3);
        assert!(both!(all(), |all| all.first_ok()).iter().all(Result::is_ok));
        assert!(both!(all(), |all| all.quorum(2)).iter().all(Result::is_ok));
        assert_eq!(both!(all(), |all| all.until(|n, _| n == 59)), [Some(Ok(59)), Some(Ok(59))]);
        let settled = both!(all(), |all| all.settled().until(|_, one| matches!(one, Outcome::Completed(Ok(_)))));
        assert!(settled.iter().all(Option::is_some));
        assert_eq!((most.swap(0, Ordering::SeqCst), census.alive()), (3, 0));
    });

    // A deadline ends the one that is stuck, when all others have had their turns.
    let toy = Toy::new(runtime);
    let clock = toy.clone();
    run(toy, async {
        let all = || {
            let clock = clock.clone();
            gather::<Toy<R>, _, _>(many(census.clone(), most.clone())).limit(3).on_progress(move |progress| {
                if progress.finished == 59 {
                    clock.advance(SECOND);
                }
            })
        };
        for partial in both!(all(), |all| all.within(SECOND)) {
            assert_eq!((partial.missing(), partial.iter().next()), (Some(1), Some((1, &Err(1)))));
        }
        assert_eq!((most.load(Ordering::SeqCst), census.alive()), (3, 0));
    });
}

/// Dropping the gather midway drops everything in it before the drop returns, whatever it waits for.
pub fn dropping_a_gather_that_waits_for_enough_drops_everything<R: Runtime>(runtime: R) {
    run(Toy::new(runtime), async {
        let census = Census::new();
        let all = || {
            let census = census.clone();
            // The first has given its value, which is kept.
            gather::<Toy<R>, _, _>((0..4).map(move |n| {
                let member = census.member();
                async move { if n == 0 { Err(member) } else { pending::<Result<Member, Member>>().await } }
            }))
        };
        async fn midway<F: Future + Unpin>(futures: [F; 2], census: &Census) {
            for mut future in futures {
                while_polling(&mut future, pin!(turns(5))).await;
                assert!(census.alive() >= 3);
                drop(future);
            }
            assert_eq!(census.alive(), 0);
        }
        midway(boxed!(all(), |all| all.first_ok()), &census).await;
        midway(boxed!(all(), |all| all.quorum(2)), &census).await;
        midway(boxed!(all(), |all| all.until(|_, one| one.is_ok())), &census).await;
        midway(boxed!(all(), |all| all.settled()), &census).await;
        midway(boxed!(all(), |all| all.within(SECOND)), &census).await;
    });
}

/// What awaits such a gather can be spawned, also where its futures and closures borrow.
pub fn whoever_waits_for_enough_can_be_spawned<R: Runtime>(runtime: R) {
    fn is_send<T: Send>(future: T) -> T {
        future
    }

    async fn measure(word: &str) -> Result<usize, String> {
        yield_now().await;
        if word.is_empty() { Err("nothing there".to_owned()) } else { Ok(word.len()) }
    }

    async fn everything<R: Runtime>(words: &[String]) -> (usize, Vec<usize>, usize, usize, usize) {
        let longest = words.iter().map(String::len).max();
        let mut seen = 0;
        let all = || words.iter().map(|word| async move { measure(word).await });
        let first = is_send(gather::<R, _, _>(all()).on_progress(|_| seen += 1).first_ok()).await;
        let quorum = is_send(gather::<R, _, _>(all()).limit(2).quorum(2)).await;
        let fits = |_: usize, length: &Result<usize, String>| length.as_ref().ok().copied() == longest;
        let long = is_send(gather::<R, _, _>(all()).until(fits)).await;
        let settled = is_send(gather::<R, _, _>(words.iter().map(|word| measure(word))).settled()).await;
        let within = is_send(gather::<R, _, _>(all()).timeout_each(Duration::MAX).within(Duration::MAX)).await;
        let owned = words.to_vec();
        let spawned = owned.into_iter().map(|word| async move { measure(&word).await });
        let parallel = is_send(gather::<R, _, _>(spawned).limit(1).parallel().quorum(2)).await;
        assert_eq!(parallel, quorum);
        (
            first.expect("there is a word"),
            quorum.expect("there are two words"),
            long.expect("one is the longest").expect("it is a word"),
            settled.len(),
            within.len() + seen.min(1),
        )
    }

    run(runtime, async {
        let told = task_group::<R, _, _>(async |g| {
            let task = g.spawn(async {
                let words = ["", "a", "bcd"].map(String::from);
                everything::<R>(&words).await
            });
            task.await
        });
        assert_eq!(told.await, (1, vec![1, 3], 3, 3, 4));
    });
}
