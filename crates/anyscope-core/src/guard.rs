//! Panics of users' code: caught where other users' code has to run first, and sent on their way afterwards.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

pub(crate) type Payload = Box<dyn Any + Send>;

/// Runs `f` and hands a panic out as a value.
///
/// `AssertUnwindSafe`: whoever catches here either resumes the panic in the owner of what was touched, or drops
/// what was touched without looking at it.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Payload> {
    panic::catch_unwind(AssertUnwindSafe(f))
}

/// Drops a value of a user's, whose destructor may panic.
pub(crate) fn drop_caught<T>(value: T) -> Option<Payload> {
    clear_caught(|| drop(value))
}

/// The same, where nobody will see the panic.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Some(payload) = drop_caught(value) {
        forget(payload);
    }
}

/// The same as [`drop_caught`], where the value stays in its place.
pub(crate) fn clear_caught(clear: impl FnOnce()) -> Option<Payload> {
    #[cfg(bug_panicking_drop_not_caught)]
    let clear = {
        clear();
        || ()
    };
    catch(clear).err()
}

/// Goes on with a panic that was caught, unless the thread unwinds already: two at once would abort the process.
pub(crate) fn resume(payload: Option<Payload>) {
    if let Some(payload) = payload {
        if thread::panicking() {
            forget(payload);
        } else {
            panic::resume_unwind(payload);
        }
    }
}

/// Drops a payload nobody will see. The destructor of a payload can panic too, and gets one chance.
pub(crate) fn forget(payload: Payload) {
    if let Some(second) = drop_caught(payload) {
        std::mem::forget(second);
    }
}

/// What a panic said, where it said it as a string.
pub(crate) fn message(payload: &Payload) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a payload that is no string".to_owned()
    }
}
