//! `cargo xtask cross`: the project on other systems than this one.
//!
//! [`toolchain`] is a compiler with the sources of its standard library, [`targets`] lists what is checked and built with it,
//! [`emulators`] runs programs of another system here, and [`conversations`] connects such a program with the `mz` of this
//! system.

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

/// The timeout of one build.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Returns the reason for which none of it is possible on this system, whatever is installed.
pub(crate) fn unavailable_reason() -> Option<String> {
    let is_known = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    (!is_known).then(|| "it needs Linux on x86-64, where Wine runs".into())
}

/// Builds the `mz` of this system and the example that talks with others, where other steps have not built them.
pub(crate) fn build_native(report: &mut Report) -> Outcome {
    let arguments =
        ["build", "--locked", "--package", "meshzero-cli", "--bins", "--example", "conversations"];
    report.step("build", || run(Command::new(env!("CARGO")).args(arguments), PATIENCE))
}

/// Checks and builds for other systems, and runs conversations between their programs and `mz`, which has been built before.
pub(crate) fn all(report: &mut Report, metadata: &Metadata, sandbox: Sandbox) -> Outcome {
    let toolchain = Toolchain::below(&metadata.target);
    report.step("other systems: dependencies", || targets::fetch(metadata, &toolchain))?;
    report.step("other systems: checked", || targets::check(metadata, &toolchain))?;
    report.step("other systems: built", || targets::build(metadata, &toolchain))?;
    if sandbox == Sandbox::Loopback {
        report.skip(Skip {
            what: "conversations with programs of other systems".into(),
            reason: "they need a private network namespace".into(),
        });
        return Ok(());
    }
    report.step("Windows, under Wine", || {
        conversations::run_conversations(
            metadata,
            sandbox,
            &Emulator::wine(metadata, &targets::built(metadata, WINDOWS))?,
        )
    })?;
    report.step("ARM, under QEMU", || {
        conversations::run_conversations(
            metadata,
            sandbox,
            &Emulator::qemu(metadata, &targets::built(metadata, ARM64))?,
        )
    })
}
