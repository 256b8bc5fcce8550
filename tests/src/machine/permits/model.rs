//! What permits are: numbers, and a queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Whoever asks, by the order of being made.
pub(crate) type Id = usize;

/// What one is told who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted,
    Waits,
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Closed,
    TooMany,
    KeyTaken,
    NoneFree,
}

/// The rules: first come, first served; permits are given to who is first as soon as they suffice.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) total: usize,
    /// Held by whoever has a permit.
    pub(crate) held: usize,
    pub(crate) closed: bool,
    queue: VecDeque<(Id, usize)>,
    /// Who was told something and hasn't looked, and how many permits are on their way to them.
    told: BTreeMap<Id, (Answer, usize)>,
    pub(crate) keys: BTreeSet<&'static str>,
}

impl Model {
    pub(crate) fn new(total: usize) -> Self {
        Self { total, ..Self::default() }
    }

    /// Negative after a shrink below what is in use.
    pub(crate) fn free(&self) -> i128 {
        let on_their_way: usize = self.told.values().map(|told| told.1).sum();
        self.total as i128 - self.held as i128 - on_their_way as i128
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_told(&self, id: Id) -> bool {
        self.told.contains_key(&id)
    }

    /// Takes permits without waiting.
    pub(crate) fn try_take(&mut self, needed: usize) -> Answer {
        if self.closed {
            Answer::Refused(Refusal::Closed)
        } else if self.total > 0 && needed > self.total {
            Answer::Refused(Refusal::TooMany)
        } else if self.queue.is_empty() && self.free() >= needed as i128 {
            self.held += needed;
            Answer::Granted
        } else {
            Answer::Refused(Refusal::NoneFree)
        }
    }

    /// Somebody asks, and waits where there are none.
    pub(crate) fn arrive(&mut self, id: Id, needed: usize) -> Answer {
        match self.try_take(needed) {
            Answer::Refused(Refusal::NoneFree) => {
                self.queue.push_back((id, needed));
                Answer::Waits
            }
            answer => answer,
        }
    }

    /// Who has asked looks whether there is an answer.
    pub(crate) fn look(&mut self, id: Id) -> Answer {
        match self.told.remove(&id) {
            None => Answer::Waits,
            Some((answer, permits)) => {
                self.held += permits;
                answer
            }
        }
    }

    pub(crate) fn leave(&mut self, id: Id) {
        self.told.remove(&id);
        self.queue.retain(|waits| waits.0 != id);
        self.serve();
    }

    pub(crate) fn give_back(&mut self, permits: usize) {
        self.held -= permits;
        self.serve();
    }

    /// Takes permits that are held out of the world.
    pub(crate) fn lose(&mut self, permits: usize) {
        self.held -= permits;
        self.total -= permits;
        let (total, told) = (self.total, &mut self.told);
        self.queue.retain(|&(id, needed)| {
            let fits = total == 0 || needed <= total;
            if !fits {
                told.insert(id, (Answer::Refused(Refusal::TooMany), 0));
            }
            fits
        });
        self.serve();
    }

    pub(crate) fn resize(&mut self, total: usize) {
        self.total = total;
        self.serve();
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        for (id, _) in self.queue.drain(..) {
            self.told.insert(id, (Answer::Refused(Refusal::Closed), 0));
        }
    }

    fn serve(&mut self) {
        while let Some(&(id, needed)) = self.queue.front() {
            if self.free() < needed as i128 {
                return;
            }
            self.queue.pop_front();
            self.told.insert(id, (Answer::Granted, needed));
        }
    }
}
