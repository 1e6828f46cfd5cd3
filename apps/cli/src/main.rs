//! `mz`, the command line of meshzero: advertise, discover, call, publish and listen, from a shell.
//!
//! `args` and `global_args` define the command line; `commands` has one file for each command; `demo` is the scenario of
//! `mz demo`, `bench` the measurements of `mz bench`. Below them: `session` (the mesh and the output of one run), `target`
//! (the service that a command is about), `child_programs` (programs run by `--exec`), `message`, `template`,
//! `schema`, `stdin`, `encoding` and `parse` (input), `output` and `render` (output), `failure` and `not_found`
//! (errors and exit codes), `signals`, and `detached` (system calls that may never return).

mod args;
mod bench;
mod child_programs;
mod commands;
mod demo;
mod detached;
mod encoding;
mod failure;
mod global_args;
mod message;
mod not_found;
mod output;
mod parse;
mod render;
mod schema;
mod session;
mod signals;
mod stdin;
mod target;
mod template;

use std::process::ExitCode;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::{ClosedTerminal, Output, Writers};
use crate::session::Session;
use crate::signals::{IgnoredSignals, Signal, StopSignals};

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let ignored = IgnoredSignals::at_start();
    let closed_terminal = if ignored.contains(Signal::Hangup.number()) {
        ClosedTerminal::IsIgnored
    } else {
        ClosedTerminal::Ends
    };
    let (out, writers) = Output::start(cli.global.format(), closed_terminal);
    session::log_to_stderr(cli.global.verbose, &out);
    actix::System::new().block_on(run(cli, ignored, out, writers))
}

/// Runs the command, and waits until its output is written.
async fn run(cli: Cli, ignored: IgnoredSignals, out: Output, mut writers: Writers) -> ExitCode {
    let mut stop = match StopSignals::listen(ignored) {
        Ok(stop) => stop,
        Err(error) => return fail(&Failure::no_signals(error), &out, &mut writers).await,
    };
    let result = perform(cli, &out, &mut stop).await;
    if let Err(failure) = &result
        && !failure.is_reported()
    {
        out.errors.report(failure);
    }
    let written = if stop.has_stopped() {
        // A reader that does not read must not delay a stop.
        writers.finish_output_briefly(&out).await
    } else {
        tokio::select! {
            written = writers.finish() => written,
            signal = stop.signal() => Err(Failure::Signalled(signal)),
        }
    };
    match (result, written) {
        (Ok(()), Ok(())) => ExitCode::SUCCESS,
        (Ok(()), Err(failure)) => fail(&failure, &out, &mut writers).await,
        (Err(failure), _) => failure.exit_code(),
    }
}

/// Reports a failure to write, or to start at all. Standard error may not be writable either.
async fn fail(failure: &Failure, out: &Output, writers: &mut Writers) -> ExitCode {
    out.errors.report(failure);
    writers.finish_errors_briefly().await;
    failure.exit_code()
}

/// Runs the command until it is done or a signal stops it, and leaves the mesh.
async fn perform(cli: Cli, out: &Output, stop: &mut StopSignals) -> Result<(), Failure> {
    let session = Session::new(&cli.global, out.clone());
    let itself = cli.command.handles_signals();
    let result = tokio::select! {
        biased;
        signal = stop.signal(), if !itself => Err(Failure::Signalled(signal)),
        () = out.closed(), if !itself => Err(Failure::OutputClosed),
        result = cli.command.run(&session, Cli::shown) => result,
    };
    // Accepted messages are finished, unless a second signal arrives.
    let all_finished = tokio::select! {
        all_finished = session.leave() => all_finished,
        signal = stop.signal() => return Err(Failure::Signalled(signal)),
    };
    match result {
        Err(Failure::Signalled(_)) if session.is_endless() => all_finished,
        Err(Failure::OutputClosed) | Ok(()) => all_finished,
        failed => failed,
    }
}
