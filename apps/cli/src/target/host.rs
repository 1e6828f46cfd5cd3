//! A host name with a port, and the search for a service there.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use meshzero::naming::HostPort;
use meshzero::zero::Address;
use meshzero::{Mesh, ServiceRef};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::detached::run_detached;
use crate::failure::Failure;

/// The limit of addresses of a host that are tried.
const MOST: usize = 16;

/// A host name and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    name: String,
    port: u16,
    is_certain: bool,
    is_likely: bool,
}

/// The reason why no service was found at a host.
#[derive(Debug)]
pub(super) enum HostError {
    /// The host name cannot be resolved.
    Unknown(Failure),
    /// The host is known, but no service answers there.
    Unreachable(Failure),
}

impl From<HostError> for Failure {
    fn from((HostError::Unknown(failure) | HostError::Unreachable(failure)): HostError) -> Self {
        failure
    }
}

impl From<HostPort<'_>> for Host {
    fn from(read: HostPort<'_>) -> Self {
        let (is_certain, is_likely) = (read.is_localhost(), read.is_likely());
        Self { name: read.host.to_owned(), port: read.port, is_certain, is_likely }
    }
}

impl Host {
    /// Returns whether it can only be a host.
    pub(super) fn is_certain(&self) -> bool {
        self.is_certain
    }

    /// Returns whether it is more likely a host than a service's name with a number.
    pub(super) fn is_likely(&self) -> bool {
        self.is_likely
    }

    /// Returns the service at one of the host's addresses: the first that answers.
    ///
    /// # Errors
    /// [`HostError`].
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future ends the search.
    pub(super) async fn discover(&self, mesh: &Mesh, deadline: Instant) -> Result<ServiceRef, HostError> {
        let addresses = self.resolve(deadline).await.map_err(HostError::Unknown)?;
        let mut asking = JoinSet::new();
        for address in addresses {
            let mesh = mesh.clone();
            asking.spawn(async move {
                mesh.discover(Address::from(address).to_string())
                    .within(deadline.saturating_duration_since(Instant::now()))
                    .await
            });
        }
        let mut failure = None;
        while let Some(asked) = asking.join_next().await {
            match asked {
                Ok(Ok(service)) => return Ok(service),
                Ok(Err(error)) => failure = failure.or(Some(Failure::from(error))),
                Err(_) => {}
            }
        }
        Err(match failure {
            Some(failure) => HostError::Unreachable(failure),
            None => HostError::Unknown(self.unknown("it has no address")),
        })
    }

    async fn resolve(&self, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
        // Even without any time to wait the system may know the name.
        let deadline = deadline.max(Instant::now() + Duration::from_millis(100));
        let (name, port) = (self.name.clone(), self.port);
        let looked_up = run_detached(move || (name.as_str(), port).to_socket_addrs());
        match timeout_at(deadline, looked_up).await {
            Ok(Some(Ok(addresses))) => Ok(addresses.take(MOST).collect()),
            Ok(Some(Err(error))) => Err(self.unknown(&error.to_string())),
            Ok(None) => Err(self.unknown("it cannot be looked up")),
            Err(_) => Err(self.unknown("no name server answered in time")),
        }
    }

    fn unknown(&self, reason: &str) -> Failure {
        let Self { name, port, .. } = self;
        Failure::Unavailable(format!(
            "the host name {name:?} could not be resolved ({reason}); write its IP address, such as 192.168.1.7:{port}, or the service's \
             name"
        ))
    }
}
