//! Options of the sockets of a node, on every system.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use self::multicast::{
    MDNS_PORT, MulticastFamily, check_mdns_port, is_port_held, multicast, one_shot_query_socket,
};
use crate::net::ingress::Ingress;

mod multicast;

/// Unanswered probes after which the system takes a silent host for dead.
pub(crate) const PROBES: u32 = 3;

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 1_024;

/// Sends small frames at once.
pub(crate) fn send_at_once(stream: &TcpStream) {
    wish(stream.set_nodelay(true), "small frames may wait for each other");
}

/// The longest time that every system takes for the silence before a probe, in whole seconds; Linux refuses a longer one. Longer than a
/// day nobody is silent without being asked anyway, see [`Stall`](meshzero_proto::stream::stall::Stall).
const LONGEST_IDLE: Duration = Duration::from_secs(32_767);

/// The longest time that Linux takes for what is not acknowledged, in milliseconds as a signed number.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LONGEST_UNACKNOWLEDGED: Duration = Duration::from_millis(i32::MAX as u64);

/// Sends small frames at once, and lets the system ask the other host for a sign of life after `idle` of silence, three times.
pub(crate) fn keep_alive(stream: &TcpStream, idle: Duration) {
    send_at_once(stream);
    // The number comes last: a Windows that does not know it, and Wine, have taken the times by then.
    let idle = idle.clamp(Duration::from_secs(1), LONGEST_IDLE);
    let keep_alive = TcpKeepalive::new().with_time(idle).with_interval(idle).with_retries(PROBES);
    wish(SockRef::from(stream).set_tcp_keepalive(&keep_alive), "a host that vanishes may be noticed late");
}

/// Gives the connection up when what was sent is not acknowledged for so long. While it waits for that nobody is asked: there
/// the system's patience counts, which is a quarter of an hour by itself.
pub(crate) fn set_user_timeout(stream: &TcpStream, patience: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    wish(
        SockRef::from(stream).set_tcp_user_timeout(Some(patience.min(LONGEST_UNACKNOWLEDGED))),
        "a host that vanishes while something is sent will be noticed late",
    );
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, patience);
}

/// Lets the system take more only when it has sent most of what it has, so that what is written next does not wait behind
/// megabytes. Where the system knows nothing of this, or socket2 has no word for it, as on macOS, it stays as it is.
pub(crate) fn set_notsent_lowat(stream: &TcpStream) {
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
pub(crate) fn set_reset_on_close(stream: &TcpStream) {
    wish(
        SockRef::from(stream).set_linger(Some(Duration::ZERO)),
        "what was sent on a connection that was lost may still arrive",
    );
}

/// Logs an option that the system refuses. A connection works without it, so the option must not end the connection.
fn wish(granted: io::Result<()>, otherwise: &'static str) {
    if let Err(error) = granted {
        tracing::debug!(%error, "{otherwise}");
    }
}

/// Listens at an address, if it is all of IPv6 also at all of IPv4, for connections that arrive by some interfaces.
///
/// # Errors
/// What the system says.
///
/// # Panics
/// Outside of a tokio runtime.
pub(crate) fn listen(address: SocketAddr, ingress: &Ingress) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // One socket for both families.
        socket.set_only_v6(false)?;
    }
    // A restarted program gets its port back at once. On Windows the option means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    restrict(SockRef::from(&socket), ingress);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Lets only what arrives by some interfaces reach a listening socket. Where the system has no such filter, or grants none to this
/// program, connections that arrive by others are accepted.
pub(crate) fn restrict(socket: SockRef<'_>, ingress: &Ingress) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use socket2::SockFilter;

        // From linux/bpf_common.h and linux/filter.h.
        const LOAD_WORD: u16 = 0x20;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const ARRIVED_BY: u32 = 0xffff_f008;

        let numbers = match ingress {
            Ingress::Only(numbers) if !ingress.is_too_long() => numbers,
            Ingress::Any | Ingress::Only(_) => {
                // There may be none.
                let _ = socket.detach_filter();
                return;
            }
        };
        let keep = |bytes| SockFilter::new(RETURN, 0, 0, bytes);
        let mut program = vec![SockFilter::new(LOAD_WORD, 0, 0, ARRIVED_BY)];
        for number in numbers {
            program.extend([SockFilter::new(JUMP_IF_EQUAL, 0, 1, *number), keep(u32::MAX)]);
        }
        program.push(keep(0));
        wish(socket.attach_filter(&program), "connections by interfaces that were not chosen are accepted");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, ingress);
}

/// Takes away from a connection what [`restrict`] put on its listener: it may go on by another interface.
pub(crate) fn unrestrict(stream: &TcpStream) {
    restrict(SockRef::from(stream), &Ingress::Any);
}

/// A port of this host that is kept and not listened at. Dropping it gives the port back.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    _socket: Socket,
    port: u16,
}

impl ReservedPort {
    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Keeps a TCP port that is free at all addresses of this host.
///
/// # Errors
/// What the system says.
pub(crate) fn reserve() -> io::Result<ReservedPort> {
    let bind = |ip: IpAddr| {
        let address = SocketAddr::new(ip, 0);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        let port = socket.local_addr()?.as_socket().map(|address| address.port());
        Ok(ReservedPort { port: port.ok_or(io::ErrorKind::AddrNotAvailable)?, _socket: socket })
    };
    // A system without IPv6 refuses the first.
    bind(Ipv6Addr::UNSPECIFIED.into()).or_else(|_: io::Error| bind(Ipv4Addr::UNSPECIFIED.into()))
}
