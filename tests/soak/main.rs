//! The soak: programs that call, tell, publish, subscribe, panic, come and go, for any length of time, while connections are cut,
//! stalled and slowed down and processes are stopped and killed. It checks the promises, and that memory, descriptors and latency
//! do not grow. `cargo xtask soak --minutes 30` runs it.

#![allow(clippy::print_stdout, reason = "it prints a table")]
// Nothing is outside of a program, so `pub` is as good as `pub(crate)` and shorter.
#![allow(unreachable_pub)]

mod crew;
mod measure;
mod report;
mod trouble;

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::crew::Crew;
use crate::measure::Samples;
use crate::trouble::Trouble;

const USAGE: &str = "Usage: soak (--minutes N | --seconds N) [--seed N]";

/// The interval of measurements.
const SAMPLE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((length, seed)) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("seed {seed}");
    let begun = Instant::now();
    let mut crew = Crew::start();
    let mut trouble = Trouble::new(seed, begun);
    let mut samples = Samples::default();
    let mut next_sample = begun;
    while begun.elapsed() < length {
        let now = Instant::now();
        if next_sample <= now {
            next_sample = now + SAMPLE;
            crew.watched().for_each(|(name, pid)| samples.take(name, pid, begun.elapsed()));
        }
        trouble.advance(&mut crew, now);
        thread::sleep(Duration::from_millis(20));
    }
    trouble.end(&mut crew);
    let outcome = crew.finish();
    let report = report::Report { length, seed, trouble: &trouble, samples: &samples, outcome };
    println!("{}", report.table());
    let failed = report.failed();
    failed.iter().for_each(|reason| println!("failed: {reason}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The length of the soak, and its seed.
fn parse(arguments: &[String]) -> Option<(Duration, u64)> {
    let (mut length, mut seed) = (None, fastrand::u64(..));
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        let value: u64 = value.parse().ok()?;
        match name.as_str() {
            "--minutes" => length = Some(Duration::from_secs(value * 60)),
            "--seconds" => length = Some(Duration::from_secs(value)),
            "--seed" => seed = value,
            _ => return None,
        }
    }
    Some((length?, seed))
}
