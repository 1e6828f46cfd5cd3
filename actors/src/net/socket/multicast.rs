//! The UDP sockets of mDNS: for one-shot questions, and for messages to its group.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::log_refused_option;

/// A family of addresses on one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum MulticastFamily {
    /// IPv4, with the interface's address, from which it sends.
    V4(Ipv4Addr),
    /// IPv6.
    V6,
}

impl MulticastFamily {
    /// Returns the multicast group of mDNS (RFC 6762 §3), on the interface with this index.
    fn mdns_group(self, interface: u32) -> SocketAddr {
        match self {
            Self::V4(_) => (Ipv4Addr::new(224, 0, 0, 251), MDNS_PORT).into(),
            Self::V6 => {
                SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb), MDNS_PORT, 0, interface)
                    .into()
            }
        }
    }
}

/// The port of mDNS.
pub(crate) const MDNS_PORT: u16 = 5353;

/// Opens a socket that asks one-shot mDNS questions on one interface from a port of its own, so that the answers are sent to it
/// directly (RFC 6762 §6.7). Returns it with the address of the group.
///
/// # Errors
/// The system's error, for instance if the interface has just disappeared.
pub(crate) fn one_shot_query_socket(
    family: MulticastFamily,
    interface: u32,
) -> io::Result<(UdpSocket, SocketAddr)> {
    let own: SocketAddr = match family {
        MulticastFamily::V4(ip) => (ip, 0).into(),
        MulticastFamily::V6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = multicast_sender(family, interface)?;
    socket.bind(&own.into())?;
    Ok((socket.into(), family.mdns_group(interface)))
}

/// Opens a socket that receives messages to the mDNS group on one interface, and sends from the port of mDNS, which it shares
/// with other programs. Returns it with the group.
///
/// # Errors
/// The system's error; see [`is_port_held`].
pub(crate) fn multicast(family: MulticastFamily, interface: u32) -> io::Result<(UdpSocket, SocketAddr)> {
    let group = family.mdns_group(interface);
    let socket = multicast_sender(family, interface)?;
    share_port(&socket)?;
    // Bound to the group it receives no unicast datagrams to this host, each of which goes to only one of the sockets that
    // share the port. Windows binds to addresses of its own only.
    let own = if cfg!(windows) { unspecified(group) } else { group };
    socket.bind(&own.into())?;
    match family {
        MulticastFamily::V4(ip) => {
            // By index: an address may be on several interfaces.
            let joined_on = match interface {
                0 => InterfaceIndexOrAddress::Address(ip),
                index => InterfaceIndexOrAddress::Index(index),
            };
            let IpAddr::V4(group) = group.ip() else { return Err(io::ErrorKind::InvalidInput.into()) };
            socket.join_multicast_v4_n(&group, &joined_on)?;
            #[cfg(target_os = "linux")]
            log_refused_option(
                socket.set_multicast_all_v4(false),
                "messages to groups of other programs are received as well",
            );
        }
        MulticastFamily::V6 => {
            let IpAddr::V6(group) = group.ip() else { return Err(io::ErrorKind::InvalidInput.into()) };
            socket.join_multicast_v6(&group, interface)?;
            #[cfg(target_os = "linux")]
            log_refused_option(
                socket.set_multicast_all_v6(false),
                "messages to groups of other programs are received as well",
            );
        }
    }
    Ok((socket.into(), group))
}

/// Returns whether the port of mDNS can be shared with the other programs that use it, in a family.
///
/// # Errors
/// The system's error; see [`is_port_held`].
pub(crate) fn check_mdns_port(family: MulticastFamily) -> io::Result<()> {
    let socket = multicast_sender(family, 0)?;
    share_port(&socket)?;
    socket.bind(&unspecified(family.mdns_group(0)).into())
}

/// Returns whether binding failed because another program holds the port exclusively: Windows then reports that access is not
/// permitted.
pub(crate) fn is_port_held(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::AddrInUse => true,
        io::ErrorKind::PermissionDenied => cfg!(windows),
        _ => false,
    }
}

fn unspecified(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    (ip, address.port()).into()
}

fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    Ok(())
}

/// Opens a socket that sends multicast on one interface, 0 for any, and is not bound yet.
fn multicast_sender(family: MulticastFamily, interface: u32) -> io::Result<Socket> {
    /// Room for the answers of some hundred programs that arrive within a millisecond.
    const RECEIVE_BYTES: usize = 4 << 20;

    let domain = if matches!(family, MulticastFamily::V4(_)) { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    match family {
        MulticastFamily::V4(ip) => {
            if !ip.is_unspecified() {
                // Linux uses the interface of the bound address in any case.
                log_refused_option(
                    socket.set_multicast_if_v4(&ip),
                    "the system chooses the interface for a question",
                );
            }
            log_refused_option(
                socket.set_multicast_ttl_v4(255),
                "a strict host may ignore questions of this host",
            );
            log_refused_option(socket.set_multicast_loop_v4(true), "services of this host may be found late");
        }
        MulticastFamily::V6 => {
            socket.set_only_v6(true)?;
            if interface != 0 {
                // The group's address names the interface as well.
                log_refused_option(
                    socket.set_multicast_if_v6(interface),
                    "the system chooses the interface for a question",
                );
            }
            log_refused_option(
                socket.set_multicast_hops_v6(255),
                "a strict host may ignore questions of this host",
            );
            log_refused_option(socket.set_multicast_loop_v6(true), "services of this host may be found late");
        }
    }
    // The system grants what its limit allows; a smaller buffer only costs a repeated question.
    log_refused_option(
        socket.set_recv_buffer_size(RECEIVE_BYTES),
        "the receive buffer keeps its default size",
    );
    socket.set_nonblocking(true)?;
    Ok(socket)
}
