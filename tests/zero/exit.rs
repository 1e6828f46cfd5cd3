//! Programs of their own: the example across two processes, and what the others hear when one ends.

use std::process::Command;

use meshzero::{Mesh, WatchEvent};
use meshzero_testing::{Process, example};

use super::PATIENCE;

fn hello_zero(mesh: &str) -> Command {
    let mut command = Command::new(example("hello_zero"));
    command.env("MESHZERO_MESH", mesh).env("MESHZERO_INTERFACES", "lo");
    command
}

#[test]
fn the_example_greets_across_two_processes() {
    let mesh = format!("test-{:032x}", fastrand::u128(..));
    let mut server = Process::start(&mut hello_zero(&mesh));
    server.expect_line("hello is at 127.0.0.1:", PATIENCE);
    for name in ["World", "Tim"] {
        let printed = Process::start(hello_zero(&mesh).arg(name)).succeed(PATIENCE);
        assert_eq!(printed, format!("Hello, {name}!\n"));
    }
    assert!(server.is_running());
}
