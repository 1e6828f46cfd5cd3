//! `mz`, the command line of meshzero: advertise, discover, call, publish and listen, from a shell.
//!
//! `args` and `global` are what can be typed, `commands` has one file for each command with its arguments and what it
//! does, `demo` is what `mz demo` shows, `bench` how `mz bench` measures, `session` is what they all share, `stdin` what is read, `encoding` how it may be written, `output` all that is
//! printed, `failure` what can go wrong and the exit code for it, `stop` how it ends early.

mod absence;
mod args;
mod bench;
mod commands;
mod demo;
mod encoding;
mod failure;
mod global;
mod output;
mod parse;
mod schema;
mod session;
mod stdin;
mod stop;
mod target;
mod template;

use std::process::ExitCode;
use std::time::Duration;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::stop::Stop;

/// How long the last lines may take to be written when the program was told to stop.
const LAST_WORDS: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    session::log_to_stderr(cli.global.verbose);
    let json = cli.global.format();
    let result = actix::System::new().block_on(run(cli));
    match result {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            output::report(&failure, json);
            failure.exit_code()
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let mut stop = Stop::listen().map_err(Failure::no_signals)?;
    let (out, writer) = Output::start(cli.global.format());
    let session = Session::new(&cli.global, out.clone());
    let itself = cli.command.stops_itself();
    let result = tokio::select! {
        biased;
        signal = stop.signal(), if !itself => Err(Failure::Stopped(signal)),
        () = out.closed(), if !itself => Err(Failure::OutputClosed),
        result = cli.command.run(&session, Cli::shown) => result,
    };
    // What was accepted is finished, unless somebody insists.
    let insisted = tokio::select! {
        () = session.leave() => None,
        signal = stop.signal() => Some(signal),
    };
    if let Some(signal) = insisted {
        return Err(Failure::Stopped(signal));
    }
    let endless = session.is_endless();
    drop((session, out));
    let written = match &result {
        Err(Failure::Stopped(_)) => tokio::time::timeout(LAST_WORDS, writer.finish()).await.unwrap_or(Ok(())),
        _ => tokio::select! {
            written = writer.finish() => written,
            signal = stop.signal() => Err(Failure::Stopped(signal)),
        },
    };
    match result {
        Err(Failure::Stopped(_)) if endless => Ok(()),
        Err(Failure::OutputClosed) => written,
        Ok(()) => written,
        failed => failed,
    }
}
