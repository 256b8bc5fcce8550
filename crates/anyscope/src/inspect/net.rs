//! The sockets of the runtime around, as hyper wants them.
//!
//! Each runtime waits for its own: no second reactor is started beside tokio's, and smol and async-std share theirs.

#[cfg(any(feature = "smol", feature = "async-std"))]
mod reactor;
#[cfg(feature = "tokio")]
mod tokio;

use crate::Current;
use crate::current::Kind;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A port that was opened, with the runtime that waits for it.
pub(super) struct Listener(Box<dyn Accept>);

impl Listener {
    /// Hands a port to the runtime around.
    pub(super) fn new(port: TcpListener) -> io::Result<Self> {
        port.set_nonblocking(true)?;
        match Current::try_current().map_err(io::Error::other)?.0 {
            #[cfg(feature = "tokio")]
            Kind::Tokio(tokio) => Ok(Self(Box::new(tokio::Listener::new(port, tokio.handle())?))),
            #[cfg(feature = "smol")]
            Kind::Smol(_) => Ok(Self(Box::new(reactor::Listener::new(port)?))),
            #[cfg(feature = "async-std")]
            Kind::AsyncStd(_) => Ok(Self(Box::new(reactor::Listener::new(port)?))),
            Kind::Other(other) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "no sockets of the runtime `{}` are known here: serve the page on those of your own by \
                     `Inspector::serve_connection`, or on a server of your own by `Inspector::respond`",
                    crate::Runtime::name(&other)
                ),
            )),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        poll_fn(|cx| self.0.poll_accept(cx)).await.map(Stream)
    }
}

/// What a runtime's listener has to do.
trait Accept: Send + Sync {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Socket>>>;
}

/// What a runtime's connection has to do. What is tried says `WouldBlock` where it has to be waited for.
trait Socket: Send {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A connection, of whichever runtime.
pub(super) struct Stream(Box<dyn Socket>);

/// The head of a request is smaller than this; a larger one takes two reads.
const CHUNK: usize = 2048;

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // By way of the stack: hyper's buffer can be written to in place by unsafe code alone.
        let mut chunk = [0; CHUNK];
        let room = buffer.remaining().min(CHUNK);
        loop {
            match self.0.try_read(&mut chunk[..room]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    buffer.put_slice(&chunk[..read?]);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_writable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shutdown(cx)
    }
}
