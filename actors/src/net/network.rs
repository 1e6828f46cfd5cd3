//! The network that a node uses: the system's, or one that replaces it, chosen when the node starts.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::Arc;

use meshzero_proto::diagnosis::InterfaceKind;
use meshzero_proto::discovery::addresses::{OwnAddress, needs_zone};
use tokio::net::{TcpSocket, TcpStream};

use crate::net::connection::Connection;
use crate::net::host::kind;
use crate::net::ingress::Ingress;
use crate::net::interfaces::{Interface, Interfaces};
use crate::net::socket;
use crate::net::system_listener::{SystemListener, UnixSockets};
use crate::net::unix_sockets;

/// The network in which a node connects and listens. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Network {
    /// The system's TCP and mDNS, and its Unix sockets, where they are used.
    System(UnixSockets),
    /// Another network, such as a simulated one.
    Other(Arc<dyn NetworkProvider>),
}

impl Default for Network {
    fn default() -> Self {
        Self::System(UnixSockets::default())
    }
}

/// A network that replaces the system's. It has no multicast: nodes on it find each other by static peers, or are called at
/// their addresses.
pub trait NetworkProvider: Debug + Send + Sync {
    /// Connects to an address.
    ///
    /// The future fails as the system's `connect` does: [`io::ErrorKind::ConnectionRefused`] means that the host is there and
    /// has no listener at the port.
    fn connect(&self, address: SocketAddr) -> IoFuture<'static, Connection>;

    /// Listens at an address; its port may be 0 for any that is free. If `address` is unspecified, the acceptor reports the
    /// address of this host.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] if there is another listener; any other if this is not an address of this host.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Acceptor>>;

    /// Returns sixteen unique bytes for an identity.
    fn random(&self) -> [u8; 16];
}

/// A [`Listener`] of another network.
pub trait Acceptor: Debug + Send {
    /// Returns the address at which it listens.
    fn local_addr(&self) -> SocketAddr;

    /// Waits for the next connection, and returns it with its remote address. Dropping the future loses no connection.
    fn accept(&mut self) -> IoFuture<'_, (Connection, SocketAddr)>;
}

/// A boxed future of an operation that may fail.
pub type IoFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A socket at which an endpoint accepts connections. Dropping it closes it.
#[derive(Debug)]
pub(crate) enum Listener {
    /// Of the system.
    System(SystemListener),
    /// Of another network.
    Other(Box<dyn Acceptor>),
}

impl Network {
    /// Connects to an address.
    ///
    /// # Errors
    /// The network's error.
    ///
    /// # Cancel safety
    /// This method is cancel safe. Dropping the future cancels the attempt.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Connection> {
        match self {
            Self::System(_) => {
                let stream = TcpStream::connect(address).await?;
                socket::set_nodelay(&stream);
                Ok(stream.into())
            }
            Self::Other(provider) => provider.connect(address).await,
        }
    }

    /// Like [`Network::connect`], from an address of this host. Another network has only one for each host.
    ///
    /// # Errors
    /// The network's error, for instance if this host no longer has that address.
    ///
    /// # Cancel safety
    /// This method is cancel safe. Dropping the future cancels the attempt.
    pub(crate) async fn connect_from(
        &self,
        own: Option<IpAddr>,
        address: SocketAddr,
    ) -> io::Result<Connection> {
        let (Self::System(_), Some(own)) = (self, own) else { return self.connect(address).await };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A link-local address needs a zone as well: that of the other end's address.
        let scope = if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 };
        socket.bind(match own {
            IpAddr::V4(own) => (own, 0).into(),
            IpAddr::V6(own) => SocketAddrV6::new(own, 0, 0, scope).into(),
        })?;
        Ok(socket.connect(address).await?.into())
    }

    /// Connects to the Unix socket beside the listener at an address, if the address is one of this host, there is such a
    /// socket, and it belongs to this user. Does not wait.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn connect_unix(&self, address: SocketAddr) -> Option<Connection> {
        let are_used = unix_sockets::ARE_SUPPORTED && matches!(self, Self::System(UnixSockets::Used));
        // Another host's endpoint may listen at the same port as one here that listens at all addresses.
        let own = || Interfaces::default().list_unplugged_too().unwrap_or_default();
        let is_here = || address.ip().is_loopback() || is_address_of(address, &own());
        if are_used && is_here() { unix_sockets::connect(address) } else { None }
    }

    /// Returns how Unix sockets are used.
    pub(crate) fn unix_sockets(&self) -> UnixSockets {
        match self {
            Self::System(unix_sockets) => *unix_sockets,
            Self::Other(_) => UnixSockets::Off,
        }
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// The network's error.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        match self {
            Self::System(unix_sockets) => {
                Ok(Listener::System(SystemListener::listen(address, &Ingress::Any, *unix_sockets)?))
            }
            Self::Other(provider) => Ok(Listener::Other(provider.listen(address)?)),
        }
    }

    /// Returns all addresses of this host, whichever interfaces are used and connected: those of a bridge without containers
    /// lead to this host as well. Those by which others may reach it come first. In another network none are known.
    pub(crate) fn own_addresses(&self) -> Vec<OwnAddress> {
        match self {
            Self::System(_) => Interfaces::default()
                .list_unplugged_too()
                .inspect_err(|error| tracing::warn!(%error, "the addresses of this host are unknown"))
                .map(|list| outward_first(list, kind::of))
                .unwrap_or_default(),
            Self::Other(_) => Vec::new(),
        }
    }

    /// Returns whether the network supports multicast.
    pub(crate) fn has_multicast(&self) -> bool {
        matches!(self, Self::System(_))
    }

    /// Returns sixteen random bytes for an identity.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn random(&self) -> Result<[u8; 16], getrandom::Error> {
        match self {
            Self::System(_) => {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes)?;
                Ok(bytes)
            }
            Self::Other(provider) => Ok(provider.random()),
        }
    }
}

/// Returns whether a TCP connection to `address` leads to one of `interfaces`. A link-local address does so in the zone of its
/// own interface only: in another zone, TCP would never answer.
fn is_address_of(address: SocketAddr, interfaces: &[Interface]) -> bool {
    let zone = match address {
        SocketAddr::V6(address) if needs_zone(IpAddr::V6(*address.ip())) => Some(address.scope_id()),
        _ => None,
    };
    let is_in_zone = |interface: &Interface| zone.is_none() || interface.index == zone;
    interfaces.iter().any(|interface| interface.address.ip == address.ip() && is_in_zone(interface))
}

/// Returns the addresses of interfaces, with those that do not lead out of this host last. Finding the kind of an
/// interface takes reading several files.
fn outward_first(mut list: Vec<Interface>, kind_of: impl Fn(&str) -> InterfaceKind) -> Vec<OwnAddress> {
    let mut kinds: BTreeMap<String, InterfaceKind> = BTreeMap::new();
    list.sort_by_cached_key(|Interface { name, .. }| {
        let known = kinds.get(name).copied();
        known.unwrap_or_else(|| *kinds.entry(name.clone()).or_insert(kind_of(name))) == InterfaceKind::Inner
    });
    list.into_iter().map(|interface| interface.address).collect()
}

impl Listener {
    /// Returns the address at which it listens; the IP address may be unspecified.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(listener) => listener.local_addr(),
            Self::Other(listener) => Ok(listener.local_addr()),
        }
    }

    /// Waits for the next connection, and returns it with its remote address.
    ///
    /// # Errors
    /// The network's error, for instance when no file descriptor is left. The next call may succeed.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        match self {
            Self::System(listener) => listener.accept().await,
            Self::Other(listener) => listener.accept().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_kind_of_an_interface_is_read_once_for_all_its_addresses() {
        let reads = RefCell::new(Vec::new());
        let kind_of = |name: &str| {
            reads.borrow_mut().push(name.to_owned());
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
        assert_eq!(reads.take(), ["docker0", "eth0"]);
    }

    #[test]
    fn a_link_local_address_leads_to_this_host_in_the_zone_of_its_interface_only() {
        let interface = |ip: &str, index| {
            let address = OwnAddress { ip: ip.parse().expect("an address"), prefix: 64 };
            Interface { name: format!("eth{index}"), index: Some(index), address }
        };
        let own = [interface("fe80::1", 2), interface("fe80::1", 4), interface("10.0.0.1", 2)];
        let leads_here = |address: &str| is_address_of(address.parse().expect("an address"), &own);
        assert!(leads_here("[fe80::1%2]:9000") && leads_here("[fe80::1%4]:9000"));
        assert!(!leads_here("[fe80::1%3]:9000") && !leads_here("[fe80::1]:9000"));
        assert!(!leads_here("[fe80::2%2]:9000"));
        assert!(leads_here("10.0.0.1:9000") && !leads_here("10.0.0.2:9000"));
    }
}
