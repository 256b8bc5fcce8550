//! Semaphores, limiters, mutexes and read-write locks: whatever has permits, polled by hand.
//!
//! After every step: as many permits are free, borrowed and waited for as the model says; whoever the model served was
//! woken, and nobody else. Each poll has the answer of the model.

mod model;
mod subject;

use self::model::{Answer, Model, Refusal};
use self::subject::{Guard, Kind, Subject};
use crate::machine::bytes::{Bytes, one_of};
use crate::machine::hand::Hand;
use std::task::Poll;

/// Steps on something that has permits.
#[derive(Debug)]
pub struct Program {
    kind: Kind,
    permits: usize,
    steps: Vec<Step>,
}

/// Numbers choose among those that there are at that time.
#[derive(Debug)]
enum Step {
    Ask(usize),
    /// On behalf of a key, where there are keys.
    AskFor(&'static str),
    Poll {
        which: u8,
        anew: bool,
    },
    /// Drops a future.
    Leave(u8),
    /// Never polls a future again, and doesn't drop it before the end.
    Abandon(u8),
    Try(usize),
    GiveBack(u8),
    /// Forgets a permit, or makes a writer a reader.
    Lessen(u8),
    Resize(usize),
    Close,
}

const KEYS: [&str; 3] = ["ann", "bob", "cat"];

impl Program {
    /// Reads a program. Any bytes are one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut bytes = Bytes::new(bytes);
        let kind = [Kind::Semaphore, Kind::Limiter, Kind::Mutex, Kind::RwLock][usize::from(bytes.below(4))];
        let permits = usize::from(bytes.below(5));
        let mut steps = Vec::new();
        while !bytes.is_empty() {
            let (step, which) = (bytes.below(20), bytes.next());
            let few = usize::from(which % 5);
            steps.push(match step {
                0..=4 => Step::Ask(few),
                5 => Step::AskFor(KEYS[usize::from(which) % KEYS.len()]),
                6..=10 => Step::Poll { which: which / 2, anew: which % 2 == 0 },
                11 | 12 => Step::Leave(which),
                13 => Step::Abandon(which),
                14 => Step::Try(few),
                15 | 16 => Step::GiveBack(which),
                17 => Step::Lessen(which),
                18 => Step::Resize(few),
                // Seldom: little happens afterwards.
                _ if which < 32 => Step::Close,
                _ => Step::Poll { which, anew: false },
            });
        }
        Self { kind, permits, steps }
    }

    /// Runs it beside the model.
    ///
    /// # Panics
    ///
    /// Where the two differ.
    pub fn run(&self) {
        let total = self.kind.total(self.permits);
        let mut run = Run {
            kind: self.kind,
            subject: Subject::new(self.kind, total),
            model: Model::new(total),
            writes: 0,
            made: 0,
            asks: Vec::new(),
            abandoned: Vec::new(),
            held: Vec::new(),
        };
        for step in &self.steps {
            run.step(step);
            run.check();
        }
        run.end();
    }
}

/// Somebody who asks.
struct Ask {
    id: model::Id,
    needed: usize,
    key: Option<&'static str>,
    hand: Hand<Result<Guard, Refusal>>,
}

/// A guard, and how many permits it stands for.
type Held = (Guard, usize);

struct Run {
    kind: Kind,
    subject: Subject,
    model: Model,
    /// How often somebody was alone.
    writes: usize,
    made: usize,
    asks: Vec<Ask>,
    abandoned: Vec<Ask>,
    held: Vec<Held>,
}

impl Run {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Ask(needed) => self.ask(needed, None),
            Step::AskFor(key) => self.ask(1, Some(key).filter(|_| self.kind == Kind::Limiter)),
            Step::Poll { which, anew } => {
                if let Some(at) = one_of(which, self.asks.len()) {
                    self.poll(at, anew);
                }
            }
            Step::Leave(which) => {
                if let Some(at) = one_of(which, self.asks.len()) {
                    let ask = self.asks.remove(at);
                    self.leave(ask);
                }
            }
            Step::Abandon(which) => {
                if let Some(at) = one_of(which, self.asks.len()) {
                    let ask = self.asks.remove(at);
                    self.abandoned.push(ask);
                }
            }
            Step::Try(needed) => self.try_ask(self.kind.needed(needed)),
            Step::GiveBack(which) => {
                if let Some(at) = one_of(which, self.held.len()) {
                    let held = self.held.remove(at);
                    self.give_back(held);
                }
            }
            Step::Lessen(which) => {
                if let Some(at) = one_of(which, self.held.len()) {
                    let held = self.held.remove(at);
                    self.lessen(held);
                }
            }
            Step::Resize(total) => self.resize(total),
            Step::Close => {
                if let Subject::Semaphore(semaphore) = &self.subject {
                    semaphore.close();
                    self.model.close();
                }
            }
        }
    }

    fn ask(&mut self, needed: usize, key: Option<&'static str>) {
        let needed = self.kind.needed(needed);
        let hand = self.subject.ask(needed, key);
        self.asks.push(Ask { id: self.made, needed, key, hand });
        self.made += 1;
    }

    fn poll(&mut self, at: usize, anew: bool) {
        let ask = &mut self.asks[at];
        let expected = if ask.hand.began() {
            self.model.look(ask.id)
        } else if ask.key.is_some_and(|key| !self.model.keys.insert(key)) {
            // It isn't its own.
            ask.key = None;
            Answer::Refused(Refusal::KeyTaken)
        } else {
            self.model.arrive(ask.id, ask.needed)
        };
        let answer = match ask.hand.poll(anew) {
            Poll::Pending => Answer::Waits,
            Poll::Ready(Err(refusal)) => Answer::Refused(refusal),
            Poll::Ready(Ok(guard)) => {
                assert_eq!(guard.key(), ask.key);
                self.held.push((guard, ask.needed));
                Answer::Granted
            }
        };
        assert_eq!(answer, expected, "for {}, the {}th, asking for {}", ask.id, at, ask.needed);
        if answer != Answer::Waits {
            self.asks.remove(at).hand.leave();
        }
        if answer == Answer::Granted {
            self.touch();
        }
    }

    fn try_ask(&mut self, needed: usize) {
        let mut expected = self.model.try_take(needed);
        // Several at a time of a semaphore are given back at once.
        if self.kind == Kind::Semaphore && needed != 1 && expected == Answer::Granted {
            self.model.give_back(needed);
            expected = Answer::Refused(Refusal::NoneFree);
        }
        let answer = match self.subject.try_ask(needed) {
            Ok(guard) => {
                self.held.push((guard, needed));
                Answer::Granted
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        assert_eq!(answer, expected, "trying for {needed}");
        if answer == Answer::Granted {
            self.touch();
        }
    }

    /// What the latest holder sees: a number that only those who were alone have changed.
    fn touch(&mut self) {
        let Some((guard, _)) = self.held.last_mut() else { return };
        self.writes += usize::from(guard.is_alone());
        assert!(guard.touch().is_none_or(|seen| seen == self.writes), "two were alone together");
        let alone = self.held.iter().filter(|held| held.0.is_alone()).count();
        assert!(alone == 0 || self.held.len() == 1, "somebody isn't alone");
    }

    fn leave(&mut self, ask: Ask) {
        if ask.hand.began() {
            if let Some(key) = ask.key {
                self.model.keys.remove(key);
            }
            self.model.leave(ask.id);
        }
        ask.hand.leave();
    }

    fn give_back(&mut self, (guard, permits): Held) {
        if let Some(key) = guard.key() {
            self.model.keys.remove(key);
        }
        drop(guard);
        self.model.give_back(permits);
    }

    fn lessen(&mut self, (guard, permits): Held) {
        match guard {
            Guard::Permit(permit) => {
                permit.forget();
                self.model.lose(permits);
            }
            Guard::Write(guard) => {
                self.held.push((Guard::Read(anyscope::sync::RwLockWriteGuardArc::downgrade(guard)), 1));
                self.model.give_back(permits - 1);
            }
            other => self.held.push((other, permits)),
        }
    }

    fn resize(&mut self, total: usize) {
        match &self.subject {
            Subject::Semaphore(semaphore) => {
                semaphore.add_permits(total);
                self.model.resize(self.model.total + total);
            }
            Subject::Limiter(limiter) => {
                limiter.set_total(total);
                self.model.resize(total);
            }
            Subject::Mutex(_) | Subject::RwLock(_) => {}
        }
    }

    fn check(&self) {
        let model = &self.model;
        if let Some(statistics) = self.subject.statistics() {
            let free = model.free();
            let seen = (statistics.total, statistics.available as i128, statistics.borrowed as i128);
            assert_eq!(seen, (model.total, free.max(0), model.total as i128 - free), "total, free, borrowed");
            assert_eq!(statistics.waiting, model.waiting(), "who waits");
        }
        if let Subject::Limiter(limiter) = &self.subject {
            for key in KEYS {
                assert_eq!(limiter.is_held_by(key), model.keys.contains(key), "{key}");
            }
        }
        for ask in self.asks.iter().chain(&self.abandoned) {
            assert_eq!(ask.hand.rung(), model.is_told(ask.id), "whether {} was woken", ask.id);
        }
    }

    /// Everything comes back, in whatever order: here in that of coming.
    fn end(mut self) {
        let mut asks = std::mem::take(&mut self.asks);
        asks.append(&mut self.abandoned);
        for ask in asks {
            self.leave(ask);
            self.check();
        }
        for held in std::mem::take(&mut self.held) {
            self.give_back(held);
            self.check();
        }
        assert_eq!(self.model.free(), self.model.total as i128, "a permit of the model is lost");
    }
}
