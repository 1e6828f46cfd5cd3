//! The choice of the address to display.

use std::net::{IpAddr, Ipv4Addr};

use meshzero_proto::diagnosis::InterfaceKind;

use crate::net::host::interfaces::{self, Interface};
use crate::net::host::kind;

/// Returns the interface whose address others most likely reach.
pub(super) fn prefer(interfaces: &[Interface], default_route: Option<IpAddr>) -> Option<&Interface> {
    let rank = |ip: IpAddr| match ip {
        ip if Some(ip) == default_route => 0,
        IpAddr::V4(v4) if v4.octets()[..2] == [192, 168] => 1,
        IpAddr::V4(v4) if v4.is_private() => 2,
        IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_link_local() => 3,
        IpAddr::V6(v6) if !v6.is_loopback() && !v6.is_unicast_link_local() => 4,
        IpAddr::V4(v4) if v4.is_link_local() => 5,
        IpAddr::V6(v6) if !v6.is_loopback() => 6,
        IpAddr::V4(_) => 7,
        IpAddr::V6(_) => 8,
    };
    // The bridges of containers and the like rank after any interface that leads out of this host.
    let is_internal = |interface: &Interface| kind::of(&interface.name) == InterfaceKind::Inner;
    interfaces.iter().min_by_key(|interface| {
        let ip = interface.address.ip;
        (ip.is_loopback(), Some(ip) != default_route && is_internal(interface), rank(ip))
    })
}

/// Returns the source address of the default route. The destination is an address that is reserved for documentation (RFC 5737).
pub(crate) fn default_route_address() -> Option<IpAddr> {
    interfaces::local_address((Ipv4Addr::new(192, 0, 2, 1), 9).into())
}
