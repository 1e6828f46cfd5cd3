//! How every socket of a node is set up, on every system.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::interfaces::Interface;

/// Unanswered probes after which the system takes a silent host for dead.
pub(crate) const PROBES: u32 = 3;

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 1_024;

/// Sends small frames at once.
pub(crate) fn send_at_once(stream: &TcpStream) {
    wish(stream.set_nodelay(true), "small frames may wait for each other");
}

/// Sends small frames at once, and lets the system ask the other host for a sign of life after `idle` of silence, three times.
pub(crate) fn keep_alive(stream: &TcpStream, idle: Duration) {
    send_at_once(stream);
    // The number comes last: a Windows that does not know it, and Wine, have taken the times by then.
    let keep_alive = TcpKeepalive::new().with_time(idle).with_interval(idle).with_retries(PROBES);
    wish(SockRef::from(stream).set_tcp_keepalive(&keep_alive), "a host that vanishes may be noticed late");
}

/// Gives the connection up when what was sent is not acknowledged for so long. While it waits for that nobody is asked: there
/// the system's patience counts, which is a quarter of an hour by itself.
pub(crate) fn give_up_unacknowledged(stream: &TcpStream, patience: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    wish(
        SockRef::from(stream).set_tcp_user_timeout(Some(patience)),
        "a host that vanishes while something is sent will be noticed late",
    );
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, patience);
}

/// Lets the system take more only when it has sent most of what it has, so that what is written next does not wait behind
/// megabytes. Where the system knows nothing of this, or socket2 has no word for it, as on macOS, it stays as it is.
pub(crate) fn keep_little_unsent(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        /// Half of these bytes are written at a time, or a little more.
        const UNSENT_BYTES: u32 = 128 << 10;
        wish(
            SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES),
            "short replies may wait behind what the system keeps of long ones",
        );
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

/// Sees to it that closing a connection takes back what has not reached the other end, and resets it. Otherwise the system
/// goes on trying to deliver it for minutes, and what a caller had given up is handled after all once the network is there
/// again, behind all that was sent since over another connection.
pub(crate) fn abandon(stream: &TcpStream) {
    wish(
        SockRef::from(stream).set_linger(Some(Duration::ZERO)),
        "what was sent on a connection that was lost may still arrive",
    );
}

/// Notes an option that the system does not grant. A connection without it is still one, so that no option costs it.
fn wish(granted: io::Result<()>, otherwise: &'static str) {
    if let Err(error) = granted {
        tracing::debug!(%error, "{otherwise}");
    }
}

/// Listens at an address, if it is all of IPv6 also at all of IPv4.
///
/// # Errors
/// What the system says.
///
/// # Panics
/// Outside of a tokio runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // One socket for both families.
        socket.set_only_v6(false)?;
    }
    // A restarted program gets its port back at once. On Windows the option means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A socket that asks mDNS questions on one interface from a port of its own, so that the answers come straight back
/// (RFC 6762 §6.7), and the group it asks.
///
/// # Errors
/// What the system says, for instance when the interface has just gone.
pub(crate) fn question_socket(interface: &Interface) -> io::Result<(UdpSocket, SocketAddr)> {
    /// Room for the answers of a whole classroom that arrive within a millisecond.
    const RECEIVE_BYTES: usize = 4 << 20;
    const MDNS_PORT: u16 = 5353;

    let (socket, group): (Socket, SocketAddr) = match interface.address.ip {
        IpAddr::V4(ip) => {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(&SockAddr::from(SocketAddr::from((ip, 0))))?;
            // Linux takes the interface of the address that it is bound to all the same.
            wish(socket.set_multicast_if_v4(&ip), "a question leaves where the system thinks best");
            wish(socket.set_multicast_ttl_v4(255), "a strict host may ignore questions of this one");
            wish(socket.set_multicast_loop_v4(true), "services of this host may be found late");
            (socket, (Ipv4Addr::new(224, 0, 0, 251), MDNS_PORT).into())
        }
        IpAddr::V6(_) => {
            let index = interface.index.ok_or(io::ErrorKind::AddrNotAvailable)?;
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_only_v6(true)?;
            socket.bind(&SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))))?;
            // The group's address names the interface as well.
            wish(socket.set_multicast_if_v6(index), "a question leaves where the system thinks best");
            wish(socket.set_multicast_hops_v6(255), "a strict host may ignore questions of this one");
            wish(socket.set_multicast_loop_v6(true), "services of this host may be found late");
            let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
            (socket, SocketAddrV6::new(group, MDNS_PORT, 0, index).into())
        }
    };
    // The system grants what it allows; less only costs a repeated question.
    wish(socket.set_recv_buffer_size(RECEIVE_BYTES), "the receive buffer keeps its default size");
    socket.set_nonblocking(true)?;
    Ok((socket.into(), group))
}
