//! What the bound on the instances of one node hides, and who gets the places there are.

use super::*;

#[test]
fn what_the_bound_of_one_node_hides_is_counted_and_found_by_its_exact_name() {
    let limits = Limits { instances_per_node: 8, ..Limits::default() };
    for (source, proved) in [(Source::Peer(node(1)), 8), (REPLY, 8), (Source::Mdns, 8)] {
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
            world.directory.seek(&name, world.now);
            let found = world.directory.get(&name);
            assert!(found.len() == 1 && found[0].id == id(n + 1), "{source:?}: {found:?}");
        }
        // Told again, by a reply to the question for it, it stays.
        world.hear(advert(101, 1, "robot/100"), REPLY);
        assert_eq!(world.directory.get("robot/100").len(), 1);
        // A stranger who answers for a name that is asked for has no more room than for all others.
        for n in 0..100_u16 {
            world.hear(advert(1_000 + n, 1, "robot/100"), REPLY);
        }
        assert!(world.directory.get("robot/100").len() <= 8);
        assert!(world.directory.of_node(node(1)).len() <= 8 + 20 * 8);
        world.directory.node_gone(node(1), |_| Why::NodeDied, world.now);
        assert_eq!(world.directory.hidden(), 0);
    }
}

/// An instance of a crowded node is up once, whoever tells of it and however often.
#[test]
fn services_that_a_limit_hides_do_not_take_turns() {
    let limits = Limits { instances_per_node: 8, ..Limits::default() };
    let mut world = World::new(&limits);
    let mut events = Vec::new();
    for source in [Source::Mdns, REPLY, Source::Caller(node(2)), Source::Peer(node(1)), REPLY, Source::Mdns] {
        // Beginning elsewhere each time, as replies of several datagrams come.
        let first = events.len() as u16;
        for n in (0..50_u16).map(|n| (n * 7 + first) % 50) {
            world.now += Duration::from_millis(1);
            events.extend(world.hear(advert(n + 1, 1, &format!("robot/{n}")), source).events);
        }
        assert_eq!(world.directory.hidden(), 42, "{source:?}");
    }
    assert!(events.iter().all(|event| matches!(event, DirectoryEvent::Up(_))), "{events:?}");
    assert_eq!((events.len(), world.directory.crowded_out().0), (8, 0));
}

#[test]
fn a_hidden_service_takes_the_place_of_one_that_has_gone() {
    let limits = Limits { instances_per_node: 3, ..Limits::default() };
    let mut world = World::new(&limits);
    // Somebody has announced more than the node offers, and was first.
    for n in [1, 2, 3, 4] {
        world.hear(advert(n, 1, &format!("forged/{n}")), Source::Mdns);
    }
    for n in 11..=15 {
        world.hear(advert(n, 1, &format!("robot/{n}")), Source::Peer(node(1)));
    }
    assert_eq!((world.directory.all().len(), world.directory.hidden()), (3, 6));
    assert_eq!(world.directory.fill(|_| true, world.now), Changes::default(), "there is no room");
    // Their endpoints do not answer.
    for n in [1, 2] {
        world.directory.gone(id(n), Why::Refused, world.now);
    }
    assert_eq!(world.directory.fill(|_| false, world.now), Changes::default(), "it may be gone altogether");
    let filled = world.directory.fill(|of| of == node(1), world.now);
    let up =
        |event: &DirectoryEvent| matches!(event, DirectoryEvent::Up(i) if i.service.starts_with("robot/"));
    assert!(filled.events.len() == 2 && filled.events.iter().all(up), "its own come first: {filled:?}");
    assert_eq!((world.directory.all().len(), world.directory.hidden()), (3, 4));
    assert_eq!(world.directory.fill(|_| true, world.now), Changes::default(), "once");
    // A node that withdraws all leaves nothing hidden.
    for n in 11..=15 {
        world.directory.unheard(id(n), Source::Peer(node(1)), world.now);
    }
    world.directory.unheard(id(4), Source::Mdns, world.now);
    assert_eq!(world.directory.fill(|_| true, world.now), Changes::default());
    assert_eq!((world.directory.all().len(), world.directory.hidden()), (1, 0));
}

#[test]
fn what_a_peer_told_stays_hidden_also_if_it_was_announced_before_or_since() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    for source in [Source::Mdns, Source::Peer(node(1)), Source::Mdns] {
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
        world.hear(advert(n, 1, &format!("robot/{n}")), Source::Mdns);
    }
    world.directory.gone(id(1), Why::Unreachable, world.now);
    world.hear(advert(3, 1, "robot/3"), Source::Mdns);
    assert_eq!(world.directory.hidden(), 0, "it made way");
    let name = ServiceName::new("robot/1").expect("a name");
    assert_eq!(world.directory.seek(&name, world.now), Changes::default());
    assert!(world.directory.get("robot/1").is_empty());
}

#[test]
fn hidden_instances_that_nobody_tells_of_are_forgotten() {
    let limits = Limits { instances_per_node: 2, ..Limits::default() };
    for (source, left) in
        [(Source::Mdns, 1), (REPLY, 1), (Source::Peer(node(1)), 8), (Source::Caller(node(2)), 8)]
    {
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
        world.hear(advert(n, 1, &format!("robot/{n}")), Source::Mdns);
    }
    let before = world.directory.hidden();
    for n in 5_000..5_010_u16 {
        world.hear(advert(n, 2, &format!("arm/{n}")), Source::Mdns);
    }
    assert_eq!(world.directory.hidden(), before + 8);
}

#[test]
fn what_is_hidden_of_a_node_goes_with_it_also_after_many_others() {
    let mut world = World::new(&Limits { instances_per_node: 1, ..Limits::default() });
    let of_node = |n: u16, instance: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_le_bytes());
        Advert { node: NodeId::from_random(bytes), ..advert(instance, 1, "arm") }
    };
    for n in 1..=1_100_u16 {
        let (one, other) = (of_node(n, n), of_node(n, 10_000 + n));
        let (node, ids) = (one.node, [one.instance, other.instance]);
        world.hear(one, Source::Mdns);
        world.hear(other, Source::Mdns);
        assert_eq!(world.directory.hidden(), 1);
        match n <= 1_024 {
            true => ids.into_iter().for_each(|id| {
                world.directory.unheard(id, Source::Mdns, world.now);
            }),
            false => {
                world.directory.node_gone(node, |_| Why::NodeDied, world.now);
            }
        }
        assert_eq!(world.directory.hidden(), 0, "{n}");
    }
}
