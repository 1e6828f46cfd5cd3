//! The real actors on a simulated network: faults are drawn from a seed, and the promises hold whatever they are.
//!
//! `MESHZERO_SEED=17 cargo nextest run -p meshzero-simulation` runs one seed and prints its whole trace if it fails;
//! `MESHZERO_SEEDS=1000..2000` runs other seeds than the default ones.

#![allow(unreachable_pub)]

mod account;
mod log;
mod program;
mod quiet;
mod scenario;
mod simulation;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::simulation::{Run, Trace, run};

/// The default seeds.
const SEEDS: std::ops::Range<u64> = 0..320;

/// The most failures that are printed.
const MAX_PRINTED: usize = 3;

/// Runs one seed on a thread of its own, where no state of another seed is left.
fn alone(seed: u64, trace: Trace) -> Result<Run, String> {
    let thread = thread::Builder::new().name(format!("seed {seed}")).spawn(move || run(seed, trace));
    thread
        .expect("the system gives threads")
        .join()
        .unwrap_or_else(|_| Err(format!("seed {seed}: it panicked")))
}

/// The seeds to run, from the environment.
fn seeds() -> (std::ops::Range<u64>, Trace) {
    let read = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    if let Ok(seed) = std::env::var("MESHZERO_SEED") {
        let seed = read(&seed);
        return (seed..seed + 1, Trace::Yes);
    }
    match std::env::var("MESHZERO_SEEDS") {
        Ok(seeds) => {
            let (first, end) = seeds.split_once("..").expect("seeds are written as 1000..2000");
            (read(first)..read(end), Trace::No)
        }
        Err(_) => (SEEDS, Trace::No),
    }
}

#[test]
fn whatever_happens_on_the_network_the_promises_hold() {
    let (seeds, trace) = seeds();
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Err(reason) = alone(seed, trace) {
                        failed.lock().expect("no holder of the lock panics").push((seed, reason));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no holder of the lock panics");
    for (seed, reason) in failed.iter().take(MAX_PRINTED) {
        eprintln!("{reason}\nagain: MESHZERO_SEED={seed} cargo nextest run -p meshzero-simulation\n");
    }
    let numbers: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    assert!(failed.is_empty(), "{} of {} seeds failed: {numbers:?}", failed.len(), seeds.end - seeds.start);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..6 {
        let [first, second] =
            [(); 2].map(|()| alone(seed, Trace::Yes).unwrap_or_else(|reason| panic!("{reason}")));
        let differs = |(one, other): &(String, String)| one != other;
        let lines = first.told.into_iter().zip(second.told);
        assert_eq!(lines.enumerate().find(|(_, lines)| differs(lines)), None, "seed {seed}");
        assert_eq!((first.tally, first.digest), (second.tally, second.digest), "seed {seed}");
    }
}
