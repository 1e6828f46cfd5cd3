//! The kind of an interface, as `/sys` tells of it on Linux: whether it leads to other hosts or stays inside this one.

use std::fs;
use std::path::{Path, PathBuf};

use meshzero_proto::diagnosis::InterfaceKind;

/// Types of interfaces, as ARP numbers them.
const ARPHRD_PPP: u32 = 512;
const ARPHRD_TUNNELS: std::ops::RangeInclusive<u32> = 768..=769;
const ARPHRD_LOOPBACK: u32 = 772;
const ARPHRD_SIT: u32 = 776;
const ARPHRD_IPGRE: u32 = 778;
const ARPHRD_NONE: u32 = 0xFFFE;

/// The kind of the interface `name`.
pub(crate) fn of(name: &str) -> InterfaceKind {
    let files = directory(name);
    let has = |file: &str| files.join(file).exists();
    match number(&files, "type", 10) {
        Some(ARPHRD_LOOPBACK) => InterfaceKind::Loopback,
        Some(ARPHRD_NONE | ARPHRD_PPP | ARPHRD_SIT | ARPHRD_IPGRE) => InterfaceKind::Tunnel,
        Some(kind) if ARPHRD_TUNNELS.contains(&kind) => InterfaceKind::Tunnel,
        _ if has("wireless") || has("phy80211") => InterfaceKind::Wireless,
        _ if is_port(name) => InterfaceKind::Inner,
        _ if has("bridge") && !leads_to_a_device(&files) => InterfaceKind::Inner,
        _ if name.starts_with("veth") || has("tun_flags") => InterfaceKind::Inner,
        Some(_) => InterfaceKind::Wired,
        None => InterfaceKind::Unknown,
    }
}

/// Returns whether an interface is a port of a bridge or the like, which has what comes by it.
pub(crate) fn is_port(name: &str) -> bool {
    directory(name).join("master").exists()
}

/// Returns whether one of the ports of a bridge is a real interface.
fn leads_to_a_device(bridge: &Path) -> bool {
    let ports = fs::read_dir(bridge.join("brif")).into_iter().flatten().filter_map(Result::ok);
    ports
        .into_iter()
        .any(|port| port.file_name().to_str().is_some_and(|name| directory(name).join("device").exists()))
}

/// Where the system tells of an interface; nowhere on other systems.
pub(crate) fn directory(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

/// The text of one of these files.
pub(crate) fn text(files: &Path, file: &str) -> Option<String> {
    fs::read_to_string(files.join(file)).ok().map(|text| text.trim().to_owned())
}

/// The same as a number.
pub(crate) fn number(files: &Path, file: &str, radix: u32) -> Option<u32> {
    let text = text(files, file)?;
    u32::from_str_radix(text.trim_start_matches("0x"), radix).ok()
}
