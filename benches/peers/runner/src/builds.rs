//! Builds the contestants, each alone, so that none gets another's features and one that does not build stops no other.

use std::path::{Path, PathBuf};
use std::process::Command;

use peers_common::Result;

/// The folder of the programs. The runner lies beside them when it was built for release itself.
///
/// # Errors
/// The path of this program is unknown.
pub(crate) fn programs() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.parent().and_then(Path::parent).ok_or("this program lies in no folder of cargo's")?;
    Ok(target.join("release"))
}

/// Builds one package for release, at a low priority.
///
/// # Errors
/// It does not build; cargo has printed the reason.
pub(crate) fn build(package: &str) -> Result {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the runner lies in a workspace")?;
    let status = Command::new("nice")
        .args(["-n", "19", "cargo", "build", "--quiet", "--release", "--package", package])
        .current_dir(workspace)
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("{package} does not build").into()) }
}
