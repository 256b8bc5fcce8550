//! [`Send`]: one who sends, and waits where there is no room.

use super::{Offered, SendError, Sender};
use crate::coop;
use crate::observe::{self, Wait};
use crate::sync::Arc;
use crate::wait_queue::{Removed, wake_all};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Sends a message. Made by [`Sender::send`].
#[must_use = "futures do nothing unless awaited"]
pub struct Send<'a, T> {
    sender: &'a Sender<T>,
    place: Place<T>,
}

enum Place<T> {
    /// Hasn't been polled.
    Outside(T),
    /// The queue has the message.
    Queued(usize),
    /// The message was accepted; gives way to others before it says so.
    Accepted,
    Done,
}

impl<'a, T> Send<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, message: T) -> Self {
        Self { sender, place: Place::Outside(message) }
    }

    fn poll_queued(&mut self, key: usize, cx: &Context<'_>) -> Poll<Result<(), SendError<T>>> {
        // User code: cloned before the lock, dropped after it.
        let waker = cx.waker().clone();
        let (removed, unused) = {
            let mut state = self.sender.channel.state.lock();
            if state.offering.is_notified(key) {
                self.place = Place::Done;
                (Some(state.offering.remove(key)), waker)
            } else {
                (None, state.offering.update(key, waker))
            }
        };
        let poll = match removed {
            None => {
                observe::waits(|| self.wait());
                Poll::Pending
            }
            // Who is notified with the message still there was so by a close.
            Some(Removed::Notified(Some(message))) => Poll::Ready(Err(SendError(message))),
            Some(Removed::Notified(None)) => Poll::Ready(Ok(())),
            Some(Removed::Queued(..)) => unreachable!("it is notified"),
        };
        drop(unused);
        poll
    }

    fn wait(&self) -> Wait {
        Wait::Channel { address: Arc::as_ptr(&self.sender.channel).addr(), sends: true }
    }
}

// The message is moved on, and never pinned.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match mem::replace(&mut self.place, Place::Done) {
            Place::Outside(message) => {
                let offered = self.sender.channel.state.lock().offer(message);
                let offered = match offered {
                    Offered::Full(message) => {
                        // User code: cloned outside of the lock, and so it is asked once more.
                        let waker = cx.waker().clone();
                        let mut state = self.sender.channel.state.lock();
                        let blindly = cfg!(bug_queued_in_a_closed_channel);
                        match if blindly { Offered::Full(message) } else { state.offer(message) } {
                            Offered::Full(message) => {
                                self.place = Place::Queued(state.offering.push(Some(message), waker));
                                drop(state);
                                observe::waits(|| self.wait());
                                return Poll::Pending;
                            }
                            offered => {
                                drop(state);
                                offered
                            }
                        }
                    }
                    offered => offered,
                };
                match offered {
                    Offered::Accepted(receiver) => {
                        self.place = Place::Accepted;
                        wake_all(receiver);
                    }
                    Offered::Closed(message) => return Poll::Ready(Err(SendError(message))),
                    Offered::Full(_) => unreachable!("it waits then"),
                }
            }
            Place::Queued(key) => {
                self.place = Place::Queued(key);
                return self.poll_queued(key, cx);
            }
            Place::Accepted => self.place = Place::Accepted,
            Place::Done => panic!("a send was polled after it had ended"),
        }
        // The message is sent first, so that giving way costs no place in the order.
        ready!(coop::poll_proceed(cx));
        self.place = Place::Done;
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for Send<'_, T> {
    fn drop(&mut self) {
        if let Place::Queued(key) = self.place {
            let removed = self.sender.channel.state.lock().offering.remove(key);
            drop(removed);
        }
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("sender", self.sender).finish_non_exhaustive()
    }
}
