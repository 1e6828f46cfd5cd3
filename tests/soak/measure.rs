//! Memory, descriptors and latencies over time.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The measurements of each program.
#[derive(Debug, Default)]
pub struct Samples {
    programs: BTreeMap<String, Vec<Sample>>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    memory: u64,
    descriptors: u64,
}

/// The course of one measure over time.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// The median of the second quarter of the time: the first warms up.
    pub before: u64,
    /// The median of the last quarter.
    pub after: u64,
    /// The largest.
    pub most: u64,
    /// The growth per minute, fitted to the last three quarters.
    pub slope: f64,
}

impl Samples {
    /// Adds the current state of a process.
    pub fn take(&mut self, name: &str, pid: u32, at: Duration) {
        if let Some((memory, descriptors)) = look(pid) {
            let samples = self.programs.entry(name.to_owned()).or_default();
            samples.push(Sample { at, memory, descriptors });
        }
    }

    /// Memory in KiB and descriptors of each program.
    pub fn courses(&self) -> impl Iterator<Item = (&str, Course, Course)> {
        self.programs.iter().filter_map(|(name, samples)| {
            let memory = course(samples, |sample| sample.memory)?;
            Some((name.as_str(), memory, course(samples, |sample| sample.descriptors)?))
        })
    }
}

/// Resident memory in KiB, and open descriptors.
fn look(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let memory = memory.trim().trim_end_matches(" kB").parse().ok()?;
    Some((memory, fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64))
}

fn course(samples: &[Sample], measure: impl Fn(&Sample) -> u64) -> Option<Course> {
    let quarter = samples.len() / 4;
    let values = |samples: &[Sample]| samples.iter().map(&measure).collect::<Vec<_>>();
    Some(Course {
        before: median(values(samples.get(quarter..quarter * 2)?))?,
        after: median(values(samples.get(quarter * 3..)?))?,
        most: samples.iter().map(&measure).max()?,
        slope: slope(samples.get(quarter..)?, &measure),
    })
}

/// The growth per minute, by least squares.
fn slope(samples: &[Sample], measure: impl Fn(&Sample) -> u64) -> f64 {
    let count = samples.len().max(1) as f64;
    let minutes = |sample: &Sample| sample.at.as_secs_f64() / 60.0;
    let mean_time = samples.iter().map(minutes).sum::<f64>() / count;
    let mean = samples.iter().map(|sample| measure(sample) as f64).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for sample in samples {
        let time = minutes(sample) - mean_time;
        above += time * (measure(sample) as f64 - mean);
        below += time * time;
    }
    if below > 0.0 { above / below } else { 0.0 }
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// The latencies of calls in slices of time, in classes that are a tenth apart, which is exact enough.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    slices: Vec<BTreeMap<u32, u64>>,
}

/// The length of a slice.
const SLICE: Duration = Duration::from_secs(5);

impl Latencies {
    /// Adds a call that ended `at` that time and took this long.
    pub fn add(&mut self, at: Duration, took: Duration) {
        let slice = (at.as_secs() / SLICE.as_secs()) as usize;
        if self.slices.len() <= slice {
            self.slices.resize(slice + 1, BTreeMap::new());
        }
        *self.slices[slice].entry(class(took)).or_default() += 1;
    }

    /// The median and the 99th percentile of the second quarter and of the last.
    pub fn quarters(&self) -> [(Duration, Duration); 2] {
        let quarter = self.slices.len() / 4;
        let all = |slices: &[BTreeMap<u32, u64>]| {
            let mut all = BTreeMap::new();
            for (class, count) in slices.iter().flatten() {
                *all.entry(*class).or_default() += *count;
            }
            (percentile(&all, 0.5), percentile(&all, 0.99))
        };
        [all(&self.slices[quarter..quarter * 2]), all(&self.slices[quarter * 3..])]
    }
}

fn class(took: Duration) -> u32 {
    ((took.as_micros().max(1) as f64).ln() / 1.1_f64.ln()) as u32
}

fn percentile(classes: &BTreeMap<u32, u64>, part: f64) -> Duration {
    let all: u64 = classes.values().sum();
    let mut below = 0;
    for (class, count) in classes {
        below += count;
        if below as f64 >= all as f64 * part {
            return Duration::from_micros(1.1_f64.powi(*class as i32 + 1) as u64);
        }
    }
    Duration::ZERO
}
