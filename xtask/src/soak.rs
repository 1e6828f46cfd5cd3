//! `cargo xtask soak`: builds the soak in release mode, and runs it off every real network.

use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::metadata::Metadata;
use crate::process::{Outcome, run};
use crate::sandbox::Sandbox;

/// The timeout of the build.
const BUILD: Duration = Duration::from_secs(60 * 60);

/// The timeout of the soak.
const SOAK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Builds and runs it, with the options of the soak itself.
pub(crate) fn start(options: &[&str]) -> ExitCode {
    match build_and_run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn build_and_run(options: &[&str]) -> Outcome {
    let examples = ["build", "--release", "--locked", "--example", "soak", "--example", "fault_program"];
    run(Command::new(env!("CARGO")).args(examples), BUILD)?;
    let soak = Metadata::load()?.target.join("release/examples/soak");
    run(Sandbox::find().command(&soak.to_string_lossy()).args(options), SOAK)
}
