//! Errors of listening.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::net::interfaces::InterfacesError;
use crate::net::zone::{ZoneError, ZonedAddress};

/// Why there is no endpoint.
///
/// ```
/// # use meshzero_actors::net::bind::{BindAddress, BindError};
/// let error = "192.168.1.7:70000".parse::<BindAddress>().expect_err("ports go up to 65535");
/// assert!(matches!(&error, BindError::Unreadable { text } if text == "192.168.1.7:70000"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The text is no address.
    #[error(
        "\"{text}\" is no address: write a port (\"9000\"), an address (\"192.168.1.7\"), both (\"192.168.1.7:9000\"), \
         a host name (\"robot.local:9000\") or a pattern (\"192.168.*\"); ports go up to 65535"
    )]
    Unreadable {
        /// The text.
        text: String,
    },
    /// The zone of the address is not this host's.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The host name leads to no address.
    #[error("the host \"{host}\" cannot be resolved: {error}")]
    Unresolvable {
        /// The name.
        host: String,
        /// The system's error.
        error: io::Error,
    },
    /// No interface of this host fits.
    #[error(transparent)]
    Interfaces(#[from] InterfacesError),
    /// Another program, or another service, has the address.
    #[error("{} is in use already; choose another port, or none to get a free one", ZonedAddress(*.address))]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// It is another computer's, or nobody's. Services listen at addresses of their own computer.
    #[error("{ip} is not an address of this computer")]
    NotHere {
        /// The address.
        ip: IpAddr,
    },
    /// Every port of the range is in use.
    #[error("all ports from {} to {} are in use", .range.start(), .range.end())]
    RangeInUse {
        /// The range that the mesh takes its ports from.
        range: RangeInclusive<u16>,
    },
    /// The system refused.
    #[error("cannot listen at {}: {error}", ZonedAddress(*.address))]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
}
