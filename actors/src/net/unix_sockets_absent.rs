//! The stand-in for Unix sockets on systems where the standard library has none: there is never one beside a listener.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::net::connection::Connection;

/// Set on systems that have Unix sockets.
pub(crate) const ARE_SUPPORTED: bool = false;

/// The Unix socket beside a listener, of which there is none.
#[derive(Debug)]
pub(crate) enum Listener {}

impl Listener {
    /// Returns `None`.
    pub(crate) fn open(_: SocketAddr) -> Option<Self> {
        None
    }

    /// Is never called.
    pub(crate) fn poll_accept(&self, _: &mut Context<'_>, _: SocketAddr) -> Poll<io::Result<Connection>> {
        match *self {}
    }
}

/// Returns `None`.
pub(crate) fn connect(_: SocketAddr) -> Option<Connection> {
    None
}
