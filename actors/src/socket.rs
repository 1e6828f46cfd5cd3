//! How every connection of a node is set up, on every system.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Unanswered probes after which the system takes a silent host for dead.
const PROBES: u32 = 3;

/// Sends small frames at once, and lets the system notice a host that vanished: after `idle` of silence it is asked
/// every `idle`, three times. The system answers for a process that is busy or stopped, so that one is not taken for
/// dead.
///
/// # Errors
/// What the system says to the options.
pub fn prepare(stream: &TcpStream, idle: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new().with_time(idle).with_interval(idle).with_retries(PROBES);
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}
