//! `mz demo`.

use clap::Args;

use crate::failure::Failure;
use crate::session::Session;

/// Shows what the mesh does, with separate processes on this machine only
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz demo")]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) async fn run(&self, _session: &Session) -> Result<(), Failure> {
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(crate) struct DemoPart {}

impl DemoPart {
    pub(crate) async fn run(&self, _session: &Session) -> Result<(), Failure> {
        Ok(())
    }
}
