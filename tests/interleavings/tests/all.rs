//! Every check under a few thousand interleavings. A failure prints a schedule that `shuttle::replay` follows again.

use meshzero_interleavings::{requests, semaphores, send_queues};

#[test]
fn a_request_begins_or_is_refused_and_never_both() {
    requests::a_request_begins_or_is_refused_and_never_both();
}

#[test]
fn a_place_that_is_used_again_answers_only_the_later_request() {
    requests::a_place_that_is_used_again_answers_only_the_later_request();
}

#[test]
fn no_more_of_a_quota_is_taken_than_there_is_and_nobody_waits_for_what_is_free() {
    semaphores::no_more_is_taken_than_there_is_and_nobody_waits_for_what_is_free();
}

#[test]
fn who_drains_a_quota_hears_when_all_is_free_and_who_waits_hears_of_the_end() {
    semaphores::who_drains_hears_when_all_is_free_and_who_waits_hears_of_the_end();
}

#[test]
fn nobody_overtakes_who_has_a_turn_for_a_quota() {
    semaphores::nobody_overtakes_who_has_a_turn();
}

#[test]
fn what_several_append_to_an_outbox_arrives_whole_once_and_in_order() {
    send_queues::what_several_append_arrives_whole_once_and_in_order();
}

#[test]
fn a_link_goes_on_from_the_byte_that_arrived_last() {
    send_queues::a_link_goes_on_from_the_byte_that_arrived_last();
}

#[test]
fn who_waits_for_room_in_an_outbox_hears_of_the_end() {
    send_queues::who_waits_for_room_hears_of_the_end();
}
