//! [`Limiter`]: a semaphore that can be resized while it is in use.
//!
//! # Who waits for itself
//!
//! A blocking job that waits, inside, for a permit of the very limiter that it runs under, keeps its own permit while it
//! waits. Where everything that the limiter has is held by such jobs, none ever comes back. So each job keeps a [`Held`]
//! in its frame, which all that it waits for inherits; a wait inside of it counts the permits around it as stuck, and the
//! one that would make all of them stuck is told instead.

use crate::context;
use crate::semaphore::{AcquireError, Permits, Semaphore, Statistics, Waiting};
use crate::sync::{Arc, AtomicUsize, Mutex};
use std::borrow::Cow;
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

/// A bound on how much of something goes on at a time, which can be changed while it is in use.
///
/// A handle: clones are the same limiter. Growing lets those in who wait, in their order. Shrinking takes no permit
/// from anyone; the next ones wait until enough have come back. A total of zero lets nobody in until it is raised.
///
/// # Examples
///
/// ```
/// use anyscope::Limiter;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let uploads = Limiter::new(2);
///     let one = uploads.acquire().await;
///     uploads.set_total(1);
///     assert_eq!((uploads.statistics().total, uploads.statistics().available), (1, 0));
///     drop(one);
///     assert_eq!(uploads.statistics().available, 1);
/// });
/// ```
#[derive(Clone)]
pub struct Limiter(Arc<Shared>);

struct Shared {
    permits: Permits,
    /// The keys that hold a permit, or wait for one.
    keys: Mutex<HashSet<Key>>,
}

type Key = Cow<'static, str>;

impl Limiter {
    /// Makes a limiter with this many permits.
    ///
    /// # Panics
    ///
    /// Where there are more than [`Semaphore::MAX_PERMITS`].
    #[must_use]
    #[track_caller]
    pub fn new(total: usize) -> Self {
        check(total);
        Self(Arc::new(Shared {
            permits: Permits::new(total, "limiter", Location::caller()),
            keys: Mutex::new(HashSet::new()),
        }))
    }

    /// Changes how many permits there are.
    ///
    /// # Panics
    ///
    /// Where there are more than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    pub fn set_total(&self, total: usize) {
        check(total);
        self.0.permits.resize(total);
    }

    /// Waits for a permit, behind those who came before.
    ///
    /// # Panics
    ///
    /// Inside of blocking jobs that hold all permits of this limiter and wait for it: none would ever come back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue. A permit that had been handed over goes to the next.
    #[inline]
    pub fn acquire(&self) -> AcquireLimiter {
        AcquireLimiter { limiter: self.clone(), waiting: Waiting::new(1), around: None, stuck: false }
    }

    /// Waits for a permit on behalf of `key`, which can have one at a time: a user, a host, a file.
    ///
    /// # Errors
    ///
    /// [`AlreadyHeld`], at once, where the key holds a permit already or waits for one.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire); the key is free again.
    ///
    /// # Examples
    ///
    /// ```
    /// use anyscope::Limiter;
    ///
    /// anyscope::run(anyscope::smol::Smol::new(), async {
    ///     let logins = Limiter::new(10);
    ///     let ann = logins.acquire_for("ann").await.unwrap();
    ///     let _bob = logins.acquire_for("bob").await.unwrap();
    ///     assert!(logins.acquire_for("ann").await.is_err());
    ///     drop(ann);
    ///     assert!(logins.acquire_for("ann").await.is_ok());
    /// });
    /// ```
    pub fn acquire_for(&self, key: impl Into<Cow<'static, str>>) -> AcquireLimiterFor {
        AcquireLimiterFor { asked: Some(key.into()), key: None, acquire: self.acquire() }
    }

    /// Returns whether `key` holds a permit or waits for one.
    #[must_use]
    pub fn is_held_by(&self, key: &str) -> bool {
        self.0.keys.lock().contains(key)
    }

    /// Takes a permit, if one is free and nobody waits.
    #[must_use]
    #[inline]
    pub fn try_acquire(&self) -> Option<LimiterPermit> {
        self.0.permits.try_acquire(1).ok()?;
        Some(LimiterPermit { limiter: self.clone(), key: None })
    }

    /// Returns how many permits there are, are borrowed, and how many wait.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.0.permits.statistics()
    }
}

#[track_caller]
fn check(total: usize) {
    assert!(
        cfg!(bug_limit_unchecked) || total <= Semaphore::MAX_PERMITS,
        "a limiter of {total}: more than `Semaphore::MAX_PERMITS`"
    );
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

/// A permit that a blocking job runs under, and those around it.
pub(crate) struct Held {
    limiter: Limiter,
    /// How many wait for a permit of the same limiter inside of the job.
    waiters: AtomicUsize,
    around: Option<Arc<Self>>,
}

impl Held {
    pub(crate) fn new(permit: &LimiterPermit, around: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { limiter: permit.limiter.clone(), waiters: AtomicUsize::new(0), around })
    }

    /// The counts of those who hold permits of `limiter`, from here outwards.
    fn of<'a>(self: &'a Arc<Self>, limiter: &'a Limiter) -> impl Iterator<Item = &'a AtomicUsize> {
        std::iter::successors(Some(self), |held| held.around.as_ref())
            .filter(|held| Arc::ptr_eq(&held.limiter.0, &limiter.0))
            .map(|held| &held.waiters)
    }
}

/// A permit of a limiter, given back when it is dropped.
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct LimiterPermit {
    limiter: Limiter,
    key: Option<KeyInUse>,
}

impl LimiterPermit {
    /// Returns the key that it is held for, if it was acquired [for one](Limiter::acquire_for).
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_ref().map(|key| &*key.key)
    }
}

impl Drop for LimiterPermit {
    #[inline]
    fn drop(&mut self) {
        // The key first: who is let in by the permit may ask for the same key.
        drop(self.key.take());
        self.limiter.0.permits.give_back(1);
    }
}

impl fmt::Debug for LimiterPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimiterPermit").field("limiter", &self.limiter).field("key", &self.key()).finish()
    }
}

/// A key that holds a permit or waits for one; free again when this is dropped.
struct KeyInUse {
    limiter: Limiter,
    key: Key,
}

impl KeyInUse {
    fn new(limiter: &Limiter, key: Key) -> Result<Self, AlreadyHeld> {
        if limiter.0.keys.lock().insert(key.clone()) {
            Ok(Self { limiter: limiter.clone(), key })
        } else {
            Err(AlreadyHeld(key))
        }
    }
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        self.limiter.0.keys.lock().remove(&self.key);
    }
}

/// Waits for a permit of a limiter. Made by [`Limiter::acquire`].
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireLimiter {
    limiter: Limiter,
    waiting: Waiting,
    /// What the jobs around hold, where it is of this limiter; asked by who doesn't get a permit at once.
    around: Option<Arc<Held>>,
    /// Whether that was counted as stuck.
    stuck: bool,
}

impl AcquireLimiter {
    /// Counts what the jobs around hold of this limiter as stuck, while this waits.
    fn stick(&mut self) {
        let Some(held) = &self.around else { return };
        if self.stuck {
            return;
        }
        self.stuck = true;
        let for_ever = self.limiter.0.permits.stick(held.of(&self.limiter));
        assert!(!for_ever, "{}", AcquireError::STUCK);
    }

    #[inline]
    fn unstick(&mut self) {
        if self.around.is_some() {
            self.take_back();
        }
    }

    #[cold]
    fn take_back(&mut self) {
        if let Some(held) = self.around.take().filter(|_| self.stuck) {
            self.limiter.0.permits.unstick(held.of(&self.limiter));
        }
    }

    /// Is about to wait: it matters what the jobs around hold.
    #[cold]
    fn look_around(&mut self) {
        self.around = context::held().filter(|held| held.of(&self.limiter).next().is_some());
        if self.around.is_some() {
            self.waiting = Waiting::new(1).inside();
        }
    }
}

impl Future for AcquireLimiter {
    type Output = LimiterPermit;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LimiterPermit> {
        let this = &mut *self;
        if this.waiting.is_new() && !this.waiting.takes_at_once(&this.limiter.0.permits) {
            this.look_around();
        }
        match this.waiting.poll(&this.limiter.0.permits, cx) {
            Poll::Ready(Ok(())) => {
                this.unstick();
                Poll::Ready(LimiterPermit { limiter: this.limiter.clone(), key: None })
            }
            Poll::Ready(Err(error)) if error.is_stuck() => panic!("{error}"),
            // It is never closed, and one permit is never too many.
            Poll::Ready(Err(error)) => unreachable!("a limiter refused a permit: {error}"),
            Poll::Pending => {
                if this.around.is_some() && this.waiting.is_queued() {
                    this.stick();
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for AcquireLimiter {
    #[inline]
    fn drop(&mut self) {
        self.unstick();
        self.waiting.leave(&self.limiter.0.permits);
    }
}

impl fmt::Debug for AcquireLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireLimiter").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

/// Waits for a permit of a limiter, for a key. Made by [`Limiter::acquire_for`].
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireLimiterFor {
    /// The key until the first poll, which takes it.
    asked: Option<Key>,
    key: Option<KeyInUse>,
    acquire: AcquireLimiter,
}

impl Future for AcquireLimiterFor {
    type Output = Result<LimiterPermit, AlreadyHeld>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(asked) = this.asked.take() {
            this.key = Some(KeyInUse::new(&this.acquire.limiter, asked)?);
        }
        assert!(this.key.is_some(), "an acquire was polled after it had ended");
        let Poll::Ready(mut permit) = Pin::new(&mut this.acquire).poll(cx) else { return Poll::Pending };
        permit.key = this.key.take();
        Poll::Ready(Ok(permit))
    }
}

impl fmt::Debug for AcquireLimiterFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireLimiterFor").field("limiter", &self.acquire.limiter).finish_non_exhaustive()
    }
}

/// The error of asking for a second permit on behalf of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlreadyHeld(Key);

impl AlreadyHeld {
    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlreadyHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` holds a permit of the limiter already, or waits for one", self.0)
    }
}

impl Error for AlreadyHeld {}

/// Returns the limiter that [`unblock`](crate::unblock) uses where it is given no other: one for the process, with 40
/// permits to begin with.
///
/// # Examples
///
/// ```
/// assert_eq!(anyscope::blocking_limiter().statistics().total, 40);
/// ```
#[must_use]
pub fn blocking_limiter() -> &'static Limiter {
    static LIMITER: OnceLock<Limiter> = OnceLock::new();
    LIMITER.get_or_init(|| Limiter::new(40))
}
