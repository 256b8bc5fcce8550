//! What the checks are made of: a census of what is alive, gates that the check opens, wakers that count.

use anyscope_core::observe::{Observer, Outside, outside};
use anyscope_core::{DynRuntime, Runtime};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;

/// Counts what is alive: a future is alive while it holds a [`Member`].
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

/// One that is alive.
pub(crate) struct Member(Census);

impl Census {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn member(&self) -> Member {
        self.0.fetch_add(1, Ordering::SeqCst);
        Member(self.clone())
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A gate that is closed until somebody opens it, for tasks and threads alike.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn open(&self) {
        let waiting = {
            let mut state = self.0.lock().unwrap();
            state.open = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().unwrap().open
    }

    /// Waits until it is open.
    pub(crate) fn passed(&self) -> Passed {
        Passed(self.clone())
    }

    /// How many times somebody has been waiting since it was made; for a check that wants others to be at the gate.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().unwrap().waiting.len()
    }
}

pub(crate) struct Passed(Gate);

impl Future for Passed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock().unwrap();
        if state.open {
            return Poll::Ready(());
        }
        state.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

/// A waker that counts its wakes.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn waker() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (wakes.clone(), Waker::from(wakes))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Does something when it is woken, and when it is dropped: as a waker, it may re-enter what wakes it.
pub(crate) struct Hostile(pub(crate) Box<dyn Fn() + Send + Sync>);

impl Hostile {
    pub(crate) fn waker(act: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker::from(Arc::new(Self(Box::new(act))))
    }
}

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Polls a future once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Awaits a future, and hands out its panic as a value.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn std::any::Any + Send>> {
    let mut future = Box::pin(future);
    std::future::poll_fn(|cx| {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(payload) => Poll::Ready(Err(payload)),
        }
    })
    .await
}

/// What a panic said, where it said it as a string.
pub(crate) fn said(payload: &Box<dyn std::any::Any + Send>) -> &str {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "",
    }
}

/// Polls a future to its end on a thread that parks meanwhile: no runtime is around it.
pub(crate) fn on_this_thread<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

/// Gives way to the other tasks until `condition` holds: for what another task or thread is about to do.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        anyscope_core::yield_now().await;
    }
}

/// Gives way to the other tasks this many times.
pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        anyscope_core::yield_now().await;
    }
}

/// Panics when it is dropped, with this text.
pub(crate) struct Bomb(pub(crate) &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// Polls a future once, with a waker of the check's.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls a future once, with the waker of the task around.
pub(crate) async fn polled<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Waits for `event`, and polls a future meanwhile, which isn't to end before.
pub(crate) async fn while_polling<F: Future + Unpin, E: Future + Unpin>(future: &mut F, mut event: E) -> E::Output {
    std::future::poll_fn(|cx| {
        assert!(Pin::new(&mut *future).poll(cx).is_pending(), "it ended too early");
        Pin::new(&mut event).poll(cx)
    })
    .await
}

/// Starts a thread that the runtime around knows of.
pub(crate) fn start_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    start_thread_for(outside(), f)
}

/// The same where no runtime is around.
pub(crate) fn start_thread_for<T: Send + 'static>(
    outside: Outside,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    std::thread::spawn(move || {
        let _outside = outside;
        f()
    })
}

/// Runs `f` on a thread of its own, which starts at once, and waits for it as a task does. Its panics come out here.
pub(crate) fn on_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> + Send {
    on_thread_of(2 << 20, f)
}

/// [`on_thread`], with so many bytes of stack.
pub(crate) fn on_thread_of<T: Send + 'static>(
    stack: usize,
    f: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> + Send {
    struct Open(Gate);

    impl Drop for Open {
        fn drop(&mut self) {
            self.0.open();
        }
    }

    let over = Gate::new();
    let open = Open(over.clone());
    let outside = outside();
    let thread = std::thread::Builder::new().stack_size(stack).spawn(move || {
        let _outside = outside;
        let _open = open;
        f()
    });
    let thread = thread.expect("a thread for a part of the check");
    async move {
        over.passed().await;
        match thread.join() {
            Ok(value) => value,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }
}

/// A place where a thread stops until the check lets it go on: in the middle of a poll, or of a destructor.
pub(crate) struct Stop {
    arrived: std::sync::mpsc::Sender<()>,
    go: std::sync::mpsc::Receiver<()>,
}

/// The check's side of a [`Stop`]. Dropping it lets everybody go on, so that a check that fails doesn't hang as well.
pub(crate) struct Control {
    arrived: std::sync::mpsc::Receiver<()>,
    go: std::sync::mpsc::Sender<()>,
}

impl Stop {
    pub(crate) fn new() -> (Self, Control) {
        let (arrive, arrived) = std::sync::mpsc::channel();
        let (release, go) = std::sync::mpsc::channel();
        (Self { arrived: arrive, go }, Control { arrived, go: release })
    }

    /// Tells that the thread is here, and stops it.
    pub(crate) fn here(&self) {
        let _ = self.arrived.send(());
        let _ = self.go.recv();
    }
}

impl Control {
    /// Blocks the caller until the other thread has stopped.
    pub(crate) fn wait(&self) {
        self.arrived.recv().expect("what was to stop here was dropped before it got here");
    }

    /// Lets the other thread go on.
    pub(crate) fn release(&self) {
        let _ = self.go.send(());
    }
}

/// The runtime as groups have it: a handle that doesn't keep it alive, where it is one that can be lost.
pub(crate) fn without_keeping<R: Runtime>(runtime: R) -> R {
    let kept = runtime.clone();
    R::from_dyn(&runtime.into_dyn()).unwrap_or(kept)
}

/// A runtime that polls the children of a group one at a time: while one is being polled, the polls of all others have
/// returned. So a check can say that a child is idle, and not in the last moments of a poll.
#[derive(Clone)]
pub(crate) struct OneAtATime<R>(pub(crate) R);

impl<R: Runtime> Runtime for OneAtATime<R> {
    type Sleep = R::Sleep;

    const REMEDY: &'static str = R::REMEDY;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn detect() -> Option<Self> {
        R::detect().map(Self)
    }

    fn into_dyn(self) -> DynRuntime {
        DynRuntime::new(Self(without_keeping(self.0)))
    }

    fn spawn(&self, driver: anyscope_core::Driver) {
        self.0.spawn(driver);
    }

    fn now(&self) -> std::time::Instant {
        self.0.now()
    }

    fn sleep_until(&self, at: std::time::Instant) -> Result<Self::Sleep, anyscope_core::RuntimeError> {
        self.0.sleep_until(at)
    }

    fn spawn_blocking(&self, job: anyscope_core::Job) {
        self.0.spawn_blocking(job);
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn parallelism(&self) -> usize {
        1
    }

    fn is_budget_spent(&self) -> bool {
        self.0.is_budget_spent()
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.0.observer()
    }
}

/// Set in a process that runs one check and nothing else.
pub(crate) const INSIDE: &str = "ANYSCOPE_CONFORMANCE_PROCESS";

/// Runs what would abort the process, were the law broken, in a process of its own: one failure stays one failure.
///
/// That process is the test binary again, asked for this one test. Outside of tests there is none to ask for; a
/// [`Report`](crate::Report) runs each check in a process of its own anyway.
pub(crate) fn surviving(body: impl FnOnce()) {
    let thread = std::thread::current();
    // The harness gives the thread the name of the test.
    let Some(test) = thread.name().filter(|name| name.contains("::") && std::env::var_os(INSIDE).is_none()) else {
        return body();
    };
    let tests = std::env::current_exe().expect("the path of the tests");
    let inside = std::process::Command::new(tests).args([test, "--exact", "--nocapture"]).env(INSIDE, "1").output();
    let inside = inside.expect("a process for the check");
    let (told, errors) = (String::from_utf8_lossy(&inside.stdout), String::from_utf8_lossy(&inside.stderr));
    assert!(inside.status.success(), "the process ended with {}:\n{told}\n{errors}", inside.status);
    assert!(told.contains("1 passed"), "the process ran another test than `{test}`:\n{told}");
}

/// Polls a future once, and once more where it may only have given way to others: a primitive does so now and then,
/// though it is ready, or before it begins to wait.
pub(crate) fn settled<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    match poll_with(future, waker) {
        Poll::Pending => poll_with(future, waker),
        ready => ready,
    }
}

/// Lets a future that has to wait do so: it is in the queue afterwards.
#[track_caller]
pub(crate) fn queued<F: Future + Unpin>(mut future: F) -> F {
    assert!(settled(&mut future, Waker::noop()).is_pending(), "it didn't have to wait");
    future
}

/// What a future gives whose turn it is.
#[track_caller]
pub(crate) fn ready<F: Future + Unpin>(future: &mut F) -> F::Output {
    match settled(future, Waker::noop()) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it was its turn"),
    }
}

/// Why something was cancelled, which it has to have been.
pub(crate) fn why<T>(outcome: anyscope_core::Outcome<T>) -> anyscope_core::Reason {
    match outcome {
        anyscope_core::Outcome::Cancelled(reason) => reason,
        anyscope_core::Outcome::Completed(_) => panic!("it wasn't cancelled, but completed"),
        anyscope_core::Outcome::Panicked(panic) => panic!("it wasn't cancelled, but {panic}"),
        anyscope_core::Outcome::RuntimeGone => panic!("it wasn't cancelled, but its runtime is gone"),
    }
}
