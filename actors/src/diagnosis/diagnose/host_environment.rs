//! The container or virtual machine that this program runs in, and the firewall of this host, from world-readable
//! files.

use std::fs;
use std::path::Path;

use meshzero_proto::diagnosis::{HostFirewall, Surroundings};

/// Reads the files.
pub(super) fn read() -> Surroundings {
    if !cfg!(target_os = "linux") {
        return Surroundings::default();
    }
    Surroundings {
        container: Some(container().to_owned()),
        virtual_machine: virtual_machine(),
        firewall: firewall(),
    }
}

fn container() -> &'static str {
    if Path::new("/.dockerenv").exists() {
        "Docker"
    } else if Path::new("/run/.containerenv").exists() {
        "Podman"
    } else if Path::new("/run/systemd/container").exists() {
        "systemd-nspawn or LXC"
    } else {
        ""
    }
}

fn virtual_machine() -> Option<String> {
    let read = |path| fs::read_to_string(path).ok();
    if read("/proc/sys/kernel/osrelease").is_some_and(|release| release.to_lowercase().contains("microsoft"))
    {
        return Some("WSL".to_owned());
    }
    let vendor = read("/sys/class/dmi/id/sys_vendor")?;
    let product = read("/sys/class/dmi/id/product_name").unwrap_or_default();
    let known = ["VirtualBox", "VMware", "QEMU", "Parallels", "Virtual Machine"];
    let found = known.iter().find(|name| vendor.contains(**name) || product.contains(**name));
    Some(found.map(|name| (*name).to_owned()).unwrap_or_default())
}

fn firewall() -> Option<HostFirewall> {
    let ufw = fs::read_to_string("/etc/ufw/ufw.conf").unwrap_or_default();
    if ufw.lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes")) {
        return Some(HostFirewall::Ufw);
    }
    Path::new("/run/firewalld.pid").exists().then_some(HostFirewall::Firewalld)
}
