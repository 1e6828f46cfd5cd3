use super::*;

fn own(text: &[(&str, u8)]) -> Vec<OwnAddress> {
    text.iter()
        .map(|(ip, prefix)| OwnAddress { ip: ip.parse().expect("an address"), prefix: *prefix })
        .collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn list(text: &[&str]) -> Vec<SocketAddr> {
    text.iter().map(|a| a.parse().expect("a socket address")).collect()
}

fn order(addresses: &[SocketAddr], own: &[OwnAddress]) -> Vec<SocketAddr> {
    let mut usable = usable(addresses, own);
    sort(&mut usable, own);
    usable
}

#[test]
fn near_addresses_come_first() {
    let own = own(&[("127.0.0.1", 8), ("192.168.1.5", 24)]);
    let given = list(&["[fe80::1]:1", "[2001:db8::1]:1", "10.0.0.1:1", "192.168.1.9:1", "127.0.0.1:1"]);
    let expected = list(&["192.168.1.9:1", "10.0.0.1:1", "[2001:db8::1]:1", "[fe80::1]:1"]);
    assert_eq!(order(&given, &own), expected, "the loopback address of another host does not lead to it");
}

#[test]
fn loopback_comes_first_on_the_same_host() {
    let own = own(&[("127.0.0.1", 8), ("192.168.1.5", 24)]);
    let given = list(&["192.168.1.5:1", "127.0.0.1:1", "192.168.1.5:1"]);
    assert_eq!(order(&given, &own), list(&["127.0.0.1:1", "192.168.1.5:1"]));
    assert_eq!(order(&list(&["127.0.0.1:1"]), &own), list(&["127.0.0.1:1"]));
}

#[test]
fn link_local_addresses_of_this_host_are_dropped_if_it_has_others() {
    let own = own(&[("127.0.0.1", 8), ("192.168.1.5", 24), ("fe80::1", 64)]);
    // A receiver on another link cannot know which link it belongs to.
    let given = list(&["[fe80::1%7]:1", "192.168.1.5:1"]);
    assert_eq!(order(&given, &own), list(&["192.168.1.5:1"]));
    assert_eq!(order(&given[..1], &own), given[..1]);
}

#[test]
fn one_shared_address_does_not_make_two_hosts_one() {
    let own = own(&[("127.0.0.1", 8), ("10.77.0.2", 24), ("172.17.0.1", 16)]);
    let given = list(&["172.17.0.1:9000", "10.77.0.1:9000", "203.0.113.9:9000", "127.0.0.1:9000"]);
    let expected = list(&["10.77.0.1:9000", "203.0.113.9:9000", "172.17.0.1:9000"]);
    assert_eq!(order(&given, &own), expected, "shared addresses are tried last, and loopback is not tried");
    // A container on another host, in a network that this host has as well.
    let given = list(&["172.17.0.5:9000", "10.77.0.1:19000"]);
    assert_eq!(order(&given, &own), given);
}

#[test]
fn a_service_with_all_addresses_of_this_host_counts_as_local() {
    let own = own(&[("127.0.0.1", 8), ("10.77.0.2", 24), ("172.17.0.1", 16)]);
    let given = list(&["172.17.0.1:1", "10.77.0.2:1", "127.0.0.1:1"]);
    let expected = list(&["127.0.0.1:1", "10.77.0.2:1", "172.17.0.1:1"]);
    assert_eq!(order(&given, &own), expected, "addresses that others use come before those of containers");
}

#[test]
fn addresses_that_cannot_be_dialled_are_dropped() {
    let given = list(&["0.0.0.0:1", "10.0.0.1:0", "224.0.0.251:1", "[::]:1"]);
    assert!(order(&given, &[]).is_empty());
}

#[test]
fn a_peer_is_sent_the_addresses_reachable_from_it_first() {
    let own = own(&[("127.0.0.1", 8), ("10.77.0.1", 24), ("172.17.0.1", 16), ("10.9.0.1", 32)]);
    let given =
        list(&["127.0.0.1:5", "[fe80::1]:5", "[fd77::1]:5", "172.17.0.1:5", "10.77.0.1:5", "10.9.0.1:5"]);
    let over_tunnel = LinkEnds { own: Some(ip("10.9.0.1")), other: ip("10.9.0.2"), zone: 0 };
    let expected = list(&["10.9.0.1:5", "172.17.0.1:5", "10.77.0.1:5", "[fd77::1]:5"]);
    assert_eq!(select_for_peer(&given, over_tunnel, &own), expected);
    // Behind network address translation, where the link's own address is not known to be usable.
    let over_lan = LinkEnds { own: None, other: ip("10.77.0.7"), zone: 0 };
    let expected = list(&["10.77.0.1:5", "172.17.0.1:5", "10.9.0.1:5", "[fd77::1]:5"]);
    assert_eq!(select_for_peer(&given, over_lan, &own), expected);
    let on_this_host = LinkEnds { own: Some(ip("127.0.0.1")), other: ip("127.0.0.1"), zone: 0 };
    assert_eq!(select_for_peer(&given, on_this_host, &own)[0], list(&["127.0.0.1:5"])[0]);
}

#[test]
fn addresses_for_a_peer_are_truncated_after_sorting() {
    let mut given: Vec<SocketAddr> = (0..100).map(|n| ([10, 200, n, 1], 5).into()).collect();
    given.push(([10, 77, 0, 1], 5).into());
    let mut own: Vec<OwnAddress> =
        given.iter().map(|address| OwnAddress { ip: address.ip(), prefix: 24 }).collect();
    own.push(OwnAddress { ip: ip("127.0.0.1"), prefix: 8 });
    for ends in [
        LinkEnds { own: None, other: ip("10.77.0.2"), zone: 0 },
        LinkEnds { own: Some(ip("10.77.0.1")), other: ip("192.168.7.7"), zone: 0 },
    ] {
        let selected = select_for_peer(&given, ends, &own);
        assert_eq!((selected.len(), selected[0]), (MAX_ADDRESSES, ([10, 77, 0, 1], 5).into()), "{ends:?}");
    }
}

#[test]
fn an_endpoint_is_reached_at_the_local_address_of_the_link() {
    let ends = LinkEnds { own: Some(ip("10.9.0.1")), other: ip("10.9.0.2"), zone: 0 };
    assert_eq!(ends.towards(list(&["127.0.0.1:5"])[0]), Some(list(&["10.9.0.1:5"])[0]));
    let by_link_local = LinkEnds { own: Some(ip("fe80::1")), other: ip("fe80::2"), zone: 0 };
    assert_eq!(by_link_local.towards(list(&["127.0.0.1:5"])[0]), None);
    let by_v6 = LinkEnds { own: Some(ip("fd77::1")), other: ip("fd77::2"), zone: 0 };
    assert_eq!(by_v6.towards(list(&["127.0.0.1:5"])[0]), None, "an IPv4 listener is not reached by IPv6");
    assert_eq!(by_v6.towards(list(&["[::1]:5"])[0]), Some(list(&["[fd77::1]:5"])[0]));
}
