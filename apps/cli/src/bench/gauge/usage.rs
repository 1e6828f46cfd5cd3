//! Resource usage of this process: processor time in total and by thread, and peak memory.

use serde::{Deserialize, Serialize};

/// The resource usage of a process so far. Values that the platform does not report are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProcessUsage {
    pub(crate) threads: Vec<Thread>,
    /// The peak of resident memory, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

/// The processor time of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Thread {
    id: u32,
    /// Nanoseconds of execution.
    ran: u64,
    /// Nanoseconds ready to run without a core.
    starved: u64,
}

/// The processor time of a thread as shares of the elapsed time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ThreadShare {
    /// The share of execution.
    pub(crate) ran: f64,
    /// The share ready to run without a core.
    pub(crate) starved: f64,
}

impl ProcessUsage {
    /// Reads the usage of this process.
    pub(crate) fn now() -> Self {
        Self { threads: threads(), peak_memory: peak_memory() }
    }

    /// Returns the processor time since `earlier`, in seconds, if it is known.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> Option<f64> {
        if self.threads.is_empty() {
            return None;
        }
        Some(self.by_thread(earlier).map(|thread| thread.ran).sum::<u64>() as f64 / 1e9)
    }

    /// Returns the busiest thread of the `seconds` since `earlier`, if it is known.
    pub(crate) fn busiest_since(&self, earlier: &Self, seconds: f64) -> Option<ThreadShare> {
        let busiest = self.by_thread(earlier).max_by_key(|thread| thread.ran)?;
        let share = |nanos: u64| nanos as f64 / 1e9 / seconds;
        Some(ThreadShare { ran: share(busiest.ran), starved: share(busiest.starved) })
    }

    fn by_thread(&self, earlier: &Self) -> impl Iterator<Item = Thread> {
        self.threads.iter().map(|now| {
            let before = earlier.threads.iter().find(|thread| thread.id == now.id);
            let (ran, starved) = before.map_or((0, 0), |thread| (thread.ran, thread.starved));
            Thread { ran: now.ran.saturating_sub(ran), starved: now.starved.saturating_sub(starved), ..*now }
        })
    }
}

/// Resets the peak of memory, where the platform can.
pub(crate) fn reset_peak() {
    #[cfg(target_os = "linux")]
    // Without the permission to do so the peak is that of the whole process lifetime.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(target_os = "linux")]
fn threads() -> Vec<Thread> {
    /// The limit of threads that are read.
    const THREADS: usize = 64;

    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let spent = |task: std::fs::DirEntry| {
        let spent = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let mut nanos = spent.split_whitespace().map_while(|number| number.parse().ok());
        let id = task.file_name().to_str()?.parse().ok()?;
        Some(Thread { id, ran: nanos.next()?, starved: nanos.next()? })
    };
    tasks.filter_map(Result::ok).filter_map(spent).take(THREADS).collect()
}

#[cfg(not(target_os = "linux"))]
fn threads() -> Vec<Thread> {
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
        let usage = |threads: &[(u32, u64, u64)]| {
            let threads = threads.iter().map(|&(id, ran, starved)| Thread { id, ran, starved });
            ProcessUsage { threads: threads.collect(), peak_memory: None }
        };
        let (earlier, now) = (usage(&[(1, 500, 7), (2, 100, 0)]), usage(&[(1, 1_500, 7), (3, 4_000, 2_000)]));
        assert_eq!(now.cpu_since(&earlier), Some(5e-6));
        assert_eq!(now.busiest_since(&earlier, 1.0), Some(ThreadShare { ran: 4e-6, starved: 2e-6 }));
        assert_eq!(ProcessUsage::default().cpu_since(&ProcessUsage::default()), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let now = ProcessUsage::now();
        assert!(!now.threads.is_empty());
        assert!(now.peak_memory.is_some_and(|bytes| bytes > 100_000), "{now:?}");
    }
}
