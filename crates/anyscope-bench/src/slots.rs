//! Many futures, each in a place of its own that is used again, so that no allocation but a subject's is counted.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// So many places, empty or each with a future.
pub(crate) struct Slots<F: Future> {
    futures: Vec<Pin<Box<Option<F>>>>,
    outputs: Vec<Option<F::Output>>,
}

impl<F: Future> Slots<F> {
    pub(crate) fn new(places: usize) -> Self {
        let futures = (0..places).map(|_| Box::pin(None)).collect();
        Self { futures, outputs: (0..places).map(|_| None).collect() }
    }

    /// Puts a new future in each place and polls it once; it isn't ready.
    pub(crate) fn poll_new(&mut self, make: impl Fn(usize) -> F) {
        self.poll_new_with(&mut Context::from_waker(Waker::noop()), make);
    }

    /// The same, on behalf of a task.
    pub(crate) fn poll_new_with(&mut self, cx: &mut Context<'_>, make: impl Fn(usize) -> F) {
        for (number, place) in self.futures.iter_mut().enumerate() {
            place.set(Some(make(number)));
            let polled = place.as_mut().as_pin_mut().expect("it was set").poll(cx);
            assert!(polled.is_pending(), "nothing was to be had yet");
        }
    }

    /// Polls each once; all are ready. What they return is kept until all have.
    pub(crate) fn poll_to_the_end(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        for (place, output) in self.futures.iter_mut().zip(&mut self.outputs) {
            let Poll::Ready(ready) = place.as_mut().as_pin_mut().expect("it was set").poll(cx) else {
                panic!("all were to be ready");
            };
            *output = Some(ready);
        }
    }

    /// Drops all, in order, and then the outputs.
    pub(crate) fn clear(&mut self) {
        self.futures.iter_mut().for_each(|place| place.set(None));
        self.outputs.iter_mut().for_each(|output| *output = None);
    }

    /// Drops all, the last first.
    pub(crate) fn clear_backwards(&mut self) {
        self.futures.iter_mut().rev().for_each(|place| place.set(None));
    }
}
