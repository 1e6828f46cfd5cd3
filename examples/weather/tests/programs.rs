//! The two programs, each in a process of its own.

use std::process::Command;
use std::time::Duration;

use meshzero_testing::Process;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_display_shows_what_the_station_measures() {
    let mesh = format!("test-{:032x}", fastrand::u128(..));
    let start = |program: &str| {
        let mut command = Command::new(program);
        command.arg("london").env_remove("MESHZERO_PEERS").env_remove("MESHZERO_PORTS");
        Process::start(command.env("MESHZERO_MESH", &mesh).env("MESHZERO_INTERFACES", "lo"))
    };
    let mut station = start(env!("CARGO_BIN_EXE_station"));
    station.expect_line("weather/london is at 127.0.0.1:", PATIENCE);

    let output = start(env!("CARGO_BIN_EXE_display")).succeed(PATIENCE);
    assert_eq!(output.matches("weather/london: 1").count(), 5, "{output}");
    assert!(output.contains("average: 1"), "{output}");
}
