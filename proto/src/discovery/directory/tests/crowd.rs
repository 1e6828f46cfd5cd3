//! Tests of the limit on instances per node: the hidden instances, and the assignment of slots.

use super::*;

#[test]
fn instances_beyond_the_limit_of_a_node_are_counted_and_found_by_exact_name() {
    let limits = Limits { instances_per_node: 8, ..Limits::default() };
    for (source, proved) in [(AdvertSource::Peer(node(1)), 8), (REPLY, 8), (AdvertSource::Mdns, 8)] {
        let mut world = World::new(&limits);
        let mut reported = 0;
        for n in 0..200_u16 {
            world.now += Duration::from_millis(1);
            let changes = world.add(advert(n + 1, 1, &format!("robot/{n}")), source);
            reported += usize::from(changes.hides == Some(node(1)));
        }
        assert_eq!((world.directory.all().len(), world.directory.hidden()), (proved, 192), "{source:?}");
        assert_eq!(reported, 1, "once");
        for n in (0..200_u16).step_by(10) {
            let name = ServiceName::new(format!("robot/{n}")).expect("a name");
            world.directory.request_name(&name, world.now);
            let found = world.directory.get(&name);
            assert!(found.len() == 1 && found[0].id == id(n + 1), "{source:?}: {found:?}");
        }
        // Reported again, by a reply to the question for it, it stays.
        world.add(advert(101, 1, "robot/100"), REPLY);
        assert_eq!(world.directory.get("robot/100").len(), 1);
        // A forger of a requested name has no more room than for other names.
        for n in 0..100_u16 {
            world.add(advert(1_000 + n, 1, "robot/100"), REPLY);
        }
        assert!(world.directory.get("robot/100").len() <= 8);
        assert!(world.directory.of_node(node(1)).len() <= 8 + 20 * 8);
        world.directory.remove_node(node(1), |_| DownReason::NodeDied, world.now);
        assert_eq!(world.directory.hidden(), 0);
    }
}

/// An instance of a node at the limit is up once, whatever the sources and number of its reports.
#[test]
fn services_hidden_by_a_limit_do_not_replace_each_other() {
    let limits = Limits { instances_per_node: 8, ..Limits::default() };
    let mut world = World::new(&limits);
    let mut events = Vec::new();
    for source in [
        AdvertSource::Mdns,
        REPLY,
        AdvertSource::Caller(node(2)),
        AdvertSource::Peer(node(1)),
        REPLY,
        AdvertSource::Mdns,
    ] {
        // Beginning elsewhere each time, as replies of several datagrams do.
        let first = events.len() as u16;
        for n in (0..50_u16).map(|n| (n * 7 + first) % 50) {
            world.now += Duration::from_millis(1);
            events.extend(world.add(advert(n + 1, 1, &format!("robot/{n}")), source).events);
        }
        assert_eq!(world.directory.hidden(), 42, "{source:?}");
    }
    assert!(events.iter().all(|event| matches!(event, DirectoryEvent::Up(_))), "{events:?}");
    assert_eq!((events.len(), world.directory.evicted_and_rejected().0), (8, 0));
}

#[test]
fn a_hidden_service_replaces_one_that_is_gone() {
    let limits = Limits { instances_per_node: 3, ..Limits::default() };
    let mut world = World::new(&limits);
    // A forger has announced more than the node offers, and was first.
    for n in [1, 2, 3, 4] {
        world.add(advert(n, 1, &format!("forged/{n}")), AdvertSource::Mdns);
    }
    for n in 11..=15 {
        world.add(advert(n, 1, &format!("robot/{n}")), AdvertSource::Peer(node(1)));
    }
    assert_eq!((world.directory.all().len(), world.directory.hidden()), (3, 6));
    assert_eq!(world.directory.restore_hidden(|_| true, world.now), Changes::default(), "there is no room");
    // Their endpoints do not answer.
    for n in [1, 2] {
        world.directory.remove_instance(id(n), DownReason::Refused, world.now);
    }
    assert_eq!(
        world.directory.restore_hidden(|_| false, world.now),
        Changes::default(),
        "its node is not connected"
    );
    let restored = world.directory.restore_hidden(|of| of == node(1), world.now);
    let up =
        |event: &DirectoryEvent| matches!(event, DirectoryEvent::Up(i) if i.service.starts_with("robot/"));
    assert!(restored.events.len() == 2 && restored.events.iter().all(up), "its own come first: {restored:?}");
    assert_eq!((world.directory.all().len(), world.directory.hidden()), (3, 4));
    assert_eq!(world.directory.restore_hidden(|_| true, world.now), Changes::default(), "once");
    // A node that withdraws all leaves nothing hidden.
    for n in 11..=15 {
        world.directory.withdraw_report(id(n), AdvertSource::Peer(node(1)), world.now);
    }
    world.directory.withdraw_report(id(4), AdvertSource::Mdns, world.now);
    assert_eq!(world.directory.restore_hidden(|_| true, world.now), Changes::default());
    assert_eq!((world.directory.all().len(), world.directory.hidden()), (1, 0));
}

#[test]
fn a_report_of_a_node_stays_hidden_despite_announcements() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    for source in [AdvertSource::Mdns, AdvertSource::Peer(node(1)), AdvertSource::Mdns] {
        for n in 1..=3 {
            world.add(advert(n, 1, &format!("robot/{n}")), source);
        }
    }
    world.pass(200);
    world.directory.expire(world.now);
    assert_eq!(world.directory.hidden(), 2);
}

#[test]
fn an_instance_that_was_found_dead_is_not_hidden() {
    let mut world = World::new(&Limits { instances_per_node: 2, ..Limits::default() });
    for n in [1, 2] {
        world.add(advert(n, 1, &format!("robot/{n}")), AdvertSource::Mdns);
    }
    world.directory.remove_instance(id(1), DownReason::Unreachable, world.now);
    world.add(advert(3, 1, "robot/3"), AdvertSource::Mdns);
    assert_eq!(world.directory.hidden(), 0, "the dead one was replaced");
    let name = ServiceName::new("robot/1").expect("a name");
    assert_eq!(world.directory.request_name(&name, world.now), Changes::default());
    assert!(world.directory.get("robot/1").is_empty());
}

#[test]
fn hidden_instances_without_reports_are_forgotten() {
    let limits = Limits { instances_per_node: 2, ..Limits::default() };
    for (source, remaining) in [
        (AdvertSource::Mdns, 1),
        (REPLY, 1),
        (AdvertSource::Peer(node(1)), 8),
        (AdvertSource::Caller(node(2)), 8),
    ] {
        let mut world = World::new(&limits);
        let hides = |world: &mut World, n| {
            let changes = world.add(advert(n, 1, &format!("robot/{n}")), source);
            changes.hides.is_some()
        };
        let reported = (1..=10).filter(|n| hides(&mut world, *n)).count();
        world.pass(100);
        world.directory.expire(world.now);
        assert_eq!((reported, world.directory.hidden()), (1, 8), "{source:?}");
        let hidden = (1..=10).find(|n| world.directory.get(&format!("robot/{n}")).is_empty());
        hides(&mut world, hidden.expect("one is hidden"));
        world.pass(100);
        world.directory.expire(world.now);
        assert_eq!(world.directory.hidden(), remaining, "{source:?}");
    }
}

#[test]
fn no_node_occupies_the_room_for_hidden_instances_of_others() {
    let mut world = World::new(&Limits { instances_per_node: 2, ..Limits::default() });
    for n in 0..2_000_u16 {
        world.add(advert(n, 1, &format!("robot/{n}")), AdvertSource::Mdns);
    }
    let before = world.directory.hidden();
    for n in 5_000..5_010_u16 {
        world.add(advert(n, 2, &format!("arm/{n}")), AdvertSource::Mdns);
    }
    assert_eq!(world.directory.hidden(), before + 8);
}

#[test]
fn hidden_instances_of_a_node_are_removed_with_it_even_after_many_others() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    let of_node = |n: u16, instance: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_le_bytes());
        Advert { node: NodeId::from_random(bytes), ..advert(instance, 1, "arm") }
    };
    for n in 1..=1_100_u16 {
        let (one, other) = (of_node(n, n), of_node(n, 10_000 + n));
        let (node, ids) = (one.node, [one.instance, other.instance]);
        world.add(one, AdvertSource::Mdns);
        world.add(other, AdvertSource::Mdns);
        assert_eq!(world.directory.hidden(), 1);
        match n <= 1_024 {
            true => ids.into_iter().for_each(|id| {
                world.directory.withdraw_report(id, AdvertSource::Mdns, world.now);
            }),
            false => {
                world.directory.remove_node(node, |_| DownReason::NodeDied, world.now);
            }
        }
        assert_eq!(world.directory.hidden(), 0, "{n}");
    }
}

/// A time longer than that within which a node sends all its services.
const REPORT_TIME: Duration = Duration::from_secs(2);

const FORGED: std::ops::Range<u16> = 1_000..1_100;

/// Returns the number of shown instances whose names begin with `prefix`.
fn shown(world: &World, prefix: &str) -> usize {
    world.directory.all().iter().filter(|instance| instance.service.starts_with(prefix)).count()
}

fn forge(world: &mut World, name: &str) -> Vec<DirectoryEvent> {
    FORGED
        .flat_map(|n| world.add(advert(n, 1, &name.replace("{}", &n.to_string())), AdvertSource::Mdns).events)
        .collect()
}

fn report(world: &mut World, numbers: std::ops::RangeInclusive<u16>) -> Vec<DirectoryEvent> {
    let reported = numbers.map(|n| advert(n, 1, &format!("robot/{n}")));
    reported.flat_map(|reported| world.add(reported, AdvertSource::Peer(node(1))).events).collect()
}

#[test]
fn an_unconfirmed_instance_is_evicted_for_a_report_of_its_node() {
    let mut world = World::new(&Limits { instances_per_node: 8, ..Limits::default() });
    forge(&mut world, "forged/{}");
    assert_eq!(shown(&world, "forged/"), 8);
    world.directory.remove_instance(id(1_000), DownReason::Refused, world.now);
    assert_eq!(
        ups(&Changes { events: report(&mut world, 1..=3), ..Changes::default() }),
        1,
        "one was found dead"
    );
    // The node may not have sent all yet.
    assert_eq!(world.directory.restore_hidden(|_| true, world.now), Changes::default());
    report(&mut world, 4..=10);
    world.now += REPORT_TIME;
    assert_eq!(
        world.directory.restore_hidden(|_| false, world.now),
        Changes::default(),
        "its link has ended"
    );
    world.directory.restore_hidden(|_| true, world.now);
    assert_eq!((shown(&world, "robot/"), shown(&world, "forged/")), (8, 0));
    world.now += REPORT_TIME;
    assert_eq!(
        world.directory.restore_hidden(|_| true, world.now),
        Changes::default(),
        "proved instances stay"
    );
}

#[test]
fn an_instance_that_its_node_confirms_late_is_not_evicted() {
    let mut world = World::new(&Limits { instances_per_node: 8, ..Limits::default() });
    for n in 1..=8 {
        world.add(advert(n, 1, &format!("robot/{n}")), AdvertSource::Mdns);
    }
    let mut events = Vec::new();
    for numbers in [9..=14, 15..=20, 1..=8] {
        events.extend(report(&mut world, numbers));
        events.extend(world.directory.restore_hidden(|_| true, world.now).events);
        world.now += Duration::from_millis(250);
    }
    world.now += REPORT_TIME;
    events.extend(world.directory.restore_hidden(|_| true, world.now).events);
    assert_eq!(events, []);
}

#[test]
fn the_slots_of_dead_instances_are_reserved_for_their_nodes_own_reports() {
    let mut world = World::new(&Limits { instances_per_node: 8, ..Limits::default() });
    report(&mut world, 1..=20);
    for round in 0..10 {
        let first = world.directory.of_node(node(1)).into_iter().find(|i| world.directory.is_shown(i.id));
        world.directory.withdraw_report(
            first.expect("one is shown").id,
            AdvertSource::Peer(node(1)),
            world.now,
        );
        let forged = forge(&mut world, &format!("forged/{round}/{{}}"));
        assert_eq!(forged, [], "{round}");
        world.now += REPORT_TIME;
        let restored = world.directory.restore_hidden(|_| true, world.now);
        assert_eq!((ups(&restored), shown(&world, "robot/"), shown(&world, "forged/")), (1, 8, 0), "{round}");
        // Dead instances are forgotten in the end, which leaves slots free.
        world.pass(100);
        world.directory.expire(world.now);
    }
}

#[test]
fn an_instance_of_a_requested_name_replaces_forged_ones() {
    let mut world = World::new(&Limits { instances_per_node: 8, ..Limits::default() });
    let arm = ServiceName::new("arm").expect("a name");
    world.directory.request_name(&arm, world.now);
    forge(&mut world, "arm");
    assert_eq!(shown(&world, "arm"), 8);
    world.add(advert(1, 1, "arm"), AdvertSource::Peer(node(1)));
    world.now += REPORT_TIME;
    let restored = world.directory.restore_hidden(|_| true, world.now);
    assert_eq!((ups(&restored), restored.events.len()), (1, 2));
    assert!(world.directory.get("arm").iter().any(|instance| instance.id == id(1)));
}

/// Reports twice as many instances of one node as are stored for one, or of many nodes as are stored for all.
#[test]
fn hints_do_not_displace_reports_of_a_node_itself() {
    let limits = Limits { instances_per_node: 1, ..Limits::default() };
    for of in [1, 30] {
        let mut world = World::new(&limits);
        for n in 0..2_048_u16 {
            world.add(advert(10_000 + n, 1 + (n % of) as u8, "forged"), AdvertSource::Mdns);
        }
        for n in 1..=3 {
            world.add(advert(n, 1, &format!("robot/{n}")), AdvertSource::Peer(node(1)));
        }
        let before = world.directory.hidden();
        assert!(before == 256 || before == 1_024);
        let robots = Filter::group("robot", "/", Vec::new());
        assert_eq!(world.directory.hidden_of(&robots), 3, "of {of}");
        // Nor do they displace it.
        for n in 0..2_048_u16 {
            world.add(advert(20_000 + n, 1 + (n % of) as u8, "forged"), AdvertSource::Mdns);
        }
        assert_eq!((world.directory.hidden(), world.directory.hidden_of(&robots)), (before, 3), "of {of}");
    }
}

#[test]
fn slots_are_reserved_for_a_nodes_own_reports_even_among_many_crowded_nodes() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    for n in 1..=1_100_u16 {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_le_bytes());
        for instance in [10_000 + n, 20_000 + n] {
            let of = NodeId::from_random(bytes);
            world.add(Advert { node: of, ..advert(instance, 1, "forged") }, AdvertSource::Mdns);
        }
    }
    report(&mut world, 1..=3);
    world.directory.withdraw_report(id(1), AdvertSource::Peer(node(1)), world.now);
    assert_eq!(forge(&mut world, "forged/{}"), []);
    assert_eq!(ups(&world.directory.restore_hidden(|of| of == node(1), world.now)), 1);
}

/// A hidden, reported instance is still found by its name at its address after other sources have reported on it.
#[test]
fn only_a_node_or_a_peer_revokes_its_own_report() {
    let limits = Limits { instances_per_node: 1, ..Limits::default() };
    let (own, peer, other) =
        (AdvertSource::Peer(node(1)), AdvertSource::Caller(node(7)), AdvertSource::Peer(node(8)));
    for (reported, other_source) in [
        (own, vec![AdvertSource::Mdns, REPLY, peer, other, AdvertSource::Caller(node(1))]),
        (peer, vec![AdvertSource::Mdns, REPLY, other]),
    ] {
        for other_source in other_source {
            let mut world = World::new(&limits);
            world.add(advert(1, 1, "shown"), own);
            world.add(advert(2, 1, "robot"), reported);
            let other_addresses = vec![port(666)];
            world.add(Advert { addresses: other_addresses.clone(), ..advert(2, 1, "robot") }, other_source);
            world.add(Advert { addresses: other_addresses.clone(), ..advert(2, 1, "other") }, other_source);
            world.add(Advert { addresses: other_addresses, ..advert(2, 9, "robot") }, other_source);
            world.add(Advert { leaving: true, ..advert(2, 1, "robot") }, other_source);
            world.directory.withdraw_report(id(2), other_source, world.now);
            if let AdvertSource::Peer(peer) | AdvertSource::Caller(peer) = other_source
                && peer != node(1)
            {
                world.directory.remove_peer(peer, world.now);
            }
            assert_eq!(world.directory.hidden(), 1, "{reported:?} {other_source:?}");
            let changes =
                world.directory.request_name(&ServiceName::new("robot").expect("a name"), world.now);
            let found = world.directory.get("robot");
            assert_eq!(found.len(), 1, "{reported:?} {other_source:?}");
            assert_eq!(
                (found[0].node, &found[0].addresses[..]),
                (node(1), &[port(2)][..]),
                "{reported:?} {other_source:?}"
            );
            // A source reported it gone: its endpoint is probed.
            assert_eq!(changes.doubts, [id(2)], "{reported:?} {other_source:?}");
        }
        let mut world = World::new(&limits);
        world.add(advert(1, 1, "shown"), own);
        world.add(advert(2, 1, "robot"), reported);
        world.directory.withdraw_report(id(2), reported, world.now);
        assert_eq!(world.directory.hidden(), 0, "{reported:?}");
    }
}

#[test]
fn a_report_of_a_node_replaces_forged_hints_of_a_hidden_instance() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    for n in [1, 9] {
        world.add(advert(10 + n, n as u8, "shown"), AdvertSource::Mdns);
    }
    // Hints do not move it from one node to another.
    world.add(advert(2, 1, "robot"), AdvertSource::Mdns);
    world.add(advert(2, 9, "robot"), AdvertSource::Mdns);
    world.directory.remove_node(node(9), |_| DownReason::NodeDied, world.now);
    assert_eq!(world.directory.hidden(), 1);
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    for n in [1, 9] {
        world.add(advert(10 + n, n as u8, "shown"), AdvertSource::Mdns);
    }
    world.add(advert(2, 9, "robot"), AdvertSource::Mdns);
    world.add(advert(2, 1, "robot"), AdvertSource::Peer(node(1)));
    world.directory.request_name(&ServiceName::new("robot").expect("a name"), world.now);
    assert_eq!(world.directory.get("robot")[0].node, node(1));
}

#[test]
fn a_restored_instance_has_no_evidence_since_its_last_report() {
    for source in [AdvertSource::Mdns, REPLY, AdvertSource::Peer(node(1))] {
        let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
        for n in 1..=3 {
            world.add(advert(n, 1, &format!("robot/{n}")), source);
        }
        world.pass(100);
        world.directory.remove_instance(id(1), DownReason::Withdrawn, world.now);
        world.directory.restore_hidden(|_| true, world.now);
        world.directory.request_name(&ServiceName::new("robot/3").expect("a name"), world.now);
        for n in [2, 3] {
            assert!(world.directory.is_shown(id(n)), "{source:?} {n}");
            assert!(!world.directory.is_fresh(id(n), world.now), "{source:?} {n}");
            let ago = world.directory.replied_ago(id(n), world.now);
            assert!(ago.is_none_or(|ago| ago >= Duration::from_secs(100)), "{source:?} {n}: {ago:?}");
        }
    }
}

#[test]
fn instances_of_a_requested_name_do_not_occupy_the_slots_of_others() {
    let mut world = World::new(&Limits { instances_per_node: 2, ..Limits::default() });
    world.directory.request_name(&ServiceName::new("arm").expect("a name"), world.now);
    for n in 1..=4 {
        world.add(advert(n, 1, &format!("robot/{n}")), REPLY);
        world.add(advert(10 + n, 1, "arm"), AdvertSource::Peer(node(1)));
    }
    world.directory.remove_instance(id(1), DownReason::Refused, world.now);
    assert_eq!(ups(&world.directory.restore_hidden(|_| true, world.now)), 1);
    assert_eq!((shown(&world, "robot/"), shown(&world, "arm")), (2, 2));
}

#[test]
fn a_slot_that_cannot_be_filled_at_once_is_filled_later() {
    let mut world = World::new(&Limits { instances: 4, instances_per_node: 2, ..Limits::default() });
    for n in 1..=3 {
        world.add(advert(n, 1, &format!("robot/{n}")), REPLY);
    }
    world.directory.remove_instance(id(1), DownReason::Refused, world.now);
    for n in 21..=23 {
        world.add(advert(n, n as u8, "leg"), AdvertSource::Peer(node(n as u8)));
    }
    // The node has a slot left, and the directory none.
    assert_eq!(world.directory.restore_hidden(|_| true, world.now), Changes::default());
    world.directory.withdraw_report(id(23), AdvertSource::Peer(node(23)), world.now);
    assert_eq!(ups(&world.directory.restore_hidden(|_| true, world.now)), 1);
    assert_eq!(shown(&world, "robot/"), 2);
    // An evicted one leaves a slot as well.
    world.add(advert(24, 24, "leg"), AdvertSource::Peer(node(24)));
    assert_eq!(shown(&world, "robot/"), 1);
    world.directory.withdraw_report(id(24), AdvertSource::Peer(node(24)), world.now);
    world.add(advert(4, 1, "robot/4"), AdvertSource::Peer(node(1)));
    assert_eq!(shown(&world, "robot/"), 2);
}
