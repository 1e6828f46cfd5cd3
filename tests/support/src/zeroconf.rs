//! python-zeroconf on a host of a test's network: the interpreter that has it, and two small programs for it.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::{Host, Process};

/// What a Python program may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Python program with these arguments, started on `host`, with zeroconf at hand.
///
/// # Panics
/// When there is no interpreter: ask [`require::zeroconf`](crate::require::zeroconf) first.
#[must_use]
#[track_caller]
pub fn start(host: &Host, program: &str, arguments: &[&str]) -> Process {
    let python = python().unwrap_or_else(|why| panic!("{why}"));
    Process::start(host.command(python).args(["-u", "-c", program]).args(arguments))
}

/// Watches a type such as `_meshzero._tcp.local.` for as long as the process lives that this returns. It
/// prints `up` or `down`, a blank and the service's full name, and after `up` also `host=`, `addresses=`
/// (with commas), `port=` and its TXT entries as `key=value`, each after one more blank.
#[must_use]
#[track_caller]
pub fn browse(host: &Host, service_type: &str) -> Process {
    let mut process = start(host, include_str!("zeroconf_browse.py"), &[service_type]);
    process.expect_line("ready", PATIENCE);
    process
}

/// Advertises a service of a type such as `_meshzero._tcp.local.` for as long as the process lives that this
/// returns; it says goodbye when its standard input ends.
#[must_use]
#[track_caller]
pub fn advertise(host: &Host, service_type: &str, name: &str, port: u16, txt: &[&str]) -> Process {
    let (address, port) = (host.address().to_string(), port.to_string());
    let arguments = [&[service_type, name, &address, &port], txt].concat();
    let mut process = start(host, include_str!("zeroconf_advertise.py"), &arguments);
    process.expect_line("ready", PATIENCE);
    process
}

/// Whether there is an interpreter with zeroconf; if not, why.
pub(crate) fn available() -> Result<(), String> {
    let python = python()?;
    let output = Command::new(&python)
        .args(["-c", "import zeroconf"])
        .output()
        .map_err(|error| format!("cannot start {}: {error}", python.display()))?;
    if output.status.success() { Ok(()) } else { Err(format!("{} has no zeroconf", python.display())) }
}

/// The interpreter that `cargo xtask test` has set up, or names.
fn python() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("MESHZERO_TEST_PYTHON") {
        return Ok(named.into());
    }
    let own = env::current_exe().map_err(|error| format!("a test does not know its own file: {error}"))?;
    let found = own.ancestors().map(|folder| folder.join("test-venv/bin/python")).find(|file| file.is_file());
    found.ok_or_else(|| "`cargo xtask test` has not set up python-zeroconf here".to_owned())
}
