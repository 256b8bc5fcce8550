//! The sockets of each runtime, behind one function each. All that the service knows of runtimes is in this file.

use anyscope::run;
use clap::ValueEnum;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use smol_hyper::rt::FuturesIo;
use socket2::{Domain, Socket as Socket2, Type};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A runtime to serve on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Which {
    /// tokio, on several threads.
    Tokio,
    /// tokio, on one.
    TokioCurrentThread,
    /// smol.
    Smol,
    /// async-std.
    AsyncStd,
}

impl Which {
    /// Runs `future` on the runtime.
    pub fn run<F: Future>(self, future: F) -> F::Output {
        match self {
            Self::Tokio => run(anyscope::tokio::Tokio::new(), future),
            Self::TokioCurrentThread => run(anyscope::tokio::Tokio::current_thread(), future),
            Self::Smol => run(anyscope::smol::Smol::new(), future),
            Self::AsyncStd => run(anyscope::async_std::AsyncStd::new(), future),
        }
    }

    /// Opens a connection to `to`.
    pub(crate) async fn connect(self, to: SocketAddr) -> io::Result<Socket> {
        Ok(match self {
            Self::Tokio | Self::TokioCurrentThread => {
                let stream = tokio::net::TcpStream::connect(to).await?;
                stream.set_nodelay(true)?;
                Socket(Box::new(TokioIo::new(stream)))
            }
            Self::Smol => {
                let stream = smol::net::TcpStream::connect(to).await?;
                stream.set_nodelay(true)?;
                Socket(Box::new(FuturesIo::new(stream)))
            }
            Self::AsyncStd => {
                let stream = async_std::net::TcpStream::connect(to).await?;
                stream.set_nodelay(true)?;
                Socket(Box::new(FuturesIo::new(stream)))
            }
        })
    }

    /// Opens a port. Called on the runtime.
    pub(crate) fn listen(self, at: SocketAddr) -> io::Result<Listener> {
        let socket = bound(at)?;
        Ok(match self {
            Self::Tokio | Self::TokioCurrentThread => Listener::Tokio(tokio::net::TcpListener::from_std(socket)?),
            Self::Smol => Listener::Smol(smol::Async::new(socket)?.into()),
            Self::AsyncStd => Listener::AsyncStd(socket.into()),
        })
    }
}

/// How many connections the system keeps for a service that is busy. The runtimes' own `bind` asks for fewer; a client that
/// comes when the queue is full tries again by itself, a second later.
const WAITING: i32 = 4096;

/// A socket that listens, and blocks nobody.
fn bound(at: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket2::new(Domain::for_address(at), Type::STREAM, None)?;
    // A port is free again as soon as the service that had it is gone.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(WAITING)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// An open port.
pub(crate) enum Listener {
    Tokio(tokio::net::TcpListener),
    Smol(smol::net::TcpListener),
    AsyncStd(async_std::net::TcpListener),
}

impl Listener {
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tokio(listener) => listener.local_addr(),
            Self::Smol(listener) => listener.local_addr(),
            Self::AsyncStd(listener) => listener.local_addr(),
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tokio(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Socket(Box::new(TokioIo::new(stream)))
            }
            Self::Smol(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Socket(Box::new(FuturesIo::new(stream)))
            }
            Self::AsyncStd(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Socket(Box::new(FuturesIo::new(stream)))
            }
        })
    }
}

trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

/// A connection, of whichever runtime.
pub(crate) struct Socket(Box<dyn Io>);

impl Read for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, bufs)
    }
}
