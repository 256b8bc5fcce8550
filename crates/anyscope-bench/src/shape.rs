//! The children of the scenarios: ready at once, ready after a yield, or waiting for each other.

use futures::task::AtomicWaker;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// A kind of child. Its output is its number, so that nobody can leave it out.
pub(crate) trait Shape: 'static {
    const NAME: &str;

    type Child: Future<Output = usize> + Send + Unpin + 'static;

    fn child(signals: &'static Signals, number: usize) -> Self::Child;
}

pub(crate) struct Ready;

impl Shape for Ready {
    const NAME: &str = "ready";

    type Child = std::future::Ready<usize>;

    fn child(_: &'static Signals, number: usize) -> Self::Child {
        std::future::ready(number)
    }
}

pub(crate) struct Yields;

impl Shape for Yields {
    const NAME: &str = "yields-once";

    type Child = YieldsOnce;

    fn child(_: &'static Signals, number: usize) -> YieldsOnce {
        YieldsOnce { number, yielded: false }
    }
}

pub(crate) struct YieldsOnce {
    number: usize,
    yielded: bool,
}

impl Future for YieldsOnce {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        if self.yielded {
            return Poll::Ready(self.number);
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Yields to the runtime, as any future may.
pub(crate) fn yield_once() -> YieldsOnce {
    YieldsOnce { number: 0, yielded: false }
}

/// Waits for a message that is sent when all of them wait.
///
/// The message is a oneshot's, without its allocation: what is measured is what holds the children, not the channel.
pub(crate) struct Waits;

impl Shape for Waits {
    const NAME: &str = "oneshot";

    type Child = Waiting;

    fn child(signals: &'static Signals, number: usize) -> Waiting {
        Waiting { signals, number, counted: false }
    }
}

pub(crate) struct Waiting {
    signals: &'static Signals,
    number: usize,
    counted: bool,
}

impl Future for Waiting {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let slot = &self.signals.slots[self.number];
        slot.waker.register(cx.waker());
        if !self.counted {
            self.counted = true;
            self.signals.one_more_waits();
        }
        // Ordering: Acquire; partner of the Release in `one_more_waits`. Set back for the next round.
        if slot.sent.load(Ordering::Acquire) {
            slot.sent.store(false, Ordering::Relaxed);
            return Poll::Ready(self.number);
        }
        Poll::Pending
    }
}

/// A place for each child that waits.
pub(crate) struct Signals {
    waiting: AtomicUsize,
    slots: Box<[Slot]>,
}

#[derive(Default)]
struct Slot {
    sent: AtomicBool,
    waker: AtomicWaker,
}

impl Signals {
    /// Returns places for that many, which last as long as the process.
    pub(crate) fn of(children: usize) -> &'static Self {
        let slots = (0..children).map(|_| Slot::default()).collect();
        Box::leak(Box::new(Self { waiting: AtomicUsize::new(0), slots }))
    }

    /// The last that comes to wait sends to all, itself among them.
    fn one_more_waits(&self) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) + 1 < self.slots.len() {
            return;
        }
        self.waiting.store(0, Ordering::Relaxed);
        for slot in &self.slots {
            slot.sent.store(true, Ordering::Release);
            slot.waker.wake();
        }
    }
}
