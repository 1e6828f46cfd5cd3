//! The interfaces by which connections to the chosen addresses may arrive.
//!
//! Linux accepts a packet for any of its addresses on any of its interfaces, so a socket at an address of one interface is
//! reachable from the networks of all. A filter on the socket drops packets that arrive elsewhere, as if the host were off: a
//! refusal would mean that the process has ended.

use std::collections::BTreeSet;

use meshzero_proto::discovery::addresses::is_link_local;

use crate::net::host::interfaces::{self, Interface};

/// The most interfaces that a socket's filter can name: it has 4,096 instructions at most, and each takes two.
pub(crate) const MAX_INTERFACES: usize = 1_024;

/// The interfaces by which connections may arrive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Ingress {
    /// Any interface, because none was chosen or the system has no such filter.
    #[default]
    Any,
    /// These interfaces, by index; no connection arrives if there are none.
    Only(BTreeSet<u32>),
}

impl Ingress {
    /// Returns the interfaces of the `chosen` addresses, and loopback, by which a host reaches its own addresses; also, of
    /// `all`, those with an address in the same network: a host with a cable and Wi-Fi in one network answers on either for
    /// both, and so others send to either.
    pub(crate) fn of(chosen: &[Interface], all: &[Interface]) -> Self {
        if !cfg!(any(target_os = "linux", target_os = "android")) {
            return Self::Any;
        }
        let is_included = |interface: &&Interface| {
            interface.address.ip.is_loopback()
                || chosen.iter().any(|chosen| share_a_network(chosen, interface))
        };
        let mut indices = BTreeSet::new();
        for interface in chosen.iter().chain(all.iter().filter(is_included)) {
            // Packets that arrive at a port of a bond or a bridge, or in a VRF, count as arriving at its master.
            if indices.insert(interface.index) {
                indices.insert(interfaces::master_of(&interface.name));
            }
        }
        Self::Only(indices.into_iter().flatten().collect())
    }

    #[cfg(test)]
    pub(crate) fn only(indices: &[u32]) -> Self {
        Self::Only(indices.iter().copied().collect())
    }

    /// Returns whether there are more interfaces than a filter can name, so that connections arrive by any.
    pub(crate) fn is_too_long(&self) -> bool {
        matches!(self, Self::Only(indices) if indices.len() > MAX_INTERFACES)
    }
}

/// Returns whether both are of one interface, or of one network. Every interface has a link-local network of its own.
fn share_a_network(one: &Interface, other: &Interface) -> bool {
    let share = || {
        one.address.shares_network_with(other.address.ip) && other.address.shares_network_with(one.address.ip)
    };
    one.name == other.name || (!is_link_local(one.address.ip) && share())
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use meshzero_proto::discovery::addresses::OwnAddress;

    use super::*;

    fn interface(name: &str, index: u32, ip: &str, prefix: u8) -> Interface {
        let address = OwnAddress { ip: ip.parse().expect("an address"), prefix };
        Interface { name: name.into(), index: Some(index), address }
    }

    #[test]
    fn connections_arrive_by_chosen_interfaces_by_loopback_and_by_the_same_network() {
        let all = [
            interface("nosuch-lo", 1, "127.0.0.1", 8),
            interface("nosuch0", 2, "192.168.1.5", 24),
            interface("nosuch0", 2, "fe80::5", 64),
            interface("nosuch1", 3, "192.168.1.6", 24),
            interface("nosuch1", 3, "fe80::6", 64),
            interface("nosuch2", 4, "192.168.2.6", 24),
            interface("nosuch2", 4, "fe80::7", 64),
            interface("nosuch3", 5, "192.168.0.1", 16),
            interface("nosuch4", 6, "169.254.1.1", 16),
        ];
        let of = |chosen: &[Interface]| Ingress::of(chosen, &all);
        assert_eq!(of(&all[1..3]), Ingress::only(&[1, 2, 3]), "a wider network is another one");
        assert_eq!(of(&all[5..7]), Ingress::only(&[1, 4]));
        assert_eq!(of(&[interface("nosuch9", 9, "169.254.7.7", 16)]), Ingress::only(&[1, 9]));
        assert_eq!(of(&[]), Ingress::only(&[1]));
        assert_eq!(Ingress::of(&[], &[]), Ingress::only(&[]), "an empty choice is not everything");
    }

    #[test]
    fn the_number_of_interfaces_in_a_filter_is_limited() {
        let indices: Vec<u32> = (0..=1_024).collect();
        assert!(Ingress::only(&indices).is_too_long());
        assert!(!Ingress::only(&indices[1..]).is_too_long() && !Ingress::Any.is_too_long());
    }
}
