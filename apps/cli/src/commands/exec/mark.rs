//! A mark in the environment of a program, by which all that it has started is found on Linux. It is inherited by what leaves the
//! program's process group, as `timeout`, `setsid` and the jobs of a shell do, and by a daemon that leaves its parent as well.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use tokio::process::Command;

use crate::apart::apart;

/// The name of the variable.
const NAME: &str = "MESHZERO_EXEC";

/// The mark of one program.
#[derive(Debug, Clone)]
pub(super) struct Mark(String);

impl Mark {
    /// A mark that nothing else has.
    pub(super) fn new() -> Self {
        // Its keys are random.
        let [one, other] = [(); 2].map(|()| RandomState::new().hash_one(std::process::id()));
        Self(format!("{one:016x}{other:016x}"))
    }

    /// Sets it in the environment of a program that is about to begin.
    pub(super) fn set(&self, command: &mut Command) {
        command.env(NAME, &self.0);
    }

    /// Looks for [`Mark::processes`] on another thread: it takes as long as there are processes on this machine.
    ///
    /// # Cancel safety
    /// Dropping the future looks in vain.
    pub(super) async fn find_processes(&self) -> Vec<u32> {
        let mark = self.clone();
        // Where there is no room for a thread, those are left that have left the group.
        apart(move || mark.processes()).await.unwrap_or_default()
    }

    /// The processes that have it; none where the system does not tell, or they are another user's.
    #[cfg(target_os = "linux")]
    pub(super) fn processes(&self) -> Vec<u32> {
        let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
        let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|number| self.is_in(*number)).collect()
    }

    /// As above.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    #[cfg(target_os = "linux")]
    fn is_in(&self, process: u32) -> bool {
        // One that has ended has no environment any more.
        let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let marked = format!("{NAME}={}", self.0);
        environment.split(|byte| *byte == 0).any(|variable| variable == marked.as_bytes())
    }
}
