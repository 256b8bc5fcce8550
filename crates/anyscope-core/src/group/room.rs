//! Waiting for a place in a group with a limit.

use super::core::GroupCore;
use crate::coop;
use crate::observe::{self, Wait};
use crate::sync::Arc;
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
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let (poll, unused) = {
            let mut state = this.group.state.lock();
            if this.group.has_room(&state) {
                (Poll::Ready(()), (Some(waker), state.rare.as_mut().and_then(|rare| rare.room.leave(&mut this.key))))
            } else {
                // Where it was notified, somebody else was faster.
                (Poll::Pending, (state.rare().room.wait(&mut this.key, waker), None))
            }
        };
        drop(unused);
        if poll.is_pending() {
            observe::waits(|| Wait::Signal("room in its group"));
        }
        poll
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.key.is_some() {
            let unused = self.group.state.lock().rare().room.leave(&mut self.key);
            drop(unused);
        }
    }
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
