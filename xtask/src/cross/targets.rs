//! The systems, other than this one, that are checked on purpose, and the packages compiled for each.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::PATIENCE;
use super::toolchain::Toolchain;
use crate::metadata::Metadata;
use crate::process::{Outcome, run};

/// Windows, with the libraries of MinGW.
pub(crate) const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// A Raspberry Pi with a system of 64 bits, and other Linux on ARM.
pub(crate) const ARM64: &str = "aarch64-unknown-linux-gnu";

/// macOS, for which there is no linker elsewhere.
const MACOS: &str = "aarch64-apple-darwin";

/// A Raspberry Pi with a system of 32 bits.
const ARM32: &str = "armv7-unknown-linux-gnueabihf";

/// The linkers, by the variables that cargo reads.
const LINKERS: [(&str, &str); 2] = [
    ("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", "x86_64-w64-mingw32-gcc"),
    ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc"),
];

/// The compiled packages: the library, `mz` and the wheel.
const PACKAGES: [&str; 3] = ["meshzero", "meshzero-cli", "meshzero-python"];

/// Downloads what the packages and the standard library depend on for all targets, as far as it is not there.
pub(crate) fn fetch(metadata: &Metadata, toolchain: &Toolchain) -> Outcome {
    let mut command = cargo(metadata, toolchain, "fetch", &[MACOS, ARM32, WINDOWS, ARM64]);
    run(&mut command, PATIENCE)
}

/// Checks the packages for targets without a linker here.
pub(crate) fn check(metadata: &Metadata, toolchain: &Toolchain) -> Outcome {
    compile(metadata, toolchain, "check", &[MACOS, ARM32])
}

/// Builds the packages for targets with a linker here, which includes checking them.
pub(crate) fn build(metadata: &Metadata, toolchain: &Toolchain) -> Outcome {
    compile(metadata, toolchain, "build", &[WINDOWS, ARM64])
}

/// The folder with the build results of a target.
pub(crate) fn built(metadata: &Metadata, target: &str) -> PathBuf {
    folder(&metadata.target).join(target).join("debug")
}

fn folder(target: &Path) -> PathBuf {
    target.join("cross/built")
}

/// Compiles the packages, optimised for a short build: the programs run for some seconds only.
fn compile(metadata: &Metadata, toolchain: &Toolchain, verb: &str, targets: &[&str]) -> Outcome {
    let mut command = cargo(metadata, toolchain, verb, targets);
    command
        .args(["--offline", "--all-features", "--config", "profile.dev.package.tokio.opt-level=0"])
        .args(PACKAGES.map(|package| format!("--package={package}")));
    run(&mut command, PATIENCE)
}

/// Cargo with that compiler and its sources.
fn cargo(metadata: &Metadata, toolchain: &Toolchain, verb: &str, targets: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args([verb, "--quiet", "--locked"])
        .args(["-Z", "build-std=std,panic_unwind", "-Z", "warnings"])
        .args(targets.iter().map(|target| format!("--target={target}")))
        .current_dir(&metadata.root)
        // The standard library has warnings, which `RUSTFLAGS` may forbid.
        .env_remove("RUSTFLAGS")
        .env("RUSTC", toolchain.rustc())
        // For the standard library, whose sources use unstable features.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", folder(&metadata.target))
        .env("CARGO_BUILD_WARNINGS", "deny")
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        // No interpreter of those systems is here, and the stable ABI needs none.
        .env("PYO3_NO_PYTHON", "1")
        .envs(LINKERS);
    command
}
