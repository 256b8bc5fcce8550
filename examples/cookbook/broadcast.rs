//! Each message to all who have subscribed; who is too slow is left out.
//!
//! When: events go to any number of clients: a chat, a ticker, a log that is followed. A channel gives each message to one
//! receiver, so each subscriber has a channel of its own.
//!
//! ```text
//! cargo run --example cookbook broadcast
//! ```

use anyscope::channel::{Receiver, Sender};
use anyscope::sim::Sim;
use anyscope::{channel, sleep, task_group};
use std::sync::Mutex;
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        task_group(async |g| {
            let topic = Topic::default();
            for (name, seconds) in [("ann", 1), ("bob", 5)] {
                let events = topic.subscribe();
                g.task(name).spawn(async move {
                    let mut seen = Vec::new();
                    while let Ok(event) = events.recv().await {
                        seen.push(event);
                        sleep(Duration::from_secs(seconds)).await;
                    }
                    println!("{name} has seen {seen:?}");
                });
            }
            for event in 1..=6 {
                sleep(Duration::from_secs(1)).await;
                println!("event {event} went to {}", topic.publish(event));
            }
            // Here the topic is dropped, and with it all channels are closed.
        })
        .await;
    });
}

struct Topic<T> {
    subscribers: Mutex<Vec<Sender<T>>>,
}

impl<T: Clone> Topic<T> {
    fn subscribe(&self) -> Receiver<T> {
        let (send, receive) = channel(2);
        self.subscribers.lock().unwrap().push(send);
        receive
    }

    /// Waits for nobody. Who has gone, or has two messages waiting already, is off the list.
    fn publish(&self, event: T) -> usize {
        let mut subscribers = self.subscribers.lock().unwrap();
        subscribers.retain(|subscriber| subscriber.try_send(event.clone()).is_ok());
        subscribers.len()
    }
}

impl<T> Default for Topic<T> {
    fn default() -> Self {
        Self { subscribers: Mutex::default() }
    }
}

// Output:
// event 1 went to 2
// event 2 went to 2
// event 3 went to 2
// event 4 went to 1
// event 5 went to 1
// event 6 went to 1
// ann has seen [1, 2, 3, 4, 5, 6]
// bob has seen [1, 2, 3]
