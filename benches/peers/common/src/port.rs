//! A free port, for libraries that do not report the port that the system chose.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::Result;

/// An address on loopback without a listener a moment ago.
///
/// # Errors
/// There is no free port.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
