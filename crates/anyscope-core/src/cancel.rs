//! [`CancelToken`]: the public handle on the cancellation tree, and futures that run under one.

pub(crate) mod reason;
pub(crate) mod tree;

use self::reason::{Cancelled, Reason, ReasonKind};
use self::tree::Node;
use crate::context::{self, Deferral, Under};
use crate::coop;
use crate::observe::{self, Wait};
use crate::runtime::Runtime;
use crate::time::Alarm;
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// A handle by which work is cancelled: a node of a tree, cancelled with everything below it.
///
/// A request is synchronous, may come from any thread, runs no code of the work that it cancels, and is for ever;
/// the first reason stays. Clones are handles on the same node. Dropping a handle cancels nothing: see
/// [`drop_guard`](Self::drop_guard).
///
/// # Examples
///
/// ```
/// use anyscope::CancelToken;
///
/// let app = CancelToken::new();
/// let request = app.child();
/// request.cancel_with("client went away");
/// assert!(request.is_cancelled());
/// assert!(!app.is_cancelled());
///
/// app.cancel();
/// assert_eq!(request.reason().unwrap().message(), Some("client went away"));
/// ```
pub struct CancelToken<R> {
    node: Arc<Node>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> CancelToken<R> {
    /// Makes a token that nothing but its own `cancel` cancels.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Node::root())
    }

    fn of(node: Arc<Node>) -> Self {
        Self { node, runtime: PhantomData }
    }

    /// Makes a token below this one: cancelled with it, and by itself. Below a cancelled token it is born cancelled.
    #[must_use]
    pub fn child(&self) -> Self {
        Self::of(Node::below(Some(&self.node)))
    }

    /// Cancels this token and everything below it. Returns whether this call was the first.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.cancel_explicitly(None)
    }

    /// Cancels with a message, which travels in the [`Reason`].
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.cancel_explicitly(Some(message.into()))
    }

    #[track_caller]
    fn cancel_explicitly(&self, message: Option<Cow<'static, str>>) -> bool {
        if self.node.is_cancelled() {
            return false;
        }
        self.node.cancel(&Reason::new(ReasonKind::Explicit, message, Location::caller()))
    }

    /// Cancels for a reason of the library's own.
    #[track_caller]
    pub(crate) fn cancel_as(&self, kind: ReasonKind, message: &'static str) {
        self.node.cancel(&Reason::new(kind, Some(message.into()), Location::caller()));
    }

    /// Returns a guard that cancels this token when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::CancelToken;
    ///
    /// let token = CancelToken::new();
    /// let guard = token.drop_guard();
    /// drop(guard);
    /// assert!(token.is_cancelled());
    /// ```
    #[track_caller]
    pub fn drop_guard(&self) -> DropGuard {
        DropGuard { node: Some(self.node.clone()), location: Location::caller() }
    }
}

impl<R: Runtime> CancelToken<R> {
    /// Makes a token below this one that is also cancelled once `at` has passed.
    ///
    /// No timer runs for it: whoever waits for the token, or asks it, finds the deadline passed. Tokens below it
    /// have the same deadline, and what they run sees it in [`remaining`](crate::remaining).
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{CancelToken, ReasonKind, now, sleep};
    /// use std::time::Duration;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let token = CancelToken::new().with_deadline(now() + Duration::from_millis(5));
    ///     let cut = token.run(sleep(Duration::from_secs(60))).await.unwrap_err();
    ///     assert_eq!(cut.reason().kind(), ReasonKind::Deadline);
    /// });
    /// ```
    #[must_use]
    pub fn with_deadline(&self, at: Instant) -> Self {
        Self::of(Node::below_with_deadline(&self.node, Some(at)))
    }

    /// Returns whether the token is cancelled.
    ///
    /// Asks the clock only where the token has a deadline; outside of any runtime a deadline isn't noticed.
    #[must_use]
    #[track_caller]
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled() || (self.node.deadline().is_some() && self.expire(Location::caller()))
    }

    /// Returns why the token was cancelled, if it was.
    #[must_use]
    #[track_caller]
    pub fn reason(&self) -> Option<Reason> {
        if self.is_cancelled() { self.node.reason() } else { None }
    }

    fn expire(&self, location: &'static Location<'static>) -> bool {
        match (self.node.deadline(), context::try_locate::<R>()) {
            (Some(at), Some(runtime)) if runtime.now() >= at => {
                self.node.cancel(&Reason::new(ReasonKind::Deadline, None, location));
                true
            }
            _ => false,
        }
    }

    /// Waits until the token is cancelled, and tells why.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::{CancelToken, task_group};
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
    ///     let token = CancelToken::new();
    ///     let waiter = token.clone();
    ///     let heard = g.spawn(async move { waiter.cancelled().await });
    ///     token.cancel_with("closing time");
    ///     assert_eq!(heard.await.message(), Some("closing time"));
    /// }));
    /// ```
    #[track_caller]
    pub fn cancelled(&self) -> UntilCancelled<'_, R> {
        UntilCancelled { token: self, key: None, alarm: Alarm::new(Location::caller()) }
    }

    /// Runs a future until it ends or the token is cancelled.
    ///
    /// The token is looked at before each poll; once it is cancelled, the future is dropped and not polled again.
    /// A value that was there first is delivered, also where the token's deadline has passed unnoticed. Groups, timeouts and tokens inside are below this token: they are
    /// cancelled in the same pass.
    ///
    /// # Errors
    ///
    /// [`Cancelled`], with the reason, where the token was cancelled first. Where a scope around this one is
    /// cancelled too, that one reports, and this future never resumes.
    ///
    /// # Cancel safety
    ///
    /// As safe as the future that it runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::CancelToken;
    /// use std::future::pending;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let token = CancelToken::new();
    ///     assert_eq!(token.run(async { 1 }).await.unwrap(), 1);
    ///
    ///     token.cancel_with("no more");
    ///     let cut = token.run(pending::<()>()).await.unwrap_err();
    ///     assert_eq!(cut.reason().message(), Some("no more"));
    /// });
    /// ```
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> RunUnderToken<F, R> {
        RunUnderToken {
            future: Some(future),
            around: Under::new(self.node.clone()),
            begun: false,
            key: None,
            deferral: Deferral::new(),
            alarm: Alarm::new(Location::caller()),
        }
    }
}

impl<R> Clone for CancelToken<R> {
    fn clone(&self) -> Self {
        Self::of(self.node.clone())
    }
}

impl<R> Default for CancelToken<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for CancelToken<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("reason", &self.node.reason()).finish_non_exhaustive()
    }
}

/// Cancels its token when it is dropped. Made by [`CancelToken::drop_guard`].
#[must_use = "the token is cancelled as soon as the guard is dropped"]
pub struct DropGuard {
    node: Option<Arc<Node>>,
    location: &'static Location<'static>,
}

impl DropGuard {
    /// Lets the guard go without cancelling.
    pub fn disarm(mut self) {
        self.node = None;
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            node.cancel(&Reason::new(ReasonKind::Dropped, None, self.location));
        }
    }
}

impl fmt::Debug for DropGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DropGuard").finish_non_exhaustive()
    }
}

pin_project! {
    /// Waits for a token. Made by [`CancelToken::cancelled`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct UntilCancelled<'a, R: Runtime> {
        token: &'a CancelToken<R>,
        key: Option<usize>,
        #[pin]
        alarm: Alarm<R>,
    }

    impl<R: Runtime> PinnedDrop for UntilCancelled<'_, R> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.token.node.leave(this.key);
        }
    }
}

impl<R: Runtime> Future for UntilCancelled<'_, R> {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let mut this = self.project();
        let node = &this.token.node;
        if node.poll_cancelled(this.key, cx).is_pending() {
            observe::waits(|| Wait::Cancellation);
            let Some(at) = node.deadline() else { return Poll::Pending };
            if this.alarm.as_mut().poll(at, cx).is_pending() {
                return Poll::Pending;
            }
            node.cancel(&Reason::new(ReasonKind::Deadline, None, this.alarm.location()));
        }
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        node.reason().map_or(Poll::Pending, Poll::Ready)
    }
}

pin_project! {
    /// Runs a future under a token. Made by [`CancelToken::run`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct RunUnderToken<F, R: Runtime> {
        #[pin]
        future: Option<F>,
        around: Under,
        // Whether it has been polled: what is around is known from then on.
        begun: bool,
        key: Option<usize>,
        deferral: Deferral,
        #[pin]
        alarm: Alarm<R>,
    }

    impl<F, R: Runtime> PinnedDrop for RunUnderToken<F, R> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.around.scope().leave(this.key);
        }
    }
}

impl<F, R: Runtime> fmt::Debug for RunUnderToken<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunUnderToken")
            .field("token", &CancelToken::<R>::of(self.around.token.clone()))
            .finish_non_exhaustive()
    }
}

impl<F: Future, R: Runtime> Future for RunUnderToken<F, R> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        assert!(this.future.is_some(), "a future run under a token was polled after it had ended");
        let Under { token, joined, .. } = &mut *this.around;
        if !mem::replace(this.begun, true) {
            *joined = context::scope()
                .filter(|around| !Arc::ptr_eq(around, token))
                .map(|around| Node::joining(&around, token));
        }
        let around = &*this.around;
        let (token, scope) = (&around.token, around.scope());
        if !scope.is_cancelled() || context::is_shielded_in(around) {
            let mut future = this.future.as_mut();
            let polled = context::inside(around, || {
                future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx))
            });
            if let Poll::Ready(value) = polled {
                this.future.set(None);
                return Poll::Ready(Ok(value));
            }
            if scope.poll_cancelled(this.key, cx).is_pending() {
                let Some(at) = token.deadline() else { return Poll::Pending };
                if this.alarm.as_mut().poll(at, cx).is_pending() {
                    return Poll::Pending;
                }
                token.cancel(&Reason::new(ReasonKind::Deadline, None, this.alarm.location()));
            }
        }
        // The scope around reports, where it is cancelled or past its deadline too.
        if context::is_shielded_in(around) || this.deferral.defers::<R>(cx) {
            return Poll::Pending;
        }
        // Cancelled by the token, then, and not from around.
        let Some(reason) = token.reason().or_else(|| scope.reason()) else { return Poll::Pending };
        context::dropping(&reason, || this.future.set(None));
        Poll::Ready(Err(Cancelled::new(reason)))
    }
}

/// Waits until the scope around the caller is cancelled, and tells why.
///
/// An unshielded task isn't polled again once it is cancelled, so this is for code that outlasts a request: in the
/// poll that is under way, behind a shield, and next to work that ends by itself. Outside of any scope it waits
/// for ever.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
///
/// # Examples
///
/// ```
/// use anyscope::CancelToken;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let token = CancelToken::new();
///     let inner = token.clone();
///     let reason = token.run(async move {
///         inner.cancel_with("from inside");
///         anyscope::cancelled().await // this poll is still under way
///     }).await.unwrap();
///     assert_eq!(reason.message(), Some("from inside"));
/// });
/// ```
pub fn cancelled() -> AmbientCancelled {
    AmbientCancelled { scope: None, key: None }
}

/// Returns whether the scope around the caller is cancelled.
///
/// In a blocking job it is true as well once the deadline around has passed, and once nobody waits for the job any more:
/// a closure that may take long asks now and then, and ends early.
///
/// # Examples
///
/// ```
/// assert!(!anyscope::is_cancelled());
/// ```
#[must_use]
pub fn is_cancelled() -> bool {
    context::job_asks();
    context::is_cancelled() || context::is_late_job()
}

/// Waits for the scope around. Made by [`cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct AmbientCancelled {
    scope: Option<Arc<Node>>,
    key: Option<usize>,
}

impl Future for AmbientCancelled {
    type Output = Reason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let this = &mut *self;
        if this.scope.is_none() {
            this.scope = context::scope();
        }
        observe::waits(|| Wait::Cancellation);
        let Some(scope) = &this.scope else { return Poll::Pending };
        match scope.poll_cancelled(&mut this.key, cx) {
            Poll::Ready(()) if coop::poll_proceed(cx).is_ready() => scope.reason().map_or(Poll::Pending, Poll::Ready),
            _ => Poll::Pending,
        }
    }
}

impl Drop for AmbientCancelled {
    fn drop(&mut self) {
        if let Some(scope) = &self.scope {
            scope.leave(&mut self.key);
        }
    }
}

impl fmt::Debug for AmbientCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmbientCancelled").finish_non_exhaustive()
    }
}
