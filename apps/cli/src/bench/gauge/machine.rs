//! The machine and build of a measurement: processor, cores, kernel, version and commit.

use serde::{Deserialize, Serialize};

/// The machine and program of one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor, as the system calls it.
    pub(crate) cpu: String,
    /// The number of cores that this process may use.
    pub(crate) cores: usize,
    /// The operating system and its version.
    pub(crate) kernel: String,
    /// The version of mz.
    pub(crate) version: String,
    /// The commit it was built from, or `unknown`.
    pub(crate) commit: String,
    /// `release`, or `debug`, whose results mean nothing.
    pub(crate) build: String,
}

impl Machine {
    /// Returns this machine and program.
    pub(crate) fn this() -> Self {
        Self {
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: kernel(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("MZ_COMMIT").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        }
    }

    /// Returns whether results of this build are meaningful.
    pub(crate) fn is_release(&self) -> bool {
        self.build == "release"
    }
}

fn cpu() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        ["model name", "Model", "Hardware"].contains(&key.trim()).then(|| value.trim().to_owned())
    });
    model.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim().to_owned()
}
