//! Laws 10, 24 to 26, 29 and 31, of channels.

use crate::support::{
    Census, Hostile, Wakes, on_this_thread, on_thread, poll_once, poll_with, polled, queued, ready, settled, turns,
    until,
};
use anyscope_core::channel::{Receiver, RecvError, Sender, bounded, rendezvous, unbounded};
use anyscope_core::{Runtime, run, task_group, yield_now};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

/// Messages are received in the order in which they were sent; those who wait to send get in, and those who wait to
/// receive are served, in the order in which they came; each step wakes just the one whose turn it is.
pub fn messages_and_those_who_wait_go_in_the_order_of_coming<R: Runtime>(runtime: R) {
    run(runtime, async {
        for capacity in [0, 1, 3] {
            let (sender, receiver) = bounded(capacity);
            for number in 0..capacity {
                ready(&mut sender.send(number)).expect("there is room");
            }
            let wakes: Vec<_> = (0..5).map(|_| Wakes::waker()).collect();
            let mut sending: Vec<_> = (capacity..capacity + 5).map(|number| queued(sender.send(number))).collect();
            for (sending, (_, waker)) in sending.iter_mut().zip(&wakes) {
                assert!(poll_with(sending, waker).is_pending());
            }
            assert_eq!((sender.len(), receiver.capacity()), (capacity, Some(capacity)));
            for (turn, sending) in sending.iter_mut().enumerate() {
                assert_eq!(ready(&mut receiver.recv()), Ok(turn));
                for (index, (wakes, _)) in wakes.iter().enumerate() {
                    assert_eq!(wakes.count(), usize::from(index <= turn), "sender {index} at turn {turn}");
                }
                ready(sending).expect("it was its turn");
            }
            while let Ok(number) = receiver.try_recv() {
                assert_eq!(number + receiver.len(), capacity + 4);
            }

            let mut receiving: Vec<_> = (0..5).map(|_| queued(receiver.recv())).collect();
            let wakes: Vec<_> = (0..5).map(|_| Wakes::waker()).collect();
            for (receiving, (_, waker)) in receiving.iter_mut().zip(&wakes) {
                assert!(poll_with(receiving, waker).is_pending());
            }
            for turn in 0..5 {
                sender.try_send(turn).expect("somebody waits for it");
                for (index, (wakes, _)) in wakes.iter().enumerate() {
                    assert_eq!(wakes.count(), usize::from(index <= turn), "receiver {index} at turn {turn}");
                }
            }
            for turn in (0..5).rev() {
                assert_eq!(ready(&mut receiving[turn]), Ok(turn), "it was handed to whoever looked first");
            }
        }
    });
}

/// Nobody takes the room of those who wait to send, or the message of one who waits to receive, by just not waiting.
pub fn nobody_sends_or_receives_past_those_who_wait<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (sender, receiver) = bounded(1);
        sender.try_send(1).unwrap();
        let mut sending = queued(sender.send(2));
        assert_eq!(receiver.try_recv(), Ok(1));
        // The room was handed over with that, and isn't seen yet.
        let refused = sender.try_send(3).expect_err("the room has gone to one who waited");
        assert!(refused.is_full() && !refused.is_closed() && refused.into_inner() == 3);
        let mut late = queued(sender.send(4));
        ready(&mut sending).unwrap();
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(2), Ok(4)));
        ready(&mut late).unwrap();

        let mut receiving = queued(receiver.recv());
        sender.try_send(5).unwrap();
        assert!(receiver.try_recv().expect_err("it is on its way to one who waits").is_empty());
        let mut late = queued(receiver.recv());
        sender.try_send(6).unwrap();
        assert_eq!(sender.len(), 0);
        sender.try_send(7).unwrap();
        assert!(sender.try_send(8).is_err());
        assert_eq!((ready(&mut late), ready(&mut receiving)), (Ok(6), Ok(5)));
        assert_eq!(receiver.try_recv(), Ok(7));
    });
}

/// A message that was handed to a receiver that is dropped before it looked goes to the next who waits, or waits in the
/// channel for the next who comes; also where the channel holds none.
pub fn a_message_for_a_receiver_that_is_dropped_goes_on<R: Runtime>(runtime: R) {
    run(runtime, async {
        for (sender, receiver) in [rendezvous(), bounded(1), unbounded()] {
            drop(receiver.recv());
            let (never, first, mut second) = (receiver.recv(), queued(receiver.recv()), queued(receiver.recv()));
            let left = queued(receiver.recv());
            let (wakes, waker) = Wakes::waker();
            assert!(poll_with(&mut second, &waker).is_pending());
            sender.try_send(1).unwrap();
            drop((never, left));
            assert_eq!(wakes.count(), 0);
            drop(first);
            assert_eq!(wakes.count(), 1, "the next isn't told");
            assert_eq!(ready(&mut second), Ok(1));
            let third = queued(receiver.recv());
            sender.try_send(2).unwrap();
            assert_eq!(receiver.len(), 0);
            drop(third);
            assert_eq!(receiver.len(), 1);
            assert_eq!(ready(&mut receiver.recv()), Ok(2));
            assert_eq!(Arc::strong_count(&wakes), 2, "a waker is kept without need");
        }
    });
}

/// In whatever order receivers are dropped that were handed messages, these are received in their order, and before all
/// that were sent later.
pub fn messages_that_come_back_keep_their_order<R: Runtime>(runtime: R) {
    run(runtime, async {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let (sender, receiver) = bounded(1);
            let mut receiving: Vec<_> = (0..3).map(|_| Some(queued(receiver.recv()))).collect();
            for number in 0..4 {
                sender.try_send(number).unwrap();
            }
            let mut sending = queued(sender.send(4));
            for index in order {
                receiving[index] = None;
            }
            assert_eq!(receiver.len(), 4, "what came back is beyond the capacity");
            let received: Vec<_> = (0..3).map(|_| receiver.try_recv().unwrap()).collect();
            assert!(poll_once(&mut sending).is_pending(), "there is no room yet");
            assert_eq!((received, receiver.try_recv()), (vec![0, 1, 2], Ok(3)), "dropped in the order {order:?}");
            ready(&mut sending).unwrap();
            assert_eq!(receiver.try_recv(), Ok(4));
        }
    });
}

/// A send that is dropped takes its message along, or the message was accepted and is received: never half of it, and
/// the others keep their order.
pub fn a_send_that_is_dropped_sends_all_or_nothing<R: Runtime>(runtime: R) {
    run(runtime, async {
        for capacity in [0, 1] {
            let census = Census::new();
            let (sender, receiver) = bounded(capacity);
            let message = |number: usize| (number, census.member());
            drop(sender.send(message(100)));
            assert_eq!(census.alive(), 0);
            for number in 0..capacity {
                sender.try_send(message(number)).map_err(|_| "full").unwrap();
            }
            let mut sending: Vec<_> =
                (capacity..capacity + 4).map(|number| Some(queued(sender.send(message(number))))).collect();
            assert_eq!(census.alive(), capacity + 4);
            sending[1] = None;
            assert_eq!(census.alive(), capacity + 3, "the message outlived its send");
            assert_eq!(ready(&mut receiver.recv()).unwrap().0, 0);
            // Accepted, and dropped before it saw that: where the channel holds none it was received already.
            sending[0] = None;
            let received: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).map(|message| message.0).collect();
            let all = [1, 3, 4].into_iter().filter(|number| capacity == 1 || *number != 1 && *number != 4);
            let expected: Vec<_> = if capacity == 0 { vec![2, 3] } else { all.collect() };
            assert_eq!(received, expected);
            for sending in sending.iter_mut().flatten() {
                ready(sending).unwrap();
            }
            assert_eq!(census.alive(), 0);
        }
    });
}

/// In a channel that holds none, each side waits for the other.
pub fn a_rendezvous_waits_for_the_other_side<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (sender, receiver) = rendezvous();
        assert!(sender.try_send(0).expect_err("nobody waits for it").is_full());
        assert!(receiver.try_recv().expect_err("nobody sends").is_empty());
        let mut sending = queued(sender.send(1));
        assert_eq!((sender.len(), sender.capacity(), sender.is_empty()), (0, Some(0), true));
        assert_eq!(ready(&mut receiver.recv()), Ok(1));
        ready(&mut sending).unwrap();
        let mut receiving = queued(receiver.recv());
        ready(&mut sender.send(2)).unwrap();
        assert_eq!(ready(&mut receiving), Ok(2));

        let received = task_group::<R, _, _>(async |g| {
            for number in 0..10 {
                let sender = sender.clone();
                g.spawn(async move { sender.send(number).await.unwrap() });
            }
            let mut received = Vec::new();
            for _ in 0..10 {
                received.push(receiver.recv().await.unwrap());
            }
            received.sort_unstable();
            received
        })
        .await;
        assert_eq!(received, (0..10).collect::<Vec<_>>());
        // The largest bound is one too, and takes no memory.
        let (sender, receiver) = bounded(usize::MAX);
        sender.try_send(1).unwrap();
        assert_eq!(receiver.try_recv(), Ok(1));
    });
}

/// Closing lets everybody receive what was accepted, and gives back what wasn't; nobody sends afterwards.
pub fn a_closed_channel_gives_out_what_it_accepted_and_back_what_not<R: Runtime>(runtime: R) {
    run(runtime, async {
        for by_sender in [true, false] {
            let (sender, receiver) = bounded(2);
            sender.try_send(1).unwrap();
            sender.try_send(2).unwrap();
            let (mut accepted, mut refused) = (queued(sender.send(3)), queued(sender.send(4)));
            let dropped = queued(sender.send(5));
            assert_eq!(receiver.try_recv(), Ok(1));
            let (wakes, waker) = Wakes::waker();
            assert!(poll_with(&mut refused, &waker).is_pending());
            assert!(!sender.is_closed() && !receiver.is_closed());
            assert!(if by_sender { sender.close() } else { receiver.close() });
            assert!(!sender.close() && !receiver.close() && sender.is_closed() && receiver.is_closed());
            assert_eq!(wakes.count(), 1);
            drop(dropped);
            ready(&mut accepted).expect("it was accepted before the close");
            assert_eq!(ready(&mut refused).expect_err("it wasn't").into_inner(), 4);
            assert_eq!(ready(&mut sender.send(6)).expect_err("it is closed").into_inner(), 6);
            assert!(sender.try_send(7).expect_err("it is closed").is_closed());
            assert_eq!([ready(&mut receiver.recv()), ready(&mut receiver.recv())], [Ok(2), Ok(3)]);
            assert_eq!(ready(&mut receiver.recv()), Err(RecvError));
            assert!(receiver.try_recv().expect_err("it is closed").is_closed());
        }
        let (sender, receiver) = bounded::<()>(1);
        let (wakes, waker) = Wakes::waker();
        let mut waiting = queued(receiver.recv());
        assert!(poll_with(&mut waiting, &waker).is_pending());
        sender.close();
        assert_eq!((wakes.count(), ready(&mut waiting)), (1, Err(RecvError)));
    });
}

/// The last sender that goes ends the channel for those who receive; the last receiver ends it for those who send, and
/// what is in it is dropped then: also what keeps the channel itself, and though a destructor panics.
pub fn a_channel_is_closed_with_the_last_of_either_end<R: Runtime>(runtime: R) {
    /// What a message may keep: the channel that it is in.
    struct Keeps(#[expect(dead_code, reason = "it is kept")] Option<Sender<(crate::support::Member, Keeps)>>);

    struct Panics(#[expect(dead_code, reason = "it is counted")] crate::support::Member);

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a message")
        }
    }

    run(runtime, async {
        let (sender, receiver) = bounded(1);
        let other = sender.clone();
        drop(sender);
        other.try_send(1).unwrap();
        let late = other.clone();
        drop(other);
        assert!(!receiver.is_closed());
        drop(late);
        assert_eq!((receiver.is_closed(), receiver.try_recv()), (true, Ok(1)));
        assert!(receiver.try_recv().unwrap_err().is_closed());

        let census = Census::new();
        let (sender, receiver) = bounded(2);
        for _ in 0..2 {
            sender.try_send((census.member(), Keeps(Some(sender.clone())))).map_err(|_| "full").unwrap();
        }
        let mut sending = queued(sender.send((census.member(), Keeps(None))));
        let other = receiver.clone();
        drop(receiver);
        assert!(!sender.is_closed() && census.alive() == 3);
        drop(other);
        assert_eq!((census.alive(), sender.len()), (1, 0), "what nobody can receive is kept");
        assert!(ready(&mut sending).is_err());
        drop(sending);

        let (sender, receiver) = unbounded();
        for _ in 0..3 {
            sender.try_send(Panics(census.member())).map_err(|_| "full").unwrap();
        }
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(receiver)));
        assert!(panicked.is_err());
        assert_eq!(census.alive(), 0, "one panic kept the others from being dropped");
    });
}

/// Nobody is told of the end while a message is on its way to somebody who may yet be dropped.
pub fn the_end_is_told_after_the_last_message_has_arrived<R: Runtime>(runtime: R) {
    run(runtime, async {
        for looks in [true, false] {
            let (sender, receiver) = bounded(1);
            let mut first = queued(receiver.recv());
            sender.try_send(1).unwrap();
            drop(sender);
            let mut second = queued(receiver.recv());
            let (wakes, waker) = Wakes::waker();
            assert!(poll_with(&mut second, &waker).is_pending());
            assert!(receiver.try_recv().expect_err("it may come back").is_empty());
            if looks {
                assert_eq!(ready(&mut first), Ok(1));
                assert_eq!((wakes.count(), ready(&mut second)), (1, Err(RecvError)));
            } else {
                drop(first);
                assert_eq!((wakes.count(), ready(&mut second)), (1, Ok(1)));
            }
            assert_eq!(ready(&mut receiver.recv()), Err(RecvError));
        }
    });
}

const SENDERS: usize = 4;
const EACH: usize = 200;

/// Sends numbers, and others that it gives up.
async fn send_some(sender: Sender<(usize, usize)>, from: usize, yields: bool) {
    for number in 0..EACH {
        if number % 7 == 3 {
            // Given up, queued or not.
            let mut given_up = sender.send((SENDERS, 0));
            let _ = polled(&mut given_up).await;
        }
        sender.send((from, number)).await.expect("somebody receives");
        if number % 5 == 0 {
            if yields { yield_now().await } else { thread::yield_now() }
        }
    }
}

async fn receive_some(receiver: Receiver<(usize, usize)>, seed: usize, received: Arc<Mutex<Vec<(usize, usize)>>>) {
    for round in seed.. {
        let mut receiving = receiver.recv();
        if round % 3 == 0 {
            // Looked at once or twice, and given up: what it was handed by then goes on.
            if let Poll::Ready(Ok(message)) = polled(&mut receiving).await {
                received.lock().unwrap().push(message);
                continue;
            }
            thread::yield_now();
            continue;
        }
        match receiving.await {
            Ok(message) => received.lock().unwrap().push(message),
            Err(RecvError) => return,
        }
    }
}

/// However threads and tasks send, receive and give up at the same time: each message that was accepted is received once.
pub fn messages_are_neither_lost_nor_doubled_under_stress<R: Runtime>(runtime: R) {
    run(runtime, async {
        for (sender, receiver) in [rendezvous(), bounded(1), bounded(7), unbounded()] {
            let received: Vec<_> = (0..4).map(|_| Arc::<Mutex<Vec<_>>>::default()).collect();
            task_group::<R, _, _>(async |g| {
                for from in 0..SENDERS {
                    let sender = sender.clone();
                    if from == 0 {
                        g.spawn(on_thread(move || on_this_thread(send_some(sender, from, false))));
                    } else {
                        g.spawn(send_some(sender, from, true));
                    }
                }
                drop(sender);
                for (seed, received) in received.iter().enumerate() {
                    let (receiver, received) = (receiver.clone(), received.clone());
                    if seed == 0 {
                        g.spawn(on_thread(move || on_this_thread(receive_some(receiver, seed, received))));
                    } else {
                        g.spawn(receive_some(receiver, seed, received));
                    }
                }
            })
            .await;
            assert!(receiver.try_recv().expect_err("all have ended").is_closed());
            let mut counts = BTreeMap::new();
            for received in received {
                for message in received.lock().unwrap().iter().copied() {
                    *counts.entry(message).or_insert(0) += 1;
                }
            }
            counts.retain(|(from, _), _| *from < SENDERS);
            assert!(counts.len() == SENDERS * EACH && counts.values().all(|count| *count == 1), "lost or doubled");
        }
    });
}

/// A receive that has a message, and only gives way to others before it says so, hands it on when it is dropped; a send
/// that gives way has sent.
pub fn a_message_that_gives_way_and_is_dropped_is_not_lost<R: Runtime>(runtime: R) {
    run(runtime, async {
        let (sender, receiver) = unbounded();
        let (mut sent, mut phase) = (0, 0);
        let mut received = Vec::new();
        poll_fn(|cx| {
            // Takes steps until it has to give way: in the first two polls in the middle of a send, then of a receive.
            phase += 1;
            for _ in 0..1_000_000 {
                if phase <= 2 {
                    let mut sending = sender.send(sent);
                    sent += 1;
                    if Pin::new(&mut sending).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    continue;
                }
                let mut receiving = receiver.recv();
                match Pin::new(&mut receiving).poll(cx) {
                    Poll::Ready(number) => received.push(number.expect("the sender is there")),
                    Poll::Pending => {
                        assert_eq!(receiver.len(), sent - received.len() - 1, "it gives way with the message");
                        return Poll::Ready(());
                    }
                }
            }
            panic!("it never gave way")
        })
        .await;
        assert_eq!(receiver.len(), sent - received.len());
        received.extend(std::iter::from_fn(|| receiver.try_recv().ok()));
        assert_eq!(received, (0..sent).collect::<Vec<_>>());
    });
}

/// A waker may re-enter its channel in every way, whether it is woken, replaced or dropped, and so may the destructor of
/// a message: no lock is held then.
pub fn a_waker_and_a_message_may_re_enter_their_channel<R: Runtime>(runtime: R) {
    run(runtime, async {
        for capacity in [0, 2] {
            for closes in [true, false] {
                let (sender, receiver) = bounded::<Option<Hostile>>(capacity);
                let acts = Arc::new(AtomicUsize::new(0));
                // Who acts mustn't serve those who wait before the check has what it needs.
                let (may_receive, may_send) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
                let ends = Arc::new(Mutex::new(Some((sender.clone(), receiver.clone()))));
                let act = {
                    let (acts, may_receive, may_send) = (acts.clone(), may_receive.clone(), may_send.clone());
                    move || {
                        // What it does wakes others of its kind, which do the same: not without end.
                        let ends = ends.lock().unwrap().clone();
                        let Some((sender, receiver)) = ends.filter(|_| acts.fetch_add(1, Ordering::SeqCst) < 1_000)
                        else {
                            return;
                        };
                        let _ = (sender.len(), receiver.is_closed(), format!("{sender:?} {receiver:?}"));
                        if may_receive.load(Ordering::SeqCst) {
                            let _ = (poll_once(&mut receiver.recv()).is_ready(), receiver.try_recv().is_ok());
                        }
                        if may_send.load(Ordering::SeqCst) {
                            let _ = (poll_once(&mut sender.send(None)).is_ready(), sender.try_send(None).is_ok());
                        }
                    }
                };
                let hostile = || {
                    let act = act.clone();
                    Hostile(Box::new(act))
                };
                let mut receiving: Vec<_> = (0..6).map(|_| receiver.recv()).collect();
                for receiving in &mut receiving {
                    assert!(poll_with(receiving, &Waker::from(Arc::new(hostile()))).is_pending());
                    assert!(poll_with(receiving, &Waker::from(Arc::new(hostile()))).is_pending());
                }
                let before = acts.load(Ordering::SeqCst);
                assert!(before >= 6, "replaced wakers are dropped");
                may_send.store(true, Ordering::SeqCst);
                let _ = sender.try_send(Some(hostile()));
                drop(receiving);
                assert!(acts.load(Ordering::SeqCst) >= before + 6);

                while receiver.try_recv().is_ok() {}
                may_receive.store(false, Ordering::SeqCst);
                for _ in 0..capacity {
                    assert!(sender.try_send(Some(hostile())).is_ok());
                }
                acts.store(0, Ordering::SeqCst);
                let mut sending: Vec<_> = (0..6).map(|_| sender.send(Some(hostile()))).collect();
                for sending in &mut sending {
                    assert!(settled(sending, &Waker::from(Arc::new(hostile()))).is_pending());
                }
                may_receive.store(true, Ordering::SeqCst);
                let before = acts.load(Ordering::SeqCst);
                if closes {
                    sender.close();
                } else {
                    drop(receiver.try_recv());
                }
                assert!(acts.load(Ordering::SeqCst) > before, "somebody was woken");
                drop(sending);
                drop((sender, receiver));
            }
        }
    });
}

/// A pipeline of tasks gives one result, whatever its channels hold.
pub fn a_pipeline_gives_the_same_result<R: Runtime>(runtime: R) {
    run(runtime, async {
        for capacity in [0, 1, 100] {
            let squares = task_group::<R, _, _>(async |g| {
                let (numbers, to_square) = bounded(capacity);
                let (squares, results) = bounded(capacity);
                g.spawn(async move {
                    for number in 0..100_u64 {
                        numbers.send(number).await.unwrap();
                    }
                });
                for _ in 0..3 {
                    let (to_square, squares) = (to_square.clone(), squares.clone());
                    g.spawn(async move {
                        while let Ok(number) = to_square.recv().await {
                            yield_now().await;
                            squares.send(number * number).await.unwrap();
                        }
                    });
                }
                drop(squares);
                let mut all = Vec::new();
                while let Ok(square) = results.recv().await {
                    all.push(square);
                    turns(1).await;
                }
                until(|| to_square.is_closed()).await;
                all.sort_unstable();
                all
            })
            .await;
            assert_eq!(squares, (0..100).map(|number| number * number).collect::<Vec<_>>(), "capacity {capacity}");
        }
    });
}
