//! The interfaces and addresses of this host, as the system lists them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use if_addrs::IfAddr;
use meshzero_proto::discovery::addresses::OwnAddress;

use crate::net::host::sysfs;

/// One address of one interface of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The system's name for it, such as `eth0`.
    pub name: String,
    /// The system's index for it, where it has one.
    pub index: Option<u32>,
    /// The address and the length of its network's prefix.
    pub address: OwnAddress,
}

/// An address as the system lists it.
#[derive(Debug, Clone)]
pub(crate) struct ListedAddress {
    /// The name that the system gives the address: the interface's, on Linux also with a label, such as `eth0:avahi`.
    pub(crate) label: String,
    /// Set if the interface is up and has a carrier.
    pub(crate) is_running: bool,
    /// The address, under the interface's own name.
    pub(crate) interface: Interface,
}

impl Interface {
    /// Returns its address with this port, and with the zone that a link-local IPv6 address needs.
    pub(crate) fn socket_addr(&self, port: u16) -> SocketAddr {
        match self.address.ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                SocketAddrV6::new(ip, port, 0, self.index.unwrap_or(0)).into()
            }
            ip => SocketAddr::new(ip, port),
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address.ip)
    }
}

/// Returns all addresses of this host.
///
/// # Errors
/// The system's error if it does not list them.
pub(crate) fn list() -> Result<Vec<ListedAddress>, String> {
    let listed = if_addrs::get_if_addrs().map_err(|error| error.to_string())?;
    let addresses = listed.into_iter().map(|interface| ListedAddress {
        is_running: interface.is_oper_up() || interface.is_loopback(),
        interface: Interface {
            name: without_label(&interface.name).to_owned(),
            index: interface.index,
            address: OwnAddress { ip: interface.ip(), prefix: prefix(&interface.addr) },
        },
        label: interface.name,
    });
    Ok(addresses.collect())
}

/// Returns the interface in a name that may have a label. On Linux `getifaddrs` gives an IPv4 address the name of its label,
/// which is the interface's name, a colon and more.
pub(crate) fn without_label(name: &str) -> &str {
    match name.split_once(':') {
        Some((interface, _)) if cfg!(any(target_os = "linux", target_os = "android")) => interface,
        _ => name,
    }
}

/// Returns whether there is an interface of this name, with or without an address.
pub(crate) fn has_interface(name: &str) -> bool {
    index_of_any(name).is_some()
        || list().unwrap_or_default().iter().any(|listed| listed.interface.name == name)
}

/// Returns the names of all interfaces, with or without an address.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = names_of_all();
    for listed in list().unwrap_or_default() {
        if !names.contains(&listed.interface.name) {
            names.push(listed.interface.name);
        }
    }
    names
}

/// Returns the index of the interface `name`.
pub(crate) fn index_of(name: &str) -> Option<u32> {
    let list = list().unwrap_or_default();
    let listed = list.iter().find(|listed| listed.interface.name == name);
    listed.and_then(|listed| listed.interface.index).or_else(|| index_of_any(name))
}

/// Returns the name of the interface with this index.
pub(crate) fn name_of(index: u32) -> Option<String> {
    let list = list().unwrap_or_default();
    list.into_iter()
        .map(|listed| listed.interface)
        .find(|found| found.index == Some(index))
        .map(|found| found.name)
}

/// Returns the index of the master of an interface on Linux: a bridge, a bond or a VRF.
pub(crate) fn master_of(name: &str) -> Option<u32> {
    let master = std::fs::read_link(sysfs::interface(name).join("master")).ok()?;
    index_of_any(master.file_name()?.to_str()?)
}

/// Returns the index of the interface with this link-local address.
pub(crate) fn zone_of(ip: Ipv6Addr) -> Option<u32> {
    let list = list().unwrap_or_default();
    list.iter().find(|listed| listed.interface.address.ip == ip).and_then(|listed| listed.interface.index)
}

/// Returns the address from which packets to `destination` are sent. Connecting a UDP socket asks the routing table and sends
/// nothing.
pub(crate) fn local_address(destination: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(destination).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

/// Returns the index of an interface, even if it has no address, so that `getifaddrs` does not list it.
#[cfg(unix)]
fn index_of_any(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

#[cfg(unix)]
fn names_of_all() -> Vec<String> {
    let Ok(all) = nix::net::if_::if_nameindex() else { return Vec::new() };
    all.iter().map(|one| one.name().to_string_lossy().into_owned()).collect()
}

#[cfg(not(unix))]
fn names_of_all() -> Vec<String> {
    Vec::new()
}

#[cfg(not(unix))]
fn index_of_any(_: &str) -> Option<u32> {
    None
}

fn prefix(address: &IfAddr) -> u8 {
    match address {
        IfAddr::V4(v4) => v4.prefixlen,
        IfAddr::V6(v6) => v6.prefixlen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_found_by_name_and_by_index() {
        let list = list().expect("listable");
        let loopback = list.iter().find(|listed| listed.interface.address.ip.is_loopback());
        let Interface { name, index, .. } = &loopback.expect("every host has one").interface;
        assert!(has_interface(name) && names().contains(name));
        assert_eq!(index_of(name), *index);
        assert_eq!(index.and_then(name_of).as_ref(), Some(name));
        assert!(!has_interface("nosuch0"));
        assert_eq!((index_of("nosuch0"), name_of(0)), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_label_is_not_part_of_the_name() {
        assert_eq!(without_label("eth0:avahi"), "eth0");
        assert_eq!(without_label("eth0"), "eth0");
    }
}
