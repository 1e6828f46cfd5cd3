//! `mz demo`, and its processes.

use clap::Args;

use crate::demo::{Role, run_demo};
use crate::failure::Failure;
use crate::session::Session;
use crate::signals::{IgnoredSignals, StopSignals};

/// Demonstrates the mesh with separate processes on this machine only
///
/// A robot's arm, a weather station and two clients find each other, call, publish and subscribe; one is killed, and
/// detected as gone. Ends by itself in under 15 s.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz demo
  mz demo --json")]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        // Signals ignored at the start have not been listened for since.
        let mut stop = StopSignals::listen(IgnoredSignals::at_start()).map_err(Failure::no_signals)?;
        run_demo(&session.out, &mut stop).await
    }
}

/// One process of the demo
#[derive(Debug, Args)]
pub(crate) struct DemoPart {
    role: Role,
}

impl DemoPart {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        session.set_endless();
        self.role.run(session).await
    }
}
