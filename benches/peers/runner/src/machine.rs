//! The machine, time and commit of the measurements.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// The machine, time and commit of the measurements.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Seconds since 1970.
    pub(crate) when: u64,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) commit: String,
    /// Programs that wanted a core in the last minute, on average, before the first run.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or_else(unknown, |name| name.trim_start_matches([' ', '\t', ':']).to_owned());
        Self {
            when: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            processor,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit().unwrap_or_else(unknown),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
