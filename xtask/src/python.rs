//! The Python wheel: built for its tests from what is compiled already, and for release for as many systems as possible.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::capability::python_in;
use crate::interpreters::{self, Interpreter, Interpreters};
use crate::metadata::Metadata;
use crate::process::{Failure, Outcome, run};
use crate::report::{Report, Skip};
use crate::sandbox::Sandbox;

/// The folder of the package, below the project's.
const PACKAGE: &str = "apps/python";

/// The timeout of each step; compiling everything takes minutes.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// The oldest system that released wheels support, as pip names it.
const OLDEST: &str = "manylinux_2_17";

/// The tests whose subject differs between versions of Python: asyncio, threads, signals and the interpreter itself.
const DIFFERENT: &[&str] = &[
    "tests.test_aio",
    "tests.test_ends",
    "tests.test_process",
    "tests.test_service",
    "tests.test_signals",
    "tests.test_start",
];

/// Builds the wheel, which is one for all versions of Python, and runs its tests under each version of this machine: all of them
/// under the first, and those of [`DIFFERENT`] under the others. `tools` is an interpreter that has maturin; `mz` and the
/// examples have been built before.
pub(crate) fn test(report: &mut Report, metadata: &Metadata, tools: &Path, sandbox: Sandbox) -> Outcome {
    let wheel = report.step("the Python wheel", || {
        let wheels = metadata.target.join("wheels-test");
        build(metadata, tools, &wheels, &["--profile", "dev", "--locked", "--offline"])
    })?;
    let Interpreters { found, missing } = interpreters::find();
    let mut tests: &[&str] = &["discover", "-t", ".", "-s", "tests"];
    for interpreter in &found {
        report.step(&format!("tests in Python {}", interpreter.version), || {
            let python = install(metadata, interpreter, &wheel)?;
            run_tests(metadata, &python, tools, sandbox, tests)
        })?;
        tests = DIFFERENT;
    }
    if !missing.is_empty() {
        report.skip(Skip {
            what: format!("the wheel under Python {}", missing.join(", ")),
            reason: "no such interpreter is in PATH or among the versions of pyenv".to_owned(),
        });
    }
    if found.is_empty() { Err(Failure("no supported version of Python starts here".into())) } else { Ok(()) }
}

/// Installs the wheel into an empty environment, and returns its interpreter.
fn install(metadata: &Metadata, interpreter: &Interpreter, wheel: &Path) -> Outcome<PathBuf> {
    let venv = metadata.target.join(format!("wheel-venv-{}", interpreter.version));
    run(Command::new(&interpreter.program).args(["-m", "venv", "--clear"]).arg(&venv), PATIENCE)?;
    let python = python_in(&venv);
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"];
    run(Command::new(&python).args(arguments).arg(wheel), PATIENCE)?;
    Ok(python)
}

/// Runs tests of the installed wheel. Every warning of the interpreter is an error.
fn run_tests(metadata: &Metadata, python: &Path, tools: &Path, sandbox: Sandbox, which: &[&str]) -> Outcome {
    let mut tests = sandbox.command(&python.to_string_lossy());
    tests
        .args(["-X", "dev", "-W", "error", "-m", "unittest"])
        .args(which)
        .current_dir(metadata.root.join(PACKAGE))
        // Python would write its bytecode into the project.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MESHZERO_TEST_TOOLS", tools)
        .env("MESHZERO_TEST_BUILT", metadata.target.join("debug"));
    run(&mut tests, PATIENCE)
}

/// Builds the wheel for release, and returns its path. It needs no container: zig brings the libraries of old systems.
pub(crate) fn release(metadata: &Metadata, tools: &Path) -> Outcome<PathBuf> {
    let arguments = ["--release", "--locked", "--zig", "--compatibility", OLDEST];
    build(metadata, tools, &metadata.target.join("wheels"), &arguments)
}

fn build(metadata: &Metadata, tools: &Path, into: &Path, arguments: &[&str]) -> Outcome<PathBuf> {
    let failed = |error| Failure(format!("cannot clear {}: {error}", into.display()));
    if into.exists() {
        fs::remove_dir_all(into).map_err(failed)?;
    }
    let mut command = Command::new(tools);
    command
        .args(["-m", "maturin", "build", "--quiet", "--interpreter"])
        .arg(tools)
        .arg("--out")
        .arg(into)
        .args(arguments)
        .current_dir(metadata.root.join(PACKAGE))
        // The zig that is a package of this interpreter.
        .env("CARGO_ZIGBUILD_PYTHON_PATH", tools)
        .env("CARGO_TARGET_DIR", &metadata.target);
    run(&mut command, PATIENCE)?;
    let made = fs::read_dir(into).map_err(failed)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut wheels = made.filter(|path| path.extension() == Some(OsStr::new("whl")));
    wheels.next().ok_or_else(|| Failure(format!("maturin left no wheel in {}", into.display())))
}
