//! The search for a program, as the system does it to run one.

use std::env::{self, consts::EXE_SUFFIX};
use std::path::{Path, is_separator};

/// Returns whether the program exists: at its path if it has one, else in the folders of `PATH`.
pub(super) fn is_there(program: &str) -> bool {
    if program.contains(is_separator) {
        return is_program(Path::new(program));
    }
    // Without the variable the system has default folders.
    env::var_os("PATH").is_none_or(|path| env::split_paths(&path).any(|dir| is_program(&dir.join(program))))
}

/// Returns whether a file is executable, with the system's suffix of programs or as it is.
fn is_program(path: &Path) -> bool {
    let mut with_suffix = path.as_os_str().to_owned();
    with_suffix.push(EXE_SUFFIX);
    is_executable(path) || is_executable(Path::new(&with_suffix))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}
