//! What responders say, directly or by multicast: from the bytes of DNS messages to adverts and goodbyes.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use simple_dns::rdata::{PTR, RData};
use simple_dns::{Name, Packet, PacketFlag, ResourceRecord};

use super::{before_service_type, check_counts};
use crate::advert::{Advert, InvalidAdvert, MAX_HEARD_ADDRESSES};
use crate::id::InstanceId;

/// How many responders are kept whose replies are incomplete, how many names of each, and how many bytes of all.
const MAX_RESPONDERS: usize = 1_024;
const MAX_NAMES: usize = 512;
const MAX_HELD_BYTES: usize = 1 << 20;
/// What an entry of a map takes besides its texts, about.
const ENTRY_BYTES: usize = 128;
/// How many properties of one record are looked at.
const MAX_PROPERTIES: usize = 16;

/// Why bytes are not a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// More than mDNS permits, or less than a header.
    #[error("a DNS message of {0} bytes")]
    Length(usize),
    /// The header announces more records than the bytes can hold.
    #[error("a DNS message announces more records than it has room for")]
    Counts,
    /// The records do not parse.
    #[error("a malformed DNS message: {0}")]
    Malformed(String),
}

/// What replies have said as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replied {
    /// The services.
    pub adverts: Vec<Advert>,
    /// The instances whose records were withdrawn: those whose lifetime is 0 (RFC 6762 §10.1).
    pub gone: Vec<InstanceId>,
    /// Labels of services of the mesh's kind that are no adverts, with what is wrong with them.
    pub invalid: Vec<(String, InvalidAdvert)>,
}

/// Reads one reply that stands alone. Records of other services are skipped.
///
/// # Errors
/// [`ReplyError`]: these bytes are no DNS message.
pub fn parse_reply(bytes: &[u8]) -> Result<Replied, ReplyError> {
    let mut pieces = Pieces::default();
    let gone = pieces.add(bytes)?;
    Ok(Replied { gone, ..pieces.take_whole(None, 0) })
}

/// Puts replies together. A responder with many services spreads their records over several datagrams.
///
/// A service is given as soon as it has an address, and again when there are more: a responder with many addresses spreads those
/// as well. What waits for the rest of its records, or may get more, has at most a megabyte, from all responders together.
#[derive(Debug, Default)]
pub struct Replies {
    incomplete: HashMap<SocketAddr, Pieces>,
    held: usize,
    /// The zone of link-local addresses (RFC 4007): the number of the interface that the replies arrive on.
    zone: u32,
}

impl Replies {
    /// For replies that arrive on the interface with this number. Link-local addresses in them are of its network.
    pub fn on_interface(zone: u32) -> Self {
        Self { zone, ..Self::default() }
    }

    /// Lets go of what waits for the rest of its records. Do so from time to time: a record whose rest is never sent would wait
    /// forever.
    pub fn forget_incomplete(&mut self) {
        self.incomplete.clear();
        self.held = 0;
    }

    /// Takes in one datagram, and gives the adverts that it completes. One that is no response has none.
    ///
    /// # Errors
    /// [`ReplyError`]: these bytes are no DNS message. What was known before stays.
    pub fn add(&mut self, from: SocketAddr, bytes: &[u8]) -> Result<Replied, ReplyError> {
        let full = self.held >= MAX_HELD_BYTES
            || (!self.incomplete.contains_key(&from) && self.incomplete.len() >= MAX_RESPONDERS);
        if full {
            self.incomplete.retain(|_, pieces| pieces.wait());
            self.held = self.incomplete.values().map(|pieces| pieces.held).sum();
            if self.held >= MAX_HELD_BYTES || self.incomplete.len() >= MAX_RESPONDERS {
                // Only whoever floods loses by this; others answer the next question again.
                self.forget_incomplete();
            }
        }
        let pieces = self.incomplete.entry(from).or_default();
        self.held -= pieces.held;
        let added = pieces.add(bytes);
        let whole = pieces.take_whole(Some(from.ip()), self.zone);
        if pieces.is_empty() {
            self.incomplete.remove(&from);
        } else {
            self.held += pieces.held;
        }
        added.map(|gone| Replied { gone, ..whole })
    }
}

/// The records of one responder, until they make adverts.
#[derive(Debug, Default)]
struct Pieces {
    services: HashMap<String, Service>,
    hosts: HashMap<Vec<u8>, Vec<IpAddr>>,
    /// Memory that these take, about.
    held: usize,
}

#[derive(Debug, Default)]
struct Service {
    target: Option<(Vec<u8>, u16)>,
    properties: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// With how many addresses it was given, unless it was told of again since then.
    given: Option<usize>,
}

impl Service {
    /// Memory that its records take, about.
    fn bytes(&self) -> usize {
        let target = self.target.as_ref().map_or(0, |(host, _)| host.len());
        let properties = self.properties.iter().flatten();
        target + properties.map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum::<usize>()
    }
}

impl Pieces {
    /// Takes in the records of one datagram, and gives the instances that it withdraws.
    fn add(&mut self, bytes: &[u8]) -> Result<Vec<InstanceId>, ReplyError> {
        check_counts(bytes)?;
        let packet = Packet::parse(bytes).map_err(|error| ReplyError::Malformed(error.to_string()))?;
        let mut gone = Vec::new();
        if !packet.has_flags(PacketFlag::RESPONSE) {
            return Ok(gone);
        }
        let records = || packet.answers.iter().chain(&packet.additional_records);
        for record in records() {
            if record.ttl == 0 {
                gone.extend(withdrawn(record).filter(|instance| !gone.contains(instance)));
            } else if let RData::SRV(srv) = &record.rdata {
                self.forget_given(&record.name, &host_key(&srv.target));
            }
        }
        for instance in &gone {
            self.remove(&instance.to_string());
        }
        records().filter(|record| record.ttl > 0).for_each(|record| self.add_record(record));
        Ok(gone)
    }

    /// A service that has been given is told of again: so will be the addresses that its host has by now.
    fn forget_given(&mut self, name: &Name<'_>, host: &[u8]) {
        let is_given = |service: &Service| service.given.is_some();
        if instance_label(name).and_then(|label| self.services.get(&label)).is_some_and(is_given)
            && let Some(addresses) = self.hosts.remove(host)
        {
            self.held -= ENTRY_BYTES + host.len() + size_of::<IpAddr>() * addresses.len();
        }
    }

    fn remove(&mut self, label: &str) {
        if let Some(service) = self.services.remove(label) {
            self.held -= ENTRY_BYTES + label.len() + service.bytes();
        }
    }

    fn add_record(&mut self, record: &ResourceRecord<'_>) {
        match &record.rdata {
            RData::SRV(srv) => {
                let target = (host_key(&srv.target), srv.port);
                self.change(&record.name, |service| service.target = Some(target));
            }
            RData::TXT(txt) => {
                let properties: Vec<(Vec<u8>, Vec<u8>)> = txt
                    .iter_raw()
                    .take(MAX_PROPERTIES)
                    .map(|(key, value)| (key.to_vec(), value.unwrap_or_default().to_vec()))
                    .collect();
                self.change(&record.name, |service| service.properties = Some(properties));
            }
            RData::A(a) => self.add_address(&record.name, IpAddr::V4(a.address.into())),
            RData::AAAA(aaaa) => self.add_address(&record.name, IpAddr::V6(aaaa.address.into())),
            _ => {}
        }
    }

    fn change(&mut self, name: &Name<'_>, change: impl FnOnce(&mut Service)) {
        let Some(service) = self.service(name) else { return };
        let before = service.bytes();
        change(service);
        service.given = None;
        let after = service.bytes();
        self.held = self.held + after - before;
    }

    fn add_address(&mut self, name: &Name<'_>, ip: IpAddr) {
        let key = host_key(name);
        if self.hosts.len() >= MAX_NAMES && !self.hosts.contains_key(&key) {
            return;
        }
        let bytes = key.len();
        let addresses = self.hosts.entry(key).or_insert_with(|| {
            self.held += ENTRY_BYTES + bytes;
            Vec::new()
        });
        if addresses.len() < MAX_HEARD_ADDRESSES && !addresses.contains(&ip) {
            self.held += size_of::<IpAddr>();
            addresses.push(ip);
        }
    }

    /// The entry of an instance of our service type; `None` for other names, and when there are too many.
    fn service(&mut self, name: &Name<'_>) -> Option<&mut Service> {
        let label = instance_label(name)?;
        if self.services.len() >= MAX_NAMES && !self.services.contains_key(&label) {
            return None;
        }
        let bytes = label.len();
        Some(self.services.entry(label).or_insert_with(|| {
            self.held += ENTRY_BYTES + bytes;
            Service::default()
        }))
    }

    /// What is complete and has not been given as it is now. `responder` is where a service is whose host has no address record.
    fn take_whole(&mut self, responder: Option<IpAddr>, zone: u32) -> Replied {
        let mut replied = Replied::default();
        for (label, service) in &mut self.services {
            let (Some((host, port)), Some(properties)) = (&service.target, &service.properties) else {
                continue;
            };
            let known = self.hosts.get(host);
            let count = known.map_or(0, Vec::len);
            if service.given.is_some_and(|given| given >= count) {
                continue;
            }
            let Some(addresses) = known.cloned().or(responder.map(|ip| vec![ip])) else { continue };
            service.given = Some(count);
            let addresses = addresses.into_iter().map(|ip| socket_address(ip, *port, zone));
            match advert(label, properties, addresses) {
                Ok(advert) => replied.adverts.push(advert),
                Err(problem) => replied.invalid.push((label.clone(), problem)),
            }
        }
        if self.services.is_empty() {
            // Addresses belong to services: alone they are worth nothing.
            *self = Self::default();
        }
        replied
    }

    fn is_empty(&self) -> bool {
        self.services.is_empty() && self.hosts.is_empty()
    }

    /// Whether there is a service that has not been given.
    fn wait(&self) -> bool {
        self.services.values().any(|service| service.given.is_none())
    }
}

fn advert(
    label: &str,
    properties: &[(Vec<u8>, Vec<u8>)],
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<Advert, InvalidAdvert> {
    let property = |key: &str| {
        let found = properties.iter().find(|(other, _)| other.eq_ignore_ascii_case(key.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    };
    Advert::from_txt(label, property, addresses)
}

fn socket_address(ip: IpAddr, port: u16, zone: u32) -> SocketAddr {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => SocketAddrV6::new(ip, port, 0, zone).into(),
        ip => SocketAddr::new(ip, port),
    }
}

/// The label of an instance of our service type.
fn instance_label(name: &Name<'_>) -> Option<String> {
    let [label] = before_service_type(name)? else { return None };
    Some(std::str::from_utf8(label.as_ref()).ok()?.to_ascii_lowercase())
}

/// The instance that a record with a lifetime of 0 withdraws.
fn withdrawn(record: &ResourceRecord<'_>) -> Option<InstanceId> {
    let name = match &record.rdata {
        RData::PTR(PTR(name)) if before_service_type(&record.name).is_some_and(<[_]>::is_empty) => name,
        RData::SRV(_) => &record.name,
        _ => return None,
    };
    instance_label(name)?.parse().ok()
}

fn host_key(name: &Name<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    for label in name.as_bytes() {
        key.push(label.len() as u8);
        key.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    key
}

#[cfg(test)]
mod tests {
    use crate::id::{InstanceId, NodeId};
    use crate::name::{MeshName, ServiceName};
    use crate::query::{HEADER_BYTES, MAX_MESSAGE_BYTES};
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
    fn records_in_several_datagrams_come_together() {
        let mut replies = Replies::default();
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
    fn the_last_of_a_hundred_addresses_is_read_as_well() {
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
        assert_eq!(adverts[0].addresses.len(), MAX_HEARD_ADDRESSES);
    }

    #[test]
    fn addresses_in_a_later_datagram_are_given_as_well() {
        let mut replies = Replies::default();
        let first = replies.add(responder(), &datagram(records(1))).expect("a reply").adverts;
        assert_eq!(first, [expected(1)]);
        let a = A { address: std::net::Ipv4Addr::new(10, 77, 0, 1).into() };
        let more = ResourceRecord::new(name("host1.local".into()), CLASS::IN, 10, RData::A(a));
        let again = replies.add(responder(), &datagram(vec![more.clone()])).expect("a reply").adverts;
        assert_eq!(again[0].addresses, [([10, 0, 0, 1], 4000).into(), ([10, 77, 0, 1], 4000).into()]);
        let nothing_new = replies.add(responder(), &datagram(vec![more])).expect("a reply").adverts;
        assert_eq!(nothing_new, []);
        // The next reply is a sign of life, and says where it is by now.
        assert_eq!(replies.add(responder(), &datagram(records(1))).expect("a reply").adverts, [expected(1)]);
        let mut goodbye = records(1);
        goodbye.iter_mut().for_each(|record| record.ttl = 0);
        replies.add(responder(), &datagram(goodbye)).expect("a reply");
        assert_eq!((replies.incomplete.len(), replies.held), (0, 0));
    }

    #[test]
    fn link_local_addresses_keep_the_interface_they_were_heard_on() {
        let mut records = records(1);
        let host = records[2].name.clone();
        let ip = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        records[2] = ResourceRecord::new(host, CLASS::IN, 10, RData::AAAA(AAAA { address: ip.into() }));
        let replied = Replies::on_interface(3).add(responder(), &datagram(records)).expect("a reply");
        assert_eq!(replied.adverts[0].addresses, [SocketAddr::from(SocketAddrV6::new(ip, 4000, 0, 3))]);
    }

    #[test]
    fn records_without_a_lifetime_withdraw_their_instance() {
        let mut records = records(1);
        let kind = name(crate::query::SERVICE_TYPE.into());
        let pointer = RData::PTR(PTR(records[0].name.clone()));
        records.push(ResourceRecord::new(kind, CLASS::IN, 10, pointer));
        for record in &mut records {
            record.ttl = 0;
        }
        let replied = Replies::default().add(responder(), &datagram(records)).expect("a reply");
        assert_eq!(replied, Replied { gone: vec![expected(1).instance], ..Replied::default() });
    }

    #[test]
    fn what_waits_for_its_rest_is_forgotten_on_request() {
        let mut replies = Replies::default();
        let mut halves = datagrams(records(1));
        let second = halves.split_off(1).concat();
        replies.add(responder(), &halves[0]).expect("a reply");
        replies.forget_incomplete();
        assert_eq!(replies.add(responder(), &second).expect("a reply").adverts, []);
    }

    #[test]
    fn other_services_are_skipped() {
        let mut printer = records(1);
        for record in &mut printer {
            record.name = name("office._ipp._tcp.local".into());
        }
        assert_eq!(parse_reply(&datagram(printer)), Ok(Replied::default()));
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
    fn no_bytes_make_it_panic() {
        let whole = datagram((1..=5).flat_map(records).collect());
        let mut random = fastrand::Rng::with_seed(6762);
        let mut replies = Replies::default();
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..random.usize(1..12) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=whole.len()));
            let from = SocketAddr::from(([10, 0, 0, 9], random.u16(..)));
            // Any answer will do; coming back at all is what is tested.
            let (_, _) = (parse_reply(&bytes), replies.add(from, &bytes));
        }
        assert!(replies.incomplete.len() <= MAX_RESPONDERS);
    }

    #[test]
    fn what_waits_for_its_rest_is_bounded() {
        let mut replies = Replies::default();
        let mut most = 0;
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
            most = most.max(replies.held);
            assert_eq!(replies.held, replies.incomplete.values().map(|pieces| pieces.held).sum::<usize>());
        }
        assert!((MAX_HELD_BYTES / 2..MAX_HELD_BYTES + 2 * MAX_MESSAGE_BYTES).contains(&most), "{most}");
    }
}
