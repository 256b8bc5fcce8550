//! Observers of a tool's, that watch whatever runtime there is.

use super::{Event, Observer, told};
use crate::runtime::{DynRuntime, Runtime};
use crate::sync::Arc;
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// All of them, as one.
static INSTALLED: RwLock<Option<Arc<dyn Observer>>> = RwLock::new(None);

/// Those that it is made of.
static LIST: RwLock<Vec<Arc<dyn Observer>>> = RwLock::new(Vec::new());

/// Has `observer` told of what happens in every group that is opened from now on, on any runtime, until what this returns is
/// dropped. A group that is open by then goes on telling it to its end.
///
/// Where there are several, and where the runtime has one of its own, each is told, in the order in which they were
/// installed; only the runtime's chooses. What was there before, tasks, and permits that are held, an observer may hear of
/// by its end alone.
pub fn install(observer: Arc<dyn Observer>) -> Installed {
    change(|list| list.push(observer.clone()));
    told::watch();
    Installed(observer)
}

/// Keeps an observer installed, until it is dropped. Made by [`install`].
#[must_use = "the observer is told of nothing once this is dropped"]
pub struct Installed(Arc<dyn Observer>);

impl Drop for Installed {
    fn drop(&mut self) {
        change(|list| {
            if let Some(index) = list.iter().position(|observer| Arc::ptr_eq(observer, &self.0)) {
                list.remove(index);
            }
        });
    }
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installed").finish_non_exhaustive()
    }
}

fn change(change: impl FnOnce(&mut Vec<Arc<dyn Observer>>)) {
    let before = {
        let mut list = write(&LIST);
        change(&mut list);
        let tools = || Arc::new(Together { runtime: None, tools: list.clone() }) as Arc<dyn Observer>;
        let all = (!list.is_empty()).then(tools);
        std::mem::replace(&mut *write(&INSTALLED), all)
    };
    // An observer's destructor is a tool's.
    drop(before);
}

/// Those that are installed.
pub(super) fn installed() -> Option<Arc<dyn Observer>> {
    read(&INSTALLED).clone()
}

/// Who is told of what happens in a group on `runtime`.
pub(crate) fn observer_of(runtime: &DynRuntime) -> Option<Arc<dyn Observer>> {
    let of_the_runtime = runtime.observer();
    if of_the_runtime.is_some() {
        told::watch();
    }
    if !told::is_on() {
        return None;
    }
    match (of_the_runtime, installed()) {
        (Some(runtime), Some(tools)) => Some(Arc::new(Together { runtime: Some(runtime), tools: vec![tools] })),
        (one, other) => one.or(other),
    }
}

/// Several observers as one, of which that of the runtime chooses.
struct Together {
    runtime: Option<Arc<dyn Observer>>,
    tools: Vec<Arc<dyn Observer>>,
}

impl Together {
    fn all(&self) -> impl Iterator<Item = &Arc<dyn Observer>> {
        self.runtime.iter().chain(&self.tools)
    }
}

impl Observer for Together {
    fn observe(&self, event: &Event<'_>) {
        self.all().for_each(|observer| observer.observe(event));
    }

    fn choose(&self, of: usize) -> usize {
        self.runtime.as_ref().map_or(0, |runtime| runtime.choose(of))
    }

    fn takes_turns(&self) -> bool {
        self.runtime.as_ref().is_some_and(|runtime| runtime.takes_turns())
    }

    fn job_asks(&self) {
        self.all().for_each(|observer| observer.job_asks());
    }

    fn outside(&self, begins: bool) {
        self.all().for_each(|observer| observer.outside(begins));
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
