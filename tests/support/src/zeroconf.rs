//! python-zeroconf on a host of a test's network, by two small programs.

use std::time::Duration;

use crate::{Host, Process, python};

/// The timeout for the start of a Python program on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Browses a service type such as `_meshzero._tcp.local.` for as long as the returned process lives. It prints `up` or `down`, a
/// space and the service's full name, and after `up` also `host=`, `addresses=` (with commas), `port=` and its TXT entries as
/// `key=value`, each after one more space.
#[must_use]
#[track_caller]
pub fn browse(host: &Host, service_type: &str) -> Process {
    let mut process = python::start_on(host, include_str!("zeroconf_browse.py"), &[service_type]);
    process.expect_line("ready", PATIENCE);
    process
}

/// Advertises a service of a type such as `_meshzero._tcp.local.` for as long as the returned process lives; it sends a goodbye
/// when its standard input ends.
#[must_use]
#[track_caller]
pub fn advertise(host: &Host, service_type: &str, name: &str, port: u16, txt: &[&str]) -> Process {
    let (address, port) = (host.address().to_string(), port.to_string());
    let arguments = [&[service_type, name, &address, &port], txt].concat();
    let mut process = python::start_on(host, include_str!("zeroconf_advertise.py"), &arguments);
    process.expect_line("ready", PATIENCE);
    process
}
