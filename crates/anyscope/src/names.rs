//! The names that users type: the items of `anyscope_core`, for the runtime around the caller.

use crate::Current;
use anyscope_core as core;
use core::futures::Sleep as CoreSleep;
use std::future::Future;
use std::time::{Duration, Instant};

pub use core::{
    AccessError, AcquireError, AlreadyHeld, CallError, Cancelled, Cleaned, CleanupError, Closed, DropGuard, DynRuntime,
    Elapsed, Failure, Finished, Gatherable, GroupError, Limiter, LimiterPermit, MissedTicks, NotReady, Outcome, Panic,
    Partial, Permit, PermitArc, Progress, QuorumError, Raceable, Reason, ReasonKind, Runtime, RuntimeError, Semaphore,
    Start, Started, Statistics, Stragglers, Task, TaskId, TaskLocal, TaskRef, TryAcquireError, TryGatherable,
    TrySpawnError, TryStart, blocking_limiter, cancelled, drained, is_cancelled, is_stopping, race, race_ok, run,
    stopping, yield_now,
};

// Both of that name: the function, and the module beside it.
pub use core::channel;
pub use core::tree;

/// A group of tasks, each of which ends with a value: see [`anyscope_core::TaskGroup`].
pub type TaskGroup = core::TaskGroup<Current>;
/// A group of tasks that the first error ends: see [`anyscope_core::TryTaskGroup`].
pub type TryTaskGroup<E> = core::TryTaskGroup<E, Current>;
/// Spawns into a group from anywhere: see [`anyscope_core::GroupHandle`].
pub type GroupHandle = core::GroupHandle<Current>;
/// Spawns into a fail-fast group from anywhere: see [`anyscope_core::TryGroupHandle`].
pub type TryGroupHandle<E> = core::TryGroupHandle<E, Current>;
/// Settings of a group that isn't open yet: see [`anyscope_core::Builder`].
pub type Builder = core::Builder<Current>;
/// A handle by which work is cancelled: see [`anyscope_core::CancelToken`].
pub type CancelToken = core::CancelToken<Current>;
/// A future with a deadline: see [`anyscope_core::Timeout`].
pub type Timeout<F> = core::Timeout<F, Current>;
/// A wait for a time: see [`anyscope_core::futures::Sleep`].
pub type Sleep = CoreSleep<Current>;
/// Ticks at a period: see [`anyscope_core::Interval`].
pub type Interval = core::Interval<Current>;
/// A future behind a shield: see [`anyscope_core::futures::Shield`].
pub type Shield<F> = core::futures::Shield<F, Current>;
/// Work, and what has to be done after it: see [`anyscope_core::futures::WithCleanup`].
pub type WithCleanup<W, C> = core::futures::WithCleanup<W, C, Current>;
/// Children of a group by key: see [`anyscope_core::KeyedGroup`].
pub type KeyedGroup<K> = core::KeyedGroup<K, Current>;
/// Runs async work in a group, called from elsewhere: see [`anyscope_core::Portal`].
pub type Portal = core::Portal<Current>;
/// Spawns children that borrow: see [`anyscope_core::Scope`].
pub type Scope<'env> = core::Scope<'env, Current>;
/// Spawns children that borrow and run in parallel: see [`anyscope_core::BlockingScope`].
pub type BlockingScope<'env> = core::BlockingScope<'env, Current>;
/// A handle to one child of a scope: see [`anyscope_core::ScopedTask`].
pub type ScopedTask<T> = core::ScopedTask<T, Current>;
/// A closure on the pool for blocking work: see [`anyscope_core::Unblock`].
pub type Unblock<T> = core::Unblock<T, Current>;

/// Opens a group, runs `body` with it, and returns the body's value after every child has ended.
///
/// The children run on the runtime, in parallel where it has threads for them; their outputs are values, an `Err`
/// among them: for a group that an error ends, see [`try_task_group`]. Where a child panics, the body and the other
/// children are cancelled, and the panic goes on in the caller after all of them have ended.
///
/// # Cancel safety
///
/// Dropping the future destroys every idle child before the drop returns. A child in the middle of a poll on another
/// thread is destroyed when that poll returns; the group around, or [`run`](run), waits for that.
///
/// # Panics
///
/// With a child's panic, or the body's. At the first poll, outside of any runtime.
///
/// # Examples
///
/// ```
/// use anyscope::task_group;
///
/// let (user, posts) = anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
///     let user = g.spawn(async { "ann" });
///     let posts = g.spawn(async { vec!["hello"] });
///     (user.await, posts.await)
/// }));
/// assert_eq!((user, posts.len()), ("ann", 1));
/// ```
///
/// The group can't be carried out of its body:
///
/// ```compile_fail
/// let escaped = anyscope::task_group(async |g| g);
/// ```
#[track_caller]
pub fn task_group<F, T>(body: F) -> impl Future<Output = T>
where
    F: AsyncFnOnce(&TaskGroup) -> T,
{
    core::task_group(body)
}

/// Opens a group that the first error ends, runs `body` with it, and returns the body's value after every child has
/// ended.
///
/// The first `Err`, of a child or of the body, cancels the children and the body.
///
/// # Errors
///
/// [`GroupError`], with the error that came first and all that came after it, each with its task.
///
/// # Cancel safety
///
/// As [`task_group`].
///
/// # Panics
///
/// As [`task_group`]. A panic goes before the errors, which are dropped then.
///
/// # Spawning what awaits it
///
/// A future that awaits this can be spawned where its parts can. The exception is an error type with a lifetime in it, as
/// `&'static str` and `Box<dyn Error + Send + Sync>` have: the compiler forgets it there, and can't show that the future is
/// `Send`. A type of your own around it helps: `struct Failed(Box<dyn Error + Send + Sync>);`.
///
/// # Examples
///
/// ```
/// use anyscope::try_task_group;
///
/// let parse = |text: &'static str| async move { text.parse::<i32>() };
/// let total = anyscope::run(anyscope::smol::Smol::new(), try_task_group(async |g| {
///     let one = g.spawn(parse("1"));
///     let two = g.spawn(parse("2"));
///     Ok(one.await + two.await)
/// }));
/// assert_eq!(total.unwrap(), 3);
/// ```
#[track_caller]
pub fn try_task_group<F, T, E>(body: F) -> impl Future<Output = Result<T, GroupError<E>>>
where
    F: AsyncFnOnce(&TryTaskGroup<E>) -> Result<T, E>,
    E: Send + 'static,
{
    core::try_task_group(body)
}

/// Waits for all futures and returns their values in the order of the input.
///
/// An iterator or a collection gives a `Vec` and can be configured, a tuple gives a tuple and can't. The futures run in the current task, side by side, and
/// may borrow; [`parallel`](core::Gather::parallel) puts them on the runtime's threads. The input is pulled as there is room:
/// see [`limit`](core::Gather::limit). Outputs are values, an `Err` among them: see [`try_gather`] for the other way.
///
/// Not everything has to be waited for: [`first_ok`](core::Gather::first_ok), [`quorum`](core::Gather::quorum) and
/// [`until`](core::Gather::until) end it as soon as enough is known, [`within`](core::Gather::within) at a deadline with
/// what there is by then. [`settled`](core::Gather::settled) goes on past panics.
///
/// # Cancel safety
///
/// Dropping the future drops every future in it and the values so far.
///
/// # Panics
///
/// With a panic of one of the futures, after the others have been dropped.
///
/// # Examples
///
/// ```
/// use anyscope::gather;
///
/// async fn double(n: &u32) -> u32 {
///     n * 2
/// }
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let numbers = vec![1, 2, 3];
///     assert_eq!(gather(numbers.iter().map(double)).limit(2).await, [2, 4, 6]);
///     assert_eq!(gather((double(&1), async { "b" })).await, (2, "b"));
/// });
/// ```
#[track_caller]
pub fn gather<M, G: Gatherable<Current, M>>(futures: G) -> G::Gather {
    core::gather(futures)
}

/// Waits for all futures and returns their `Ok` values in the order of the input, or the first `Err`.
///
/// The first `Err` drops the rest. Everything else is as with [`gather`].
///
/// # Errors
///
/// The first error in time.
///
/// # Cancel safety
///
/// Dropping the future drops every future in it and the values so far.
///
/// # Examples
///
/// ```
/// use anyscope::try_gather;
///
/// async fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     assert_eq!(try_gather(["1", "2"].map(parse)).await, Ok(vec![1, 2]));
///     assert!(try_gather((parse("1"), parse("two"))).await.is_err());
/// });
/// ```
#[track_caller]
pub fn try_gather<M, G: TryGatherable<Current, M>>(futures: G) -> G::Gather {
    core::try_gather(futures)
}

/// Runs a future for at most `duration`, counted from the first poll: from when that has found the future pending, or
/// from when something inside asks for the deadline first.
///
/// So a future that is ready at once costs no look at the clock. A future that is ready wins over a deadline already past. The deadline can be read inside, by [`remaining`], and
/// bounds the deadlines of everything inside. `Duration::ZERO` polls the future once, with nothing remaining;
/// `Duration::MAX` never ends it.
///
/// # Errors
///
/// [`Elapsed`], after the future has been dropped. Where a scope around is cancelled or past its deadline too, that
/// one reports, and this future never resumes: an `Elapsed` that you see is your own timeout's.
///
/// # Panics
///
/// At the first poll, outside of any runtime, and where the runtime was built without timers.
///
/// # Cancel safety
///
/// As safe as the future that it runs.
///
/// # Examples
///
/// ```
/// use anyscope::{sleep, timeout};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     assert_eq!(timeout(Duration::from_secs(5), async { 1 }).await, Ok(1));
///     assert!(timeout(Duration::from_millis(1), sleep(Duration::from_secs(60))).await.is_err());
/// });
/// ```
#[track_caller]
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    core::timeout(duration, future)
}

/// Runs a future until `at` at the latest. See [`timeout`].
///
/// # Errors
///
/// [`Elapsed`], after the future has been dropped.
///
/// # Panics
///
/// As [`timeout`] does.
///
/// # Cancel safety
///
/// As safe as the future that it runs.
///
/// # Examples
///
/// ```
/// use anyscope::{now, timeout_at};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let at = now() + Duration::from_secs(5);
///     assert_eq!(timeout_at(at, async { 1 }).await, Ok(1));
/// });
/// ```
#[track_caller]
pub fn timeout_at<F: Future>(at: Instant, future: F) -> Timeout<F> {
    core::timeout_at(at, future)
}

/// Waits for `duration`, counted from the first poll.
///
/// Never early by the runtime's clock; `Duration::MAX` waits for ever.
///
/// # Panics
///
/// At the first poll, outside of any runtime, and where the runtime was built without timers.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let before = anyscope::now();
///     anyscope::sleep(Duration::from_millis(2)).await;
///     assert!(anyscope::now() - before >= Duration::from_millis(2));
/// });
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    core::sleep(duration)
}

/// Waits until `at`. See [`sleep`].
///
/// # Panics
///
/// As [`sleep`] does.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let at = anyscope::now() + Duration::from_millis(2);
///     anyscope::sleep_until(at).await;
///     assert!(anyscope::now() >= at);
/// });
/// ```
#[track_caller]
pub fn sleep_until(at: Instant) -> Sleep {
    core::sleep_until(at)
}

/// Makes ticks, `period` apart; the first at once.
///
/// A tick that is late because nobody waited for it comes at once, and the schedule stays what it was: see
/// [`MissedTicks`] for other ways.
///
/// # Panics
///
/// Where `period` is zero.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let mut ticks = anyscope::interval(Duration::from_millis(2));
///     let first = ticks.tick().await;
///     let second = ticks.tick().await;
///     assert_eq!(second - first, Duration::from_millis(2));
/// });
/// ```
#[must_use]
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    core::interval(period)
}

/// Returns the time by the clock of the runtime around the caller.
///
/// # Panics
///
/// Outside of any runtime.
///
/// # Examples
///
/// ```
/// let then = anyscope::run(anyscope::smol::Smol::new(), async { anyscope::now() });
/// # let _ = then;
/// ```
#[must_use]
#[track_caller]
pub fn now() -> Instant {
    core::now::<Current>()
}

/// Returns how long it is to the nearest deadline around the caller, of a timeout or of a token: zero once it has passed,
/// `None` where there is none.
///
/// # Panics
///
/// Outside of any runtime, where there is a deadline.
///
/// # Examples
///
/// ```
/// use anyscope::{remaining, timeout};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     assert_eq!(remaining(), None);
///     let hour = Duration::from_secs(3600);
///     let left = timeout(hour, async { remaining() }).await.unwrap();
///     assert!(left.unwrap() <= hour);
/// });
/// ```
#[must_use]
#[track_caller]
pub fn remaining() -> Option<Duration> {
    core::remaining::<Current>()
}

/// Runs a closure that blocks on the runtime's pool for such work, and waits for its result.
///
/// At most as many run at a time as the limiter lets in: [`blocking_limiter`], whose 40 hold whatever the limit of the
/// group or the gather around, unless [another](core::Unblock::limiter) is given. The deadline and the scope of the caller are
/// carried into the closure, where [`remaining`](remaining) and [`is_cancelled`](is_cancelled) tell of
/// them; the latter also when the deadline has passed, and when the future was dropped.
///
/// A closure that runs can't be stopped. So a caller that is cancelled, or whose time is up, first waits for it, and
/// keeps its result: late but done is done. [`abandon_on_cancel`](core::Unblock::abandon_on_cancel) lets go of it instead.
/// So a closure that ends early says so in what it returns: half a result would pass for a whole one.
///
/// # Panics
///
/// With a panic of the closure. Where the runtime went away before the closure could run.
///
/// # Cancel safety
///
/// Before the closure has started, dropping the future drops the closure unrun. Afterwards the closure runs to its end
/// and its result is dropped; the group around, or [`run`](run), waits for that.
///
/// # Examples
///
/// ```
/// let sum: u64 = anyscope::run(anyscope::smol::Smol::new(), async {
///     anyscope::unblock(|| (1..=1000).sum()).await
/// });
/// assert_eq!(sum, 500_500);
/// ```
#[track_caller]
pub fn unblock<F, T>(f: F) -> Unblock<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    core::unblock(f)
}

/// Turns a function that blocks into one that is async, so that both kinds mix.
///
/// Each call is an [`unblock`], with what that says. Several arguments are given as a tuple, and arguments are `'static`,
/// since the call may outlive its caller.
///
/// # Examples
///
/// ```
/// let parse = anyscope::blocking(|text: &'static str| text.len());
/// assert_eq!(anyscope::run(anyscope::smol::Smol::new(), async { parse("four").await }), 4);
/// ```
#[track_caller]
pub fn blocking<F, A, T>(f: F) -> impl Fn(A) -> Unblock<T> + Clone + Send + Sync
where
    F: Fn(A) -> T + Send + Sync + 'static,
    A: Send + 'static,
    T: Send + 'static,
{
    core::blocking(f)
}

/// Runs a future that no cancellation and no deadline from outside interrupts until it ends, or `budget` is spent.
///
/// For clean-up. Whatever around it is cancelled or out of time in the meantime waits for it, and strikes when it ends;
/// after the budget it strikes at once. The budget counts from the first poll, and is no timeout: where nothing is
/// pending outside, the future goes on unshielded.
///
/// A shield protects the scopes around it in the same task, and nothing else: neither siblings nor parents. Inside,
/// nothing seems cancelled; groups, timeouts and tokens that are opened inside work as ever, and
/// [`remaining`] tells how long it will be left alone at least, where anything around has a deadline.
///
/// What isn't of this crate knows nothing of shields: a `select!` that drops a future drops a shield in it. A child of a
/// group can't be dropped like that: it goes on behind its shield, and the group around waits for it.
///
/// # Panics
///
/// At the first poll, outside of any runtime, where it doesn't end in that poll.
///
/// # Cancel safety
///
/// As safe as the future that it runs.
///
/// # Examples
///
/// ```
/// use anyscope::{shield, sleep, timeout};
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let mut saved = false;
///     let work = async {
///         shield(Duration::from_secs(5), async {
///             sleep(Duration::from_millis(20)).await;
///             saved = true;
///         })
///         .await;
///         sleep(Duration::from_secs(60)).await;
///     };
///     assert!(timeout(Duration::from_millis(1), work).await.is_err());
///     assert!(saved);
/// });
/// ```
#[track_caller]
pub fn shield<F: Future>(budget: Duration, future: F) -> Shield<F> {
    core::shield(budget, future)
}

/// Runs `work`, and afterwards `clean`, however the work ended: with a value, an error, a panic, or because it was
/// dropped.
///
/// The work returns a `Result`; one that can't fail, `Ok::<_, Infallible>(..)`. The clean-up returns one too, or nothing.
///
/// The clean-up runs behind a [`shield`](shield()) and has `budget` for itself, counted from its start; what is
/// left of it then is dropped, and that is an error. Where the work came to an end, it runs in place, and whoever awaits
/// this goes on after it. Where the work was dropped, by a cancellation, a timeout, a `select!`, it goes on by itself: as
/// part of the nearest group around, or [`run`](crate::run), which doesn't end before it.
///
/// # Errors
///
/// [`CleanupError`] where the work or the clean-up failed; with both errors, where both did. The error of a clean-up that
/// nobody awaits any more is dropped.
///
/// # Panics
///
/// With the panic of the work, after the clean-up; else with that of the clean-up. A clean-up that goes on by itself
/// panics in the group that it is part of. At the first poll, outside of any runtime.
///
/// # Cancel safety
///
/// Dropping the future drops the work; the clean-up goes on by itself.
///
/// # Examples
///
/// ```
/// use anyscope::with_cleanup;
/// use std::time::Duration;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let upload = async { Err::<(), _>("disk full") };
///     let remove = async { Err::<(), _>("not found") };
///     let failed = with_cleanup(upload, remove, Duration::from_secs(5)).await.unwrap_err();
///     assert_eq!(failed.work(), Some(&"disk full"));
///     assert_eq!(failed.cleanup(), Some(&"not found"));
///     assert_eq!(failed.to_string(), "disk full; and the clean-up failed: not found");
/// });
/// ```
#[track_caller]
pub fn with_cleanup<W, C, T, E>(work: W, clean: C, budget: Duration) -> WithCleanup<W, C>
where
    W: Future<Output = Result<T, E>>,
    C: Future + Send + 'static,
    C::Output: Cleaned,
{
    core::with_cleanup(work, clean, budget)
}

/// Opens a scope whose children may borrow from outside of it, runs `body`, and returns the body's value after every child
/// has ended.
///
/// The children run side by side in the current task, and not in parallel: for that, see
/// [`task_group`], whose children own what they use, and
/// [`blocking_scope`], which blocks the calling thread. Where a number of futures is known from the
/// start, [`gather`] does.
///
/// # Cancel safety
///
/// Dropping the future drops the body and every child.
///
/// # Panics
///
/// With a panic of the body or a child, after everything else has been dropped.
///
/// # Examples
///
/// ```
/// use anyscope::scope;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let words = vec!["one".to_string(), "three".to_string()];
///     let lengths = scope(async |s| {
///         let first = s.spawn(async { words[0].len() });
///         let second = s.spawn(async { words[1].len() });
///         (first.await, second.await)
///     })
///     .await;
///     assert_eq!(lengths, (3, 5));
///     drop(words);
/// });
/// ```
pub fn scope<'env, F, B>(body: F) -> core::futures::InScope<'env, B>
where
    F: FnOnce(Scope<'env>) -> B,
    B: Future,
{
    core::scope(body)
}

/// Opens a scope whose children may borrow and run in parallel, and blocks the calling thread until all have ended.
///
/// The children are futures, polled by threads of the call's own, as many as the runtime polls tasks on, and inside of
/// the runtime's context: timers, blocking jobs and the rest of this crate work in them. The calling thread does nothing
/// but run `body` and wait: from async code, call it inside of [`unblock`]. On a runtime that makes progress
/// only while this very thread polls it, as tokio's current-thread one does inside of its own tasks, a child that waits for
/// a timer or for another task hangs **for ever**.
///
/// Children have the deadline, the task-locals and the scope of the caller: where that is cancelled, or past its deadline,
/// they are dropped. The handles of children may leave the scope with the body's value, and be awaited after it.
///
/// # Panics
///
/// With a panic of the body or of a child, after all have ended: such a panic cancels the other children. Outside of any
/// runtime. Where the system has no thread for the children.
///
/// # Examples
///
/// ```
/// use anyscope::blocking_scope;
///
/// let mut halves = [vec![3, 1, 2], vec![6, 5, 4]];
/// let [left, right] = &mut halves;
/// anyscope::set_default(anyscope::smol::Smol::new());
/// blocking_scope(|s| {
///     s.spawn(async { left.sort() });
///     s.spawn(async { right.sort() });
/// });
/// assert_eq!(halves, [[1, 2, 3], [4, 5, 6]]);
/// ```
#[track_caller]
pub fn blocking_scope<'env, F, T>(body: F) -> T
where
    F: FnOnce(&BlockingScope<'env>) -> T,
{
    core::blocking_scope(body)
}
