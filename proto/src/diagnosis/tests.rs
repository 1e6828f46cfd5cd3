//! Tables of observations, each with the code of the first finding.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::discovery::addresses::OwnAddress;

const SECOND: Duration = Duration::from_secs(1);
const EACCES: i32 = 13;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a socket address")
}

fn interface(name: &str, kind: InterfaceKind, own: &[&str]) -> InterfaceSeen {
    let addresses = own.iter().map(|own| {
        let (ip_text, prefix) = own.split_once('/').expect("a prefix");
        OwnAddress { ip: ip(ip_text), prefix: prefix.parse().expect("a number") }
    });
    InterfaceSeen {
        name: name.to_owned(),
        index: None,
        kind,
        chosen: true,
        up: Some(true),
        carrier: Some(true),
        multicast: Some(true),
        addresses: addresses.collect(),
    }
}

/// Returns the observations of a healthy host on a healthy network, where nothing is received.
fn healthy() -> Observations {
    let loopback = InterfaceSeen {
        multicast: Some(false),
        ..interface("lo", InterfaceKind::Loopback, &["127.0.0.1/8", "::1/128"])
    };
    Observations {
        target: Sought::Name("robot/arm".to_owned()),
        mesh: "meshzero".to_owned(),
        has_multicast: true,
        interfaces: Some(vec![
            loopback,
            interface("eth0", InterfaceKind::Wired, &["192.168.1.5/24", "fe80::5/64"]),
        ]),
        multicast: multicast_counts(),
        neighbours: Some(vec![(ip("192.168.1.1"), Neighbour::Complete)]),
        gateways: vec![ip("192.168.1.1")],
        ..Observations::default()
    }
}

fn multicast_counts() -> MulticastObservations {
    MulticastObservations {
        oneshot_questions: 4,
        ordinary_questions: 2,
        own_received_v4: Some(true),
        ..MulticastObservations::default()
    }
}

fn with(change: impl FnOnce(&mut Observations)) -> Observations {
    let mut observations = healthy();
    change(&mut observations);
    observations
}

/// Returns the interface that leads to other hosts.
fn wired(observations: &mut Observations) -> &mut InterfaceSeen {
    &mut observations.interfaces.as_mut().expect("listed")[1]
}

fn tried(text: &str, outcome: AttemptOutcome, took: Duration, neighbour: Neighbour) -> TriedAddress {
    let attempt = Attempt { address: address(text), outcome, took };
    TriedAddress { attempt, neighbour, leaves_by: Some("eth0".to_owned()), reason: None, zone: None }
}

fn failed(kind: ErrorKind) -> AttemptOutcome {
    AttemptOutcome::Failed { kind, code: None }
}

/// Returns observations with an endpoint of the target and these attempts.
fn announced(tried: Vec<TriedAddress>) -> Observations {
    with(|observations| {
        let service = Some("robot/arm".to_owned());
        observations.endpoints = vec![SilentEndpoint { service, replied_ago: None, tried }];
    })
}

fn replied(ago: Duration, tried: Vec<TriedAddress>) -> Observations {
    let mut observations = announced(tried);
    observations.endpoints[0].replied_ago = Some(ago);
    observations
}

#[track_caller]
fn first_finding(observations: &Observations) -> Finding {
    diagnose(observations).into_iter().next().expect("there is always one")
}

#[track_caller]
fn check(table: Vec<(&str, Observations, FindingCode, &[&str])>) {
    for (row, observations, code, words) in table {
        let finding = first_finding(&observations);
        assert_eq!(finding.code, code, "{row}: {finding}");
        for word in words {
            assert!(finding.sentence.contains(word), "{row}: no {word:?} in {finding}");
        }
        assert!(!finding.remedy.is_empty(), "{row}");
        let text = finding.to_string();
        assert!(text.len() < 800 && !text.contains('\n') && !text.contains("  "), "{row}: {text:?}");
    }
}

#[test]
fn causes_on_this_host_are_reported() {
    use FindingCode::*;
    let port_taken = |observations: &mut Observations| observations.multicast.port_taken = Some(true);
    check(vec![
        ("nothing known", Observations { has_multicast: true, ..Observations::default() }, NothingHeard, &[]),
        ("healthy", healthy(), NothingHeard, &["nobody advertises \"robot/arm\"", "eth0"]),
        (
            "loopback only",
            with(|observations| {
                observations.chosen_interfaces = Some("lo".to_owned());
                wired(observations).chosen = false;
            }),
            InterfacesRestricted,
            &["(lo)", "this machine"],
        ),
        (
            "the wrong one",
            with(|observations| {
                observations.chosen_interfaces = Some("eth1".to_owned());
                wired(observations).chosen = false;
                let other = interface("eth1", InterfaceKind::Wired, &["10.0.0.5/24"]);
                observations.interfaces.as_mut().expect("listed").push(other);
            }),
            InterfacesRestricted,
            &["leaves out eth0"],
        ),
        (
            "no cable",
            with(|observations| wired(observations).carrier = Some(false)),
            NoCarrier,
            &["eth0 has no cable"],
        ),
        (
            "switched off",
            with(|observations| wired(observations).up = Some(false)),
            NoCarrier,
            &["eth0 is switched off"],
        ),
        (
            "no access point",
            with(|observations| {
                wired(observations).kind = InterfaceKind::Wireless;
                wired(observations).carrier = Some(false);
            }),
            NoCarrier,
            &["not connected to an access point"],
        ),
        (
            "no address",
            with(|observations| wired(observations).addresses.clear()),
            NoAddress,
            &["eth0 has no address"],
        ),
        (
            "its own address",
            with(|observations| {
                *wired(observations) = interface("eth0", InterfaceKind::Wired, &["169.254.7.1/16"])
            }),
            NoAddress,
            &["169.254.7.1", "DHCP"],
        ),
        (
            "no MULTICAST",
            with(|observations| wired(observations).multicast = Some(false)),
            NoMulticast,
            &["eth0 carries no multicast"],
        ),
        (
            "own outgoing filter",
            with(|observations| {
                let kind = ErrorKind::PermissionDenied;
                let error = SendError { interface: "eth0".to_owned(), kind, code: Some(1), count: 4 };
                observations.multicast.send_errors.push(error);
            }),
            OutgoingFilter,
            &["does not allow sending", "eth0"],
        ),
        (
            "own incoming filter",
            with(|observations| observations.multicast.own_received_v4 = Some(false)),
            IncomingFilter,
            &["a firewall on this machine"],
        ),
        (
            "an incoming filter for IPv6 only",
            with(|observations| {
                observations.multicast.own_received_v4 = Some(true);
                observations.multicast.own_received_v6 = Some(false);
            }),
            NothingHeard,
            &["no such program runs on this network"],
        ),
        ("the port is taken", with(port_taken), PortTaken, &["another program holds UDP port 5353"]),
        (
            "a container",
            with(|observations| {
                *wired(observations) = interface("eth0", InterfaceKind::Wired, &["172.17.0.2/16"]);
                observations.surroundings.container = Some("Docker".to_owned());
            }),
            Container,
            &["container (Docker)"],
        ),
        (
            "a container on the host's network",
            with(|observations| observations.surroundings.container = Some("Docker".to_owned())),
            NothingHeard,
            &[],
        ),
        (
            "a virtual machine",
            with(|observations| {
                *wired(observations) = interface("eth0", InterfaceKind::Wired, &["10.0.2.15/24"]);
                observations.surroundings.virtual_machine = Some("VirtualBox".to_owned());
            }),
            VirtualMachine,
            &["VirtualBox"],
        ),
    ]);
}

#[test]
fn other_received_services_are_reported() {
    use FindingCode::*;
    check(vec![
        (
            "another mesh",
            with(|observations| observations.other_meshes = vec!["room-6".to_owned()]),
            OtherMesh,
            &["on the mesh \"meshzero\"", "other meshes on this network: \"room-6\""],
        ),
        (
            "another mesh, and others here",
            with(|observations| {
                observations.other_meshes = vec!["room-6".to_owned()];
                observations.received = vec!["robot/leg".to_owned()];
            }),
            NotAdvertised,
            &["one service is heard"],
        ),
        (
            "only services of this host",
            with(|observations| {
                observations.received = vec!["robot/leg".to_owned()];
                observations.received_here = observations.received.clone();
            }),
            NothingHeard,
            &[
                "only services of this machine are heard (\"robot/leg\")",
                "multicast",
                "access point",
                "apart",
            ],
        ),
        (
            "services of this host, and another mesh",
            with(|observations| {
                observations.received = vec!["robot/leg".to_owned()];
                observations.received_here = observations.received.clone();
                observations.other_meshes = vec!["room-6".to_owned()];
            }),
            OtherMesh,
            &[],
        ),
        (
            "services of this host, and multicast is blocked",
            with(|observations| {
                observations.received = vec!["robot/leg".to_owned()];
                observations.received_here = observations.received.clone();
                observations.connected = vec![ip("192.168.1.9")];
            }),
            MulticastBlocked,
            &["drops multicast"],
        ),
        (
            "an access point that keeps its clients apart",
            with(|observations| {
                wired(observations).kind = InterfaceKind::Wireless;
                let neighbours = observations.neighbours.as_mut().expect("known");
                neighbours.push((ip("192.168.1.9"), Neighbour::Incomplete));
            }),
            ClientsIsolated,
            &["only the router answers", "keeps its clients apart"],
        ),
        (
            "by cable, one host that is off",
            with(|observations| {
                let neighbours = observations.neighbours.as_mut().expect("known");
                neighbours.push((ip("192.168.1.9"), Neighbour::Incomplete));
            }),
            NothingHeard,
            &[],
        ),
        (
            "multicast is blocked",
            with(|observations| observations.connected = vec![ip("192.168.1.9")]),
            MulticastBlocked,
            &["drops multicast"],
        ),
        (
            "peers of another network only",
            with(|observations| observations.connected = vec![ip("10.8.0.1"), ip("192.168.1.5")]),
            NothingHeard,
            &[],
        ),
        (
            "a static peer that is off",
            with(|observations| {
                let peer = "192.168.1.9:9000";
                let silent = tried(peer, AttemptOutcome::Silent, 3 * SECOND, Neighbour::Incomplete);
                let (peer, trouble) = (peer.to_owned(), "no answer".to_owned());
                observations.peers = vec![StaticPeer { peer, trouble, tried: vec![silent] }];
            }),
            HostSilent,
            &["static peer 192.168.1.9:9000", "ARP"],
        ),
    ]);
    let slower = with(|observations| {
        observations.received = vec!["robot/leg".to_owned()];
        observations.multicast.received_by_multicast = 3;
    });
    let codes: Vec<FindingCode> = diagnose(&slower).iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [NotAdvertised, UnicastRepliesDropped], "a cause of delays only comes last");
}

#[test]
fn the_cause_of_an_endpoints_silence_is_reported() {
    use FindingCode::*;
    use Neighbour::{Complete, Incomplete, Stale, Unknown};
    let at = "192.168.1.9:9000";
    let unreachable = failed(ErrorKind::HostUnreachable);
    let refused = failed(ErrorKind::ConnectionRefused);
    let one = |outcome, took, neighbour| vec![tried(at, outcome, took, neighbour)];
    let wireless = |observations: Observations| {
        let mut observations = observations;
        wired(&mut observations).kind = InterfaceKind::Wireless;
        observations
    };
    check(vec![
        (
            "a firewall there drops",
            replied(SECOND, one(AttemptOutcome::Silent, 3 * SECOND, Complete)),
            FirewallThereDrops,
            &["\"robot/arm\" is announced at 192.168.1.9:9000", "a firewall on it drops"],
        ),
        (
            "a firewall there drops: it has answered to ARP meanwhile",
            announced(one(AttemptOutcome::Silent, 3 * SECOND, Complete)),
            FirewallThereDrops,
            &["that host is there", "for 3.0 s"],
        ),
        (
            "a firewall there drops: the program has replied meanwhile",
            replied(4 * SECOND, one(AttemptOutcome::Silent, 3 * SECOND, Stale)),
            FirewallThereDrops,
            &["that host is there"],
        ),
        (
            "it has been switched off, or a firewall there drops",
            announced(one(AttemptOutcome::Silent, 5 * SECOND, Stale)),
            NoAnswer,
            &["for 5.0 s", "off or asleep", "firewall"],
        ),
        (
            "the same, and it replied before",
            replied(15 * SECOND, one(AttemptOutcome::Silent, 5 * SECOND, Stale)),
            NoAnswer,
            &["off or asleep", "firewall"],
        ),
        (
            "the host is off, as one of its addresses shows",
            announced(vec![
                tried(at, AttemptOutcome::Silent, 5 * SECOND, Stale),
                tried("[fd77::9]:9000", AttemptOutcome::Silent, 5 * SECOND, Incomplete),
            ]),
            HostSilent,
            &["does not answer to neighbour discovery"],
        ),
        (
            "a firewall there rejects",
            announced(one(unreachable, Duration::from_micros(300), Complete)),
            FirewallThereRejects,
            &["rejects", "firewall rule"],
        ),
        (
            "a firewall there rejects, and nobody knows the neighbours",
            announced(one(unreachable, Duration::from_micros(300), Unknown)),
            FirewallThereRejects,
            &[],
        ),
        (
            "a firewall there rejects IPv6",
            announced(vec![tried(
                "[fe80::9]:9000",
                AttemptOutcome::Failed { kind: ErrorKind::PermissionDenied, code: Some(EACCES) },
                Duration::from_micros(300),
                Unknown,
            )]),
            FirewallThereRejects,
            &[],
        ),
        (
            "own outgoing filter",
            announced(one(
                AttemptOutcome::Failed { kind: ErrorKind::PermissionDenied, code: Some(1) },
                Duration::ZERO,
                Complete,
            )),
            OutgoingFilter,
            &["does not allow sending"],
        ),
        ("refused", announced(one(refused, Duration::ZERO, Complete)), ProcessGone, &["without withdrawing"]),
        (
            "refused though it replied just now",
            replied(SECOND / 2, one(refused, Duration::ZERO, Complete)),
            FirewallThereRejects,
            &["replied 0.5 s ago"],
        ),
        (
            "refused, and it replied long ago",
            replied(60 * SECOND, one(refused, Duration::ZERO, Complete)),
            ProcessGone,
            &[],
        ),
        (
            "the host is off",
            announced(one(unreachable, 3 * SECOND, Incomplete)),
            HostSilent,
            &["does not answer to ARP", "off, asleep"],
        ),
        (
            "the host is off, and a second attempt joins the first one's ARP request",
            announced(one(unreachable, Duration::from_millis(50), Incomplete)),
            HostSilent,
            &[],
        ),
        (
            "the host is off, and the time was short",
            announced(one(AttemptOutcome::Silent, SECOND, Incomplete)),
            HostSilent,
            &[],
        ),
        (
            "isolated: it replied a moment ago",
            replied(SECOND, one(AttemptOutcome::Silent, 3 * SECOND, Incomplete)),
            ClientsIsolated,
            &["keeps its clients apart"],
        ),
        (
            "isolated: only the router answers by Wi-Fi",
            wireless(announced(one(unreachable, 3 * SECOND, Incomplete))),
            ClientsIsolated,
            &[],
        ),
        (
            "silent for less than TCP takes to repeat a packet",
            announced(one(AttemptOutcome::Silent, SECOND, Complete)),
            FirewallThereDrops,
            &["a firewall on it drops connections, unless the network is slow or loses packets"],
        ),
        (
            "stopped",
            announced(one(AttemptOutcome::Accepted, 3 * SECOND, Complete)),
            ProgramStalled,
            &["accepted"],
        ),
        (
            "another program",
            announced(one(AttemptOutcome::OtherProtocol, SECOND, Complete)),
            OtherProtocol,
            &[],
        ),
        (
            "another network without a route",
            announced(vec![tried(
                "192.168.20.9:9000",
                failed(ErrorKind::NetworkUnreachable),
                Duration::ZERO,
                Unknown,
            )]),
            OtherSubnet,
            &["another network", "192.168.1.5/24", "no route"],
        ),
        (
            "another network behind a router that says nothing",
            announced(vec![tried("192.168.20.9:9000", AttemptOutcome::Silent, 3 * SECOND, Unknown)]),
            OtherSubnet,
            &["another network", "through the router"],
        ),
        (
            "no answer, and nothing could be observed",
            with(|observations| {
                observations.interfaces = None;
                observations.neighbours = None;
                let tried = one(AttemptOutcome::Silent, 3 * SECOND, Unknown);
                observations.endpoints = vec![SilentEndpoint { tried, ..SilentEndpoint::default() }];
            }),
            NoAnswer,
            &["a firewall on that host drops connections, or it is off"],
        ),
    ]);
}

#[test]
fn the_route_to_an_endpoint_is_reported() {
    use FindingCode::*;
    let at = "192.168.1.9:9000";
    let leaves_by = |name: &str, neighbour| {
        let tried = tried(at, AttemptOutcome::Silent, 3 * SECOND, neighbour);
        vec![TriedAddress { leaves_by: Some(name.to_owned()), ..tried }]
    };
    let mut vpn = announced(leaves_by("tun0", Neighbour::Unknown));
    vpn.interfaces.as_mut().expect("listed").push(interface("tun0", InterfaceKind::Tunnel, &["10.8.0.2/24"]));
    let mut cable = announced(leaves_by("eth0", Neighbour::Incomplete));
    wired(&mut cable).carrier = Some(false);
    // Docker's bridge has the same address on every host.
    let mut docker = announced(vec![
        tried("172.17.0.1:9000", failed(ErrorKind::ConnectionRefused), Duration::ZERO, Neighbour::Unknown),
        tried(at, AttemptOutcome::Silent, 3 * SECOND, Neighbour::Complete),
    ]);
    let bridge = interface("docker0", InterfaceKind::Inner, &["172.17.0.1/16"]);
    docker.interfaces.as_mut().expect("listed").push(bridge);
    let mut declined = announced(vec![TriedAddress {
        reason: Some("it belongs to the mesh \"room-6\"".to_owned()),
        ..tried(at, AttemptOutcome::Rejected, Duration::ZERO, Neighbour::Complete)
    }]);
    declined.target = Sought::Address(address(at));
    declined.endpoints[0].service = None;
    check(vec![
        ("a VPN", vpn, VpnRoute, &["192.168.1.9 leave by tun0", "VPN"]),
        ("own cable", cable, NoCarrier, &["eth0 has no cable"]),
        ("a bridge that both have", docker, FirewallThereDrops, &["192.168.1.9"]),
        ("another mesh at an address", declined, Declined, &["room-6"]),
        (
            "an address of which nothing is known",
            with(|observations| observations.target = Sought::Address(address(at))),
            NoAnswer,
            &["nothing of this mesh answers at 192.168.1.9:9000"],
        ),
    ]);
}

#[test]
fn nothing_is_concluded_from_unknown_facts() {
    let blind = |change: fn(&mut Observations)| {
        with(|observations| {
            let wired = wired(observations);
            (wired.up, wired.carrier, wired.multicast) = (None, None, None);
            observations.multicast = MulticastObservations::default();
            change(observations);
        })
    };
    for change in [
        |_: &mut Observations| {},
        |observations: &mut Observations| observations.interfaces = None,
        |observations: &mut Observations| wired(observations).kind = InterfaceKind::Unknown,
        |observations: &mut Observations| observations.connected = vec![ip("192.168.1.9")],
        |observations: &mut Observations| observations.surroundings.container = None,
    ] {
        let finding = first_finding(&blind(change));
        assert_eq!(finding.code, FindingCode::NothingHeard, "{finding}");
    }
}

#[test]
fn zones_are_displayed_as_names_of_interfaces() {
    let to = "[fe80::9%3]:9000";
    let at = "[fe80::9%eth0]:9000";
    let silent = tried(to, AttemptOutcome::Silent, 5 * SECOND, Neighbour::Stale);
    let silent = TriedAddress { zone: Some("eth0".to_owned()), ..silent };
    let shown = evidence_of(std::slice::from_ref(&silent), &MulticastObservations::default(), None);
    assert!(shown[0].contains(at) && !shown[0].contains("%3"), "{shown:?}");
    let observations = announced(vec![silent]);
    assert!(first_finding(&observations).sentence.contains(at), "{}", first_finding(&observations));
    let sought = with(|observations| {
        observations.target = Sought::Address(address(to));
        wired(observations).index = Some(3);
    });
    assert!(first_finding(&sought).sentence.contains(at), "{}", first_finding(&sought));
}

#[test]
fn many_addresses_do_not_make_a_sentence_long() {
    let many = (0..1_500).map(|number: u16| {
        let [high, low] = number.to_be_bytes();
        let to = SocketAddr::from(([10, 0, high, low], 9_000));
        tried(&to.to_string(), AttemptOutcome::Silent, SECOND, Neighbour::Unknown)
    });
    let mut observations = announced(many.collect());
    let own = (0..1_500_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        OwnAddress { ip: [10, 1, high, low].into(), prefix: 16 }
    });
    wired(&mut observations).addresses = own.collect();
    observations.received = (0..1_500).map(|number| format!("service/{number}")).collect();
    let tried = observations.endpoints[0].tried.clone();
    let interfaces: Vec<String> = (0..1_500).map(|number| format!("eth{number} (10.0.0.1)")).collect();
    let mut evidence = evidence_of(&tried, &observations.multicast, None);
    evidence.extend(received_instead(&observations.received, &interfaces, &[]));
    let text = paragraph(&diagnose(&observations), &evidence).expect("there is a cause");
    assert!(text.len() < 1_500, "{} bytes: {text}", text.len());
    assert!(text.contains("and 1496 more"), "{text}");
}
