//! The interfaces by which connections to the chosen addresses may arrive.
//!
//! Linux takes a packet for any of its addresses on any of its interfaces, so a socket at an address of one interface is reached
//! from the networks of all. A filter on the socket drops what arrives elsewhere, as if the host were off: a refusal would mean
//! that the process has ended.

use std::collections::BTreeSet;

use meshzero_proto::addresses::is_link_local;

use crate::host::{self, Interface};

/// By number, the interfaces by which connections may arrive; empty where any will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ingress(BTreeSet<u32>);

impl Ingress {
    /// The interfaces of the `chosen` addresses, and loopback, by which a host reaches its own addresses. Also, of `all`, those
    /// with an address in the same network: a host with a cable and Wi-Fi in one network answers on either for both, and so
    /// others send to either.
    pub(crate) fn of(chosen: &[Interface], all: &[Interface]) -> Self {
        if !cfg!(any(target_os = "linux", target_os = "android")) {
            return Self::default();
        }
        let is_in = |interface: &&Interface| {
            interface.address.ip.is_loopback() || chosen.iter().any(|chosen| are_in_one(chosen, interface))
        };
        let mut numbers = BTreeSet::new();
        for interface in chosen.iter().chain(all.iter().filter(is_in)) {
            // What arrives at a port of a bond or a bridge, or in a VRF, arrives at that.
            if numbers.insert(interface.index) {
                numbers.insert(host::master_of(&interface.name));
            }
        }
        Self(numbers.into_iter().flatten().collect())
    }

    #[cfg(test)]
    pub(crate) fn only(numbers: &[u32]) -> Self {
        Self(numbers.iter().copied().collect())
    }

    /// Their numbers; none if any interface will do.
    pub(crate) fn numbers(&self) -> impl ExactSizeIterator<Item = u32> {
        self.0.iter().copied()
    }
}

/// Returns whether both are of one interface, or of one network. Every interface has a link-local network of its own.
fn are_in_one(one: &Interface, other: &Interface) -> bool {
    let share = || {
        one.address.shares_network_with(other.address.ip) && other.address.shares_network_with(one.address.ip)
    };
    one.name == other.name || (!is_link_local(one.address.ip) && share())
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use meshzero_proto::addresses::OwnAddress;

    use super::*;

    fn interface(name: &str, index: u32, ip: &str, prefix: u8) -> Interface {
        let address = OwnAddress { ip: ip.parse().expect("an address"), prefix };
        Interface { name: name.into(), index: Some(index), address }
    }

    #[test]
    fn connections_arrive_by_what_was_chosen_by_loopback_and_by_the_same_network() {
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
        let of = |chosen: &[Interface]| Ingress::of(chosen, &all).numbers().collect::<Vec<_>>();
        assert_eq!(of(&all[1..3]), [1, 2, 3], "a wider network is another one");
        assert_eq!(of(&all[5..7]), [1, 4]);
        assert_eq!(of(&[interface("nosuch9", 9, "169.254.7.7", 16)]), [1, 9]);
        assert_eq!(of(&[]), [1]);
    }
}
