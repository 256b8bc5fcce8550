//! [`Gather`]: a lazy input, a bounded number in progress, values in order.
//!
//! # Invariants
//!
//! 1. What was pulled and hasn't been delivered, in progress or waiting for its consumer, is at most `limit`; nothing
//!    is pulled before there is room. (A value of the `Vec` being built counts as delivered.)
//! 2. What is in progress is polled whenever the gather is, whatever its consumer does.
//! 3. The input is pulled outside of every lock, and never again after it ended.

use super::{Late, Policy};
use crate::cancel::reason::{Reason, ReasonKind};
use crate::context;
use crate::coop;
use crate::group::owner::{Owner, Plan};
use crate::observe::{self, Wait};
use crate::ready_list::Set;
use crate::runtime::Runtime;
use crate::sync::{Arc, Mutex};
use crate::task::cell::{self, Step};
use crate::task::seat::Seat;
use crate::time::{Timeout, timeout};
use crate::wait_queue::wake_all;
use pin_project_lite::pin_project;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::iter::Fuse;
use std::marker::PhantomData;
use std::mem;
use std::ops::ControlFlow;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often one poll of a gather pulls more input before it lets others run.
const ROUNDS: usize = 32;

/// How far a gather has come. Given to [`Gather::on_progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many have ended.
    pub finished: usize,
    /// How many have been started, the ended ones included.
    pub started: usize,
    /// How many there are in all, where the input knows.
    pub total: Option<usize>,
}

/// Gathers in the current task: the futures may borrow.
#[derive(Debug)]
pub struct InTask(());

/// Gathers on the runtime's threads.
#[derive(Debug)]
pub struct OnRuntime(());

/// Who polls the futures: [`InTask`] or [`OnRuntime`].
///
/// The pool's type asks nothing of the futures; only the impls of [`Pool`] do. A bound here would have to be proved
/// wherever the compiler asks whether a future that awaits a gather is `Send`, and there it has forgotten lifetimes.
pub trait Mode {
    #[doc(hidden)]
    type Pool<F: Future, R: Runtime>;
}

/// Futures in progress.
#[doc(hidden)]
pub trait Pool<F: Future> {
    fn open(location: &'static Location<'static>) -> Self;
    fn len(&self) -> usize;
    /// Adds what `input` gives, at most `room` of it, and counts it in `started`, which is the index of the next. Returns
    /// whether the input has ended.
    #[must_use]
    fn fill(&mut self, input: &mut impl Iterator<Item = F>, room: usize, started: &mut usize) -> bool;
    /// Polls what is ready. `done` says whether to go on. Returns false where there is no use in going on: one panicked on another
    /// thread, or the runtime is gone.
    #[must_use]
    fn poll(&mut self, cx: &mut Context<'_>, done: impl FnMut(usize, F::Output) -> bool) -> bool;
    /// Stops what is in progress, and waits until it has ended. What ended meanwhile can still be had by a poll.
    fn poll_stop(&mut self, reason: &Reason, cx: &mut Context<'_>) -> Poll<()>;
    /// Waits for the end of what has nothing in progress any more.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Mode for InTask {
    type Pool<F: Future, R: Runtime> = Set<F>;
}

impl<F: Future> Pool<F> for Set<F> {
    fn open(_: &'static Location<'static>) -> Self {
        Self::new()
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    // By itself, so that the loop which polls has the registers: up to five instructions less for each future.
    #[inline(never)]
    fn fill(&mut self, input: &mut impl Iterator<Item = F>, room: usize, started: &mut usize) -> bool {
        Self::fill(self, input, room, started)
    }

    fn poll(&mut self, cx: &mut Context<'_>, done: impl FnMut(usize, F::Output) -> bool) -> bool {
        Self::poll(self, cx, done);
        true
    }

    fn poll_stop(&mut self, reason: &Reason, _: &mut Context<'_>) -> Poll<()> {
        context::dropping(reason, || *self = Self::new());
        Poll::Ready(())
    }

    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Mode for OnRuntime {
    type Pool<F: Future, R: Runtime> = Spawned<F::Output, R>;
}

/// A group whose children's values come back by their index.
#[doc(hidden)]
pub struct Spawned<T, R> {
    owner: Owner,
    values: Arc<Mutex<Values<T>>>,
    len: usize,
    location: &'static Location<'static>,
    runtime: PhantomData<fn() -> R>,
}

struct Values<T> {
    ready: VecDeque<(usize, T)>,
    task: Option<Waker>,
}

impl<T: Send + 'static, R: Runtime> Spawned<T, R> {
    fn spawn(&mut self, index: usize, future: impl Future<Output = T> + Send + 'static) {
        self.len += 1;
        let values = self.values.clone();
        drop(cell::spawn_plain(&self.owner.group, self.location, future, move |value, _: &Seat| {
            let task = {
                let mut values = values.lock();
                values.ready.push_back((index, value));
                values.task.take()
            };
            wake_all(task);
            Step::Value(())
        }));
    }
}

impl<F, R> Pool<F> for Spawned<F::Output, R>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    R: Runtime,
{
    fn open(location: &'static Location<'static>) -> Self {
        Self {
            owner: Owner::open::<R>(Plan::default(), location),
            values: Arc::new(Mutex::new(Values { ready: VecDeque::new(), task: None })),
            len: 0,
            location,
            runtime: PhantomData,
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn fill(&mut self, input: &mut impl Iterator<Item = F>, room: usize, started: &mut usize) -> bool {
        for _ in 0..room {
            let Some(future) = input.next() else { return true };
            self.spawn(*started, future);
            *started += 1;
        }
        false
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut done: impl FnMut(usize, F::Output) -> bool) -> bool {
        let task = cx.waker().clone();
        let unused = self.values.lock().task.replace(task);
        drop(unused);
        if self.owner.group.poll_failed(cx).is_ready() || self.owner.group.is_runtime_gone() {
            return false;
        }
        loop {
            let next = self.values.lock().ready.pop_front();
            let Some((index, value)) = next else {
                observe::waits(|| Wait::Members(self.owner.group.id));
                return true;
            };
            self.len -= 1;
            if !done(index, value) {
                return true;
            }
        }
    }

    fn poll_stop(&mut self, reason: &Reason, cx: &mut Context<'_>) -> Poll<()> {
        let group = &self.owner.group;
        if !group.children.is_cancelled() {
            group.children.cancel(reason);
        }
        Pool::<F>::poll_end(self, cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ended = self.owner.poll_join(cx);
        let lost = ended.is_ready() && self.len > 0 && self.owner.group.is_runtime_gone();
        assert!(!lost, "the runtime of a parallel gather went away with {} of its futures", self.len);
        ended
    }
}

/// Gathers the values of many futures. Made by [`gather`](super::gather) and [`try_gather`](super::try_gather).
///
/// It is a future whatever `I`, `M` and `N` are; what they have to be is asked where it is made.
// `F` is a parameter of its own, though it is `I::Item`, and nothing asks for that: where the compiler asks whether a
// future is `Send`, it has forgotten the lifetimes by which a closure's iterator could be shown to be one, or its items
// to be `F`. It asks where a gather is awaited, and whether it is a future at all where another holds it, whose fields
// have the types of its outputs. So how to poll is found where the lifetimes are known, and kept in `poll`.
#[must_use = "futures do nothing unless awaited"]
pub struct Gather<I, F, R, P, M = InTask, N = fn(Progress)>
where
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
{
    pub(super) input: Fuse<I>,
    pub(super) limit: usize,
    pub(super) on_progress: Option<N>,
    pub(super) location: &'static Location<'static>,
    pub(super) state: State<F, R, P, M>,
    pub(super) poll: PollWith<Self, P::Output<Vec<P::Value>>>,
}

/// How a future is polled whose type doesn't say that it can be.
pub(super) type PollWith<G, T> = fn(&mut G, &mut Context<'_>) -> Poll<T>;

/// Why a gather ends before everything in it has.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// One failed.
    Failed,
    /// The others aren't needed any more.
    Decided,
    /// Its time is up.
    Late,
}

impl Cut {
    fn reason(self, location: &'static Location<'static>) -> Reason {
        let (kind, message) = match self {
            Self::Failed => (ReasonKind::SiblingFailed, None),
            Self::Decided => (ReasonKind::Dropped, Some("the gather has what it waited for".into())),
            Self::Late => (ReasonKind::Deadline, None),
        };
        Reason::new(kind, message, location)
    }
}

pub(super) struct State<F, R, P, M>
where
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
{
    pub(super) pool: Option<M::Pool<F, R>>,
    pub(super) total: Option<usize>,
    started: usize,
    finished: usize,
    stop: Option<P::Stop>,
    /// Whether it ends before everything in it has, and why.
    pub(super) cut: Option<Cut>,
    /// Whether one panicked on another thread; the panic goes on when all have ended.
    broken: bool,
    /// Whether the input has ended, whether it is to be left alone though it hasn't, and whether the gather has ended.
    exhausted: bool,
    pub(super) unpulled: bool,
    closed: bool,
    /// The values of a gather that is awaited as a whole.
    values: InOrder<P::Value>,
}

impl<I, F, R, P> Gather<I, F, R, P>
where
    I: Iterator<Item = F>,
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
{
    #[track_caller]
    pub(super) fn new(input: I) -> Self {
        Self {
            input: input.fuse(),
            limit: usize::MAX,
            on_progress: None,
            location: Location::caller(),
            state: State::new(),
            poll: Self::poll_all,
        }
    }
}

impl<I, F, R, P, M, N> Gather<I, F, R, P, M, N>
where
    I: Iterator<Item = F>,
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
    M::Pool<F, R>: Pool<F>,
    N: FnMut(Progress),
{
    /// At most this many are in progress; none is pulled from the input before there is room.
    ///
    /// The input is pulled in the task: an iterator that blocks belongs on the pool first, see [`unblock`](crate::unblock).
    ///
    /// # Panics
    ///
    /// Where `limit` is zero: nothing would ever start.
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(limit > 0, "the limit of a gather is zero: nothing would ever start");
        self.limit = limit;
        self
    }

    /// Runs the futures on the runtime's threads instead of in the current task: each is a child of a group.
    ///
    /// The futures have to be `Send + 'static`. They have ended when the gather returns, also where the first `Err` of
    /// a [`try_gather`](super::try_gather) cancelled them.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::gather;
    ///
    /// let squares = anyscope::run(anyscope::smol::Smol::new(), async {
    ///     gather((1..=3).map(|n| async move { n * n })).limit(2).parallel().await
    /// });
    /// assert_eq!(squares, [1, 4, 9]);
    /// ```
    pub fn parallel(self) -> Gather<I, F, R, P, OnRuntime, N>
    where
        F: Send + 'static,
        F::Output: Send + 'static,
    {
        Gather {
            input: self.input,
            limit: self.limit,
            on_progress: self.on_progress,
            location: self.location,
            state: State::new(),
            poll: Gather::poll_all,
        }
    }

    /// Gives each future a timeout of its own, counted from its first poll: the whole of it, with all that it waits for.
    ///
    /// With [`gather`](super::gather) each value becomes a `Result<_, Elapsed>`; with
    /// [`try_gather`](super::try_gather) the error type has to be made from [`Elapsed`](crate::Elapsed).
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::gather;
    /// use std::time::Duration;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let sleeps = [0, 60].map(|s| anyscope::sleep(Duration::from_secs(s)));
    ///     let ended = gather(sleeps).timeout_each(Duration::from_millis(5)).await;
    ///     assert!(ended[0].is_ok() && ended[1].is_err());
    /// });
    /// ```
    #[track_caller]
    #[allow(clippy::type_complexity, reason = "an alias for a type that is written once would hide its parts")]
    pub fn timeout_each(self, duration: Duration) -> Gather<TimeoutEach<Fuse<I>, R, P>, OrLate<F, R, P>, R, P, M, N>
    where
        P: Late<F::Output> + Policy<<P as Late<F::Output>>::Output>,
        M::Pool<OrLate<F, R, P>, R>: Pool<OrLate<F, R, P>>,
    {
        Gather {
            input: TimeoutEach { input: self.input, duration, types: PhantomData }.fuse(),
            limit: self.limit,
            on_progress: self.on_progress,
            location: self.location,
            state: State::new(),
            poll: Gather::poll_all,
        }
    }

    /// Calls `f` each time one has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::gather;
    ///
    /// let mut seen = Vec::new();
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     gather([1, 2].map(|n| async move { n })).on_progress(|p| seen.push((p.finished, p.total))).await
    /// });
    /// assert_eq!(seen, [(1, Some(2)), (2, Some(2))]);
    /// ```
    pub fn on_progress<G: FnMut(Progress)>(self, f: G) -> Gather<I, F, R, P, M, G> {
        Gather {
            input: self.input,
            limit: self.limit,
            on_progress: Some(f),
            location: self.location,
            state: self.state,
            poll: Gather::poll_all,
        }
    }

    /// Hands each value over when it has ended, with its place in the input; the others go on meanwhile.
    ///
    /// One value is handed over at a time. Those that have ended and wait for it count towards the
    /// [`limit`](Self::limit), so that memory is bounded by it, however slow the consumer and however long the input.
    /// With [`try_gather`](super::try_gather) the first `Err` ends it, and drops what the consumer was doing.
    ///
    /// To spawn a task that awaits this, let the closure own what it touches (`async move |index, value| ..` with a
    /// sender or an `Arc`): the compiler can't see yet that the future of an async closure that borrows is `Send`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every future in it, the values that wait, and what the consumer was doing.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::gather;
    ///
    /// let mut sum = 0;
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     gather((1..=100).map(|n| async move { n })).limit(8).for_each(async |_index, n| sum += n).await
    /// });
    /// assert_eq!(sum, 5050);
    /// ```
    pub async fn for_each<C>(mut self, mut consume: C) -> P::Output<()>
    where
        C: AsyncFnMut(usize, P::Value),
    {
        let mut ended = VecDeque::new();
        loop {
            let next = poll_fn(|cx| self.poll_next(cx, &mut ended)).await;
            let Some((index, value)) = next else { break };
            let mut consumer = pin!(consume(index, value));
            poll_fn(|cx| {
                // Both are polled every time: the consumer first, then what goes on beside it (invariant 2).
                let consumed = consumer.as_mut().poll(cx);
                self.fill(ended.len());
                self.advance(cx, |index, value| ended.push_back((index, value)));
                if self.state.is_cut() { Poll::Ready(()) } else { consumed }
            })
            .await;
        }
        poll_fn(|cx| self.poll_joined(cx)).await;
        P::finish(self.close())
    }

    /// The next value that has ended, or `None` at the end or when a stop was met.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        ended: &mut VecDeque<(usize, P::Value)>,
    ) -> Poll<Option<(usize, P::Value)>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        if !self.state.is_cut() && ended.is_empty() {
            self.fill(0);
            self.advance(cx, |index, value| ended.push_back((index, value)));
        }
        if self.state.is_cut() {
            return Poll::Ready(None);
        }
        match ended.pop_front() {
            Some(next) => Poll::Ready(Some(next)),
            None if self.state.is_over() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Pulls from the input while there is room beside `waiting` values.
    fn fill(&mut self, waiting: usize) {
        if self.state.pool.is_none() {
            self.state.pool = Some(M::Pool::open(self.location));
            self.state.total = match self.input.size_hint() {
                (low, Some(high)) if low == high => Some(low),
                _ => None,
            };
        }
        let Some(pool) = &mut self.state.pool else { return };
        let room = self.limit.saturating_sub(pool.len() + waiting);
        if self.state.exhausted || self.state.unpulled || room == 0 {
            return;
        }
        if pool.fill(&mut self.input, room, &mut self.state.started) {
            self.state.exhausted = true;
            self.state.total = Some(self.state.started);
        }
    }

    /// Polls what is ready of what is in progress, and sorts it.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>, mut done: impl FnMut(usize, P::Value)) {
        let mut stop = None;
        let stopped = &mut stop;
        self.step(cx, &mut move |index, output, _| sort::<P, _>(index, output, stopped, &mut done));
        self.state.stop = self.state.stop.take().or(stop);
    }

    /// Polls what is ready of what is in progress. `take` is told, with each output, its place and how many are at most
    /// still to come; it says whether to go on.
    fn step(&mut self, cx: &mut Context<'_>, take: &mut impl Take<F::Output>) {
        let Self { input, state: State { pool, finished, started, total, cut, broken, .. }, on_progress, .. } = self;
        let Some(pool) = pool else { return };
        *broken |= !pool.poll(cx, move |index, output| {
            *finished += 1;
            if let Some(f) = on_progress {
                f(Progress { finished: *finished, started: *started, total: *total });
            }
            let unpulled = input.size_hint().1;
            match take(index, output, unpulled.map(|unpulled| unpulled.saturating_add(*started - *finished))) {
                ControlFlow::Continue(()) => true,
                ControlFlow::Break(why) => {
                    cut.get_or_insert(why);
                    false
                }
            }
        });
    }

    /// Pulls what there is room for and polls what is ready, in turn, until there is nothing more to do now. Ready when
    /// everything has ended, or when it was cut.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>, mut take: impl Take<F::Output>) -> Poll<()> {
        assert!(!self.state.closed, "a gather was polled after it had ended");
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let mut rounds = 0;
        while !self.state.is_cut() {
            self.fill(0);
            let before = self.state.finished;
            self.step(cx, &mut take);
            if self.state.exhausted || self.state.finished == before {
                break;
            }
            // What ended made room for more, which has to be polled before the task may wait; but not for ever.
            rounds += 1;
            if rounds == ROUNDS {
                cx.waker().wake_by_ref();
                break;
            }
        }
        if self.state.is_cut() || self.state.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// [`drive`](Self::drive), with the outputs sorted.
    pub(super) fn drive_sorted(&mut self, cx: &mut Context<'_>, mut done: impl FnMut(usize, P::Value)) -> Poll<()> {
        let mut stop = None;
        let stopped = &mut stop;
        let driven = self.drive(cx, move |index, output, _| sort::<P, _>(index, output, stopped, &mut done));
        self.state.stop = self.state.stop.take().or(stop);
        driven
    }

    /// The poll of a gather that is awaited as a whole.
    pub(super) fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<P::Output<Vec<P::Value>>> {
        let mut values = mem::replace(&mut self.state.values, InOrder::new());
        let gathered = &mut values;
        let driven = self.drive_sorted(cx, move |index, value| gathered.put(index, value));
        if self.state.is_cut() {
            values = InOrder::new();
        }
        if driven.is_pending() || self.poll_joined(cx).is_pending() {
            self.state.values = values;
            return Poll::Pending;
        }
        Poll::Ready(P::finish(self.close().map(|()| values.into_vec())))
    }

    /// Waits for the end of everything, and stops it first where the gather was cut.
    pub(super) fn poll_joined(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pool) = &mut self.state.pool else { return Poll::Ready(()) };
        match self.state.cut {
            Some(why) => pool.poll_stop(&why.reason(self.location), cx),
            None => pool.poll_end(cx),
        }
    }

    /// Ends the gather, whose futures have all ended, and says what stopped it.
    pub(super) fn close(&mut self) -> Result<(), P::Stop> {
        self.state.pool = None;
        self.state.closed = true;
        self.state.stop.take().map_or(Ok(()), Err)
    }
}

/// What is done with the output of a future.
pub(super) trait Take<T>: FnMut(usize, T, Option<usize>) -> ControlFlow<Cut> {}

impl<T, C: FnMut(usize, T, Option<usize>) -> ControlFlow<Cut>> Take<T> for C {}

#[inline]
fn sort<P: Policy<T>, T>(
    index: usize,
    output: T,
    stop: &mut Option<P::Stop>,
    done: &mut impl FnMut(usize, P::Value),
) -> ControlFlow<Cut> {
    match P::sort(output) {
        Ok(value) => {
            done(index, value);
            ControlFlow::Continue(())
        }
        Err(err) => {
            *stop = Some(err);
            ControlFlow::Break(Cut::Failed)
        }
    }
}

impl<F, R, P, M> State<F, R, P, M>
where
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
    M::Pool<F, R>: Pool<F>,
{
    pub(super) fn new() -> Self {
        Self {
            pool: None,
            total: None,
            started: 0,
            finished: 0,
            stop: None,
            cut: None,
            broken: false,
            exhausted: false,
            unpulled: false,
            closed: false,
            values: InOrder::new(),
        }
    }

    /// Whether it ends before everything in it has, or one panicked.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_some() || self.broken
    }

    /// Whether everything has ended.
    pub(super) fn is_over(&self) -> bool {
        self.exhausted && self.pool.as_ref().is_none_or(|pool| pool.len() == 0)
    }
}

// Nothing of it is pinned: the pool keeps the futures on the heap, where they don't move.
impl<I, F, R, P, M, N> Unpin for Gather<I, F, R, P, M, N>
where
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
{
}

impl<I, F, R, P, M, N> Future for Gather<I, F, R, P, M, N>
where
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
{
    type Output = P::Output<Vec<P::Value>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        (this.poll)(this, cx)
    }
}

/// Values that come in any order, and end up in that of their numbers.
struct InOrder<T> {
    /// Those before which none is missing.
    first: Vec<T>,
    /// What comes behind them: the one that is missing, and so on.
    behind: VecDeque<Option<T>>,
}

impl<T> InOrder<T> {
    const fn new() -> Self {
        Self { first: Vec::new(), behind: VecDeque::new() }
    }

    #[inline(always)]
    fn put(&mut self, index: usize, value: T) {
        if index == self.first.len() && self.behind.is_empty() {
            self.first.push(value);
        } else {
            self.put_behind(index - self.first.len(), value);
        }
    }

    #[inline(never)]
    fn put_behind(&mut self, place: usize, value: T) {
        if self.behind.len() <= place {
            self.behind.resize_with(place + 1, || None);
        }
        self.behind[place] = Some(value);
        while let Some(Some(_)) = self.behind.front() {
            self.first.extend(self.behind.pop_front().flatten());
        }
    }

    fn into_vec(mut self) -> Vec<T> {
        self.first.extend(self.behind.into_iter().flatten());
        self.first
    }
}

impl<I, F, R, P, M, N> fmt::Debug for Gather<I, F, R, P, M, N>
where
    F: Future,
    R: Runtime,
    P: Policy<F::Output>,
    M: Mode,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("limit", &self.limit)
            .field("started", &self.state.started)
            .field("finished", &self.state.finished)
            .finish_non_exhaustive()
    }
}

/// An input whose futures each have a timeout. Made by [`Gather::timeout_each`].
pub struct TimeoutEach<I, R, P> {
    input: I,
    duration: Duration,
    types: PhantomData<fn() -> (R, P)>,
}

impl<I, R, P> Iterator for TimeoutEach<I, R, P>
where
    I: Iterator<Item: Future>,
    R: Runtime,
    P: Late<<I::Item as Future>::Output>,
{
    type Item = OrLate<I::Item, R, P>;

    fn next(&mut self) -> Option<Self::Item> {
        let future = timeout::<R, _>(self.duration, self.input.next()?);
        Some(OrLate { future, policy: PhantomData })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.input.size_hint()
    }
}

impl<I, R, P> fmt::Debug for TimeoutEach<I, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutEach").field("duration", &self.duration).finish_non_exhaustive()
    }
}

pin_project! {
    /// A future of a gather with a timeout of its own.
    #[doc(hidden)]
    pub struct OrLate<F, R: Runtime, P> {
        #[pin]
        future: Timeout<F, R>,
        policy: PhantomData<fn() -> P>,
    }
}

impl<F: Future, R: Runtime, P: Late<F::Output>> Future for OrLate<F, R, P> {
    type Output = P::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        self.project().future.poll(cx).map(P::late)
    }
}
