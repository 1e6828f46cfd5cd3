//! Whom a command is about: a service's name, or the address of one as text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use meshzero::{InvalidName, ServiceName};

/// A service's name or an `ip:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(ServiceName);

/// Why a text is neither.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTarget {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("{text:?} has no possible port: ports go from 1 to 65535")]
    Port { text: String },
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let name = ServiceName::new(text)?;
        // An IPv6 address without brackets and port has colons as well.
        let is_address = text.parse::<IpAddr>().is_err()
            && text.rsplit_once(':').is_some_and(|(ip, port)| {
                let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
                ip.parse::<IpAddr>().is_ok() && port.parse::<i64>().is_ok()
            });
        let possible = text.parse::<SocketAddr>().is_ok_and(|address| address.port() > 0);
        if is_address && !possible {
            return Err(InvalidTarget::Port { text: text.to_owned() });
        }
        Ok(Self(name))
    }
}

impl Target {
    /// Whether it is a name, which several services may have.
    pub(crate) fn is_name(&self) -> bool {
        self.0.parse::<SocketAddr>().is_err()
    }
}

impl AsRef<str> for Target {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_targets() {
        for text in ["robot/arm", "127.0.0.1:9000", "[::1]:9000", "room:7", "10.0.0.1", "fe80::1"] {
            assert_eq!(text.parse::<Target>().expect(text).as_ref(), text);
        }
    }

    #[test]
    fn an_address_whose_port_is_impossible_is_no_name() {
        for text in ["127.0.0.1:70000", "127.0.0.1:0", "127.0.0.1:-1", "[::1]:99999"] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(error.to_string().contains("65535"), "{error}");
        }
        assert!("".parse::<Target>().is_err());
    }
}
