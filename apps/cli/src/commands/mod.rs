//! The commands: one file per command, with its arguments and its execution.

mod advertise;
mod bench;
mod completions;
mod demo;
mod describe;
mod discover;
mod exec;
mod gateway;
mod list;
mod listen;
mod man;
mod namesakes;
mod publish;
mod send;
mod stats;

use clap::Subcommand;

use crate::failure::Failure;
use crate::session::Session;

/// A command of `mz`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Demo),
    #[command(hide = true)]
    DemoPart(demo::DemoPart),
    Advertise(advertise::Advertise),
    Discover(discover::Discover),
    List(list::List),
    Send(send::Send),
    Publish(publish::Publish),
    Listen(listen::Listen),
    Describe(describe::Describe),
    Stats(stats::Stats),
    Gateway(gateway::Gateway),
    Bench(bench::Bench),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Runs the command. `shown` is the whole command line, for completions and man pages.
    pub(crate) async fn run(&self, session: &Session, shown: fn() -> clap::Command) -> Result<(), Failure> {
        match self {
            Self::Demo(demo) => demo.run(session).await,
            Self::DemoPart(part) => part.run(session).await,
            Self::Advertise(advertise) => advertise.run(session).await,
            Self::Discover(discover) => discover.run(session).await,
            Self::List(list) => list.run(session).await,
            Self::Send(send) => send.run(session).await,
            Self::Publish(publish) => publish.run(session).await,
            Self::Listen(listen) => listen.run(session).await,
            Self::Describe(describe) => describe.run(session).await,
            Self::Stats(stats) => stats.run(session).await,
            Self::Gateway(gateway) => gateway.run(session).await,
            Self::Bench(bench) => bench.run(session).await,
            Self::Completions(completions) => completions.run(session, shown()).await,
            Self::Man(man) => man.run(session, shown()).await,
        }
    }

    /// Returns whether the command handles signals itself, because its shutdown is more than leaving the mesh.
    pub(crate) fn handles_signals(&self) -> bool {
        matches!(self, Self::Demo(_))
    }
}
