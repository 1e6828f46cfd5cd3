//! The network interfaces that multicast uses: all that were chosen, or the most useful where there are too many.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::net::host::announced_addresses::{NetworkPrefix, serving};
use crate::net::host::kind;
use crate::net::host::sysfs;
use crate::net::interfaces::{Interface, default_route_address};
use crate::net::socket::MulticastFamily;

/// The most interfaces that are used. Linux lets one socket join a group on 20 interfaces, and the mDNS daemon has one socket
/// for all of them; some room is left for those that come while others go.
const MAX_INTERFACES: usize = 16;

/// The most IPv4 networks of one interface in which one-shot questions are asked.
const MAX_NETWORKS: usize = 4;

/// Prefixes of the names of interfaces that lead to containers and virtual machines of this host, not to other hosts.
const INTERNAL_PREFIXES: [&str; 11] =
    ["veth", "br-", "docker", "podman", "virbr", "vnet", "cni", "cali", "flannel", "lxc", "lxd"];

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkInterface {
    /// The system's name for it.
    pub(crate) name: String,
    /// The system's index for it, where it has one.
    pub(crate) index: Option<u32>,
    /// Its first IPv4 address, from which it sends.
    pub(crate) v4: Option<Ipv4Addr>,
    /// The first addresses of its further IPv4 networks. Replies to one-shot questions from `v4` do not come from a host that
    /// shares only one of these with it, because that host has no route there.
    pub(crate) further_v4: Vec<Ipv4Addr>,
    /// Set if it has an IPv6 address.
    pub(crate) has_v6: bool,
    pub(crate) is_loopback: bool,
}

/// The choice among the interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct InterfaceTable {
    pub(crate) used: Vec<NetworkInterface>,
    /// The names of the interfaces that are over the limit.
    pub(crate) left_out: Vec<String>,
    /// The names of the ports of bridges and bonds. Packets that arrive there arrive at the bridge or bond.
    pub(crate) ports: Vec<String>,
    /// The addresses that are not announced, by the names of their interfaces, because there are enough others.
    pub(crate) surplus: BTreeSet<(String, IpAddr)>,
}

impl InterfaceTable {
    /// Chooses among the interfaces with these addresses: at most 16, preferably those that lead to other hosts.
    pub(crate) fn of(list: &[Interface]) -> Self {
        let mut by_name: BTreeMap<&str, (NetworkInterface, Vec<IpAddr>)> = BTreeMap::new();
        let mut networks: BTreeSet<(&str, NetworkPrefix)> = BTreeSet::new();
        for interface in list {
            let Interface { name, index, address } = interface;
            let is_first = networks.insert((name, NetworkPrefix::of(interface)));
            let (nic, ips) =
                by_name.entry(name).or_insert_with(|| (NetworkInterface::new(name, *index), Vec::new()));
            ips.push(address.ip);
            nic.is_loopback |= address.ip.is_loopback();
            match address.ip {
                IpAddr::V4(ip) if nic.v4.is_none() => nic.v4 = Some(ip),
                IpAddr::V4(ip) if is_first && nic.further_v4.len() + 1 < MAX_NETWORKS => {
                    nic.further_v4.push(ip);
                }
                IpAddr::V4(_) => {}
                IpAddr::V6(_) => nic.has_v6 = true,
            }
        }
        let (ports, by_name): (BTreeMap<_, _>, BTreeMap<_, _>) =
            by_name.into_iter().partition(|(name, _)| kind::is_port(name));
        let mut used: Vec<(NetworkInterface, Vec<IpAddr>)> = by_name.into_values().collect();
        if used.len() > MAX_INTERFACES {
            let default_route = default_route_address();
            used.sort_by_cached_key(|(nic, ips)| (rank(nic, ips, default_route), nic.index));
        }
        let left_out = used.split_off(used.len().min(MAX_INTERFACES));
        let mut surplus: BTreeSet<(String, IpAddr)> = list.iter().map(key_of).collect();
        for interface in serving(list) {
            surplus.remove(&key_of(interface));
        }
        Self {
            used: used.into_iter().map(|(nic, _)| nic).collect(),
            left_out: left_out.into_iter().map(|(nic, _)| nic.name).collect(),
            ports: ports.into_keys().map(str::to_owned).collect(),
            surplus,
        }
    }
}

impl NetworkInterface {
    fn new(name: &str, index: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            index,
            v4: None,
            further_v4: Vec::new(),
            has_v6: false,
            is_loopback: false,
        }
    }

    /// Returns the families that are used on it: both, because each reaches hosts that do not have the other one. On loopback
    /// every process has both, so one is enough.
    pub(crate) fn families(&self) -> impl Iterator<Item = MulticastFamily> {
        let v6 = self.has_v6 && !self.is_ipv4_only();
        self.v4.map(MulticastFamily::V4).into_iter().chain(v6.then_some(MulticastFamily::V6))
    }

    /// Returns the families and addresses from which one-shot questions are sent: IPv4 once in each of its networks, because
    /// the replies go to the address that asked.
    pub(crate) fn askers(&self) -> impl Iterator<Item = MulticastFamily> {
        let further = if self.is_loopback { &[][..] } else { &self.further_v4 };
        let (v4, v6): (Vec<_>, Vec<_>) = self.families().partition(|family| *family != MulticastFamily::V6);
        // Before IPv6: addresses without a zone are more useful, and the first reply is dialled first.
        v4.into_iter().chain(further.iter().copied().map(MulticastFamily::V4)).chain(v6)
    }

    /// Returns whether IPv6 is not used on it although it has an address.
    pub(crate) fn is_ipv4_only(&self) -> bool {
        self.is_loopback && self.v4.is_some()
    }
}

fn key_of(interface: &Interface) -> (String, IpAddr) {
    (interface.name.clone(), interface.address.ip)
}

/// Returns the rank of an interface; the lowest is the most useful.
fn rank(nic: &NetworkInterface, ips: &[IpAddr], default_route: Option<IpAddr>) -> u8 {
    let is_internal = INTERNAL_PREFIXES.iter().any(|prefix| nic.name.starts_with(prefix));
    match nic {
        NetworkInterface { is_loopback: true, .. } => 0,
        _ if default_route.is_some_and(|ip| ips.contains(&ip)) => 1,
        // An interface by which hosts are reached has the default route.
        _ if is_internal || sysfs::has(&nic.name, "bridge") => 4,
        NetworkInterface { v4: Some(_), .. } => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::discovery::addresses::OwnAddress;

    use super::*;

    fn interface(name: &str, index: u32, ip: &str) -> Interface {
        let address = OwnAddress { ip: ip.parse().expect("an address"), prefix: 24 };
        Interface { name: name.into(), index: Some(index), address }
    }

    #[test]
    fn an_interface_with_many_addresses_counts_once() {
        let list: Vec<_> = (1..=250).map(|n| interface("eth0", 2, &format!("10.0.0.{n}"))).collect();
        let list = [list, vec![interface("eth0", 2, "fe80::1"), interface("wlan0", 3, "fe80::2")]].concat();
        let InterfaceTable { used, left_out, surplus, .. } = InterfaceTable::of(&list);
        assert_eq!((used.len(), left_out.len()), (2, 0));
        assert!(surplus.len() > 200 && surplus.contains(&("eth0".to_owned(), [10, 0, 0, 250].into())));
        assert!(!surplus.contains(&("eth0".to_owned(), [10, 0, 0, 1].into())));
        let first = MulticastFamily::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(used[0].families().collect::<Vec<_>>(), [first, MulticastFamily::V6]);
        assert_eq!(used[1].families().collect::<Vec<_>>(), [MulticastFamily::V6]);
    }

    #[test]
    fn one_shot_questions_are_asked_in_each_network() {
        let addresses = ["10.0.0.1", "10.0.0.9", "10.1.0.1", "fe80::1", "10.2.0.1", "10.3.0.1", "10.4.0.1"];
        let list = addresses.map(|ip| interface("eth0", 2, ip));
        let InterfaceTable { used, .. } = InterfaceTable::of(&list);
        let first = MulticastFamily::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(used[0].families().collect::<Vec<_>>(), [first, MulticastFamily::V6]);
        let further = (1..4).map(|n| MulticastFamily::V4(Ipv4Addr::new(10, n, 0, 1)));
        let expected: Vec<_> = [first].into_iter().chain(further).chain([MulticastFamily::V6]).collect();
        assert_eq!(used[0].askers().collect::<Vec<_>>(), expected);
        let list = ["127.0.0.1", "10.0.0.1"].map(|ip| interface("lo", 1, ip));
        assert_eq!(InterfaceTable::of(&list).used[0].askers().count(), 1);
    }

    #[test]
    fn loopback_needs_one_family() {
        let list = [interface("lo", 1, "127.0.0.1"), interface("lo", 1, "::1")];
        let InterfaceTable { used, .. } = InterfaceTable::of(&list);
        assert_eq!(used[0].families().collect::<Vec<_>>(), [MulticastFamily::V4(Ipv4Addr::LOCALHOST)]);
        let InterfaceTable { used, .. } = InterfaceTable::of(&list[1..]);
        assert_eq!(used[0].families().collect::<Vec<_>>(), [MulticastFamily::V6]);
    }

    #[test]
    fn interfaces_that_lead_to_other_hosts_are_preferred() {
        let bridges = (0..40).map(|n| interface(&format!("br-{n}"), n + 2, &format!("172.18.{n}.1")));
        let last = [interface("lo", 1, "127.0.0.1"), interface("eth0", 99, "10.0.0.1")];
        let list: Vec<_> = bridges.chain(last).collect();
        let InterfaceTable { used, left_out, .. } = InterfaceTable::of(&list);
        assert_eq!((used.len(), left_out.len()), (MAX_INTERFACES, 42 - MAX_INTERFACES));
        assert_eq!([&used[0].name, &used[1].name], ["lo", "eth0"]);
    }
}
