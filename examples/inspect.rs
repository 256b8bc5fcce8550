//! A page in the browser that shows what a small shop does: who waits, who holds what the others wait for, who is cancelled,
//! who is stuck.
//!
//! cargo run --example inspect
//!
//! It ends after ten minutes, or on Ctrl-C.

#![forbid(unsafe_code)]

use anyscope::inspect::Inspector;
use anyscope::tokio::Tokio;
use anyscope::{CancelToken, Semaphore, TaskGroup, shield, sleep, task_group, timeout, unblock, with_cleanup};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let stop = CancelToken::new();
    let stopped = stop.clone();
    ctrlc::set_handler(move || _ = stopped.cancel_with("Ctrl-C")).map_err(io::Error::other)?;
    anyscope::run(Tokio::new(), async {
        let open = timeout(600 * SECOND, stop.run(shop()));
        match open.await {
            Ok(Ok(Err(error))) => return Err(error),
            Ok(Ok(Ok(never))) => match never {},
            Ok(Err(cancelled)) => println!("{cancelled}"),
            Err(elapsed) => println!("{elapsed}"),
        }
        Ok(())
    })
}

async fn shop() -> io::Result<Infallible> {
    let server = Inspector::builder().title("shop").bind("127.0.0.1:6670".parse().expect("an address"))?;
    println!("open http://{}", server.address());
    let connections = Arc::new(Semaphore::new(2));
    let group = TaskGroup::builder().name("shop");
    let open = group.run(async |g| {
        let page = g.task("inspect").spawn_service(server.serve());
        g.task("prices").spawn_service(async {
            loop {
                sleep(5 * SECOND).await;
            }
        });
        g.task("requests").spawn(requests(connections.clone()));
        g.task("orders").spawn(orders());
        g.task("thumbnails").spawn(thumbnails());
        page.await
    });
    open.await
}

/// Five who want one of two connections, over and over.
async fn requests(connections: Arc<Semaphore>) {
    let group = TaskGroup::builder().name("requests");
    let all = group.run(async |g| {
        for (path, seconds) in [("/cart", 3), ("/pay", 7), ("/search?q=<b>tea</b>", 2), ("/tea/7", 4), ("/users/1", 5)]
        {
            let connections = connections.clone();
            g.task(format!("GET {path}")).spawn(async move {
                loop {
                    let connection = connections.acquire().await;
                    task_group(async |g| {
                        g.task("query").spawn(sleep(seconds * SECOND));
                        g.task("cache").spawn(sleep(SECOND / 2));
                    })
                    .await;
                    drop(connection);
                    sleep(SECOND).await;
                }
            });
        }
    });
    all.await;
}

/// Each is given up after a while, and has something to put in order then.
async fn orders() {
    for number in 1.. {
        task_group(async |g| {
            let order = g.task(format!("order {number}")).spawn(async {
                let charge = async {
                    shield(10 * SECOND, sleep(9 * SECOND)).await;
                    Ok::<_, Infallible>(())
                };
                let _ = with_cleanup(charge, sleep(5 * SECOND), 10 * SECOND).await;
            });
            g.task("stock").spawn(shield(4 * SECOND, sleep(3 * SECOND)));
            sleep(6 * SECOND).await;
            order.cancel_with("the customer has closed the window");
        })
        .await;
    }
}

/// Blocking work where it belongs, and, now and then, where it doesn't.
async fn thumbnails() {
    loop {
        task_group(async |g| {
            g.task("resize").spawn(unblock(|| std::thread::sleep(4 * SECOND)));
            g.task("resize, and forgot `unblock`").spawn(async { std::thread::sleep(4 * SECOND) });
        })
        .await;
        sleep(6 * SECOND).await;
    }
}
