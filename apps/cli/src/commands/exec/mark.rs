//! A mark in the environment of a program, by which its descendants are found on Linux. It is inherited by processes
//! that leave the program's process group, as `timeout`, `setsid` and shell jobs do, and by daemons that leave their
//! parent.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use tokio::process::Command;

/// The name of the variable.
const NAME: &str = "MESHZERO_EXEC";

/// The mark of one program.
#[derive(Debug, Clone)]
pub(super) struct EnvironmentMark(String);

impl EnvironmentMark {
    /// Creates a unique mark.
    pub(super) fn new() -> Self {
        // Its keys are random.
        let [one, other] = [(); 2].map(|()| RandomState::new().hash_one(std::process::id()));
        Self(format!("{one:016x}{other:016x}"))
    }

    /// Sets it in the environment of a program about to start.
    pub(super) fn set(&self, command: &mut Command) {
        command.env(NAME, &self.0);
    }

    /// Signals each process that has the mark, right after reading it: its id may be reused later. Returns their
    /// number; 0 where the system does not tell, or they belong to another user.
    ///
    /// It takes time proportional to the number of processes on this machine, and the system's time for each.
    #[cfg(target_os = "linux")]
    pub(super) fn reach(&self, signal: impl Fn(u32)) -> usize {
        let Ok(all) = std::fs::read_dir("/proc") else { return 0 };
        let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|number| self.is_in(*number)).inspect(|number| signal(*number)).count()
    }

    /// Returns 0: the system does not tell.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn reach(&self, _: impl Fn(u32)) -> usize {
        0
    }

    #[cfg(target_os = "linux")]
    fn is_in(&self, process: u32) -> bool {
        // A process that has ended has no environment any more.
        let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let marked = format!("{NAME}={}", self.0);
        environment.split(|byte| *byte == 0).any(|variable| variable == marked.as_bytes())
    }
}
