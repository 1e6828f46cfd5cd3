//! `cargo xtask cross`: the project on systems that this one is not.
//!
//! [`toolchain`] is a compiler with the sources of its standard library, [`targets`] what is checked and built with it,
//! [`emulators`] how a program of another system is run here, and [`conversations`] what it and the `mz` of this system say
//! to each other.

mod conversations;
mod emulators;
mod targets;
pub(crate) mod toolchain;

use std::process::Command;
use std::time::Duration;

use crate::metadata::Metadata;
use crate::process::{Outcome, run};
use crate::report::{Report, Skip};
use crate::sandbox::Sandbox;

use self::emulators::Emulator;
use self::targets::{ARM64, WINDOWS};
use self::toolchain::Toolchain;

/// No build takes longer.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Why none of it can be done here, whatever is installed, if so.
pub(crate) fn obstacle() -> Option<String> {
    let is_known = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    (!is_known).then(|| "it is set up for Linux on x86-64, where Wine runs".into())
}

/// Builds the `mz` of this system, and what lets it talk with others, where that has not been done by other means.
pub(crate) fn build_native(report: &mut Report) -> Outcome {
    let arguments =
        ["build", "--locked", "--package", "meshzero-cli", "--bins", "--example", "conversations"];
    report.step("build", || run(Command::new(env!("CARGO")).args(arguments), PATIENCE))
}

/// Checks and builds for other systems, and lets programs of theirs talk with `mz`, which has been built before.
pub(crate) fn all(report: &mut Report, metadata: &Metadata, sandbox: Sandbox) -> Outcome {
    let toolchain = Toolchain::below(&metadata.target);
    report.step("other systems: checked", || targets::check(metadata, &toolchain))?;
    report.step("other systems: built", || targets::build(metadata, &toolchain))?;
    if sandbox == Sandbox::Loopback {
        report.skip(Skip {
            what: "conversations with programs of other systems".into(),
            why: "they need a private network namespace".into(),
        });
        return Ok(());
    }
    report.step("Windows, under Wine", || {
        conversations::hold(metadata, sandbox, &Emulator::wine(metadata, &targets::built(metadata, WINDOWS))?)
    })?;
    report.step("ARM, under QEMU", || {
        conversations::hold(metadata, sandbox, &Emulator::qemu(metadata, &targets::built(metadata, ARM64))?)
    })
}
