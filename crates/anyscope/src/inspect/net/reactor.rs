//! The sockets of smol and async-std, which wait for them with the same crate.

use super::{Accept, Socket};
use async_io::Async;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::task::{Context, Poll, ready};

pub(super) struct Listener(Async<TcpListener>);

impl Listener {
    pub(super) fn new(port: TcpListener) -> io::Result<Self> {
        Async::new(port).map(Self)
    }
}

impl Accept for Listener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Socket>>> {
        loop {
            match self.0.get_ref().accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                accepted => {
                    let (stream, _) = accepted?;
                    stream.set_nodelay(true)?;
                    return Poll::Ready(Ok(Box::new(Async::new(stream)?)));
                }
            }
        }
    }
}

impl Socket for Async<TcpStream> {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.get_ref().read(buffer)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Async::poll_readable(self, cx)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.get_ref().write(bytes)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Async::poll_writable(self, cx)
    }

    fn shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_ref().shutdown(Shutdown::Write))
    }
}
