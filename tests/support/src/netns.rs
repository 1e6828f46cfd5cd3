//! A disposable network on this machine: hosts that are network namespaces, joined by a bridge in one more namespace.
//!
//! Nothing is created outside these namespaces. Their names contain the test's process id, so that tests of any number of
//! processes do not collide, and so that the leftovers of a killed test are recognised and removed by the next.

use std::net::Ipv4Addr;
use std::process::Command;

use self::cable::Bridge;
use self::command::run;
pub use self::host::Host;
pub(crate) use self::namespace::available;
use self::namespace::{Namespace, remove_leftovers, unique_name};

mod cable;
mod command;
mod filter;
mod host;
mod namespace;

/// A network of hosts. Dropping it ends every process inside and removes it.
///
/// Host `i` has the addresses `10.77.0.(i + 1)/24` and `fd77::(i + 1)/64` on `eth0`; on a dual network also
/// `10.78.0.(i + 1)/24` on `eth1`.
#[derive(Debug)]
pub struct Lan {
    hosts: Vec<Host>,
    switch: Option<Namespace>,
}

impl Lan {
    /// A network with this many hosts, at most 200.
    ///
    /// # Panics
    /// If it cannot be created: check [`require::netns`](crate::require::netns) first.
    #[must_use]
    #[track_caller]
    pub fn new(hosts: u8) -> Self {
        Self::with_bridges(hosts, &[Bridge { name: "br0", port: 'v', interface: "eth0", network: 77 }])
    }

    /// A network with this many hosts of two interfaces each, on two separate bridges.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    #[track_caller]
    pub fn dual(hosts: u8) -> Self {
        let first = Bridge { name: "br0", port: 'v', interface: "eth0", network: 77 };
        let second = Bridge { name: "br1", port: 'w', interface: "eth1", network: 78 };
        Self::with_bridges(hosts, &[first, second])
    }

    /// A single host with only a loopback interface, which has no multicast: a build server.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    #[track_caller]
    pub fn loopback_only() -> Self {
        remove_leftovers();
        let namespace = Namespace::new(&unique_name(), "lo");
        Self {
            hosts: vec![Host { namespace, address: Ipv4Addr::LOCALHOST, cables: Vec::new() }],
            switch: None,
        }
    }

    /// The host with this index, counted from 0.
    ///
    /// # Panics
    /// If there is no such host.
    #[must_use]
    #[track_caller]
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    /// All hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Joins two hosts, which may be of different networks, by one more cable: each end is an interface of that name, which is up
    /// and has no address.
    ///
    /// # Panics
    /// If one of them has such an interface already.
    #[track_caller]
    pub fn join(one: &Host, other: &Host, interface: &str) {
        let peer = ["type", "veth", "peer", "name", interface, "netns", &other.namespace.name];
        run(one.namespace.ip().args(["link", "add", interface]).args(peer));
        for host in [one, other] {
            run(host.namespace.ip().args(["link", "set", interface, "up"]));
        }
    }

    /// The commands to run on the switch, and its end of the first cable of host `index`.
    #[track_caller]
    pub(crate) fn port(&self, index: usize) -> (impl Fn(&str) -> Command, &str) {
        let switch = self.switch.as_ref().expect("hosts with cables are on a switch");
        let cable = self.hosts[index].cables.first().expect("a host with a cable");
        (|program: &str| switch.command(program), &cable.port)
    }

    /// Removes the first interface of host `index`, as when an adapter is pulled out, and adds it again as a new one with the
    /// addresses that it had.
    #[track_caller]
    pub fn replug(&self, index: usize) {
        let host = &self.hosts[index];
        let switch = self.switch.as_ref().expect("hosts with cables are on a switch");
        let cable = host.cables.first().expect("a host with a cable");
        run(switch.ip().args(["link", "del", &cable.port]));
        let [_, network, _, number] = host.address.octets();
        let port = cable.port.chars().next().expect("ports have names");
        Bridge { name: "br0", port, interface: cable.interface, network }.join(
            &host.namespace,
            switch,
            number,
        );
    }

    /// Stops forwarding multicast, as many wireless networks and most clouds do; everything else is still forwarded.
    #[track_caller]
    pub fn block_multicast(&self) {
        self.flood_multicast("off");
    }

    /// Isolates these hosts from each other, as an access point does with its clients: none reaches another, and all reach the
    /// rest.
    #[track_caller]
    pub fn isolate(&self, hosts: &[usize]) {
        let Some(switch) = &self.switch else { return };
        for cable in hosts.iter().flat_map(|host| &self.hosts[*host].cables) {
            run(switch.command("bridge").args(["link", "set", "dev", &cable.port, "isolated", "on"]));
        }
    }

    /// Forwards multicast again.
    #[track_caller]
    pub fn allow_multicast(&self) {
        self.flood_multicast("on");
    }

    #[track_caller]
    fn flood_multicast(&self, state: &str) {
        let Some(switch) = &self.switch else { return };
        for cable in self.hosts.iter().flat_map(|host| &host.cables) {
            run(switch.command("bridge").args(["link", "set", "dev", &cable.port, "mcast_flood", state]));
        }
    }

    #[track_caller]
    fn with_bridges(hosts: u8, bridges: &[Bridge]) -> Self {
        assert!(hosts <= 200, "a network of {hosts} hosts has no addresses for them");
        remove_leftovers();
        let name = unique_name();
        let switch = Namespace::new(&name, "switch");
        for bridge in bridges {
            let kind = ["type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"];
            run(switch.ip().args(["link", "add", bridge.name]).args(kind));
            run(switch.ip().args(["link", "set", bridge.name, "up"]));
        }
        let hosts = (1..=hosts).map(|number| Host::new(&name, number, &switch, bridges)).collect();
        Self { hosts, switch: Some(switch) }
    }
}
