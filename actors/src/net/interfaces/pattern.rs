//! Patterns with stars, of IPv4 addresses and of interface names.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::error::InterfacesError;

/// IPv4 addresses by their leading numbers, such as `192.168.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern(Vec<Option<u8>>);

/// Interfaces by parts of their names, such as `eth*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePattern(String);

impl AddressPattern {
    /// Returns whether an address fits.
    pub(crate) fn fits(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return false };
        self.0.iter().zip(ip.octets()).all(|(wanted, octet)| wanted.is_none_or(|wanted| wanted == octet))
    }
}

impl FromStr for AddressPattern {
    type Err = InterfacesError;

    /// Reads `*`, `192.168.*`, `10.*.*.1`: numbers and at least one star; a star at the end stands for everything that is left
    /// out.
    fn from_str(text: &str) -> Result<Self, InterfacesError> {
        let unreadable = || InterfacesError::Unreadable { part: text.chars().take(80).collect() };
        let octet = |part: &str| match part {
            "*" => Ok(None),
            number => number.parse().map(Some).map_err(|_| unreadable()),
        };
        let octets: Vec<Option<u8>> = text.split('.').map(octet).collect::<Result<_, _>>()?;
        let is_complete = octets.len() == 4 || (octets.len() < 4 && text.ends_with('*'));
        if is_complete && octets.contains(&None) { Ok(Self(octets)) } else { Err(unreadable()) }
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.0.iter().map(|octet| octet.map_or("*".to_owned(), |octet| octet.to_string()));
        f.write_str(&octets.collect::<Vec<_>>().join("."))
    }
}

impl NamePattern {
    /// Creates a pattern, in which a star stands for any part of a name, also for none.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns whether a name fits.
    pub(super) fn fits(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(first) else { return false };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*') {
            let Some(start) = name.find(part) else { return false };
            name = &name[start + part.len()..];
        }
        name.ends_with(last)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_addresses_have_stars() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let fits = |pattern: &str, address| pattern.parse::<AddressPattern>().map(|p| p.fits(ip(address)));
        assert_eq!(fits("192.168.*", "192.168.3.4"), Ok(true));
        assert_eq!(fits("192.168.*", "192.169.3.4"), Ok(false));
        assert_eq!(fits("10.*.*.1", "10.2.3.1"), Ok(true));
        assert_eq!(fits("*", "10.2.3.1"), Ok(true));
        for text in ["192.168", "1.2.3.4", "1.2.3.4.*", "256.*", "", "a.*"] {
            assert!(text.parse::<AddressPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        let fits = |pattern: &str, name: &str| NamePattern::new(pattern).fits(name);
        for (pattern, name) in
            [("eth*", "eth0"), ("eth*", "eth"), ("en*s*", "enp0s31f6"), ("*0", "eth0"), ("w*n*0", "wlan0")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("eth*", "veth0"), ("eth*", "et"), ("*0", "eth1"), ("ab*ba", "aba"), ("a*b*c", "acb")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
