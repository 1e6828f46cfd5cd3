//! The addresses of this host that are announced: one of each network before a second of any, up to a limit.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use meshzero_proto::discovery::advert::{MAX_ADDRESSES, MAX_RECEIVED_ADDRESSES};

use crate::net::host::interfaces::Interface;

/// Returns the addresses of `list` by which others reach this host, the most needed first.
///
/// A host that shares a network with this one needs its address there, and one of several is enough. So the first address of
/// each network is always among them, in the order in which the system lists them, up to the number that others read
/// ([`MAX_RECEIVED_ADDRESSES`]). Further addresses follow while there are no more of the interface than others store
/// ([`MAX_ADDRESSES`]).
pub(crate) fn serving(list: &[Interface]) -> Vec<&Interface> {
    let mut networks: BTreeSet<(&str, NetworkPrefix)> = BTreeSet::new();
    let mut per_interface: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut serving, others): (Vec<&Interface>, Vec<&Interface>) =
        list.iter().partition(|interface| networks.insert((&interface.name, NetworkPrefix::of(interface))));
    serving.truncate(MAX_RECEIVED_ADDRESSES);
    for interface in &serving {
        *per_interface.entry(&interface.name).or_default() += 1;
    }
    for interface in others {
        let count = per_interface.entry(&interface.name).or_default();
        if *count < MAX_ADDRESSES && serving.len() < MAX_RECEIVED_ADDRESSES {
            *count += 1;
            serving.push(interface);
        }
    }
    serving
}

/// The leading bits that the addresses of one network share.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NetworkPrefix {
    V4(u32, u8),
    V6(u128, u8),
    /// An address that is a network of its own, such as an additional one that others route to: all of one family count as one,
    /// because no other host shares them.
    Alone {
        is_ipv4: bool,
    },
}

impl NetworkPrefix {
    /// Returns the network of an address.
    pub(crate) fn of(interface: &Interface) -> Self {
        let prefix = interface.address.prefix;
        match interface.address.ip {
            IpAddr::V4(_) if prefix >= 32 => Self::Alone { is_ipv4: true },
            IpAddr::V6(_) if prefix >= 128 => Self::Alone { is_ipv4: false },
            IpAddr::V4(ip) => {
                Self::V4(u32::from(ip).checked_shr(32 - u32::from(prefix)).unwrap_or(0), prefix)
            }
            IpAddr::V6(ip) => {
                Self::V6(u128::from(ip).checked_shr(128 - u32::from(prefix)).unwrap_or(0), prefix)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::discovery::addresses::OwnAddress;

    use super::*;

    fn interface(name: &str, ip: &str, prefix: u8) -> Interface {
        let address = OwnAddress { ip: ip.parse().expect("an address"), prefix };
        Interface { name: name.into(), index: Some(2), address }
    }

    fn announced(list: &[Interface]) -> Vec<String> {
        serving(list).into_iter().map(Interface::to_string).collect()
    }

    #[test]
    fn a_usual_host_announces_all_its_addresses() {
        let list = [
            interface("lo", "127.0.0.1", 8),
            interface("eth0", "10.0.0.1", 24),
            interface("eth0", "10.0.0.9", 24),
            interface("eth0", "fe80::1", 64),
            interface("tun0", "10.8.0.2", 32),
            interface("wlan0", "fe80::2", 64),
        ];
        let mut announced = announced(&list);
        assert_eq!(announced.pop().as_deref(), Some("eth0 (10.0.0.9)"), "a second one comes last");
        assert_eq!(announced.len(), list.len() - 1);
    }

    #[test]
    fn the_first_addresses_of_a_network_are_announced() {
        let many = (1..=250).map(|n| interface("eth0", &format!("10.0.0.{n}"), 24));
        let list: Vec<_> = many.chain([interface("eth1", "10.1.0.1", 24)]).collect();
        let announced = announced(&list);
        assert_eq!(announced[..3], ["eth0 (10.0.0.1)", "eth1 (10.1.0.1)", "eth0 (10.0.0.2)"]);
        assert_eq!(announced.len(), MAX_ADDRESSES + 1);
    }

    #[test]
    fn addresses_without_a_network_do_not_displace_networks() {
        let alone = (0..1_500).map(|n| interface("eth0", &format!("10.99.{}.{}", n / 250, n % 250), 32));
        let networks = (0..200).map(|n| interface("eth0", &format!("10.200.{n}.1"), 24));
        let list: Vec<_> = alone.chain(networks).collect();
        let announced = announced(&list);
        assert_eq!(announced.len(), 201);
        assert!(announced.contains(&"eth0 (10.200.199.1)".to_owned()));
        let networks: Vec<_> =
            (0..1_500).map(|n| interface("eth0", &format!("10.{}.{}.1", n / 250, n % 250), 24)).collect();
        assert_eq!(serving(&networks).len(), MAX_RECEIVED_ADDRESSES);
    }

    #[test]
    fn a_network_may_be_the_whole_internet() {
        assert_eq!(announced(&[interface("tun0", "10.0.0.1", 0), interface("tun0", "::1", 0)]).len(), 2);
    }
}
