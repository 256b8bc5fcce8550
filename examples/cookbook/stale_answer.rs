//! The old answer when the new one takes too long, and the new one for whoever asks later.
//!
//! When: an answer of a minute ago is better than a wait. The fetch is a child of the application's group: dropping its
//! handle doesn't end it, so the timeout is about the waiting alone.
//!
//! ```text
//! cargo run --example cookbook stale-answer
//! ```

use anyscope::sim::Sim;
use anyscope::{GroupHandle, sleep, task_group, timeout};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn main() {
    anyscope::run(
        Sim::new(),
        task_group(async |g| {
            let weather = Weather { group: g.handle(), last: Arc::new(Mutex::new("sun".to_owned())) };
            println!("at first:       {}", weather.ask("rain").await);
            sleep(Duration::from_secs(60)).await;
            println!("a minute later: {}", weather.ask("snow").await);
        }),
    );
    println!("the last fetch has ended, too");
}

struct Weather {
    group: GroupHandle,
    last: Arc<Mutex<String>>,
}

impl Weather {
    async fn ask(&self, now: &'static str) -> String {
        let last = self.last.clone();
        let fetch = async move {
            let fresh = fetch(now).await;
            last.lock().unwrap().clone_from(&fresh);
            fresh
        };
        let Ok(fetched) = self.group.task("fetch").spawn(fetch) else { return self.last() };
        match timeout(Duration::from_millis(300), fetched).await {
            Ok(fresh) => fresh,
            Err(_) => self.last(),
        }
    }

    fn last(&self) -> String {
        self.last.lock().unwrap().clone()
    }
}

async fn fetch(weather: &str) -> String {
    sleep(Duration::from_secs(2)).await;
    weather.to_owned()
}

// Output:
// at first:       sun
// a minute later: rain
// the last fetch has ended, too
