use crate::discovery::query::{HEADER_BYTES, MAX_MESSAGE_BYTES};
use crate::id::{InstanceId, NodeId};
use crate::name::{MeshName, ServiceName};
use simple_dns::rdata::{A, AAAA, SRV, TXT};
use simple_dns::{CLASS, CharacterString};

use super::*;

fn expected(n: u8) -> Advert {
    Advert {
        instance: InstanceId::from_random([n; 16]),
        node: NodeId::from_random([7; 16]),
        mesh: MeshName::default(),
        service: ServiceName::new(format!("Küche/{n}")).expect("a name"),
        addresses: vec![([10, 0, 0, n], 4000).into()],
        leaving: false,
    }
}

fn name(text: String) -> Name<'static> {
    Name::new(&text).expect("a name").into_owned()
}

fn records(n: u8) -> Vec<ResourceRecord<'static>> {
    let advert = expected(n);
    let instance = name(format!("{}._meshzero._tcp.local", advert.instance));
    let host = name(format!("host{n}.local"));
    let mut txt = TXT::new();
    for (key, value) in advert.to_txt() {
        let bytes = format!("{key}={value}").into_bytes();
        txt.add_char_string(CharacterString::new(&bytes).expect("short").into_owned());
    }
    let srv = SRV { priority: 0, weight: 0, port: 4000, target: host.clone() };
    let a = A { address: std::net::Ipv4Addr::new(10, 0, 0, n).into() };
    vec![
        ResourceRecord::new(instance.clone(), CLASS::IN, 10, RData::SRV(srv)),
        ResourceRecord::new(instance, CLASS::IN, 10, RData::TXT(txt)),
        ResourceRecord::new(host, CLASS::IN, 10, RData::A(a)),
    ]
}

fn datagram(records: Vec<ResourceRecord<'static>>) -> Vec<u8> {
    let mut packet = Packet::new_reply(0);
    packet.additional_records = records;
    packet.build_bytes_vec_compressed().expect("it encodes")
}

fn datagrams(records: Vec<ResourceRecord<'static>>) -> Vec<Vec<u8>> {
    let mut records = records;
    let rest = records.split_off(1);
    vec![datagram(records), datagram(rest)]
}

fn responder() -> SocketAddr {
    ([10, 0, 0, 9], 5353).into()
}

#[test]
fn a_reply_becomes_adverts() {
    let bytes = datagram((1..=5).flat_map(records).collect());
    let mut adverts = parse_reply(&bytes).expect("a reply").adverts;
    adverts.sort_by_key(|advert| advert.addresses.clone());
    assert_eq!(adverts, (1..=5).map(expected).collect::<Vec<_>>());
}

#[test]
fn records_in_several_datagrams_are_combined() {
    let mut replies = ReplyAssembler::default();
    let mut found = Vec::new();
    for record in (1..=3).flat_map(records) {
        found.extend(replies.add(responder(), &datagram(vec![record])).expect("a reply").adverts);
    }
    found.retain(|advert| advert.addresses[0].ip() != responder().ip());
    found.sort_by_key(|advert| advert.addresses.clone());
    assert_eq!(found, (1..=3).map(expected).collect::<Vec<_>>());
    let unknown_host = records(4).into_iter().take(2).collect();
    let adverts = replies.add(responder(), &datagram(unknown_host)).expect("a reply").adverts;
    assert_eq!(adverts[0].addresses, [SocketAddr::from(([10, 0, 0, 9], 4000))]);
}

#[test]
fn the_last_of_a_hundred_addresses_is_read() {
    let address = |n: u8| {
        ResourceRecord::new(
            name("host1.local".into()),
            CLASS::IN,
            10,
            RData::A(A { address: std::net::Ipv4Addr::new(10, 200, n, 1).into() }),
        )
    };
    let many = datagram((0..100).map(address).chain(records(1)).collect());
    let addresses = parse_reply(&many).expect("a reply").adverts[0].addresses.clone();
    assert_eq!((addresses.len(), addresses[100]), (101, expected(1).addresses[0]));
    let too_many = (0..=255).map(address).chain(records(1)).collect();
    let adverts = parse_reply(&datagram(too_many)).expect("a reply").adverts;
    assert_eq!(adverts[0].addresses.len(), MAX_RECEIVED_ADDRESSES);
}

#[test]
fn addresses_in_a_later_datagram_are_returned() {
    let mut replies = ReplyAssembler::default();
    let first = replies.add(responder(), &datagram(records(1))).expect("a reply").adverts;
    assert_eq!(first, [expected(1)]);
    let a = A { address: std::net::Ipv4Addr::new(10, 77, 0, 1).into() };
    let more = ResourceRecord::new(name("host1.local".into()), CLASS::IN, 10, RData::A(a));
    let extended = replies.add(responder(), &datagram(vec![more.clone()])).expect("a reply").adverts;
    assert_eq!(extended[0].addresses, [([10, 0, 0, 1], 4000).into(), ([10, 77, 0, 1], 4000).into()]);
    let nothing_new = replies.add(responder(), &datagram(vec![more])).expect("a reply").adverts;
    assert_eq!(nothing_new, []);
    // The next reply is returned again, with the current address.
    assert_eq!(replies.add(responder(), &datagram(records(1))).expect("a reply").adverts, [expected(1)]);
    let mut goodbye = records(1);
    goodbye.iter_mut().for_each(|record| record.ttl = 0);
    replies.add(responder(), &datagram(goodbye)).expect("a reply");
    assert_eq!((replies.incomplete.len(), replies.buffered_bytes), (0, 0));
}

#[test]
fn link_local_addresses_have_the_zone_of_their_interface() {
    let mut records = records(1);
    let host = records[2].name.clone();
    let ip = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    records[2] = ResourceRecord::new(host, CLASS::IN, 10, RData::AAAA(AAAA { address: ip.into() }));
    let totals = ReplyAssembler::on_interface(3).add(responder(), &datagram(records)).expect("a reply");
    assert_eq!(totals.adverts[0].addresses, [SocketAddr::from(SocketAddrV6::new(ip, 4000, 0, 3))]);
}

#[test]
fn records_without_a_lifetime_withdraw_their_instance() {
    let mut records = records(1);
    let kind = name(crate::discovery::query::SERVICE_TYPE.into());
    let pointer = RData::PTR(PTR(records[0].name.clone()));
    records.push(ResourceRecord::new(kind, CLASS::IN, 10, pointer));
    for record in &mut records {
        record.ttl = 0;
    }
    let totals = ReplyAssembler::default().add(responder(), &datagram(records)).expect("a reply");
    assert_eq!(totals, ReplyTotals { gone: vec![expected(1).instance], ..ReplyTotals::default() });
}

#[test]
fn incomplete_records_are_dropped_on_request() {
    let mut replies = ReplyAssembler::default();
    let mut datagrams_of_reply = datagrams(records(1));
    let second = datagrams_of_reply.split_off(1).concat();
    replies.add(responder(), &datagrams_of_reply[0]).expect("a reply");
    replies.forget_incomplete();
    assert_eq!(replies.add(responder(), &second).expect("a reply").adverts, []);
}

#[test]
fn other_services_are_skipped() {
    let mut printer = records(1);
    for record in &mut printer {
        record.name = name("office._ipp._tcp.local".into());
    }
    assert_eq!(parse_reply(&datagram(printer)), Ok(ReplyTotals::default()));
}

#[test]
fn forged_counts_cost_no_memory() {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[6..].fill(0xff);
    assert_eq!(parse_reply(&bytes), Err(ReplyError::Counts));
    assert_eq!(parse_reply(&[0; 3]), Err(ReplyError::Length(3)));
    assert_eq!(parse_reply(&vec![0; 60_000]), Err(ReplyError::Length(60_000)));
}

#[test]
fn malformed_bytes_do_not_panic() {
    let message = datagram((1..=5).flat_map(records).collect());
    let mut random = fastrand::Rng::with_seed(6762);
    let mut replies = ReplyAssembler::default();
    for _ in 0..20_000 {
        let mut bytes = message.clone();
        for _ in 0..random.usize(1..12) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(..=message.len()));
        let from = SocketAddr::from(([10, 0, 0, 9], random.u16(..)));
        // Any result is fine, as long as it returns.
        let (_, _) = (parse_reply(&bytes), replies.add(from, &bytes));
    }
    assert!(replies.incomplete.len() <= MAX_RESPONDERS);
}

#[test]
fn incomplete_records_are_bounded() {
    let mut replies = ReplyAssembler::default();
    let mut max_buffered = 0;
    for number in 0..3_000u32 {
        let [a, b, ..] = number.to_le_bytes();
        let long = |index: u16| name(format!("{}-{index}._meshzero._tcp.local", "x".repeat(50)));
        let mut txt = TXT::new();
        for _ in 0..MAX_PROPERTIES {
            txt.add_char_string(CharacterString::new(&[b'x'; 255]).expect("short").into_owned());
        }
        let records = [0, 1].map(|index| {
            ResourceRecord::new(long(u16::from(a) * 2 + index), CLASS::IN, 10, RData::TXT(txt.clone()))
        });
        let from = SocketAddr::from(([10, 0, b, a], 5_353));
        replies.add(from, &datagram(records.to_vec())).expect("a reply");
        max_buffered = max_buffered.max(replies.buffered_bytes);
        assert_eq!(
            replies.buffered_bytes,
            replies.incomplete.values().map(|records| records.buffered_bytes).sum::<usize>()
        );
    }
    assert!(
        (MAX_BUFFERED_BYTES / 2..MAX_BUFFERED_BYTES + 2 * MAX_MESSAGE_BYTES).contains(&max_buffered),
        "{max_buffered}"
    );
}
