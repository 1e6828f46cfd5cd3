//! Endpoint addresses: filtering for this host, the order in which they are tried, and the selection sent to a peer.

use std::net::{IpAddr, SocketAddr};

use crate::discovery::advert::MAX_ADDRESSES;

/// One address of this host, with the length of its network's prefix in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnAddress {
    /// The address.
    pub ip: IpAddr,
    /// The number of leading bits that all hosts of its network share.
    pub prefix: u8,
}

impl OwnAddress {
    /// Returns true if `ip` is in the network that this address belongs to.
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

/// Returns true if `addresses` can be those of an endpoint on this host: all of them are loopback addresses or among `own`, the
/// addresses of this host.
///
/// One shared address does not prove that two hosts are one, because many hosts have the same address on a bridge to their
/// containers. All addresses may be shared as well, by copies of one virtual machine. So the result only affects the order in
/// which addresses are tried.
pub fn is_here(addresses: &[SocketAddr], own: &[OwnAddress]) -> bool {
    addresses.iter().all(|address| address.ip().is_loopback() || is_own(address.ip(), own))
}

/// Returns true if this host has the address.
pub fn is_own(ip: IpAddr, own: &[OwnAddress]) -> bool {
    own.iter().any(|own| own.ip == ip)
}

/// Returns true for a link-local address, which a host assigns to itself.
pub fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Returns true for an address that is reachable only together with a zone (RFC 4007 §6): a link-local IPv6 address.
pub fn needs_zone(ip: IpAddr) -> bool {
    ip.is_ipv6() && is_link_local(ip)
}

/// Returns the `addresses` of one endpoint that can be valid from this host, each once, in the given order: without unspecified
/// and multicast addresses, port 0, and the loopback addresses of other hosts.
///
/// `own` holds all addresses of this host, loopback included.
pub fn usable(addresses: &[SocketAddr], own: &[OwnAddress]) -> Vec<SocketAddr> {
    // An endpoint that names loopback addresses only was received over loopback, or listens there only.
    let is_here = is_here(addresses, own);
    let mut usable: Vec<SocketAddr> = Vec::with_capacity(addresses.len().min(MAX_ADDRESSES));
    for &address in addresses {
        let can_be_dialled = address.port() != 0
            && !address.ip().is_unspecified()
            && !address.ip().is_multicast()
            && (is_here || !address.ip().is_loopback());
        if can_be_dialled && !usable.contains(&address) {
            usable.push(address);
        }
    }
    usable
}

/// Sorts the `addresses` of one endpoint by the expected time to an answer: loopback, networks of this host, other IPv4, other
/// IPv6, link-local IPv6, and last the addresses that this host has as well, unless the endpoint [is here](is_here): then the
/// order is that of `own`, where the addresses by which others reach this host should come first. Within each of these IPv4 comes
/// first, so that the family in which an endpoint was first received does not matter; otherwise the given order is kept.
///
/// Drops the link-local addresses of an endpoint on this host if it has others, because they may have been received on a link
/// other than their own, where they are unreachable.
pub fn sort(addresses: &mut Vec<SocketAddr>, own: &[OwnAddress]) {
    let is_here = is_here(addresses, own);
    if is_here && addresses.iter().any(|address| !needs_zone(address.ip())) {
        addresses.retain(|address| !needs_zone(address.ip()));
    }
    arrange(addresses, own);
}

/// Sorts like [`sort`], without dropping any address.
pub fn arrange(addresses: &mut [SocketAddr], own: &[OwnAddress]) {
    let is_here = is_here(addresses, own);
    let position_in_own = |ip: IpAddr| own.iter().position(|own| own.ip == ip).filter(|_| is_here);
    let key = |address: &SocketAddr| {
        let ip = address.ip();
        (rank(ip, is_here, own), position_in_own(ip), ip.is_ipv6())
    };
    addresses.sort_by_cached_key(key);
}

/// Returns true if one of `addresses` is expected to answer sooner than all of `others`, for an endpoint that is not on this
/// host.
pub(crate) fn are_nearer(addresses: &[SocketAddr], others: &[SocketAddr], own: &[OwnAddress]) -> bool {
    let nearest =
        |addresses: &[SocketAddr]| addresses.iter().map(|address| rank(address.ip(), false, own)).min();
    nearest(addresses).is_some_and(|own_best| nearest(others).is_none_or(|nearest| own_best < nearest))
}

fn rank(ip: IpAddr, is_here: bool, own: &[OwnAddress]) -> u8 {
    match ip {
        ip if ip.is_loopback() => 0,
        ip if !is_here && is_own(ip, own) => 5,
        ip if needs_zone(ip) => 4,
        ip if own.iter().any(|own| own.shares_network_with(ip)) => 1,
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 3,
    }
}

/// The two ends of a link over which one node sends endpoints to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkEnds {
    /// The local address of the link, if it is known. It is reachable from the other end.
    pub own: Option<IpAddr>,
    /// The remote address of the link.
    pub other: IpAddr,
    /// The zone of a link-local address (RFC 4007 §6), 0 for any other.
    pub zone: u32,
}

impl LinkEnds {
    /// Returns true if both ends are on this host, as far as addresses show.
    pub fn is_same_host(&self, own: &[OwnAddress]) -> bool {
        self.other.is_loopback() || is_own(self.other, own)
    }

    /// Returns true if an address is valid at the other end as well: it is the same on all links, or belongs to the link between
    /// them.
    fn is_valid_at_other_end(&self, address: SocketAddr) -> bool {
        match address {
            SocketAddr::V6(v6) if needs_zone(address.ip()) => self.zone != 0 && v6.scope_id() == self.zone,
            _ => true,
        }
    }

    /// Returns the address at which the other end may reach an endpoint that listens at `address` of this host, on every
    /// interface.
    pub fn towards(&self, address: SocketAddr) -> Option<SocketAddr> {
        let own = self.own.filter(|own| !needs_zone(*own) && own.is_ipv4() >= address.is_ipv4());
        own.map(|own| SocketAddr::new(own, address.port()))
    }
}

/// Returns the `addresses` of one endpoint to send to the other end of a link, at most [`MAX_ADDRESSES`], nearest first: the
/// link's own address, then networks that this host shares with the other, other IPv4 and other IPv6. Loopback addresses are
/// useful on the same host only, and link-local ones only on the link that the other end is on.
pub fn select_for_peer(addresses: &[SocketAddr], ends: LinkEnds, own: &[OwnAddress]) -> Vec<SocketAddr> {
    let is_same_host = ends.is_same_host(own);
    let shared: Vec<OwnAddress> =
        own.iter().copied().filter(|own| own.shares_network_with(ends.other)).collect();
    let mut selected: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let ip = address.ip();
        if ends.is_valid_at_other_end(address)
            && (is_same_host || !ip.is_loopback())
            && !selected.contains(&address)
        {
            selected.push(address);
        }
    }
    selected.sort_by_cached_key(|address| match address.ip() {
        ip if Some(ip) == ends.own => 0,
        ip if ip.is_loopback() => 4,
        ip if shared.iter().any(|shared| shared.shares_network_with(ip)) => 1,
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 3,
    });
    selected.truncate(MAX_ADDRESSES);
    selected
}

#[cfg(test)]
mod tests;
