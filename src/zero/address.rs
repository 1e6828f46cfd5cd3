//! The address of a service, as the verbs take and return it.

use std::fmt;
use std::net::SocketAddr;

use meshzero_actors::net::zone::ZonedAddress;
use serde::{Deserialize, Serialize};

/// The address of a service: an IP address and a port. As text (`"192.168.1.7:9000"`) it can be printed, typed in, stored, or sent in
/// a message. A link-local address contains the name of this computer's interface to that link (`"[fe80::1%eth0]:9000"`), so it is
/// valid on this computer only.
///
/// ```
/// use meshzero::zero::Address;
///
/// let address: Address = "127.0.0.1:9000".parse()?;
/// assert_eq!(address.port(), 9000);
/// assert_eq!(address.to_string(), "127.0.0.1:9000");
/// assert!("127.0.0.1".parse::<Address>().is_err());
/// # Ok::<(), meshzero::zero::ZeroError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(SocketAddr);

impl Address {
    /// The port.
    pub fn port(self) -> u16 {
        self.0.port()
    }

    /// This address as the standard library's type.
    pub fn socket_addr(self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ZonedAddress(self.0).fmt(f)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_travels_as_text() {
        let one: Address = "127.0.0.1:9".parse().expect("an address");
        let value = crate::Value::of(&one).expect("a value");
        assert_eq!(value.as_str(), Some("127.0.0.1:9"));
        assert_eq!(value.to::<Address>(), Ok(one));
    }
}
