//! The list of all checks: the one place where a check gets its laws.

use crate::Check;

/// Calls a macro with its arguments and the list of all checks: `area { name [laws] .. } ..`.
#[doc(hidden)]
#[macro_export]
macro_rules! each_check {
    ($callback:ident, $($arguments:tt)*) => {
        $crate::$callback! {
            $($arguments)*
            lifetime {
                a_group_ends_after_its_children [1]
                children_of_children_and_of_threads_are_joined [1]
                a_group_waits_for_the_destructor_of_a_capture [1]
                an_unwanted_value_is_dropped_before_the_group_ends [1]
                dropping_a_handle_changes_nothing [1]
                a_spawn_that_races_with_the_end_is_joined_or_given_back [1 5]
                dropping_a_group_destroys_its_idle_children_at_once [2]
                whoever_drops_a_group_destroys_its_children [2]
                a_dropped_group_leaves_only_polls_under_way [2 3]
                a_child_in_a_poll_is_destroyed_when_the_poll_returns [2 3]
                run_waits_for_a_poll_that_a_dropped_group_left [3]
                a_child_may_drop_its_own_group [2 3]
                a_destructor_may_use_the_group_that_is_being_dropped [2 5]
                dropping_the_outermost_group_destroys_every_level [2]
                the_last_poll_of_thousands_of_dropped_levels_ends_them_all [2 3]
                forgetting_anything_leaves_the_rest_usable [4]
                spawning_into_an_ended_group_gives_the_future_back [5]
                spawning_into_a_cancelled_group_drops_the_future_unpolled [5]
                a_child_never_runs_inside_spawn [6]
            }
            cancel {
                a_request_is_heard_as_soon_as_it_is_made [7 8]
                a_poll_under_way_sees_the_request [7 8 9]
                the_first_reason_wins [7]
                a_request_runs_no_code_of_what_it_cancels [7]
                a_request_reaches_100_000_levels_on_a_small_stack [8]
                a_request_reaches_what_is_being_spawned_meanwhile [7 8]
                an_idle_task_is_not_polled_for_its_cancellation [9]
                a_cancelled_task_is_not_polled_again [9]
                what_runs_under_a_cancelled_token_is_dropped_unpolled [7 9]
                a_child_held_back_by_a_limit_is_cancelled_at_once [9]
                what_completed_before_the_cancellation_was_seen_is_delivered [10]
                a_permit_on_its_way_to_a_cancelled_waiter_goes_to_the_next [10 24]
                a_waker_may_re_enter_its_token [7]
                everybody_who_waits_is_woken [8]
                of_nested_tokens_the_outermost_cancelled_reports [11]
                an_inner_token_never_claims_what_an_outer_one_reports [11]
                a_token_cancelled_from_far_above_claims_nothing [11]
                of_nested_timeouts_the_outermost_past_reports [11]
                a_timeout_is_not_mistaken_for_a_cancellation [11]
                an_explicit_reason_tells_who_asked_and_where [13]
                the_children_of_what_timed_out_are_told_of_the_deadline [13]
                siblings_are_told_which_task_failed [13]
                children_are_told_that_their_body_failed [13]
                children_are_told_that_their_owner_was_dropped [13]
                a_destructor_may_cancel_what_is_being_cancelled [7]
            }
            time {
                a_relative_time_starts_at_the_first_poll [15]
                what_is_ready_wins_over_a_deadline_already_past [15]
                late_but_done_is_done [15]
                a_deadline_ends_everything_below_it [15 16]
                deadlines_tighten_inwards_through_everything [16 28]
                a_child_has_its_groups_deadline_not_its_spawners [16]
                durations_of_every_size_work [16]
                the_last_instant_of_the_clock_works [16]
                a_timer_can_be_set_to_any_instant [16 17]
                a_sleep_is_never_early [17]
                a_tick_is_never_early [17]
                missed_ticks_become_what_was_asked [17]
                a_timer_that_is_early_is_waited_for_again [17]
                an_always_ready_loop_ends_at_its_deadline [15 31]
                a_deadline_ends_with_its_timeout [16]
            }
            failure {
                the_first_error_cancels_the_rest_and_all_are_kept_in_order [18]
                the_bodys_own_error_cancels_the_children [18]
                a_childs_error_ends_the_body [18]
                a_childs_panic_goes_on_in_the_owner_after_all_have_ended [19]
                a_panic_goes_before_errors [18 19]
                two_panics_at_once_are_both_kept [19]
                the_first_panic_in_time_goes_on [19]
                a_panic_in_the_body_joins_the_children [19]
                a_panic_in_a_destructor_during_cancellation_is_a_panic [19]
                a_panic_in_a_destructor_of_a_dropped_group_reaches_the_group_around [19]
                a_panic_in_a_values_destructor_is_a_panic [19]
                a_panic_in_a_payloads_destructor_harms_nobody [19]
                a_panic_while_the_owner_unwinds_does_not_abort [19 20]
                an_error_whose_destructor_panics_aborts_nothing [18 19]
                an_outcome_tells_of_a_panic_without_one [19]
                awaiting_a_task_cancelled_by_itself_says_why [19]
                an_awaiter_that_is_cancelled_too_never_resumes [19]
                a_task_polled_again_by_a_cancelled_awaiter_stays_pending [19]
                a_runtime_lives_on_after_panics [19]
            }
            collect {
                results_stand_in_the_order_of_the_input [21]
                at_most_the_limit_is_in_progress_and_nothing_is_pulled_early [21]
                what_waits_for_a_consumer_counts_towards_the_limit [21]
                a_slow_consumer_stops_no_sibling [22]
                a_full_limit_stops_no_sibling [22]
                a_chatty_child_starves_none [23]
                a_wake_costs_only_what_is_ready [23]
                a_gather_wakes_whoever_polled_it_last [22 23]
                a_late_wake_harms_nobody [22 23]
                a_parallel_gather_runs_on_the_runtime [21]
                each_future_has_its_own_time [15]
                progress_is_told_as_it_is_made [21]
                the_first_error_drops_the_rest [21]
                a_tuple_gives_a_tuple [21]
                nothing_gives_nothing [21]
                a_race_gives_the_first_and_drops_the_others [21]
                a_panic_in_a_gather_drops_the_others [19]
                gathered_futures_may_borrow [21]
                a_large_gather_loses_none [21 22]
            }
            policies {
                the_first_success_stops_the_rest [21 22]
                what_is_not_needed_any_more_is_joined [1]
                where_nobody_succeeds_every_error_is_kept_in_order [18 21]
                being_late_is_an_error_among_the_others [15 18]
                a_quorum_is_the_first_in_time_in_the_order_of_the_input [21]
                a_quorum_out_of_reach_fails_at_once [18 26]
                a_quorum_of_none_or_of_too_many_is_told_at_once [26]
                the_first_value_that_fits_ends_the_gather [21]
                a_panic_stops_no_other_where_all_are_settled [19 21]
                a_panic_goes_on_whatever_the_gather_waits_for [19]
                a_deadline_gives_what_has_ended [15 16 21]
                what_is_ready_wins_over_the_deadline_of_a_gather [15 16]
                a_value_that_comes_while_the_gather_is_stopped_counts [10 15]
                a_scope_around_reports_before_the_deadline_of_a_gather [11 16]
                what_is_stopped_is_told_why [13]
                a_gather_that_waits_for_enough_polls_only_what_is_ready [23]
                the_limit_holds_whatever_the_gather_waits_for [21 22]
                dropping_a_gather_that_waits_for_enough_drops_everything [2]
                whoever_waits_for_enough_can_be_spawned [29]
            }
            sync {
                permits_go_in_the_order_of_asking [24]
                tasks_are_served_in_the_order_of_asking [24]
                a_small_request_does_not_overtake_a_large_one [24]
                nobody_takes_a_permit_that_was_handed_over [24]
                whoever_asks_anew_goes_to_the_end_of_the_queue [24]
                dropping_a_waiter_in_any_state_loses_nothing [24 25]
                whoever_leaves_the_head_lets_the_next_in [24 25]
                a_waker_may_re_enter_its_semaphore [24 25]
                the_last_waker_is_woken_and_none_is_kept [24]
                permits_are_neither_lost_nor_made_under_stress [25]
                resizing_under_stress_neither_loses_nor_makes_permits [25]
                a_limiter_is_resized_while_in_use [25]
                a_closed_semaphore_stays_closed [24 25]
                asking_for_more_than_there_can_be_is_an_error_at_once [26]
                a_gate_opens_when_enough_permits_were_added [26]
                whoever_waits_for_more_than_is_left_is_told [26]
                numbers_that_make_no_sense_panic_at_the_call [26]
            }
            locks {
                a_mutex_is_handed_over_in_the_order_of_asking [24]
                readers_do_not_overtake_a_writer_that_waits [24]
                dropping_a_waiter_of_a_lock_in_any_state_loses_nothing [10 24 25]
                a_guard_is_held_across_awaits_and_goes_to_other_tasks [29]
                a_panic_of_who_holds_a_lock_unlocks_it [25]
                whoever_is_woken_finds_the_lock_free [24]
                locks_let_in_whom_they_may_under_stress [25]
                notifications_go_in_the_order_of_waiting [24]
                a_notified_waiter_that_is_cancelled_passes_the_notification_on [10 24]
                nobody_misses_the_change_that_it_waits_for [10 29]
                an_event_lets_everybody_through_for_ever [10]
                a_barrier_counts_who_is_there [24 26]
                an_initialiser_that_ends_early_lets_the_next_try [10 24]
                a_value_is_made_once_however_many_ask [29]
                a_waker_may_re_enter_what_it_waits_for [24]
                a_cancelled_task_gives_up_its_locks_and_its_places [10 24]
            }
            channels {
                messages_and_those_who_wait_go_in_the_order_of_coming [24]
                nobody_sends_or_receives_past_those_who_wait [24]
                a_message_for_a_receiver_that_is_dropped_goes_on [10 24]
                messages_that_come_back_keep_their_order [10 24]
                a_send_that_is_dropped_sends_all_or_nothing [10 24]
                a_rendezvous_waits_for_the_other_side [24 26]
                a_closed_channel_gives_out_what_it_accepted_and_back_what_not [10]
                a_channel_is_closed_with_the_last_of_either_end [10]
                the_end_is_told_after_the_last_message_has_arrived [10]
                messages_are_neither_lost_nor_doubled_under_stress [10 25]
                a_message_that_gives_way_and_is_dropped_is_not_lost [10 31]
                a_waker_and_a_message_may_re_enter_their_channel [24]
                a_pipeline_gives_the_same_result [29]
            }
            blocking {
                an_accepted_job_runs_though_its_future_was_dropped [27]
                a_run_waits_for_the_jobs_left_in_it [27]
                a_running_job_is_waited_for_and_keeps_its_result [15 27]
                an_abandoned_job_keeps_its_permit_until_it_ends [27]
                a_limiter_bounds_the_jobs_that_run [27]
                a_jobs_permit_is_back_when_its_result_is_there [25 27]
                a_job_that_still_waits_is_dropped_unrun [27]
                a_job_sees_its_deadline_and_its_cancellation [16 28]
                a_jobs_panic_goes_on_in_its_caller [19 27]
                jobs_are_members_of_their_group [27]
                a_dropped_group_leaves_its_job_to_the_group_around [3 27]
                a_job_wakes_whoever_polled_it_last [27]
                a_blocking_function_is_async_when_it_is_wrapped [27]
                a_job_without_a_permit_does_not_hold_up_its_caller [27]
            }
            runtime {
                the_same_program_gives_the_same_result [29]
                a_chain_of_children_ends_in_one_order [29]
                a_plain_thread_spawns_through_a_handle [29 30]
                a_plain_thread_waits_for_a_semaphore [29 30]
                a_group_is_polled_by_hand_on_a_foreign_thread [29 30]
                a_timer_moves_between_threads [17 29]
                children_of_a_runtime_that_goes_away_end [30]
                a_child_sends_its_own_runtime_away [30]
                a_group_polled_elsewhere_learns_that_its_runtime_is_gone [30]
                a_parallel_gather_on_a_lost_runtime_says_so [30]
                a_job_outlasts_a_runtime_that_goes_away [27 30]
                awaiting_a_task_of_a_lost_runtime_says_so [30]
                a_job_that_the_runtime_drops_is_told [27 30]
                outside_of_a_runtime_a_call_names_the_remedy [30]
                a_job_outside_of_a_runtime_keeps_no_permit [27 30]
                a_child_that_blocks_its_thread_holds_up_no_sibling [31]
                a_group_starts_no_more_drivers_than_the_runtime_polls [31]
                a_run_inside_of_a_run_stands_for_itself [29]
                two_runtimes_of_one_type_do_not_mix [29]
                an_always_ready_loop_starves_nobody_beside_it [31]
                an_always_ready_child_starves_no_sibling [31]
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! list_checks {
    ($($area:ident { $($name:ident [$($law:literal)*])* })*) => {
        &[$($(Check::new(stringify!($area), stringify!($name), &[$($law),*]),)*)*]
    };
}

/// Every check of the suite.
pub const CHECKS: &[Check] = crate::each_check!(list_checks,);

#[doc(hidden)]
#[macro_export]
macro_rules! list_bodies {
    (($runtime:ty) $($area:ident { $($name:ident [$($law:literal)*])* })*) => {
        &[$($($crate::$area::$name::<$runtime>,)*)*]
    };
}

/// What each of [`CHECKS`] runs, in the same order.
pub(crate) const fn bodies<R: anyscope_core::Runtime>() -> &'static [fn(R)] {
    crate::each_check!(list_bodies, (R))
}
