//! One host: its programs, its interfaces and its plug.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use super::cable::{Bridge, Cable};
use super::command::run;
use super::namespace::Namespace;

/// One host of a [`Lan`](super::Lan).
#[derive(Debug)]
pub struct Host {
    pub(super) namespace: Namespace,
    pub(super) address: Ipv4Addr,
    /// The interfaces of this host, each with its end at the switch.
    pub(super) cables: Vec<Cable>,
}

impl Host {
    /// Its IPv4 address on the first interface.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// `program`, to be started on this host. It inherits no `MESHZERO_…` setting of the test's own environment but those for
    /// tests.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.namespace.command(program)
    }

    /// Runs commands on this host to their ends, such as `ip addr add 10.9.0.1/24 dev eth0`: one a line, its words separated by
    /// spaces.
    ///
    /// # Panics
    /// If one fails.
    #[track_caller]
    pub fn configure(&self, commands: &str) {
        for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            run(self.command(words.next().expect("a line that is not empty")).args(words));
        }
    }

    /// The output of `ip` with these arguments on this host.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    #[track_caller]
    pub fn ask_ip(&self, arguments: &[&str]) -> String {
        let output = self.namespace.ip().args(arguments).output().expect("ip runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("ip prints UTF-8")
    }

    /// The link-local IPv6 address of `interface`, without a zone.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    #[track_caller]
    pub fn link_local(&self, interface: &str) -> Ipv6Addr {
        let shown = self.ask_ip(&["-6", "-o", "addr", "show", "dev", interface, "scope", "link"]);
        let address = shown.split_whitespace().find_map(|word| word.strip_suffix("/64"));
        address.and_then(|address| address.parse().ok()).expect("a link-local address")
    }

    /// Unplugs the host: nothing arrives and nothing leaves, while the interfaces keep their addresses.
    ///
    /// # Panics
    /// If the host has no interface but loopback.
    #[track_caller]
    pub fn cut(&self) {
        self.plug("down");
    }

    /// Plugs the host in again.
    ///
    /// # Panics
    /// As [`cut`](Self::cut).
    #[track_caller]
    pub fn heal(&self) {
        self.plug("up");
    }

    /// Replaces the address of the first interface by one with this last number, in both families.
    ///
    /// # Panics
    /// If the host has no interface but loopback.
    #[track_caller]
    pub fn renumber(&self, number: u8) {
        let cable = self.cables.first().expect("a host with nothing but loopback has no other address");
        let old = self.address.octets()[3];
        // In this order: a second address of the same network would be deleted with the first.
        for (verb, number) in [("del", old), ("add", number)] {
            let v4 = format!("10.77.0.{number}/24");
            let v6 = format!("fd77::{number:x}/64");
            run(self.namespace.ip().args(["addr", verb, &v4, "dev", cable.interface]));
            run(self.namespace.ip().args(["addr", verb, &v6, "dev", cable.interface]));
        }
        // The neighbours still have the old link-layer address of the cable.
        run(self.namespace.ip().args(["-6", "addr", "flush", "dev", cable.interface, "scope", "link"]));
    }

    #[track_caller]
    fn plug(&self, state: &str) {
        assert!(!self.cables.is_empty(), "a host with nothing but loopback has no plug");
        for cable in &self.cables {
            run(Command::new("ip").args(["-n", &cable.switch, "link", "set", &cable.port, state]));
        }
    }

    #[track_caller]
    pub(super) fn new(lan: &str, number: u8, switch: &Namespace, bridges: &[Bridge]) -> Self {
        let namespace = Namespace::new(lan, &number.to_string());
        // Without duplicate address detection, IPv6 addresses work at once.
        let settings = ["net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0"];
        run(namespace.command("sysctl").arg("-qw").args(settings));
        let cables = bridges.iter().map(|bridge| bridge.join(&namespace, switch, number)).collect();
        Self { namespace, address: Ipv4Addr::new(10, bridges[0].network, 0, number), cables }
    }
}
