//! [`Giving`]: a future that the compiler needn't show to be one.

use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A future `F` whose output is `T`.
    ///
    /// It is one whatever `F` is: that `F` is a future, and gives a `T`, is asked where this is made.
    // Where the compiler asks whether a future is `Send`, it has forgotten every lifetime, and takes each for another.
    // What the fields of that future are made of has to be shown there, and for one that keeps an output (as a gather of
    // a tuple does) that means: what is a future, and what it gives. A type whose parameters have to fit each other, as
    // `T` and `F: Future<Output = T>`, can't be shown to be a future then. So how to poll is found where it is known.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Giving<F, T> {
        #[pin]
        future: F,
        poll: fn(Pin<&mut F>, &mut Context<'_>) -> Poll<T>,
    }
}

impl<F: Future> Giving<F, F::Output> {
    pub(crate) fn new(future: F) -> Self {
        Self { future, poll: F::poll }
    }
}

impl<F, T> Future for Giving<F, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        (this.poll)(this.future, cx)
    }
}

impl<F: fmt::Debug, T> fmt::Debug for Giving<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.future.fmt(f)
    }
}
