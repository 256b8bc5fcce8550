//! Interrupts a program at each of its points, and looks whether it leaves anything behind.
//!
//! When: something is taken and given back around an await. A future can be dropped at any of them: by a timeout, a
//! `select!`, a client that goes away. Code that is right when it runs to its end may be wrong then.
//!
//! ```text
//! cargo run --example cookbook cut-anywhere
//! ```

use anyscope::sim::{CancelEverywhere, Fault};
use anyscope::sleep;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

pub fn main() {
    CancelEverywhere::new().run(Cinema::default, |cinema| guarded(cinema.clone()), Cinema::check);
    println!("with a guard: nothing is left behind, wherever it is cut");

    // Says on standard error at which point, and how it was interrupted.
    let found =
        catch_unwind(|| CancelEverywhere::new().run(Cinema::default, |cinema| by_hand(cinema.clone()), Cinema::check));
    println!("by hand: a seat is left behind somewhere: {}", found.is_err());
}

#[derive(Clone, Default)]
struct Cinema {
    taken: Arc<AtomicI32>,
}

impl Cinema {
    fn check(&self, _how: Option<Fault>) {
        assert_eq!(self.taken.load(Ordering::SeqCst), 0, "seats are still taken");
    }
}

/// Gives the seat back in a line of its own, which is never reached by what is dropped before.
async fn by_hand(cinema: Cinema) {
    cinema.taken.fetch_add(1, Ordering::SeqCst);
    watch().await;
    cinema.taken.fetch_sub(1, Ordering::SeqCst);
}

/// Gives the seat back however it ends.
async fn guarded(cinema: Cinema) {
    struct Seat(Cinema);

    impl Drop for Seat {
        fn drop(&mut self) {
            self.0.taken.fetch_sub(1, Ordering::SeqCst);
        }
    }

    cinema.taken.fetch_add(1, Ordering::SeqCst);
    let _seat = Seat(cinema);
    watch().await;
}

async fn watch() {
    sleep(Duration::from_secs(1200)).await; // the advertisements
    sleep(Duration::from_secs(7200)).await; // the film
}

// Output:
// with a guard: nothing is left behind, wherever it is cut
// by hand: a seat is left behind somewhere: true
