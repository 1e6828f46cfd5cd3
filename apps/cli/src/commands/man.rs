//! `mz man`: the man pages, as files.

use std::path::PathBuf;

use clap::Args;

use super::completions::shown;
use crate::failure::Failure;
use crate::session::Session;

/// Writes the man pages into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz man ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// The folder; it is made if it is not there
    dir: PathBuf,
}

impl Man {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| {
            Failure::Machine(format!("cannot write man pages into {}: {error}", self.dir.display()))
        };
        std::fs::create_dir_all(&self.dir).map_err(cannot)?;
        clap_mangen::generate_to(shown(), &self.dir).map_err(cannot)?;
        session
            .out
            .line(format!("man pages are in {}", crate::output::line(&self.dir.display().to_string())))
            .await
    }
}
