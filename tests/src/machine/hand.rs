//! [`Hand`]: a future that is polled by hand, with a waker that notes whether it was called.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

pub(crate) struct Hand<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    bell: Arc<Bell>,
    began: bool,
}

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<T> Hand<T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Box::pin(future), bell: Arc::default(), began: false }
    }

    /// Polls it, with the waker of last time or with one of its own.
    pub(crate) fn poll(&mut self, anew: bool) -> Poll<T> {
        self.began = true;
        let before = if anew { mem::take(&mut self.bell) } else { self.bell.clone() };
        self.bell.0.store(false, Ordering::SeqCst);
        let poll = self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(self.bell.clone())));
        if anew {
            assert_eq!(Arc::strong_count(&before), 1, "a waker is kept that was replaced");
        }
        if poll.is_ready() {
            drop(before);
            assert!(Arc::strong_count(&self.bell) <= 2, "a waker is kept for what has ended");
        }
        poll
    }

    /// Whether it was polled.
    pub(crate) fn began(&self) -> bool {
        self.began
    }

    /// Whether it was woken since it was polled.
    pub(crate) fn rung(&self) -> bool {
        self.bell.0.load(Ordering::SeqCst)
    }

    /// Drops the future, whatever it waits for.
    pub(crate) fn leave(self) {
        let Self { future, bell, .. } = self;
        drop(future);
        assert_eq!(Arc::strong_count(&bell), 1, "a waker is kept of who has left");
    }
}
