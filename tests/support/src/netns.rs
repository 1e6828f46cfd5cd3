//! A throw-away network on this machine: hosts that are network namespaces, joined by a bridge in one more
//! namespace.
//!
//! Nothing is created outside these namespaces. Their names carry the test's process id, so that tests of any
//! number of processes do not meet, and so that what a killed test left behind is known to be nobody's and
//! removed by the next.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};
use std::{env, fs};

/// What the names of all our namespaces begin with.
const PREFIX: &str = "meshzero-test-";

/// The programs that set up a firewall, one for each family.
const TABLES: [&str; 2] = ["iptables-legacy", "ip6tables-legacy"];

/// A network of hosts. Dropping it ends every process inside and removes it.
///
/// Host `i` has the addresses `10.77.0.(i + 1)/24` and `fd77::(i + 1)/64` on `eth0`; on a dual network also
/// `10.78.0.(i + 1)/24` on `eth1`.
#[derive(Debug)]
pub struct Lan {
    hosts: Vec<Host>,
    switch: Option<Namespace>,
}

/// One host of a [`Lan`].
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
    address: Ipv4Addr,
    /// The interfaces of this host, each with its end at the switch.
    cables: Vec<Cable>,
}

#[derive(Debug)]
struct Cable {
    interface: &'static str,
    switch: String,
    port: String,
}

impl Lan {
    /// A network of that many hosts, at most 200.
    ///
    /// # Panics
    /// When it cannot be made: ask [`require::netns`](crate::require::netns) first.
    #[must_use]
    #[track_caller]
    pub fn new(hosts: u8) -> Self {
        Self::with_bridges(hosts, &[Bridge { name: "br0", port: 'v', interface: "eth0", network: 77 }])
    }

    /// A network of that many hosts with two interfaces each, on two bridges that do not know each other.
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

    /// A single host without any interface but loopback, which has no multicast: a build server.
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

    /// Host `index`, counted from 0.
    ///
    /// # Panics
    /// When there are not so many.
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

    /// Joins two hosts, which may be of different networks, by one more cable: the end of each is an interface of that name,
    /// which is up and has no address.
    ///
    /// # Panics
    /// When one of them has such an interface already.
    #[track_caller]
    pub fn join(one: &Host, other: &Host, interface: &str) {
        let peer = ["type", "veth", "peer", "name", interface, "netns", &other.namespace.name];
        run(one.namespace.ip().args(["link", "add", interface]).args(peer));
        for host in [one, other] {
            run(host.namespace.ip().args(["link", "set", interface, "up"]));
        }
    }

    /// The switch, as a way to start programs on it, and its end of the first cable of host `index`.
    #[track_caller]
    pub(crate) fn port(&self, index: usize) -> (impl Fn(&str) -> Command, &str) {
        let switch = self.switch.as_ref().expect("hosts with cables are on a switch");
        let cable = self.hosts[index].cables.first().expect("a host with a cable");
        (|program: &str| switch.command(program), &cable.port)
    }

    /// Takes the first interface of host `index` away, as when an adapter is pulled out, and gives it back as a new one with the
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

    /// Stops forwarding multicast, as many wireless networks and most clouds do; all else goes on.
    #[track_caller]
    pub fn block_multicast(&self) {
        self.flood_multicast("off");
    }

    /// Keeps these hosts apart, as an access point does with its clients: none reaches another, and all reach the rest.
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

impl Host {
    /// Its IPv4 address on the first interface.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// `program`, to be started on this host. It inherits no `MESHZERO_…` setting of the test's own
    /// environment but those for tests.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.namespace.command(program)
    }

    /// Runs commands on this host to their ends, such as `ip addr add 10.9.0.1/24 dev eth0`: one a line, its words separated
    /// by spaces.
    ///
    /// # Panics
    /// When one fails.
    #[track_caller]
    pub fn configure(&self, commands: &str) {
        for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            run(self.command(words.next().expect("a line that is not empty")).args(words));
        }
    }

    /// What `ip` says with these arguments on this host.
    ///
    /// # Panics
    /// When it fails.
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
    /// When it has none.
    #[must_use]
    #[track_caller]
    pub fn link_local(&self, interface: &str) -> Ipv6Addr {
        let shown = self.ask_ip(&["-6", "-o", "addr", "show", "dev", interface, "scope", "link"]);
        let address = shown.split_whitespace().find_map(|word| word.strip_suffix("/64"));
        address.and_then(|address| address.parse().ok()).expect("a link-local address")
    }

    /// Adds a rule to the firewall of this host, for both families, such as `INPUT -p tcp -j DROP`.
    ///
    /// # Panics
    /// When it is no rule.
    #[track_caller]
    pub fn rule(&self, rule: &str) {
        for tables in TABLES {
            self.configure(&format!("{tables} -w -A {rule}"));
        }
    }

    /// Lets in what ufw's default rules do: loopback, replies, and mDNS by multicast.
    #[track_caller]
    pub fn guard(&self) {
        self.rule("INPUT -i lo -j ACCEPT");
        self.rule("INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
        self.configure(
            "iptables-legacy -w -A INPUT -p udp -d 224.0.0.251 --dport 5353 -j ACCEPT
             ip6tables-legacy -w -A INPUT -p udp -d ff02::fb --dport 5353 -j ACCEPT
             ip6tables-legacy -w -A INPUT -p ipv6-icmp -j ACCEPT",
        );
        self.rule("INPUT -j DROP");
    }

    /// Pulls the plug: nothing arrives and nothing leaves, while the interfaces keep their addresses.
    ///
    /// # Panics
    /// When there is no plug, on a host with nothing but loopback.
    #[track_caller]
    pub fn cut(&self) {
        self.plug("down");
    }

    /// Puts the plug back.
    ///
    /// # Panics
    /// As [`cut`](Self::cut).
    #[track_caller]
    pub fn heal(&self) {
        self.plug("up");
    }

    /// Loses arriving UDP datagrams at random, with this probability from 0 (none) to 1 (all).
    #[track_caller]
    pub fn loss(&self, probability: f64) {
        self.lose(&["-p", "udp"], probability);
    }

    /// Loses arriving packets of all kinds at random, with this probability from 0 (none) to 1 (all).
    #[track_caller]
    pub fn loss_of_all(&self, probability: f64) {
        self.lose(&[], probability);
    }

    /// Counts the connections that programs of this host try from now on, each packet that asks for one.
    #[track_caller]
    pub fn count_dials(&self) {
        for tables in TABLES {
            run(self.command(tables).args(["-w", "-F", "OUTPUT"]));
            for cable in &self.cables {
                let rule = ["-w", "-A", "OUTPUT", "-o", cable.interface, "-p", "tcp", "--syn"];
                run(self.command(tables).args(rule));
            }
        }
    }

    /// Returns how many there have been since [`count_dials`](Self::count_dials).
    #[must_use]
    #[track_caller]
    pub fn dials(&self) -> u64 {
        TABLES
            .iter()
            .map(|tables| counted(&output(self.command(tables).args(["-w", "-nvxL", "OUTPUT"]))))
            .sum()
    }

    /// Gives the first interface the address with this last number in place of the one it has, in both families.
    ///
    /// # Panics
    /// On a host with nothing but loopback.
    #[track_caller]
    pub fn renumber(&self, number: u8) {
        let cable = self.cables.first().expect("a host with nothing but loopback has no other address");
        let old = self.address.octets()[3];
        // In this order: what is added beside an address of the same network goes with that one.
        for (verb, number) in [("del", old), ("add", number)] {
            let v4 = format!("10.77.0.{number}/24");
            let v6 = format!("fd77::{number:x}/64");
            run(self.namespace.ip().args(["addr", verb, &v4, "dev", cable.interface]));
            run(self.namespace.ip().args(["addr", verb, &v6, "dev", cable.interface]));
        }
        // The one that belongs to the cable would still lead here.
        run(self.namespace.ip().args(["-6", "addr", "flush", "dev", cable.interface, "scope", "link"]));
    }

    #[track_caller]
    fn lose(&self, what: &[&str], probability: f64) {
        assert!((0.0..=1.0).contains(&probability), "{probability} is no probability");
        for tables in TABLES {
            run(self.command(tables).args(["-w", "-F", "INPUT"]));
            for cable in self.cables.iter().filter(|_| probability > 0.0) {
                let rule = [&["-w", "-A", "INPUT", "-i", cable.interface], what, &["-j", "DROP"]].concat();
                let chance =
                    ["-m", "statistic", "--mode", "random", "--probability", &probability.to_string()];
                run(self.command(tables).args(rule).args(chance));
            }
        }
    }

    #[track_caller]
    fn plug(&self, state: &str) {
        assert!(!self.cables.is_empty(), "a host with nothing but loopback has no plug");
        for cable in &self.cables {
            run(Command::new("ip").args(["-n", &cable.switch, "link", "set", &cable.port, state]));
        }
    }

    #[track_caller]
    fn new(lan: &str, number: u8, switch: &Namespace, bridges: &[Bridge]) -> Self {
        let namespace = Namespace::new(lan, &number.to_string());
        // Without duplicate address detection IPv6 addresses work from the first moment.
        let settings = ["net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0"];
        run(namespace.command("sysctl").arg("-qw").args(settings));
        let cables = bridges.iter().map(|bridge| bridge.join(&namespace, switch, number)).collect();
        Self { namespace, address: Ipv4Addr::new(10, bridges[0].network, 0, number), cables }
    }
}

/// One of the networks of a [`Lan`].
#[derive(Debug)]
struct Bridge {
    name: &'static str,
    /// What the names of its ports begin with.
    port: char,
    /// The interface of the hosts that is plugged into it.
    interface: &'static str,
    /// The second byte of its addresses.
    network: u8,
}

impl Bridge {
    #[track_caller]
    fn join(&self, host: &Namespace, switch: &Namespace, number: u8) -> Cable {
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

/// A number whose hexadecimal digits read like the decimal ones of `number`, so that both families show the
/// same network.
fn hex(number: u8) -> u16 {
    u16::from(number / 10) * 16 + u16::from(number % 10)
}

/// A network namespace with loopback. Dropping it ends every process inside and removes it.
#[derive(Debug)]
struct Namespace {
    name: String,
}

impl Namespace {
    #[track_caller]
    fn new(lan: &str, host: &str) -> Self {
        let name = format!("{lan}-{host}");
        run(Command::new("ip").args(["netns", "add", &name]));
        // From here on it is removed, whatever fails.
        let namespace = Self { name };
        run(namespace.ip().args(["link", "set", "lo", "up"]));
        namespace
    }

    /// `ip`, speaking of this namespace.
    fn ip(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name]);
        command
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("MESHZERO_") && !name.starts_with("MESHZERO_TEST_") {
                command.env_remove(&*name);
            }
        }
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Whether namespaces can be made here; if not, why.
pub(crate) fn available() -> Result<(), String> {
    static TRIED: OnceLock<Result<(), String>> = OnceLock::new();
    TRIED.get_or_init(try_namespace).clone()
}

fn try_namespace() -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("network namespaces are Linux's".into());
    }
    for program in ["bridge", "sysctl", "iptables-legacy", "ip6tables-legacy", "nft"] {
        check(Command::new(program).arg("-V"))?;
    }
    let name = format!("{}-try", unique_name());
    check(Command::new("ip").args(["netns", "add", &name]))?;
    let entered = check(Command::new("ip").args(["netns", "exec", &name, "true"])).map(drop);
    remove(&name);
    entered
}

fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("{PREFIX}{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Removes the namespaces of tests that were killed, once in the life of a process.
fn remove_leftovers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let listed = Command::new("ip").args(["netns", "list"]).output();
        let text =
            listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        names.filter(|name| owner(name).is_some_and(is_dead)).for_each(remove);
    });
}

/// The process that made a namespace, if it is one of ours.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn is_dead(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

/// Ends what runs in a namespace and removes it. Another test may be at the same leftovers, and a test that
/// ends by a panic must go on with its other namespaces: what fails is told, and only where something really
/// stays behind.
fn remove(name: &str) {
    let running = Command::new("ip").args(["netns", "pids", name]).stderr(Stdio::null()).output();
    let pids = running.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for pid in pids.split_whitespace() {
        // It may end by itself meanwhile.
        drop(Command::new("kill").args(["-s", "KILL", pid]).stderr(Stdio::null()).status());
    }
    let removed = check(Command::new("ip").args(["netns", "del", name]));
    if let Err(why) = removed
        && fs::exists(Path::new("/run/netns").join(name)).unwrap_or(true)
    {
        eprintln!("{name} stays behind: {why}");
    }
}

#[track_caller]
fn run(command: &mut Command) {
    check(command).unwrap_or_else(|why| panic!("{why}"));
}

#[track_caller]
fn output(command: &mut Command) -> String {
    check(command).unwrap_or_else(|why| panic!("{why}"))
}

/// The packets that all rules of a chain have counted, as `iptables -nvxL` tells: first the chain, then the columns' names.
fn counted(chain: &str) -> u64 {
    let rules = chain.lines().skip(2).filter_map(|rule| rule.split_whitespace().next());
    rules.filter_map(|packets| packets.parse::<u64>().ok()).sum()
}

/// Runs `command` and gives what it printed; what it says when it fails is the reason.
fn check(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}").replace('"', "");
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {shown}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_have_an_owner() {
        assert_eq!(owner("meshzero-test-17-3-switch"), Some(17));
        for name in
            ["meshzero-test-", "meshzero-test-x-1", "mh1", "meshzero-17-1", "other-meshzero-test-17-1"]
        {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    #[test]
    fn the_packets_of_all_rules_are_counted() {
        let chain = "Chain OUTPUT (policy ACCEPT 9 packets, 99 bytes)\n    pkts      bytes target     prot\n      12      720            tcp\n       3      180            tcp\n";
        assert_eq!(counted(chain), 15);
    }

    #[test]
    fn a_running_process_is_not_dead() {
        assert!(!is_dead(process::id()));
        assert!(is_dead(u32::MAX));
    }

    #[test]
    fn both_families_show_the_same_network() {
        assert_eq!(0xfd00 | hex(77), 0xfd77);
    }
}
