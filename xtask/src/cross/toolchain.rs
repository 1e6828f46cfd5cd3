//! A compiler that can build its standard library for any target: Debian's `rustc-web` and the sources beside it, unpacked
//! below the target folder, so that nothing is installed and the toolchain of this machine stays what it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Failure, Outcome, read, run};

/// The compiler, and the sources of its standard library with all that those depend on.
pub(crate) const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// The libraries of the compiler: a package that depends on them and on nothing else.
const LIBRARIES: &str = "libstd-rust-web-dev";

/// What cannot be taken from elsewhere: it belongs to the loader of this system.
const SYSTEM: &str = "libc6";

/// A slow mirror is no failure; one that says nothing for this long is.
const PATIENCE: Duration = Duration::from_secs(600);

/// What starts the compiler, with its libraries before those of the system.
const STARTER: &str = "\
#!/bin/sh
here=$(dirname \"$0\")
libraries=$(echo \"$here\"/usr/lib/*-linux-gnu):$(echo \"$here\"/lib/*-linux-gnu)
LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec \"$here/usr/bin/rustc\" \"$@\"
";

/// What of a package nobody needs here: the sources of the compiler itself, and documentation.
const LEFT_OUT: [&str; 4] = ["./usr/src/*/compiler", "./usr/src/*/src", "./usr/share", "./usr/bin/rustdoc"];

/// An unpacked compiler.
pub(crate) struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    /// Returns where it is, or will be, below the folder that cargo builds into.
    pub(crate) fn below(target: &Path) -> Self {
        Self { folder: target.join("cross/toolchain") }
    }

    /// The compiler itself.
    pub(crate) fn rustc(&self) -> PathBuf {
        self.folder.join("rustc")
    }

    /// Returns whether it is there: it is moved to its place when it is complete.
    pub(crate) fn is_there(&self) -> bool {
        self.rustc().is_file()
    }

    /// Downloads and unpacks it, if it is not there yet.
    pub(crate) fn obtain(&self) -> Outcome {
        if self.is_there() {
            return Ok(());
        }
        let making = self.folder.with_extension("part");
        let packages = self.folder.with_extension("packages");
        for folder in [&making, &packages] {
            // It may be there from a run that was interrupted.
            drop(fs::remove_dir_all(folder));
            fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        }
        download(&packages)?;
        let found = fs::read_dir(&packages).map_err(|error| cannot_write(&packages, &error))?;
        for package in found.filter_map(Result::ok) {
            unpack(&package.path(), &making)?;
        }
        let starter = making.join("rustc");
        fs::write(&starter, STARTER)
            .and_then(|()| fs::set_permissions(&starter, fs::Permissions::from_mode(0o755)))
            .map_err(|error| cannot_write(&starter, &error))?;
        read(Command::new(&starter).arg("--version"))?;
        fs::rename(&making, &self.folder).map_err(|error| cannot_write(&self.folder, &error))?;
        fs::remove_dir_all(&packages).map_err(|error| cannot_write(&packages, &error))
    }
}

/// Returns whether this system has those packages to offer, as far as its lists say.
pub(crate) fn is_offered() -> bool {
    read(Command::new("apt-cache").arg("show").args(PACKAGES).stderr(Stdio::null())).is_ok()
}

fn download(into: &Path) -> Outcome {
    let recursive = ["depends", "--recurse", "--important", LIBRARIES];
    let listed = read(Command::new("apt-cache").args(recursive))?;
    let libraries = names(&listed).filter(|name| *name != SYSTEM);
    let mut command = Command::new("apt-get");
    // There is no need to give rights up that root has, and the folder may be closed to others.
    command
        .args(["-qq", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "download"])
        .args(PACKAGES)
        .args(libraries);
    run(command.current_dir(into), PATIENCE)
}

/// The packages in a list of `apt-cache depends`: what is indented is why, and in angle brackets are names that several have.
fn names(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()))
}

fn unpack(package: &Path, into: &Path) -> Outcome {
    let mut command = Command::new("sh");
    command.args(["-c", "package=$1; shift; dpkg-deb --fsys-tarfile \"$package\" | tar -x \"$@\"", "sh"]);
    command.arg(package).arg("-C").arg(into).args(["--anchored", "--no-wildcards-match-slash"]);
    command.args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")));
    run(&mut command, PATIENCE)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_from_reasons() {
        let listed = "libstd-rust-web-dev\n  Depends: libllvm22\n <libz>\n<libgcc>\nlibllvm22\n  Depends: libc6\nlibc6\n";
        assert_eq!(names(listed).collect::<Vec<_>>(), ["libstd-rust-web-dev", "libllvm22", "libc6"]);
    }
}
