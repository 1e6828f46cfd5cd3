//! Passes the commit to the program: the one that a package was made of, or the one that git has.

use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    let packaged = fs::read_to_string(PACKAGED_FROM).ok();
    if let Some(commit) = packaged.as_deref().and_then(commit_in) {
        println!("cargo::rustc-env=MZ_COMMIT={commit}");
        println!("cargo::rerun-if-changed={PACKAGED_FROM}");
        return;
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=MZ_COMMIT={commit}");
    println!("cargo::rerun-if-changed=build.rs");
    // The log of HEAD changes with every commit; a path that is not there would rebuild each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
}

/// The file in which `cargo package` notes the commit.
const PACKAGED_FROM: &str = ".cargo_vcs_info.json";

/// The first digits of the commit in `{"git": {"sha1": "…"}}`.
fn commit_in(packaged_from: &str) -> Option<&str> {
    let after = packaged_from.split_once("\"sha1\"")?.1;
    after.split('"').nth(1)?.get(..12)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let told = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !told.is_empty()).then_some(told)
}
