//! Short outages of a host's network: links continue over a new connection, and do not wait for TCP's retransmission.

use std::thread;
use std::time::{Duration, Instant};

use meshzero_testing::{Host, Lan, Links, Process, eventually, require};

use super::scene::Scene;
use crate::pair::PATIENCE;

/// The interval of 60 states a second, in milliseconds.
const PERIOD: u64 = 16;

/// Cuts the cable of a host for a while.
fn outage(host: &Host, time: Duration) {
    host.cut();
    thread::sleep(time);
    host.heal();
}

/// The dials beside stalled connections, and the links that continued over one of them, as a program prints when it ends.
fn raced(process: &Process) -> (u64, u64) {
    let said = process.stdout();
    let line = said.lines().find_map(|line| line.strip_prefix("raced ")).expect("it has ended well");
    let (races, won) = line.split_once(" won ").expect("two numbers");
    (races.parse().expect("a number"), won.parse().expect("a number"))
}

#[test]
fn after_an_outage_links_go_on_over_a_new_connection_before_the_old_one_carries_again() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut scene = Scene::begin(lan.host(0), lan.host(1), PERIOD, 5_000);
    for millis in [500, 1_500, 4_000] {
        outage(lan.host(1), Duration::from_millis(millis));
        let (healed, items) = (Instant::now(), scene.tally().items);
        eventually(PATIENCE, "news come again", || (scene.tally().items > items).then_some(()));
        let took = healed.elapsed();
        eprintln!("after an outage of {millis} ms news came {took:?} later");
        // TCP would retransmit up to 4 s after the last of these outages, and after the others as much later as they lasted.
        assert!(took < Duration::from_secs(2), "after {millis} ms it took {took:?}");
        scene.replies(50, PATIENCE);
    }
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{tally:?}");
    let (races, won) = raced(&scene.callers[0]);
    // If TCP happens to retransmit in this very moment, the old connection wins, which is as good.
    eprintln!("{races} dials, {won} of which carried a link on");
    assert!(races > 0, "nothing was dialled");
}

#[test]
fn calls_that_are_under_way_in_an_outage_of_the_service_have_their_replies() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut scene = Scene::begin(lan.host(0), lan.host(1), 50, 5_000);
    for _ in 0..2 {
        outage(lan.host(0), Duration::from_secs(4));
        scene.replies(20, PATIENCE);
    }
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{tally:?}");
}

#[test]
fn two_hundred_links_behind_one_outage_dial_a_few_times_each_and_all_continue() {
    const CALLERS: usize = 8;
    const LISTENERS: u64 = 24;
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut scene = Scene::new();
    scene.serve(lan.host(0), &["publish=50"]);
    for caller in 0..CALLERS {
        let listens = format!("listen={}", 100 * (caller + 1));
        scene.call(lan.host(1), &["every=50", "allowed=20000", &listens, &format!("listeners={LISTENERS}")]);
    }
    lan.host(1).count_dials();
    let outage_lasts = Duration::from_millis(2_500);
    outage(lan.host(1), outage_lasts);
    let items = scene.tally().items;
    let links = CALLERS as u64 * (LISTENERS + 1);
    eventually(PATIENCE, "all go on", || (scene.tally().items > items + 10 * links).then_some(()));
    let dials = lan.host(1).dials();
    eprintln!("{links} links dialled {dials} times");
    // Ten a second for each link, and one more that it continues over.
    let most = links * (outage_lasts.as_millis() as u64 / 100 + 1);
    assert!(dials > 0 && dials < most, "{dials} dials of {links} links");
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{tally:?}");
}
