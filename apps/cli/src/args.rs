//! What can be typed: the options that every command has, and how a command line that cannot be read is answered.

use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{Args, Parser};
use meshzero::MeshName;

use crate::commands::Command;
use crate::failure::{EXIT_CODES, Failure};
use crate::output::{self, Format};

/// Programs that find and call each other over the network, with nothing to configure.
#[derive(Debug, Parser)]
#[command(
    name = "mz",
    version,
    max_term_width = 100,
    propagate_version = false,
    arg_required_else_help = true,
    after_help = EXIT_CODES,
    after_long_help = EXIT_CODES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

/// The options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Prints one JSON object a line
    #[arg(long, global = true)]
    json: bool,
    /// The mesh to join; programs in other meshes are not seen [default: MESHZERO_MESH, or meshzero]
    #[arg(long, global = true, value_name = "MESH")]
    pub(crate) mesh: Option<MeshName>,
    /// The network interfaces to use, such as eth0,192.168.1.*; lo stays on this machine [default:
    /// MESHZERO_INTERFACES, or all]
    #[arg(long, global = true, value_name = "LIST")]
    pub(crate) interfaces: Option<String>,
    /// Endpoints to ask where multicast does not pass, as host:port,… [default: MESHZERO_PEERS, or none]
    #[arg(long, global = true, value_name = "LIST", value_delimiter = ',')]
    pub(crate) peers: Option<Vec<String>>,
    /// Tells on standard error what goes on; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::People }
    }
}

/// Reads the command line. What cannot be read, and a wish for help, is answered here.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        if error.kind() == ErrorKind::ValueValidation {
            // clap would print the value as it is, with whatever it would do to a terminal.
            let failure = Failure::Usage(invalid_value(&error));
            output::report(&failure, Format::People);
            return failure.exit_code();
        }
        // Nobody is left to tell if even this cannot be printed.
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { 2 } else { 0 })
    })
}

fn invalid_value(error: &clap::Error) -> String {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{argument}: {why}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("  mz "), "{} has no example", command.get_name());
        }
    }
}
