//! Three stages with channels in between, each at work while the others are.
//!
//! When: what comes in goes through several steps, and the slow one sets the pace. The first error ends all stages; at the
//! end of the input each closes the next by dropping its sender.
//!
//! ```text
//! cargo run --example cookbook pipeline
//! ```

use anyscope::channel::{Receiver, Sender};
use anyscope::sim::Sim;
use anyscope::{channel, now, sleep, try_task_group};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        for lines in [vec!["1", "2", "3", "4"], vec!["1", "two", "3", "4"]] {
            let started = now();
            match pipeline(lines).await {
                Ok(sum) => println!("the sum is {sum}, after {:?}", now() - started),
                Err(error) => println!("{error}, after {:?}", now() - started),
            }
        }
    });
}

async fn pipeline(lines: Vec<&'static str>) -> Result<u32, String> {
    let ended = try_task_group(async |g| {
        let (read, to_parse) = channel(2);
        let (parsed, to_store) = channel(2);
        g.task("read").spawn(read_all(lines, read));
        g.task("parse").spawn(parse_all(to_parse, parsed));
        let stored = g.task("store").spawn(store_all(to_store));
        Ok(stored.await)
    })
    .await;
    // The first error is the cause; `named-errors` shows how to have them all.
    ended.map_err(|error| error.into_first())
}

async fn read_all(lines: Vec<&'static str>, next: Sender<&'static str>) -> Result<(), String> {
    for line in lines {
        sleep(Duration::from_millis(10)).await;
        next.send(line).await.map_err(|_| "nobody parses any more")?;
    }
    Ok(())
}

async fn parse_all(lines: Receiver<&'static str>, next: Sender<u32>) -> Result<(), String> {
    while let Ok(line) = lines.recv().await {
        sleep(Duration::from_millis(20)).await;
        let number = line.parse().map_err(|error| format!("{line:?}: {error}"))?;
        next.send(number).await.map_err(|_| "nobody stores any more")?;
    }
    Ok(())
}

async fn store_all(numbers: Receiver<u32>) -> Result<u32, String> {
    let mut sum = 0;
    while let Ok(number) = numbers.recv().await {
        sleep(Duration::from_millis(100)).await;
        sum += number;
    }
    Ok(sum)
}

// Output:
// the sum is 10, after 430ms
// "two": invalid digit found in string, after 50ms
