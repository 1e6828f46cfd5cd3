//! The addresses at which an endpoint listens, shared with everything that needs them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::net::interfaces::Interfaces;

/// The addresses at which an endpoint listens. Cheap to clone; all clones share them.
#[derive(Debug, Clone)]
pub enum BoundAddresses {
    /// One address for the endpoint's lifetime; the IP address may be unspecified, which means all of this host.
    At(SocketAddr),
    /// The addresses of the chosen interfaces, which come and go.
    Chosen {
        /// The port at all of them.
        port: u16,
        /// The addresses at which the endpoint listens now.
        addresses: Arc<ArcSwap<Vec<SocketAddr>>>,
    },
}

impl BoundAddresses {
    /// Creates the addresses of an endpoint that follows a choice, before they are known.
    pub(crate) fn chosen(port: u16) -> Self {
        Self::Chosen { port, addresses: Arc::default() }
    }

    /// Updates the addresses of an endpoint that follows a choice, and returns whether they have changed.
    pub(crate) fn set(&self, new: Vec<SocketAddr>) -> bool {
        match self {
            Self::At(_) => false,
            Self::Chosen { addresses, .. } => *addresses.swap(Arc::new(new.clone())) != new,
        }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        match self {
            Self::At(address) => address.port(),
            Self::Chosen { port, .. } => *port,
        }
    }

    /// Returns whether the endpoint listens at every address of this host.
    pub fn is_everywhere(&self) -> bool {
        matches!(self, Self::At(address) if address.ip().is_unspecified())
    }

    /// Returns whether connections to `address`, which is one of this host, arrive at the endpoint.
    pub(crate) fn accepts(&self, address: SocketAddr) -> bool {
        address.port() == self.port()
            && match self {
                Self::At(at) if at.ip().is_unspecified() => at.is_ipv6() || address.is_ipv4(),
                Self::At(at) => at.ip() == address.ip(),
                Self::Chosen { addresses, .. } => addresses.load().iter().any(|at| at.ip() == address.ip()),
            }
    }

    /// Returns whether `address`, as another host knows it, is an address of this endpoint: it must be one of this host.
    pub fn is_meant_by(&self, address: SocketAddr) -> bool {
        self.accepts(address) && (!self.is_everywhere() || is_own(address.ip()))
    }

    /// Returns one address that stands for all: the only one, or the unspecified address with the port.
    pub(crate) fn summary(&self) -> SocketAddr {
        match self {
            Self::At(address) => *address,
            Self::Chosen { port, .. } => (Ipv6Addr::UNSPECIFIED, *port).into(),
        }
    }
}

/// Returns whether this host has an address, on whichever interface.
fn is_own(ip: IpAddr) -> bool {
    let own = Interfaces::default().list_unplugged_too().unwrap_or_default();
    own.iter().any(|own| own.address.ip == ip)
}
