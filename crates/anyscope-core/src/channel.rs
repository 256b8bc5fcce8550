//! Channels: messages from many senders to many receivers, each to one of them.
//!
//! | made by | holds |
//! |---|---|
//! | [`bounded`]`(n)`, also `anyscope::channel(n)` | up to `n` messages; who sends more waits |
//! | [`rendezvous`], `bounded(0)` | none: who sends waits for who receives |
//! | [`unbounded`] | any number: nobody waits to send |
//!
//! First in, first out: messages, those who wait to send, and those who wait to receive. A message goes from hand to
//! hand under one lock, and nobody takes it, or the room for one, past those who wait.
//!
//! What was sent is received for as long as there is somebody to receive it. A message that was handed to a future goes
//! on when that is dropped: to the next who waits, or back to its place in the channel.
//!
//! # Examples
//!
//! ```
//! use anyscope::task_group;
//!
//! anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
//!     let (sender, receiver) = anyscope::channel(2);
//!     g.spawn(async move {
//!         for number in 0..5 {
//!             sender.send(number).await.unwrap();
//!         }
//!     });
//!     let mut sum = 0;
//!     // Ends with the last sender.
//!     while let Ok(number) = receiver.recv().await {
//!         sum += number;
//!     }
//!     assert_eq!(sum, 10);
//! }));
//! ```

// # States of a message
//
// *offered* (in the queue of those who wait to send) → *buffered* → *handed over* (to a receiver that hasn't seen it) →
// seen. It may skip each of the first three, and goes back from the third to the second, or to another receiver, where
// its receiver is dropped.
//
// # Invariants
//
// 1. Receivers wait only while nothing is buffered and nobody offers anything.
// 2. Senders wait only while the buffer is full. Messages that came back may make it longer than the capacity.
// 3. The buffer is in the order of the tickets, which messages get when they leave their sender.
// 4. `in_flight` is how many messages are handed over and not seen.
// 5. Receivers are told of the end once the channel is closed, the buffer is empty and nothing is in flight: nothing
//    comes after that, and what is in flight may still come back to one of them.
//
// # Lock order
//
// One lock, a leaf. Wakers are cloned before it, called and dropped after it, and so are messages dropped.
//
// # Races
//
// A close against a send: whoever has the lock first. Who waited to send at that time gets the message back. A receiver
// that is dropped against a hand-over to it: it finds the message when it leaves, and passes it on.

mod error;
#[cfg(all(test, anyscope_loom))]
mod loom;
mod recv;
mod send;

pub use error::{RecvError, SendError, TryRecvError, TrySendError};

/// The futures of this module, each named after its method.
pub mod futures {
    pub use super::recv::Recv;
    pub use super::send::Send;
}

use self::futures::{Recv, Send};
use crate::guard;
use crate::sync::{Arc, Mutex};
use crate::wait_queue::{WaitQueue, wake_all};
use std::collections::VecDeque;
use std::fmt;
use std::task::Waker;

/// Makes a channel that holds up to `capacity` messages. One that holds none is a [`rendezvous`].
///
/// # Examples
///
/// ```
/// let (sender, receiver) = anyscope::channel(1);
/// assert!(sender.try_send("one").is_ok());
/// assert!(sender.try_send("two").unwrap_err().is_full());
/// assert_eq!(receiver.try_recv(), Ok("one"));
/// ```
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Some(capacity))
}

/// Makes a channel that holds any number of messages: where those who receive are slower for long, its memory grows.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = anyscope::channel::unbounded();
/// for number in 0..1000 {
///     sender.try_send(number).unwrap();
/// }
/// assert_eq!((receiver.len(), receiver.capacity()), (1000, None));
/// ```
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(None)
}

/// Makes a channel without room: each message goes from one who sends to one who receives, and the first of them waits.
///
/// A message that was taken by a receiver, which was dropped before it saw it, stays in the channel for the next.
///
/// # Examples
///
/// ```
/// use anyscope::gather;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let (sender, receiver) = anyscope::channel::rendezvous();
///     assert!(sender.try_send("nobody waits").is_err());
///     let (sent, received) = gather((sender.send("hello"), receiver.recv())).await;
///     assert_eq!((sent, received), (Ok(()), Ok("hello")));
/// });
/// ```
#[must_use]
pub fn rendezvous<T>() -> (Sender<T>, Receiver<T>) {
    pair(Some(0))
}

fn pair<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let state = State {
        capacity,
        buffer: VecDeque::new(),
        next_ticket: 0,
        in_flight: 0,
        offering: WaitQueue::new(),
        receiving: WaitQueue::new(),
        senders: 1,
        receivers: 1,
        closed: false,
    };
    let channel = Arc::new(Channel { state: Mutex::new(state) });
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// What both ends share.
struct Channel<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    /// `None` where it is unbounded.
    capacity: Option<usize>,
    buffer: VecDeque<Message<T>>,
    next_ticket: u64,
    in_flight: usize,
    /// Those who wait to send, each with its message; it is gone where it was accepted.
    offering: WaitQueue<Option<T>>,
    /// Those who wait to receive, each with the message it was handed.
    receiving: WaitQueue<Option<Message<T>>>,
    senders: usize,
    receivers: usize,
    closed: bool,
}

/// A message on its way, with its place in the order.
struct Message<T> {
    ticket: u64,
    value: T,
}

/// Whether a message could be taken.
enum Taken<T> {
    /// And whom that made room for.
    Message(Message<T>, Option<Waker>),
    Empty,
    /// Nothing will ever come.
    Ended,
}

/// Whether a message could be sent.
enum Offered<T> {
    /// And who has it.
    Accepted(Option<Waker>),
    Full(T),
    Closed(T),
}

impl<T> State<T> {
    fn ticket(&mut self) -> u64 {
        let ticket = self.next_ticket;
        // 64 bits don't run out.
        self.next_ticket += 1;
        ticket
    }

    fn offer(&mut self, value: T) -> Offered<T> {
        if self.closed {
            return Offered::Closed(value);
        }
        if let Some(slot) = self.receiving.front() {
            *slot = Some(Message { ticket: self.next_ticket, value });
            self.next_ticket += 1;
            self.in_flight += 1;
            return Offered::Accepted(self.receiving.notify_front());
        }
        // Where there is room, nobody waits for it (invariant 2).
        if self.has_room() {
            let ticket = self.ticket();
            self.buffer.push_back(Message { ticket, value });
            return Offered::Accepted(None);
        }
        Offered::Full(value)
    }

    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.buffer.len() < capacity)
    }

    /// Takes the message that is next.
    fn take(&mut self) -> Taken<T> {
        if let Some(message) = self.buffer.pop_front() {
            let mut waker = None;
            if self.has_room() {
                if let Some((offered, sender)) = self.take_offered() {
                    self.buffer.push_back(offered);
                    waker = sender;
                }
            }
            return Taken::Message(message, waker);
        }
        match self.take_offered() {
            Some((message, sender)) => Taken::Message(message, sender),
            None if self.has_ended() => Taken::Ended,
            None => Taken::Empty,
        }
    }

    /// Takes the message of who waits longest to send.
    fn take_offered(&mut self) -> Option<(Message<T>, Option<Waker>)> {
        let value = self.offering.front()?.take()?;
        let waker = self.offering.notify_front();
        Some((Message { ticket: self.ticket(), value }, waker))
    }

    /// Nothing will ever come (invariant 5).
    fn has_ended(&self) -> bool {
        self.closed && self.buffer.is_empty() && (cfg!(bug_end_told_early) || self.in_flight == 0)
    }

    /// Enters that a message in flight was seen, and tells those who wait where it was the last.
    fn saw(&mut self) -> Vec<Waker> {
        self.in_flight -= 1;
        self.end_if_over()
    }

    /// Takes back a message that was in flight: for the next who waits, or for its old place.
    fn take_back(&mut self, message: Message<T>) -> Option<Waker> {
        if let Some(slot) = self.receiving.front() {
            *slot = Some(message);
            return self.receiving.notify_front();
        }
        self.in_flight -= 1;
        let place = self.buffer.iter().position(|other| other.ticket > message.ticket).unwrap_or(self.buffer.len());
        self.buffer.insert(place, message);
        None
    }

    fn close(&mut self) -> Vec<Waker> {
        if self.closed {
            return Vec::new();
        }
        self.closed = true;
        let mut wakers = self.offering.notify_all();
        wakers.extend(self.end_if_over());
        wakers
    }

    fn end_if_over(&mut self) -> Vec<Waker> {
        if self.has_ended() { self.receiving.notify_all() } else { Vec::new() }
    }
}

impl<T> Channel<T> {
    fn close(&self) -> bool {
        let (first, wakers) = {
            let mut state = self.state.lock();
            (!state.closed, state.close())
        };
        wake_all(wakers);
        first
    }
}

/// The end of a channel that messages go into. Clones are ends of the same channel.
///
/// The channel is closed when its last sender is dropped.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

/// The end of a channel that messages come out of. Clones are ends of the same channel: each message goes to one.
///
/// The channel is closed when its last receiver is dropped, and the messages in it are dropped then.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends a message, and waits for room behind those who came before. In a [`rendezvous`], waits for a receiver.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message, where the channel is closed, now or while it waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the message, unless it has been accepted: then it is received all the same.
    pub fn send(&self, message: T) -> Send<'_, T> {
        Send::new(self, message)
    }

    /// Sends a message, if there is room, or a receiver that waits.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] with the message, where there is neither, or the channel is closed.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let offered = self.channel.state.lock().offer(message);
        match offered {
            Offered::Accepted(receiver) => {
                wake_all(receiver);
                Ok(())
            }
            Offered::Full(message) => Err(TrySendError::full(message)),
            Offered::Closed(message) => Err(TrySendError::closed(message)),
        }
    }
}

impl<T> Receiver<T> {
    /// Receives a message, and waits for one behind those who came before.
    ///
    /// # Errors
    ///
    /// [`RecvError`] where the channel is closed and all its messages have been received. One that was handed to
    /// somebody else who hasn't looked yet may still come back; the end is told after that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place. A message that had been handed over goes to the next who waits, or back
    /// to its place in the channel.
    pub fn recv(&self) -> Recv<'_, T> {
        Recv::new(self)
    }

    /// Receives a message, if there is one and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] where there is none now, or none will ever come.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let taken = self.channel.state.lock().take();
        match taken {
            Taken::Message(message, sender) => {
                wake_all(sender);
                Ok(message.value)
            }
            Taken::Empty => Err(TryRecvError::EMPTY),
            Taken::Ended => Err(TryRecvError::ENDED),
        }
    }
}

macro_rules! end {
    ($end:ident, $count:ident) => {
        impl<T> $end<T> {
            /// Closes the channel: nobody can send any more, and those who wait to get their message back.
            ///
            /// What is in the channel can still be received. Returns whether it was open.
            pub fn close(&self) -> bool {
                self.channel.close()
            }

            /// Returns whether the channel is closed: by [`close`](Self::close), or with the last of either end.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.channel.state.lock().closed
            }

            /// Returns how many messages are in the channel. Those of senders that wait don't count.
            #[must_use]
            pub fn len(&self) -> usize {
                self.channel.state.lock().buffer.len()
            }

            /// Returns whether no message is in the channel.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Returns how many messages the channel holds: `None` where there is no bound.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                self.channel.state.lock().capacity
            }
        }

        impl<T> Clone for $end<T> {
            fn clone(&self) -> Self {
                self.channel.state.lock().$count += 1;
                Self { channel: self.channel.clone() }
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (len, capacity, closed) = {
                    let state = self.channel.state.lock();
                    (state.buffer.len(), state.capacity, state.closed)
                };
                f.debug_struct(stringify!($end))
                    .field("len", &len)
                    .field("capacity", &capacity)
                    .field("is_closed", &closed)
                    .finish_non_exhaustive()
            }
        }
    };
}

end!(Sender, senders);
end!(Receiver, receivers);

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let wakers = {
            let mut state = self.channel.state.lock();
            state.senders -= 1;
            if state.senders == 0 { state.close() } else { Vec::new() }
        };
        wake_all(wakers);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let (wakers, lost) = {
            let mut state = self.channel.state.lock();
            state.receivers -= 1;
            if state.receivers > 0 {
                return;
            }
            // Nobody can ever receive them; and one of them may be what keeps a sender.
            let lost = std::mem::take(&mut state.buffer);
            (state.close(), lost)
        };
        wake_all(wakers);
        let _locked = cfg!(bug_messages_dropped_under_the_lock).then(|| self.channel.state.lock());
        let mut panics = Vec::new();
        for message in lost {
            panics.extend(guard::drop_caught(message));
        }
        let mut panics = panics.into_iter();
        let first = panics.next();
        panics.for_each(guard::forget);
        guard::resume(first);
    }
}
