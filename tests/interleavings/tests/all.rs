//! Every check under a few thousand interleavings. A failure prints a schedule that `shuttle::replay` follows again.

use meshzero_interleavings::quotas;

#[test]
fn no_more_of_a_quota_is_taken_than_there_is_and_nobody_waits_for_what_is_free() {
    quotas::no_more_is_taken_than_there_is_and_nobody_waits_for_what_is_free();
}

#[test]
fn who_waits_until_all_of_a_quota_is_free_or_for_more_hears_of_it_and_of_the_end() {
    quotas::who_waits_until_all_is_free_or_for_more_hears_of_it_and_of_the_end();
}
