//! The interpreters that the wheel supports, as far as this machine has them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{find_program, read};

/// The minor versions of Python 3 that the wheel supports, the oldest first.
pub(crate) const SUPPORTED: std::ops::RangeInclusive<u32> = 9..=14;

/// An interpreter that starts and can make virtual environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Its program.
    pub(crate) program: PathBuf,
    /// Its version, such as `3.12`.
    pub(crate) version: String,
}

/// The supported versions that this machine has, and those that it lacks.
#[derive(Debug, Default)]
pub(crate) struct Interpreters {
    /// One interpreter of each version that was found; the one called `python3` comes first.
    pub(crate) found: Vec<Interpreter>,
    /// The versions without an interpreter.
    pub(crate) missing: Vec<String>,
}

/// Searches `PATH`, and the versions of pyenv if that is installed.
pub(crate) fn find() -> Interpreters {
    let named = SUPPORTED.rev().map(|minor| format!("python3.{minor}"));
    let programs = std::iter::once("python3".to_owned()).chain(named).filter_map(|name| find_program(&name));
    let starting = programs.chain(of_pyenv()).filter_map(starting);
    choose(starting)
}

/// The first interpreter of each version.
fn choose(starting: impl Iterator<Item = Interpreter>) -> Interpreters {
    let mut missing: Vec<String> = SUPPORTED.map(|minor| format!("3.{minor}")).collect();
    let mut found = Vec::new();
    for interpreter in starting {
        if let Some(place) = missing.iter().position(|version| *version == interpreter.version) {
            missing.remove(place);
            found.push(interpreter);
        }
    }
    Interpreters { found, missing }
}

/// The programs of all versions that pyenv has, in `PATH` or not.
fn of_pyenv() -> Vec<PathBuf> {
    let Ok(root) = read(Command::new("pyenv").arg("root")) else { return Vec::new() };
    let Ok(versions) = fs::read_dir(PathBuf::from(root.trim()).join("versions")) else { return Vec::new() };
    let mut programs: Vec<PathBuf> =
        versions.filter_map(Result::ok).map(|version| version.path().join("bin/python3")).collect();
    programs.sort();
    programs
}

/// The interpreter of this program, if it starts: pyenv leaves some in `PATH` that do not.
fn starting(program: PathBuf) -> Option<Interpreter> {
    let ask = "import ensurepip, venv, sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)";
    let told = read(Command::new(&program).args(["-c", ask])).ok()?;
    let version = told.trim().strip_suffix(" cpython")?.to_owned();
    Some(Interpreter { program, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_supported_version_is_taken_and_the_others_are_named() {
        let interpreter = |program: &str, version: &str| Interpreter {
            program: program.into(),
            version: version.to_owned(),
        };
        let several = [
            interpreter("python3", "3.11"),
            interpreter("python3.11", "3.11"),
            interpreter("old", "3.8"),
            interpreter("python3.12", "3.12"),
        ];
        let Interpreters { found, missing } = choose(several.clone().into_iter());
        assert_eq!(found, [several[0].clone(), several[3].clone()]);
        assert_eq!(missing, ["3.9", "3.10", "3.13", "3.14"]);
    }

    #[test]
    fn a_program_that_does_not_start_is_no_interpreter() {
        assert_eq!(starting("no-such-interpreter-at-all".into()), None);
    }
}
