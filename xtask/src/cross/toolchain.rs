//! A compiler that can build its standard library for any target: Debian's `rustc-web` and its sources, unpacked below the target
//! folder, so that nothing is installed and the toolchain of this machine stays as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Failure, Outcome, read, run};

/// The compiler, and the sources of its standard library with all their dependencies.
pub(crate) const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// The package of the compiler's libraries, which depends on them and on nothing else.
const LIBRARIES: &str = "libstd-rust-web-dev";

/// The package that must be the system's own, because it belongs to the system's loader.
const SYSTEM: &str = "libc6";

/// The longest silence of a mirror before it counts as a failure. A slow mirror does not.
const PATIENCE: Duration = Duration::from_secs(600);

/// The script that starts the compiler with its own libraries before those of the system.
const WRAPPER: &str = "\
#!/bin/sh
here=$(dirname \"$0\")
libraries=$(echo \"$here\"/usr/lib/*-linux-gnu):$(echo \"$here\"/lib/*-linux-gnu)
LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec \"$here/usr/bin/rustc\" \"$@\"
";

/// Parts of the packages that are not unpacked: the sources of the compiler itself, and documentation.
const EXCLUDED: [&str; 4] = ["./usr/src/*/compiler", "./usr/src/*/src", "./usr/share", "./usr/bin/rustdoc"];

/// An unpacked compiler.
pub(crate) struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    /// The toolchain's place below the folder that cargo builds into, present or not.
    pub(crate) fn below(target: &Path) -> Self {
        Self { folder: target.join("cross/toolchain") }
    }

    /// The compiler itself.
    pub(crate) fn rustc(&self) -> PathBuf {
        self.folder.join("rustc")
    }

    /// Returns whether the toolchain is there. It is moved to its place when it is complete.
    pub(crate) fn exists(&self) -> bool {
        self.rustc().is_file()
    }

    /// Downloads and unpacks the toolchain, if it is not there yet.
    pub(crate) fn obtain(&self) -> Outcome {
        if self.exists() {
            return Ok(());
        }
        let making = self.folder.with_extension("part");
        let packages = self.folder.with_extension("packages");
        for folder in [&making, &packages] {
            // An interrupted run may have left it.
            drop(fs::remove_dir_all(folder));
            fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        }
        download(&packages)?;
        let found = fs::read_dir(&packages).map_err(|error| cannot_write(&packages, &error))?;
        for package in found.filter_map(Result::ok) {
            unpack(&package.path(), &making)?;
        }
        let starter = making.join("rustc");
        fs::write(&starter, WRAPPER)
            .and_then(|()| fs::set_permissions(&starter, fs::Permissions::from_mode(0o755)))
            .map_err(|error| cannot_write(&starter, &error))?;
        read(Command::new(&starter).arg("--version"))?;
        fs::rename(&making, &self.folder).map_err(|error| cannot_write(&self.folder, &error))?;
        fs::remove_dir_all(&packages).map_err(|error| cannot_write(&packages, &error))
    }
}

/// Returns whether this system offers those packages, according to its lists.
pub(crate) fn is_offered() -> bool {
    read(Command::new("apt-cache").arg("show").args(PACKAGES).stderr(Stdio::null())).is_ok()
}

fn download(into: &Path) -> Outcome {
    let recursive = ["depends", "--recurse", "--important", LIBRARIES];
    let listed = read(Command::new("apt-cache").args(recursive))?;
    let libraries = names(&listed).filter(|name| *name != SYSTEM);
    let mut command = Command::new("apt-get");
    // Root need not drop its privileges here, and the folder may be closed to other users.
    command
        .args(["-qq", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "download"])
        .args(PACKAGES)
        .args(libraries);
    run(command.current_dir(into), PATIENCE)
}

/// The packages in the output of `apt-cache depends`: indented lines are reasons, and names in angle brackets are virtual
/// packages.
fn names(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()))
}

fn unpack(package: &Path, into: &Path) -> Outcome {
    let mut command = Command::new("sh");
    command.args(["-c", "package=$1; shift; dpkg-deb --fsys-tarfile \"$package\" | tar -x \"$@\"", "sh"]);
    command.arg(package).arg("-C").arg(into).args(["--anchored", "--no-wildcards-match-slash"]);
    command.args(EXCLUDED.map(|pattern| format!("--exclude={pattern}")));
    run(&mut command, PATIENCE)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_distinguished_from_reasons() {
        let listed = "libstd-rust-web-dev\n  Depends: libllvm22\n <libz>\n<libgcc>\nlibllvm22\n  Depends: libc6\nlibc6\n";
        assert_eq!(names(listed).collect::<Vec<_>>(), ["libstd-rust-web-dev", "libllvm22", "libc6"]);
    }
}
