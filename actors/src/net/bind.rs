//! The address at which an endpoint listens, as the user writes it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

pub use self::error::BindError;
pub use self::listen::{BoundListener, address_of};
use crate::net::interfaces::AddressPattern;
use crate::net::zone::{self, ZonedAddress};

mod error;
mod listen;

/// The address of an endpoint's listener. The default is every interface of the mesh and a free port.
///
/// ```
/// # use meshzero_actors::net::bind::{BindAddress, BindError};
/// for text in ["9000", "192.168.1.7", "192.168.1.7:9000", "[fe80::1]:9000", "192.168.*", "localhost:9000"] {
///     text.parse::<BindAddress>()?;
/// }
/// assert_eq!("9000".parse::<BindAddress>()?.to_string(), "*:9000");
/// # Ok::<(), BindError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindAddress {
    host: BindHost,
    port: Option<u16>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum BindHost {
    #[default]
    Any,
    /// An address, with its zone if one was given; the port is 0.
    Ip(SocketAddr),
    Pattern(AddressPattern),
    Name(String),
}

impl FromStr for BindAddress {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        let unreadable = || BindError::Unreadable { text: text.to_owned() };
        let text = text.trim();
        if text.is_empty() {
            return Err(unreadable());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self { host: BindHost::Any, port: Some(text.parse().map_err(|_| unreadable())?) });
        }
        if let Some(ip) = zone::parse_ip(text)? {
            return Ok(Self { host: BindHost::ip(ip), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| unreadable())?)),
            None => (text, None),
        };
        let is_address = host.parse::<Ipv4Addr>().is_ok() || host.starts_with('[');
        if is_address && let Some(ip) = zone::parse_ip(host)? {
            return Ok(Self { host: BindHost::ip(ip), port });
        }
        let host = match host {
            "" => BindHost::Any,
            host if host.contains('*') => BindHost::Pattern(host.parse().map_err(|_| unreadable())?),
            host if is_host_name(host) => BindHost::Name(host.to_owned()),
            _ => return Err(unreadable()),
        };
        Ok(Self { host, port })
    }
}

fn is_host_name(text: &str) -> bool {
    // A text of digits and dots alone is a mistyped address, not a name.
    text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

impl BindHost {
    fn ip(address: SocketAddr) -> Self {
        if address.ip().is_unspecified() { Self::Any } else { Self::Ip(address) }
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            BindHost::Any => f.write_str("*")?,
            BindHost::Ip(address) => {
                let text = ZonedAddress(*address).to_string();
                let ip = text.rsplit_once(':').map_or("", |(ip, _)| ip);
                f.write_str(if self.port.is_some() { ip } else { ip.trim_matches(['[', ']']) })?;
            }
            BindHost::Pattern(pattern) => write!(f, "{pattern}")?,
            BindHost::Name(name) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::net::interfaces::Interfaces;
    use crate::net::network::Network;

    #[test]
    fn bind_addresses_are_read_and_written() {
        for (text, expected) in [
            ("9000", "*:9000"),
            ("192.168.1.7", "192.168.1.7"),
            ("192.168.1.7:9000", "192.168.1.7:9000"),
            ("[::1]:9000", "[::1]:9000"),
            ("[::1]", "::1"),
            ("192.168.*", "192.168.*"),
            ("192.168.*:9000", "192.168.*:9000"),
            ("0.0.0.0:9000", "*:9000"),
            (":9000", "*:9000"),
            ("localhost:9000", "localhost:9000"),
            ("fe80::1", "fe80::1"),
            ("[fe80::1]:9000", "[fe80::1]:9000"),
        ] {
            let bind: BindAddress = text.parse().expect(text);
            assert_eq!(bind.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn an_invalid_bind_address_is_an_error_that_shows_valid_ones() {
        for text in
            ["", " ", "70000", "127.0.0.1:70000", "host:port", "a b", "1.2.3.4.5:1", "99999999999999999999"]
        {
            let error = text.parse::<BindAddress>().expect_err(text);
            assert!(error.to_string().contains("192.168.*"), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn an_address_of_another_computer_is_an_error_that_names_it() {
        // An address for documentation, which no host has (RFC 5737).
        let bind: BindAddress = "192.0.2.1:9000".parse().expect("an address");
        let error =
            bind.listen(&Network::default(), &Interfaces::loopback(), None).await.expect_err("not ours");
        assert_eq!(error.to_string(), "192.0.2.1 is not an address of this computer");
    }

    #[tokio::test]
    async fn a_named_address_is_free_and_is_not_reserved() {
        let interfaces = Interfaces::loopback();
        let ports = 0xc000..=0xffff;
        let named = BindAddress::default().name(&interfaces, &ports, |_| false).await.expect("there is one");
        assert!(ports.contains(&named.port()) && named.ip().is_loopback(), "{named}");
        let other = TcpListener::bind(named).expect("it is free");
        let only = named.port()..=named.port();
        let error =
            BindAddress::default().name(&interfaces, &only, |_| false).await.expect_err("it is in use");
        assert!(matches!(error, BindError::RangeInUse { .. }), "{error}");
        drop(other);
        let error = BindAddress::default().name(&interfaces, &only, |_| true).await.expect_err("it is taken");
        assert!(matches!(error, BindError::RangeInUse { .. }), "{error}");
        let complete: BindAddress = "192.0.2.1:9".parse().expect("an address");
        let unchanged = complete.name(&interfaces, &ports, |_| true).await.expect("it is named as it is");
        assert_eq!(unchanged.to_string(), "192.0.2.1:9");
        let error = "192.0.2.1"
            .parse::<BindAddress>()
            .expect("an address")
            .name(&interfaces, &ports, |_| false)
            .await;
        assert!(matches!(error, Err(BindError::NotHere { .. })), "{error:?}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_and_a_range_finds_the_next() {
        let interfaces = Interfaces::loopback();
        let first =
            BindAddress::default().listen(&Network::default(), &interfaces, None).await.expect("a free port");
        let port = first.bound.port();
        let again: BindAddress = port.to_string().parse().expect("a port");
        let error = again.listen(&Network::default(), &interfaces, None).await.expect_err("taken");
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        let error = BindAddress::default()
            .listen(&Network::default(), &interfaces, Some(&(port..=port)))
            .await
            .expect_err("taken");
        assert!(matches!(error, BindError::RangeInUse { .. }), "{error}");
    }
}
