//! Short programs for anyscope, one idea each: README.md, beside this file, is the index.
//!
//! ```text
//! cargo run --example cookbook                    # what there is
//! cargo run --example cookbook bounded-fan-out    # one of them
//! ```
//!
//! Each of the other files is a whole program: copied to `src/main.rs` of a package that depends on anyscope, with the
//! features `tokio`, `smol`, `async-std` and `sim`, it runs as it stands. Here they are modules of one binary, because each
//! binary links the library and its runtimes anew, and takes some seconds and tens of megabytes for that.
//! `tests/cookbook.rs` runs every one and compares what it prints with the comment at its end.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "a `pub fn main` is what both this file and a copy of another can call their main")]

mod abandoned_thread;
mod background_jobs;
mod backpressure;
mod batching;
mod borrowing_children;
mod borrowing_threads;
mod bounded_fan_out;
mod broadcast;
mod cancel_reasons;
mod circuit_breaker;
mod clean_up;
mod client_disconnects;
mod crawler;
mod cut_anywhere;
mod deadlines;
mod fail_fast;
mod finalisers;
mod first_completed;
mod first_success;
mod four_runtimes;
mod gather;
mod graceful_shutdown;
mod hedged_request;
mod in_step;
mod latest_wins;
mod lazy_setup;
mod lifespan;
mod many_orders;
mod named_errors;
mod opening_time;
mod overload;
mod partial_results;
mod per_host_limit;
mod periodic_work;
mod pipeline;
mod plain_threads;
mod producer_consumer;
mod progress;
mod quorum;
mod rate_limit;
mod rayon_offload;
mod reloaded_config;
mod request_id;
mod results_as_they_finish;
mod retry;
mod server_is_ready;
mod settle_all;
mod shared_state;
mod shield;
mod single_flight;
mod stale_answer;
mod streaming_response;
mod supervisor;
mod sync_handler;
mod thread_limiter;
mod timeouts;
mod virtual_time;
mod waiting_for_a_change;
mod weighted_permits;
mod worker_pool;

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        for (name, _) in PROGRAMS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    match PROGRAMS.iter().find(|(name, _)| *name == wanted) {
        Some((_, program)) => {
            program();
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("there is no `{wanted}`; without a name, those that there are get listed");
            ExitCode::FAILURE
        }
    }
}

/// By the name of their file, with hyphens.
const PROGRAMS: &[(&str, fn())] = &[
    ("abandoned-thread", abandoned_thread::main),
    ("background-jobs", background_jobs::main),
    ("backpressure", backpressure::main),
    ("batching", batching::main),
    ("borrowing-children", borrowing_children::main),
    ("borrowing-threads", borrowing_threads::main),
    ("bounded-fan-out", bounded_fan_out::main),
    ("broadcast", broadcast::main),
    ("cancel-reasons", cancel_reasons::main),
    ("circuit-breaker", circuit_breaker::main),
    ("clean-up", clean_up::main),
    ("client-disconnects", client_disconnects::main),
    ("crawler", crawler::main),
    ("cut-anywhere", cut_anywhere::main),
    ("deadlines", deadlines::main),
    ("fail-fast", fail_fast::main),
    ("finalisers", finalisers::main),
    ("first-completed", first_completed::main),
    ("first-success", first_success::main),
    ("four-runtimes", four_runtimes::main),
    ("gather", gather::main),
    ("graceful-shutdown", graceful_shutdown::main),
    ("hedged-request", hedged_request::main),
    ("in-step", in_step::main),
    ("latest-wins", latest_wins::main),
    ("lazy-setup", lazy_setup::main),
    ("lifespan", lifespan::main),
    ("many-orders", many_orders::main),
    ("named-errors", named_errors::main),
    ("opening-time", opening_time::main),
    ("overload", overload::main),
    ("partial-results", partial_results::main),
    ("per-host-limit", per_host_limit::main),
    ("periodic-work", periodic_work::main),
    ("pipeline", pipeline::main),
    ("plain-threads", plain_threads::main),
    ("producer-consumer", producer_consumer::main),
    ("progress", progress::main),
    ("quorum", quorum::main),
    ("rate-limit", rate_limit::main),
    ("rayon-offload", rayon_offload::main),
    ("reloaded-config", reloaded_config::main),
    ("request-id", request_id::main),
    ("results-as-they-finish", results_as_they_finish::main),
    ("retry", retry::main),
    ("server-is-ready", server_is_ready::main),
    ("settle-all", settle_all::main),
    ("shared-state", shared_state::main),
    ("shield", shield::main),
    ("single-flight", single_flight::main),
    ("stale-answer", stale_answer::main),
    ("streaming-response", streaming_response::main),
    ("supervisor", supervisor::main),
    ("sync-handler", sync_handler::main),
    ("thread-limiter", thread_limiter::main),
    ("timeouts", timeouts::main),
    ("virtual-time", virtual_time::main),
    ("waiting-for-a-change", waiting_for_a_change::main),
    ("weighted-permits", weighted_permits::main),
    ("worker-pool", worker_pool::main),
];
