//! Tests of the limit on instances per node: the hidden instances, and the assignment of slots.

use super::*;

#[test]
fn instances_beyond_the_limit_of_a_node_are_counted_and_found_by_exact_name() {
    let limits = Limits { instances_per_node: 8, ..Limits::default() };
    for (source, proved) in [(AdvertSource::Peer(node(1)), 8), (REPLY, 8), (AdvertSource::Mdns, 8)] {
        let mut world = World::new(&limits);
        let mut told = 0;
        for n in 0..200_u16 {
            world.now += Duration::from_millis(1);
            let heard = world.hear(advert(n + 1, 1, &format!("robot/{n}")), source);
            told += usize::from(heard.hides == Some(node(1)));
        }
        assert_eq!((world.directory.all().len(), world.directory.hidden()), (proved, 192), "{source:?}");
        assert_eq!(told, 1, "once");
        for n in (0..200_u16).step_by(10) {
            let name = ServiceName::new(format!("robot/{n}")).expect("a name");
            world.directory.request_name(&name, world.now);
            let found = world.directory.get(&name);
            assert!(found.len() == 1 && found[0].id == id(n + 1), "{source:?}: {found:?}");
        }
        // Reported again, by a reply to the question for it, it stays.
        world.hear(advert(101, 1, "robot/100"), REPLY);
        assert_eq!(world.directory.get("robot/100").len(), 1);
        // A stranger who answers for a requested name has no more room than for all others.
        for n in 0..100_u16 {
            world.hear(advert(1_000 + n, 1, "robot/100"), REPLY);
        }
        assert!(world.directory.get("robot/100").len() <= 8);
        assert!(world.directory.of_node(node(1)).len() <= 8 + 20 * 8);
        world.directory.remove_node(node(1), |_| DownReason::NodeDied, world.now);
        assert_eq!(world.directory.hidden(), 0);
    }
}

/// An instance of a crowded node is up once, whatever the sources and number of its reports.
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
            events.extend(world.hear(advert(n + 1, 1, &format!("robot/{n}")), source).events);
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
        world.hear(advert(n, 1, &format!("forged/{n}")), AdvertSource::Mdns);
    }
    for n in 11..=15 {
        world.hear(advert(n, 1, &format!("robot/{n}")), AdvertSource::Peer(node(1)));
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
        "it may be gone altogether"
    );
    let filled = world.directory.restore_hidden(|of| of == node(1), world.now);
    let up =
        |event: &DirectoryEvent| matches!(event, DirectoryEvent::Up(i) if i.service.starts_with("robot/"));
    assert!(filled.events.len() == 2 && filled.events.iter().all(up), "its own come first: {filled:?}");
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
fn a_peers_report_stays_hidden_despite_announcements_before_or_since() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    for source in [AdvertSource::Mdns, AdvertSource::Peer(node(1)), AdvertSource::Mdns] {
        for n in 1..=3 {
            world.hear(advert(n, 1, &format!("robot/{n}")), source);
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
        world.hear(advert(n, 1, &format!("robot/{n}")), AdvertSource::Mdns);
    }
    world.directory.remove_instance(id(1), DownReason::Unreachable, world.now);
    world.hear(advert(3, 1, "robot/3"), AdvertSource::Mdns);
    assert_eq!(world.directory.hidden(), 0, "it made way");
    let name = ServiceName::new("robot/1").expect("a name");
    assert_eq!(world.directory.request_name(&name, world.now), Changes::default());
    assert!(world.directory.get("robot/1").is_empty());
}

#[test]
fn hidden_instances_without_reports_are_forgotten() {
    let limits = Limits { instances_per_node: 2, ..Limits::default() };
    for (source, left) in [
        (AdvertSource::Mdns, 1),
        (REPLY, 1),
        (AdvertSource::Peer(node(1)), 8),
        (AdvertSource::Caller(node(2)), 8),
    ] {
        let mut world = World::new(&limits);
        let hides = |world: &mut World, n| {
            let heard = world.hear(advert(n, 1, &format!("robot/{n}")), source);
            heard.hides.is_some()
        };
        let told = (1..=10).filter(|n| hides(&mut world, *n)).count();
        world.pass(100);
        world.directory.expire(world.now);
        assert_eq!((told, world.directory.hidden()), (1, 8), "{source:?}");
        let hidden = (1..=10).find(|n| world.directory.get(&format!("robot/{n}")).is_empty());
        hides(&mut world, hidden.expect("one is hidden"));
        world.pass(100);
        world.directory.expire(world.now);
        assert_eq!(world.directory.hidden(), left, "{source:?}");
    }
}

#[test]
fn no_node_takes_the_room_for_the_hidden_instances_of_others() {
    let mut world = World::new(&Limits { instances_per_node: 2, ..Limits::default() });
    for n in 0..2_000_u16 {
        world.hear(advert(n, 1, &format!("robot/{n}")), AdvertSource::Mdns);
    }
    let before = world.directory.hidden();
    for n in 5_000..5_010_u16 {
        world.hear(advert(n, 2, &format!("arm/{n}")), AdvertSource::Mdns);
    }
    assert_eq!(world.directory.hidden(), before + 8);
}

#[test]
fn hidden_instances_of_a_node_go_with_it_even_after_many_others() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    let of_node = |n: u16, instance: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_le_bytes());
        Advert { node: NodeId::from_random(bytes), ..advert(instance, 1, "arm") }
    };
    for n in 1..=1_100_u16 {
        let (one, other) = (of_node(n, n), of_node(n, 10_000 + n));
        let (node, ids) = (one.node, [one.instance, other.instance]);
        world.hear(one, AdvertSource::Mdns);
        world.hear(other, AdvertSource::Mdns);
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

/// Longer than the time within which a node sends all its services.
const TOLD: Duration = Duration::from_secs(2);

const FORGED: std::ops::Range<u16> = 1_000..1_100;

/// Returns the names of shown instances that begin with `of`.
fn shown(world: &World, of: &str) -> usize {
    world.directory.all().iter().filter(|instance| instance.service.starts_with(of)).count()
}

fn forge(world: &mut World, name: &str) -> Vec<DirectoryEvent> {
    FORGED
        .flat_map(|n| {
            world.hear(advert(n, 1, &name.replace("{}", &n.to_string())), AdvertSource::Mdns).events
        })
        .collect()
}

fn tell(world: &mut World, numbers: std::ops::RangeInclusive<u16>) -> Vec<DirectoryEvent> {
    let told = numbers.map(|n| advert(n, 1, &format!("robot/{n}")));
    told.flat_map(|told| world.hear(told, AdvertSource::Peer(node(1))).events).collect()
}

#[test]
fn an_unconfirmed_instance_is_evicted_for_a_report_of_its_node() {
    let mut world = World::new(&Limits { instances_per_node: 8, ..Limits::default() });
    forge(&mut world, "forged/{}");
    assert_eq!(shown(&world, "forged/"), 8);
    world.directory.remove_instance(id(1_000), DownReason::Refused, world.now);
    assert_eq!(
        ups(&Changes { events: tell(&mut world, 1..=3), ..Changes::default() }),
        1,
        "one was found dead"
    );
    // The node may not have sent all yet.
    assert_eq!(world.directory.restore_hidden(|_| true, world.now), Changes::default());
    tell(&mut world, 4..=10);
    world.now += TOLD;
    assert_eq!(
        world.directory.restore_hidden(|_| false, world.now),
        Changes::default(),
        "its link has ended"
    );
    world.directory.restore_hidden(|_| true, world.now);
    assert_eq!((shown(&world, "robot/"), shown(&world, "forged/")), (8, 0));
    world.now += TOLD;
    assert_eq!(
        world.directory.restore_hidden(|_| true, world.now),
        Changes::default(),
        "what is proved stays"
    );
}

#[test]
fn an_instance_that_its_node_confirms_late_is_not_evicted() {
    let mut world = World::new(&Limits { instances_per_node: 8, ..Limits::default() });
    for n in 1..=8 {
        world.hear(advert(n, 1, &format!("robot/{n}")), AdvertSource::Mdns);
    }
    let mut events = Vec::new();
    for told in [9..=14, 15..=20, 1..=8] {
        events.extend(tell(&mut world, told));
        events.extend(world.directory.restore_hidden(|_| true, world.now).events);
        world.now += Duration::from_millis(250);
    }
    world.now += TOLD;
    events.extend(world.directory.restore_hidden(|_| true, world.now).events);
    assert_eq!(events, []);
}

#[test]
fn the_slots_of_dead_instances_are_reserved_for_their_nodes_own_reports() {
    let mut world = World::new(&Limits { instances_per_node: 8, ..Limits::default() });
    tell(&mut world, 1..=20);
    for round in 0..10 {
        let first = world.directory.of_node(node(1)).into_iter().find(|i| world.directory.is_shown(i.id));
        world.directory.withdraw_report(
            first.expect("one is shown").id,
            AdvertSource::Peer(node(1)),
            world.now,
        );
        let forged = forge(&mut world, &format!("forged/{round}/{{}}"));
        assert_eq!(forged, [], "{round}");
        world.now += TOLD;
        let filled = world.directory.restore_hidden(|_| true, world.now);
        assert_eq!((ups(&filled), shown(&world, "robot/"), shown(&world, "forged/")), (1, 8, 0), "{round}");
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
    world.hear(advert(1, 1, "arm"), AdvertSource::Peer(node(1)));
    world.now += TOLD;
    let filled = world.directory.restore_hidden(|_| true, world.now);
    assert_eq!((ups(&filled), filled.events.len()), (1, 2));
    assert!(world.directory.get("arm").iter().any(|instance| instance.id == id(1)));
}

/// Twice as many instances of a crowded node as are stored for one, or of many nodes as are stored for all.
#[test]
fn hints_do_not_shut_out_reports_of_a_node_itself() {
    let limits = Limits { instances_per_node: 1, ..Limits::default() };
    for of in [1, 30] {
        let mut world = World::new(&limits);
        for n in 0..2_048_u16 {
            world.hear(advert(10_000 + n, 1 + (n % of) as u8, "forged"), AdvertSource::Mdns);
        }
        for n in 1..=3 {
            world.hear(advert(n, 1, &format!("robot/{n}")), AdvertSource::Peer(node(1)));
        }
        let before = world.directory.hidden();
        assert!(before == 256 || before == 1_024);
        let robots = Filter::group("robot", "/", Vec::new());
        assert_eq!(world.directory.hidden_of(&robots), 3, "of {of}");
        // Nor do they displace it.
        for n in 0..2_048_u16 {
            world.hear(advert(20_000 + n, 1 + (n % of) as u8, "forged"), AdvertSource::Mdns);
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
            world.hear(Advert { node: of, ..advert(instance, 1, "forged") }, AdvertSource::Mdns);
        }
    }
    tell(&mut world, 1..=3);
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
    for (told, weak) in [
        (own, vec![AdvertSource::Mdns, REPLY, peer, other, AdvertSource::Caller(node(1))]),
        (peer, vec![AdvertSource::Mdns, REPLY, other]),
    ] {
        for weak in weak {
            let mut world = World::new(&limits);
            world.hear(advert(1, 1, "kept"), own);
            world.hear(advert(2, 1, "robot"), told);
            let elsewhere = vec![port(666)];
            world.hear(Advert { addresses: elsewhere.clone(), ..advert(2, 1, "robot") }, weak);
            world.hear(Advert { addresses: elsewhere.clone(), ..advert(2, 1, "other") }, weak);
            world.hear(Advert { addresses: elsewhere, ..advert(2, 9, "robot") }, weak);
            world.hear(Advert { leaving: true, ..advert(2, 1, "robot") }, weak);
            world.directory.withdraw_report(id(2), weak, world.now);
            if let AdvertSource::Peer(peer) | AdvertSource::Caller(peer) = weak
                && peer != node(1)
            {
                world.directory.remove_peer(peer, world.now);
            }
            assert_eq!(world.directory.hidden(), 1, "{told:?} {weak:?}");
            let sought = world.directory.request_name(&ServiceName::new("robot").expect("a name"), world.now);
            let found = world.directory.get("robot");
            assert_eq!(found.len(), 1, "{told:?} {weak:?}");
            assert_eq!(
                (found[0].node, &found[0].addresses[..]),
                (node(1), &[port(2)][..]),
                "{told:?} {weak:?}"
            );
            // A source reported it gone: its endpoint is asked.
            assert_eq!(sought.doubts, [id(2)], "{told:?} {weak:?}");
        }
        let mut world = World::new(&limits);
        world.hear(advert(1, 1, "kept"), own);
        world.hear(advert(2, 1, "robot"), told);
        world.directory.withdraw_report(id(2), told, world.now);
        assert_eq!(world.directory.hidden(), 0, "{told:?}");
    }
}

#[test]
fn a_node_speaks_over_forged_hints_of_a_hidden_instance() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    for n in [1, 9] {
        world.hear(advert(10 + n, n as u8, "kept"), AdvertSource::Mdns);
    }
    // Hints do not move it from one node to another.
    world.hear(advert(2, 1, "robot"), AdvertSource::Mdns);
    world.hear(advert(2, 9, "robot"), AdvertSource::Mdns);
    world.directory.remove_node(node(9), |_| DownReason::NodeDied, world.now);
    assert_eq!(world.directory.hidden(), 1);
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    for n in [1, 9] {
        world.hear(advert(10 + n, n as u8, "kept"), AdvertSource::Mdns);
    }
    world.hear(advert(2, 9, "robot"), AdvertSource::Mdns);
    world.hear(advert(2, 1, "robot"), AdvertSource::Peer(node(1)));
    world.directory.request_name(&ServiceName::new("robot").expect("a name"), world.now);
    assert_eq!(world.directory.get("robot")[0].node, node(1));
}

#[test]
fn a_restored_instance_has_given_no_sign_of_life_since_its_last_report() {
    for source in [AdvertSource::Mdns, REPLY, AdvertSource::Peer(node(1))] {
        let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
        for n in 1..=3 {
            world.hear(advert(n, 1, &format!("robot/{n}")), source);
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
fn instances_of_a_requested_name_do_not_use_up_the_slots_of_others() {
    let mut world = World::new(&Limits { instances_per_node: 2, ..Limits::default() });
    world.directory.request_name(&ServiceName::new("arm").expect("a name"), world.now);
    for n in 1..=4 {
        world.hear(advert(n, 1, &format!("robot/{n}")), REPLY);
        world.hear(advert(10 + n, 1, "arm"), AdvertSource::Peer(node(1)));
    }
    world.directory.remove_instance(id(1), DownReason::Refused, world.now);
    assert_eq!(ups(&world.directory.restore_hidden(|_| true, world.now)), 1);
    assert_eq!((shown(&world, "robot/"), shown(&world, "arm")), (2, 2));
}

#[test]
fn a_slot_that_cannot_be_filled_at_once_is_filled_later() {
    let mut world = World::new(&Limits { instances: 4, instances_per_node: 2, ..Limits::default() });
    for n in 1..=3 {
        world.hear(advert(n, 1, &format!("robot/{n}")), REPLY);
    }
    world.directory.remove_instance(id(1), DownReason::Refused, world.now);
    for n in 21..=23 {
        world.hear(advert(n, n as u8, "leg"), AdvertSource::Peer(node(n as u8)));
    }
    // The node has a slot left, and the directory none.
    assert_eq!(world.directory.restore_hidden(|_| true, world.now), Changes::default());
    world.directory.withdraw_report(id(23), AdvertSource::Peer(node(23)), world.now);
    assert_eq!(ups(&world.directory.restore_hidden(|_| true, world.now)), 1);
    assert_eq!(shown(&world, "robot/"), 2);
    // An evicted one leaves a slot as well.
    world.hear(advert(24, 24, "leg"), AdvertSource::Peer(node(24)));
    assert_eq!(shown(&world, "robot/"), 1);
    world.directory.withdraw_report(id(24), AdvertSource::Peer(node(24)), world.now);
    world.hear(advert(4, 1, "robot/4"), AdvertSource::Peer(node(1)));
    assert_eq!(shown(&world, "robot/"), 2);
}
