//! tokio's sockets.

use super::{Accept, Socket};
use ::tokio::io::AsyncWrite;
use ::tokio::net::{TcpListener, TcpStream};
use ::tokio::runtime::Handle;
use std::io;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pub(super) struct Listener {
    port: TcpListener,
    runtime: Handle,
}

impl Listener {
    pub(super) fn new(port: std::net::TcpListener, runtime: &Handle) -> io::Result<Self> {
        let _context = runtime.enter();
        // tokio has no question for this, and panics where its sockets are off.
        let port = catch_unwind(|| TcpListener::from_std(port)).map_err(|_| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "the tokio runtime was built without `enable_io` or `enable_all`; call one on its `Builder`",
            )
        })??;
        Ok(Self { port, runtime: runtime.clone() })
    }
}

impl Accept for Listener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Socket>>> {
        // The runtime of a handle needn't be the one around this poll.
        let _context = self.runtime.enter();
        let (stream, _) = ready!(self.port.poll_accept(cx))?;
        stream.set_nodelay(true)?;
        Poll::Ready(Ok(Box::new(stream)))
    }
}

impl Socket for TcpStream {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        TcpStream::try_read(self, buffer)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, bytes)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(cx)
    }
}
