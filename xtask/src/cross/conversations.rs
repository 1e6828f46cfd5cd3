//! What `mz` of another system and that of this one say to each other, on a loopback interface of their own.

use std::ffi::OsString;
use std::time::Duration;

use super::emulators::Emulator;
use crate::metadata::Metadata;
use crate::process::{Outcome, run};
use crate::sandbox::Sandbox;

/// Each of some ten conversations has deadlines of its own.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Multicast that names no interface has one way as well. What serves an emulator opens its sockets, and is started here too.
const ENTER: &str =
    "ip route add 224.0.0.0/4 dev lo && if [ -n \"$1\" ]; then \"$1\" -p; fi && shift && exec \"$@\"";

/// Lets them talk. The program that asks and listens is an example of the command line, which has been built before.
pub(super) fn hold(metadata: &Metadata, sandbox: Sandbox, other: &Emulator) -> Outcome {
    let debug = metadata.target.join("debug");
    let mut command = sandbox.shell(ENTER);
    command
        .arg("sh")
        .arg(other.server.as_deref().unwrap_or_default())
        .arg(debug.join("examples/conversations"))
        .arg(debug.join("mz"));
    command.arg(other.name).args(&other.mz).arg("--").args(&other.console);
    command.envs(other.environment.iter().map(|(name, value)| (*name, OsString::from(value))));
    run(&mut command, PATIENCE)
}
