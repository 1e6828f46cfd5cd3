//! This host's interfaces and routers: on Linux with carrier and flags, elsewhere only what their addresses show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use meshzero_proto::diagnosis::{InterfaceKind, InterfaceSeen};

use crate::net::host::interfaces::{self, Interface, ListedAddress};
use crate::net::host::kind;
use crate::net::host::sysfs::{self, number, text};
use crate::net::interfaces::Interfaces;

/// The maximum number of interfaces that are examined.
const MAX_INTERFACES: usize = 1_024;
/// Bits of Linux's interface flags.
const IFF_UP: u32 = 0x1;
const IFF_MULTICAST: u32 = 0x1000;

/// Returns all interfaces, including those without addresses and those that are down; `None` if they cannot be listed.
pub(super) fn interfaces(choice: &Interfaces) -> Option<Vec<InterfaceSeen>> {
    let mut named: BTreeMap<String, (InterfaceSeen, Option<u32>)> = BTreeMap::new();
    for ListedAddress { label, interface, .. } in interfaces::list().ok()?.into_iter().take(MAX_INTERFACES) {
        let Interface { name, index: number, address } = interface;
        let (observed, index) = named.entry(name.clone()).or_default();
        observed.chosen |= choice.includes(&label, address.ip);
        observed.name = name;
        if address.ip.is_loopback() {
            observed.kind = InterfaceKind::Loopback;
        }
        observed.addresses.push(address);
        *index = number;
    }
    let names = names_in_sysfs(&named);
    for name in names.iter().flatten().take(MAX_INTERFACES) {
        let (observed, _) = named.entry(name.clone()).or_insert_with(|| {
            // One without addresses can be chosen by its name only.
            let chosen = choice.includes(name, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            (InterfaceSeen { name: name.clone(), chosen, ..InterfaceSeen::default() }, None)
        });
        read_interface(&sysfs::interface(name), observed);
    }
    let with_index = |(observed, index)| InterfaceSeen { index, ..observed };
    Some(named.into_values().map(with_index).collect())
}

/// Returns the names of the interfaces listed in `/sys`, if it belongs to this network namespace: a `/sys` that was
/// mounted in another namespace lists the interfaces of that one.
fn names_in_sysfs(known: &BTreeMap<String, (InterfaceSeen, Option<u32>)>) -> Option<BTreeSet<String>> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let entries = fs::read_dir(sysfs::interfaces()).ok()?;
    // There may be files among them, such as `bonding_masters`.
    let entries = entries.filter_map(Result::ok).filter(|entry| entry.path().join("ifindex").exists());
    let sysfs_names: BTreeSet<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // This file belongs to the network namespace of the process that reads it.
    let own = fs::read_to_string("/proc/net/dev").ok()?;
    let own: BTreeSet<String> =
        own.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect();
    let same = |(name, (_, index)): (&String, &(InterfaceSeen, Option<u32>))| {
        index.is_none() || number(&sysfs::interface(name), "ifindex", 10) == *index
    };
    let confirmed = known.iter().filter(|(name, _)| own.contains(*name));
    (sysfs_names == own && confirmed.into_iter().all(same)).then_some(own)
}

fn read_interface(files: &Path, interface: &mut InterfaceSeen) {
    let flags = number(files, "flags", 16);
    interface.up = flags.map(|flags| flags & IFF_UP != 0);
    interface.multicast = flags.map(|flags| flags & IFF_MULTICAST != 0);
    interface.carrier = match number(files, "carrier", 10) {
        Some(carrier) => Some(carrier != 0),
        // The file cannot be read while the interface is down; a tunnel's state is always unknown.
        None => match text(files, "operstate").as_deref() {
            Some("up") => Some(true),
            Some("lowerlayerdown" | "notpresent") => Some(false),
            _ => None,
        },
    };
    interface.kind = kind::of(&interface.name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_a_loopback_interface() {
        let interfaces = interfaces(&Interfaces::loopback()).expect("they can be listed");
        let loopback = interfaces.iter().find(|interface| interface.kind == InterfaceKind::Loopback);
        assert!(loopback.is_some_and(|loopback| loopback.chosen && !loopback.addresses.is_empty()));
    }
}
