//! `mz man`: the man pages, as files.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::line;
use crate::session::Session;

/// Writes the man pages into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz man ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Folder to write to; it is created if it does not exist
    dir: PathBuf,
}

impl Man {
    pub(crate) async fn run(&self, session: &Session, shown: clap::Command) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| {
            Failure::Local(format!("cannot write man pages into {}: {error}", self.dir.display()))
        };
        std::fs::create_dir_all(&self.dir).map_err(cannot)?;
        clap_mangen::generate_to(shown, &self.dir).map_err(cannot)?;
        session.out.show(&ManRecord { folder: self.dir.display().to_string() }).await
    }
}

/// The record of the written pages.
#[derive(Debug, Serialize)]
struct ManRecord {
    folder: String,
}

impl fmt::Display for ManRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "man pages are in {}", line(&self.folder))
    }
}
