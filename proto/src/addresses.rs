//! In which order the addresses of an endpoint are tried, and which of them cannot be meant for this host.

use std::net::{IpAddr, SocketAddr};

/// One address of this host, with the length of its network's prefix in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnAddress {
    /// The address.
    pub ip: IpAddr,
    /// How many leading bits all hosts of its network share.
    pub prefix: u8,
}

impl OwnAddress {
    /// Whether `ip` is in the network that this address belongs to.
    pub fn shares_network_with(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.prefix.min(32))
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.prefix.min(128))
            }
            _ => false,
        }
    }
}

/// Sorts the `addresses` of one endpoint by how soon an answer can be hoped for: loopback if the endpoint is on
/// this host, then networks of this host, other IPv4, other IPv6, link-local IPv6 last. Keeps the given order within
/// each of these, and drops doublets, unspecified addresses, port 0, and the loopback addresses of other hosts.
///
/// `own` are the addresses of this host, loopback included.
pub fn order(addresses: &[SocketAddr], own: &[OwnAddress]) -> Vec<SocketAddr> {
    let is_own = |ip: IpAddr| own.iter().any(|own| own.ip == ip);
    // An endpoint that names loopback addresses only was heard over loopback, or listens there only.
    let same_host = addresses.iter().any(|a| !a.ip().is_loopback() && is_own(a.ip()))
        || addresses.iter().all(|a| a.ip().is_loopback());
    let rank = |ip: IpAddr| match ip {
        ip if ip.is_loopback() => 0,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 4,
        ip if own.iter().any(|own| own.shares_network_with(ip)) => 1,
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 3,
    };
    let mut ordered: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let usable = address.port() != 0
            && !address.ip().is_unspecified()
            && !address.ip().is_multicast()
            && (same_host || !address.ip().is_loopback());
        if usable && !ordered.contains(&address) {
            ordered.push(address);
        }
    }
    ordered.sort_by_key(|address| rank(address.ip()));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &[(&str, u8)]) -> Vec<OwnAddress> {
        text.iter()
            .map(|(ip, prefix)| OwnAddress { ip: ip.parse().expect("an address"), prefix: *prefix })
            .collect()
    }

    fn list(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().map(|a| a.parse().expect("a socket address")).collect()
    }

    #[test]
    fn near_addresses_come_first() {
        let own = own(&[("127.0.0.1", 8), ("192.168.1.5", 24)]);
        let given = list(&["[fe80::1]:1", "[2001:db8::1]:1", "10.0.0.1:1", "192.168.1.9:1", "127.0.0.1:1"]);
        let expected = list(&["192.168.1.9:1", "10.0.0.1:1", "[2001:db8::1]:1", "[fe80::1]:1"]);
        assert_eq!(order(&given, &own), expected, "the loopback address of another host is no way to it");
    }

    #[test]
    fn loopback_is_the_way_on_the_same_host() {
        let own = own(&[("127.0.0.1", 8), ("192.168.1.5", 24)]);
        let given = list(&["192.168.1.5:1", "127.0.0.1:1", "192.168.1.5:1"]);
        assert_eq!(order(&given, &own), list(&["127.0.0.1:1", "192.168.1.5:1"]));
        assert_eq!(order(&list(&["127.0.0.1:1"]), &own), list(&["127.0.0.1:1"]));
    }

    #[test]
    fn what_cannot_be_dialled_is_dropped() {
        let given = list(&["0.0.0.0:1", "10.0.0.1:0", "224.0.0.251:1", "[::]:1"]);
        assert!(order(&given, &[]).is_empty());
    }
}
