//! A short soak: it runs, and nothing breaks soon.

use std::process::Command;
use std::time::Duration;

use meshzero_testing::{Process, example};

#[test]
fn a_short_soak_keeps_every_promise() {
    let mut soak = Process::start(Command::new(example("soak")).args(["--seconds", "15"]));
    let table = soak.succeed(Duration::from_secs(90));
    assert!(table.contains("| broken promises | 0 | 0 |"), "{table}");
}
