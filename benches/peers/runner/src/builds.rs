//! Builds the contestants, each alone, so that none gets another's features and one that does not build stops no other.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use peers_common::Result;
use serde::Serialize;

/// The cargo profile of a contestant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Profile {
    /// Cargo's `release` as it is, which programs have whose authors changed nothing.
    Default,
    /// With thin LTO and one codegen unit.
    Lto,
}

impl Profile {
    /// The title of its tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Default => "Cargo's default release profile",
            Self::Lto => "With `lto = \"thin\"` and one codegen unit",
        }
    }

    /// The name of the profile, and of its folder.
    fn name(self) -> &'static str {
        match self {
            Self::Default => "release",
            Self::Lto => "lto",
        }
    }

    /// The folder of the programs. The runner lies beside it, in the folder of its own profile.
    ///
    /// # Errors
    /// The path of this program is unknown.
    pub(crate) fn programs(self) -> Result<PathBuf> {
        let this = std::env::current_exe()?;
        let target =
            this.parent().and_then(Path::parent).ok_or("this program lies in no folder of cargo's")?;
        Ok(target.join(self.name()))
    }

    /// Builds one package, at a low priority.
    ///
    /// # Errors
    /// It does not build; cargo has printed the reason.
    pub(crate) fn build(self, package: &str) -> Result {
        let workspace =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the runner lies in a workspace")?;
        let status = Command::new("nice")
            .args(["-n", "19", "cargo", "build", "--quiet", "--profile", self.name(), "--package", package])
            .current_dir(workspace)
            .status()?;
        if status.success() { Ok(()) } else { Err(format!("{package} does not build").into()) }
    }
}
