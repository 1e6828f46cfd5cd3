//! The project's own tasks, started as `cargo xtask NAME`.
//!
//! `test` is the whole of it: [`setup`] installs what the tests need, [`stair`], [`dependencies`] and
//! [`hygiene`] read the project, [`sandbox`] keeps the tests off every real network, and [`mod@test`] puts
//! them in order.

#![allow(clippy::print_stdout, reason = "a task talks to the person who started it")]

mod capability;
mod dependencies;
mod hygiene;
mod licence;
mod metadata;
mod policy;
mod process;
mod report;
mod sandbox;
mod setup;
mod stair;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask test [--quick]

  test          set up what the tests need, as far as your rights allow, then run every check and every test
  test --quick  the same without setting anything up and without the documentation
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let scope = match arguments.as_slice() {
        ["test"] => test::Scope::Full,
        ["test", "--quick"] => test::Scope::Quick,
        ["--help" | "-h" | "help"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    test::start(scope)
}
