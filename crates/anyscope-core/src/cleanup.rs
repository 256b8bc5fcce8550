//! [`with_cleanup`]: work, and what has to be done after it however it ends.
//!
//! # States
//!
//! *new* → *working* → *cleaning* → *ended*. Dropped in *new*, nothing has happened and nothing is done. Dropped in
//! *working* or *cleaning*, the clean-up goes on as a late member of the nearest group around, or, outside of any, of one
//! made for it.

use crate::context;
use crate::group::core::{GroupCore, Kind, Surroundings};
use crate::group::state::Role;
use crate::guard::{self, Payload};
use crate::local::Binding;
use crate::runtime::{DynRuntime, Runtime};
use crate::shield::{Shield, shield};
use crate::sync::Arc;
use crate::task::TaskRef;
use crate::task::cell::{Step, spawn_detached};
use crate::task::seat::Birth;
use crate::time::{Elapsed, Timeout, timeout};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{self, Location};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Runs `work`, and afterwards `clean`, however the work ended: with a value, an error, a panic, or because it was
/// dropped.
///
/// The work returns a `Result`; one that can't fail, `Ok::<_, Infallible>(..)`. The clean-up returns one too, or nothing.
///
/// The clean-up runs behind a [`shield`](crate::shield()) and has `budget` for itself, counted from its start; what is
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
pub fn with_cleanup<R, W, C, T, E>(work: W, clean: C, budget: Duration) -> WithCleanup<W, C, R>
where
    R: Runtime,
    W: Future<Output = Result<T, E>>,
    C: Future + Send + 'static,
    C::Output: Cleaned,
{
    WithCleanup {
        work: Some(work),
        clean: Some(clean),
        cleaning: None,
        budget,
        place: None,
        ended: None,
        location: Location::caller(),
    }
}

/// What a clean-up ends with: nothing, or a `Result`.
pub trait Cleaned: Send + 'static {
    /// What can go wrong.
    type Error;

    #[doc(hidden)]
    fn into_result(self) -> Result<(), Self::Error>;
}

impl Cleaned for () {
    type Error = Infallible;

    fn into_result(self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<E: Send + 'static> Cleaned for Result<(), E> {
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}

pin_project! {
    /// Work, and what has to be done after it. Made by [`with_cleanup`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct WithCleanup<W, C, R>
    where
        W: Future,
        R: Runtime,
        C: Future,
        C: Send,
        C: 'static,
        C::Output: Send,
        C::Output: 'static,
    {
        #[pin]
        work: Option<W>,
        clean: Option<C>,
        cleaning: Option<Cleaning<C, R>>,
        budget: Duration,
        // Where the clean-up goes on, should this be dropped; found at the first poll.
        place: Option<Place>,
        // How the work ended, once it has.
        ended: Option<Result<W::Output, Payload>>,
        location: &'static Location<'static>,
    }

    impl<W, C, R> PinnedDrop for WithCleanup<W, C, R>
    where
        W: Future,
        R: Runtime,
        C: Future,
        C: Send,
        C: 'static,
        C::Output: Send,
        C::Output: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let Some(place) = this.place.take() else { return };
            let panic = guard::catch(|| this.work.set(None)).err();
            // The panic of work that came to its end is for whoever awaits this; now it is the group's.
            if let (Some(Err(payload)), Some(group)) = (this.ended.take(), &place.group) {
                group.panicked(payload, &TaskRef::new(None, place.location));
            }
            let budget = *this.budget;
            match (this.cleaning.take(), this.clean.take()) {
                (Some(mut cleaning), _) => {
                    // Late members need none, and whoever owns this place isn't woken by one that ends elsewhere.
                    cleaning.as_mut().take_down();
                    place.go_on(cleaning);
                }
                (None, Some(clean)) => place.go_on(timeout::<R, _>(budget, clean)),
                (None, None) => {}
            }
            guard::resume(panic);
        }
    }
}

/// A clean-up in place; a box, so that it can go on elsewhere.
type Cleaning<C, R> = Pin<Box<Shield<Timeout<C, R>, R>>>;

/// What surrounded the work.
struct Place {
    group: Option<Arc<GroupCore>>,
    runtime: DynRuntime,
    locals: Option<Arc<Binding>>,
    location: &'static Location<'static>,
}

impl Place {
    fn here<R: Runtime>(location: &'static Location<'static>) -> Self {
        let group = context::group();
        let runtime = match &group {
            Some(group) => group.runtime().clone(),
            None => context::locate::<R>(location).into_dyn(),
        };
        Self { group, runtime, locals: context::locals(), location }
    }

    /// Runs a future to its end as a part of the nearest group that lives.
    fn go_on<F>(self, future: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Self { group, runtime, locals, location } = self;
        let mut nearest = group.as_ref();
        let mut reserved = None;
        while let Some(group) = nearest {
            reserved = group.reserve(Role::Late);
            if reserved.is_some() {
                break;
            }
            nearest = group.parent.as_ref();
        }
        let (reserved, own) = match reserved {
            Some(reserved) => (Some(reserved), None),
            None => {
                let own = GroupCore::new(Kind::Scope, runtime, Surroundings::default(), usize::MAX, None, location);
                (own.reserve(Role::Late), Some(own))
            }
        };
        let Some(reserved) = reserved else { return };
        let task = TaskRef::new(Some("clean-up".into()), location);
        drop(spawn_detached(reserved, Birth::late(task, locals), async move {
            drop(future.await);
            Step::Value(())
        }));
        if let Some(own) = own {
            own.leave_alone(location);
        }
    }
}

impl<W, C, R, T, E> Future for WithCleanup<W, C, R>
where
    R: Runtime,
    W: Future<Output = Result<T, E>>,
    C: Future + Send + 'static,
    C::Output: Cleaned,
{
    type Output = Result<T, CleanupError<E, <C::Output as Cleaned>::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.place.is_none() {
            assert!(this.clean.is_some(), "work with a clean-up was polled after it had ended");
            *this.place = Some(Place::here::<R>(this.location));
        }
        if let Some(work) = this.work.as_mut().as_pin_mut() {
            let ended = match guard::catch(|| work.poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(result)) => Ok(result),
                Err(payload) => Err(payload),
            };
            // A destructor that panics is a panic of the work's.
            let dropped = guard::catch(|| this.work.set(None));
            *this.ended = Some(dropped.and(ended));
        }
        if let Some(clean) = this.clean.take() {
            let budget = *this.budget;
            *this.cleaning = Some(Box::pin(shield(budget, timeout(budget, clean))));
        }
        let Some(cleaning) = this.cleaning else { return Poll::Pending };
        let cleaned = match guard::catch(|| cleaning.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(cleaned)) => Ok(cleaned),
            Err(payload) => Err(payload),
        };
        *this.place = None;
        let dropped = guard::catch(|| *this.cleaning = None);
        let (ended, cleaned) = match (this.ended.take(), dropped.and(cleaned)) {
            (Some(Err(first)), cleaned) => {
                if let Err(second) = cleaned {
                    guard::forget(second);
                }
                panic::resume_unwind(first);
            }
            (_, Err(payload)) => panic::resume_unwind(payload),
            (ended, Ok(cleaned)) => (ended, cleaned),
        };
        let Some(Ok(result)) = ended else { return Poll::Pending };
        let failed = match cleaned.map(Cleaned::into_result) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Failed::Error(error)),
            Err(elapsed) => Some(Failed::Elapsed(elapsed)),
        };
        Poll::Ready(match (result, failed) {
            (Ok(value), None) => Ok(value),
            (Ok(_), cleanup) => Err(CleanupError { work: None, cleanup }),
            (Err(error), cleanup) => Err(CleanupError { work: Some(error), cleanup }),
        })
    }
}

impl<W, C, R> fmt::Debug for WithCleanup<W, C, R>
where
    W: Future,
    R: Runtime,
    C: Future + Send + 'static,
    C::Output: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithCleanup").field("cleaning", &self.cleaning.is_some()).finish_non_exhaustive()
    }
}

/// The errors of work and of the clean-up after it: at least one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupError<E, C = Infallible> {
    work: Option<E>,
    cleanup: Option<Failed<C>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Failed<C> {
    Error(C),
    Elapsed(Elapsed),
}

impl<E, C> CleanupError<E, C> {
    /// Returns the error of the work, if it failed.
    #[must_use]
    pub fn work(&self) -> Option<&E> {
        self.work.as_ref()
    }

    /// Returns the error of the clean-up, if it failed by itself.
    #[must_use]
    pub fn cleanup(&self) -> Option<&C> {
        match &self.cleanup {
            Some(Failed::Error(error)) => Some(error),
            _ => None,
        }
    }

    /// Returns whether the clean-up ran out of its budget.
    #[must_use]
    pub fn is_cleanup_elapsed(&self) -> bool {
        matches!(self.cleanup, Some(Failed::Elapsed(_)))
    }

    /// Returns the error of the work by value, if it failed; that of the clean-up is dropped.
    #[must_use]
    pub fn into_work(self) -> Option<E> {
        self.work
    }
}

impl<C: fmt::Display> fmt::Display for Failed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "the clean-up failed: {error}"),
            Self::Elapsed(_) => f.write_str("the clean-up ran out of time"),
        }
    }
}

impl<E: fmt::Display, C: fmt::Display> fmt::Display for CleanupError<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.work, &self.cleanup) {
            (Some(work), Some(cleanup)) => write!(f, "{work}; and {cleanup}"),
            (Some(work), None) => work.fmt(f),
            (None, Some(cleanup)) => cleanup.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

impl<E: Error + 'static, C: Error + 'static> Error for CleanupError<E, C> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match (&self.work, &self.cleanup) {
            (Some(work), _) => Some(work),
            (None, Some(Failed::Error(error))) => Some(error),
            (None, Some(Failed::Elapsed(elapsed))) => Some(elapsed),
            (None, None) => None,
        }
    }
}
