//! Commands that set a network up, which must not fail.

use std::process::{Command, Stdio};

#[track_caller]
pub(super) fn run(command: &mut Command) {
    check(command).unwrap_or_else(|reason| panic!("{reason}"));
}

#[track_caller]
pub(super) fn output(command: &mut Command) -> String {
    check(command).unwrap_or_else(|reason| panic!("{reason}"))
}

/// Runs `command` and returns its output. The error contains its standard error.
pub(super) fn check(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}").replace('"', "");
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {shown}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
