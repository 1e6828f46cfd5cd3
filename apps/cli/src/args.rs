//! The command line, and the errors of one that cannot be parsed.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::commands::Command;
use crate::failure::{EXIT_CODES, Failure};
use crate::global_args::GlobalArgs;
use crate::output;

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
    pub(crate) global: GlobalArgs,
}

impl Cli {
    /// Returns the command line without its hidden parts, which completions and man pages would show.
    pub(crate) fn shown() -> clap::Command {
        let whole = Self::command();
        let visible = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
        clap::Command::new("mz")
            .version(env!("CARGO_PKG_VERSION"))
            .about(whole.get_about().cloned().unwrap_or_default())
            .after_help(EXIT_CODES)
            .args(whole.get_arguments().cloned())
            .subcommands(visible)
    }
}

/// Parses the command line. Errors and requests for help are answered here.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        if error.kind() == ErrorKind::ValueValidation {
            // clap would print the value as it is, with all its effects on a terminal.
            let failure = Failure::Usage(invalid_value(&error));
            output::report_now(&failure);
            return failure.exit_code();
        }
        let printed = error.print().and_then(|()| io::stdout().flush());
        match printed {
            // There is nowhere to report that even an error cannot be printed.
            _ if error.use_stderr() => ExitCode::from(2),
            Ok(()) => ExitCode::SUCCESS,
            // A reader that closes the pipe, as `head` does, has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                let failure = output::unwritable(&error);
                output::report_now(&failure);
                failure.exit_code()
            }
        }
    })
}

fn invalid_value(error: &clap::Error) -> String {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{argument}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("  mz "), "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }

        Cli::command().get_subcommands().filter(|command| !command.is_hide_set()).for_each(check);
    }
}
