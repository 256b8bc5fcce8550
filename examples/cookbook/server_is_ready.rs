//! Starts a server and goes on when it is ready, with what it has to say: here, its port.
//!
//! When: what comes next needs it: a client, a test, the next service. Where it fails before it is ready, so does the
//! start; `outcome()` has that as a value.
//!
//! ```text
//! cargo run --example cookbook server-is-ready
//! ```

use anyscope::smol::Smol;
use anyscope::{Started, task_group};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{SocketAddr, TcpListener, TcpStream};
use std::io;

pub fn main() {
    anyscope::run(
        Smol::new(),
        task_group(async |g| {
            // A port that the system chooses is known when it listens, and no sooner.
            let address = g.task("server").start(serve).await;
            println!("the server is on {}, with a port: {}", address.ip(), address.port() != 0);

            println!("{}", ask(address, "ping").await.unwrap());
            println!("{}", ask(address, "pint").await.unwrap());

            // From the start on it is a child like any other.
            g.cancel_with("the test is over");
        }),
    );
}

async fn serve(started: Started<SocketAddr>) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    started.ready(listener.local_addr()?);
    // A client that breaks off is its own task's affair; the server ends with all of them.
    task_group(async |clients| -> io::Result<()> {
        loop {
            let (client, _) = listener.accept().await?;
            clients.spawn(answer(client));
        }
    })
    .await
}

async fn answer(mut client: TcpStream) -> io::Result<()> {
    let mut question = [0; 4];
    client.read_exact(&mut question).await?;
    let answer = if &question == b"ping" { "pong" } else { "pardon?" };
    client.write_all(answer.as_bytes()).await
}

async fn ask(address: SocketAddr, question: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(question.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(format!("{question}: {answer}"))
}

// Output:
// the server is on 127.0.0.1, with a port: true
// ping: pong
// pint: pardon?
