//! The Avahi daemon with a message bus of its own on a host of a test's network, and Avahi's tools.
//!
//! Daemon and bus keep their files in a private `/run`, and the bus listens on a name in the network namespace: several hosts can
//! run Avahi at once, and nothing is written on the machine.

use std::process::Command;
use std::time::Duration;

use crate::{Host, Process};

/// Avahi on one host. Dropping it ends it.
///
/// ```no_run
/// # use meshzero_testing::{Avahi, Lan};
/// let lan = Lan::new(2);
/// let avahi = Avahi::start(lan.host(0));
/// assert!(avahi.browse("_meshzero._tcp").contains("robot/arm"));
/// ```
#[derive(Debug)]
pub struct Avahi<'lan> {
    host: &'lan Host,
    // Dropped before the bus that it uses.
    _daemon: Process,
    _bus: Process,
}

/// An abstract socket, which belongs to its network namespace.
const BUS: &str = "unix:abstract=meshzero-test-bus";

const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:abstract=meshzero-test-bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"#;

/// Gives the program a private `/run` with its configuration, where a command on a host has its own mounts already. Avahi assigns
/// its folder to a user of its own, which the configuration maps to root: the namespaces of an unprivileged user have no other.
const WITH_OWN_RUN: &str = "\
    mount -t tmpfs tmpfs /run && printf %s \"$1\" > /run/config && shift && \
    printf '%s:x:0:0::/:/bin/sh\\n' root avahi > /run/passwd && mount --bind /run/passwd /etc/passwd && \
    printf '%s:x:0:\\n' root avahi > /run/group && mount --bind /run/group /etc/group && \
    exec \"$@\"";

/// The timeout of a start or of one listing on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl<'lan> Avahi<'lan> {
    /// Starts both on `host`, and waits until Avahi has its host name.
    ///
    /// # Panics
    /// If they do not start: check [`require::avahi`](crate::require::avahi) first.
    #[must_use]
    #[track_caller]
    pub fn start(host: &'lan Host) -> Self {
        let mut bus = Process::start(
            configured(host, BUS_CONFIG)
                .args(["dbus-daemon", "--config-file=/run/config", "--nofork", "--nopidfile"])
                .arg("--print-address"),
        );
        bus.expect_line(BUS, PATIENCE);
        // Two hosts of one network must not compete for one host name.
        let name = host.address().to_string().replace(['.', ':'], "-");
        let config = format!(
            "[server]\nhost-name=avahi-{name}\nuse-ipv4=yes\nuse-ipv6=yes\nenable-dbus=yes\ndisallow-other-stacks=no\n\
             [wide-area]\nenable-wide-area=no\n[publish]\npublish-hinfo=no\npublish-workstation=no\n"
        );
        let mut daemon = Process::start(
            configured(host, &config)
                .args(["avahi-daemon", "--file=/run/config", "--no-drop-root", "--no-rlimits", "--no-chroot"])
                .arg("--no-proc-title")
                .env("DBUS_SYSTEM_BUS_ADDRESS", BUS),
        );
        daemon.expect_error_line("Server startup complete", PATIENCE);
        Self { host, _daemon: daemon, _bus: bus }
    }

    /// One of Avahi's tools, to be started on this host and connected to this daemon.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.host.command(program);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", BUS);
        command
    }

    /// Returns the output of `avahi-browse -rtp` for a service type such as `_meshzero._tcp`: a line for each service with `=`,
    /// the interface, the family, the name, the type, the domain, the host name, the address, the port and the TXT record,
    /// separated by `;`.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    #[track_caller]
    pub fn browse(&self, service_type: &str) -> String {
        Process::start(self.command("avahi-browse").args(["-rtp", service_type])).succeed(PATIENCE)
    }

    /// Publishes a service for as long as the returned process lives.
    ///
    /// # Panics
    /// If Avahi rejects it.
    #[must_use]
    #[track_caller]
    pub fn publish(&self, name: &str, service_type: &str, port: u16, txt: &[&str]) -> Process {
        let arguments = ["-s", name, service_type, &port.to_string()];
        let mut process = Process::start(self.command("avahi-publish").args(arguments).args(txt));
        process.expect_error_line("Established", PATIENCE);
        process
    }
}

/// Checks that its programs are installed. The error names the missing one.
pub(crate) fn available() -> Result<(), String> {
    for program in ["dbus-daemon", "avahi-daemon", "avahi-browse", "avahi-publish"] {
        let started = Command::new(program).arg("--version").output();
        started.map(drop).map_err(|error| format!("cannot start {program}: {error}"))?;
    }
    Ok(())
}

fn configured(host: &Host, config: &str) -> Command {
    let mut command = host.command("sh");
    command.args(["-c", WITH_OWN_RUN, "sh", config]);
    command
}
