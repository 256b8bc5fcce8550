//! [`Recv`]: one who receives, and waits where there is no message.

use super::{Message, Receiver, RecvError, Taken};
use crate::coop;
use crate::observe::{self, Wait};
use crate::sync::Arc;
use crate::wait_queue::{Removed, wake_all};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// Receives a message. Made by [`Receiver::recv`].
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a, T> {
    receiver: &'a Receiver<T>,
    place: Place<T>,
}

enum Place<T> {
    /// Hasn't been polled.
    Outside,
    Queued(usize),
    /// Has a message, which is in flight as long as it gives way to others.
    Served(Message<T>),
    Done,
}

impl<'a, T> Recv<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver, place: Place::Outside }
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        if let Some(poll) = self.take(None, cx) {
            return poll;
        }
        // User code: cloned outside of the lock, and so it is looked once more.
        let waker = cx.waker().clone();
        self.take(Some(waker), cx).unwrap_or_else(|| {
            observe::waits(|| self.wait());
            Poll::Pending
        })
    }

    /// Takes what is there. Where nothing is, it queues with the waker, or there is no result without one.
    fn take(&mut self, waker: Option<Waker>, cx: &mut Context<'_>) -> Option<Poll<Result<T, RecvError>>> {
        let gives_way = coop::must_give_way(cx);
        let (taken, unused) = {
            let mut state = self.receiver.channel.state.lock();
            let taken = state.take();
            match (&taken, waker) {
                (Taken::Empty, Some(waker)) => {
                    self.place = Place::Queued(state.receiving.push(None, waker));
                    return None;
                }
                (Taken::Message(..), unused) => {
                    state.in_flight += usize::from(gives_way);
                    (taken, unused)
                }
                (_, unused) => (taken, unused),
            }
        };
        let poll = match taken {
            Taken::Message(message, sender) if gives_way => {
                // It is taken first, so that giving way costs no place in the order.
                self.place = Place::Served(message);
                wake_all(sender);
                if coop::poll_proceed(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                Some(Poll::Pending)
            }
            Taken::Message(message, sender) => {
                let _ = coop::poll_proceed(cx);
                wake_all(sender);
                Some(Poll::Ready(Ok(message.value)))
            }
            Taken::Ended => Some(Poll::Ready(Err(RecvError))),
            Taken::Empty => None,
        };
        drop(unused);
        poll
    }

    fn poll_queued(&mut self, key: usize, cx: &Context<'_>) -> Poll<Result<T, RecvError>> {
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let (poll, unused, wakers) = {
            let mut state = self.receiver.channel.state.lock();
            if state.receiving.is_notified(key) {
                self.place = Place::Done;
                match state.receiving.remove(key) {
                    Removed::Notified(Some(message)) => (Poll::Ready(Ok(message.value)), waker, state.saw()),
                    // Who is notified without a message was so by the end.
                    _ => (Poll::Ready(Err(RecvError)), waker, Vec::new()),
                }
            } else {
                (Poll::Pending, state.receiving.update(key, waker), Vec::new())
            }
        };
        wake_all(wakers);
        drop(unused);
        if poll.is_pending() {
            observe::waits(|| self.wait());
        }
        poll
    }

    fn wait(&self) -> Wait {
        Wait::Channel { address: Arc::as_ptr(&self.receiver.channel).addr(), sends: false }
    }
}

// A message is moved on, and never pinned.
impl<T> Unpin for Recv<'_, T> {}

impl<T> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match mem::replace(&mut self.place, Place::Done) {
            Place::Outside => self.poll_outside(cx),
            Place::Queued(key) => {
                self.place = Place::Queued(key);
                self.poll_queued(key, cx)
            }
            Place::Served(message) => {
                // Back in its place for as long as the waker, a user's, may panic.
                self.place = Place::Served(message);
                ready!(coop::poll_proceed(cx));
                let Place::Served(message) = mem::replace(&mut self.place, Place::Done) else {
                    unreachable!("it was just put there")
                };
                let wakers = self.receiver.channel.state.lock().saw();
                wake_all(wakers);
                Poll::Ready(Ok(message.value))
            }
            Place::Done => panic!("a receive was polled after it had ended"),
        }
    }
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        let channel = &self.receiver.channel;
        let (removed, waker) = match mem::replace(&mut self.place, Place::Done) {
            Place::Outside | Place::Done => return,
            Place::Served(message) => (None, channel.state.lock().take_back(message)),
            Place::Queued(key) => {
                let mut state = channel.state.lock();
                match state.receiving.remove(key) {
                    Removed::Notified(Some(message)) if !cfg!(bug_message_lost_on_drop) => {
                        (None, state.take_back(message))
                    }
                    removed => (Some(removed), None),
                }
            }
        };
        wake_all(waker);
        drop(removed);
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").field("receiver", self.receiver).finish_non_exhaustive()
    }
}
