//! The network interfaces that a node uses, and its own addresses, on every system.

pub(crate) mod pending;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use self::choice::InterfaceChoice;
pub use self::error::InterfacesError;
pub use self::pattern::AddressPattern;
pub(crate) use self::preferred::default_route_address;
use self::preferred::prefer;
pub use crate::net::host::interfaces::Interface;
use crate::net::host::interfaces::{self, ListedAddress};
use crate::net::ingress::Ingress;
pub use crate::net::interfaces::pending::{MissingPart, PendingInterface};

mod choice;
mod error;
mod pattern;
mod preferred;

/// The interfaces on which a node listens, announces and queries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// The parts of the choice; empty means every interface.
    choices: Vec<InterfaceChoice>,
}

/// The chosen addresses of this host at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// The addresses on interfaces that are connected.
    pub(crate) connected: Vec<Interface>,
    /// All addresses, also those on interfaces whose cable is not plugged in.
    pub(crate) all: ChosenAddresses,
}

/// The addresses to listen at where interfaces were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChosenAddresses {
    /// The addresses, also those on interfaces whose cable is not plugged in.
    pub list: Vec<Interface>,
    /// The interfaces by which connections to them may arrive.
    pub(crate) ingress: Ingress,
}

impl Interfaces {
    /// Returns the choice of loopback only: nothing leaves this host.
    pub fn loopback() -> Self {
        Self { choices: vec![InterfaceChoice::Loopback] }
    }

    /// Returns the current addresses of this host on chosen interfaces that are connected.
    ///
    /// # Errors
    /// [`InterfacesError::Unlisted`] when the system does not list them.
    pub(crate) fn list(&self) -> Result<Vec<Interface>, InterfacesError> {
        Ok(self.list_all()?.connected)
    }

    /// Like [`Interfaces::list`], also on interfaces whose cable is not plugged in.
    ///
    /// # Errors
    /// Those of [`Interfaces::list`].
    pub(crate) fn list_unplugged_too(&self) -> Result<Vec<Interface>, InterfacesError> {
        Ok(self.list_all()?.all.list)
    }

    /// Returns both lists, from one read.
    pub(crate) fn list_all(&self) -> Result<Listing, InterfacesError> {
        let mut listing = Listing::default();
        let mut all = Vec::new();
        for ListedAddress { label, is_running, interface } in
            interfaces::list().map_err(InterfacesError::Unlisted)?
        {
            if self.includes(&label, interface.address.ip) {
                if is_running {
                    listing.connected.push(interface.clone());
                }
                listing.all.list.push(interface.clone());
            }
            all.push(interface);
        }
        if self.is_choice_of_networks() {
            listing.all.ingress = Ingress::of(&listing.all.list, &all);
        }
        Ok(listing)
    }

    /// Returns the parts of the choice that this host does not have, or cannot use, now.
    ///
    /// # Errors
    /// Those of [`Interfaces::list`].
    pub(crate) fn pending(&self) -> Result<Vec<PendingInterface>, InterfacesError> {
        let all = interfaces::list().map_err(InterfacesError::Unlisted)?;
        let mut pending = Vec::new();
        for choice in &self.choices {
            let is_match =
                |listed: &&ListedAddress| choice.includes(&listed.label, listed.interface.address.ip);
            let matching: Vec<&ListedAddress> = all.iter().filter(is_match).collect();
            let lack = if matching.is_empty() {
                if choice.exists() { MissingPart::Address } else { MissingPart::Interface }
            } else if matching.iter().all(|listed| !listed.is_running) {
                MissingPart::Connection
            } else {
                continue;
            };
            let existing = if lack == MissingPart::Interface { existing(&all) } else { Vec::new() };
            let (chosen, described) = (choice.to_string(), choice.describe());
            pending.push(PendingInterface { chosen, lack, existing, described });
        }
        Ok(pending)
    }

    /// Returns whether every interface is used, because none was chosen.
    pub(crate) fn are_all(&self) -> bool {
        self.choices.is_empty()
    }

    /// Returns whether the choice includes an address that the system lists under `name`: the interface's own, or on Linux that
    /// and a label.
    pub(crate) fn includes(&self, name: &str, ip: IpAddr) -> bool {
        self.choices.is_empty() || self.choices.iter().any(|choice| choice.includes(name, ip))
    }

    /// Returns whether only some of this host's networks are chosen, so that nothing may listen on the others.
    pub(crate) fn is_choice_of_networks(&self) -> bool {
        !self.choices.is_empty() && !self.is_loopback()
    }

    /// Returns whether nothing may leave this host.
    pub(crate) fn is_loopback(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| *choice == InterfaceChoice::Loopback)
    }

    /// Returns the one address to display: on the interface of the default route, else in 192.168.*, else in another private
    /// network, else any, else loopback. The port is 0.
    ///
    /// # Errors
    /// Those of [`Interfaces::list`].
    pub(crate) fn preferred_address(&self) -> Result<SocketAddr, InterfacesError> {
        let list = self.list()?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(prefer(&list, default_route_address()).map_or(loopback, |interface| interface.socket_addr(0)))
    }

    /// Returns the address that matches `pattern`, the preferred one if several do.
    ///
    /// # Errors
    /// [`InterfacesError::NoSuchInterface`] when none fits.
    pub(crate) fn matching(&self, pattern: &AddressPattern) -> Result<IpAddr, InterfacesError> {
        let mut matching = self.list()?;
        matching.retain(|interface| pattern.fits(interface.address.ip));
        match prefer(&matching, default_route_address()) {
            Some(interface) => Ok(interface.address.ip),
            None => {
                Err(no_such(&pattern.to_string(), &interfaces::list().map_err(InterfacesError::Unlisted)?))
            }
        }
    }

    /// Describes the chosen interfaces, for a diagnosis.
    pub(crate) fn describe(&self) -> Vec<String> {
        self.list().map(|list| list.iter().map(Interface::to_string).collect()).unwrap_or_default()
    }
}

impl FromStr for Interfaces {
    type Err = InterfacesError;

    /// Reads names, addresses, networks and patterns, separated by commas; `lo` is loopback on every system, and `all` means
    /// every interface. A text that names none is an error: an empty choice would mean every interface.
    fn from_str(text: &str) -> Result<Self, InterfacesError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let choices: Vec<InterfaceChoice> =
            parts.clone().filter(|part| *part != "all").map(str::parse).collect::<Result<_, _>>()?;
        if parts.into_iter().any(|part| part == "all") {
            return Ok(Self::default());
        }
        if choices.is_empty() {
            return Err(InterfacesError::Empty { text: text.chars().take(80).collect() });
        }
        Ok(Self { choices })
    }
}

impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.choices.is_empty() {
            return f.write_str("all");
        }
        let choices: Vec<String> = self.choices.iter().map(InterfaceChoice::to_string).collect();
        f.write_str(&choices.join(","))
    }
}

fn no_such(chosen: &str, all: &[ListedAddress]) -> InterfacesError {
    InterfacesError::NoSuchInterface { chosen: chosen.to_owned(), existing: existing(all) }
}

/// Describes the interfaces of this host, each once with its first address.
fn existing(all: &[ListedAddress]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut existing: Vec<String> = Vec::new();
    for ListedAddress { interface, .. } in all {
        if !names.contains(&interface.name.as_str()) {
            names.push(&interface.name);
            existing.push(interface.to_string());
        }
    }
    let without_address = interfaces::names().into_iter().filter(|name| !names.contains(&name.as_str()));
    existing.extend(without_address.map(|name| format!("{name} (no address)")));
    existing
}

#[cfg(test)]
mod tests {
    use meshzero_proto::discovery::addresses::OwnAddress;

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
        for text in
            ["all", "lo", "eth0,192.168.1.7", "10.0.0.0/8,192.168.*", "fe80::/10,Wi-Fi 2", "eth*,*lan0"]
        {
            assert_eq!(text.parse::<Interfaces>().map(|i| i.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("all".parse(), Ok(Interfaces::default()));
        assert_eq!(" lo , all".parse(), Ok(Interfaces::default()));
        for text in ["", " ", ",,", " , "] {
            let empty = InterfacesError::Empty { text: text.to_owned() };
            assert_eq!(text.parse::<Interfaces>(), Err(empty), "{text:?}");
        }
        for text in ["10.0.0.0/33", "10.0.0/8", "x/y", "192.*168", "a\tb"] {
            assert!(matches!(text.parse::<Interfaces>(), Err(InterfacesError::Unreadable { .. })), "{text}");
        }
    }

    #[test]
    fn a_choice_includes_the_interfaces_and_addresses_that_it_names() {
        let chosen: Interfaces = "eth0,10.0.0.0/8,192.168.*".parse().expect("a choice");
        assert!(chosen.includes("eth0", ip("1.2.3.4")));
        #[cfg(target_os = "linux")]
        assert!(chosen.includes("eth0:avahi", ip("169.254.7.1")), "a label is not another interface");
        assert!(chosen.includes("wlan0", ip("10.200.0.1")));
        assert!(chosen.includes("wlan0", ip("192.168.7.7")));
        assert!(!chosen.includes("wlan0", ip("172.16.0.1")));
        let names: Interfaces = "eth*".parse().expect("a choice");
        assert!(names.includes("eth1", ip("1.2.3.4")) && !names.includes("veth1", ip("1.2.3.4")));
        assert!(Interfaces::default().includes("anything", ip("::1")));
        assert!(Interfaces::loopback().includes("lo", ip("127.0.0.1")));
        let label: Interfaces = "eth0:avahi".parse().expect("a choice");
        assert!(label.includes("eth0:avahi", ip("169.254.7.1")) && !label.includes("eth0", ip("1.2.3.4")));
    }

    #[test]
    fn only_some_networks_are_a_choice_of_networks() {
        let is_choice = |text: &str| text.parse::<Interfaces>().expect(text).is_choice_of_networks();
        assert!(is_choice("eth0") && is_choice("lo,eth0") && is_choice("192.168.*"));
        assert!(!is_choice("all") && !is_choice("lo"));
    }

    #[test]
    fn the_displayed_address_is_one_that_others_can_reach() {
        let all = [interface("lo", "127.0.0.1"), interface("a", "172.17.0.1"), interface("b", "192.168.1.5")];
        let best = |list: &[Interface], default_route| {
            prefer(list, default_route).map(|interface| interface.address.ip)
        };
        assert_eq!(best(&all, None), Some(ip("192.168.1.5")));
        assert_eq!(best(&all, Some(ip("172.17.0.1"))), Some(ip("172.17.0.1")));
        assert_eq!(best(&all[..1], None), Some(ip("127.0.0.1")));
        assert_eq!(best(&[], None), None);
        let cable = [interface("lo", "127.0.0.1"), interface("eth0", "fe80::1")];
        assert_eq!(best(&cable, None), Some(ip("fe80::1")));
    }

    #[test]
    fn missing_interfaces_are_awaited_and_existing_ones_are_named() {
        for (text, expected) in [
            ("nosuch0", "no interface \"nosuch0\" yet, only "),
            ("nosuch*", "no interface whose name fits \"nosuch*\" yet"),
            ("192.0.2.7", "no interface with the address 192.0.2.7 yet"),
            ("192.0.2.0/24", "no interface with an address in 192.0.2.0/24 yet"),
            ("192.0.2.*", "no interface with an address that fits \"192.0.2.*\" yet"),
        ] {
            let choice: Interfaces = format!("lo,{text}").parse().expect("readable");
            let pending = choice.pending().expect("listable");
            assert_eq!(pending.len(), 1, "{text}: loopback is there");
            assert_eq!((pending[0].chosen.as_str(), pending[0].lack), (text, MissingPart::Interface));
            let text = pending[0].to_string();
            assert!(text.contains(expected) && text.contains("127.0.0.1"), "{text}");
        }
        assert!(!Interfaces::loopback().list().expect("listable").is_empty());
    }

    #[test]
    fn an_error_names_a_limited_number_of_interfaces() {
        let listed = |n: u32| ListedAddress {
            label: format!("tap{n}"),
            is_running: true,
            interface: interface(&format!("tap{n}"), "10.0.0.1"),
        };
        let many: Vec<ListedAddress> = (0..1_500).map(listed).collect();
        let text = no_such("eth0", &many).to_string();
        assert!(text.contains("it has tap0 (10.0.0.1), tap1") && text.ends_with(" more"), "{text}");
        let pending = PendingInterface {
            chosen: "eth0".to_owned(),
            lack: MissingPart::Interface,
            existing: existing(&many),
            described: "interface \"eth0\"".to_owned(),
        };
        let text = pending.to_string();
        assert!(text.contains("only tap0 (10.0.0.1), tap1") && text.contains(" more; waiting"), "{text}");
        let addresses: Vec<ListedAddress> = (0..1_500).map(|_| listed(0)).collect();
        assert_eq!(existing(&addresses)[0], "tap0 (10.0.0.1)");
        assert!(existing(&addresses).iter().filter(|text| text.starts_with("tap0")).count() == 1);
    }
}
