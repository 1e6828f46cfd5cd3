//! The choice of the addresses at which an endpoint listens.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::net::host::announced_addresses::serving;
use crate::net::host::interfaces::Interface;

/// The most addresses of one endpoint, unless more are announced.
pub(super) const MAX_ADDRESSES: usize = 64;

/// The addresses to listen at, each once, and those beyond the limit.
#[derive(Debug)]
pub(super) struct WantedAddresses {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) excluded: Vec<SocketAddr>,
}

impl WantedAddresses {
    /// Returns those of `list` that are announced, and others up to the limit; the most reachable come first. One loopback
    /// address is enough.
    pub(super) fn of(list: &[Interface], port: u16) -> Self {
        let has_ipv4_loopback = list.iter().any(|interface| interface.address.ip == Ipv4Addr::LOCALHOST);
        let mut unique = BTreeSet::new();
        let mut is_wanted = |interface: &&Interface| {
            let ip = interface.address.ip;
            let is_other_loopback = ip.is_ipv6() && ip.is_loopback() && has_ipv4_loopback;
            !is_other_loopback && unique.insert(interface.socket_addr(port))
        };
        let mut addresses: Vec<&Interface> = serving(list).into_iter().filter(&mut is_wanted).collect();
        let mut others: Vec<&Interface> = list.iter().filter(is_wanted).collect();
        let excluded = others.split_off(others.len().min(MAX_ADDRESSES.saturating_sub(addresses.len())));
        addresses.append(&mut others);
        addresses.sort_by_key(|interface| rank(interface.address.ip));
        let with_port = |interfaces: Vec<&Interface>| {
            interfaces.into_iter().map(|interface| interface.socket_addr(port)).collect()
        };
        Self { addresses: with_port(addresses), excluded: with_port(excluded) }
    }
}

/// Returns the rank of an address; the lower, the likelier others can reach it.
fn rank(ip: IpAddr) -> u8 {
    match ip {
        ip if ip.is_loopback() => 3,
        IpAddr::V4(_) => 0,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => 2,
        IpAddr::V6(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::discovery::addresses::OwnAddress;

    use super::*;

    fn interface(ip: &str, prefix: u8) -> Interface {
        let address = OwnAddress { ip: ip.parse().expect("an address"), prefix };
        Interface { name: "eth0".into(), index: Some(7), address }
    }

    #[test]
    fn each_address_is_listened_at_and_link_local_ones_on_their_link() {
        let list = ["::1", "127.0.0.1", "fe80::1", "10.0.0.1", "10.0.0.1", "2001:db8::1"];
        let list = list.map(|ip| interface(ip, 24));
        let expected = ["10.0.0.1:9", "[2001:db8::1]:9", "[fe80::1%7]:9", "127.0.0.1:9"];
        assert_eq!(
            WantedAddresses::of(&list, 9).addresses,
            expected.map(|text| text.parse().expect("an address"))
        );
    }

    #[test]
    fn announced_addresses_come_first_and_are_never_excluded() {
        let same = (1..=200).map(|n| interface(&format!("10.0.0.{n}"), 24));
        let networks = (0..20).map(|n| interface(&format!("10.1.{n}.1"), 24));
        let list: Vec<_> = same.chain(networks).collect();
        let WantedAddresses { addresses, excluded } = WantedAddresses::of(&list, 9);
        assert_eq!((addresses.len(), excluded.len()), (MAX_ADDRESSES, 220 - MAX_ADDRESSES));
        assert!(addresses.contains(&([10, 1, 19, 1], 9).into()));
        let networks: Vec<_> = (0..200).map(|n| interface(&format!("10.1.{n}.1"), 24)).collect();
        let WantedAddresses { addresses, excluded } = WantedAddresses::of(&networks, 9);
        assert_eq!((addresses.len(), excluded.len()), (200, 0));
    }
}
