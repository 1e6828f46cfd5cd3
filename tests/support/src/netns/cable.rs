//! Cables between hosts and the bridges of their switch.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::command::run;
use super::namespace::Namespace;

/// One interface of a host, with its end at the switch.
#[derive(Debug)]
pub(super) struct Cable {
    pub(super) interface: &'static str,
    pub(super) switch: String,
    pub(super) port: String,
}

/// One of the networks of a [`Lan`](super::Lan).
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) name: &'static str,
    /// The prefix of the names of its ports.
    pub(super) port: char,
    /// The interface of the hosts that is plugged into it.
    pub(super) interface: &'static str,
    /// The second byte of its addresses.
    pub(super) network: u8,
}

impl Bridge {
    #[track_caller]
    pub(super) fn join(&self, host: &Namespace, switch: &Namespace, number: u8) -> Cable {
        let Self { interface, network, .. } = *self;
        let port = format!("{}{number}", self.port);
        let peer = ["type", "veth", "peer", "name", interface, "netns", &host.name];
        run(switch.ip().args(["link", "add", &port]).args(peer));
        run(switch.ip().args(["link", "set", &port, "master", self.name, "up"]));
        let v4 = Ipv4Addr::new(10, network, 0, number);
        run(host.ip().args(["addr", "add", &format!("{v4}/24"), "brd", "+", "dev", interface]));
        let v6 = Ipv6Addr::new(0xfd00 | hex(network), 0, 0, 0, 0, 0, 0, number.into());
        run(host.ip().args(["addr", "add", &format!("{v6}/64"), "dev", interface, "nodad"]));
        run(host.ip().args(["link", "set", interface, "up"]));
        Cable { interface, switch: switch.name.clone(), port }
    }
}

/// A number whose hexadecimal digits read like the decimal ones of `number`, so that both families show the same network.
fn hex(number: u8) -> u16 {
    u16::from(number / 10) * 16 + u16::from(number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_show_the_same_network() {
        assert_eq!(0xfd00 | hex(77), 0xfd77);
    }
}
