//! Where an endpoint listens: what the user asked for, and the listener that came of it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::bound::Bound;
use crate::host;
use crate::interfaces::{ChosenAddresses, Interfaces, InterfacesError, Pattern};
use crate::listeners::{Chosen, Listeners};
use crate::network::{Listener, Network};
use crate::resolve::resolve;
use crate::zone::{self, Named, ZoneError};

/// Where an endpoint is to listen. The default is every interface of the mesh and a free port.
///
/// ```
/// # use meshzero_actors::place::{Place, PlaceError};
/// for text in ["9000", "192.168.1.7", "192.168.1.7:9000", "[fe80::1]:9000", "192.168.*", "localhost:9000"] {
///     text.parse::<Place>()?;
/// }
/// assert_eq!("9000".parse::<Place>()?.to_string(), "*:9000");
/// # Ok::<(), PlaceError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Host {
    #[default]
    Any,
    /// With the zone, as far as it is given; the port is 0.
    Ip(SocketAddr),
    Pattern(Pattern),
    Name(String),
}

/// Why there is no endpoint.
///
/// ```
/// # use meshzero_actors::place::{Place, PlaceError};
/// let error = "192.168.1.7:70000".parse::<Place>().expect_err("ports go up to 65535");
/// assert!(matches!(&error, PlaceError::Unreadable { text } if text == "192.168.1.7:70000"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
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
        /// What the system said.
        error: io::Error,
    },
    /// No interface of this host fits.
    #[error(transparent)]
    Interfaces(#[from] InterfacesError),
    /// Another program, or another service, has the address.
    #[error("{} is in use already; choose another port, or none to get a free one", Named(*.address))]
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
    #[error("cannot listen at {}: {error}", Named(*.address))]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let unreadable = || PlaceError::Unreadable { text: text.to_owned() };
        let text = text.trim();
        if text.is_empty() {
            return Err(unreadable());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self { host: Host::Any, port: Some(text.parse().map_err(|_| unreadable())?) });
        }
        if let Some(ip) = zone::parse_ip(text)? {
            return Ok(Self { host: Host::ip(ip), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| unreadable())?)),
            None => (text, None),
        };
        let is_address = host.parse::<Ipv4Addr>().is_ok() || host.starts_with('[');
        if is_address && let Some(ip) = zone::parse_ip(host)? {
            return Ok(Self { host: Host::ip(ip), port });
        }
        let host = match host {
            "" => Host::Any,
            host if host.contains('*') => Host::Pattern(host.parse().map_err(|_| unreadable())?),
            host if is_host_name(host) => Host::Name(host.to_owned()),
            _ => return Err(unreadable()),
        };
        Ok(Self { host, port })
    }
}

fn is_host_name(text: &str) -> bool {
    // Digits and dots alone are a mistyped address, not a name.
    text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

impl Host {
    fn ip(address: SocketAddr) -> Self {
        if address.ip().is_unspecified() { Self::Any } else { Self::Ip(address) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => f.write_str("*")?,
            Host::Ip(address) => {
                let text = Named(*address).to_string();
                let ip = text.rsplit_once(':').map_or("", |(ip, _)| ip);
                f.write_str(if self.port.is_some() { ip } else { ip.trim_matches(['[', ']']) })?;
            }
            Host::Pattern(pattern) => write!(f, "{pattern}")?,
            Host::Name(name) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Place {
    /// Listens there. Without a port, one is taken from `ports`, or from the system where that is `None`.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub async fn listen(
        &self,
        network: &Network,
        interfaces: &Interfaces,
        ports: Option<&RangeInclusive<u16>>,
    ) -> Result<Listening, PlaceError> {
        let way = self.way(network, interfaces).await?;
        let candidates = match (self.port, ports) {
            (Some(port), _) => vec![port],
            (None, Some(range)) => in_turn(range),
            (None, None) => vec![0],
        };
        let mut in_use = None;
        for port in candidates {
            match way.listen(network, port) {
                Ok((listeners, bound)) => return Listening::new(listeners, bound, interfaces),
                Err(PlaceError::InUse { address }) => in_use = Some(address),
                Err(error) => return Err(error),
            }
        }
        match (in_use, ports, self.port) {
            (Some(address), None, _) | (Some(address), _, Some(_)) => Err(PlaceError::InUse { address }),
            (_, Some(range), None) => Err(PlaceError::RangeInUse { range: range.clone() }),
            (None, _, _) => Err(PlaceError::Unreadable { text: self.to_string() }),
        }
    }

    /// The address that is meant, without listening there. A port that it does not name is one of `ports`, at which nobody
    /// listens now; nobody holds it, so that whoever is told the address can listen there. One that `is_taken` is passed over.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub async fn name(
        &self,
        interfaces: &Interfaces,
        ports: &RangeInclusive<u16>,
        is_taken: impl Fn(SocketAddr) -> bool,
    ) -> Result<SocketAddr, PlaceError> {
        let mut address = self.address(interfaces).await?;
        if address.port() > 0 {
            return Ok(address);
        }
        for port in in_turn(ports) {
            address.set_port(port);
            match TcpListener::bind(address) {
                _ if is_taken(address) => {}
                Ok(_) => return Ok(address),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    return Err(PlaceError::NotHere { ip: address.ip() });
                }
                Err(error) => return Err(PlaceError::Refused { address, error }),
            }
        }
        Err(PlaceError::RangeInUse { range: ports.clone() })
    }

    /// The address that is meant, without listening there; port 0 if it names none.
    async fn address(&self, interfaces: &Interfaces) -> Result<SocketAddr, PlaceError> {
        let address = match &self.host {
            Host::Any => Some(interfaces.preferred_address()?),
            _ => self.addresses(interfaces).await?.first().copied(),
        };
        let mut address = address.ok_or_else(|| PlaceError::Unreadable { text: self.to_string() })?;
        address.set_port(self.port.unwrap_or(0));
        Ok(address)
    }

    /// Resolves the place to addresses or to a choice of interfaces.
    async fn way(&self, network: &Network, interfaces: &Interfaces) -> Result<Way, PlaceError> {
        // Another network has one address for each host.
        let is_system = network.has_multicast();
        match self.host {
            Host::Any if is_system && interfaces.is_choice_of_networks() => {
                Ok(Way::Chosen(interfaces.list_all()?.all))
            }
            _ => Ok(Way::First(self.addresses(interfaces).await?)),
        }
    }

    /// The addresses to try, of which the first that works is taken.
    async fn addresses(&self, interfaces: &Interfaces) -> Result<Vec<SocketAddr>, PlaceError> {
        let plain = |ip: IpAddr| SocketAddr::new(ip, 0);
        Ok(match &self.host {
            Host::Any if interfaces.is_loopback() => vec![plain(Ipv4Addr::LOCALHOST.into())],
            // Also when this host has nothing but loopback yet.
            Host::Any => vec![plain(Ipv6Addr::UNSPECIFIED.into()), plain(Ipv4Addr::UNSPECIFIED.into())],
            Host::Ip(address) => vec![zoned(*address)],
            Host::Pattern(pattern) => vec![plain(interfaces.matching(pattern)?)],
            Host::Name(host) => {
                let unresolvable = |error| PlaceError::Unresolvable { host: host.clone(), error };
                let found = resolve((host.clone(), 0)).await.map_err(unresolvable)?;
                if found.is_empty() {
                    return Err(unresolvable(io::ErrorKind::NotFound.into()));
                }
                found
            }
        })
    }
}

/// All ports of a range, beginning with any: a program that starts again does not get the port of another that has just ended,
/// and that others still call.
fn in_turn(range: &RangeInclusive<u16>) -> Vec<u16> {
    let mut ports: Vec<u16> = range.clone().collect();
    let first = fastrand::usize(..ports.len().max(1));
    ports.rotate_left(first);
    ports
}

/// A link-local address of this host is on a link that this host knows.
fn zoned(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, host::zone_of(*v6.ip()).unwrap_or(0)).into()
        }
        other => other,
    }
}

/// How to listen, at whatever port.
enum Way {
    /// At the first of these addresses that works.
    First(Vec<SocketAddr>),
    /// At each of the chosen addresses.
    Chosen(ChosenAddresses),
}

impl Way {
    fn listen(&self, network: &Network, port: u16) -> Result<(Listeners, Bound), PlaceError> {
        match self {
            Self::First(addresses) => {
                let listener = listen_at(network, addresses, port)?;
                let refused =
                    |error| PlaceError::Refused { address: (Ipv4Addr::UNSPECIFIED, port).into(), error };
                let bound = Bound::At(listener.local_addr().map_err(refused)?);
                Ok((Listeners::One(listener), bound))
            }
            Self::Chosen(addresses) => match Chosen::listen(addresses, port) {
                Ok(chosen) => {
                    let bound = chosen.bound().clone();
                    Ok((Listeners::Chosen(chosen), bound))
                }
                Err((address, error)) if error.kind() == io::ErrorKind::AddrInUse => {
                    Err(PlaceError::InUse { address })
                }
                Err((address, error)) => Err(PlaceError::Refused { address, error }),
            },
        }
    }
}

fn listen_at(network: &Network, addresses: &[SocketAddr], port: u16) -> Result<Listener, PlaceError> {
    let mut refused = None;
    for address in addresses {
        let mut address = *address;
        address.set_port(port);
        let ip = address.ip();
        match network.listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(PlaceError::InUse { address });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && !ip.is_unspecified() => {
                refused = Some(PlaceError::NotHere { ip });
            }
            // A system without IPv6 refuses the first address and takes the second.
            Err(error) => refused = Some(PlaceError::Refused { address, error }),
        }
    }
    Err(refused.unwrap_or_else(|| PlaceError::Unreadable { text: port.to_string() }))
}

/// The sockets, and the address to show to people.
#[derive(Debug)]
pub struct Listening {
    /// The sockets.
    pub listeners: Listeners,
    /// Where they listen.
    pub bound: Bound,
    /// Where others can reach it; the IP address is unspecified as long as there is none.
    pub address: SocketAddr,
}

impl Listening {
    fn new(listeners: Listeners, bound: Bound, interfaces: &Interfaces) -> Result<Self, PlaceError> {
        let address = address_of(&bound, interfaces)?;
        Ok(Self { listeners, bound, address })
    }
}

/// The address at which others can reach an endpoint now; the IP address is unspecified as long as there is none.
///
/// # Errors
/// The system does not tell which addresses there are.
pub fn address_of(bound: &Bound, interfaces: &Interfaces) -> Result<SocketAddr, PlaceError> {
    Ok(match bound {
        Bound::At(address) if !address.ip().is_unspecified() => *address,
        _ => {
            let mut preferred = interfaces.preferred_address()?;
            preferred.set_port(bound.port());
            if bound.takes(preferred) { preferred } else { bound.summary() }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        for (text, shown) in [
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
            let place: Place = text.parse().expect(text);
            assert_eq!(place.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_says_what_one_looks_like() {
        for text in
            ["", " ", "70000", "127.0.0.1:70000", "host:port", "a b", "1.2.3.4.5:1", "99999999999999999999"]
        {
            let error = text.parse::<Place>().expect_err(text);
            assert!(error.to_string().contains("192.168.*"), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn an_address_of_another_computer_is_named() {
        // One that documentation may use, and nobody has (RFC 5737).
        let place: Place = "192.0.2.1:9000".parse().expect("an address");
        let error =
            place.listen(&Network::System, &Interfaces::loopback(), None).await.expect_err("not ours");
        assert_eq!(error.to_string(), "192.0.2.1 is not an address of this computer");
    }

    #[tokio::test]
    async fn an_address_that_is_named_is_free_and_is_not_held() {
        let interfaces = Interfaces::loopback();
        let ports = 0xc000..=0xffff;
        let named = Place::default().name(&interfaces, &ports, |_| false).await.expect("there is one");
        assert!(ports.contains(&named.port()) && named.ip().is_loopback(), "{named}");
        let other = TcpListener::bind(named).expect("nobody holds it");
        let only = named.port()..=named.port();
        let error = Place::default().name(&interfaces, &only, |_| false).await.expect_err("it is in use");
        assert!(matches!(error, PlaceError::RangeInUse { .. }), "{error}");
        drop(other);
        let error = Place::default().name(&interfaces, &only, |_| true).await.expect_err("it is taken");
        assert!(matches!(error, PlaceError::RangeInUse { .. }), "{error}");
        let whole: Place = "192.0.2.1:9".parse().expect("an address");
        let shown = whole.name(&interfaces, &ports, |_| true).await.expect("it is named as it is");
        assert_eq!(shown.to_string(), "192.0.2.1:9");
        let error =
            "192.0.2.1".parse::<Place>().expect("an address").name(&interfaces, &ports, |_| false).await;
        assert!(matches!(error, Err(PlaceError::NotHere { .. })), "{error:?}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_and_a_range_finds_the_next() {
        let interfaces = Interfaces::loopback();
        let first = Place::default().listen(&Network::System, &interfaces, None).await.expect("a free port");
        let port = first.bound.port();
        let again: Place = port.to_string().parse().expect("a port");
        let error = again.listen(&Network::System, &interfaces, None).await.expect_err("taken");
        assert!(matches!(error, PlaceError::InUse { .. }), "{error}");
        let error = Place::default()
            .listen(&Network::System, &interfaces, Some(&(port..=port)))
            .await
            .expect_err("taken");
        assert!(matches!(error, PlaceError::RangeInUse { .. }), "{error}");
    }
}
