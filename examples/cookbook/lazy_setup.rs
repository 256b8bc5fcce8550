//! Something that is made when it is first needed, once, by an async function: `OnceCell`.
//!
//! When: a client, a pool, a table that not every run of the program needs. For one cell for each key,
//! see `single-flight`.
//!
//! ```text
//! cargo run --example cookbook lazy-setup
//! ```

use anyscope::sim::Sim;
use anyscope::sync::OnceCell;
use anyscope::{gather, now, sleep};
use std::sync::LazyLock;
use std::time::Duration;

static RATES: LazyLock<OnceCell<Vec<(&str, f64)>>> = LazyLock::new(OnceCell::new);

pub fn main() {
    anyscope::run(Sim::new(), async {
        println!("loaded at the start: {}", RATES.get().is_some());

        let started = now();
        let prices = gather([("EUR", 10.0), ("CHF", 20.0), ("XXX", 30.0)].map(async |(currency, price)| {
            convert(price, currency)
                .await
                .map_or("no such currency".to_owned(), |price| format!("{price:.2} {currency}"))
        }));
        println!("{}; after {:?}", prices.await.join(", "), now() - started);
    });
}

async fn convert(dollars: f64, currency: &str) -> Option<f64> {
    let rates = RATES.get_or_init(load).await;
    let (_, rate) = rates.iter().find(|(name, _)| *name == currency)?;
    Some(dollars * rate)
}

async fn load() -> Vec<(&'static str, f64)> {
    println!("loading the rates");
    sleep(Duration::from_secs(1)).await;
    vec![("EUR", 0.86), ("CHF", 0.80)]
}

// Output:
// loaded at the start: false
// loading the rates
// 8.60 EUR, 16.00 CHF, no such currency; after 1s
