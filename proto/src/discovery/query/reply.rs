//! Replies of responders, direct or by multicast: from the bytes of DNS messages to adverts and withdrawals.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use simple_dns::rdata::{PTR, RData};
use simple_dns::{Name, Packet, PacketFlag, ResourceRecord};

use super::{before_service_type, check_counts};
use crate::discovery::advert::{Advert, InvalidAdvert, MAX_RECEIVED_ADDRESSES};
use crate::id::InstanceId;

/// The maximum number of responders with incomplete replies, of names of each, and of bytes of all.
const MAX_RESPONDERS: usize = 1_024;
const MAX_NAMES: usize = 512;
const MAX_BUFFERED_BYTES: usize = 1 << 20;
/// The approximate size of a map entry, apart from its texts.
const ENTRY_BYTES: usize = 128;
/// The maximum number of properties that are read from one record.
const MAX_PROPERTIES: usize = 16;

/// The reason why bytes are not a valid reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The length exceeds the limit of mDNS, or is below that of a header.
    #[error("a DNS message of {0} bytes")]
    Length(usize),
    /// The header announces more records than the bytes can hold.
    #[error("a DNS message announces more records than it has room for")]
    Counts,
    /// The records do not parse.
    #[error("a malformed DNS message: {0}")]
    Malformed(String),
}

/// The combined content of replies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplyTotals {
    /// The services.
    pub adverts: Vec<Advert>,
    /// The instances whose records were withdrawn: those whose lifetime is 0 (RFC 6762 §10.1).
    pub gone: Vec<InstanceId>,
    /// The labels of services of meshzero's type that are not valid adverts, with the reasons.
    pub invalid: Vec<(String, InvalidAdvert)>,
}

/// Reads one reply by itself. Records of other services are skipped.
///
/// # Errors
/// [`ReplyError`]: these bytes are not a DNS message.
pub fn parse_reply(bytes: &[u8]) -> Result<ReplyTotals, ReplyError> {
    let mut records = ResponderRecords::default();
    let gone = records.add(bytes)?;
    Ok(ReplyTotals { gone, ..records.take_complete(None, 0) })
}

/// An assembler of replies. A responder with many services spreads their records over several datagrams.
///
/// A service is returned as soon as it has an address, and again when there are more: a responder with many addresses spreads
/// those as well. Incomplete records, and those that may be extended, take at most a megabyte for all responders together.
#[derive(Debug, Default)]
pub struct ReplyAssembler {
    incomplete: HashMap<SocketAddr, ResponderRecords>,
    buffered_bytes: usize,
    /// The zone of link-local addresses (RFC 4007): the index of the interface on which the replies arrive.
    zone: u32,
}

impl ReplyAssembler {
    /// Creates an assembler for replies that arrive on the interface with this index: the zone of link-local addresses in them.
    pub fn on_interface(zone: u32) -> Self {
        Self { zone, ..Self::default() }
    }

    /// Drops incomplete records. Call it from time to time, because the remainder of a record may never be sent.
    pub fn forget_incomplete(&mut self) {
        self.incomplete.clear();
        self.buffered_bytes = 0;
    }

    /// Adds one datagram, and returns the adverts that it completes. A datagram that is not a response has none.
    ///
    /// # Errors
    /// [`ReplyError`]: these bytes are not a DNS message. Earlier records are kept.
    pub fn add(&mut self, from: SocketAddr, bytes: &[u8]) -> Result<ReplyTotals, ReplyError> {
        let is_full = self.buffered_bytes >= MAX_BUFFERED_BYTES
            || (!self.incomplete.contains_key(&from) && self.incomplete.len() >= MAX_RESPONDERS);
        if is_full {
            self.incomplete.retain(|_, records| records.has_unreturned());
            self.buffered_bytes = self.incomplete.values().map(|records| records.buffered_bytes).sum();
            if self.buffered_bytes >= MAX_BUFFERED_BYTES || self.incomplete.len() >= MAX_RESPONDERS {
                // This harms only the sender of a flood; others will answer the next question.
                self.forget_incomplete();
            }
        }
        let records = self.incomplete.entry(from).or_default();
        self.buffered_bytes -= records.buffered_bytes;
        let added = records.add(bytes);
        let totals = records.take_complete(Some(from.ip()), self.zone);
        if records.is_empty() {
            self.incomplete.remove(&from);
        } else {
            self.buffered_bytes += records.buffered_bytes;
        }
        added.map(|gone| ReplyTotals { gone, ..totals })
    }
}

/// The records of one responder, until they form adverts.
#[derive(Debug, Default)]
struct ResponderRecords {
    services: HashMap<String, ServiceRecords>,
    hosts: HashMap<Vec<u8>, HostRecords>,
    /// The hosts that the last datagram changed. The others need not be examined: the responders of one host share an address
    /// on loopback, and so may have hundreds of services here.
    changed: Vec<Vec<u8>>,
    /// The approximate memory of these records.
    buffered_bytes: usize,
}

/// The addresses of a host, and the labels of its services.
#[derive(Debug, Default)]
struct HostRecords {
    addresses: Vec<IpAddr>,
    services: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct ServiceRecords {
    target: Option<(Vec<u8>, u16)>,
    properties: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// The number of addresses with which it was returned, unless it has been announced again since.
    returned_with: Option<usize>,
}

impl ServiceRecords {
    /// Returns the approximate memory of its records.
    fn bytes(&self) -> usize {
        let target = self.target.as_ref().map_or(0, |(host, _)| host.len());
        let properties = self.properties.iter().flatten();
        target + properties.map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum::<usize>()
    }
}

impl ResponderRecords {
    /// Adds the records of one datagram, and returns the instances that it withdraws.
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
                self.forget_returned(&record.name, &host_key(&srv.target));
            }
        }
        for instance in &gone {
            self.remove(&instance.to_string());
        }
        records().filter(|record| record.ttl > 0).for_each(|record| self.add_record(record));
        Ok(gone)
    }

    /// Drops the addresses of a service that was returned and is announced again, because the current ones follow.
    fn forget_returned(&mut self, name: &Name<'_>, host: &[u8]) {
        let was_returned = |service: &ServiceRecords| service.returned_with.is_some();
        if instance_label(name).and_then(|label| self.services.get(&label)).is_some_and(was_returned)
            && let Some(host) = self.hosts.get_mut(host)
        {
            self.buffered_bytes -= size_of::<IpAddr>() * host.addresses.len();
            host.addresses.clear();
        }
    }

    fn remove(&mut self, label: &str) {
        if let Some(service) = self.services.remove(label) {
            self.buffered_bytes -= ENTRY_BYTES + label.len() + service.bytes();
            if let Some(host) = service.target.and_then(|(host, _)| self.hosts.get_mut(&host))
                && host.services.remove(label)
            {
                self.buffered_bytes -= ENTRY_BYTES + label.len();
            }
        }
    }

    fn add_record(&mut self, record: &ResourceRecord<'_>) {
        match &record.rdata {
            RData::SRV(srv) => {
                let host = host_key(&srv.target);
                if let Some(label) = instance_label(&record.name)
                    && self.add_service(&host, label)
                {
                    self.change(&record.name, |service| service.target = Some((host, srv.port)));
                }
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

    fn change(&mut self, name: &Name<'_>, change: impl FnOnce(&mut ServiceRecords)) {
        let Some(service) = self.service(name) else { return };
        let before = service.bytes();
        change(service);
        service.returned_with = None;
        let after = service.bytes();
        let host = service.target.as_ref().map(|(host, _)| host.clone());
        self.buffered_bytes = self.buffered_bytes + after - before;
        self.changed.extend(host);
    }

    /// Records that a service is on a host. Returns false if there are too many.
    fn add_service(&mut self, host: &[u8], label: String) -> bool {
        let bytes = ENTRY_BYTES + label.len();
        let Some(host) = self.host(host.to_vec()) else { return false };
        let has_room = host.services.len() < MAX_NAMES || host.services.contains(&label);
        if has_room && host.services.insert(label) {
            self.buffered_bytes += bytes;
        }
        has_room
    }

    fn add_address(&mut self, name: &Name<'_>, ip: IpAddr) {
        let key = host_key(name);
        let Some(host) = self.host(key.clone()) else { return };
        if host.addresses.len() < MAX_RECEIVED_ADDRESSES && !host.addresses.contains(&ip) {
            host.addresses.push(ip);
            self.buffered_bytes += size_of::<IpAddr>();
            self.changed.push(key);
        }
    }

    /// Returns the entry of a host; `None` if there are too many.
    fn host(&mut self, key: Vec<u8>) -> Option<&mut HostRecords> {
        if self.hosts.len() >= MAX_NAMES && !self.hosts.contains_key(&key) {
            return None;
        }
        let bytes = key.len();
        Some(self.hosts.entry(key).or_insert_with(|| {
            self.buffered_bytes += ENTRY_BYTES + bytes;
            HostRecords::default()
        }))
    }

    /// Returns the entry of an instance of meshzero's service type; `None` for other names, and if there are too many.
    fn service(&mut self, name: &Name<'_>) -> Option<&mut ServiceRecords> {
        let label = instance_label(name)?;
        if self.services.len() >= MAX_NAMES && !self.services.contains_key(&label) {
            return None;
        }
        let bytes = label.len();
        Some(self.services.entry(label).or_insert_with(|| {
            self.buffered_bytes += ENTRY_BYTES + bytes;
            ServiceRecords::default()
        }))
    }

    /// Takes the complete adverts that have not been returned in this form. `responder` is the address of a service whose host
    /// has no address record.
    fn take_complete(&mut self, responder: Option<IpAddr>, zone: u32) -> ReplyTotals {
        let mut totals = ReplyTotals::default();
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for (key, host) in changed.iter().filter_map(|key| self.hosts.get_key_value(key)) {
            for label in &host.services {
                let Some(service) = self.services.get_mut(label) else { continue };
                let (Some((target, port)), Some(properties)) = (&service.target, &service.properties) else {
                    continue;
                };
                let count = host.addresses.len();
                if target != key || service.returned_with.is_some_and(|returned_with| returned_with >= count)
                {
                    continue;
                }
                let addresses = match (host.addresses.is_empty(), responder) {
                    (false, _) => host.addresses.clone(),
                    (true, Some(ip)) => vec![ip],
                    (true, None) => continue,
                };
                service.returned_with = Some(count);
                let addresses = addresses.into_iter().map(|ip| socket_address(ip, *port, zone));
                match advert(label, properties, addresses) {
                    Ok(advert) => totals.adverts.push(advert),
                    Err(problem) => totals.invalid.push((label.clone(), problem)),
                }
            }
        }
        if self.services.is_empty() {
            // Addresses are useful only with services.
            *self = Self::default();
        }
        totals
    }

    fn is_empty(&self) -> bool {
        self.services.is_empty() && self.hosts.is_empty()
    }

    /// Returns true if there is a service that has not been returned.
    fn has_unreturned(&self) -> bool {
        self.services.values().any(|service| service.returned_with.is_none())
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

/// Returns the label of an instance of meshzero's service type.
fn instance_label(name: &Name<'_>) -> Option<String> {
    let [label] = before_service_type(name)? else { return None };
    Some(std::str::from_utf8(label.as_ref()).ok()?.to_ascii_lowercase())
}

/// Returns the instance that a record with a lifetime of 0 withdraws.
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
mod tests;
