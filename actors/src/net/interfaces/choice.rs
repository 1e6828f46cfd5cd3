//! One part of a choice of interfaces: loopback, a name, an address, a network, or a pattern of names or addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use meshzero_proto::discovery::addresses::OwnAddress;

use super::error::InterfacesError;
use super::pattern::{AddressPattern, NamePattern};
use crate::net::host::interfaces;

/// One part of a choice of interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InterfaceChoice {
    /// The loopback interface, whatever its name on this system.
    Loopback,
    Name(String),
    Names(NamePattern),
    Address(IpAddr),
    Network(OwnAddress),
    Pattern(AddressPattern),
}

impl InterfaceChoice {
    /// Returns whether it includes the address that the system lists under `name`.
    pub(super) fn includes(&self, name: &str, ip: IpAddr) -> bool {
        match self {
            Self::Loopback => ip.is_loopback(),
            Self::Name(_) | Self::Names(_) => self.names(name) || self.names(interfaces::without_label(name)),
            Self::Address(chosen) => *chosen == ip,
            Self::Network(network) => network.shares_network_with(ip),
            Self::Pattern(pattern) => pattern.fits(ip),
        }
    }

    /// Returns whether this choice is one of names, and includes `name`.
    fn names(&self, name: &str) -> bool {
        match self {
            Self::Name(chosen) => chosen == name,
            Self::Names(pattern) => pattern.fits(name),
            Self::Loopback | Self::Address(_) | Self::Network(_) | Self::Pattern(_) => false,
        }
    }

    /// Returns whether it names an interface that this host has, whatever its addresses.
    pub(super) fn exists(&self) -> bool {
        match self {
            Self::Name(name) => interfaces::has_interface(interfaces::without_label(name)),
            Self::Names(_) => interfaces::names().iter().any(|name| self.names(name)),
            Self::Loopback | Self::Address(_) | Self::Network(_) | Self::Pattern(_) => false,
        }
    }

    /// Describes the interface, in words that follow "the" or "no".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Loopback => "loopback interface".to_owned(),
            Self::Name(name) => format!("interface \"{name}\""),
            Self::Names(pattern) => format!("interface whose name fits \"{pattern}\""),
            Self::Address(address) => format!("interface with the address {address}"),
            Self::Network(_) => format!("interface with an address in {self}"),
            Self::Pattern(pattern) => format!("interface with an address that fits \"{pattern}\""),
        }
    }
}

impl FromStr for InterfaceChoice {
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
        let is_name = part.len() <= 256 && !part.chars().any(|c| c.is_control() || c == '/');
        if !is_name {
            Err(unreadable())
        } else if !part.contains('*') {
            Ok(Self::Name(part.to_owned()))
        } else if part.starts_with(|c: char| c.is_ascii_digit()) {
            // A mistyped pattern of addresses: no system has interfaces with such names.
            Err(unreadable())
        } else {
            Ok(Self::Names(NamePattern::new(part)))
        }
    }
}

impl fmt::Display for InterfaceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("lo"),
            Self::Name(name) => f.write_str(name),
            Self::Names(pattern) => write!(f, "{pattern}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Network(network) => write!(f, "{}/{}", network.ip, network.prefix),
            Self::Pattern(pattern) => write!(f, "{pattern}"),
        }
    }
}
