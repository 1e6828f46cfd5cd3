//! Installing what the tests need and the machine lacks, as far as the user's rights allow.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::capability::{PROGRAMS, python_in};
use crate::process::{Failure, Outcome, find_program, read, run};
use crate::report::Skip;

/// The programs of others that the tests talk to, with all that those need. `netifaces-binary` is the netifaces that NetworkZero
/// imports, without a compiler.
const PYTHON_PACKAGES: &[&str] = &[
    "ifaddr==0.2.0",
    "netifaces-binary==0.11.0",
    "networkzero==1.0b1",
    "pyzmq==27.3.0",
    "zeroconf==0.154.0",
];

/// Where Debian asks whether a service may start when its package is installed.
const START_POLICY: &str = "/usr/sbin/policy-rc.d";

/// A slow mirror is no failure; one that says nothing for this long is.
const PATIENCE: Duration = Duration::from_secs(600);

/// Installs what is missing, and tells what could not be installed.
pub(crate) fn install(venv: &Path) -> Vec<Skip> {
    let mut skipped = Vec::new();
    let packages = missing_packages();
    if !packages.is_empty() {
        let listed = packages.join(" ");
        let result = if has_rights() {
            install_packages(&packages)
        } else {
            Err(Failure(format!("this needs root on Debian or its kin: apt-get install {listed}")))
        };
        skipped.extend(result.err().map(|Failure(why)| Skip { what: format!("installing {listed}"), why }));
    }
    let result = install_python_packages(venv);
    let listed = PYTHON_PACKAGES.join(" ");
    skipped.extend(
        result.err().map(|Failure(why)| Skip { what: format!("installing {listed} from PyPI"), why }),
    );
    skipped
}

/// Whether packages can be installed here at all.
pub(crate) fn has_rights() -> bool {
    let is_root = read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    is_root && find_program("apt-get").is_some()
}

fn missing_packages() -> Vec<&'static str> {
    let missing = PROGRAMS.iter().filter(|(program, _, _)| find_program(program).is_none());
    let mut packages: Vec<&str> = missing.map(|(_, package, _)| *package).collect();
    // Debian splits what makes virtual environments from the interpreter.
    if read(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_err() {
        packages.push("python3-venv");
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn install_packages(packages: &[&str]) -> Outcome {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "-o", "DPkg::Lock::Timeout=120"])
            .args(arguments);
        // What is unpacked in which order interests nobody; errors go to standard error.
        run(command.stdout(Stdio::null()), PATIENCE)
    };
    let _no_start = NoServiceStart::begin()?;
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

fn install_python_packages(venv: &Path) -> Outcome {
    let python = python_in(venv);
    let are_there = format!(
        "import importlib.metadata as m; assert all(m.version(name) == version \
         for name, version in (package.split('==') for package in {:?}.split()))",
        PYTHON_PACKAGES.join(" ")
    );
    if read(Command::new(&python).args(["-c", &are_there])).is_ok() {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv), PATIENCE)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    // What is not named here is not needed, and what has to be compiled not wanted.
    run(
        Command::new(&python).args(pip).args(["--no-deps", "--only-binary", ":all:"]).args(PYTHON_PACKAGES),
        PATIENCE,
    )
}

/// While it lives, installing a package starts no service: the tests start a daemon of their own in a network
/// of their own, and one on the machine's network is nothing they asked for.
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
            eprintln!("{START_POLICY} stays behind, and no service will start when it is installed: {error}");
        }
    }
}
