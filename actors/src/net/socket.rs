//! Options of a node's sockets, on every system.

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

/// The number of unanswered probes after which the system considers a silent host dead.
pub(crate) const PROBES: u32 = 3;

/// The number of connections that the system queues until they are accepted.
pub(crate) const BACKLOG: i32 = 1_024;

/// Sends small frames at once.
pub(crate) fn set_nodelay(stream: &TcpStream) {
    log_refused_option(stream.set_nodelay(true), "small frames may wait for each other");
}

/// The longest silence before a probe that every system accepts, in whole seconds; Linux refuses a longer one. A link is not
/// silent for longer than a day without a probe anyway, see [`StallDetector`](meshzero_proto::stream::stall::StallDetector).
const MAX_IDLE: Duration = Duration::from_secs(32_767);

/// The longest time that Linux accepts for unacknowledged data, in milliseconds as a signed number.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// Sends small frames at once, and lets the system probe the other host after `idle` of silence, three times.
pub(crate) fn keep_alive(stream: &TcpStream, idle: Duration) {
    set_nodelay(stream);
    // The retries are set last: a Windows that does not know them, and Wine, have applied the times by then.
    let idle = idle.clamp(Duration::from_secs(1), MAX_IDLE);
    let keep_alive = TcpKeepalive::new().with_time(idle).with_interval(idle).with_retries(PROBES);
    log_refused_option(
        SockRef::from(stream).set_tcp_keepalive(&keep_alive),
        "a host that vanishes may be noticed late",
    );
}

/// Closes the connection when data is not acknowledged for `timeout`. While data is unacknowledged no probes are sent, and
/// the system's own timeout applies, which is a quarter of an hour by default.
pub(crate) fn set_user_timeout(stream: &TcpStream, timeout: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    log_refused_option(
        SockRef::from(stream).set_tcp_user_timeout(Some(timeout.min(MAX_USER_TIMEOUT))),
        "a host that vanishes while data is unacknowledged will be noticed late",
    );
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, timeout);
}

/// Keeps the system's queue of unsent bytes short, so that the next frame does not wait behind megabytes. Has no effect where
/// the system lacks this option, or socket2 does not expose it, as on macOS.
pub(crate) fn set_notsent_lowat(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        /// About half of these bytes are written at a time.
        const UNSENT_BYTES: u32 = 128 << 10;
        log_refused_option(
            SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES),
            "short replies may wait behind queued parts of long ones",
        );
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

/// Makes closing a connection reset it and discard all bytes that have not reached the other end. Otherwise the system would
/// try to deliver them for minutes, and once the network works again, requests that a caller has given up would be handled
/// after everything that was sent since over another connection.
pub(crate) fn set_reset_on_close(stream: &TcpStream) {
    log_refused_option(
        SockRef::from(stream).set_linger(Some(Duration::ZERO)),
        "data sent on a lost connection may still arrive",
    );
}

/// Logs an option that the system refuses. A connection works without it, so the option must not end the connection.
pub(crate) fn log_refused_option(result: io::Result<()>, consequence: &'static str) {
    if let Err(error) = result {
        tracing::debug!(%error, "{consequence}");
    }
}

/// Listens at an address, for connections that arrive by some interfaces. The unspecified IPv6 address includes IPv4.
///
/// # Errors
/// The system's error.
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

/// Restricts a listening socket to packets that arrive by some interfaces. Where the system has no such filter, or does not
/// permit it to this program, connections that arrive by others are accepted.
pub(crate) fn restrict(socket: SockRef<'_>, ingress: &Ingress) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use socket2::SockFilter;

        // From linux/bpf_common.h and linux/filter.h.
        const LOAD_WORD: u16 = 0x20;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const INGRESS_INTERFACE: u32 = 0xffff_f008;

        let indices = match ingress {
            Ingress::Only(indices) if !ingress.is_too_long() => indices,
            Ingress::Any | Ingress::Only(_) => {
                // There may be no filter.
                let _ = socket.detach_filter();
                return;
            }
        };
        let accept_bytes = |bytes| SockFilter::new(RETURN, 0, 0, bytes);
        let mut program = vec![SockFilter::new(LOAD_WORD, 0, 0, INGRESS_INTERFACE)];
        for number in indices {
            program.extend([SockFilter::new(JUMP_IF_EQUAL, 0, 1, *number), accept_bytes(u32::MAX)]);
        }
        program.push(accept_bytes(0));
        log_refused_option(
            socket.attach_filter(&program),
            "connections by interfaces that were not chosen are accepted",
        );
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, ingress);
}

/// Removes from a connection the filter that [`restrict`] set on its listener: it may continue over another interface.
pub(crate) fn unrestrict(stream: &TcpStream) {
    restrict(SockRef::from(stream), &Ingress::Any);
}

/// A reserved port of this host, without a listener. Dropping it releases the port.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    _socket: Socket,
    port: u16,
}

impl ReservedPort {
    /// Returns the port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Reserves a TCP port that is free at all addresses of this host.
///
/// # Errors
/// The system's error.
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
