//! The target of a route: a name, or an address.

use std::net::SocketAddr;

use meshzero_proto::diagnosis::Sought;
use meshzero_proto::name::ServiceName;

use crate::net::zone::ZonedAddress;

/// The target of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// All instances of a name.
    Name(ServiceName),
    /// The one endpoint at an address.
    Address(SocketAddr),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => ZonedAddress(*address).fmt(f),
        }
    }
}

impl From<&Target> for Sought {
    fn from(target: &Target) -> Self {
        match target {
            Target::Name(name) => Self::Name(name.to_string()),
            Target::Address(address) => Self::Address(*address),
        }
    }
}
