//! The resources of a process as the system reports them: its processor time and its memory.

use std::fs;

use peers_common::Result;

/// Seconds of processor time of all the threads that these processes have had.
///
/// # Errors
/// One of them is gone.
pub(crate) fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    let mut ticks = 0;
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program stands in parentheses, and may contain spaces.
        let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The memory that these processes use now, in KiB.
///
/// # Errors
/// One of them is gone.
pub(crate) fn resident_kib(pids: &[u32]) -> Result<u64> {
    status(pids, "VmRSS:")
}

/// The most memory that these processes have used, in KiB.
///
/// # Errors
/// One of them is gone.
pub(crate) fn peak_kib(pids: &[u32]) -> Result<u64> {
    status(pids, "VmHWM:")
}

fn status(pids: &[u32], field: &str) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line =
            text.lines().find_map(|line| line.strip_prefix(field)).ok_or("a process that has ended")?;
        sum += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(sum)
}
