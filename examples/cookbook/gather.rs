//! Several calls side by side, and their answers in the order of the input.
//!
//! When: the calls don't depend on each other, and none can fail, or an error is a value like any other. The calls may
//! borrow, and run in the current task; `.parallel()` puts them on the runtime's threads.
//!
//! ```text
//! cargo run --example cookbook gather
//! ```

use anyscope::sim::Sim;
use anyscope::{gather, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();

        // Many of a kind: a `Vec`. The last one is ready first, and still stands last.
        let names = [String::from("ann"), String::from("bob"), String::from("cy")];
        let greetings = gather(names.iter().map(|name| greet(name))).await;
        println!("{greetings:?} after {:?}", now() - started);

        // A few, each of a kind of its own: a tuple.
        let (count, greeting) = gather((count_users(), greet("dee"))).await;
        println!("{count} users, and {greeting:?}");
    });
}

async fn greet(name: &str) -> String {
    sleep(Duration::from_millis(100 * name.len() as u64)).await;
    format!("hello {name}")
}

async fn count_users() -> usize {
    sleep(Duration::from_millis(50)).await;
    4
}

// Output:
// ["hello ann", "hello bob", "hello cy"] after 300ms
// 4 users, and "hello dee"
