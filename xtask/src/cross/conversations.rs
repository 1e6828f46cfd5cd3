//! Conversations between `mz` of another system and that of this one, on a private loopback interface.

use std::ffi::OsString;
use std::time::Duration;

use super::emulators::Emulator;
use crate::metadata::Metadata;
use crate::process::{Outcome, run};
use crate::sandbox::Sandbox;

/// The timeout of about ten conversations, each of which has deadlines of its own.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Gives multicast without an interface a route as well. The server of an emulator opens sockets, so it is started inside too.
const ENTER: &str =
    "ip route add 224.0.0.0/4 dev lo && if [ -n \"$1\" ]; then \"$1\" -p; fi && shift && exec \"$@\"";

/// Runs the conversations. The program that asks and listens is an example of the command line, which has been built before.
pub(super) fn run_conversations(metadata: &Metadata, sandbox: Sandbox, other: &Emulator) -> Outcome {
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
