//! Which network interfaces a node uses, and what its own addresses are, on every system.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::str::FromStr;

use meshzero_proto::addresses::OwnAddress;

/// The interfaces that a node listens, announces and asks on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What was chosen; empty means every interface.
    choices: Vec<Choice>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    /// The loopback interface, whatever this system calls it.
    Loopback,
    Name(String),
    Address(IpAddr),
    Network(OwnAddress),
    Pattern(Pattern),
}

/// IPv4 addresses by their leading numbers, such as `192.168.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Option<u8>>);

/// One address of one interface of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The system's name for it, such as `eth0`.
    pub name: String,
    /// The system's number for it, where it has one.
    pub index: Option<u32>,
    /// The address and the length of its network's prefix.
    pub address: OwnAddress,
}

/// Why a choice of interfaces cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterfacesError {
    /// A part of the text is neither a name, an address, a network nor a pattern.
    #[error(
        "\"{part}\" is no interface: write names, addresses, networks or patterns, such as \"lo\", \"192.168.1.5\", \"192.168.1.0/24\" or \"192.168.*\""
    )]
    Unreadable {
        /// The part.
        part: String,
    },
    /// No interface of this host is what was chosen.
    #[error("this host has no interface \"{chosen}\"; it has {}", existing.join(", "))]
    NoSuchInterface {
        /// What was chosen.
        chosen: String,
        /// What exists, as `name (address)`.
        existing: Vec<String>,
    },
    /// The system does not list its interfaces.
    #[error("the network interfaces cannot be listed: {0}")]
    Unlisted(String),
}

impl Interfaces {
    /// Loopback only: nothing leaves this host.
    pub fn loopback() -> Self {
        Self { choices: vec![Choice::Loopback] }
    }

    /// The chosen addresses of this host, as they are now.
    ///
    /// # Errors
    /// [`InterfacesError::Unlisted`] when the system does not tell.
    pub fn list(&self) -> Result<Vec<Interface>, InterfacesError> {
        let mut all = list_all()?;
        all.retain(|interface| self.includes(&interface.name, interface.address.ip));
        Ok(all)
    }

    /// The chosen addresses of this host, or an error that says what there is instead.
    ///
    /// # Errors
    /// [`InterfacesError::NoSuchInterface`] when a part of the choice fits nothing.
    pub fn check(&self) -> Result<Vec<Interface>, InterfacesError> {
        let all = list_all()?;
        for choice in &self.choices {
            if !all.iter().any(|interface| choice.includes(&interface.name, interface.address.ip)) {
                return Err(no_such(&choice.to_string(), &all));
            }
        }
        self.list()
    }

    /// Whether every interface is used, because none was chosen.
    pub fn are_all(&self) -> bool {
        self.choices.is_empty()
    }

    /// Whether an address of the interface `name` is chosen.
    pub fn includes(&self, name: &str, ip: IpAddr) -> bool {
        self.choices.is_empty() || self.choices.iter().any(|choice| choice.includes(name, ip))
    }

    /// The one address to show to people: on the interface of the default route, else in 192.168.*, else in another
    /// private network, else any, else loopback.
    ///
    /// # Errors
    /// As [`Interfaces::list`].
    pub fn preferred_address(&self) -> Result<IpAddr, InterfacesError> {
        Ok(prefer(&self.list()?, default_route_address()))
    }

    /// The address that fits `pattern`, the preferred one if several do.
    ///
    /// # Errors
    /// [`InterfacesError::NoSuchInterface`] when none fits.
    pub fn matching(&self, pattern: &Pattern) -> Result<IpAddr, InterfacesError> {
        let mut fitting = self.list()?;
        fitting.retain(|interface| pattern.fits(interface.address.ip));
        if fitting.is_empty() {
            return Err(no_such(&pattern.to_string(), &list_all()?));
        }
        Ok(prefer(&fitting, default_route_address()))
    }

    /// The chosen interfaces in words, for an error about what was heard on them.
    pub fn describe(&self) -> Vec<String> {
        self.list().map(|list| list.iter().map(Interface::to_string).collect()).unwrap_or_default()
    }
}

impl FromStr for Interfaces {
    type Err = InterfacesError;

    /// Reads names, addresses, networks and patterns, separated by commas; `lo` is loopback on every system, and `all`
    /// or nothing means every interface.
    fn from_str(text: &str) -> Result<Self, InterfacesError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let choices: Vec<Choice> =
            parts.clone().filter(|part| *part != "all").map(str::parse).collect::<Result<_, _>>()?;
        if parts.into_iter().any(|part| part == "all") {
            return Ok(Self::default());
        }
        Ok(Self { choices })
    }
}

impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.choices.is_empty() {
            return f.write_str("all");
        }
        let choices: Vec<String> = self.choices.iter().map(Choice::to_string).collect();
        f.write_str(&choices.join(","))
    }
}

impl Choice {
    fn includes(&self, name: &str, ip: IpAddr) -> bool {
        match self {
            Self::Loopback => ip.is_loopback(),
            Self::Name(chosen) => chosen == name,
            Self::Address(chosen) => *chosen == ip,
            Self::Network(network) => network.shares_network_with(ip),
            Self::Pattern(pattern) => pattern.fits(ip),
        }
    }
}

impl FromStr for Choice {
    type Err = InterfacesError;

    fn from_str(part: &str) -> Result<Self, InterfacesError> {
        let unreadable = || InterfacesError::Unreadable { part: part.chars().take(80).collect() };
        if part == "lo" {
            return Ok(Self::Loopback);
        }
        if let Ok(address) = part.parse() {
            return Ok(Self::Address(address));
        }
        if let Ok(pattern) = part.parse() {
            return Ok(Self::Pattern(pattern));
        }
        if let Some((ip, prefix)) = part.split_once('/') {
            let ip: IpAddr = ip.parse().map_err(|_| unreadable())?;
            let prefix: u8 = prefix.parse().map_err(|_| unreadable())?;
            if prefix > if ip.is_ipv4() { 32 } else { 128 } {
                return Err(unreadable());
            }
            return Ok(Self::Network(OwnAddress { ip, prefix }));
        }
        // Windows has interface names such as "Wi-Fi 2" and "vEthernet (WSL)".
        let is_name = part.len() <= 256 && !part.chars().any(|c| c.is_control() || matches!(c, '*' | '/'));
        if is_name { Ok(Self::Name(part.to_owned())) } else { Err(unreadable()) }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("lo"),
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
            Self::Network(network) => write!(f, "{}/{}", network.ip, network.prefix),
            Self::Pattern(pattern) => write!(f, "{pattern}"),
        }
    }
}

impl Pattern {
    /// Whether an address fits.
    pub fn fits(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return false };
        self.0.iter().zip(ip.octets()).all(|(wanted, octet)| wanted.is_none_or(|wanted| wanted == octet))
    }
}

impl FromStr for Pattern {
    type Err = InterfacesError;

    /// Reads `*`, `192.168.*`, `10.*.*.1`: numbers and stars, of which at least one; a star at the end stands for all
    /// that is left out.
    fn from_str(text: &str) -> Result<Self, InterfacesError> {
        let unreadable = || InterfacesError::Unreadable { part: text.chars().take(80).collect() };
        let octet = |part: &str| match part {
            "*" => Ok(None),
            number => number.parse().map(Some).map_err(|_| unreadable()),
        };
        let octets: Vec<Option<u8>> = text.split('.').map(octet).collect::<Result<_, _>>()?;
        let whole = octets.len() == 4 || (octets.len() < 4 && text.ends_with('*'));
        if whole && octets.contains(&None) { Ok(Self(octets)) } else { Err(unreadable()) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.0.iter().map(|octet| octet.map_or("*".to_owned(), |octet| octet.to_string()));
        f.write_str(&octets.collect::<Vec<_>>().join("."))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address.ip)
    }
}

fn list_all() -> Result<Vec<Interface>, InterfacesError> {
    let listed = if_addrs::get_if_addrs().map_err(|error| InterfacesError::Unlisted(error.to_string()))?;
    let up = listed.into_iter().filter(|interface| interface.is_oper_up() || interface.is_loopback());
    let own = up.map(|interface| Interface {
        address: OwnAddress { ip: interface.ip(), prefix: prefix(&interface.addr) },
        name: interface.name,
        index: interface.index,
    });
    Ok(own.collect())
}

fn prefix(address: &if_addrs::IfAddr) -> u8 {
    match address {
        if_addrs::IfAddr::V4(v4) => v4.prefixlen,
        if_addrs::IfAddr::V6(v6) => v6.prefixlen,
    }
}

fn no_such(chosen: &str, all: &[Interface]) -> InterfacesError {
    let existing = all.iter().map(Interface::to_string).collect();
    InterfacesError::NoSuchInterface { chosen: chosen.to_owned(), existing }
}

fn prefer(interfaces: &[Interface], default_route: Option<IpAddr>) -> IpAddr {
    let rank = |ip: &IpAddr| match ip {
        ip if Some(*ip) == default_route => 0,
        IpAddr::V4(v4) if v4.octets()[..2] == [192, 168] => 1,
        IpAddr::V4(v4) if v4.is_private() => 2,
        IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_link_local() => 3,
        IpAddr::V6(v6) if !v6.is_loopback() && !v6.is_unicast_link_local() => 4,
        IpAddr::V4(v4) if v4.is_link_local() => 5,
        IpAddr::V4(_) => 6,
        IpAddr::V6(_) => 7,
    };
    let addresses = interfaces.iter().map(|interface| interface.address.ip);
    addresses.min_by_key(rank).unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// The address from which this host would reach the world. Connecting a UDP socket asks the routing table and sends
/// nothing; the address is one that documentation may use and nobody has (RFC 5737).
fn default_route_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, ip: &str) -> Interface {
        let address = OwnAddress { ip: ip.parse().expect("an address"), prefix: 24 };
        Interface { name: name.into(), index: None, address }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_choice_is_read_and_written() {
        for text in ["all", "lo", "eth0,192.168.1.7", "10.0.0.0/8,192.168.*", "fe80::/10,Wi-Fi 2"] {
            assert_eq!(text.parse::<Interfaces>().map(|i| i.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("".parse(), Ok(Interfaces::default()));
        assert_eq!(" lo , all".parse(), Ok(Interfaces::default()));
        for text in ["10.0.0.0/33", "10.0.0/8", "x/y", "192.*168", "a\tb"] {
            assert!(matches!(text.parse::<Interfaces>(), Err(InterfacesError::Unreadable { .. })), "{text}");
        }
    }

    #[test]
    fn a_choice_includes_what_it_names() {
        let chosen: Interfaces = "eth0,10.0.0.0/8,192.168.*".parse().expect("a choice");
        assert!(chosen.includes("eth0", ip("1.2.3.4")));
        assert!(chosen.includes("wlan0", ip("10.200.0.1")));
        assert!(chosen.includes("wlan0", ip("192.168.7.7")));
        assert!(!chosen.includes("wlan0", ip("172.16.0.1")));
        assert!(Interfaces::default().includes("anything", ip("::1")));
        assert!(Interfaces::loopback().includes("lo", ip("127.0.0.1")));
    }

    #[test]
    fn patterns_have_stars() {
        let fits = |pattern: &str, address| pattern.parse::<Pattern>().map(|p| p.fits(ip(address)));
        assert_eq!(fits("192.168.*", "192.168.3.4"), Ok(true));
        assert_eq!(fits("192.168.*", "192.169.3.4"), Ok(false));
        assert_eq!(fits("10.*.*.1", "10.2.3.1"), Ok(true));
        assert_eq!(fits("*", "10.2.3.1"), Ok(true));
        for text in ["192.168", "1.2.3.4", "1.2.3.4.*", "256.*", "", "a.*"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn people_are_shown_the_address_that_others_can_reach() {
        let all = [interface("lo", "127.0.0.1"), interface("a", "172.17.0.1"), interface("b", "192.168.1.5")];
        assert_eq!(prefer(&all, None), ip("192.168.1.5"));
        assert_eq!(prefer(&all, Some(ip("172.17.0.1"))), ip("172.17.0.1"));
        assert_eq!(prefer(&all[..1], None), ip("127.0.0.1"));
        assert_eq!(prefer(&[], None), ip("127.0.0.1"));
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error_that_lists_what_is() {
        let error =
            "lo,nosuch0".parse::<Interfaces>().expect("readable").check().expect_err("it does not exist");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        assert!(!Interfaces::loopback().list().expect("listable").is_empty());
    }
}
