//! Five servers, of which each is slow or broken in its own way, and five ways not to wait for all of them.
//!
//! ```text
//! cargo run --example policies
//! ```

#![forbid(unsafe_code)]

use anyscope::{Outcome, gather, sleep};
use std::time::Duration;

fn main() {
    // The panic of one server is told below, as a value.
    std::panic::set_hook(Box::new(|_| {}));
    anyscope::run(anyscope::tokio::Tokio::new(), policies());
}

async fn policies() {
    let servers = ["ash", "birch", "cedar", "down", "elm"];

    let first = gather(servers.map(ask)).first_ok().await;
    println!("first success:    {}", first.unwrap());

    // The first three in time, in the order of the input. On the runtime's threads the others have ended by now, too.
    let three = gather(servers.map(ask)).parallel().quorum(3).await;
    println!("quorum of three:  {}", three.unwrap().join(", "));

    let five = gather(servers.map(ask)).quorum(5).await;
    println!("quorum of five:   {}", five.unwrap_err().to_string().replace('\n', ";"));

    let long = gather(servers.map(ask)).until(|_index, reply| reply.as_ref().is_ok_and(|text| text.len() > 5)).await;
    println!("first long reply: {}", long.unwrap().unwrap());

    let partial = gather(servers.map(ask)).within(Duration::from_millis(200)).await;
    let missing = partial.missing().unwrap();
    let heard: Vec<&str> = partial.iter().map(|(index, _reply)| servers[index]).collect();
    println!("within 200 ms:    heard of {}; {missing} missing", heard.join(", "));

    let outcomes = gather(["ash", "oops"].map(ask)).parallel().settled().await;
    for (name, outcome) in ["ash", "oops"].iter().zip(outcomes) {
        match outcome {
            Outcome::Completed(reply) => println!("settled:          {name} said {reply:?}"),
            Outcome::Panicked(panic) => println!("settled:          {name} {panic}"),
            other => println!("settled:          {name} {other:?}"),
        }
    }
}

/// Asks a server. The later its name stands in the alphabet, the longer it takes.
async fn ask(name: &'static str) -> Result<String, String> {
    let tenths = match name {
        "ash" => 0,
        "birch" => 1,
        "cedar" => 3,
        "elm" => 5,
        "oops" => panic!("at the server's name"),
        _ => return Err(format!("{name} is not there")),
    };
    sleep(Duration::from_millis(100 * tenths)).await;
    Ok(format!("{name}!"))
}
