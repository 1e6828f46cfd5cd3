//! Installs what the tests need and the machine lacks, as far as the user's rights allow.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::capability::{Capability, PROGRAMS, python_in};
use crate::cross;
use crate::cross::toolchain::{self, Toolchain};
use crate::process::{Failure, Outcome, find_program, read, run};
use crate::report::Skip;

/// The packages from PyPI: other people's programs that tests talk to, and the tools that build and check the wheel.
const PACKAGES: &[&str] = &[
    "zeroconf==0.154.0",
    "maturin==1.16.0",
    "mypy==2.4.1",
    "netifaces-binary==0.11.0",
    "pyzmq==27.3.0",
    "ziglang==0.15.2",
];

/// Packages installed without their dependencies: networkzero requires a netifaces that has to be compiled, and works with the
/// one above.
const WITHOUT_DEPENDENCIES: &[&str] = &["networkzero==1.0b1"];

/// Debian's policy file, which decides whether a service may start when its package is installed.
const START_POLICY: &str = "/usr/sbin/policy-rc.d";

/// The longest silence of a mirror before it counts as a failure. A slow mirror does not.
const PATIENCE: Duration = Duration::from_secs(600);

/// Installs what is missing, and returns what could not be installed.
pub(crate) fn install(venv: &Path) -> Vec<Skip> {
    let mut skipped = Vec::new();
    skipped.extend(install_missing(&missing_packages()));
    let listed = [PACKAGES, WITHOUT_DEPENDENCIES].concat().join(" ");
    let result = install_from_pypi(venv);
    skipped.extend(
        result.err().map(|Failure(reason)| Skip { what: format!("installing {listed} from PyPI"), reason }),
    );
    skipped
}

/// Installs the tools that compile and run programs of other systems: gigabytes, which nothing else needs. Where the system does
/// not offer them, nothing is installed, and the steps that need them are skipped.
pub(crate) fn install_for_cross(target: &Path) -> Vec<Skip> {
    let toolchain = Toolchain::below(target);
    let packages = missing_packages_for_cross();
    if cross::unavailable_reason().is_some() || (packages.is_empty() && toolchain.exists()) {
        return Vec::new();
    }
    // Nothing is offered without package lists. Old ones suffice for a user without the right to update them.
    let updated = if has_rights() { apt(&["update"]) } else { Ok(()) };
    if updated.is_ok() && !toolchain::is_offered() {
        return Vec::new();
    }
    let mut skipped: Vec<Skip> = install_missing(&packages).into_iter().collect();
    let obtained = updated.and_then(|()| toolchain.obtain());
    skipped.extend(obtained.err().map(|Failure(reason)| {
        let listed = toolchain::PACKAGES.join(" ");
        Skip { what: format!("unpacking {listed}"), reason }
    }));
    skipped
}

fn install_missing(packages: &[&str]) -> Option<Skip> {
    if packages.is_empty() {
        return None;
    }
    let listed = packages.join(" ");
    let result = if has_rights() {
        install_packages(packages)
    } else {
        Err(Failure(format!("needs root on Debian or a derivative: apt-get install {listed}")))
    };
    result.err().map(|Failure(reason)| Skip { what: format!("installing {listed}"), reason })
}

/// Returns whether packages can be installed here at all.
pub(crate) fn has_rights() -> bool {
    let is_root = read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    is_root && find_program("apt-get").is_some()
}

fn missing_packages() -> Vec<&'static str> {
    let mut packages = packages_without_a_program(|what_for| what_for != Capability::Cross);
    // Debian packages the module for virtual environments apart from the interpreter.
    if read(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_err() {
        packages.push("python3-venv");
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn missing_packages_for_cross() -> Vec<&'static str> {
    let mut packages = packages_without_a_program(|what_for| what_for == Capability::Cross);
    // The cross compiler alone cannot link.
    if !Path::new("/usr/aarch64-linux-gnu/lib/crt1.o").exists() {
        packages.push("libc6-dev-arm64-cross");
    }
    packages
}

fn packages_without_a_program(wanted: impl Fn(Capability) -> bool) -> Vec<&'static str> {
    let wanted = PROGRAMS.iter().filter(|(_, _, what_for)| wanted(*what_for));
    let missing = wanted.filter(|(program, _, _)| find_program(program).is_none());
    missing.map(|(_, package, _)| *package).collect()
}

fn apt(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"])
        .args(arguments);
    // The progress of the installation is of no interest; errors go to standard error.
    run(command.stdout(Stdio::null()), PATIENCE)
}

fn install_packages(packages: &[&str]) -> Outcome {
    let _no_start = NoServiceStart::begin()?;
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

fn install_from_pypi(venv: &Path) -> Outcome {
    let python = python_in(venv);
    let wanted = [PACKAGES, WITHOUT_DEPENDENCIES].concat().join(" ");
    let all_there = format!(
        "import importlib.metadata as m; assert all(m.version(n) == v for n, v in (p.split('==') for p in '{wanted}'.split()))"
    );
    if read(Command::new(&python).args(["-c", &all_there])).is_ok() {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv), PATIENCE)?;
    let install = |options: &[&str], packages: &[&str]| {
        let mut command = Command::new(&python);
        command
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--only-binary", ":all:"])
            .args(options)
            .args(packages);
        run(&mut command, PATIENCE)
    };
    install(&[], PACKAGES)?;
    install(&["--no-deps"], WITHOUT_DEPENDENCIES)
}

/// A guard while which installing a package starts no service: the tests start daemons of their own in networks of their own, and
/// none on the machine's network.
struct NoServiceStart {
    is_ours: bool,
}

impl NoServiceStart {
    fn begin() -> Outcome<Self> {
        let failed = |error| Failure(format!("cannot write {START_POLICY}: {error}"));
        if Path::new(START_POLICY).exists() {
            return Ok(Self { is_ours: false });
        }
        fs::write(START_POLICY, "#!/bin/sh\nexit 101\n").map_err(failed)?;
        let policy = Self { is_ours: true };
        read(Command::new("chmod").args(["755", START_POLICY]))?;
        Ok(policy)
    }
}

impl Drop for NoServiceStart {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = fs::remove_file(START_POLICY)
        {
            eprintln!(
                "{START_POLICY} could not be removed, so no service starts when it is installed: {error}"
            );
        }
    }
}
