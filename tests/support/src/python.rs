//! Python programs with the packages that `cargo xtask test` has installed for them.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::{Host, Process};

/// A Python program with these arguments, started on this machine.
///
/// # Panics
/// If there is no interpreter: check [`require`](crate::require) first.
#[must_use]
#[track_caller]
pub fn start(program: &str, arguments: &[&str]) -> Process {
    Process::start(Command::new(interpreter()).args(["-u", "-c", program]).args(arguments))
}

/// A Python program with these arguments, started on `host`.
///
/// # Panics
/// As [`start`].
#[must_use]
#[track_caller]
pub fn start_on(host: &Host, program: &str, arguments: &[&str]) -> Process {
    Process::start(host.command(interpreter()).args(["-u", "-c", program]).args(arguments))
}

/// Checks that there is an interpreter with these modules. The error is the reason why not.
pub(crate) fn has(modules: &str) -> Result<(), String> {
    let python = find()?;
    let output = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output()
        .map_err(|error| format!("cannot start {}: {error}", python.display()))?;
    if output.status.success() { Ok(()) } else { Err(format!("{} has no {modules}", python.display())) }
}

#[track_caller]
fn interpreter() -> PathBuf {
    find().unwrap_or_else(|reason| panic!("{reason}"))
}

/// The interpreter that `cargo xtask test` has set up, or names.
fn find() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("MESHZERO_TEST_PYTHON") {
        return Ok(named.into());
    }
    let own = env::current_exe().map_err(|error| format!("a test does not know its own file: {error}"))?;
    let found = own.ancestors().map(|folder| folder.join("test-venv/bin/python")).find(|file| file.is_file());
    found.ok_or_else(|| "`cargo xtask test` has not set up Python here".to_owned())
}
