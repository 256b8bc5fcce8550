//! What goes through a channel with one at each end.

use super::super::history::list;
use super::super::{Pipe, Time};
use super::{Ran, until};

pub(super) fn run(pipe: &Pipe, start: Time, cut: Time) -> Ran {
    let Pipe { capacity, ref sends, ref receives } = *pipe;
    let through = sends.len().min(receives.len());
    // When each message was taken by who receives, and accepted from who sends.
    let (mut taken, mut accepted) = (Vec::new(), Vec::new());
    let (mut sender, mut receiver) = (start, start);
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for number in 0..through {
        let (offers, wants) = (sender + sends[number], receiver + receives[number]);
        // From hand to hand, or as soon as the one whose place it gets is gone.
        let room = if capacity == 0 { wants } else { number.checked_sub(capacity).map_or(start, |gone| taken[gone]) };
        sender = offers.max(room);
        receiver = wants.max(sender);
        accepted.push(sender);
        taken.push(receiver);
        sent.push(format!("{number}>{sender}"));
        received.push(format!("{number}<{receiver}"));
    }
    // Who has had all that they want goes, and the other learns of it.
    let gone = if receives.len() == through { receiver } else { Time::MAX };
    for (number, rest) in sends.iter().enumerate().skip(through) {
        let offers = sender + rest;
        // Without a place there is only the receiver's hand.
        let room = match number.checked_sub(capacity) {
            None => Some(start),
            Some(place) if capacity > 0 => taken.get(place).copied(),
            Some(_) => None,
        };
        match room {
            Some(room) if offers < gone => {
                sender = offers.max(room);
                sent.push(format!("{number}>{sender}"));
            }
            _ => {
                sender = offers.max(gone);
                sent.push(format!("{number}|{sender}"));
                break;
            }
        }
    }
    if receives.len() > through {
        receiver = (receiver + receives[through]).max(sender);
        received.push(format!("|{receiver}"));
    }
    until(sender.max(receiver), cut, list(&[list(&sent), list(&received)]))
}
