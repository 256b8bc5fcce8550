//! Models of a job: its end against who waits for it.

use super::*;
use crate::models::{Threads, model};
use crate::run;

#[test]
fn who_waits_for_a_job_is_woken_at_its_end() {
    model(|| {
        let (threads, limiter) = (Threads::new(), Limiter::new(1));
        let value = run(threads.clone(), unblock::<Threads, _, _>(|| 7).limiter(&limiter));
        assert_eq!(value, 7);
        threads.join();
        assert_eq!(limiter.statistics().borrowed, 0);
    });
}
