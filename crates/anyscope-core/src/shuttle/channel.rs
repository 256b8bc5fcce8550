use super::{Tally, join, one_in, rest, threads};
use crate::channel::{Receiver, Sender, bounded, rendezvous, unbounded};
use crate::models::{block_on, poll_once, scenario, thread};
use std::task::Poll;

const SENDERS: usize = 5;
const MESSAGES: usize = 4;

/// Sends some messages, and gives those that were taken for sure, and those of which that isn't known.
fn send(sender: &Sender<usize>, from: usize, gives_up: bool) -> (Vec<usize>, Vec<usize>) {
    let (mut sent, mut maybe) = (Vec::new(), Vec::new());
    for message in (from * MESSAGES..).take(MESSAGES) {
        if gives_up && one_in(4) {
            let mut leaving = sender.send(message);
            match poll_once(&mut leaving) {
                Poll::Ready(Ok(())) => sent.push(message),
                Poll::Ready(Err(error)) => assert_eq!(error.into_inner(), message),
                // It may be taken before it is dropped.
                Poll::Pending => {
                    maybe.push(message);
                    rest();
                }
            }
        } else if one_in(4) {
            sent.extend(sender.try_send(message).is_ok().then_some(message));
        } else {
            match block_on(sender.send(message)) {
                Ok(()) => sent.push(message),
                Err(error) => assert_eq!(error.into_inner(), message),
            }
        }
    }
    (sent, maybe)
}

/// Receives until the end, and gives what came. Where it leaves, it doesn't wait now and then, and may not come back.
fn receive(receiver: &Receiver<usize>, leaves: bool, comes_back: bool) -> Vec<usize> {
    let mut received = Vec::new();
    loop {
        if leaves && one_in(3) {
            let mut leaving = receiver.recv();
            match poll_once(&mut leaving) {
                Poll::Ready(Ok(message)) => received.push(message),
                Poll::Ready(Err(_)) => return received,
                Poll::Pending => {
                    rest();
                    if !comes_back {
                        return received;
                    }
                }
            }
        } else if one_in(4) {
            received.extend(receiver.try_recv());
        } else {
            match block_on(receiver.recv()) {
                Ok(message) => received.push(message),
                Err(_) => return received,
            }
        }
    }
}

/// Runs five senders against four receivers. Whatever was sent is received, once, and nothing else is.
fn exchange((sender, receiver): (Sender<usize>, Receiver<usize>), leaves: bool, closes: bool) {
    let closing = closes.then(|| {
        let sender = sender.clone();
        thread::spawn(move || {
            rest();
            sender.close()
        })
    });
    let receiving = threads(4, move |number| receive(&receiver.clone(), leaves, number < 2));
    let sending: Vec<_> = (0..SENDERS)
        .map(|from| {
            let sender = sender.clone();
            thread::spawn(move || send(&sender, from, leaves))
        })
        .collect();
    drop(sender);
    let (sent, maybe): (Vec<_>, Vec<_>) = join(sending).into_iter().unzip();
    let received = join(receiving);
    if !leaves {
        let in_order = |from| {
            let of_one = move |message: &&usize| **message / MESSAGES == from;
            received.iter().all(|received| received.iter().filter(of_one).is_sorted())
        };
        assert!((0..SENDERS).all(in_order), "who sends one after the other is heard in this order");
    }
    let mut received: Vec<_> = received.into_iter().flatten().collect();
    received.sort_unstable();
    assert!(received.is_sorted_by(|one, next| one < next), "a message came twice");
    let maybe: Vec<_> = maybe.into_iter().flatten().collect();
    received.retain(|message| !maybe.contains(message));
    assert_eq!(received, sent.into_iter().flatten().collect::<Vec<_>>());
    if let Some(closing) = closing {
        closing.join().unwrap();
    }
}

/// Five tasks send four messages each through a channel of two, and four receive them.
#[test]
fn messages_through_a_small_buffer_are_neither_lost_nor_doubled() {
    scenario(|| exchange(bounded(2), false, false));
}

/// The same, where senders and receivers are dropped while they wait.
#[test]
fn messages_for_those_who_leave_go_on() {
    scenario(|| exchange(bounded(2), true, false));
}

/// The same without a buffer.
#[test]
fn messages_from_hand_to_hand_are_neither_lost_nor_doubled() {
    scenario(|| exchange(rendezvous(), true, false));
}

/// The same, where another task closes the channel: what was sent before arrives, the rest comes back.
#[test]
fn what_was_sent_before_a_close_arrives() {
    scenario(|| exchange(if one_in(2) { bounded(2) } else { unbounded() }, true, true));
}

/// Four receivers go away while messages are sent: each message is received, comes back, or is dropped with the last
/// receiver, and none outlives it.
#[test]
fn messages_that_nobody_can_receive_are_gone_with_the_last_receiver() {
    scenario(|| {
        let kept = Tally::default();
        let (sender, receiver) = bounded(3);
        let leaving = threads(4, move |_| {
            let receiver = receiver.clone();
            if one_in(2) {
                drop(poll_once(&mut receiver.recv()));
            }
            receiver
        });
        let sending = threads(4, {
            let kept = kept.clone();
            move |_| {
                for _ in 0..3 {
                    drop(block_on(sender.send(kept.enter())));
                }
                sender.clone()
            }
        });
        drop(join(leaving));
        let senders = join(sending);
        assert_eq!(kept.get(), 0);
        assert!(senders.iter().all(|sender| sender.is_closed() && sender.is_empty()));
    });
}
