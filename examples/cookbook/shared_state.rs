//! A value that several tasks change, one at a time, with an await in the middle: `Mutex`.
//!
//! When: a change takes an await, and nobody may see the half of it. Those who wait come in turn. Where nothing is awaited
//! under the lock, `std::sync::Mutex` is faster.
//!
//! ```text
//! cargo run --example cookbook shared-state
//! ```

use anyscope::sim::Sim;
use anyscope::sync::Mutex;
use anyscope::{gather, now, sleep};
use std::time::Duration;

pub fn main() {
    anyscope::run(Sim::new(), async {
        let started = now();
        let token = Mutex::new(Token { text: "t0".to_owned(), uses: 0 });

        let calls = gather((1..=7).map(async |call| {
            let used = use_token(&token).await;
            format!("call {call} used {used} after {:?}", now() - started)
        }));
        println!("{}", calls.await.join("\n"));
    });
}

struct Token {
    text: String,
    uses: u32,
}

/// Each token is good for three calls; the call that needs a new one fetches it, and the others wait meanwhile.
async fn use_token(token: &Mutex<Token>) -> String {
    let mut token = token.lock().await;
    if token.uses == 3 {
        sleep(Duration::from_secs(1)).await;
        let number: u32 = token.text[1..].parse().expect("a letter and a number");
        *token = Token { text: format!("t{}", number + 1), uses: 0 };
    }
    token.uses += 1;
    token.text.clone()
}

// Output:
// call 1 used t0 after 0ns
// call 2 used t0 after 0ns
// call 3 used t0 after 0ns
// call 4 used t1 after 1s
// call 5 used t1 after 1s
// call 6 used t1 after 1s
// call 7 used t2 after 2s
