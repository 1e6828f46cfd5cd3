//! Socket addresses as text, in which the zone of a link-local IPv6 address is written as the name of its interface.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use meshzero_proto::discovery::addresses::needs_zone;
use meshzero_proto::name::ServiceName;

use crate::net::host::interfaces;

/// An address as users read it, and as [`parse`] reads it: `192.168.1.7:9000`, `[fe80::1%eth0]:9000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZonedAddress(pub SocketAddr);

/// Errors of the zone of an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// This host has no such interface.
    #[error("this host has no interface \"{zone}\", which \"{text}\" names; it has {}", existing.join(", "))]
    Unknown {
        /// The address.
        text: String,
        /// The name or index of the zone.
        zone: String,
        /// The interfaces of this host.
        existing: Vec<String>,
    },
    /// A link-local address without a zone does not identify the link.
    #[error("\"{text}\" is valid on one link only, so it needs an interface: write {}", complete.join(" or "))]
    Missing {
        /// The address.
        text: String,
        /// The address with each interface that it may be on.
        complete: Vec<String>,
    },
}

impl ZoneError {
    /// Returns the address that cannot be used, as it was written.
    pub fn text(&self) -> &str {
        match self {
            Self::Unknown { text, .. } | Self::Missing { text, .. } => text,
        }
    }
}

impl fmt::Display for ZonedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let SocketAddr::V6(address) = self.0
            && address.scope_id() != 0
            && let Some(name) = interfaces::name_of(address.scope_id()).filter(|name| is_short(name))
        {
            return f.pad(&format!("[{}%{name}]:{}", address.ip(), address.port()));
        }
        self.0.fmt(f)
    }
}

/// The name of an endpoint without a name is its address.
impl From<ZonedAddress> for ServiceName {
    fn from(address: ZonedAddress) -> Self {
        Self::new(address.to_string()).expect("an address is short and printable")
    }
}

/// Returns the index of an address's zone, 0 if it has none.
pub(crate) fn of(address: SocketAddr) -> u32 {
    if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 }
}

/// Completes an address that was received from the link of `zone` with that zone; `None` if it cannot be reached from here.
pub(crate) fn with_zone_of_link(zone: u32, address: SocketAddr) -> Option<SocketAddr> {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            (zone != 0).then(|| SocketAddrV6::new(*v6.ip(), v6.port(), 0, zone).into())
        }
        other => Some(other),
    }
}

/// Returns whether an address with this zone still fits into a service's name. Only Windows has longer zones.
fn is_short(name: &str) -> bool {
    name.len() <= 64 && !name.contains(|c: char| c.is_control() || c == ']')
}

/// Reads `ip:port`, where the IP address may have a zone, as the name or the index of an interface. `None` for anything
/// else, such as a name.
///
/// # Errors
/// [`ZoneError`]: it is an address that cannot be used.
pub fn parse(text: &str) -> Result<Option<SocketAddr>, ZoneError> {
    let text = text.trim();
    if let Ok(address @ SocketAddr::V4(_)) = text.parse() {
        return Ok(Some(address));
    }
    let Some((ip, port)) = text.strip_prefix('[').and_then(|text| text.rsplit_once("]:")) else {
        return Ok(None);
    };
    match (split(ip), parse_port(port)) {
        (Some((ip, zone)), Some(port)) => with_zone(text, ip, zone, port).map(Some),
        _ => Ok(None),
    }
}

/// Reads an IP address without a port, whose zone and brackets are optional. `None` for anything else. The port is 0, and so is
/// the zone if none is given.
///
/// # Errors
/// [`ZoneError::Unknown`].
pub(crate) fn parse_ip(text: &str) -> Result<Option<SocketAddr>, ZoneError> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Some(SocketAddr::new(ip, 0)));
    }
    match split(bare) {
        Some((ip, zone)) => with_zone(text, ip, zone, 0).map(Some),
        None => Ok(None),
    }
}

/// Reads a port as the standard library does: digits only.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn split(ip: &str) -> Option<(Ipv6Addr, Option<&str>)> {
    let (ip, zone) = ip.split_once('%').map_or((ip, None), |(ip, zone)| (ip, Some(zone)));
    Some((ip.parse().ok()?, zone))
}

fn with_zone(text: &str, ip: Ipv6Addr, zone: Option<&str>, port: u16) -> Result<SocketAddr, ZoneError> {
    let index = match zone {
        Some(zone) => index_of(zone).ok_or_else(|| unknown(text, zone))?,
        None if ip.is_unicast_link_local() => {
            let complete = links().iter().map(|link| format!("[{ip}%{link}]:{port}")).collect();
            return Err(ZoneError::Missing { text: text.to_owned(), complete });
        }
        None => 0,
    };
    // Every other address is the same on all links.
    let index = if ip.is_unicast_link_local() { index } else { 0 };
    Ok(SocketAddrV6::new(ip, port, 0, index).into())
}

fn index_of(zone: &str) -> Option<u32> {
    let by_index = || zone.parse().ok().filter(|index| interfaces::name_of(*index).is_some());
    interfaces::index_of(zone).or_else(by_index)
}

fn unknown(text: &str, zone: &str) -> ZoneError {
    ZoneError::Unknown { text: text.to_owned(), zone: zone.to_owned(), existing: names(|_| true) }
}

/// Returns the interfaces that have link-local addresses; if there are none, one as an example.
fn links() -> Vec<String> {
    let links = names(needs_zone);
    if links.is_empty() { vec!["eth0".to_owned()] } else { links }
}

fn names(include: impl Fn(IpAddr) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for listed in interfaces::list().unwrap_or_default() {
        if include(listed.interface.address.ip) && !names.contains(&listed.interface.name) {
            names.push(listed.interface.name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> (String, u32) {
        let list = interfaces::list().expect("listable");
        let mut interfaces = list.into_iter().map(|listed| listed.interface);
        let found =
            interfaces.find(|interface| interface.address.ip.is_loopback()).expect("every host has one");
        (found.name, found.index.expect("interfaces have numbers"))
    }

    #[test]
    fn a_zone_is_read_as_a_name_or_an_index_and_displayed_as_a_name() {
        let (name, index) = loopback();
        let expected =
            SocketAddr::from(SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 9, 0, index));
        for text in [format!("[fe80::1%{name}]:9"), format!(" [fe80::1%{index}]:9 ")] {
            assert_eq!(parse(&text), Ok(Some(expected)), "{text}");
        }
        assert_eq!(ZonedAddress(expected).to_string(), format!("[fe80::1%{name}]:9"));
        assert_eq!(parse(&ZonedAddress(expected).to_string()), Ok(Some(expected)));
    }

    #[test]
    fn other_addresses_are_read_and_shown_as_usual() {
        for text in ["127.0.0.1:9", "[::1]:9", "[2001:db8::1]:65535"] {
            let address = text.parse().expect("an address");
            assert_eq!(parse(text), Ok(Some(address)));
            assert_eq!(ZonedAddress(address).to_string(), text);
        }
        // The zone of an address that is valid on all links is ignored.
        assert_eq!(parse(&format!("[::1%{}]:9", loopback().0)), parse("[::1]:9"));
    }

    #[test]
    fn an_ip_address_is_read_without_a_port() {
        let (name, index) = loopback();
        for text in [format!("fe80::1%{name}"), format!("[fe80::1%{name}]")] {
            let read = parse_ip(&text).expect("the zone exists").expect("an address");
            assert!(matches!(read, SocketAddr::V6(read) if read.scope_id() == index), "{text}");
        }
        assert_eq!(parse_ip("10.0.0.1"), Ok(Some(([10, 0, 0, 1], 0).into())));
        assert_eq!(parse_ip("robot"), Ok(None));
    }

    #[test]
    fn the_error_for_an_unknown_zone_lists_the_interfaces() {
        let error = parse("[fe80::1%nosuch0]:9").expect_err("there is no such interface");
        let text = error.to_string();
        assert!(text.contains("\"nosuch0\"") && text.contains(&loopback().0), "{text}");
        let text = parse("[fe80::1]:9000").expect_err("a zone is missing").to_string();
        assert!(text.contains("[fe80::1%") && text.contains("]:9000"), "{text}");
    }

    #[test]
    fn a_link_local_address_is_valid_on_its_link_only() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(with_zone_of_link(7, at("[fe80::1]:9")), Some(at("[fe80::1%7]:9")));
        assert_eq!(
            with_zone_of_link(7, at("[fe80::1%3]:9")),
            Some(at("[fe80::1%7]:9")),
            "the index is another host's"
        );
        assert_eq!(with_zone_of_link(0, at("[fe80::1]:9")), None);
        assert_eq!(with_zone_of_link(0, at("10.0.0.1:9")), Some(at("10.0.0.1:9")));
    }

    #[test]
    fn other_texts_are_not_addresses() {
        for text in [
            "",
            "robot",
            "robot:9",
            "[robot%lo]:9",
            "[fe80::1%lo]",
            "[fe80::1%lo]:",
            "[::1]:70000",
            "%:9",
            "[::1]:+9",
        ] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
    }
}
