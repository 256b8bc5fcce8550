//! What a wake comes from.

use crate::context;
use crate::group::core::GroupCore;
use crate::sync::thread_local;
use crate::task::TaskId;
use std::cell::Cell;

thread_local! {
    /// The task whose end wakes others.
    static ENDED: Cell<Option<TaskId>> = const { Cell::new(None) };
}

/// Runs `f`, which wakes who waited for the end of `task`, a member of `group`: it isn't polled any more, so nothing is
/// around the caller that would tell.
pub(crate) fn by_the_end_of<T>(task: TaskId, group: &GroupCore, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<TaskId>);

    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = ENDED.try_with(|ended| ended.set(self.0));
        }
    }

    if !group.is_told() {
        return f();
    }
    let Ok(before) = ENDED.try_with(|ended| ended.replace(Some(task))) else { return f() };
    let _restore = Restore(before);
    f()
}

/// The task that a wake comes from: the one that is running, unless it is the end of another that wakes.
pub(crate) fn cause() -> Option<TaskId> {
    ENDED.try_with(Cell::get).ok().flatten().or_else(context::task_id)
}
