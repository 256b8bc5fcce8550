//! What a channel is: messages in a row, and those who wait at either end.

use std::collections::{BTreeMap, VecDeque};

/// Whoever sends or receives, by the order of being made.
pub(crate) type Id = usize;
/// A message, by the order of being made.
pub(crate) type Message = usize;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Accepted,
    /// Waits, or would have to.
    Full,
    Closed,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Message(Message),
    /// Waits, or would have to.
    Empty,
    Ended,
}

/// A message that was accepted, with its place in the order of being so.
type Numbered = (usize, Message);

/// The rules: everybody in the order of coming, each message to one, in the order of being accepted.
pub(crate) struct Model {
    /// `None` where it is unbounded.
    pub(crate) capacity: Option<usize>,
    pub(crate) closed: bool,
    accepted: usize,
    row: VecDeque<Numbered>,
    offering: VecDeque<(Id, Message)>,
    receiving: VecDeque<Id>,
    /// Senders that were told, and haven't looked: whether it was accepted.
    told: BTreeMap<Id, bool>,
    /// Receivers that were handed a message or the end, and haven't looked.
    handed: BTreeMap<Id, Option<Numbered>>,
}

impl Model {
    pub(crate) fn new(capacity: Option<usize>) -> Self {
        Self {
            capacity,
            closed: false,
            accepted: 0,
            row: VecDeque::new(),
            offering: VecDeque::new(),
            receiving: VecDeque::new(),
            told: BTreeMap::new(),
            handed: BTreeMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }

    /// How many messages it keeps, wherever: also those that their senders are to have back.
    pub(crate) fn kept(&self) -> usize {
        let refused = self.told.values().filter(|accepted| !**accepted).count();
        self.row.len() + self.offering.len() + self.handed.values().flatten().count() + refused
    }

    pub(crate) fn is_told(&self, id: Id) -> bool {
        self.told.contains_key(&id) || self.handed.contains_key(&id)
    }

    pub(crate) fn try_send(&mut self, message: Message) -> Sent {
        if self.closed {
            return Sent::Closed;
        }
        let numbered = (self.accepted, message);
        if let Some(receiver) = self.receiving.pop_front() {
            self.handed.insert(receiver, Some(numbered));
        } else if self.has_room() {
            self.row.push_back(numbered);
        } else {
            return Sent::Full;
        }
        self.accepted += 1;
        Sent::Accepted
    }

    pub(crate) fn send(&mut self, id: Id, message: Message) -> Sent {
        let sent = self.try_send(message);
        if sent == Sent::Full {
            self.offering.push_back((id, message));
        }
        sent
    }

    pub(crate) fn look_whether_sent(&mut self, id: Id) -> Sent {
        match self.told.remove(&id) {
            None => Sent::Full,
            Some(true) => Sent::Accepted,
            Some(false) => Sent::Closed,
        }
    }

    pub(crate) fn stop_sending(&mut self, id: Id) {
        self.told.remove(&id);
        self.offering.retain(|offered| offered.0 != id);
    }

    pub(crate) fn try_receive(&mut self) -> Received {
        // In a row without room, what is first is with whoever waits to send it.
        if self.row.is_empty() {
            self.accept();
        }
        let Some((_, message)) = self.row.pop_front() else {
            return if self.has_ended() { Received::Ended } else { Received::Empty };
        };
        if self.has_room() {
            self.accept();
        }
        Received::Message(message)
    }

    pub(crate) fn receive(&mut self, id: Id) -> Received {
        let received = self.try_receive();
        if received == Received::Empty {
            self.receiving.push_back(id);
        }
        received
    }

    pub(crate) fn look_what_came(&mut self, id: Id) -> Received {
        match self.handed.remove(&id) {
            None => Received::Empty,
            Some(None) => Received::Ended,
            Some(Some((_, message))) => {
                self.tell_of_the_end();
                Received::Message(message)
            }
        }
    }

    /// What was handed to whoever leaves goes to the next, or to its old place.
    pub(crate) fn stop_receiving(&mut self, id: Id) {
        self.receiving.retain(|receiver| *receiver != id);
        let Some(Some(numbered)) = self.handed.remove(&id) else { return };
        if let Some(next) = self.receiving.pop_front() {
            self.handed.insert(next, Some(numbered));
        } else {
            self.row.push_back(numbered);
            self.row.make_contiguous().sort();
        }
    }

    pub(crate) fn close(&mut self) -> bool {
        let first = !self.closed;
        self.closed = true;
        for (id, _) in self.offering.drain(..) {
            self.told.insert(id, false);
        }
        self.tell_of_the_end();
        first
    }

    /// Nobody is left who could receive.
    pub(crate) fn lose_receivers(&mut self) {
        self.row.clear();
        self.close();
    }

    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.row.len() < capacity)
    }

    /// Accepts what is offered first.
    fn accept(&mut self) {
        if let Some((id, message)) = self.offering.pop_front() {
            self.row.push_back((self.accepted, message));
            self.accepted += 1;
            self.told.insert(id, true);
        }
    }

    fn has_ended(&self) -> bool {
        self.closed && self.row.is_empty() && self.handed.values().flatten().next().is_none()
    }

    fn tell_of_the_end(&mut self) {
        if self.has_ended() {
            for id in self.receiving.drain(..) {
                self.handed.insert(id, None);
            }
        }
    }
}
