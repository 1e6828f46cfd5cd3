//! Faults between hosts, on networks of namespaces: cables, addresses, multicast, loss.

use std::thread;
use std::time::{Duration, Instant};

use meshzero_testing::{Lan, Links, Process, binary, require};

use super::scene::Scene;
use crate::pair::PATIENCE;

/// Lets a state last for a while.
fn for_a_while(time: Duration) {
    thread::sleep(time);
}

#[test]
fn a_cable_that_is_out_for_a_moment_costs_nothing_but_the_moment() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut scene = Scene::begin(lan.host(0), lan.host(1), 10, 8_000);
    for host in [0, 1] {
        lan.host(host).cut();
        for_a_while(Duration::from_millis(1_500));
        lan.host(host).heal();
        scene.replies(50, PATIENCE);
    }
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{tally:?}");
}

#[test]
fn a_cable_that_is_out_for_a_minute_is_noticed_within_ten_seconds_and_heals_by_itself() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let mut scene = Scene::begin(lan.host(0), lan.host(1), 40, 5_000);
    let mut watch =
        Process::start(lan.host(2).command(binary("mz")).args(["list", "--watch", "--mesh", scene.mesh()]));
    watch.expect_line("worker", PATIENCE);
    let begun = Instant::now();
    lan.host(0).cut();
    watch.expect_line("worker", PATIENCE);
    let noticed = begun.elapsed();
    assert!(noticed < Duration::from_secs(12), "the watch noticed after {noticed:?}");
    scene.callers[0].expect_line("lost", Duration::from_secs(25));
    let noticed = begun.elapsed();
    assert!(noticed < Duration::from_secs(24), "the subscriber noticed after {noticed:?}");
    for_a_while(Duration::from_secs(60).saturating_sub(begun.elapsed()));
    lan.host(0).heal();
    let healed = Instant::now();
    watch.expect_line("worker", PATIENCE);
    scene.replies(50, PATIENCE);
    let took = healed.elapsed();
    assert!(took < Duration::from_secs(25), "it took {took:?} to heal");
    let tally = scene.finish(Links::Ended);
    assert!(tally.not_sent > 0, "{tally:?}");
}

#[test]
fn a_host_that_gets_another_address_is_followed_and_nothing_is_lost() {
    nothing_is_lost_when_renumbered(0);
}

#[test]
fn a_caller_that_gets_another_address_goes_on_and_loses_nothing() {
    nothing_is_lost_when_renumbered(1);
}

/// The service is on host 0, the caller on host 1.
#[track_caller]
fn nothing_is_lost_when_renumbered(host: usize) {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut scene = Scene::begin(lan.host(0), lan.host(1), 10, 20_000);
    lan.host(host).renumber(77);
    let begun = Instant::now();
    scene.replies(100, PATIENCE);
    eprintln!("calls were answered again after {:?}", begun.elapsed());
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{tally:?}");
}

#[test]
fn discovered_services_stay_reachable_when_multicast_ends() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let mut scene = Scene::begin(lan.host(0), lan.host(1), 20, 5_000);
    lan.block_multicast();
    scene.replies(100, PATIENCE);
    let list = Process::start(lan.host(1).command(binary("mz")).args([
        "list",
        "--wait",
        "300ms",
        "--mesh",
        scene.mesh(),
    ]))
    .wait(PATIENCE);
    assert!(list.code().is_some(), "it ends, whether or not it finds anybody");
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{tally:?}");
}

#[test]
fn with_a_third_of_all_packets_lost_services_are_found_and_the_promises_hold() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    for host in lan.hosts() {
        host.loss_of_all(0.3);
    }
    let mut scene = Scene::begin(lan.host(0), lan.host(1), 50, 20_000);
    for_a_while(Duration::from_secs(15));
    for host in lan.hosts() {
        host.loss_of_all(0.0);
    }
    let tally = scene.finish(Links::Lasted);
    assert!(tally.replies > 20, "{tally:?}");
}

#[test]
fn a_host_whose_answers_are_all_lost_is_left_and_found_again() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut scene = Scene::begin(lan.host(0), lan.host(1), 20, 4_000);
    // Nothing arrives at the caller, while all its packets arrive at the service.
    lan.host(1).loss_of_all(1.0);
    scene.callers[0].expect_line("lost", PATIENCE);
    lan.host(1).loss_of_all(0.0);
    scene.replies(50, PATIENCE);
    let tally = scene.finish(Links::Ended);
    assert!(tally.unknown > 0, "{tally:?}");
}
