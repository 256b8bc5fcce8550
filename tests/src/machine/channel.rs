//! A channel, polled by hand.
//!
//! After every step: as many messages are in it, and alive at all, as the model says; whoever the model served was woken,
//! and nobody else. Each poll has the answer of the model, message for message.

mod model;

use self::model::{Id, Model, Received, Sent};
use crate::machine::bytes::{Bytes, one_of};
use crate::machine::hand::Hand;
use anyscope::channel::{self, Receiver, Sender};
use std::sync::Arc;
use std::task::Poll;

/// Steps on a channel.
#[derive(Debug)]
pub struct Program {
    capacity: Option<usize>,
    steps: Vec<Step>,
}

/// Numbers choose among those that there are at that time.
#[derive(Debug)]
enum Step {
    Send,
    Receive,
    PollSend {
        which: u8,
        anew: bool,
    },
    PollReceive {
        which: u8,
        anew: bool,
    },
    /// Drops a future, or never polls it again.
    LeaveSend {
        which: u8,
        drops: bool,
    },
    LeaveReceive {
        which: u8,
        drops: bool,
    },
    TrySend,
    TryReceive,
    Close {
        by_sender: bool,
    },
    /// Lets go of the ends that no future has.
    DropSender,
    DropReceiver,
}

impl Program {
    /// Reads a program. Any bytes are one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut bytes = Bytes::new(bytes);
        let capacity = [Some(1), Some(0), Some(2), Some(3), None][usize::from(bytes.below(5))];
        let mut steps = Vec::new();
        while !bytes.is_empty() {
            let (step, which) = (bytes.below(24), bytes.next());
            let (half, odd) = (which / 2, which % 2 == 1);
            steps.push(match step {
                0..=3 => Step::Send,
                4..=7 => Step::Receive,
                8..=11 => Step::PollSend { which: half, anew: !odd },
                12..=15 => Step::PollReceive { which: half, anew: !odd },
                16 | 17 => Step::LeaveSend { which: half, drops: !odd },
                18 | 19 => Step::LeaveReceive { which: half, drops: !odd },
                20 => Step::TrySend,
                21 => Step::TryReceive,
                // Seldom: little happens afterwards.
                22 if which < 64 => Step::Close { by_sender: odd },
                23 if which < 32 => Step::DropSender,
                23 if which < 64 => Step::DropReceiver,
                _ if odd => Step::PollReceive { which: half, anew: false },
                _ => Step::PollSend { which: half, anew: false },
            });
        }
        Self { capacity, steps }
    }

    /// Runs it beside the model.
    ///
    /// # Panics
    ///
    /// Where the two differ.
    pub fn run(&self) {
        let (sender, receiver) = match self.capacity {
            Some(capacity) => channel::bounded(capacity),
            None => channel::unbounded(),
        };
        let mut run = Run {
            sender: Some(Arc::new(sender)),
            receiver: Some(Arc::new(receiver)),
            model: Model::new(self.capacity),
            alive: Arc::default(),
            made: 0,
            sends: Vec::new(),
            receives: Vec::new(),
        };
        for step in &self.steps {
            run.step(step);
            run.check();
        }
        run.end();
    }
}

/// A message, which counts as alive until it is dropped.
struct Message {
    number: model::Message,
    _alive: Arc<()>,
}

struct Send {
    id: Id,
    hand: Hand<Result<(), Message>>,
    abandoned: bool,
}

struct Receive {
    id: Id,
    hand: Hand<Option<Message>>,
    abandoned: bool,
}

struct Run {
    sender: Option<Arc<Sender<Message>>>,
    receiver: Option<Arc<Receiver<Message>>>,
    model: Model,
    alive: Arc<()>,
    made: usize,
    sends: Vec<Send>,
    receives: Vec<Receive>,
}

impl Run {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send => self.send(),
            Step::Receive => self.receive(),
            Step::PollSend { which, anew } => {
                if let Some(at) = self.a_send(which) {
                    self.poll_send(at, anew);
                }
            }
            Step::PollReceive { which, anew } => {
                if let Some(at) = self.a_receive(which) {
                    self.poll_receive(at, anew);
                }
            }
            Step::LeaveSend { which, drops } => {
                let Some(at) = self.a_send(which) else { return };
                if drops { self.leave_send(at) } else { self.sends[at].abandoned = true }
            }
            Step::LeaveReceive { which, drops } => {
                let Some(at) = self.a_receive(which) else { return };
                if drops { self.leave_receive(at) } else { self.receives[at].abandoned = true }
            }
            Step::TrySend => self.try_send(),
            Step::TryReceive => self.try_receive(),
            Step::Close { by_sender } => self.close(by_sender),
            Step::DropSender => {
                self.sender = None;
                self.look_for_the_last();
            }
            Step::DropReceiver => {
                self.receiver = None;
                self.look_for_the_last();
            }
        }
    }

    /// One of those who send and weren't abandoned.
    fn a_send(&self, which: u8) -> Option<usize> {
        let live: Vec<usize> = (0..self.sends.len()).filter(|at| !self.sends[*at].abandoned).collect();
        one_of(which, live.len()).map(|at| live[at])
    }

    fn a_receive(&self, which: u8) -> Option<usize> {
        let live: Vec<usize> = (0..self.receives.len()).filter(|at| !self.receives[*at].abandoned).collect();
        one_of(which, live.len()).map(|at| live[at])
    }

    fn message(&self, number: model::Message) -> Message {
        Message { number, _alive: self.alive.clone() }
    }

    fn new_id(&mut self) -> Id {
        self.made += 1;
        self.made
    }

    fn send(&mut self) {
        let Some(sender) = self.sender.clone() else { return };
        let id = self.new_id();
        let message = self.message(id);
        let hand = Hand::new(async move { sender.send(message).await.map_err(|error| error.into_inner()) });
        self.sends.push(Send { id, hand, abandoned: false });
    }

    fn receive(&mut self) {
        let Some(receiver) = self.receiver.clone() else { return };
        let id = self.new_id();
        let hand = Hand::new(async move { receiver.recv().await.ok() });
        self.receives.push(Receive { id, hand, abandoned: false });
    }

    fn poll_send(&mut self, at: usize, anew: bool) {
        let Send { id, hand, .. } = &mut self.sends[at];
        let expected = if hand.began() { self.model.look_whether_sent(*id) } else { self.model.send(*id, *id) };
        let sent = match hand.poll(anew) {
            Poll::Pending => Sent::Full,
            Poll::Ready(Ok(())) => Sent::Accepted,
            Poll::Ready(Err(back)) => {
                assert_eq!(back.number, *id, "somebody else's message came back");
                Sent::Closed
            }
        };
        assert_eq!(sent, expected, "for {id}, the {at}th who sends");
        if sent != Sent::Full {
            self.sends.remove(at).hand.leave();
            self.look_for_the_last();
        }
    }

    fn poll_receive(&mut self, at: usize, anew: bool) {
        let Receive { id, hand, .. } = &mut self.receives[at];
        let expected = if hand.began() { self.model.look_what_came(*id) } else { self.model.receive(*id) };
        let received = match hand.poll(anew) {
            Poll::Pending => Received::Empty,
            Poll::Ready(Some(message)) => Received::Message(message.number),
            Poll::Ready(None) => Received::Ended,
        };
        assert_eq!(received, expected, "for {id}, the {at}th who receives");
        if received != Received::Empty {
            self.receives.remove(at).hand.leave();
            self.look_for_the_last();
        }
    }

    fn leave_send(&mut self, at: usize) {
        let send = self.sends.remove(at);
        self.model.stop_sending(send.id);
        send.hand.leave();
        self.look_for_the_last();
    }

    fn leave_receive(&mut self, at: usize) {
        let receive = self.receives.remove(at);
        self.model.stop_receiving(receive.id);
        receive.hand.leave();
        self.look_for_the_last();
    }

    fn try_send(&mut self) {
        let Some(sender) = self.sender.clone() else { return };
        let number = self.new_id();
        let sent = match sender.try_send(self.message(number)) {
            Ok(()) => Sent::Accepted,
            Err(error) if error.is_full() => Sent::Full,
            Err(error) => {
                assert!(error.is_closed() && error.into_inner().number == number);
                Sent::Closed
            }
        };
        assert_eq!(sent, self.model.try_send(number), "trying to send");
    }

    fn try_receive(&mut self) {
        let Some(receiver) = self.receiver.clone() else { return };
        let received = match receiver.try_recv() {
            Ok(message) => Received::Message(message.number),
            Err(error) if error.is_empty() => Received::Empty,
            Err(_) => Received::Ended,
        };
        assert_eq!(received, self.model.try_receive(), "trying to receive");
    }

    fn close(&mut self, by_sender: bool) {
        let first = match (&self.sender, &self.receiver) {
            (Some(sender), _) if by_sender => sender.close(),
            (_, Some(receiver)) => receiver.close(),
            _ => return,
        };
        assert_eq!(first, self.model.close(), "whether it was open");
    }

    /// A future has its end of the channel until it is over.
    fn look_for_the_last(&mut self) {
        if self.receiver.is_none() && self.receives.is_empty() {
            self.model.lose_receivers();
        }
        if self.sender.is_none() && self.sends.is_empty() {
            self.model.close();
        }
    }

    fn check(&self) {
        let (model, ends) = (&self.model, (&self.sender, &self.receiver));
        if let (Some(sender), _) = ends {
            assert_eq!((sender.len(), sender.is_closed()), (model.len(), model.closed), "how many are in it");
            assert_eq!(sender.capacity(), model.capacity);
        }
        if let (_, Some(receiver)) = ends {
            assert_eq!((receiver.len(), receiver.is_closed()), (model.len(), model.closed), "how many are in it");
        }
        for Send { id, hand, .. } in &self.sends {
            assert_eq!(hand.rung(), model.is_told(*id), "whether {id}, who sends, was woken");
        }
        for Receive { id, hand, .. } in &self.receives {
            assert_eq!(hand.rung(), model.is_told(*id), "whether {id}, who receives, was woken");
        }
        let not_begun = self.sends.iter().filter(|send| !send.hand.began()).count();
        let alive = Arc::strong_count(&self.alive) - 1;
        assert_eq!(alive, model.kept() + not_begun, "messages alive");
    }

    /// Everybody leaves in the order of coming.
    fn end(mut self) {
        while !self.sends.is_empty() {
            self.leave_send(0);
            self.check();
        }
        while !self.receives.is_empty() {
            self.leave_receive(0);
            self.check();
        }
        self.sender = None;
        self.receiver = None;
        assert_eq!(Arc::strong_count(&self.alive), 1, "a message outlived its channel");
    }
}
