//! The kind of an interface, as `/sys` reports it on Linux: whether it leads to other hosts or stays inside this one.

use std::fs;
use std::path::Path;

use meshzero_proto::diagnosis::InterfaceKind;

use crate::net::host::sysfs::{self, number};

/// The ARP hardware types of interfaces.
const ARPHRD_PPP: u32 = 512;
const ARPHRD_TUNNELS: std::ops::RangeInclusive<u32> = 768..=769;
const ARPHRD_LOOPBACK: u32 = 772;
const ARPHRD_SIT: u32 = 776;
const ARPHRD_IPGRE: u32 = 778;
const ARPHRD_NONE: u32 = 0xFFFE;

/// Returns the kind of the interface `name`.
pub(crate) fn of(name: &str) -> InterfaceKind {
    from_files(name, &sysfs::interface(name))
}

fn from_files(name: &str, files: &Path) -> InterfaceKind {
    let has = |file: &str| files.join(file).exists();
    match number(files, "type", 10) {
        Some(ARPHRD_LOOPBACK) => InterfaceKind::Loopback,
        Some(ARPHRD_NONE | ARPHRD_PPP | ARPHRD_SIT | ARPHRD_IPGRE) => InterfaceKind::Tunnel,
        Some(kind) if ARPHRD_TUNNELS.contains(&kind) => InterfaceKind::Tunnel,
        _ if has("wireless") || has("phy80211") => InterfaceKind::Wireless,
        _ if is_port_directory(files) => InterfaceKind::Inner,
        _ if has("bridge") && !has_physical_port(files) => InterfaceKind::Inner,
        _ if name.starts_with("veth") || has("tun_flags") => InterfaceKind::Inner,
        Some(_) => InterfaceKind::Wired,
        None => InterfaceKind::Unknown,
    }
}

/// Returns whether an interface is a port of a bridge or a bond: packets that it receives are received there. A member of a VRF
/// has a master as well, and addresses of its own.
pub(crate) fn is_port(name: &str) -> bool {
    is_port_directory(&sysfs::interface(name))
}

fn is_port_directory(files: &Path) -> bool {
    ["brport", "bonding_slave"].iter().any(|entry| files.join(entry).exists())
}

/// Returns whether one of the ports of a bridge is a real interface.
fn has_physical_port(bridge: &Path) -> bool {
    let ports = fs::read_dir(bridge.join("brif")).into_iter().flatten().filter_map(Result::ok);
    ports.into_iter().any(|port| port.file_name().to_str().is_some_and(|name| sysfs::has(name, "device")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// The files of an interface of type Ethernet, in a directory that is removed at the end.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str, entries: &[&str]) -> Self {
            let directory = std::env::temp_dir().join(format!("meshzero-kind-{}-{name}", std::process::id()));
            fs::create_dir_all(&directory).expect("it is writable");
            fs::write(directory.join("type"), "1\n").expect("it is writable");
            for entry in entries {
                fs::create_dir(directory.join(entry)).expect("it is new");
            }
            Self(directory)
        }

        fn kind(&self) -> InterfaceKind {
            from_files("nosuch0", &self.0)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_port_is_inner_and_a_member_of_a_vrf_is_not() {
        assert_eq!(Files::new("alone", &[]).kind(), InterfaceKind::Wired);
        assert_eq!(Files::new("bridged", &["master", "brport"]).kind(), InterfaceKind::Inner);
        assert_eq!(Files::new("bonded", &["master", "bonding_slave"]).kind(), InterfaceKind::Inner);
        let vrf = Files::new("vrf", &["master"]);
        assert_eq!(vrf.kind(), InterfaceKind::Wired);
        assert!(!is_port_directory(&vrf.0));
    }
}
