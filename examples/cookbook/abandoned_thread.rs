//! Lets go of a closure that blocks and can't be told to stop, instead of waiting for it.
//!
//! When: a driver hangs in a call, and the answer has to go out. By default a caller that is cancelled, or out of time,
//! waits for its closure and keeps the result; so it is only for what harms nobody when it goes on alone. It keeps its
//! thread and its permit until it ends, and the outermost group, or `run`, still waits for it.
//!
//! ```text
//! cargo run --example cookbook abandoned-thread
//! ```

use anyscope::smol::Smol;
use anyscope::sync::Event;
use anyscope::{CancelToken, Limiter, gather, unblock};
use std::sync::{Arc, mpsc};

pub fn main() {
    anyscope::run(Smol::new(), async {
        let threads = Limiter::new(4);
        let (server, begun) = (Server::new(), Arc::new(Event::new()));
        let (line, begins) = (server.line, begun.clone());
        let query = unblock(move || {
            begins.set();
            // Blocks until the server answers or hangs up, and knows nothing of cancellation.
            println!("driver:  {}", line.recv().unwrap_or("the server has hung up"));
        });

        let request = CancelToken::new();
        let stop = async {
            begun.wait().await;
            request.cancel_with("no answer in time");
        };
        let (answer, ()) = gather((request.run(query.limiter(&threads).abandon_on_cancel()), stop)).await;

        println!("handler: 504, {}", answer.unwrap_err().reason().message().unwrap());
        println!("threads that are still in use: {}", threads.statistics().borrowed);
        drop(server.end);
    });
    println!("now all have ended");
}

/// A server that doesn't answer.
struct Server {
    line: mpsc::Receiver<&'static str>,
    end: mpsc::Sender<&'static str>,
}

impl Server {
    fn new() -> Self {
        let (end, line) = mpsc::channel();
        Self { line, end }
    }
}

// Output:
// handler: 504, no answer in time
// threads that are still in use: 1
// driver:  the server has hung up
// now all have ended
