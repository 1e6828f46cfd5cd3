//! The project's own tasks, started as `cargo xtask NAME`.
//!
//! `test` is most of it: [`setup`] installs what the tests need, [`stair`], [`dependencies`] and [`hygiene`] read
//! the project, [`sandbox`] keeps the tests off every real network, and [`mod@test`] puts them in order. [`soak`]
//! is for an evening.

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
mod soak;
mod stair;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask test [--quick]
       cargo xtask soak --minutes N [--seed N]

  test          set up what the tests need, as far as your rights allow, then run every check and every test
  test --quick  the same without setting anything up and without the documentation
  soak          let programs work under random faults for so long, and tell how that went
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test"] => test::start(test::Scope::Full),
        ["test", "--quick"] => test::start(test::Scope::Quick),
        ["soak", options @ ..] => soak::start(options),
        ["--help" | "-h" | "help"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
    }
}
