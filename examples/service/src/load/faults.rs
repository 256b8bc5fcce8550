//! Clients that don't behave.

use crate::client::Result;
use anyscope::{CancelToken, TaskGroup, sleep};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The route under which the store finds who was reset while a handler was at work. The slash at its end makes no
/// difference to the service but this: it tells them from those who ask for the same, and leave another way.
pub(crate) const RESET_AT_WORK: &str = "GET /slow/";

#[derive(Clone, Copy)]
enum Fault {
    /// Sends a byte at a time.
    Slow,
    /// Sends half a head, and stays.
    HalfAHead,
    /// Asks, and says that it will send nothing more.
    HalfClosed,
    /// Is gone while a handler is at work.
    Killed,
    /// As well, and without a goodbye.
    ResetAtWork,
    /// Is gone without a goodbye in the middle of what it sends: the handler that reads sees an error.
    ResetInItsBody,
    /// Reads a little of what has no end.
    LeavesAStream,
}

const FAULTS: [Fault; 7] = [
    Fault::Slow,
    Fault::HalfAHead,
    Fault::HalfClosed,
    Fault::Killed,
    Fault::ResetAtWork,
    Fault::ResetInItsBody,
    Fault::LeavesAStream,
];

/// Ten of each kind, until it is over.
pub(crate) fn spawn(group: &TaskGroup, address: SocketAddr, over: &CancelToken) {
    for fault in FAULTS.into_iter().cycle().take(10 * FAULTS.len()) {
        let over = over.clone();
        group.spawn(async move {
            while !over.is_cancelled() {
                // What comes of it is the service's affair.
                let _ = over.run(misbehave(address, fault)).await;
                sleep(Duration::from_millis(5)).await;
            }
        });
    }
}

async fn misbehave(address: SocketAddr, fault: Fault) -> Result<()> {
    const ASK: &[u8] = b"GET /slow?ms=5000 HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = TcpStream::connect(address).await?;
    match fault {
        Fault::Slow => {
            for byte in ASK {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_millis(20)).await;
            }
        }
        Fault::HalfAHead => {
            stream.write_all(b"GET /hello HTTP/1.1\r\nho").await?;
            stream.read_to_end(&mut Vec::new()).await?;
        }
        Fault::HalfClosed => {
            stream.write_all(ASK).await?;
            stream.shutdown().await?;
            stream.read_to_end(&mut Vec::new()).await?;
        }
        Fault::Killed => {
            is_served(&mut stream).await?;
            stream.write_all(ASK).await?;
            sleep(Duration::from_millis(5)).await;
        }
        Fault::ResetAtWork => {
            is_served(&mut stream).await?;
            stream.write_all(format!("{RESET_AT_WORK}?ms=5000 HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await?;
            sleep(Duration::from_millis(20)).await;
            stream.set_zero_linger()?;
        }
        Fault::ResetInItsBody => {
            stream.write_all(b"POST /items HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nthe beginning").await?;
            sleep(Duration::from_millis(5)).await;
            stream.set_zero_linger()?;
        }
        Fault::LeavesAStream => {
            stream.write_all(b"GET /stream?chunks=1000000&every=1 HTTP/1.1\r\nhost: x\r\n\r\n").await?;
            stream.read_exact(&mut [0; 200]).await?;
        }
    }
    Ok(())
}

/// Who leaves the kernel's backlog has never been with the service, and leaves no handler behind.
async fn is_served(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut read = Vec::new();
    while !read.ends_with(b"hello\n") {
        if stream.read_buf(&mut read).await? == 0 {
            return Err("closed".into());
        }
    }
    Ok(())
}
