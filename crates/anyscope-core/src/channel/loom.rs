//! Models of the channel: who sends against who receives, leaves, or closes.

use super::*;
use crate::models::{Entered, Ledger, block_on, model, model_bounded, poll_once, thread};
use std::task::Poll;

#[test]
fn each_message_is_received_once() {
    model(|| {
        let (sender, receiver) = bounded(1);
        let sending = thread::spawn(move || {
            for number in 0..2 {
                block_on(sender.send(number)).unwrap();
            }
        });
        assert_eq!([block_on(receiver.recv()), block_on(receiver.recv())], [Ok(0), Ok(1)]);
        assert_eq!(block_on(receiver.recv()), Err(RecvError));
        sending.join().unwrap();
    });
}

#[test]
fn a_rendezvous_hands_each_message_over() {
    model(|| {
        let (sender, receiver) = rendezvous();
        let other = sender.clone();
        let sending = [(sender, 1), (other, 2)].map(|(sender, number)| {
            thread::spawn(move || {
                block_on(sender.send(number)).unwrap();
            })
        });
        let sum = block_on(receiver.recv()).unwrap() + block_on(receiver.recv()).unwrap();
        assert_eq!(sum, 3);
        for sending in sending {
            sending.join().unwrap();
        }
        assert!(receiver.try_recv().unwrap_err().is_closed());
    });
}

#[test]
fn a_message_for_a_receiver_that_is_dropped_goes_to_the_next() {
    model(|| {
        let (sender, receiver) = bounded(1);
        let other = receiver.clone();
        let (begun, begin) = (crate::models::Gate::new(), crate::models::Gate::new());
        let leaving = thread::spawn({
            let (begun, begin) = (begun.clone(), begin.clone());
            move || {
                let mut leaving = other.recv();
                assert!(poll_once(&mut leaving).is_pending());
                begun.open();
                block_on(begin.passed());
                drop(leaving);
            }
        });
        block_on(begun.passed());
        let mut next = receiver.recv();
        assert!(poll_once(&mut next).is_pending());
        begin.open();
        let sending = thread::spawn(move || sender.try_send(1).unwrap());
        assert_eq!(block_on(next), Ok(1));
        leaving.join().unwrap();
        sending.join().unwrap();
    });
}

/// The sender is gone, and the one message is in the hands of one that leaves: the end is told after that.
#[test]
fn a_message_that_comes_back_after_the_close_is_received() {
    model(|| {
        let (sender, receiver) = bounded(1);
        let mut leaving = receiver.recv();
        assert!(poll_once(&mut leaving).is_pending());
        sender.try_send(1).unwrap();
        let waiting = thread::spawn({
            let receiver = receiver.clone();
            move || (block_on(receiver.recv()), block_on(receiver.recv()))
        });
        let closing = thread::spawn(move || drop(sender));
        drop(leaving);
        assert_eq!(waiting.join().unwrap(), (Ok(1), Err(RecvError)));
        closing.join().unwrap();
    });
}

#[test]
fn a_close_gives_the_message_back_or_it_is_received() {
    model(|| {
        let (sender, receiver) = bounded(1);
        sender.try_send(1).unwrap();
        let mut sending = sender.send(2);
        assert!(poll_once(&mut sending).is_pending());
        let closing = thread::spawn({
            let sender = sender.clone();
            move || {
                sender.close();
            }
        });
        let receiving = thread::spawn({
            let receiver = receiver.clone();
            move || block_on(receiver.recv()).unwrap()
        });
        match block_on(sending) {
            Ok(()) => assert_eq!(block_on(receiver.recv()), Ok(2)),
            Err(error) => assert_eq!(error.into_inner(), 2),
        }
        assert_eq!(receiving.join().unwrap(), 1);
        closing.join().unwrap();
        assert!(receiver.try_recv().unwrap_err().is_closed());
    });
}

#[test]
fn who_sends_into_a_full_channel_that_is_closed_meanwhile_gets_the_message_back() {
    model(|| {
        let (sender, receiver) = bounded(1);
        sender.try_send(1).unwrap();
        let closing = thread::spawn(move || {
            receiver.close();
            receiver
        });
        assert_eq!(block_on(sender.send(2)).unwrap_err().into_inner(), 2);
        let receiver = closing.join().unwrap();
        assert_eq!(block_on(receiver.recv()), Ok(1));
    });
}

#[test]
fn a_sender_that_leaves_takes_its_message_along_or_it_was_received() {
    model(|| {
        let ledger = Ledger::new();
        let (sender, receiver) = rendezvous();
        let value = ledger.value();
        let leaving = thread::spawn(move || {
            let mut sending = sender.send(value);
            let _ = poll_once(&mut sending);
        });
        let received = block_on(receiver.recv());
        assert_eq!(ledger.drops(), usize::from(received.is_err()));
        leaving.join().unwrap();
        drop(received);
        assert_eq!(ledger.drops(), 1);
    });
}

#[test]
fn the_last_receiver_that_goes_drops_what_nobody_can_receive() {
    model(|| {
        let ledger = Ledger::new();
        let (sender, receiver) = unbounded();
        let values = [ledger.value(), ledger.value()];
        let sending = thread::spawn(move || {
            for value in values {
                let _ = sender.try_send(value);
            }
            sender
        });
        let other = receiver.clone();
        let leaving = thread::spawn(move || drop(other));
        drop(receiver);
        leaving.join().unwrap();
        let sender = sending.join().unwrap();
        assert_eq!((ledger.drops(), sender.len(), sender.is_closed()), (2, 0, true));
    });
}

#[test]
fn a_message_may_use_its_channel_when_the_last_receiver_drops_it() {
    /// Dropped with its sender, which looks into the channel.
    struct Message(
        #[expect(dead_code, reason = "dropped with it")] Sender<Message>,
        #[expect(dead_code, reason = "dropped with it")] Entered,
    );

    model(|| {
        let ledger = Ledger::new();
        let (sender, receiver) = bounded(1);
        assert!(sender.try_send(Message(sender.clone(), ledger.value())).is_ok());
        let leaving = thread::spawn(move || drop(receiver));
        drop(sender);
        leaving.join().unwrap();
        assert_eq!(ledger.drops(), 1);
    });
}

#[test]
fn messages_of_receivers_that_leave_go_back_in_their_order() {
    model_bounded(2, || {
        let (sender, receiver) = unbounded();
        let (mut first, mut second) = (receiver.recv(), receiver.recv());
        assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_pending());
        let sending = thread::spawn(move || {
            for number in 0..3 {
                sender.try_send(number).unwrap();
            }
        });
        drop(first);
        drop(second);
        let received: Vec<_> = std::iter::from_fn(|| match block_on(receiver.recv()) {
            Ok(number) => Some(number),
            Err(RecvError) => None,
        })
        .collect();
        assert_eq!(received, [0, 1, 2]);
        sending.join().unwrap();
    });
}

#[test]
fn a_look_takes_nothing_that_is_handed_to_who_waits() {
    model(|| {
        let (sender, receiver) = bounded(1);
        let mut waiting = receiver.recv();
        assert!(poll_once(&mut waiting).is_pending());
        let sending = thread::spawn(move || sender.try_send(1).unwrap());
        assert!(receiver.try_recv().is_err());
        sending.join().unwrap();
        assert!(matches!(poll_once(&mut waiting), Poll::Ready(Ok(1))));
    });
}
