//! How loom explores a model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub(crate) use loom::sync::Notify;
pub(crate) use loom::thread;

/// Explores a model with up to three preemptions.
pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
    model_bounded(3, body);
}

/// Explores a model with up to so many preemptions: fewer than three only where three take too long.
#[allow(clippy::disallowed_methods, reason = "the time that a model takes is told to people")]
pub(crate) fn model_bounded(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let schedules = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    let begin = Instant::now();
    builder.check({
        let schedules = schedules.clone();
        move || {
            schedules.fetch_add(1, Ordering::Relaxed);
            body();
        }
    });
    let schedules = schedules.load(Ordering::Relaxed);
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a model");
    println!("{name}: {schedules} schedules with {preemptions} preemptions, {:.1} s", begin.elapsed().as_secs_f32());
    assert!(schedules > 1, "a model with one schedule models nothing");
}
