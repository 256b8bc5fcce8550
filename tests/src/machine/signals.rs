//! Tokens, an event and a barrier, polled by hand.
//!
//! After every step: each token is cancelled if the model's is, for the same reason; whoever the model let through was
//! woken, and nobody else. Each poll has the answer of the model.

mod model;

use self::model::{Barrier, Id, Tree};
use crate::machine::bytes::{Bytes, one_of};
use crate::machine::hand::Hand;
use anyscope::{CancelToken, DropGuard, Reason, ReasonKind, sync};
use std::future::pending;
use std::sync::Arc;
use std::task::Poll;

/// Steps on tokens, an event and a barrier.
#[derive(Debug)]
pub struct Program {
    size: usize,
    steps: Vec<Step>,
}

/// Numbers choose among those that there are at that time.
#[derive(Debug)]
enum Step {
    Root,
    Child(u8),
    Cancel(u8),
    /// Lets go of a token, which changes nothing for those below it.
    DropToken(u8),
    Guard(u8),
    DropGuard {
        which: u8,
        disarms: bool,
    },
    /// Waits for a token's cancellation.
    Wait(u8),
    /// Waits for the event, or for ever, under a token.
    Run {
        under: u8,
        for_event: bool,
    },
    WaitForEvent,
    Arrive,
    Set,
    Poll {
        which: u8,
        anew: bool,
    },
    Leave(u8),
}

impl Program {
    /// Reads a program. Any bytes are one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut bytes = Bytes::new(bytes);
        let size = usize::from(bytes.below(5));
        let mut steps = Vec::new();
        while !bytes.is_empty() {
            let (step, which) = (bytes.below(24), bytes.next());
            let (half, odd) = (which / 2, which % 2 == 1);
            steps.push(match step {
                0 => Step::Root,
                1..=4 => Step::Child(which),
                5 if odd => Step::Cancel(half),
                6 => Step::DropToken(which),
                7 => Step::Guard(which),
                8 => Step::DropGuard { which: half, disarms: odd },
                9 | 10 => Step::Wait(which),
                11 | 12 => Step::Run { under: half, for_event: odd },
                13 => Step::WaitForEvent,
                14 | 15 => Step::Arrive,
                16 if which < 32 => Step::Set,
                17 | 18 => Step::Leave(which),
                _ => Step::Poll { which: half, anew: !odd },
            });
        }
        Self { size, steps }
    }

    /// Runs it beside the model.
    ///
    /// # Panics
    ///
    /// Where the two differ.
    pub fn run(&self) {
        let mut run = Run {
            tokens: vec![Some(CancelToken::new())],
            guards: Vec::new(),
            event: Arc::default(),
            barrier: Arc::new(sync::Barrier::new(self.size)),
            tree: Tree(Vec::new()),
            set: false,
            round: Barrier::new(self.size),
            requests: 0,
            made: 0,
            waits: Vec::new(),
        };
        run.tree.root();
        for step in &self.steps {
            run.step(step);
            run.check();
        }
        while let Some(wait) = run.waits.pop() {
            run.leave(wait);
            run.check();
        }
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum For {
    Cancellation(usize),
    /// The event, if it is for that, or the cancellation.
    Under(usize, bool),
    Event,
    Others,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Done,
    Led(bool),
    Cancelled(String),
}

struct Wait {
    id: Id,
    what: For,
    hand: Hand<Came>,
}

struct Run {
    tokens: Vec<Option<CancelToken>>,
    /// Each with its token and the number of its request.
    guards: Vec<(DropGuard, usize)>,
    event: Arc<sync::Event>,
    barrier: Arc<sync::Barrier>,
    tree: Tree,
    set: bool,
    round: Barrier,
    requests: usize,
    made: usize,
    waits: Vec<Wait>,
}

/// The reason of a guard has no message.
const OF_A_GUARD: usize = usize::MAX;

fn told(reason: &Reason) -> String {
    match reason.kind() {
        ReasonKind::Explicit => reason.message().unwrap_or("nothing").to_owned(),
        kind => format!("{kind:?}"),
    }
}

fn words(why: usize) -> String {
    if why == OF_A_GUARD { "Dropped".to_owned() } else { format!("request {why}") }
}

impl Run {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Root => {
                self.tokens.push(Some(CancelToken::new()));
                self.tree.root();
            }
            Step::Child(which) => {
                if let Some((at, token)) = self.a_token(which) {
                    self.tokens.push(Some(token.child()));
                    self.tree.child(at);
                }
            }
            Step::Cancel(which) => {
                if let Some((at, token)) = self.a_token(which) {
                    self.requests += 1;
                    let first = token.cancel_with(words(self.requests));
                    assert_eq!(first, self.tree.cancel(at, self.requests), "whether it was the first request");
                }
            }
            Step::DropToken(which) => {
                if let Some((at, _)) = self.a_token(which) {
                    self.tokens[at] = None;
                }
            }
            Step::Guard(which) => {
                if let Some((at, token)) = self.a_token(which) {
                    self.guards.push((token.drop_guard(), at));
                }
            }
            Step::DropGuard { which, disarms } => {
                let Some(at) = one_of(which, self.guards.len()) else { return };
                let (guard, token) = self.guards.remove(at);
                if disarms {
                    guard.disarm();
                } else {
                    drop(guard);
                    self.tree.cancel(token, OF_A_GUARD);
                }
            }
            Step::Wait(which) => {
                if let Some((at, token)) = self.a_token(which) {
                    let wait = Hand::new(async move { Came::Cancelled(told(&token.cancelled().await)) });
                    self.wait(For::Cancellation(at), wait);
                }
            }
            Step::Run { under, for_event } => {
                let Some((at, token)) = self.a_token(under) else { return };
                let event = self.event.clone();
                let work = async move { if for_event { event.wait().await } else { pending().await } };
                let wait = Hand::new(async move {
                    token.run(work).await.map_or_else(|cut| Came::Cancelled(told(cut.reason())), |()| Came::Done)
                });
                self.wait(For::Under(at, for_event), wait);
            }
            Step::WaitForEvent => {
                let event = self.event.clone();
                let wait = Hand::new(async move {
                    event.wait().await;
                    Came::Done
                });
                self.wait(For::Event, wait);
            }
            Step::Arrive => {
                let barrier = self.barrier.clone();
                self.wait(For::Others, Hand::new(async move { Came::Led(barrier.wait().await.is_leader()) }));
            }
            Step::Set => {
                assert_eq!(self.event.set(), !self.set, "whether it was the first to set it");
                self.set = true;
            }
            Step::Poll { which, anew } => {
                if let Some(at) = one_of(which, self.waits.len()) {
                    self.poll(at, anew);
                }
            }
            Step::Leave(which) => {
                if let Some(at) = one_of(which, self.waits.len()) {
                    let wait = self.waits.remove(at);
                    self.leave(wait);
                }
            }
        }
    }

    /// One of the tokens that weren't let go of.
    fn a_token(&self, which: u8) -> Option<(usize, CancelToken)> {
        let live: Vec<usize> = (0..self.tokens.len()).filter(|at| self.tokens[*at].is_some()).collect();
        let at = live[one_of(which, live.len())?];
        Some((at, self.tokens[at].clone()?))
    }

    fn wait(&mut self, what: For, hand: Hand<Came>) {
        self.made += 1;
        self.waits.push(Wait { id: self.made, what, hand });
    }

    /// What a wait that goes on comes to, by the model.
    fn outcome(&self, wait: &Wait) -> Option<Came> {
        let cancelled = |token: usize| self.tree.0[token].why.map(|why| Came::Cancelled(words(why)));
        let happened = |waits: bool| (waits && self.set).then_some(Came::Done);
        match wait.what {
            For::Cancellation(token) => cancelled(token),
            For::Under(token, for_event) => cancelled(token).or_else(|| happened(for_event)),
            For::Event => happened(true),
            For::Others => self.round.is_told(wait.id).then_some(Came::Led(false)),
        }
    }

    fn poll(&mut self, at: usize, anew: bool) {
        let wait = &self.waits[at];
        let leads = matches!(wait.what, For::Others) && !wait.hand.began() && self.round.arrive(wait.id);
        let expected = if leads { Some(Came::Led(true)) } else { self.outcome(&self.waits[at]) };
        let came = match self.waits[at].hand.poll(anew) {
            Poll::Pending => None,
            Poll::Ready(came) => Some(came),
        };
        let wait = &self.waits[at];
        assert_eq!(came, expected, "for {}, the {at}th, who waits for {:?}", wait.id, wait.what);
        if came.is_some() {
            let wait = self.waits.remove(at);
            self.leave(wait);
        }
    }

    fn leave(&mut self, wait: Wait) {
        self.round.leave(wait.id);
        wait.hand.leave();
    }

    fn check(&self) {
        for (at, token) in self.tokens.iter().enumerate() {
            let Some(token) = token else { continue };
            let why = self.tree.0[at].why;
            assert_eq!(token.is_cancelled(), why.is_some(), "whether token {at} is cancelled");
            assert_eq!(token.reason().map(|reason| told(&reason)), why.map(words), "why token {at} is cancelled");
        }
        assert_eq!(self.event.is_set(), self.set, "whether the event is set");
        for wait in &self.waits {
            let expected = wait.hand.began() && self.outcome(wait).is_some();
            assert_eq!(wait.hand.rung(), expected, "whether {}, who waits for {:?}, was woken", wait.id, wait.what);
        }
    }
}
