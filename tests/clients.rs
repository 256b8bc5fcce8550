//! Slow clients: a server on each runtime's own sockets, and clients who send a byte and no more, never read, never say
//! anything, or are gone. Each is cut off in time, its place is free again, and the server ends when it is told to.
//!
//! Nothing here is about how long something takes: the test ends, or it hangs.

#![forbid(unsafe_code)]

use anyscope_async_std::AsyncStd;
use anyscope_core::locks::Event;
use anyscope_core::{Runtime, Semaphore, race, run, task_group, timeout};
use anyscope_smol::Smol;
use anyscope_tokio::Tokio;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How many are served at a time.
const PLACES: usize = 4;
const IDLE: usize = 40;
/// More than the system keeps for who doesn't read.
const MUCH: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_millis(20);
const HOUR: Duration = Duration::from_secs(3600);
const HUNG: Duration = Duration::from_secs(60);

/// A runtime's own sockets.
trait Net: Runtime {
    type Listener: Send + Sync + 'static;
    type Stream: Send + 'static;

    fn bind() -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + Send;
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    fn write(stream: &mut Self::Stream, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

macro_rules! net {
    ($runtime:ty, $net:path, $read:path, $write:path) => {
        const _: () = {
            use $net as net;
            use {$read as _, $write as _};

            impl Net for $runtime {
                type Listener = net::TcpListener;
                type Stream = net::TcpStream;

                async fn bind() -> io::Result<(Self::Listener, SocketAddr)> {
                    let listener = net::TcpListener::bind("127.0.0.1:0").await?;
                    let address = listener.local_addr()?;
                    Ok((listener, address))
                }

                async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
                    Ok(listener.accept().await?.0)
                }

                async fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
                    stream.read(buffer).await
                }

                async fn write(stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<()> {
                    stream.write_all(bytes).await
                }
            }
        };
    };
}

net!(Tokio, tokio::net, tokio::io::AsyncReadExt, tokio::io::AsyncWriteExt);
net!(Smol, smol::net, smol::io::AsyncReadExt, smol::io::AsyncWriteExt);
net!(AsyncStd, async_std::net, async_std::io::ReadExt, async_std::io::WriteExt);

/// What the server tells about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Begun,
    Served,
    /// Its time was up.
    Cut,
    /// It went away.
    Gone,
}

/// What the server and the test share.
struct Server {
    places: Arc<Semaphore>,
    patience: AtomicU64,
    stop: Event,
    news: Mutex<Sender<News>>,
}

impl Server {
    fn tell(&self, news: News) {
        let _ = self.news.lock().unwrap().send(news);
    }
}

/// Serves until it is told to stop. Returns how many connections had to be cut off then.
async fn serve<R: Net>(server: Arc<Server>, address: Sender<SocketAddr>) -> usize {
    let (listener, bound) = R::bind().await.expect("a port");
    address.send(bound).expect("the test waits");
    task_group::<R, _, _>(async |g| {
        loop {
            // A place first: who doesn't get one waits in the system's queue, and costs nothing here.
            let next = async {
                let place = server.places.acquire_arc().await.expect("it is open");
                Some((place, R::accept(&listener).await))
            };
            let stop = async {
                server.stop.wait().await;
                None
            };
            let Some((place, accepted)) = race((stop, next)).await else { break };
            // A client that is gone before it was accepted is an error of this one accept.
            let Ok(mut stream) = accepted else { continue };
            let server = server.clone();
            g.spawn(async move {
                let _place = place;
                server.tell(News::Begun);
                // Ordering: Relaxed; a number is all that it tells.
                let patience = Duration::from_millis(server.patience.load(Ordering::Relaxed));
                server.tell(match timeout::<R, _>(patience, talk::<R>(&mut stream)).await {
                    Ok(Ok(())) => News::Served,
                    Ok(Err(_)) => News::Gone,
                    Err(_) => News::Cut,
                });
            });
        }
        g.shutdown(PATIENCE).await.len()
    })
    .await
}

/// Reads a line, and answers it: with very much where it asks for that.
async fn talk<R: Net>(stream: &mut R::Stream) -> io::Result<()> {
    let (mut line, mut buffer) = (Vec::new(), [0; 64]);
    while line.last() != Some(&b'\n') {
        match R::read(stream, &mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => line.extend(&buffer[..n]),
        }
    }
    let block = vec![b'x'; 1 << 16];
    for _ in 0..if line == b"much\n" { MUCH / block.len() } else { 0 } {
        R::write(stream, &block).await?;
    }
    R::write(stream, b"done\n").await
}

/// Connects, and says something, if anything.
fn client(address: SocketAddr, says: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(says).expect("there is room for a few bytes");
    stream
}

/// Clients who keep their places for as long as they are let: there is nothing that would end them.
fn stuck(address: SocketAddr) -> Vec<TcpStream> {
    let mut clients = vec![client(address, b"m"), client(address, b"much\n"), client(address, b"never ends")];
    clients.extend((0..IDLE).map(|_| client(address, b"")));
    clients
}

fn next(news: &Receiver<News>) -> News {
    news.recv_timeout(HUNG).expect("the server hung")
}

/// Takes what the server tells until so many connections have ended. Returns how many of them were cut off.
fn until_ended(news: &Receiver<News>, connections: usize) -> usize {
    let ends = std::iter::repeat_with(|| next(news)).filter(|news| *news != News::Begun).take(connections);
    ends.inspect(|news| assert_ne!(*news, News::Served)).filter(|news| *news == News::Cut).count()
}

fn slow_clients<R: Net>(runtime: R) {
    let (tell, news) = channel();
    let (bound, address) = channel();
    let (ended, end) = channel();
    let server = Arc::new(Server {
        places: Arc::new(Semaphore::new(PLACES)),
        patience: AtomicU64::new(PATIENCE.as_millis() as u64),
        stop: Event::new(),
        news: Mutex::new(tell),
    });
    let shared = server.clone();
    let serving = thread::spawn(move || {
        let _ = ended.send(run(runtime, serve::<R>(shared, bound)));
    });
    let address = address.recv_timeout(HUNG).expect("the server listens");

    // Ten times as many as there are places, and each gives its place back.
    let clients = stuck(address);
    assert_eq!(until_ended(&news, clients.len()), clients.len());
    drop(clients);

    // Who half goes, or goes for good, is cut off or seen to be gone.
    let half = client(address, b"half a line");
    half.shutdown(Shutdown::Write).expect("it is connected");
    let deaf = client(address, b"much\n");
    deaf.shutdown(Shutdown::Read).expect("it is connected");
    drop(client(address, b"much\n"));
    until_ended(&news, 3);
    drop((half, deaf));

    // Ordering: Relaxed; a number is all that it tells, and the connection comes after it.
    server.patience.store(HOUR.as_millis() as u64, Ordering::Relaxed);
    let mut answer = String::new();
    client(address, b"hello\n").read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "done\n");
    assert_eq!((next(&news), next(&news)), (News::Begun, News::Served));

    // All places are taken for an hour, and others queue for them: the server ends all the same.
    let clients = stuck(address);
    (0..PLACES).for_each(|_| assert_eq!(next(&news), News::Begun));
    server.stop.set();
    assert_eq!(end.recv_timeout(HUNG), Ok(PLACES), "so many were cut off");
    serving.join().expect("the server ends well");
    assert_eq!(server.places.available_permits(), PLACES);
    drop(clients);
}

#[test]
fn on_tokio() {
    slow_clients(Tokio::new());
}

#[test]
fn on_tokio_with_one_thread() {
    slow_clients(Tokio::current_thread());
}

#[test]
fn on_smol() {
    slow_clients(Smol::new());
}

#[test]
fn on_async_std() {
    slow_clients(AsyncStd::new());
}
