use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::discovery::directory::Instance;
use crate::id::{InstanceId, NodeId};
use crate::name::ServiceName;

fn at(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, last), 50_000)
}

fn advert(name: &str, last: u8) -> ServiceAdvert {
    ServiceAdvert { name: name.to_owned(), address: at(last), lifetime: LIFETIME }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn adverts_match_those_of_networkzero() {
    let sent = br#"["hello", "192.168.1.7:50000", 20]"#;
    assert_eq!(ServiceAdvert::from_bytes(sent), Ok(advert("hello", 7)));
    assert_eq!(advert("hello", 7).to_bytes().as_deref(), Some(&br#"["hello","192.168.1.7:50000",20]"#[..]));
    let lifetime = |text: &str| ServiceAdvert::from_bytes(text.as_bytes()).map(|advert| advert.lifetime);
    assert_eq!(lifetime(r#"["a", "1.2.3.4:5", 0.5]"#), Ok(Duration::from_millis(500)));
    assert_eq!(lifetime(r#"["a", "1.2.3.4:5", null]"#), Ok(seconds(3_600)));
    assert_eq!(lifetime(r#"["a", "1.2.3.4:5", -1]"#), Ok(Duration::ZERO));
    assert_eq!(lifetime(r#"["a", "1.2.3.4:5", 1e300]"#), Ok(seconds(3_600)));
}

#[test]
fn an_invalid_advert_is_an_error() {
    for bytes in [
        &b""[..],
        b"\xff",
        b"[]",
        b"{}",
        br#"["a", "1.2.3.4:5"]"#,
        br#"["a", "1.2.3.4:5", 20, 1]"#,
        br#"["a", "1.2.3.4", 20]"#,
        br#"["a", "host:5", 20]"#,
        br#"["a", "1.2.3.4:99999", 20]"#,
        br#"[7, "1.2.3.4:5", 20]"#,
        br#"["cut off", "1.2.3."#,
        br#"[[[[[[[[[[[[[[[[[[[[[[[["#,
    ] {
        assert!(ServiceAdvert::from_bytes(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(advert(&"x".repeat(300), 1).to_bytes(), None);
}

#[test]
fn each_service_is_broadcast_every_two_seconds_and_not_all_at_once() {
    let (mut beacon, start) = (Beacon::new(10), Instant::now());
    assert!(beacon.advertise(advert("a", 1), false, start));
    beacon.announce(BTreeMap::from([("b".to_owned(), at(2))]), start);
    let mut sent = Vec::new();
    for millis in 0..6_000 {
        let now = start + Duration::from_millis(millis);
        while let Some(bytes) = beacon.broadcast(now) {
            sent.push((millis, ServiceAdvert::from_bytes(&bytes).expect("an advert").name));
        }
    }
    let expected = [(0, "a"), (10, "b"), (2_000, "a"), (2_010, "b"), (4_000, "a"), (4_010, "b")]
        .map(|(at, name)| (at, name.to_owned()));
    assert_eq!(sent, expected);
    beacon.pause(true);
    assert_eq!((beacon.next_due(), beacon.broadcast(start + seconds(60))), (None, None));
    beacon.pause(false);
    beacon.unadvertise("a");
    let bytes = beacon.broadcast(start + seconds(60)).expect("b is left");
    assert_eq!(ServiceAdvert::from_bytes(&bytes), Ok(advert("b", 2)));
    assert_eq!(beacon.broadcast(start + seconds(61)), None);
}

#[test]
fn received_adverts_are_forgotten_at_the_end_of_their_lifetime() {
    let (mut beacon, start) = (Beacon::new(10), Instant::now());
    beacon.receive(advert("a", 1), start);
    beacon.receive(advert("a", 1), start + seconds(10));
    beacon.forget_old(start + seconds(29));
    assert_eq!(beacon.find("a"), Some(at(1)));
    beacon.receive(advert("a", 2), start + seconds(29));
    assert_eq!(beacon.find("a"), Some(at(2)), "it was replaced");
    beacon.forget_old(start + seconds(49));
    assert_eq!(beacon.find("a"), None);
}

#[test]
fn its_own_broadcasts_do_not_count_as_received() {
    let (mut beacon, now) = (Beacon::new(10), Instant::now());
    beacon.announce(BTreeMap::from([("b".to_owned(), at(2))]), now);
    beacon.receive(advert("b", 2), now);
    assert_eq!(beacon.networkzero_services().count(), 0);
    beacon.receive(advert("c", 3), now);
    assert_eq!(beacon.networkzero_services().count(), 1);
    beacon.announce(BTreeMap::from([("c".to_owned(), at(3))]), now);
    assert_eq!(beacon.networkzero_services().count(), 0, "another gateway was quicker");
    assert_eq!(beacon.find("c"), Some(at(3)));
}

#[test]
fn the_number_of_names_is_bounded() {
    let (mut beacon, now) = (Beacon::new(3), Instant::now());
    for number in 0..100 {
        beacon.receive(advert(&number.to_string(), 1), now);
        beacon.advertise(advert(&format!("local {number}"), 2), false, now);
    }
    assert_eq!(beacon.networkzero_services().count(), 6);
    beacon.receive(advert("0", 9), now);
    assert_eq!(beacon.find("0"), Some(at(9)), "a known name can still move");
    let (mut beacon, long) = (Beacon::new(3), "x".repeat(MAX_ADVERT_BYTES));
    assert!(!beacon.advertise(advert(&long, 1), false, now), "the advert would be too long");
    assert_eq!(beacon.networkzero_services().count(), 0);
    assert!(["a", "b", "c"].iter().all(|name| beacon.receive(advert(name, 1), now)));
    assert!(!beacon.receive(advert("d", 1), now) && beacon.receive(advert("a", 2), now));
}

#[test]
fn a_name_that_must_be_new_is_refused_if_it_exists() {
    let (mut beacon, now) = (Beacon::new(10), Instant::now());
    beacon.announce(BTreeMap::from([("mesh".to_owned(), at(1))]), now);
    assert!(beacon.advertise(advert("a", 2), true, now));
    assert!(!beacon.advertise(advert("a", 3), true, now) && !beacon.advertise(advert("mesh", 3), true, now));
    assert!(beacon.advertise(advert("a", 3), false, now));
    assert_eq!(beacon.find("a"), Some(at(3)));
    beacon.reset();
    assert_eq!(beacon.all(), BTreeMap::from([("mesh", at(1))]));
}

#[test]
fn commands_match_those_of_networkzero() {
    let read = |message| Command::from_json(&message);
    let advertise = |address: Option<&str>, fail_if_exists| {
        let address = address.map(str::to_owned);
        Ok(Command::Advertise { name: "a".to_owned(), address, fail_if_exists, lifetime: seconds(20) })
    };
    assert_eq!(read(json!(["advertise", "a", null, false, 20])), advertise(None, false));
    assert_eq!(read(json!(["advertise", "a", "1.2.3.4:5", true, 20])), advertise(Some("1.2.3.4:5"), true));
    assert_eq!(read(json!(["advertise", "a", 8000, true, 20])), advertise(Some("8000"), true));
    assert_eq!(read(json!(["unadvertise", "a"])), Ok(Command::Unadvertise("a".to_owned())));
    assert_eq!(
        read(json!(["discover", "a", 0.5])),
        Ok(Command::Discover("a".to_owned(), Duration::from_millis(500)))
    );
    assert_eq!(read(json!(["discover_all"])), Ok(Command::DiscoverAll));
    assert_eq!(read(json!(["discover_all", 0.5])), Ok(Command::DiscoverAll));
    for (text, command) in [
        ("pause", Command::Pause),
        ("resume", Command::Resume),
        ("reset", Command::Reset),
        ("stop", Command::Stop),
    ] {
        assert_eq!(read(json!([text])), Ok(command));
    }
    for invalid in [
        json!(null),
        json!([]),
        json!([1]),
        json!(["fly"]),
        json!(["advertise"]),
        json!(["advertise", "a", {}]),
        json!(["discover", 1]),
    ] {
        assert!(read(invalid.clone()).is_err(), "{invalid}");
    }
}

fn node(number: u8) -> NodeId {
    NodeId::from_random([number; 16])
}

fn id(number: u8) -> InstanceId {
    InstanceId::from_random([number; 16])
}

fn instance(name: &str, number: u8, node_number: u8) -> Instance {
    let service = ServiceName::new(name).expect("a name");
    Instance {
        id: id(number),
        node: node(node_number),
        service,
        addresses: vec![at(number).into()],
        local: false,
    }
}

fn names<T>(map: BTreeMap<T, SocketAddrV4>) -> Vec<String>
where
    T: ToString,
{
    map.keys().map(ToString::to_string).collect()
}

#[test]
fn services_of_each_side_are_announced_to_the_other() {
    let mut exchange = Exchange::new(node(5));
    exchange.up(&instance("arm", 1, 9));
    let natives = [("hello", at(100))];
    assert_eq!(exchange.announced(natives), BTreeMap::from([("arm".to_owned(), at(1))]));
    assert_eq!(names(exchange.to_import(natives)), ["hello"]);
    exchange.begin_import("hello");
    exchange.up(&instance("hello", 2, 5));
    assert_eq!(names(exchange.to_import(natives)), ["hello"], "it stays");
    exchange.set_imported("hello", Some(id(2)));
    assert_eq!(names(exchange.announced(natives)), ["arm"], "an imported service is not announced back");
    assert_eq!(names(exchange.announced([])), ["arm"], "not even after its end");
    assert_eq!(names(exchange.to_import(natives)), ["hello"], "it stays");
    exchange.end_import("hello");
    exchange.down(id(2));
    exchange.down(id(1));
    assert!(exchange.announced(natives).is_empty());
}

#[test]
fn a_name_on_both_sides_is_not_exchanged() {
    let mut exchange = Exchange::new(node(5));
    exchange.up(&instance("echo", 1, 9));
    let natives = [("echo", at(100))];
    assert!(exchange.announced(natives).is_empty() && exchange.to_import(natives).is_empty());
}

#[test]
fn services_imported_or_announced_by_another_gateway_are_not_exchanged() {
    // The other gateway imported "hello" as instance 1, and announces "arm", which is at address 2.
    let mut exchange = Exchange::new(node(5));
    exchange.up(&instance("hello", 1, 9));
    exchange.up(&instance("arm", 2, 7));
    let natives = [("hello", at(100)), ("arm", at(2))];
    assert!(exchange.to_import(natives).is_empty());
    assert_eq!(names(exchange.announced(natives)), ["arm"]);
}

#[test]
fn of_two_gateways_that_begin_together_one_yields() {
    let natives = [("hello", at(100))];
    let wanted = |own: u8, other: u8| {
        let mut exchange = Exchange::new(node(own));
        exchange.begin_import("hello");
        exchange.set_imported("hello", Some(id(1)));
        exchange.up(&instance("hello", 1, own));
        exchange.up(&instance("hello", 2, other));
        names(exchange.to_import(natives))
    };
    assert_eq!(wanted(5, 9), ["hello"]);
    assert!(wanted(9, 5).is_empty());
}

#[test]
fn services_that_the_other_side_cannot_have_are_not_exchanged() {
    let mut exchange = Exchange::new(node(5));
    let mut unreachable = instance("six", 1, 9);
    unreachable.addresses = vec!["[fe80::1]:80".parse().expect("an address")];
    exchange.up(&unreachable);
    exchange.up(&instance(&"\u{1f600}".repeat(32), 2, 9));
    assert!(exchange.announced([]).values().all(|address| *address == at(2)));
    assert!(exchange.to_import([("", at(1)), ("a\u{7}", at(1)), (&"x".repeat(200), at(1))]).is_empty());
}
