//! Waiting for a place in a group with a limit.

use super::core::GroupCore;
use crate::coop;
use crate::sync::Arc;
use crate::wait_queue::Removed;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Waits until a child would start at once. Made by [`TaskGroup::room`](crate::TaskGroup::room).
#[must_use = "futures do nothing unless awaited"]
pub struct Room<'g> {
    group: Arc<GroupCore>,
    key: Option<usize>,
    lent: PhantomData<&'g ()>,
}

impl Room<'_> {
    pub(super) fn new(group: &Arc<GroupCore>) -> Self {
        Self { group: group.clone(), key: None, lent: PhantomData }
    }

    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            let removed = self.group.state.lock().room.remove(key);
            if let Removed::Queued((), waker) = removed {
                drop(waker);
            }
        }
    }
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let (free, unused) = {
            let mut state = this.group.state.lock();
            if this.group.has_room(&state) {
                (true, Some(waker))
            } else {
                match this.key {
                    Some(key) if !state.room.is_notified(key) => (false, Some(state.room.update(key, waker))),
                    // Notified, but somebody else was faster.
                    key => {
                        if let Some(key) = key {
                            let _ = state.room.remove(key);
                        }
                        this.key = Some(state.room.push((), waker));
                        (false, None)
                    }
                }
            }
        };
        drop(unused);
        if !free {
            return Poll::Pending;
        }
        this.leave();
        Poll::Ready(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
