//! Whom a command is about: a service's name, or the address of one as text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use meshzero::zero::Address;
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
        if port(text).is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return Err(InvalidTarget::Port { text: text.to_owned() });
        }
        Ok(Self(name))
    }
}

/// The port behind the colon if what is before it is an IP address, be it with a zone, so that the whole is no name.
fn port(text: &str) -> Option<&str> {
    let (ip, port) = text.rsplit_once(':')?;
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    // An IPv6 address without brackets and port has colons as well.
    let is_ip = match bare {
        Some(ip) => ip.split_once('%').map_or(ip, |(ip, _)| ip).parse::<IpAddr>().is_ok(),
        None => ip.parse::<IpAddr>().is_ok() && text.parse::<IpAddr>().is_err(),
    };
    (is_ip && port.parse::<i64>().is_ok()).then_some(port)
}

/// An address as it is shown, and as it can be typed in: the zone of a link-local one goes by the name of its interface.
pub(crate) fn shown(address: SocketAddr) -> String {
    Address::from(address).to_string()
}

impl Target {
    /// Whether it is a name, which several services may have.
    pub(crate) fn is_name(&self) -> bool {
        port(&self.0).is_none()
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
        for text in [
            "robot/arm",
            "127.0.0.1:9000",
            "[::1]:9000",
            "room:7",
            "10.0.0.1",
            "fe80::1",
            "[fe80::1%eth0]:9000",
        ] {
            assert_eq!(text.parse::<Target>().expect(text).as_ref(), text);
        }
        let is_name = |text: &str| text.parse::<Target>().expect(text).is_name();
        assert!(is_name("robot/arm") && is_name("room:7") && is_name("fe80::1"));
        assert!(!is_name("127.0.0.1:9000") && !is_name("[fe80::1%eth0]:9000"));
    }

    #[test]
    fn an_address_whose_port_is_impossible_is_no_name() {
        for text in ["127.0.0.1:70000", "127.0.0.1:0", "127.0.0.1:-1", "[::1]:99999", "[fe80::1%eth0]:0"] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(error.to_string().contains("65535"), "{error}");
        }
        assert!("".parse::<Target>().is_err());
    }
}
