//! The network that a node is on: the system's, or one that stands in for it, chosen when the node starts.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::Arc;

use meshzero_proto::diagnosis::InterfaceKind;
use meshzero_proto::discovery::addresses::OwnAddress;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::net::connection::Connection;
use crate::net::host::kind;
use crate::net::ingress::Ingress;
use crate::net::interfaces::{Interface, Interfaces};
use crate::net::socket;

/// The network in which a node connects and listens. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Network {
    /// The system's TCP, with mDNS beside it.
    #[default]
    System,
    /// Another, such as a simulated one.
    Other(Arc<dyn NetworkProvider>),
}

/// A network that stands in for the system's. It has no multicast: nodes on it find each other by static peers, or are called
/// at their addresses.
pub trait NetworkProvider: Debug + Send + Sync {
    /// Connects to an address.
    ///
    /// The future fails as the system's `connect` does: [`io::ErrorKind::ConnectionRefused`] says that the host is there and
    /// nobody listens.
    fn connect(&self, address: SocketAddr) -> IoFuture<'static, Connection>;

    /// Listens at an address; its port may be 0 for any that is free. What comes of it knows the address of this host, where
    /// `address` is unspecified.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] when somebody else does; any other when this is no address of this host.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Acceptor>>;

    /// Sixteen bytes for an identity, that nobody else has.
    fn random(&self) -> [u8; 16];
}

/// A [`Listener`] of another network.
pub trait Acceptor: Debug + Send {
    /// Returns the address at which it listens.
    fn local_addr(&self) -> SocketAddr;

    /// Waits for the next connection, and says where it comes from. Dropping the future loses none.
    fn accept(&mut self) -> IoFuture<'_, (Connection, SocketAddr)>;
}

/// A boxed future of an operation that may fail.
pub type IoFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A socket at which an endpoint takes connections. Dropping it closes it.
#[derive(Debug)]
pub(crate) enum Listener {
    /// The system's.
    System(TcpListener),
    /// Another network's.
    Other(Box<dyn Acceptor>),
}

impl Network {
    /// Connects to an address.
    ///
    /// # Errors
    /// What the network says.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Connection> {
        match self {
            Self::System => {
                let stream = TcpStream::connect(address).await?;
                socket::send_at_once(&stream);
                Ok(stream.into())
            }
            Self::Other(transport) => transport.connect(address).await,
        }
    }

    /// As [`Network::connect`], from an address of this host: another network gives it only one.
    ///
    /// # Errors
    /// As [`Network::connect`]; this host has that address no more.
    ///
    /// # Cancel safety
    /// As [`Network::connect`].
    pub(crate) async fn connect_from(
        &self,
        own: Option<IpAddr>,
        address: SocketAddr,
    ) -> io::Result<Connection> {
        let (Self::System, Some(own)) = (self, own) else { return self.connect(address).await };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // An address that belongs to one interface needs that as well, and the other end's has it.
        let scope = if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 };
        socket.bind(match own {
            IpAddr::V4(own) => (own, 0).into(),
            IpAddr::V6(own) => SocketAddrV6::new(own, 0, 0, scope).into(),
        })?;
        Ok(socket.connect(address).await?.into())
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// What the network says.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        match self {
            Self::System => Ok(Listener::System(socket::listen(address, &Ingress::Any)?)),
            Self::Other(transport) => Ok(Listener::Other(transport.listen(address)?)),
        }
    }

    /// All addresses of this host, whichever interfaces are used and connected: those of a bridge without containers lead to this
    /// host as well. Those by which others may reach it come first. Of another network's hosts it is known only that each has its
    /// own.
    pub(crate) fn own_addresses(&self) -> Vec<OwnAddress> {
        match self {
            Self::System => Interfaces::default()
                .list_unplugged_too()
                .inspect_err(|error| tracing::warn!(%error, "the addresses of this host are unknown"))
                .map(|list| outward_first(list, kind::of))
                .unwrap_or_default(),
            Self::Other(_) => Vec::new(),
        }
    }

    /// Returns whether a question can be put to all who are there.
    pub(crate) fn has_multicast(&self) -> bool {
        matches!(self, Self::System)
    }

    /// Sixteen random bytes for an identity.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn random(&self) -> Result<[u8; 16], getrandom::Error> {
        match self {
            Self::System => {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes)?;
                Ok(bytes)
            }
            Self::Other(transport) => Ok(transport.random()),
        }
    }
}

/// The addresses of interfaces, those that stay inside this host last. To find out the kind of one takes several files.
fn outward_first(mut list: Vec<Interface>, kind_of: impl Fn(&str) -> InterfaceKind) -> Vec<OwnAddress> {
    let mut kinds: BTreeMap<String, InterfaceKind> = BTreeMap::new();
    list.sort_by_cached_key(|Interface { name, .. }| {
        let known = kinds.get(name).copied();
        known.unwrap_or_else(|| *kinds.entry(name.clone()).or_insert(kind_of(name))) == InterfaceKind::Inner
    });
    list.into_iter().map(|interface| interface.address).collect()
}

impl Listener {
    /// Where it listens; the IP address may be unspecified.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(listener) => listener.local_addr(),
            Self::Other(listener) => Ok(listener.local_addr()),
        }
    }

    /// Waits for the next connection, and says where it comes from.
    ///
    /// # Errors
    /// What the network says, for instance when no file descriptor is left. The next may succeed.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub(crate) async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        match self {
            Self::System(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((stream.into(), from))
            }
            Self::Other(listener) => listener.accept().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_kind_of_an_interface_with_many_addresses_is_found_out_once() {
        let asked = RefCell::new(Vec::new());
        let kind_of = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            if name == "docker0" { InterfaceKind::Inner } else { InterfaceKind::Wired }
        };
        let interface = |n: u8| {
            let address = OwnAddress { ip: IpAddr::from([10, 0, 0, n]), prefix: 24 };
            let name = if n.is_multiple_of(2) { "docker0" } else { "eth0" };
            Interface { name: name.into(), index: None, address }
        };
        let sorted = outward_first((0..100).map(interface).collect(), kind_of);
        let expected = (0..100).filter(|n| n % 2 == 1).chain((0..100).filter(|n| n % 2 == 0));
        assert!(sorted.iter().map(|own| own.ip).eq(expected.map(|n| IpAddr::from([10, 0, 0, n]))));
        assert_eq!(asked.take(), ["docker0", "eth0"]);
    }
}
