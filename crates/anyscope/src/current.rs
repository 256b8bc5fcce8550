//! [`Current`]: the runtime around the caller.

use anyscope_core::observe::Observer;
use anyscope_core::{Driver, DynRuntime, Job, Runtime, RuntimeError, Sleep};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

/// The runtime around the caller: what every free function of this crate uses.
///
/// It is found in this order: the runtime of the enclosing anyscope task; a simulator that runs; a tokio runtime around
/// the caller; an async-std task; what [`set_default`] chose; smol, then async-std, as far as they're compiled in.
///
/// "Around" is where a future is polled, and not where it is made: what smol's `block_on` polls on a thread of tokio's is
/// on tokio. Only runtimes whose feature is enabled are found: an application on tokio that enables `smol` and not `tokio`
/// is on smol, without a word.
///
/// # Examples
///
/// ```
/// use anyscope::Current;
///
/// let name = anyscope::run(anyscope::smol::Smol::new(), async { Current::get().name() });
/// assert_eq!(name, "smol");
/// ```
#[derive(Clone, Debug)]
pub struct Current(pub(crate) Kind);

/// A runtime that is compiled in is called by its type, any other through the object-safe form.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    #[cfg(feature = "tokio")]
    Tokio(anyscope_tokio::Tokio),
    #[cfg(feature = "smol")]
    Smol(anyscope_smol::Smol),
    #[cfg(feature = "async-std")]
    AsyncStd(anyscope_async_std::AsyncStd),
    Other(DynRuntime),
}

/// The default, and the value that keeps it alive.
static DEFAULT: OnceLock<(Current, DynRuntime)> = OnceLock::new();

/// Chooses the runtime for calls that have none around them. The first choice stays; returns whether this was it.
///
/// For the application, once, at its start: a library has no business to choose.
/// A runtime that makes progress only while somebody blocks on it, as a current-thread one does, is no use here.
///
/// # Examples
///
/// ```
/// anyscope::set_default(anyscope::smol::Smol::new());
/// ```
pub fn set_default<R: Runtime>(runtime: R) -> bool {
    let current = Current::of(&runtime.clone().into_dyn());
    DEFAULT.set((current, DynRuntime::new(runtime))).is_ok()
}

/// What was chosen, to be run on: a runtime that only its owner can drive is here as its owner.
#[cfg(feature = "compat-tokio")]
pub(crate) fn chosen() -> Option<DynRuntime> {
    DEFAULT.get().map(|(_, chosen)| chosen.clone())
}

impl Current {
    /// Returns the runtime around the caller.
    ///
    /// # Panics
    ///
    /// Where there is none.
    #[must_use]
    #[track_caller]
    pub fn get() -> Self {
        match Self::try_current() {
            Ok(current) => current,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the name of the runtime, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Runtime::name(self)
    }

    /// Returns the runtime around the caller.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] where there is none, with what to do about it.
    pub fn try_current() -> Result<Self, RuntimeError> {
        DynRuntime::current().map(|around| Self::of(&around)).or_else(Self::detect).ok_or(RuntimeError::new(NONE))
    }

    fn of(runtime: &DynRuntime) -> Self {
        #[cfg(feature = "tokio")]
        if let Some(tokio) = runtime.downcast_ref::<anyscope_tokio::Tokio>() {
            return Self(Kind::Tokio(tokio.clone()));
        }
        #[cfg(feature = "smol")]
        if let Some(smol) = runtime.downcast_ref::<anyscope_smol::Smol>() {
            return Self(Kind::Smol(smol.clone()));
        }
        #[cfg(feature = "async-std")]
        if let Some(async_std) = runtime.downcast_ref::<anyscope_async_std::AsyncStd>() {
            return Self(Kind::AsyncStd(*async_std));
        }
        Self(Kind::Other(runtime.clone()))
    }
}

macro_rules! remedy {
    () => {
        "call this inside `anyscope::run`, on a tokio runtime with feature `tokio` of `anyscope` enabled in the \
         application's Cargo.toml, or after `anyscope::set_default`; or enable its feature `smol` for a runtime that is \
         always there"
    };
}

const NONE: &str = concat!("no async runtime around this call: ", remedy!());

/// Calls the same method on whichever runtime it is.
macro_rules! each {
    ($self:expr, $runtime:ident => $call:expr) => {
        match $self {
            #[cfg(feature = "tokio")]
            Kind::Tokio($runtime) => $call,
            #[cfg(feature = "smol")]
            Kind::Smol($runtime) => $call,
            #[cfg(feature = "async-std")]
            Kind::AsyncStd($runtime) => $call,
            Kind::Other($runtime) => $call,
        }
    };
}

impl Runtime for Current {
    type Sleep = CurrentSleep;

    const REMEDY: &'static str = remedy!();

    fn name(&self) -> &'static str {
        each!(&self.0, runtime => runtime.name())
    }

    fn detect() -> Option<Self> {
        #[cfg(feature = "sim")]
        if let Some(sim) = anyscope_sim::Sim::detect() {
            return Some(Self(Kind::Other(sim.into_dyn())));
        }
        #[cfg(feature = "tokio")]
        if let Some(tokio) = anyscope_tokio::Tokio::current() {
            return Some(Self(Kind::Tokio(tokio)));
        }
        #[cfg(feature = "async-std")]
        if anyscope_async_std::AsyncStd::is_around() {
            return Some(Self(Kind::AsyncStd(anyscope_async_std::AsyncStd::new())));
        }
        if let Some((chosen, _)) = DEFAULT.get() {
            return Some(chosen.clone());
        }
        #[cfg(feature = "smol")]
        return Some(Self(Kind::Smol(anyscope_smol::Smol::new())));
        #[cfg(all(feature = "async-std", not(feature = "smol")))]
        return Some(Self(Kind::AsyncStd(anyscope_async_std::AsyncStd::new())));
        #[cfg(not(any(feature = "smol", feature = "async-std")))]
        return None;
    }

    fn from_dyn(runtime: &DynRuntime) -> Option<Self> {
        Some(Self::of(runtime))
    }

    fn into_dyn(self) -> DynRuntime {
        each!(self.0, runtime => runtime.into_dyn())
    }

    fn spawn(&self, driver: Driver) {
        each!(&self.0, runtime => runtime.spawn(driver));
    }

    fn now(&self) -> Instant {
        each!(&self.0, runtime => runtime.now())
    }

    fn sleep_until(&self, at: Instant) -> Result<CurrentSleep, RuntimeError> {
        Ok(CurrentSleep(match &self.0 {
            #[cfg(feature = "tokio")]
            Kind::Tokio(tokio) => SleepKind::Tokio(tokio.sleep_until(at)?),
            #[cfg(feature = "smol")]
            Kind::Smol(smol) => SleepKind::Smol(smol.sleep_until(at)?),
            #[cfg(feature = "async-std")]
            Kind::AsyncStd(async_std) => SleepKind::AsyncStd(async_std.sleep_until(at)?),
            Kind::Other(other) => SleepKind::Other(other.sleep_until(at)?),
        }))
    }

    fn spawn_blocking(&self, job: Job) {
        each!(&self.0, runtime => runtime.spawn_blocking(job));
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        each!(&self.0, runtime => runtime.block_on(future))
    }

    fn parallelism(&self) -> usize {
        each!(&self.0, runtime => runtime.parallelism())
    }

    fn is_budget_spent(&self) -> bool {
        each!(&self.0, runtime => runtime.is_budget_spent())
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        each!(&self.0, runtime => runtime.observer())
    }
}

/// A timer of the runtime around.
pub struct CurrentSleep(SleepKind);

enum SleepKind {
    #[cfg(feature = "tokio")]
    Tokio(anyscope_tokio::Sleep),
    #[cfg(feature = "smol")]
    Smol(anyscope_smol::Sleep),
    #[cfg(feature = "async-std")]
    AsyncStd(anyscope_async_std::Sleep),
    Other(Pin<Box<dyn Sleep>>),
}

/// Calls the same method on whichever timer it is; all of them can be moved.
macro_rules! each_sleep {
    ($self:expr, $sleep:ident => $call:expr) => {
        match &mut $self.get_mut().0 {
            #[cfg(feature = "tokio")]
            SleepKind::Tokio(sleep) => {
                let $sleep = Pin::new(sleep);
                $call
            }
            #[cfg(feature = "smol")]
            SleepKind::Smol(sleep) => {
                let $sleep = Pin::new(sleep);
                $call
            }
            #[cfg(feature = "async-std")]
            SleepKind::AsyncStd(sleep) => {
                let $sleep = Pin::new(sleep);
                $call
            }
            SleepKind::Other(sleep) => {
                let $sleep = sleep.as_mut();
                $call
            }
        }
    };
}

impl Future for CurrentSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        each_sleep!(self, sleep => sleep.poll(cx))
    }
}

impl Sleep for CurrentSleep {
    fn reset(self: Pin<&mut Self>, at: Instant) {
        each_sleep!(self, sleep => sleep.reset(at));
    }
}

impl std::fmt::Debug for CurrentSleep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CurrentSleep").finish_non_exhaustive()
    }
}
