//! The multicast traffic of a mesh: the number of questions, and recovery from a lost announcement.

use std::time::{Duration, Instant};

use meshzero_testing::{Host, Lan, Metered, Process, eventually, require};

use super::{PATIENCE, answer, mz, serve};

/// The quiet period: RFC 6762's records of two minutes have to be refreshed within it by those that want that.
const QUIET: Duration = Duration::from_secs(185);
/// A lost announcement is repeated in nine seconds, and watchers ask after ten; a machine may be busy. Their second question comes
/// after a minute, which is too late.
const AGAIN: Duration = Duration::from_secs(30);

/// Watches, and sees a service that is there already.
fn watch(host: &Host) -> Process {
    let mut watch = mz(host, &["list", "--watch"]);
    watch.expect_line("first", PATIENCE);
    watch
}

#[test]
fn programs_that_have_found_each_other_ask_hardly_anything() {
    if !require::netns() {
        return;
    }
    const WATCHING: usize = 10;
    let lan = Lan::new(2);
    let host = lan.host(0);
    let _first = serve(lan.host(1), &["first"]);
    let begun = Instant::now();
    let _services: Vec<Process> =
        (0..10).map(|number| serve(host, &[&format!("service/{number}")])).collect();
    let _watches: Vec<Process> = (0..WATCHING).map(|_| watch(host)).collect();
    let settled = begun + Duration::from_secs(20);
    let wait_until = |end: Instant| {
        eventually(QUIET + PATIENCE, "the time is over", || (Instant::now() >= end).then_some(()));
    };
    wait_until(settled);
    // From here on it counts.
    let _ = Metered::read(&lan, 0);
    wait_until(settled + QUIET);
    let metered = Metered::read(&lan, 0);
    let most = 2 * (10 + WATCHING) as u64;
    assert!(metered.questions <= most, "{metered:?}");
    // Of those who would ask the same, most hear that somebody else does.
    assert!(metered.questions <= WATCHING as u64, "{metered:?}");
}

#[test]
fn a_service_whose_announcement_was_lost_is_seen_all_the_same() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let _first = serve(lan.host(2), &["first"]);
    let mut watch = watch(lan.host(1));
    // Nothing of what is announced now arrives.
    lan.host(1).loss(1.0);
    let _ = Metered::read(&lan, 0);
    let _late = serve(lan.host(0), &["late"]);
    eventually(PATIENCE, "it was announced twice", || (Metered::read(&lan, 0).responses >= 2).then_some(()));
    assert!(!watch.stdout().contains("late"), "{}", watch.stdout());
    lan.host(1).loss(0.0);
    watch.expect_line("late", AGAIN);
}

#[test]
fn only_the_instances_of_a_name_answer_for_it() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let _others: Vec<Process> =
        (0..8).map(|number| serve(lan.host(0), &[&format!("other/{number}")])).collect();
    let _wanted = serve(lan.host(0), &["wanted"]);
    // The announcements are over, the last ones nine seconds after the first.
    let (mut last, mut since) = (Metered::read(&lan, 0), Instant::now());
    let quiet_since = eventually(PATIENCE, "nothing is announced any more", || {
        let now = Metered::read(&lan, 0);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() >= Duration::from_secs(6)).then_some(last)
    });
    answer(lan.host(1), &["discover", "wanted"]);
    let answers = Metered::read(&lan, 0).responses - quiet_since.responses;
    // The rounds until the first answer was read: one, or two on a busy machine, the second of them in both families.
    assert!((1..=5).contains(&answers), "{answers} answers");
}
