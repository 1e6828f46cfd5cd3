//! Every check under a few thousand interleavings. A failure prints a schedule that `shuttle::replay` follows again.

use meshzero_interleavings::{requests, semaphores, send_queues};

#[test]
fn a_request_begins_or_is_refused_and_never_both() {
    requests::a_request_begins_or_is_refused_and_never_both();
}

#[test]
fn a_reused_slot_answers_only_the_later_request() {
    requests::a_reused_slot_answers_only_the_later_request();
}

#[test]
fn a_semaphore_grants_no_more_permits_than_there_are_and_nobody_waits_for_free_ones() {
    semaphores::no_more_permits_are_granted_than_there_are_and_nobody_waits_for_free_ones();
}

#[test]
fn draining_a_semaphore_ends_when_all_permits_are_free_and_waiters_get_an_error() {
    semaphores::draining_ends_when_all_permits_are_free_and_waiters_get_an_error();
}

#[test]
fn nobody_overtakes_a_woken_waiter_of_a_semaphore() {
    semaphores::nobody_overtakes_a_woken_waiter();
}

#[test]
fn frames_that_several_append_to_a_send_queue_arrive_whole_once_and_in_order() {
    send_queues::frames_of_several_senders_arrive_whole_once_and_in_order();
}

#[test]
fn a_link_resumes_behind_the_last_byte_that_arrived() {
    send_queues::a_link_resumes_behind_the_last_byte_that_arrived();
}

#[test]
fn senders_that_wait_for_room_in_a_send_queue_get_an_error_when_it_closes() {
    send_queues::senders_that_wait_for_room_get_an_error_when_the_queue_closes();
}
