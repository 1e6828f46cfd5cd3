//! Whom a command is about: a service's name, or the address of one as text.

mod host;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use meshzero::zero::Address;
use meshzero::{InvalidName, Mesh, ServiceName, ServiceRef};
use tokio::time::{Instant, sleep_until};

use self::host::Host;
use crate::failure::Failure;

/// How long is looked for a service of a name that may be that of a host as well, before the host is asked.
const NAME_FIRST: Duration = Duration::from_millis(500);

/// A service's name, an `ip:port` or a `host:port`.
///
/// `localhost:9000` and hosts with a dot in their names are hosts. A bare word with a port is a service of that very name, such
/// as `room:7`, and the host where there is no such service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    text: ServiceName,
    host: Option<Host>,
}

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
        let host = Host::read(text).map_err(|_| InvalidTarget::Port { text: text.to_owned() })?;
        Ok(Self { text: name, host })
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
    /// Finds it and connects to it.
    ///
    /// # Errors
    /// [`Failure`]: nobody is there in time.
    ///
    /// # Cancel safety
    /// Dropping the future looks no further.
    pub(crate) async fn discover(&self, mesh: &Mesh, wait: Duration) -> Result<ServiceRef, Failure> {
        let begun = Instant::now();
        let Some(host) = &self.host else { return Ok(mesh.discover(&self.text).within(wait).await?) };
        if host.is_certain() {
            return host.discover(mesh, begun + wait).await;
        }
        let mut by_name = std::pin::pin!(async { mesh.discover(&self.text).within(wait).await });
        let by_host = async {
            sleep_until(begun + NAME_FIRST.min(wait / 2)).await;
            host.discover(mesh, begun + wait).await
        };
        tokio::select! {
            biased;
            found = &mut by_name => Ok(found?),
            found = by_host => match found {
                Ok(service) => Ok(service),
                // Then it is a name like any other.
                Err(_) => Ok(by_name.await?),
            },
        }
    }

    /// Returns whether `service`, which was found by this, has it as its name: then there may be others.
    pub(crate) fn is_name_of(&self, service: &ServiceRef) -> bool {
        port(&self.text).is_none() && service.name() == self.text.as_str()
    }
}

impl AsRef<str> for Target {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
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
        let host = |text: &str| text.parse::<Target>().expect(text).host.map(|host| host.is_certain());
        for text in [
            "robot/arm",
            "room:x",
            "fe80::1",
            "127.0.0.1:9000",
            "[::1]:9000",
            "a b:7",
            "温度:7",
            "room:70000",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
        for text in ["localhost:9000", "Localhost:1", "lab.local:9000", "www.example.org.:65535"] {
            assert_eq!(host(text), Some(true), "{text}");
        }
        for text in ["room:7", "raspberry-pi:9000", "h_1:1"] {
            assert_eq!(host(text), Some(false), "{text}");
        }
    }

    #[test]
    fn an_address_whose_port_is_impossible_is_no_name() {
        for text in [
            "127.0.0.1:70000",
            "127.0.0.1:0",
            "127.0.0.1:-1",
            "[::1]:99999",
            "localhost:0",
            "lab.local:65536",
            "[fe80::1%eth0]:0",
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(error.to_string().contains("65535"), "{error}");
        }
        assert!("".parse::<Target>().is_err());
    }
}
