//! The distinction between names of services and addresses: one rule for advertising, for discovery, and for every
//! application.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::net::zone::{ZoneError, parse, parse_port};

/// The result of reading a text that is a service's name or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOrAddress<'a> {
    /// A name, and nothing else.
    Name,
    /// An IP address with a port.
    Address(SocketAddr),
    /// A host with a port; unless the host is this one, it can be a name as well.
    Host(HostPort<'a>),
}

/// A text that is not a name, and not a usable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// The zone of the address is not one of this host, or is missing.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// A URL.
    #[error("{text:?} is a URL, and neither a name nor an address; write host:port alone, such as {example}")]
    Url {
        /// The text.
        text: String,
        /// The host and the port in it, or an example if it does not have both.
        example: String,
    },
    /// An IPv6 address with a port and without brackets.
    #[error("{text:?} lacks the brackets around an IPv6 address with a port; write {example}")]
    Brackets {
        /// The text.
        text: String,
        /// The address in its correct form.
        example: String,
    },
    /// An address, or rather a host, with an impossible port.
    #[error("{text:?} has no valid port: ports go from 1 to 65535")]
    Port {
        /// The text.
        text: String,
    },
}

impl InvalidAddress {
    /// Returns the text.
    pub fn text(&self) -> &str {
        match self {
            Self::Zone(zone) => zone.text(),
            Self::Url { text, .. } | Self::Brackets { text, .. } | Self::Port { text } => text,
        }
    }
}

/// A host's name and a port: `lab.local:9000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// The name, which is not an IP address.
    pub host: &'a str,
    /// The port, which is not 0.
    pub port: u16,
}

impl HostPort<'_> {
    /// Returns whether this is a host only: a service that is named `localhost` must not be found by it.
    pub fn is_localhost(&self) -> bool {
        is_localhost(self.host)
    }

    /// Returns whether this is more likely a host than a service's name with a number after it, such as `room:7`.
    pub fn is_likely(&self) -> bool {
        is_likely(self.host)
    }

    /// Returns the address, if it needs no name server.
    pub fn address(&self) -> Option<SocketAddr> {
        self.is_localhost().then(|| (Ipv4Addr::LOCALHOST, self.port).into())
    }
}

/// Reads a service's name or an address. The length of a name is not checked.
///
/// # Errors
/// [`InvalidAddress`]: no service can have this name, and it is not a valid address.
pub fn read(text: &str) -> Result<NameOrAddress<'_>, InvalidAddress> {
    if let Some(example) = within_url(text) {
        return Err(InvalidAddress::Url { text: text.to_owned(), example: example.to_owned() });
    }
    let no_port = || InvalidAddress::Port { text: text.to_owned() };
    let trimmed = text.trim();
    let Some((host, port)) = trimmed.rsplit_once(':') else { return Ok(NameOrAddress::Name) };
    let valid_port = parse_port(port).filter(|port| *port > 0);
    if is_ip(host, trimmed) && port.parse::<i64>().is_ok() {
        let port = valid_port.ok_or_else(no_port)?;
        return parse(trimmed)?.map(NameOrAddress::Address).ok_or_else(|| InvalidAddress::Brackets {
            text: text.to_owned(),
            example: format!("[{host}]:{port}"),
        });
    }
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match valid_port {
        _ if !is_number || !(is_host_name(host) || is_short_ip(host)) => Ok(NameOrAddress::Name),
        Some(port) => Ok(NameOrAddress::Host(HostPort { host, port })),
        None if is_likely(host) => Err(no_port()),
        None => Ok(NameOrAddress::Name),
    }
}

/// Returns whether a service of this name could be found: the text does not mean an address.
pub(crate) fn is_name(text: &str) -> bool {
    match read(text) {
        Ok(NameOrAddress::Name) => true,
        Ok(NameOrAddress::Host(host)) => !host.is_localhost(),
        Ok(NameOrAddress::Address(_)) | Err(_) => false,
    }
}

/// Returns whether the part of `text` before its last colon is an IP address, with or without a zone, so that the text is not
/// a name.
fn is_ip(part: &str, text: &str) -> bool {
    match part.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
        Some(ip) => ip.split_once('%').map_or(ip, |(ip, _)| ip).parse::<IpAddr>().is_ok(),
        // An IPv6 address without brackets and port has colons as well.
        None => part.parse::<IpAddr>().is_ok() && text.parse::<IpAddr>().is_err(),
    }
}

/// Returns whether this can be the name of a host, which an IP address cannot.
fn is_host_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !name.starts_with(['-', '.'])
}

/// Returns whether this is an IP address in a short form that systems resolve, such as `127.1`.
fn is_short_ip(text: &str) -> bool {
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u8>().is_ok();
    (2..4).contains(&text.split('.').count()) && text.split('.').all(is_part)
}

fn is_likely(host: &str) -> bool {
    host.contains('.') || is_localhost(host)
}

fn is_localhost(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
}

/// The schemes of URLs that users write for a program with a port.
const SCHEMES: [&str; 6] = ["tcp", "udp", "http", "https", "ws", "wss"];

/// Reads a URL in place of an address or a service's name, such as `tcp://192.168.1.7:9000/`. Returns the text to write
/// instead: its host and port, or an example if it does not have both. `None` for all other texts: others with `://` are names.
///
/// This applies to every URL of TCP, UDP, HTTP and WebSocket, and to a URL of any other scheme with a literal `ip:port`.
pub fn within_url(text: &str) -> Option<&str> {
    let (scheme, rest) = text.trim().split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = parse(authority);
    let is_known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if !is_scheme || (!is_known && address == Ok(None)) {
        return None;
    }
    let is_complete = match address {
        Ok(Some(address)) => address.port() > 0,
        Ok(None) => is_host_with_port(authority),
        Err(_) => false,
    };
    Some(if is_complete { authority } else { "192.168.1.7:9000" })
}

fn is_host_with_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| is_host_name(host) && parse_port(port).is_some_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_url_says_what_to_write() {
        for (text, expected) in [
            ("tcp://127.0.0.1:9000", "127.0.0.1:9000"),
            (" HTTP://localhost:9000/path?query ", "localhost:9000"),
            ("wss://[::1]:9#part", "[::1]:9"),
            ("ros://10.0.0.1:7", "10.0.0.1:7"),
            ("http://robot.local", "192.168.1.7:9000"),
            ("http://[::1]", "192.168.1.7:9000"),
            ("http://:9000", "192.168.1.7:9000"),
            ("http://host:0", "192.168.1.7:9000"),
            ("http://host:70000", "192.168.1.7:9000"),
            ("http://1.2.3:4", "192.168.1.7:9000"),
            ("http://10.0.0.256:80", "192.168.1.7:9000"),
            ("http://user@host:80", "192.168.1.7:9000"),
            ("tcp://*:9000", "192.168.1.7:9000"),
            ("tcp://[fe80::1]:9", "192.168.1.7:9000"),
            ("http://", "192.168.1.7:9000"),
        ] {
            assert_eq!(within_url(text), Some(expected), "{text}");
            let (text, example) = (text.to_owned(), expected.to_owned());
            assert_eq!(read(&text), Err(InvalidAddress::Url { text: text.clone(), example }));
        }
        for text in ["ros://robot:7", "://", "a://b", "http:robot", "robot/arm", "a b://10.0.0.1:7"] {
            assert_eq!(within_url(text), None, "{text}");
            assert!(is_name(text), "{text}");
        }
    }

    #[test]
    fn an_address_is_not_a_name() {
        for text in ["127.0.0.1:9", " 127.0.0.1:9 ", "[::1]:9"] {
            let address = text.trim().parse().expect("an address");
            assert_eq!(read(text), Ok(NameOrAddress::Address(address)));
            assert!(!is_name(text), "{text}");
        }
        for text in ["localhost:9000", "LocalHost:1"] {
            let Ok(NameOrAddress::Host(host)) = read(text) else { panic!("{text} is a host") };
            assert_eq!(host.address(), Some((Ipv4Addr::LOCALHOST, host.port).into()));
            assert!(!is_name(text), "{text}");
        }
        for text in ["[fe80::1]:9", "[fe80::1%nosuch0]:9"] {
            assert!(matches!(read(text), Err(InvalidAddress::Zone(_))) && !is_name(text), "{text}");
        }
    }

    #[test]
    fn an_address_or_a_host_without_a_possible_port_is_neither() {
        for text in [
            "127.0.0.1:70000",
            "127.0.0.1:0",
            "127.0.0.1:-1",
            "[::1]:99999",
            "[fe80::1%lo]:0",
            "1:2:3:4:5:6:7:8:0",
            "localhost:0",
            "lab.local:65536",
        ] {
            assert_eq!(read(text), Err(InvalidAddress::Port { text: text.to_owned() }), "{text}");
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn the_error_for_missing_brackets_says_where_they_belong() {
        let text = "1:2:3:4:5:6:7:8:9000".to_owned();
        let example = "[1:2:3:4:5:6:7:8]:9000".to_owned();
        assert_eq!(read(&text), Err(InvalidAddress::Brackets { text: text.clone(), example }));
        assert!(!is_name(&text));
    }

    #[test]
    fn everything_else_is_a_name_even_if_a_host_has_it() {
        for (text, is_likely) in [
            ("lab.local:9000", true),
            ("v1.2:7", true),
            ("127.1:9000", true),
            ("10.1.2:9000", true),
            ("room:7", false),
            ("raspberry-pi:9000", false),
        ] {
            let Ok(NameOrAddress::Host(host)) = read(text) else { panic!("{text} is a host") };
            assert_eq!((host.is_likely(), host.address()), (is_likely, None), "{text}");
            assert!(is_name(text), "{text}");
        }
        for text in [
            "robot/arm",
            "localhost",
            "10.0.0.1",
            "fe80::1",
            "a:70000",
            "温度:7",
            "a b:7",
            ":9",
            "12:4",
            "10.0.0.256:80",
            "10.300:80",
            "1.2.3.4.5:6",
            "1..2:7",
            "1.:7",
            ".1:7",
            "2024.11:70000",
        ] {
            assert_eq!(read(text), Ok(NameOrAddress::Name), "{text}");
            assert!(is_name(text), "{text}");
        }
    }
}
