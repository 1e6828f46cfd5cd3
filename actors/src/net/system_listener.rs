//! The sockets at which an endpoint accepts connections to one address: of TCP, and the Unix socket beside it.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, ready};

use tokio::net::TcpListener;

use crate::net::connection::Connection;
use crate::net::ingress::Ingress;
use crate::net::socket;
use crate::net::unix_sockets;

/// The use of Unix sockets between programs of the same user on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnixSockets {
    /// Wherever the system has them.
    #[default]
    Used,
    /// Never: all connections use TCP.
    Off,
}

/// The sockets at which an endpoint accepts connections to one address. Dropping it closes them.
#[derive(Debug)]
pub(crate) struct SystemListener {
    /// The Unix socket, if there is one. Dropped before the other: its name belongs to the holder of the TCP address.
    unix: Option<unix_sockets::Listener>,
    tcp: TcpListener,
    unix_sockets: UnixSockets,
    /// The number of connections that the Unix socket has accepted, modulo 2^16.
    unix_connections: u16,
    /// Set if the Unix socket is polled first. It alternates, so that neither socket starves the other.
    polls_unix_first: bool,
}

impl SystemListener {
    /// Listens at an address, for connections that arrive by some interfaces. The unspecified IPv6 address includes IPv4.
    ///
    /// # Errors
    /// The system's error for TCP. A Unix socket that cannot be opened is none.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn listen(
        address: SocketAddr,
        ingress: &Ingress,
        unix_sockets: UnixSockets,
    ) -> io::Result<Self> {
        let tcp = socket::listen(address, ingress)?;
        let mut listener =
            Self { unix: None, tcp, unix_sockets, unix_connections: 0, polls_unix_first: false };
        listener.open_unix();
        Ok(listener)
    }

    /// Returns the address at which it listens; the IP address may be unspecified.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Restricts connections over TCP to those that arrive by these interfaces.
    pub(crate) fn restrict(&self, ingress: &Ingress) {
        socket::restrict((&self.tcp).into(), ingress);
    }

    /// Waits for the next connection, and returns it with its remote address.
    ///
    /// # Errors
    /// The system's error, for instance when no file descriptor is left. The next call may succeed.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        poll_fn(|task| self.poll_accept(task)).await
    }

    /// Polls for the next connection, like [`SystemListener::accept`].
    pub(crate) fn poll_accept(
        &mut self,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<(Connection, SocketAddr)>> {
        for polls_unix in [self.polls_unix_first, !self.polls_unix_first] {
            let accepted = if polls_unix { self.poll_unix(task).map(Ok) } else { self.poll_tcp(task) };
            if accepted.is_ready() {
                self.polls_unix_first = !polls_unix;
                return accepted;
            }
        }
        Poll::Pending
    }

    fn poll_tcp(&mut self, task: &mut Context<'_>) -> Poll<io::Result<(Connection, SocketAddr)>> {
        self.tcp.poll_accept(task).map_ok(|(stream, from)| {
            socket::unrestrict(&stream);
            // The client may have preferred a Unix socket.
            if self.unix.is_none() {
                self.open_unix();
            }
            (stream.into(), from)
        })
    }

    /// Polls the Unix socket. Its clients have no address, and have to be told apart: theirs is the loopback address, with the
    /// number of the connection in place of the port.
    fn poll_unix(&mut self, task: &mut Context<'_>) -> Poll<(Connection, SocketAddr)> {
        let Some(unix) = &self.unix else { return Poll::Pending };
        let number = self.unix_connections.wrapping_add(1);
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
        match ready!(unix.poll_accept(task, from)) {
            Ok(connection) => {
                self.unix_connections = number;
                Poll::Ready((connection, from))
            }
            Err(error) => {
                tracing::debug!(%error, "closed a Unix socket that accepts no connections");
                self.unix = None;
                Poll::Pending
            }
        }
    }

    fn open_unix(&mut self) {
        if self.unix_sockets == UnixSockets::Used
            && let Ok(address) = self.tcp.local_addr()
        {
            self.unix = unix_sockets::Listener::open(address);
        }
    }
}
