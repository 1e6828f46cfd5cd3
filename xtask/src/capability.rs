//! The capabilities of a machine that some tests need, each probed by trying it where the tests will run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cross::toolchain::{self, Toolchain};
use crate::process::{find_program, read};
use crate::report::Skip;
use crate::sandbox::Sandbox;
use crate::{cross, hostile};

/// A capability that some tests need and not every machine has. Tests know it by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    /// Networks of namespaces, with packet loss.
    Netns,
    /// The Avahi daemon and its tools, inside such a network.
    Avahi,
    /// python-zeroconf, inside such a network.
    Zeroconf,
    /// pyzmq and the real NetworkZero.
    NetworkZero,
    /// maturin, which makes the wheel, in a virtual environment.
    Wheel,
    /// libfaketime, which moves the wall clock of a program.
    Faketime,
    /// A compiler for C++, in which the fuzzer is written, and a system that it knows.
    Fuzzing,
    /// A compiler for other systems and their linkers, Wine and QEMU.
    Cross,
    /// cargo-nextest, which runs each test in a process of its own and ends those that hang.
    Nextest,
}

/// A program that tests start, the Debian package that contains it, and the capability that needs it.
pub(crate) const PROGRAMS: &[(&str, &str, Capability)] = &[
    ("ip", "iproute2", Capability::Netns),
    ("bridge", "iproute2", Capability::Netns),
    ("sysctl", "procps", Capability::Netns),
    ("iptables-legacy", "iptables", Capability::Netns),
    ("nft", "nftables", Capability::Netns),
    ("dbus-daemon", "dbus", Capability::Avahi),
    ("avahi-daemon", "avahi-daemon", Capability::Avahi),
    ("avahi-browse", "avahi-utils", Capability::Avahi),
    ("python3", "python3", Capability::Zeroconf),
    ("faketime", "faketime", Capability::Faketime),
    ("c++", "g++", Capability::Fuzzing),
    ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32", Capability::Cross),
    ("wine64", "wine64", Capability::Cross),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", Capability::Cross),
    ("qemu-aarch64", "qemu-user", Capability::Cross),
    ("apt-cache", "apt", Capability::Cross),
    ("dpkg-deb", "dpkg", Capability::Cross),
];

impl Capability {
    /// All capabilities.
    pub(crate) const ALL: [Self; 9] = [
        Self::Netns,
        Self::Avahi,
        Self::Zeroconf,
        Self::NetworkZero,
        Self::Wheel,
        Self::Faketime,
        Self::Fuzzing,
        Self::Cross,
        Self::Nextest,
    ];

    /// The name by which tests know the capability.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Netns => "netns",
            Self::Avahi => "avahi",
            Self::Zeroconf => "zeroconf",
            Self::NetworkZero => "networkzero",
            Self::Wheel => "wheel",
            Self::Faketime => "faketime",
            Self::Fuzzing => "fuzzing",
            Self::Cross => "cross",
            Self::Nextest => "nextest",
        }
    }

    /// Probes the capability. An error is the reason to skip the tests that need it.
    pub(crate) fn probe(self, sandbox: Sandbox, target: &Path) -> Result<(), Skip> {
        let venv = &venv(target);
        let needs = |capability| missing_programs(capability).map_err(|reason| self.skip(reason));
        match self {
            Self::Nextest => {
                let version = read(Command::new(env!("CARGO")).args(["nextest", "--version"]));
                version.map(drop).map_err(|_| {
                    self.skip("cargo-nextest is not installed: plain `cargo test` runs the tests".into())
                })
            }
            Self::Fuzzing => {
                needs(Self::Fuzzing)?;
                hostile::unavailable_reason().map_or(Ok(()), |reason| Err(self.skip(reason)))
            }
            Self::Cross => {
                cross::unavailable_reason().map_or(Ok(()), |reason| Err(self.skip(reason)))?;
                needs(Self::Cross)?;
                let is_there = Toolchain::below(target).exists();
                let packages = toolchain::PACKAGES.join(" and ");
                is_there
                    .then_some(())
                    .ok_or_else(|| self.skip(format!("there is no compiler (Debian packages {packages})")))
            }
            Self::Netns => {
                needs(Self::Netns)?;
                read(&mut sandbox.shell(NETNS_PROBE)).map(drop).map_err(|failure| self.skip(failure.0))
            }
            Self::Avahi => {
                Self::Netns.probe(sandbox, target).map_err(|skip| self.skip(skip.reason))?;
                needs(Self::Avahi)
            }
            Self::Zeroconf => {
                Self::Netns.probe(sandbox, target).map_err(|skip| self.skip(skip.reason))?;
                let import = read(Command::new(python_in(venv)).args(["-c", "import zeroconf"]));
                import.map(drop).map_err(|failure| self.skip(failure.0))
            }
            Self::NetworkZero => {
                let import = read(Command::new(python_in(venv)).args(["-c", "import zmq, networkzero"]));
                import.map(drop).map_err(|failure| self.skip(failure.0))
            }
            Self::Wheel => {
                let import =
                    read(Command::new(python_in(venv)).args(["-c", "import ensurepip, maturin, venv"]));
                import.map(drop).map_err(|failure| self.skip(failure.0))
            }
            Self::Faketime => needs(Self::Faketime),
        }
    }

    fn skip(self, reason: String) -> Skip {
        let what = match self {
            Self::Nextest => "cargo-nextest".to_owned(),
            Self::Wheel => "the Python wheel and its tests".to_owned(),
            Self::Cross => "other systems: cross compilers, Wine and QEMU".to_owned(),
            _ => format!("tests that need {}", self.name()),
        };
        Skip { what, reason }
    }
}

/// The Python virtual environment of the tests, below the folder that cargo builds into.
pub(crate) fn venv(target: &Path) -> PathBuf {
    target.join("test-venv")
}

/// The interpreter of a Python virtual environment.
pub(crate) fn python_in(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Creates a namespace with a bridge, a cable and a rule that drops packets at random, and removes them all.
const NETNS_PROBE: &str = "\
    set -e; a=meshzero-$$-probe-a; b=meshzero-$$-probe-b; \
    trap 'ip netns del $a 2>/dev/null || :; ip netns del $b 2>/dev/null || :' EXIT; \
    ip netns add $a; ip netns add $b; \
    ip -n $a link add br0 type bridge mcast_snooping 0; \
    ip -n $a link add v0 type veth peer name eth0 netns $b; \
    ip netns exec $b iptables-legacy -A INPUT -p udp -m statistic --mode random --probability 0.5 -j DROP";

fn missing_programs(capability: Capability) -> Result<(), String> {
    let needed = PROGRAMS.iter().filter(|(_, _, for_what)| *for_what == capability);
    let missing: Vec<String> = needed
        .filter(|(program, _, _)| find_program(program).is_none())
        .map(|(program, package, _)| format!("`{program}` (Debian package {package})"))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("there is no {}", missing.join(", no "))) }
}
