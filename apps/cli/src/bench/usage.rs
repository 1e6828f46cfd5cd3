//! What this process has used: processor time, in all and by thread, and memory at its peak.

use serde::{Deserialize, Serialize};

/// Threads that are told apart.
const THREADS: usize = 64;

/// What a process has used until now. What the platform does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Each thread and its processor time, in nanoseconds.
    pub(crate) threads: Vec<(u32, u64)>,
    /// The most memory that was resident at once, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

impl Usage {
    /// This process, now.
    pub(crate) fn now() -> Self {
        Self { threads: threads(), peak_memory: peak_memory() }
    }

    /// Processor time since `earlier`, in seconds, if it is known.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> Option<f64> {
        if self.threads.is_empty() {
            return None;
        }
        Some(self.by_thread(earlier).sum::<u64>() as f64 / 1e9)
    }

    /// The processor time of the busiest thread since `earlier`, in seconds, if it is known.
    pub(crate) fn busiest_since(&self, earlier: &Self) -> Option<f64> {
        self.by_thread(earlier).max().map(|nanos| nanos as f64 / 1e9)
    }

    fn by_thread(&self, earlier: &Self) -> impl Iterator<Item = u64> {
        self.threads.iter().map(|(thread, nanos)| {
            let before = earlier.threads.iter().find(|(other, _)| other == thread);
            nanos.saturating_sub(before.map_or(0, |(_, nanos)| *nanos))
        })
    }
}

/// Lets the peak of memory begin anew, where the platform can.
pub(crate) fn forget_peak() {
    #[cfg(target_os = "linux")]
    // Without the right to do so the peak is that of the process's whole life.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(target_os = "linux")]
fn threads() -> Vec<(u32, u64)> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let spent = |task: std::fs::DirEntry| {
        let nanos = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let nanos = nanos.split_whitespace().next()?.parse().ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, nanos))
    };
    tasks.filter_map(Result::ok).filter_map(spent).take(THREADS).collect()
}

#[cfg(not(target_os = "linux"))]
fn threads() -> Vec<(u32, u64)> {
    Vec::new()
}

#[cfg(target_os = "linux")]
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(not(target_os = "linux"))]
fn peak_memory() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_by_thread() {
        let usage = |threads: &[(u32, u64)]| Usage { threads: threads.to_vec(), peak_memory: None };
        let (earlier, now) = (usage(&[(1, 500), (2, 100)]), usage(&[(1, 1_500), (3, 4_000)]));
        assert_eq!(now.cpu_since(&earlier), Some(5e-6));
        assert_eq!(now.busiest_since(&earlier), Some(4e-6));
        assert_eq!(Usage::default().cpu_since(&Usage::default()), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let now = Usage::now();
        assert!(!now.threads.is_empty());
        assert!(now.peak_memory.is_some_and(|bytes| bytes > 100_000), "{now:?}");
    }
}
