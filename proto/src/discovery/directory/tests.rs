mod crowd;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::*;
use crate::name::MeshName;

struct World {
    directory: Directory,
    now: Instant,
}

const REPLY: AdvertSource = AdvertSource::Reply(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)));

fn node(n: u8) -> NodeId {
    NodeId::from_random([n; 16])
}

fn id(n: u16) -> InstanceId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&n.to_le_bytes());
    InstanceId::from_random(bytes)
}

fn port(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

fn advert(instance: u16, of: u8, service: &str) -> Advert {
    Advert {
        instance: id(instance),
        node: node(of),
        mesh: MeshName::default(),
        service: ServiceName::new(service).expect("a name"),
        addresses: vec![port(instance)],
        leaving: false,
    }
}

impl World {
    fn new(limits: &Limits) -> Self {
        Self { directory: Directory::new(MeshName::default(), node(0), limits), now: Instant::now() }
    }

    fn add(&mut self, advert: Advert, source: AdvertSource) -> Changes {
        self.directory.add_advert(advert, source, self.now)
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

fn world() -> World {
    World::new(&Limits::default())
}

fn ups(changes: &Changes) -> usize {
    changes.events.iter().filter(|e| matches!(e, DirectoryEvent::Up(_))).count()
}

#[test]
fn a_reported_instance_is_up_once() {
    let mut world = world();
    assert_eq!(ups(&world.add(advert(1, 1, "arm"), AdvertSource::Mdns)), 1);
    assert_eq!(world.add(advert(1, 1, "arm"), REPLY), Changes::default());
    assert_eq!(world.directory.get("arm").len(), 1);
    assert!(world.directory.get("ar").is_empty());
}

#[test]
fn local_names_are_those_on_no_other_host() {
    let mut world = world();
    let own: Vec<OwnAddress> = ["127.0.0.1", "10.0.0.5"]
        .map(|ip| OwnAddress { ip: ip.parse().expect("an address"), prefix: 24 })
        .into();
    world.directory.set_own_addresses(own.clone());
    let at = |ip: [u8; 4], advert: Advert| Advert { addresses: vec![(ip, 9).into()], ..advert };
    world.add(advert(1, 0, "own"), AdvertSource::Local);
    world.add(at([10, 0, 0, 5], advert(2, 1, "beside")), AdvertSource::Mdns);
    world.add(at([10, 0, 0, 5], advert(3, 1, "both")), AdvertSource::Mdns);
    world.add(advert(4, 2, "both"), AdvertSource::Mdns);
    world.add(advert(5, 2, "elsewhere"), AdvertSource::Mdns);
    let names = world.directory.names_here(&own);
    assert_eq!(names.iter().map(ServiceName::as_str).collect::<Vec<_>>(), ["beside", "own"]);
    assert!(world.directory.is_proved(id(1), Duration::from_secs(1), world.now));
    assert!(!world.directory.is_proved(id(5), Duration::from_secs(1), world.now), "it was only reported");
    world.directory.record_proof(id(5), port(5), world.now);
    assert!(world.directory.is_proved(id(5), Duration::from_secs(1), world.now));
    world.pass(2);
    assert!(!world.directory.is_proved(id(5), Duration::from_secs(1), world.now));
}

#[test]
fn other_meshes_are_recorded_by_name_only() {
    let mut world = world();
    for n in 0..100 {
        let mesh = MeshName::new(format!("room-{n}")).expect("a name");
        world.add(Advert { mesh, ..advert(n, 1, "arm") }, AdvertSource::Mdns);
    }
    assert!(world.directory.all().is_empty());
    assert_eq!(world.directory.other_meshes().len(), MAX_OTHER_MESHES);
}

#[test]
fn other_nodes_cannot_advertise_for_this_node() {
    let mut world = world();
    assert_eq!(world.add(advert(1, 0, "arm"), AdvertSource::Mdns), Changes::default());
    assert_eq!(ups(&world.add(advert(1, 0, "arm"), AdvertSource::Local)), 1);
    world.add(Advert { addresses: vec![port(666)], ..advert(1, 0, "arm") }, AdvertSource::Peer(node(5)));
    assert_eq!(world.directory.get("arm")[0].addresses, [port(1)]);
    world.directory.remove_instance(id(1), DownReason::Withdrawn, world.now);
    assert!(world.directory.candidates("arm").is_empty());
}

#[test]
fn a_forged_address_does_not_move_a_verified_instance() {
    let mut world = world();
    world.add(advert(1, 1, "arm"), AdvertSource::Mdns);
    world.directory.record_proof(id(1), port(1), world.now);
    let forged = Advert { addresses: vec![port(666)], ..advert(1, 1, "arm") };
    let changes = world.add(forged.clone(), AdvertSource::Mdns);
    assert_eq!((changes.events.len(), changes.doubts), (0, vec![id(1)]));
    assert_eq!(world.directory.get("arm")[0].addresses, [port(1)]);
    assert_eq!(world.add(forged, AdvertSource::Mdns), Changes::default(), "one doubt per claim");
    // The claim is confirmed.
    let moved = world.directory.record_proof(id(1), port(666), world.now);
    assert!(matches!(&moved.events[..], [DirectoryEvent::Moved(i)] if i.addresses[0] == port(666)));
}

#[test]
fn contradictory_reports_about_one_identity_raise_a_doubt() {
    let mut world = world();
    world.add(advert(1, 1, "arm"), AdvertSource::Mdns);
    assert_eq!(world.add(advert(1, 2, "arm"), AdvertSource::Mdns).doubts, [id(1)]);
    world.directory.record_proof(id(1), port(1), world.now);
    assert_eq!(world.add(advert(1, 2, "leg"), AdvertSource::Mdns), Changes::default());
    assert_eq!(world.directory.get("arm")[0].node, node(1));
}

#[test]
fn more_addresses_of_an_unproved_instance_are_added() {
    let mut world = world();
    world.add(advert(1, 1, "arm"), AdvertSource::Mdns);
    let more = Advert { addresses: (10..99).map(port).collect(), ..advert(1, 1, "arm") };
    let changes = world.add(more, AdvertSource::Mdns);
    assert_eq!((changes.events.len(), changes.grown.len()), (0, 1), "it is where it was");
    assert_eq!(world.directory.get("arm")[0].addresses.len(), crate::discovery::advert::MAX_ADDRESSES);
}

/// Returns the advert of one service as its host announces it in IPv6, with a link-local address beside another.
fn in_ipv6(link_local: &str) -> Advert {
    let addresses = ["[fd77::1]:9000", link_local].map(|address| address.parse().expect("an address"));
    Advert { addresses: addresses.to_vec(), ..advert(1, 1, "arm") }
}

#[test]
fn an_instance_announced_in_both_families_has_not_moved() {
    let mut world = world();
    world.add(advert(1, 1, "arm"), AdvertSource::Mdns);
    let changes = world.add(in_ipv6("[fe80::1%2]:9000"), AdvertSource::Mdns);
    assert!(changes.events.is_empty() && changes.doubts.is_empty(), "{changes:?}");
    assert_eq!(changes.grown[0].addresses.len(), 3);
    // Its node reports all but the link-local one, which is not valid over that link.
    let mut reported = advert(1, 1, "arm");
    reported.addresses.extend(in_ipv6("[fe80::1%2]:9000").addresses.first());
    let changes = world.add(reported, AdvertSource::Peer(node(1)));
    assert_eq!(changes, Changes::default());
    let changes = world.add(in_ipv6("[fe80::1%2]:9000"), AdvertSource::Mdns);
    assert_eq!(
        (changes.doubts, changes.claimed),
        (Vec::new(), vec![id(1)]),
        "tasks that dial it are notified"
    );
    assert_eq!(world.directory.candidate(id(1)).expect("it is known").addresses.len(), 3);
    // After the link to its node has ended it may be anywhere.
    world.directory.remove_peer(node(1), world.now);
    let changes = world.add(in_ipv6("[fe80::2%2]:9000"), AdvertSource::Mdns);
    assert_eq!((changes.doubts, changes.claimed), (vec![id(1)], Vec::new()));
}

#[test]
fn an_instance_with_only_link_local_addresses_moves_to_another() {
    let mut world = world();
    let at = |address: &str| Advert {
        addresses: vec![address.parse().expect("an address")],
        ..advert(1, 1, "arm")
    };
    world.add(at("[fe80::1%2]:9000"), AdvertSource::Peer(node(1)));
    let changes = world.add(at("[fe80::2%2]:9000"), AdvertSource::Peer(node(1)));
    assert!(matches!(&changes.events[..], [DirectoryEvent::Moved(_)]), "{changes:?}");
}

/// Sets the addresses of this host: 10.77.0.2, and a bridge to its containers as other hosts have.
fn set_own_addresses(world: &mut World) {
    let own = [("127.0.0.1", 8), ("10.77.0.2", 24), ("172.17.0.1", 16)];
    let own = own.map(|(ip, prefix)| OwnAddress { ip: ip.parse().expect("an address"), prefix });
    world.directory.set_own_addresses(own.to_vec());
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn addresses(world: &World) -> Vec<SocketAddr> {
    world.directory.candidate(id(1)).expect("it is known").addresses
}

/// Returns addresses in `count` networks that this host is not in, and then one in its own network.
fn many(count: u8) -> Vec<SocketAddr> {
    let other_networks = (0..count).map(|n| SocketAddr::from(([10, 200, n, 1], 9)));
    other_networks.chain([at("10.77.0.1:9")]).collect()
}

#[test]
fn addresses_are_sorted_before_truncation() {
    for count in [15, 16, 40, 100] {
        for source in [AdvertSource::Mdns, REPLY, AdvertSource::Peer(node(1)), AdvertSource::Caller(node(7))]
        {
            let mut world = world();
            set_own_addresses(&mut world);
            world.add(Advert { addresses: many(count), ..advert(1, 1, "arm") }, source);
            assert_eq!(addresses(&world)[0], at("10.77.0.1:9"), "{count} {source:?}");
            assert_eq!(world.directory.get("arm")[0].addresses.len(), 16);
        }
    }
    // Record by record, the useful one last.
    let mut world = world();
    set_own_addresses(&mut world);
    for address in many(40) {
        world.add(Advert { addresses: vec![address], ..advert(1, 1, "arm") }, AdvertSource::Mdns);
    }
    assert_eq!((addresses(&world)[0], addresses(&world).len()), (at("10.77.0.1:9"), 16));
    // Addresses that this host gets later count from then on.
    world.directory.set_own_addresses(vec![OwnAddress { ip: at("10.200.7.5:0").ip(), prefix: 24 }]);
    assert_eq!(addresses(&world)[0], at("10.200.7.1:9"));
}

#[test]
fn addresses_of_a_doubted_instance_are_sorted_before_truncation() {
    for seconds in [0, 2] {
        let mut world = world();
        set_own_addresses(&mut world);
        let all = many(200);
        let (first, second) = all.split_at(94);
        world.add(Advert { addresses: first.to_vec(), ..advert(1, 1, "arm") }, REPLY);
        world.directory.remove_instance(id(1), DownReason::Unreachable, world.now);
        world.pass(seconds);
        let heard = world.add(Advert { addresses: second.to_vec(), ..advert(1, 1, "arm") }, REPLY);
        assert_eq!((addresses(&world)[0], addresses(&world).len()), (at("10.77.0.1:9"), 16));
        assert_eq!(heard.doubts, [id(1)]);
        let others = Advert { addresses: vec![at("10.77.0.9:9")], ..advert(1, 1, "arm") };
        assert!(world.add(others, REPLY).doubts.is_empty(), "its endpoint is probed once a second");
        // Nor is it dropped if unreachable ones follow.
        world.add(Advert { addresses: all, ..advert(1, 1, "arm") }, REPLY);
        assert!(addresses(&world)[..2].contains(&at("10.77.0.1:9")));
    }
}

#[test]
fn addresses_that_answered_are_neither_dropped_nor_replaced() {
    let mut world = world();
    set_own_addresses(&mut world);
    let private = Advert { addresses: vec![at("172.18.0.2:9000")], ..advert(1, 1, "arm") };
    world.add(private.clone(), AdvertSource::Peer(node(1)));
    // The port that the container's host has published.
    let moved = world.directory.record_proof(id(1), at("10.200.0.1:19000"), world.now);
    assert!(matches!(&moved.events[..], [DirectoryEvent::Moved(_)]));
    let both = [at("10.200.0.1:19000"), at("172.18.0.2:9000")];
    for source in [AdvertSource::Peer(node(1)), AdvertSource::Mdns, AdvertSource::Caller(node(9))] {
        assert_eq!(world.add(private.clone(), source), Changes::default(), "{source:?}");
        assert_eq!(addresses(&world), both);
    }
    world.add(Advert { addresses: many(100), ..advert(1, 1, "arm") }, AdvertSource::Peer(node(1)));
    assert_eq!(addresses(&world)[0], both[0]);
    assert_eq!(world.directory.answered(id(1)), Some(both[0]));
}

#[test]
fn an_address_that_answered_on_this_host_is_not_dropped() {
    let mut world = world();
    let own = (1..=30).map(|n| OwnAddress { ip: [10, 77, 0, n].into(), prefix: 24 }).collect();
    world.directory.set_own_addresses(own);
    let all = (1..=30).map(|n| SocketAddr::from(([10, 77, 0, n], 9))).collect();
    world.add(Advert { addresses: all, ..advert(1, 1, "arm") }, AdvertSource::Mdns);
    world.directory.record_proof(id(1), at("10.77.0.30:9"), world.now);
    assert_eq!(addresses(&world).len(), 16);
    assert!(addresses(&world).contains(&at("10.77.0.30:9")));
}

#[test]
fn an_address_that_its_node_no_longer_has_is_dropped_although_it_answered() {
    let mut world = world();
    let reported = |addresses: &[&str]| Advert {
        addresses: addresses.iter().map(|text| at(text)).collect(),
        ..advert(1, 1, "arm")
    };
    world.add(reported(&["10.77.0.1:9", "10.78.0.1:9"]), AdvertSource::Peer(node(1)));
    world.directory.record_proof(id(1), at("10.77.0.1:9"), world.now);
    let moved = world.add(reported(&["10.77.0.77:9", "10.78.0.1:9"]), AdvertSource::Peer(node(1)));
    assert!(matches!(&moved.events[..], [DirectoryEvent::Moved(_)]));
    assert!(!addresses(&world).contains(&at("10.77.0.1:9")));
    // A truncated list does not prove a move.
    let changes =
        world.add(Advert { addresses: many(15), ..advert(1, 1, "arm") }, AdvertSource::Peer(node(1)));
    assert_eq!(changes.events, []);
    assert!(addresses(&world).contains(&at("10.77.0.77:9")));
}

#[test]
fn dialling_tasks_receive_every_address_and_watchers_moves() {
    let mut world = world();
    world.add(advert(1, 1, "arm"), AdvertSource::Peer(node(1)));
    let more = Advert { addresses: vec![port(1), port(2)], ..advert(1, 1, "arm") };
    let changes = world.add(more, AdvertSource::Peer(node(1)));
    assert_eq!((changes.events.len(), changes.grown.len()), (0, 1));
    assert_eq!(changes.grown[0].addresses, [port(1), port(2)]);
    let guessed = world.directory.add_guess(id(1), at("10.77.0.1:1"));
    assert_eq!((guessed.events.len(), guessed.grown.len()), (0, 1));
    assert_eq!(world.directory.add_guess(id(1), at("10.77.0.1:1")), Changes::default());
    for n in 0..100 {
        world.directory.add_guess(id(1), port(1_000 + n));
    }
    assert_eq!(addresses(&world)[..2], [port(1), port(2)], "a guess is the first to be dropped");
}

#[test]
fn the_same_claims_in_another_order_change_nothing() {
    let mut world = world();
    set_own_addresses(&mut world);
    world.add(advert(1, 1, "arm"), AdvertSource::Mdns);
    world.directory.record_proof(id(1), port(1), world.now);
    let mut claimed = many(100);
    let add = |world: &mut World, addresses: &[SocketAddr]| {
        world
            .add(Advert { addresses: addresses.to_vec(), ..advert(1, 1, "arm") }, AdvertSource::Mdns)
            .doubts
            .len()
    };
    assert_eq!(add(&mut world, &claimed), 1);
    for turn in 1..20 {
        claimed.rotate_left(turn);
        assert_eq!(add(&mut world, &claimed), 0, "{turn}");
    }
    assert!(addresses(&world).contains(&at("10.77.0.1:9")));
}

#[test]
fn a_forged_address_does_not_replace_one_of_an_unverified_instance() {
    let mut world = world();
    set_own_addresses(&mut world);
    world.add(Advert { addresses: vec![at("127.0.0.1:9")], ..advert(1, 1, "arm") }, AdvertSource::Mdns);
    world.add(Advert { addresses: vec![at("203.0.113.6:9")], ..advert(1, 1, "arm") }, AdvertSource::Mdns);
    assert_eq!(addresses(&world), [at("127.0.0.1:9"), at("203.0.113.6:9")]);
}

#[test]
fn a_withdrawal_is_a_hint_unless_it_comes_from_the_node_itself() {
    let mut world = world();
    world.add(advert(1, 1, "arm"), AdvertSource::Mdns);
    let bye = Advert { leaving: true, ..advert(1, 1, "arm") };
    let hint = world.add(bye.clone(), AdvertSource::Mdns);
    assert_eq!((hint.events.len(), hint.doubts), (0, vec![id(1)]));
    assert_eq!(
        world.directory.withdraw_report(id(1), AdvertSource::Peer(node(9)), world.now).doubts,
        [id(1)]
    );
    assert_eq!(world.add(bye.clone(), AdvertSource::Caller(node(1))).doubts, [id(1)]);
    let gone = world.add(bye, AdvertSource::Peer(node(1)));
    assert!(matches!(gone.events[..], [DirectoryEvent::Down { reason: DownReason::Withdrawn, .. }]));
}

#[test]
fn a_dead_instance_returns_only_with_proof() {
    let mut world = world();
    world.add(advert(1, 1, "arm"), AdvertSource::Mdns);
    let down = world.directory.remove_node(node(1), |_| DownReason::NodeDied, world.now);
    assert!(matches!(down.events[..], [DirectoryEvent::Down { reason: DownReason::NodeDied, .. }]));
    assert!(world.directory.get("arm").is_empty());
    assert_eq!(
        world.add(advert(1, 1, "arm"), AdvertSource::Mdns),
        Changes::default(),
        "it was probed just now"
    );
    world.pass(2);
    let hint = world.add(advert(1, 1, "arm"), AdvertSource::Mdns);
    assert_eq!((hint.events.len(), hint.doubts), (0, vec![id(1)]));
    assert_eq!(world.directory.candidates("arm").len(), 1, "it is tried if no other is known");
    assert_eq!(ups(&world.directory.record_proof(id(1), port(1), world.now)), 1);
    world.directory.remove_instance(id(1), DownReason::Refused, world.now);
    world.pass(200);
    world.directory.expire(world.now);
    assert!(world.directory.candidates("arm").is_empty());
}

#[test]
fn a_flood_does_not_evict_verified_instances() {
    let limits = Limits { instances: 100, instances_per_node: 8, ..Limits::default() };
    let mut world = World::new(&limits);
    world.add(advert(1, 0, "own"), AdvertSource::Local);
    world.add(advert(2, 1, "arm"), AdvertSource::Peer(node(1)));
    for n in 0..5_000_u16 {
        world.now += Duration::from_millis(1);
        world.add(advert(1_000 + n, 2 + (n % 200) as u8, "forged"), AdvertSource::Mdns);
    }
    assert_eq!(world.directory.all().len(), 52, "half of all, and two that are proved");
    for n in 0..100 {
        world.add(advert(10_000 + n, 1, "forged"), AdvertSource::Mdns);
    }
    assert_eq!(world.directory.of_node(node(1)).len(), 8);
    assert_eq!((world.directory.get("arm").len(), world.directory.get("own").len()), (1, 1));
}

#[test]
fn no_source_occupies_the_room_of_others() {
    let limits = Limits { instances: 1_000, instances_per_source: 100, ..Limits::default() };
    let mut world = World::new(&limits);
    let peer = AdvertSource::Peer(node(1));
    world.add(advert(1, 1, "own of the peer"), peer);
    for n in 2..=11 {
        world.add(advert(n, 2, "honest"), REPLY);
    }
    world.add(advert(12, 3, "proved"), AdvertSource::Mdns);
    world.directory.record_proof(id(12), port(12), world.now);
    let forged = |n: u32| {
        let mut random = [0; 16];
        random[..4].copy_from_slice(&n.to_le_bytes());
        random[15] = 1;
        let instance = InstanceId::from_random(random);
        Advert { instance, node: NodeId::from_random(random), ..advert(0, 0, "forged") }
    };
    for n in 0..100_000 {
        world.now += Duration::from_micros(10);
        world.add(forged(n), if n % 2 == 0 { AdvertSource::Mdns } else { peer });
    }
    let count = |name: &str| world.directory.get(name).len();
    assert_eq!((count("own of the peer"), count("honest"), count("proved")), (1, 10, 1));
    assert_eq!(count("forged"), 500 + 100, "half of all by multicast, and as many as one source may report");
    assert_eq!(world.directory.evicted_and_rejected(), (100_000 - 600, 0));
}

#[test]
fn proved_reports_of_a_source_do_not_count() {
    let limits = Limits { instances: 1_000, instances_per_source: 10, ..Limits::default() };
    let mut world = World::new(&limits);
    for n in 0..200u16 {
        world.add(advert(n, n as u8 + 1, "forwarded"), AdvertSource::Caller(node(250)));
        world.directory.record_proof(id(n), port(n), world.now);
    }
    assert_eq!(world.directory.all().len(), 200);
}

#[test]
fn every_displaced_instance_is_reported_down() {
    let limits = Limits { instances: 10, ..Limits::default() };
    let mut world = World::new(&limits);
    let (mut up, mut down) = (0, 0);
    for n in 0..50 {
        let changes = world.add(advert(n, n as u8 + 1, "x"), AdvertSource::Peer(node(100 + n as u8)));
        up += ups(&changes);
        down += changes.events.len() - ups(&changes);
    }
    assert_eq!((up, down), (50, 40));
}

#[test]
fn groups_have_separators_and_exceptions() {
    let mut world = world();
    for (n, name) in ["chat/ann", "chat/bob", "chat", "chatter", "chat.eve"].iter().enumerate() {
        world.add(advert(n as u16, 1, name), AdvertSource::Mdns);
    }
    let names = |found: Vec<Instance>| found.into_iter().map(|i| i.service.to_string()).collect::<Vec<_>>();
    assert_eq!(names(world.directory.group("chat", "/", &[])), ["chat/ann", "chat/bob"]);
    assert_eq!(names(world.directory.group("chat", ".", &[])), ["chat.eve"]);
    let bob = ServiceName::new("chat/bob").expect("a name");
    assert_eq!(names(world.directory.group("chat", "/", &[bob])), ["chat/ann"]);
    assert_eq!(world.directory.all().len(), 5);
    assert_eq!(world.directory.service_names().len(), 5);
}

#[test]
fn instances_reported_only_by_a_lost_peer_are_removed() {
    let mut world = world();
    world.add(advert(1, 1, "one"), AdvertSource::Peer(node(9)));
    world.add(advert(2, 2, "by mDNS too"), AdvertSource::Peer(node(9)));
    world.add(advert(2, 2, "by mDNS too"), AdvertSource::Mdns);
    world.add(advert(3, 3, "proved"), AdvertSource::Peer(node(9)));
    world.directory.record_proof(id(3), port(3), world.now);
    let changes = world.directory.remove_peer(node(9), world.now);
    assert_eq!(changes.events.len(), 1);
    assert_eq!(world.directory.service_names().len(), 2);
}

#[test]
fn evidence_becomes_stale() {
    let mut world = world();
    world.add(advert(1, 1, "a"), REPLY);
    world.add(advert(2, 1, "b"), AdvertSource::Mdns);
    let fresh = |world: &World, n| world.directory.is_fresh(id(n), world.now);
    assert!(fresh(&world, 1) && fresh(&world, 2));
    world.pass(2);
    assert!(!fresh(&world, 1) && !fresh(&world, 2));
    assert_eq!(world.directory.unproved(Duration::from_secs(1), world.now).len(), 2);
    world.directory.record_proof(id(2), port(2), world.now);
    assert!(fresh(&world, 2));
}

#[test]
fn a_slow_reader_misses_only_changes_that_cancelled_out() {
    let mut pending = Pending::default();
    let up = |n| DirectoryEvent::Up(world_instance(n));
    let down = |n| DirectoryEvent::Down { instance: world_instance(n), reason: DownReason::Refused };
    fn world_instance(n: u16) -> Instance {
        Instance {
            id: id(n),
            node: node(1),
            service: "x".parse().expect("a name"),
            addresses: vec![],
            local: false,
        }
    }
    for n in 0..1_000 {
        pending.push(up(n));
        pending.push(DirectoryEvent::Moved(world_instance(n)));
        pending.push(down(n));
    }
    assert!(pending.is_empty(), "the reader never received them");
    pending.push(up(1));
    pending.push(up(2));
    assert_eq!(pending.pop(), Some(up(1)));
    pending.push(down(1));
    pending.push(up(1));
    assert_eq!(pending.len(), 2);
    assert_eq!(pending.pop(), Some(up(2)));
    assert_eq!(pending.pop(), Some(DirectoryEvent::Moved(world_instance(1))));
    assert_eq!(pending.pop(), None);
}

#[test]
fn other_nodes_cannot_withdraw_this_nodes_own_services() {
    let mut world = world();
    world.add(advert(1, 0, "own"), AdvertSource::Local);
    for source in [
        AdvertSource::Mdns,
        REPLY,
        AdvertSource::Peer(node(0)),
        AdvertSource::Peer(node(1)),
        AdvertSource::Caller(node(0)),
    ] {
        let changes = world.directory.withdraw_report(id(1), source, world.now);
        assert_eq!(changes, Changes::default(), "{source:?}");
    }
    assert_eq!(world.directory.get("own").len(), 1);
    assert_eq!(world.directory.withdraw_report(id(1), AdvertSource::Local, world.now).events.len(), 1);
}
