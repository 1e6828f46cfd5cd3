//! `mz completions`: completions of the command line for shells.

use std::fmt;

use clap::Args;
use clap_complete::Shell;
use serde::Serialize;

use crate::failure::Failure;
use crate::session::Session;

/// Prints the completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz completions bash > ~/.local/share/bash-completion/completions/mz
  mz completions zsh > ~/.zfunc/_mz
  mz completions fish > ~/.config/fish/completions/mz.fish")]
pub(crate) struct Completions {
    /// Shell to complete in
    shell: Shell,
}

impl Completions {
    pub(crate) async fn run(&self, session: &Session, mut shown: clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut shown, "mz", &mut script);
        let script = String::from_utf8_lossy(&script).trim_end().to_owned();
        session.out.show(&ScriptRecord { script }).await
    }
}

/// The record of a script.
#[derive(Debug, Serialize)]
struct ScriptRecord {
    script: String,
}

impl fmt::Display for ScriptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.script.fmt(f)
    }
}
