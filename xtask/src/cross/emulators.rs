//! Emulators for programs of other systems: Windows under Wine and ARM under QEMU, each with what it lacks.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::metadata::Metadata;
use crate::process::{Failure, Outcome, find_program, run};

/// The timeout for compiling one page of C.
const PATIENCE: Duration = Duration::from_secs(60);

/// The environment variable that names the folder of Wine's Windows installation.
const PREFIX: &str = "WINEPREFIX";

/// The libraries of Linux on ARM, as Debian's cross compiler installs them.
const ARM64_LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// The commands that run `mz` of another system.
pub(super) struct Emulator {
    /// The name of the other system.
    pub(super) name: &'static str,
    /// The program with its first arguments that stands for `mz`.
    pub(super) mz: Vec<OsString>,
    /// The same for a program that receives the events of a console, if the system has consoles.
    pub(super) console: Vec<OsString>,
    /// The environment of both.
    pub(super) environment: Vec<(&'static str, OsString)>,
    /// The server of all emulated programs, which outlives them: `-p` keeps it running, and `-k` ends it.
    pub(super) server: Option<OsString>,
}

impl Emulator {
    /// Wine, for the `mz.exe` in `built`.
    pub(super) fn wine(metadata: &Metadata, built: &Path) -> Outcome<Self> {
        let mingw = |source, file: &str, more: &[&str]| {
            compile("x86_64-w64-mingw32-gcc", source, &built.join(file), more)
        };
        // Next to the program, which is the first place where a library is looked for.
        let random = include_str!("process_prng.c");
        mingw(random, "bcryptprimitives.dll", &["-shared", "-ladvapi32"])?;
        mingw(include_str!("console.c"), "console.exe", &[])?;
        let wine = program("wine64")?;
        let prefix = made(&metadata.target.join("cross/wine"))?;
        let environment = vec![
            (PREFIX, prefix),
            ("WINEDEBUG", "-all".into()),
            // No entries in the menus of the user who runs this, and no browser to install.
            ("WINEDLLOVERRIDES", "winemenubuilder.exe=d;mscoree=d;mshtml=d".into()),
            // Arguments are read as the locale says.
            ("LC_ALL", "C.UTF-8".into()),
        ];
        Ok(Self {
            name: "Windows",
            mz: vec![wine.clone(), built.join("mz.exe").into()],
            console: vec![wine, built.join("console.exe").into()],
            environment,
            server: Some(program("wineserver64")?),
        })
    }

    /// QEMU, for the `mz` in `built`.
    pub(super) fn qemu(metadata: &Metadata, built: &Path) -> Outcome<Self> {
        let library = Path::new(&made(&metadata.target.join("cross/qemu"))?).join("multicast_if.so");
        let source = include_str!("multicast_if.c");
        compile("aarch64-linux-gnu-gcc", source, &library, &["-shared", "-fPIC"])?;
        let mut preload = OsString::from("LD_PRELOAD=");
        preload.push(library);
        let qemu = program("qemu-aarch64")?;
        let mz = built.join("mz").into();
        Ok(Self {
            name: "ARM",
            mz: vec![qemu, "-E".into(), preload, "-L".into(), ARM64_LIBRARIES.into(), mz],
            console: Vec::new(),
            environment: Vec::new(),
            server: None,
        })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            let mut end = Command::new(server);
            end.arg("-k").envs(self.environment.iter().map(|(name, value)| (name, value)));
            // Fails when there is no server to end.
            let _ = end.stdin(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

fn program(name: &str) -> Outcome<OsString> {
    find_program(name).map(OsString::from).ok_or_else(|| Failure(format!("there is no `{name}`")))
}

fn made(folder: &Path) -> Outcome<OsString> {
    let failed = |error| Failure(format!("cannot create {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    Ok(folder.into())
}

fn compile(compiler: &str, source: &str, to: &Path, more: &[&str]) -> Outcome {
    let file = to.with_extension("c");
    fs::write(&file, source).map_err(|error| Failure(format!("cannot write {}: {error}", file.display())))?;
    let mut command = Command::new(compiler);
    command.args(["-O1", "-Wall", "-Werror", "-o"]).arg(to).arg(&file).args(more);
    run(&mut command, PATIENCE)
}
