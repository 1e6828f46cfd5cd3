//! The sockets of a process on this machine, shut down from outside as if the system had lost them.

use std::net::SocketAddr;

#[cfg(target_os = "linux")]
mod linux;

/// The sockets of an endpoint to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// The accepted connections over Unix sockets.
    UnixConnections,
    /// The Unix socket at which it listens. There is another once a client has connected over TCP.
    UnixListener,
    /// The accepted TCP connections.
    TcpConnections,
}

/// Shuts down sockets of the endpoint of the process `pid` at `address`, and returns their number. Both ends then see that the
/// connection has ended.
///
/// # Panics
/// Without the right to take descriptors of that process; a process may take its own, and those of its children. On systems other
/// than Linux.
pub fn shut_down(pid: u32, address: SocketAddr, sockets: Sockets) -> usize {
    #[cfg(target_os = "linux")]
    return linux::shut_down(pid, address, sockets);
    #[cfg(not(target_os = "linux"))]
    panic!("the sockets of the process {pid} at {address} are not known here: {sockets:?}")
}
