//! The project's own tasks, started as `cargo xtask NAME`.
//!
//! `test` is the largest: [`setup`] installs what the tests need, [`mod@python`] builds the wheel and tests it under the
//! [`interpreters`] of this machine, [`stair`], [`folders`], [`dependencies`], [`publishing`], [`references`], [`sizes`], [`words`] and
//! [`hygiene`] check the project's files, [`compiler`] checks the compiler's messages to users, [`sandbox`] keeps the tests off
//! every real network, [`hostile`] generates input of hostile peers, [`cross`] tests other systems, and [`mod@test`] puts them in
//! order. [`soak`] runs for hours.

#![allow(clippy::print_stdout, reason = "a task talks to the person who started it")]

mod capability;
mod compiler;
mod cross;
mod dependencies;
mod folders;
mod hostile;
mod hygiene;
mod interpreters;
mod licence;
mod metadata;
mod policy;
mod process;
mod publishing;
mod python;
mod references;
mod report;
mod sandbox;
mod setup;
mod sizes;
mod soak;
mod stair;
mod test;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::capability::Capability;
use crate::metadata::Metadata;
use crate::process::{Failure, Outcome};
use crate::report::{Report, Skip};
use crate::sandbox::Sandbox;

const HELP: &str = "\
Usage: cargo xtask test [--quick]
       cargo xtask folders
       cargo xtask words
       cargo xtask soak --minutes N [--seed N]
       cargo xtask fuzz [TARGET] [--seconds N]
       cargo xtask asan
       cargo xtask cross
       cargo xtask wheel
       cargo xtask python

  test          install what the tests need, as far as your rights allow, then run every check and every test
  test --quick  the same without installing anything, without the documentation and without fuzzing
  folders       list the floors of folders inside each crate, the imports of each folder, and imports that go up
  words         count the doc comments of each crate that begin with a question word, and list phrases to reword
  fuzz          fuzz TARGET, or each target in turn, for N seconds each [default: 60]
  asan          run the protocol's tests under the address sanitizer
  cross         check everything for Windows, macOS and ARM, and run conversations of this system's `mz` with that of Windows,
                under Wine, and of ARM, under QEMU; installs what that needs, some gigabytes, as `test` does
  wheel         build the Python wheel for release, for Linux systems from 2014 on
  python        build the wheel for its tests and run them, as `test` does, under every supported version of Python that is
                found; build mz and the examples first
  soak          run programs under random faults for N minutes, and report the result
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test"] => test::start(test::Scope::Full),
        ["test", "--quick"] => test::start(test::Scope::Quick),
        ["folders"] => ended(folders_of_crates()),
        ["words"] => ended(words_of_crates()),
        ["soak", options @ ..] => soak::start(options),
        ["fuzz", rest @ ..] => ended(fuzz(rest)),
        ["asan"] => ended(Metadata::load().and_then(|found| hostile::sanitize(&found.target))),
        ["cross"] => ended(other_systems()),
        ["wheel"] => ended(tools().and_then(|(found, tools)| {
            println!("{}", python::release(&found, &tools)?.display());
            Ok(())
        })),
        ["python"] => ended(wheel_tests()),
        ["--help" | "-h" | "help"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
    }
}

fn fuzz(arguments: &[&str]) -> Outcome {
    let (only, seconds) = match arguments {
        [] => (None, "60"),
        ["--seconds", seconds] => (None, *seconds),
        [only] => (Some(*only), "60"),
        [only, "--seconds", seconds] | ["--seconds", seconds, only] => (Some(*only), *seconds),
        _ => return Err(Failure(format!("invalid arguments\n\n{HELP}"))),
    };
    let seconds = seconds.parse().map_err(|_| Failure(format!("{seconds:?} is not a number of seconds")))?;
    let found = Metadata::load()?;
    hostile::fuzz(&found.root, &found.target, only, Duration::from_secs(seconds))
}

fn other_systems() -> Outcome {
    let found = Metadata::load()?;
    let mut report = Report::default();
    let skipped = report.step("set up", || Ok(setup::install_for_cross(&found.target)))?;
    skipped.into_iter().for_each(|skip| report.skip(skip));
    let sandbox = Sandbox::find();
    let possible = Capability::Cross.probe(sandbox, &found.target);
    possible.map_err(|Skip { what, reason }| Failure(format!("{what}: {reason}")))?;
    let outcome = cross::build_native(&mut report).and_then(|()| cross::all(&mut report, &found, sandbox));
    println!("{}", report.summary());
    outcome
}

fn folders_of_crates() -> Outcome {
    let sources = hygiene::rust_files(&Metadata::load()?.root)?;
    print!("{}", folders::listing(policy::FOLDERS, &sources));
    test::none_of(&folders::violations(policy::FOLDERS, &sources))
}

fn words_of_crates() -> Outcome {
    let found = Metadata::load()?;
    let sources = hygiene::rust_files(&found.root)?;
    for (name, comments) in words::count(&found.member_folders(), &sources.iter().collect::<Vec<_>>()) {
        println!("{name}: {comments}");
    }
    test::none_of(&words::violations(&found)?)
}

fn wheel_tests() -> Outcome {
    let (found, tools) = tools()?;
    let mut report = Report::default();
    let outcome = python::test(&mut report, &found, &tools, Sandbox::find());
    println!("{}", report.summary());
    outcome
}

/// The workspace, and an interpreter with all that is installed from PyPI.
fn tools() -> Outcome<(Metadata, PathBuf)> {
    let found = Metadata::load()?;
    let venv = capability::venv(&found.target);
    match setup::install(&venv).first() {
        Some(skip) => Err(Failure(format!("{}: {}", skip.what, skip.reason))),
        None => Ok((found, capability::python_in(&venv))),
    }
}

fn ended(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("failed: {failure}");
            ExitCode::FAILURE
        }
    }
}
