//! Who is told of what happens around the caller.

use super::installed::installed;
use super::{Event, Observer, Wait};
use crate::context;
use crate::ready_list;
use crate::sync::{Arc, thread_local};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether anybody wants to know what happens in this process: an observer was handed out, or a tree was asked for.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// Whether it is written down what a tree tells.
static RECORDING: AtomicBool = AtomicBool::new(false);

/// Has it written down from now on. Says whether it wasn't before.
pub(crate) fn record() -> bool {
    if is_recording() {
        return false;
    }
    watch();
    // Ordering: SeqCst; before the locks of the lists are taken, which order it for whoever puts a group there.
    !RECORDING.swap(true, Ordering::SeqCst)
}

/// Whether it is.
#[inline]
pub(crate) fn is_recording() -> bool {
    // Ordering: Relaxed; see `record`.
    RECORDING.load(Ordering::Relaxed)
}

/// An observer was handed out.
pub(super) fn watch() {
    // Ordering: Relaxed; whoever has the observer has it from after this, on the same thread or by a lock.
    WATCHED.store(true, Ordering::Relaxed);
}

/// Whether somebody may be told of anything.
#[inline]
pub(crate) fn is_on() -> bool {
    // Ordering: Relaxed; see `watch`.
    WATCHED.load(Ordering::Relaxed)
}

/// Whether anybody is told what happens in a group: an observer, or who draws a tree. On by itself where it is written down by
/// the time that the group is opened.
pub(crate) struct Told(AtomicBool);

impl Told {
    pub(crate) fn new(is_observed: bool) -> Self {
        Self(AtomicBool::new(is_observed || is_recording()))
    }

    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        // Ordering: Relaxed; who doesn't see it yet writes nothing down yet.
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn be_told(&self) {
        // Ordering: Relaxed, as above.
        self.0.store(true, Ordering::Relaxed);
    }
}

thread_local! {
    /// Who is told where nothing is around the caller any more.
    static STAND_IN: RefCell<Option<Arc<dyn Observer>>> = const { RefCell::new(None) };
}

/// Runs `f`, of which `observer` is told, where nothing is around it.
pub(crate) fn on_behalf_of<T>(observer: Option<Arc<dyn Observer>>, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<Arc<dyn Observer>>);

    impl Drop for Restore {
        fn drop(&mut self) {
            let after = STAND_IN.try_with(|stand_in| stand_in.replace(self.0.take())).ok().flatten();
            drop(after);
        }
    }

    let Some(observer) = observer else { return f() };
    let Ok(before) = STAND_IN.try_with(|stand_in| stand_in.replace(Some(observer))) else { return f() };
    let _restore = Restore(before);
    f()
}

/// The observer around the caller.
pub(crate) fn around() -> Option<Arc<dyn Observer>> {
    around_or(|| None)
}

/// The same; `known` is told where there is none, before a tool's.
pub(crate) fn around_or(known: impl FnOnce() -> Option<Arc<dyn Observer>>) -> Option<Arc<dyn Observer>> {
    if !is_on() {
        return None;
    }
    let group = context::group();
    let is_outside = group.is_none();
    let observer = group.and_then(|group| group.observer.clone());
    let stand_in = || STAND_IN.try_with(|stand_in| stand_in.borrow().clone()).ok().flatten();
    observer.or_else(stand_in).or_else(known).or_else(|| if is_outside { installed() } else { None })
}

/// Whether threads take turns around the caller. See [`Observer::takes_turns`].
pub(crate) fn takes_turns() -> bool {
    around().is_some_and(|observer| observer.takes_turns())
}

/// Tells the observer around the caller, if there is one.
pub(crate) fn tell<'a>(event: impl FnOnce() -> Event<'a>) {
    if let Some(observer) = around() {
        observer.observe(&event());
    }
}

/// Tells the observer around the caller what is waited for, and writes it down.
pub(crate) fn waits(on: impl FnOnce() -> Wait) {
    if !is_on() {
        return;
    }
    let on = on();
    if is_recording() {
        if let Some((notes, now)) = context::notes() {
            notes.waits(now, ready_list::lane(), on);
        }
    }
    tell(|| Event::Waits { task: context::task_id(), on });
}
