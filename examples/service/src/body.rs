//! What is sent back, and what is given back once it was sent or nobody wants it any more.

use crate::app::Alive;
use anyscope::PermitArc;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of a response: whole, or as it comes.
///
/// hyper drops it when it was sent, or when its client has gone; with it go the permit of its request and whatever else
/// is only wanted as long as somebody reads.
pub(crate) struct Reply {
    body: Either<Full<Bytes>, Channel<Bytes>>,
    permit: Option<PermitArc>,
    /// It counts as under way until then.
    request: Option<Alive>,
    _guard: Option<Box<dyn Send>>,
}

impl Reply {
    pub(crate) fn whole(body: impl Into<Bytes>) -> Self {
        Self { body: Either::Left(Full::new(body.into())), permit: None, request: None, _guard: None }
    }

    /// A body that is written meanwhile, by whoever has the other end; `guard` is dropped with it.
    pub(crate) fn stream(guard: impl Send + 'static) -> (Sender<Bytes>, Self) {
        let (sender, channel) = Channel::new(1);
        (sender, Self { body: Either::Right(channel), permit: None, request: None, _guard: Some(Box::new(guard)) })
    }

    /// Keeps the request under way until the body has gone.
    pub(crate) fn of(mut self, request: Alive) -> Self {
        self.request = Some(request);
        self
    }

    /// Keeps the request's permit until the body has gone.
    pub(crate) fn holding(mut self, permit: PermitArc) -> Self {
        self.permit = Some(permit);
        self
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.body {
            Either::Left(body) => Pin::new(body).poll_frame(cx),
            Either::Right(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Left(body) => body.is_end_stream(),
            Either::Right(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Left(body) => body.size_hint(),
            Either::Right(body) => body.size_hint(),
        }
    }
}
